"""Fixtures of the integration tests: new_daemon and start_daemon."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.fixtures import daemon_class, new_daemon, start_daemon  # noqa: E402, F401
