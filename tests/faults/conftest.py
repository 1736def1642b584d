"""Fixtures of the fault tests.

By default each test runs in its short form. script/soak sets TIMESLICED_SOAK=1 for the long form, limits it with
TIMESLICED_SOAK_KILLS and TIMESLICED_SOAK_MINUTES, and reads the results from the file TIMESLICED_SOAK_REPORT.
"""
import json
import os
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from faulty import FaultyDaemon  # noqa: E402
from support.fixtures import new_daemon, start_daemon  # noqa: E402, F401


class Scale:
    long = os.environ.get("TIMESLICED_SOAK") == "1"
    kills = int(os.environ.get("TIMESLICED_SOAK_KILLS", "1000" if long else "15"))
    minutes = float(os.environ.get("TIMESLICED_SOAK_MINUTES", "5"))

    def __init__(self):
        self.end = time.monotonic() + 60 * self.minutes

    def has_time(self):
        """Whether a test that repeats its fault still has time. The short form is limited by counts instead."""
        return not self.long or time.monotonic() < self.end

    def choose(self, short, long):
        return long if self.long else short


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs for minutes; only script/soak runs it")


def pytest_collection_modifyitems(config, items):
    excluded = [] if Scale.long else [item for item in items if item.get_closest_marker("long")]
    if excluded:
        config.hook.pytest_deselected(items=excluded)
        items[:] = [item for item in items if item not in excluded]


@pytest.fixture
def scale():
    return Scale()


@pytest.fixture
def report(request):
    """report(fault, tries, violations, text): adds a row to script/soak's table; fails if there are violations."""
    def add_row(fault, tries, violations, text):
        line = {"test": request.node.nodeid, "fault": fault, "tries": tries, "violations": len(violations),
                "result": text}
        print(f"{fault}: {tries} tries, {len(violations)} violations; {text}")
        path = os.environ.get("TIMESLICED_SOAK_REPORT")
        if path:
            with open(path, "a", encoding="utf-8") as rows:
                rows.write(json.dumps(line) + "\n")
        assert not violations, "\n".join(violations[:20])
    return add_row


@pytest.fixture
def daemon_class():
    return FaultyDaemon
