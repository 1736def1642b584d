"""Fixtures of the integration tests: see support/fixtures.py."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.fixtures import daemon_class, new_daemon, start_daemon, web  # noqa: E402, F401
