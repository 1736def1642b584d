"""Fixtures: `daemon(**settings)` starts one (a key's dot written as two underscores); each is checked at the end."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.daemon import BINARY, Daemon  # noqa: E402


@pytest.fixture
def prepare():
    """Daemons that are not started yet: prepare(settings, config_text) -> Daemon."""
    if not pathlib.Path(BINARY).exists():
        pytest.fail(f"{BINARY} is not built")
    made = []

    def new(settings=None, config_text="", folder=None):
        made.append(Daemon(settings, config_text, folder))
        return made[-1]
    yield new
    problems = []
    for one in made:
        try:
            if one.process is not None and one.process.poll() is None:
                one.check()
        except Exception as problem:  # the others must be ended all the same
            problems.append(problem)
        finally:
            one.discard()
    if problems:
        raise problems[0]


@pytest.fixture
def daemon(prepare):
    def start(config_text="", **settings):
        return prepare(settings, config_text).start()
    return start
