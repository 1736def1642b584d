"""Fixtures: `daemon(**settings)` starts one (a key's dot written as two underscores); each is checked at the end."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.daemon import Daemon, prepared  # noqa: E402


@pytest.fixture
def prepare():
    """Daemons that are not started yet: prepare(settings, config_text) -> Daemon."""
    yield from prepared(Daemon)


@pytest.fixture
def daemon(prepare):
    def start(config_text="", **settings):
        return prepare(settings, config_text).start()
    return start
