"""Fixtures that start the daemon; a conftest.py imports them. A daemon that still runs at the end is checked first."""
import pytest

from support.daemon import Daemon, daemon_factory


@pytest.fixture
def daemon_class():
    return Daemon


@pytest.fixture
def new_daemon(daemon_class):
    """new_daemon(settings, config_text) -> a Daemon that is not started."""
    yield from daemon_factory(daemon_class)


@pytest.fixture
def start_daemon(new_daemon):
    """start_daemon(config_text, ingest__threads=2) -> a started Daemon. In a key two underscores stand for the dot."""
    def start(config_text="", **settings):
        return new_daemon(settings, config_text).start()
    return start


@pytest.fixture
def web(start_daemon):
    """(a daemon with control.http, the address of control.http)"""
    daemon = start_daemon(control__http="127.0.0.1:0", control__allowed_hosts="stats.example, other")
    return daemon, daemon.address("http")
