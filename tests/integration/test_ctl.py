"""timeslicectl against a fake control socket: the requests it sends, its exit codes and --watch."""
import os
import pathlib
import subprocess
import time

import pytest

from support.canned import CSV, RESPONSES, TOP
from support.fake_control import BINARY, FakeControl, columns, ctl, environment, on_terminal, serving, start_ctl, table


@pytest.fixture
def daemon(tmp_path):
    yield from serving(tmp_path, {**RESPONSES, "buckets?format=csv": CSV, "top?format=csv": CSV})


# Requests.


@pytest.mark.parametrize("args, path, query", [
    (["buckets"], "/v1/buckets", []),
    (["buckets", "--from", "-15m", "--to=now", "--time-slice", "1m", "--fill"], "/v1/buckets",
     [("from", "-15m"), ("to", "now"), ("time_slice", "1m"), ("fill", "true")]),
    (["top", "--last", "1h", "--top", "10", "--by", "label.service", "--metric", "ncalls"], "/v1/top",
     [("last", "1h"), ("top", "10"), ("by", "label.service"), ("metric", "ncalls")]),
    (["--last", "1h", "top", "--last", "2h"], "/v1/top", [("last", "2h")]),
    (["top", "--function", "a*&b", "--function", "日+ %", "--label", "service=web=1", "--label", "x="], "/v1/top",
     [("function", "a*&b"), ("function", "日+ %"), ("label.service", "web=1"), ("label.x", "")]),
    (["functions", "--function", "send*", "--no-fresh"], "/v1/functions", [("function", "send*"), ("fresh", "false")]),
    (["labels", "--fresh"], "/v1/labels", [("fresh", "true")]),
    (["buckets", "--chart"], "/v1/buckets", [("top", "8")]),
    (["buckets", "--chart", "--top", "3"], "/v1/buckets", [("top", "3")]),
    (["status"], "/v1/status", []),
    (["rejects"], "/v1/rejects", []),
])
def test_request_is_sent_as_given(daemon, args, path, query):
    assert ctl(*args, daemon=daemon).returncode == 0
    [(method, got_path, got_query)] = daemon.requests
    assert (method, got_path) == ("GET", path)
    assert sorted(got_query) == sorted(query)


def test_flush_sends_a_post(daemon):
    assert ctl("flush", daemon=daemon).returncode == 0
    assert daemon.requests == [("POST", "/v1/flush", [])]
    assert "flushed" in table("flush", daemon=daemon)


def test_socket_is_read_from_the_environment(daemon):
    env = environment(TIMESLICED_SOCKET=daemon.path, http_proxy="http://127.0.0.1:1")
    assert ctl("status", env=env).returncode == 0


def test_json_passes_through(daemon):
    raw = b'{"functions":[ ],\n  "x": 1.000000000, "\\u00e9": "\xff"}'
    daemon.put("functions", raw)
    assert ctl("functions", daemon=daemon).stdout == raw
    assert ctl("functions", "--format=json", daemon=daemon).stdout == raw


@pytest.mark.parametrize("command", ["buckets", "top"])
def test_csv_passes_through(daemon, command):
    assert ctl(command, "--format", "csv", daemon=daemon).stdout == CSV.encode()


# Exit codes.


@pytest.mark.parametrize("args, part", [
    ([], "no command"), (["nonsense"], "nonsense"), (["top", "more"], "more"), (["--nonsense", "top"], "--nonsense"),
    (["top", "--last"], "--last needs a value"), (["top", "--last", "--top", "3"], "--last needs a value"),
    (["top", "--fill"], "does not accept --fill"), (["status", "--top", "3"], "does not accept --top"),
    (["status", "--format", "csv"], "no CSV format"), (["top", "--format", "xml"], "xml"),
    (["top", "--label", "web"], "KEY=VALUE"), (["top", "--label", "=web"], "KEY=VALUE"),
    (["buckets", "--chart", "--format", "json"], "--chart"),
    (["top", "--watch", "soon"], "soon"), (["flush", "--watch", "1"], "--watch"), (["top", "-x"], "-x"),
    (["top", "--no-fresh=1"], "does not take a value"), (["top", "--fresh", "--no-fresh"], "cannot be combined"),
    (["--socket", "/a", "--url", "http://b", "top"], "cannot be combined"), (["--socket=", "top"], "--socket"),
    (["--url", "ftp://x/", "top"], "--url"), (["top", "--color", "pink"], "pink"), (["a\x1b[2J"], "a\\x1b[2J"),
])
def test_wrong_usage_exits_with_2(args, part):
    done = ctl(*args)
    assert done.returncode == 2
    assert part in done.stderr.decode() and done.stdout == b""
    assert "--help" in done.stderr.decode() or "--url" in args


def test_error_of_the_daemon_is_reported(daemon):
    daemon.put("buckets", {"error": {"code": "bad_parameter", "parameter": "time_slice",
                                     "message": "7s is not a multiple of the stored time_slice 10s"}}, 400)
    done = ctl("buckets", "--time-slice", "7s", daemon=daemon)
    assert done.returncode == 1 and done.stdout == b""
    for part in ("7s is not a multiple", "bad_parameter", "time_slice"):
        assert part in done.stderr.decode()


def test_unknown_path_suggests_an_older_daemon(daemon):
    daemon.canned.clear()
    done = ctl("diff", "--after", "last:1h", daemon=daemon)
    assert done.returncode == 1 and b"404" in done.stderr and b"older version" in done.stderr


@pytest.mark.parametrize("body", [b"", b"oops \x1b[2J", b"[1]", b'{"error": 7}', b'{"error": {"message": 7}}'])
def test_error_without_json_is_reported(daemon, body):
    daemon.put("top", body, 500)
    done = ctl("top", daemon=daemon)
    assert done.returncode == 1 and b"500" in done.stderr and b"\x1b" not in done.stderr


def test_missing_socket_exits_with_3(tmp_path):
    done = ctl("--socket", str(tmp_path / "none.sock"), "status")
    assert done.returncode == 3
    assert "none.sock" in done.stderr.decode() and "running" in done.stderr.decode()


def test_socket_without_listener_exits_with_3(daemon):
    daemon.shutdown()
    daemon.server_close()
    done = ctl("status", daemon=daemon)
    assert done.returncode == 3 and "no daemon listens" in done.stderr.decode()
    os.unlink(daemon.path)


def test_socket_without_permission_exits_with_3(daemon, tmp_path):
    os.chmod(daemon.path, 0)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    for folder in list(tmp_path.parents)[:3] + [tmp_path]:
        if folder.owner() != "root" or folder != pathlib.Path("/tmp"):
            os.chmod(folder, 0o755)
    if prefix and subprocess.run(prefix + ["test", "-x", BINARY]).returncode:
        pytest.skip("the user nobody cannot execute the binary here")
    done = subprocess.run(prefix + [BINARY, "--socket", daemon.path, "status"], capture_output=True, env=environment())
    assert done.returncode == 3 and b"group" in done.stderr and b"timesliced" in done.stderr


def test_unreachable_url_and_too_long_path_exit_with_3():
    done = ctl("--url", "http://127.0.0.1:1/", "status")
    assert done.returncode == 3 and "control.http" in done.stderr.decode()
    assert ctl("--socket", "/tmp/" + "x" * 200, "status").returncode == 3


@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b"{", b"{}", b'{"buckets": 3}', b'{"buckets": [1], "profiles": [], "functions": []}',
    b'{"buckets": [1], "profiles": [1], "functions": [{}]}', b'{"buckets": ["a"], "profiles": [1], "functions": []}',
    b'{"buckets": [1], "profiles": [1], "functions": [{"function": 3, "values": [1, 2]}]}', b"[" * 5000,
])
def test_malformed_buckets_are_an_error(daemon, body):
    daemon.put("buckets", body)
    for more in (["--format", "table"], ["--chart"]):
        done = ctl("buckets", *more, daemon=daemon)
        assert done.returncode == 1 and b"timeslicectl: " in done.stderr and b"response" in done.stderr


@pytest.mark.parametrize("command", sorted(RESPONSES))
@pytest.mark.parametrize("body", [
    b'{"functions": [1, null, {"function": []}], "other": 3, "labels": [4, {"labels": [1, {}]}], '
    b'"rejects": [5, {"time": "x"}]}',
    b'{"functions": [{"locations": [null, 2]}], "labels": {}, "rejects": null, "from": "x"}',
])
def test_unexpected_types_do_not_crash(daemon, command, body):
    daemon.put(command, body)
    assert ctl(command, "--format", "table", daemon=daemon).returncode in (0, 1)


def test_full_disk_and_closed_pipe_are_errors(daemon):
    with open("/dev/full", "wb") as full:
        done = ctl("status", daemon=daemon, stdout=full)
    assert done.returncode != 0 and b"No space left" in done.stderr
    read, write = os.pipe()
    os.close(read)
    done = ctl("status", daemon=daemon, stdout=write)
    os.close(write)
    assert done.returncode != 0 and done.stderr == b""


@pytest.mark.parametrize("args", [["--help"], ["--version"]] + [[c, "--help"] for c in RESPONSES] + [["--help", "top"]])
def test_help_and_version_are_printed(args):
    done = ctl(*args)
    assert done.returncode == 0 and done.stderr == b""
    text = done.stdout.decode()
    assert all(columns(line) <= 80 for line in text.splitlines())
    assert "timeslicectl" in text
    if args == ["top", "--help"]:
        assert "--by" in text and "--chart" not in text


# Watch.


def test_watch_requests_the_status_once(daemon):
    daemon.put("top", dict(TOP, from_resolution=10, to_resolution=10))
    text, code = on_terminal(["--socket", daemon.path, "top", "--watch", "0.1"], seconds=1)
    paths = [path for _, path, _ in daemon.requests]
    assert code is None and paths.count("/v1/top") >= 3 and paths.count("/v1/status") == 1 and "cum/call" in text


def test_watch_clears_the_screen(daemon):
    text, code = on_terminal(["--socket", daemon.path, "status", "--watch", "0.1"], seconds=1)
    assert code is None and text.count("\x1b[H\x1b[2J") >= 2


def test_watch_retries_while_the_daemon_restarts(daemon):
    child = start_ctl("status", "--watch", "0.1", daemon=daemon)
    time.sleep(0.4)
    daemon.stop()
    time.sleep(0.6)
    restarted = FakeControl(daemon.path, RESPONSES)
    time.sleep(0.6)
    assert child.poll() is None
    child.terminate()
    out, err = child.communicate(timeout=5)
    requests = len(restarted.requests)
    restarted.stop()
    assert requests >= 2 and out.count(b"\n") >= 4
    assert b"retrying" in err and err.count(b"cannot reach the daemon") == 1


def test_watch_ends_when_the_request_is_rejected(daemon):
    daemon.put("top", {"error": {"code": "bad_parameter", "parameter": "by", "message": "no"}}, 400)
    assert ctl("top", "--by", "x", "--watch", "0.1", daemon=daemon).returncode == 1
