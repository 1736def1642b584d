"""timeslicectl against a daemon that is not one: an HTTP server on a Unix socket with canned answers.

What is tested: requests as they arrive, exit codes, what is written.
"""
import os
import pathlib
import re
import subprocess
import time

import pytest

from support.fake_control import BINARY, FakeControl, columns, ctl, environment, on_terminal, serving, table

T0 = 1732272000

BUCKETS = {
    "start_time": T0, "time_slice": 10, "metric": "cumtime", "unit": "seconds", "from": T0, "to": T0 + 40,
    "buckets": [T0, T0 + 10, T0 + 30], "profiles": [3, 4, 1], "exact_profiles": [0, 4, 0],
    "total_tt": [1.1, 2.2, 0.1], "parts_missing": [0, 2, 0],
    "functions": [{"function": "sleep1", "total": 4.2, "values": [1.1, 3.1, 0]},
                  {"function": "handle_request", "total": 2.25, "values": [2, 0.25, 0]},
                  {"function": "日本語の関数", "total": 0.5, "values": [0.25, 0.25, 0]},
                  {"function": "negative", "total": -0.1, "values": [-0.1, 0, 0]},
                  {"function": "a_rather_long_function_name_that_goes_on", "total": 0, "values": [0, 0, 0]},
                  {"function": "", "total": 0.003, "values": [0, 0, 0.003]}],
    "other": {"functions": 12, "total": 0.75, "values": [0.5, 0.25, 0]},
}
NO_BUCKETS = dict(BUCKETS, **{"from": None, "to": None, "buckets": [], "profiles": [], "exact_profiles": [],
                              "total_tt": [], "parts_missing": [], "functions": [],
                              "other": {"functions": 0, "total": 0, "values": []}})


def top_row(**name):
    return dict(name, cumtime=4.2, tottime=0.1, ncalls=1234567, pcalls=12, percall_cumtime=0.35,
                percall_tottime=8.3e-3)


TOP = {
    "from": T0, "to": T0 + 3600, "profiles": 7, "total_tt": 3.3, "metric": "cumtime",
    "functions": [top_row(function="sleep1"), top_row(function="x" * 200), top_row(function="日本語" * 30),
                  top_row(function="e\u0301vil\x1b[31m\n\u202e\x9b"), top_row(function=""),
                  dict(top_row(function="never"), ncalls=0, pcalls=0, percall_cumtime=None, percall_tottime=None)],
    "other": {"functions": 31, "cumtime": 200.25, "tottime": 7500, "ncalls": 5, "pcalls": 5,
              "percall_cumtime": 1e-5, "percall_tottime": 1e-8},
}
TOP_PLACES = dict(TOP, functions=[
    top_row(function="send", raw_name="_send", file_name="/usr/lib/python3.11/site-packages/app/net.py", line_number=278),
    top_row(function="len", raw_name="len", file_name=None, line_number=None)])
FUNCTIONS = {"functions": [
    {"function": "send", "locations": [
        {"raw_name": "_send", "file_name": "/usr/lib/python3/site-packages/some/deep/folder/net.py", "line_number": 278},
        {"raw_name": "send", "file_name": None, "line_number": None}]},
    {"function": "", "locations": []}]}
LABELS = {"labels": [{"labels": {}, "first_bucket": T0, "last_bucket": T0 + 10, "profiles": 3},
                     {"labels": {"service": "web", "host": "h" * 90}, "first_bucket": T0, "last_bucket": T0,
                      "profiles": 1234}]}
STATUS = {"version": "0.1.0", "pid": 12345, "uptime": 7500.5, "time_slice": 10, "start_time": 0,
          "listeners": {"udp": "127.0.0.1:8137", "tcp": "127.0.0.1:8137"}, "received": 1234567, "accepted": 1234560,
          "duplicates": 0, "rejected": {"bad_json": 7}, "datagrams_dropped": 0, "functions": 12, "locations": 15,
          "pending": 0, "commits": 99, "saturated": 0, "store_error": None,
          "store": {"path": "/var/lib/timesliced/timesliced.db", "bytes": 1536, "levels": [{"width": 10, "keep": 172800}]}}
REJECTS = {"rejects": [{"time": T0 + 0.5, "peer": "udp 127.0.0.1:5555", "code": "bad_json", "text": "{\"a\": \x1b[2J" * 20,
                        "message": "a value was expected at byte 41, and there is none; the text goes on for ever and ever"}]}
CSV = "kind,bucket,function,value\r\nfunction,1732272000,sleep1,1.1\r\n"
ANSWERS = {"buckets": BUCKETS, "top": TOP, "functions": FUNCTIONS, "labels": LABELS, "status": STATUS,
           "rejects": REJECTS, "flush": {"flushed": True}}


@pytest.fixture
def daemon(tmp_path):
    yield from serving(tmp_path, {**ANSWERS, "buckets?format=csv": CSV, "top?format=csv": CSV})


# --- Requests -----------------------------------------------------------------------------------------------------


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
def test_request(daemon, args, path, query):
    assert ctl(*args, daemon=daemon).returncode == 0
    [(method, got_path, got_query)] = daemon.requests
    assert (method, got_path) == ("GET", path)
    assert sorted(got_query) == sorted(query)


def test_flush_posts(daemon):
    assert ctl("flush", daemon=daemon).returncode == 0
    assert daemon.requests == [("POST", "/v1/flush", [])]
    assert "flushed" in table("flush", daemon=daemon)


def test_socket_from_environment(daemon):
    assert ctl("status", env=environment(TIMESLICED_SOCKET=daemon.path, http_proxy="http://127.0.0.1:1")).returncode == 0


def test_json_passes_through(daemon):
    raw = b'{"functions":[ ],\n  "x": 1.000000000, "\\u00e9": "\xff"}'
    daemon.put("functions", raw)
    assert ctl("functions", daemon=daemon).stdout == raw
    assert ctl("functions", "--format=json", daemon=daemon).stdout == raw


@pytest.mark.parametrize("command", ["buckets", "top"])
def test_csv_passes_through(daemon, command):
    assert ctl(command, "--format", "csv", daemon=daemon).stdout == CSV.encode()


# --- Exit codes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args, word", [
    ([], "no command"), (["nonsense"], "nonsense"), (["top", "more"], "more"), (["--nonsense", "top"], "--nonsense"),
    (["top", "--last"], "--last needs a value"), (["top", "--last", "--top", "3"], "--last needs a value"),
    (["top", "--fill"], "does not accept --fill"), (["status", "--top", "3"], "does not accept --top"),
    (["status", "--format", "csv"], "no CSV format"), (["top", "--format", "xml"], "xml"), (["top", "--label", "web"], "KEY=VALUE"),
    (["top", "--label", "=web"], "KEY=VALUE"), (["buckets", "--chart", "--format", "json"], "--chart"),
    (["top", "--watch", "soon"], "soon"), (["flush", "--watch", "1"], "--watch"), (["top", "-x"], "-x"),
    (["top", "--no-fresh=1"], "does not take a value"), (["top", "--fresh", "--no-fresh"], "cannot be combined"),
    (["--socket", "/a", "--url", "http://b", "top"], "cannot be combined"), (["--socket=", "top"], "--socket"),
    (["--url", "ftp://x/", "top"], "--url"), (["top", "--color", "pink"], "pink"), (["a\x1b[2J"], "a\\x1b[2J"),
])
def test_wrong_usage(args, word):
    done = ctl(*args)
    assert done.returncode == 2
    assert word in done.stderr.decode() and done.stdout == b""
    assert "--help" in done.stderr.decode() or "--url" in args


def test_error_of_the_daemon(daemon):
    daemon.put("buckets", {"error": {"code": "bad_parameter", "parameter": "time_slice",
                                     "message": "7s is not a multiple of the stored time_slice 10s"}}, 400)
    done = ctl("buckets", "--time-slice", "7s", daemon=daemon)
    assert done.returncode == 1 and done.stdout == b""
    for word in ("7s is not a multiple", "bad_parameter", "time_slice"):
        assert word in done.stderr.decode()


def test_a_path_that_the_daemon_does_not_have(daemon):
    daemon.canned.clear()
    done = ctl("diff", "--after", "last:1h", daemon=daemon)
    assert done.returncode == 1 and b"404" in done.stderr and b"older version" in done.stderr


@pytest.mark.parametrize("body", [b"", b"oops \x1b[2J", b"[1]", b'{"error": 7}', b'{"error": {"message": 7}}'])
def test_error_that_is_not_json(daemon, body):
    daemon.put("top", body, 500)
    done = ctl("top", daemon=daemon)
    assert done.returncode == 1 and b"500" in done.stderr and b"\x1b" not in done.stderr


def test_no_such_socket(tmp_path):
    done = ctl("--socket", str(tmp_path / "none.sock"), "status")
    assert done.returncode == 3
    assert "none.sock" in done.stderr.decode() and "running" in done.stderr.decode()


def test_dead_socket(daemon):
    daemon.shutdown()
    daemon.server_close()
    done = ctl("status", daemon=daemon)
    assert done.returncode == 3 and "no daemon listens" in done.stderr.decode()
    os.unlink(daemon.path)


def test_forbidden_socket(daemon, tmp_path):
    os.chmod(daemon.path, 0)
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    for folder in list(tmp_path.parents)[:3] + [tmp_path]:
        if folder.owner() != "root" or folder != pathlib.Path("/tmp"):
            os.chmod(folder, 0o755)
    if prefix and subprocess.run(prefix + ["test", "-x", BINARY]).returncode:
        pytest.skip("nobody may not run the binary here")
    done = subprocess.run(prefix + [BINARY, "--socket", daemon.path, "status"], capture_output=True, env=environment())
    assert done.returncode == 3 and b"group" in done.stderr and b"timesliced" in done.stderr


def test_url_unreachable_and_long_path():
    done = ctl("--url", "http://127.0.0.1:1/", "status")
    assert done.returncode == 3 and "control.http" in done.stderr.decode()
    assert ctl("--socket", "/tmp/" + "x" * 200, "status").returncode == 3


@pytest.mark.parametrize("body", [
    b"", b"null", b"[]", b"{", b"{}", b'{"buckets": 3}', b'{"buckets": [1], "profiles": [], "functions": []}',
    b'{"buckets": [1], "profiles": [1], "functions": [{}]}', b'{"buckets": ["a"], "profiles": [1], "functions": []}',
    b'{"buckets": [1], "profiles": [1], "functions": [{"function": 3, "values": [1, 2]}]}', b"[" * 5000,
])
def test_malformed_buckets(daemon, body):
    daemon.put("buckets", body)
    for more in (["--format", "table"], ["--chart"]):
        done = ctl("buckets", *more, daemon=daemon)
        assert done.returncode == 1 and b"timeslicectl: " in done.stderr and b"response" in done.stderr


@pytest.mark.parametrize("command", sorted(ANSWERS))
@pytest.mark.parametrize("body", [
    b'{"functions": [1, null, {"function": []}], "other": 3, "labels": [4, {"labels": [1, {}]}], "rejects": [5, {"time": "x"}]}',
    b'{"functions": [{"locations": [null, 2]}], "labels": {}, "rejects": null, "from": "x"}',
])
def test_strange_types(daemon, command, body):
    daemon.put(command, body)
    assert ctl(command, "--format", "table", daemon=daemon).returncode in (0, 1)


def test_full_disk_and_closed_pipe(daemon):
    with open("/dev/full", "wb") as full:
        done = ctl("status", daemon=daemon, stdout=full)
    assert done.returncode != 0 and b"No space left" in done.stderr
    read, write = os.pipe()
    os.close(read)
    done = ctl("status", daemon=daemon, stdout=write)
    os.close(write)
    assert done.returncode != 0 and done.stderr == b""


@pytest.mark.parametrize("args", [["--help"], ["--version"]] + [[c, "--help"] for c in ANSWERS] + [["--help", "top"]])
def test_help_and_version(args):
    done = ctl(*args)
    assert done.returncode == 0 and done.stderr == b""
    text = done.stdout.decode()
    assert all(columns(line) <= 80 for line in text.splitlines())
    assert "timeslicectl" in text
    if args == ["top", "--help"]:
        assert "--by" in text and "--chart" not in text


# --- Tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", sorted(ANSWERS))
@pytest.mark.parametrize("width", [80, 40, 200])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_tables_fit(daemon, command, width, locale):
    table(command, daemon=daemon, env=environment(COLUMNS=str(width), LC_ALL=locale), width=width)


def test_top(daemon):
    lines = table("top", daemon=daemon).splitlines()
    assert lines[0].startswith("2024-11-22 10:40:00Z to 2024-11-22 11:40:00Z, 7 profiles, total_tt 3.30 s")
    assert lines[2].split() == ["function", "cumtime", "tottime", "ncalls", "pcalls", "cum/call", "tot/call"]
    assert lines.pop() == "Cumtimes of callers include their callees; tottime is what adds up."  # other sums them
    rows = lines[3:]
    assert rows[-1].startswith("other (31)") and "2 h 05 m" in rows[-1] and "3 m 20 s" in rows[-1]
    assert len({columns(row) for row in lines[2:]}) == 1  # figures line up at the right
    assert any(row.startswith("(empty)") for row in rows) and "1.23 M" in rows[0]
    assert "…" in rows[1] and "…" in rows[2] and "\\x1b" in rows[3]
    assert rows[5].split()[-2:] == ["-", "-"]


def test_top_by_location_and_label(daemon):
    daemon.put("top", TOP_PLACES)
    text = table("top", "--by", "location", daemon=daemon, width=160)
    assert "/usr/lib/python3.11/site-packages/app/net.py:278" in text
    assert "net.py:278" in table("top", "--by", "location", daemon=daemon)
    daemon.put("top", dict(TOP, functions=[top_row(label=None), top_row(label="web")]))
    text = table("top", "--by", "label.service", daemon=daemon)
    assert "(none)" in text and "web" in text and "service" in text


def test_buckets(daemon):
    text = table("buckets", daemon=daemon)
    assert "cumtime per 10 s" in text and "8 profiles" in text
    lines = text.splitlines()[text.split("time (UTC)")[0].count("\n"):]
    assert lines[0].startswith("time (UTC)  profiles  sleep1") and "other" in lines[0]
    assert lines[2].startswith("10:40:10!") and lines[4].startswith("total") and lines[7].startswith("! parts")
    assert lines[5] == "3 functions do not fit the width: summed in other, listed by --format json."
    assert lines[6].startswith("Cumtimes of callers")
    assert len({columns(row) for row in lines[:5]}) == 1
    text = table("buckets", daemon=daemon, width=200)
    assert "a_ra" in text and "do not fit" not in text


@pytest.mark.parametrize("command, body", [("buckets", NO_BUCKETS), ("top", dict(TOP, functions=[], to=None)),
                                           ("functions", {"functions": []}), ("labels", {"labels": []}),
                                           ("rejects", {"rejects": []})])
def test_nothing_is_said(daemon, command, body):
    daemon.put(command, body)
    assert "no " in table(command, daemon=daemon)


def test_status_rejects_labels(daemon):
    text = table("status", daemon=daemon)
    assert re.search(r"^uptime +2 h 05 m$", text, re.M) and re.search(r"^pid +12345$", text, re.M)
    assert re.search(r"^  bad_json +7$", text, re.M) and re.search(r"^store_error +none$", text, re.M)
    assert "1.50 KiB" in text
    text = table("rejects", daemon=daemon)
    assert "bad_json" in text and "for ever" in text and "\\x1b[2J" in text
    text = table("labels", daemon=daemon)
    assert "(none)" in text and "service=web" in text and "1,234" in text


def test_functions_first_and_last_seen(daemon):
    seen = {"first_bucket": T0, "last_bucket": T0 + 86400 * 400 + 59}
    never = {"first_bucket": None, "last_bucket": None}
    places = [dict(place, **dates) for place, dates in zip(FUNCTIONS["functions"][0]["locations"], (seen, never))]
    daemon.put("functions", {"functions": [dict(seen, function="send", locations=places),
                                           dict(never, function="gone", locations=[])]})
    lines = table("functions", daemon=daemon).splitlines()
    assert re.split("  +", lines[0])[-2:] == ["first seen (UTC)", "last seen (UTC)"]
    assert lines[1].endswith("/net.py:278  2024-11-22 10:40  2025-12-27 10:40")  # to the minute
    assert lines[2].split()[-2:] == ["-", "-"] and lines[3].split() == ["gone", "-", "-"]
    narrow = table("functions", daemon=daemon, width=60).splitlines()
    assert narrow[0].endswith("last seen (UTC)") and "first seen" not in narrow[0]


@pytest.mark.parametrize("more", [[], ["--chart"]])
@pytest.mark.parametrize("ends, line", [
    ({}, None), ({"from_resolution": None, "to_resolution": None}, None),
    ({"from_resolution": 10, "to_resolution": 10}, None),
    ({"from_resolution": 3600, "to_resolution": 10}, "This range is kept in buckets of 1 h at its beginning."),
    ({"from_resolution": 60, "to_resolution": 60}, "This range is kept in buckets of 1 m."),
    ({"from_resolution": None, "to_resolution": 86400}, "This range is kept in buckets of 1 d at its end."),
])
@pytest.mark.parametrize("command", ["top", "buckets"])
def test_a_coarse_end_is_said(daemon, command, ends, line, more):
    if more and command == "top":
        return
    daemon.put(command, dict(ANSWERS[command], **ends))
    text = table(command, *more, daemon=daemon)
    assert re.findall("^This range.*$", text, re.M) == ([line] if line else [])
    assert [path for _, path, _ in daemon.requests[1:]] == (["/v1/status"] if ends else [])  # what the finest is


def test_a_coarse_end_without_status(daemon):
    """The ends are judged by each other then."""
    daemon.put("status", b"no", 500)
    daemon.put("top", dict(TOP, from_resolution=3600, to_resolution=60))
    assert "buckets of 1 h at its beginning.\n" in table("top", daemon=daemon)
    daemon.put("top", dict(TOP, from_resolution=60, to_resolution=60))
    assert "kept in" not in table("top", daemon=daemon)


def test_watch_asks_for_the_finest_once(daemon):
    daemon.put("top", dict(TOP, from_resolution=10, to_resolution=10))
    text, code = on_terminal(["--socket", daemon.path, "top", "--watch", "0.1"], seconds=1)
    paths = [path for _, path, _ in daemon.requests]
    assert code is None and paths.count("/v1/top") >= 3 and paths.count("/v1/status") == 1 and "cum/call" in text


def test_folded_functions_are_said(daemon):
    few = [{"function": "f" * n, "total": 1, "values": [1, 0, 0]} for n in range(12, 16)]
    daemon.put("buckets", dict(BUCKETS, functions=few, other={"functions": 0, "total": 0, "values": [0, 0, 0]}))
    for width, folded in ((50, "3 functions do"), (80, "1 function does")):
        text = table("buckets", daemon=daemon, width=width)
        assert f"other ({folded[0]})" in text
        assert f"{folded} not fit the width: summed in other, listed by --format json." in text.replace("\n", " ")
    assert "2 values do" in table("buckets", "--by", "label.x", daemon=daemon, width=66)
    assert "not fit" not in table("buckets", daemon=daemon, width=100)
    assert "not fit" not in table("buckets", "--chart", daemon=daemon, width=60)  # the chart shows all


# --- Chart, terminal, watch ---------------------------------------------------------------------------------------


def test_chart_in_a_pipe(daemon):
    done = ctl("buckets", "--chart", daemon=daemon)
    text = done.stdout.decode()
    assert done.returncode == 0 and "\x1b" not in text
    assert all(columns(line) <= 80 for line in text.splitlines())
    rows = [line for line in text.splitlines() if line.startswith("10:40:")]
    assert len(rows) == 3 and "█" in rows[0] and "▓" in rows[0] and "░" in rows[0]
    assert rows[1].count("█") > rows[0].count("█")
    assert "⋮" in text and "1 bucket without data" in text
    assert re.search(r"a █  sleep1 .* 4.20 s", text) and "other (12)" in text and "(empty)" in text


def test_chart_of_nothing_much(daemon):
    zeros = [{"function": "f", "total": 0, "values": [0, 0, -1]}]
    daemon.put("buckets", dict(BUCKETS, functions=zeros, other={"functions": 0, "total": 0, "values": [0, 0, 0]}))
    assert ctl("buckets", "--chart", daemon=daemon).returncode == 0
    daemon.put("buckets", NO_BUCKETS)
    assert "no data" in ctl("buckets", "--chart", daemon=daemon).stdout.decode()


def test_color(daemon):
    text = ctl("buckets", "--chart", "--color", "always", daemon=daemon).stdout.decode()
    assert "\x1b[38;5;" in text
    bare = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert "█" in bare and all(columns(line) <= 80 for line in bare.splitlines())


def test_terminal_gets_a_table(daemon):
    text, code = on_terminal(["--socket", daemon.path, "top"], TERM="xterm")
    assert code == 0 and "cum/call" in text and "\x1b[1m" in text and "\x1b[31m" not in text
    text, code = on_terminal(["--socket", daemon.path, "top"], TERM="xterm", NO_COLOR="1")
    assert code == 0 and "\x1b" not in text


def test_watch_clears_the_screen(daemon):
    text, code = on_terminal(["--socket", daemon.path, "status", "--watch", "0.1"], seconds=1)
    assert code is None and text.count("\x1b[H\x1b[2J") >= 2


def test_watch_survives_the_daemon(daemon):
    child = subprocess.Popen([BINARY, "--socket", daemon.path, "status", "--watch", "0.1"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, env=environment())
    time.sleep(0.4)
    daemon.stop()
    time.sleep(0.6)
    again = FakeControl(daemon.path, ANSWERS)
    time.sleep(0.6)
    assert child.poll() is None
    child.terminate()
    out, err = child.communicate(timeout=5)
    asked = len(again.requests)
    again.stop()
    assert asked >= 2 and out.count(b"\n") >= 4
    assert b"retrying" in err and err.count(b"cannot reach the daemon") == 1


def test_watch_ends_on_a_wrong_request(daemon):
    daemon.put("top", {"error": {"code": "bad_parameter", "parameter": "by", "message": "no"}}, 400)
    assert ctl("top", "--by", "x", "--watch", "0.1", daemon=daemon).returncode == 1
