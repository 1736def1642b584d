"""timeslicectl with the real daemon: over its socket and over control.http, where only questions are answered."""
import types

import pytest

from support.fake_control import ctl, table


@pytest.fixture
def one(daemon):
    return daemon(control__http="127.0.0.1:0")


@pytest.mark.parametrize("command", ["top", "buckets", "functions", "labels", "status", "rejects"])
def test_questions_over_http(one, command):
    url = f"http://{one.status()['listeners']['http']}"
    over_http, over_socket = ctl("--url", url, command), ctl("--socket", str(one.control), command)
    assert over_http.returncode == over_socket.returncode == 0 and over_http.stderr == b""
    if command != "status":
        assert over_http.stdout == over_socket.stdout
    assert table(command, daemon=types.SimpleNamespace(path=str(one.control)))


@pytest.mark.parametrize("args", [["flush"], ["backup", "x.db"], ["regrid", "x.db", "--time-slice", "1m"],
                                  ["delete", "--function", "x", "--yes"]])
def test_nothing_else_over_http(one, args, tmp_path):
    done = ctl("--url", f"http://{one.status()['listeners']['http']}", *args, cwd=tmp_path)
    assert done.returncode == 1 and b"control socket" in done.stderr and list(tmp_path.iterdir()) == []
