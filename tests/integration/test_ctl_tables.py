"""The tables and charts of timeslicectl, against a fake control socket."""
import re

import pytest

from support.canned import BUCKETS, CSV, FUNCTIONS, NO_BUCKETS, RESPONSES, T0, TOP, TOP_PLACES, top_row
from support.fake_control import columns, ctl, environment, on_terminal, serving, table


@pytest.fixture
def daemon(tmp_path):
    yield from serving(tmp_path, {**RESPONSES, "buckets?format=csv": CSV, "top?format=csv": CSV})


# Tables.


@pytest.mark.parametrize("command", sorted(RESPONSES))
@pytest.mark.parametrize("width", [80, 40, 200])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_tables_fit_the_width(daemon, command, width, locale):
    table(command, daemon=daemon, env=environment(COLUMNS=str(width), LC_ALL=locale), width=width)


def test_top_table(daemon):
    lines = table("top", daemon=daemon).splitlines()
    assert lines[0].startswith("2024-11-22 10:40:00Z to 2024-11-22 11:40:00Z, 7 profiles, total_tt 3.30 s")
    assert lines[2].split() == ["function", "cumtime", "tottime", "ncalls", "pcalls", "cum/call", "tot/call"]
    assert lines.pop() == "Cumtimes of callers include their callees; tottime is what adds up."  # printed with other
    rows = lines[3:]
    assert rows[-1].startswith("other (31)") and "2 h 05 m" in rows[-1] and "3 m 20 s" in rows[-1]
    assert len({columns(row) for row in lines[2:]}) == 1  # numbers are aligned right
    assert any(row.startswith("(empty)") for row in rows) and "1.23 M" in rows[0]
    assert "…" in rows[1] and "…" in rows[2] and "\\x1b" in rows[3]
    assert rows[5].split()[-2:] == ["-", "-"]


def test_top_table_by_location_and_label(daemon):
    daemon.put("top", TOP_PLACES)
    text = table("top", "--by", "location", daemon=daemon, width=160)
    assert "/usr/lib/python3.11/site-packages/app/net.py:278" in text
    assert "net.py:278" in table("top", "--by", "location", daemon=daemon)
    daemon.put("top", dict(TOP, functions=[top_row(label=None), top_row(label="web")]))
    text = table("top", "--by", "label.service", daemon=daemon)
    assert "(none)" in text and "web" in text and "service" in text


def test_buckets_table(daemon):
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
def test_empty_responses_are_stated(daemon, command, body):
    daemon.put(command, body)
    assert "no " in table(command, daemon=daemon)


def test_status_rejects_and_labels_tables(daemon):
    text = table("status", daemon=daemon)
    assert re.search(r"^uptime +2 h 05 m$", text, re.M) and re.search(r"^pid +12345$", text, re.M)
    assert re.search(r"^  bad_json +7$", text, re.M) and re.search(r"^store_error +none$", text, re.M)
    assert "1.50 KiB" in text
    text = table("rejects", daemon=daemon)
    assert "bad_json" in text and "does not fit" in text and "\\x1b[2J" in text
    text = table("labels", daemon=daemon)
    assert "(none)" in text and "service=web" in text and "1,234" in text


def test_functions_show_first_and_last_seen(daemon):
    seen = {"first_bucket": T0, "last_bucket": T0 + 86400 * 400 + 59}
    never = {"first_bucket": None, "last_bucket": None}
    places = [dict(place, **dates) for place, dates in zip(FUNCTIONS["functions"][0]["locations"], (seen, never))]
    daemon.put("functions", {"functions": [dict(seen, function="send", locations=places),
                                           dict(never, function="gone", locations=[])]})
    lines = table("functions", daemon=daemon).splitlines()
    assert re.split("  +", lines[0])[-2:] == ["first seen (UTC)", "last seen (UTC)"]
    assert lines[1].endswith("/net.py:278  2024-11-22 10:40  2025-12-27 10:40")  # rounded down to minutes
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
def test_wider_buckets_at_an_end_are_stated(daemon, command, ends, line, more):
    if more and command == "top":
        return
    daemon.put(command, dict(RESPONSES[command], **ends))
    text = table(command, *more, daemon=daemon)
    assert re.findall("^This range.*$", text, re.M) == ([line] if line else [])
    assert [path for _, path, _ in daemon.requests[1:]] == (["/v1/status"] if ends else [])  # has the time_slice


def test_wider_buckets_are_stated_without_status(daemon):
    """Without the time_slice the two ends are compared with each other."""
    daemon.put("status", b"no", 500)
    daemon.put("top", dict(TOP, from_resolution=3600, to_resolution=60))
    assert "buckets of 1 h at its beginning.\n" in table("top", daemon=daemon)
    daemon.put("top", dict(TOP, from_resolution=60, to_resolution=60))
    assert "kept in" not in table("top", daemon=daemon)


def test_functions_that_do_not_fit_are_stated(daemon):
    few = [{"function": "f" * n, "total": 1, "values": [1, 0, 0]} for n in range(12, 16)]
    daemon.put("buckets", dict(BUCKETS, functions=few, other={"functions": 0, "total": 0, "values": [0, 0, 0]}))
    for width, folded in ((50, "3 functions do"), (80, "1 function does")):
        text = table("buckets", daemon=daemon, width=width)
        assert f"other ({folded[0]})" in text
        assert f"{folded} not fit the width: summed in other, listed by --format json." in text.replace("\n", " ")
    assert "2 values do" in table("buckets", "--by", "label.x", daemon=daemon, width=66)
    assert "not fit" not in table("buckets", daemon=daemon, width=100)
    assert "not fit" not in table("buckets", "--chart", daemon=daemon, width=60)  # a chart shows all functions


# Chart and terminal.


def test_chart_in_a_pipe_has_no_escapes(daemon):
    done = ctl("buckets", "--chart", daemon=daemon)
    text = done.stdout.decode()
    assert done.returncode == 0 and "\x1b" not in text
    assert all(columns(line) <= 80 for line in text.splitlines())
    rows = [line for line in text.splitlines() if line.startswith("10:40:")]
    assert len(rows) == 3 and "█" in rows[0] and "▓" in rows[0] and "░" in rows[0]
    assert rows[1].count("█") > rows[0].count("█")
    assert "⋮" in text and "1 bucket without data" in text
    assert re.search(r"a █  sleep1 .* 4.20 s", text) and "other (12)" in text and "(empty)" in text


def test_chart_of_zeros_and_of_no_data(daemon):
    zeros = [{"function": "f", "total": 0, "values": [0, 0, -1]}]
    daemon.put("buckets", dict(BUCKETS, functions=zeros, other={"functions": 0, "total": 0, "values": [0, 0, 0]}))
    assert ctl("buckets", "--chart", daemon=daemon).returncode == 0
    daemon.put("buckets", NO_BUCKETS)
    assert "no data" in ctl("buckets", "--chart", daemon=daemon).stdout.decode()


def test_color_always_keeps_the_width(daemon):
    text = ctl("buckets", "--chart", "--color", "always", daemon=daemon).stdout.decode()
    assert "\x1b[38;5;" in text
    bare = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert "█" in bare and all(columns(line) <= 80 for line in bare.splitlines())


def test_terminal_gets_a_table(daemon):
    text, code = on_terminal(["--socket", daemon.path, "top"], TERM="xterm")
    assert code == 0 and "cum/call" in text and "\x1b[1m" in text and "\x1b[31m" not in text
    text, code = on_terminal(["--socket", daemon.path, "top"], TERM="xterm", NO_COLOR="1")
    assert code == 0 and "\x1b" not in text
