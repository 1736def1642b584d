"""timeslicectl with the real daemon, over the control socket and over control.http, which accepts only queries."""
import types

import pytest

from support.fake_control import ctl, table


@pytest.fixture
def daemon(start_daemon):
    return start_daemon(control__http="127.0.0.1:0")


@pytest.mark.parametrize("command", ["top", "buckets", "functions", "labels", "status", "rejects"])
def test_queries_over_http_equal_those_over_the_socket(daemon, command):
    url = f"http://{daemon.status()['listeners']['http']}"
    over_http, over_socket = ctl("--url", url, command), ctl("--socket", str(daemon.control), command)
    assert over_http.returncode == over_socket.returncode == 0 and over_http.stderr == b""
    if command != "status":
        assert over_http.stdout == over_socket.stdout
    assert table(command, daemon=types.SimpleNamespace(path=str(daemon.control)))


@pytest.mark.parametrize("args", [["flush"], ["backup", "x.db"], ["regrid", "x.db", "--time-slice", "1m"],
                                  ["delete", "--function", "x", "--yes"]])
def test_other_commands_over_http_are_rejected(daemon, args, tmp_path):
    done = ctl("--url", f"http://{daemon.status()['listeners']['http']}", *args, cwd=tmp_path)
    assert done.returncode == 1 and b"control socket" in done.stderr and list(tmp_path.iterdir()) == []
