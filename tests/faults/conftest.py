"""Fixtures of the fault tests, and how long they take.

By default each test takes its short form. script/soak sets TIMESLICED_SOAK=1, with TIMESLICED_SOAK_KILLS and
TIMESLICED_SOAK_MINUTES, and collects what `figure` is told from the file TIMESLICED_SOAK_REPORT.
"""
import json
import os
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.daemon import prepared  # noqa: E402
from faulty import FaultyDaemon  # noqa: E402


class Scale:
    long = os.environ.get("TIMESLICED_SOAK") == "1"
    kills = int(os.environ.get("TIMESLICED_SOAK_KILLS", "1000" if long else "15"))
    minutes = float(os.environ.get("TIMESLICED_SOAK_MINUTES", "5"))

    def __init__(self):
        self.end = time.monotonic() + 60 * self.minutes

    def goes_on(self):
        """False once a test that repeats itself has taken its time; the short form is short by its numbers."""
        return not self.long or time.monotonic() < self.end

    def choose(self, short, long):
        return long if self.long else short


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes, so that only script/soak runs it")


def pytest_collection_modifyitems(config, items):
    left_out = [] if Scale.long else [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def scale():
    return Scale()


@pytest.fixture
def figure(request):
    """figure(fault, tries, violations, text): a line of script/soak's table. Fails where violations is not empty."""
    def note(fault, tries, violations, text):
        line = {"test": request.node.nodeid, "fault": fault, "tries": tries, "violations": len(violations),
                "figure": text}
        print(f"{fault}: {tries} tries, {len(violations)} violations; {text}")
        path = os.environ.get("TIMESLICED_SOAK_REPORT")
        if path:
            with open(path, "a", encoding="utf-8") as report:
                report.write(json.dumps(line) + "\n")
        assert not violations, "\n".join(violations[:20])
    return note


@pytest.fixture
def prepare():
    """Daemons that are not started yet: prepare(settings, config_text) -> FaultyDaemon. Each is checked at the end."""
    yield from prepared(FaultyDaemon)


@pytest.fixture
def daemon(prepare):
    def start(config_text="", **settings):
        return prepare(settings, config_text).start()
    return start
