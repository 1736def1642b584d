"""timeslicectl diff against a fake control socket: requests, the table, and --fail-over."""
import os
import re
import time

import pytest

from support.fake_control import columns, ctl, on_terminal, serving, start_ctl, table

T0 = 1732272000
PROFILES = (7, 14)


def metrics(cumtime, calls):
    return {"cumtime": cumtime, "tottime": cumtime / 4, "ncalls": calls + 1, "pcalls": calls}


def divide_or_none(a, b):
    return a / b if b else None


def row(function, before, after, profiles=PROFILES, **more):
    """before, after: (cumtime, pcalls). A row with all documented members, computed as documented."""
    (b, nb), (a, na) = before, after
    each = {"before": divide_or_none(b, profiles[0]), "after": divide_or_none(a, profiles[1])}
    call = {"before": divide_or_none(b, nb), "after": divide_or_none(a, na)}
    for pair in (each, call):
        known = None not in (pair["before"], pair["after"])
        pair["change"] = pair["after"] - pair["before"] if known else None
        pair["ratio"] = pair["after"] / pair["before"] if known and pair["before"] else None
    parts = {"called_more": None, "slower_per_call": None}
    if each["change"] is not None:
        old = call["before"] if nb else call["after"] if na else 0
        more_calls = (na / profiles[1] - nb / profiles[0]) * old
        parts = {"called_more": more_calls, "slower_per_call": each["change"] - more_calls}
    return {"function": function, **more, "before": metrics(b, nb), "after": metrics(a, na), "per_profile": each,
            "per_call": call, **parts}


def diff_response(*rows, profiles=PROFILES, other=None, **more):
    def side(n, at):
        return {"from": at, "to": at + 3600, "from_resolution": 10, "to_resolution": 10, "profiles": n, "total_tt": 3.3}
    rows = sorted(rows, key=lambda r: (-abs(r["per_profile"]["change"] or 0), r["function"]))
    nothing = dict(row("other", (0, 0), (0, 0), profiles), functions=0)
    return {"before": side(profiles[0], T0), "after": side(profiles[1], T0 + 3600), "metric": "cumtime",
            "unit": "seconds", "calls": "pcalls", "functions": rows, "other": other or nothing, **more}


ROWS = [
    row("parse_request", (4.2, 70), (12.6, 140)),  # 600 to 900 ms, slower
    row("called_twice_as_much", (0.7, 7), (2.8, 28)),  # 100 to 200 ms, called more
    row("brand_new", (0, 0), (1.4, 14)),
    row("gone_away", (0.35, 7), (0, 0)),
    row("steady", (7, 7), (14, 14)),
    row("hardly", (7, 7), (14.001, 14)),
    row("a_function_with_a_name_that_goes_on_and_on_and_does_not_end", (70, 7), (70, 14)),
    row("evil\x1b[31m\n\u202e", (0.001, 1), (0.004, 1)),
    row("", (0.0007, 7), (0.00147, 7)),
    row("日本語の関数の名前", (1, 1), (1, 1)),
]
DIFF = diff_response(*ROWS)
STATUS = {"time_slice": 10, "version": "0.1.0"}
CSV = "kind,function,before_cumtime\r\nfunction,parse_request,4.2\r\n"
RANGES = ("--before", "2h..1h", "--after", "last:1h")


@pytest.fixture
def daemon(tmp_path):
    yield from serving(tmp_path, {"diff": DIFF, "diff?format=csv": CSV, "status": STATUS})


def line_of(text, start):
    [line] = [line for line in text.splitlines() if line.startswith(start)]
    return line


# Requests.


@pytest.mark.parametrize("args, query", [
    (RANGES, [("before", "2h..1h"), ("after", "last:1h")]),
    (["--before-label", "version=1=a&b", "--after-label", "version=2", "--label", "service=web"],
     [("before.label.version", "1=a&b"), ("after.label.version", "2"), ("label.service", "web")]),
    (["--after", "-15m..", "--function", "a*", "--function", "b", "--by", "location", "--metric", "tottime",
      "--top", "3", "--no-fresh"], [("after", "-15m.."), ("function", "a*"), ("function", "b"), ("by", "location"),
                      ("metric", "tottime"), ("top", "3"), ("fresh", "false")]),
])
def test_request_is_sent_as_given(daemon, args, query):
    assert ctl("diff", *args, daemon=daemon).returncode == 0
    [(method, path, got)] = daemon.requests
    assert (method, path, sorted(got)) == ("GET", "/v1/diff", sorted(query))


def test_table_requests_as_many_rows_as_it_shows(daemon):
    table("diff", *RANGES, daemon=daemon)
    table("diff", *RANGES, "--top", "5", daemon=daemon)
    table("diff", *RANGES, "--fail-over", "1000", "--ignore-below", "1h", "--top", "5", daemon=daemon)
    tops = [dict(query).get("top") for _, path, query in daemon.requests if path == "/v1/diff"]
    assert tops == ["20", "5", None]  # --fail-over needs all functions


@pytest.mark.parametrize("args, part", [
    ([], "needs two ranges"), (["--label", "a=b"], "needs two ranges"),
    ([*RANGES, "--top", "0"], "--top: 0"), ([*RANGES, "--top", "x"], "--top: x"),
    (["--before"], "--before needs a value"),
    ([*RANGES, "--fail-over", "much"], "much"), ([*RANGES, "--fail-over", "-1"], "-1"),
    ([*RANGES, "--fail-over", "5%%"], "5%%"),
    ([*RANGES, "--fail-over", "nan"], "nan"), ([*RANGES, "--ignore-below", "1ms"], "--fail-over"),
    ([*RANGES, "--fail-over", "5", "--ignore-below", "1 parsec"], "parsec"),
    ([*RANGES, "--fail-over", "5", "--ignore-below", "-1"], "-1"),
    ([*RANGES, "--fail-over", "5", "--ignore-below", "1ms", "--metric", "ncalls"], "calls"),
    (["--before-label", "web"], "--before-label: web is not KEY=VALUE"), (["--after-label", "=x"], "--after-label"),
    ([*RANGES, "--last", "1h"], "does not accept --last"), ([*RANGES, "--chart"], "does not accept --chart"),
])
def test_wrong_usage_exits_with_2(args, part):
    done = ctl("diff", *args)
    assert done.returncode == 2 and part in done.stderr.decode() and done.stdout == b""


# The table.


def test_table_shows_changes(daemon):
    text = table("diff", *RANGES, daemon=daemon)
    lines = text.splitlines()
    assert lines[0] == "before: 2024-11-22 10:40:00Z to 2024-11-22 11:40:00Z, 7 profiles"
    assert lines[1] == "after:  2024-11-22 11:40:00Z to 2024-11-22 12:40:00Z, 14 profiles"
    assert lines[2] == "cumtime per profile, the largest changes first:"
    assert lines[4].split() == ["function", "before", "after", "change", "%", "called", "slower"]
    assert lines[5].split() == ["more", "per", "call"]
    assert line_of(text, "parse_request").split()[1:] == "600 ms 900 ms +300 ms +50% 0 s +300 ms".split()
    twice = ["100 ms", "200 ms", "+100 ms", "+100%", "+100 ms", "0 s"]
    assert re.split("  +", line_of(text, "called_twice"))[1:] == twice
    assert re.split("  +", line_of(text, "brand_new"))[1:] == ["0 s", "100 ms", "+100 ms", "new", "+100 ms", "0 s"]
    assert re.split("  +", line_of(text, "gone_away"))[1:] == ["50.0 ms", "0 s", "-50.0 ms", "gone", "-50.0 ms", "0 s"]
    assert re.split("  +", line_of(text, "steady"))[1:] == ["1.00 s", "1.00 s", "0 s", "0%", "0 s", "0 s"]
    assert re.split("  +", line_of(text, "hardly"))[4] == "~0%"
    assert "…" in line_of(text, "a_func") and "-5.00 s" in text and "-50%" in text
    assert lines[-1] == "Change = called more + slower per call; negative: called less, faster."
    rows = lines[6:-1]
    assert len({columns(line) for line in rows}) == 1 and len(rows) == len(ROWS)


def test_table_head_shows_labels(daemon):
    text = table("diff", "--before-label", "version=1", "--before-label", "host=\x1b[2J", "--after-label", "version=2",
                 daemon=daemon)
    assert "version=1, host=\\x1b[2J" in text.replace("\n", " ") and "14 profiles, version=2\n" in text


def test_table_head_shows_open_ranges(daemon):
    ends = dict.fromkeys(("from", "to", "from_resolution", "to_resolution"))
    open_range = dict(ends, profiles=7, total_tt=1)
    daemon.put("diff", dict(DIFF, before=open_range, after=dict(open_range, **{"from": T0})))
    text = table("diff", "--before-label", "a=b", daemon=daemon)
    assert "before: all time, 7 profiles" in text and "after:  from 2024-11-22 10:40:00Z, 7 profiles" in text


def test_rows_beyond_top_are_summed_in_other(daemon):
    other = dict(row("", (1.4, 14), (1.4, 14)), functions=31)
    daemon.put("diff", diff_response(*ROWS, other=other))
    text = table("diff", *RANGES, daemon=daemon)
    assert re.split("  +", line_of(text, "other (31)"))[1:4] == ["200 ms", "100 ms", "-100 ms"]
    assert "Cumtimes of callers include their callees" in text
    # With --fail-over all functions are requested and the table is truncated by the client: the sums are the same.
    text = table("diff", *RANGES, "--top", "1", "--fail-over", "1000", "--ignore-below", "1h", daemon=daemon)
    rest = [r for r in ROWS if not r["function"].startswith("a_func")] + [other]
    total = sum(r["per_profile"]["change"] for r in rest)
    fields = re.split("  +", line_of(text, f"other ({31 + len(rest) - 1})"))
    assert fields[3] == f"+{total * 1000:.0f} ms"
    assert len([line for line in text.splitlines() if line.startswith(("a_func", "parse", "steady"))]) == 1


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("by", ["function", "location"])
def test_table_fits_the_width(daemon, width, by):
    place = {"file_name": "/usr/lib/python3/dist-packages/some/deep/net.py", "line_number": 278, "raw_name": "_x"}
    rows = [dict(r, **place) for r in ROWS]
    if by == "location":
        daemon.put("diff", diff_response(*rows))
    text = table("diff", *RANGES, "--by", by, daemon=daemon, width=width)
    assert "change" in text and "+300 ms" in text and "+50%" in text
    if by == "location":
        assert "net.py:278" in text
    if width == 80:  # columns that do not fit are named; by function all fit
        assert ("Not shown" in text) == (by == "location")


def test_change_of_calls_is_not_split(daemon):
    counted = [dict(r, called_more=0, slower_per_call=0) for r in ROWS]
    daemon.put("diff", diff_response(*counted, metric="ncalls", unit="calls", calls="ncalls"))
    text = table("diff", *RANGES, "--metric", "ncalls", daemon=daemon)
    assert "ncalls per profile" in text and "slower" not in text
    assert re.split("  +", line_of(text, "parse_request"))[1:] == ["0.60", "0.90", "+0.30", "+50%"]


@pytest.mark.parametrize("ends, statement", [
    ((10, 10), None), ((3600, 10), "kept in buckets of 1 h at its beginning."), ((60, 60), "kept in buckets of 1 m."),
    ((10, 60), "kept in buckets of 1 m at its end."),
    ((3600, 60), "kept in buckets of 1 h at its beginning, of 1 m at its end."),
    ((None, None), None), ((60, None), "1 m"),
])
def test_wider_buckets_at_the_ends_are_stated(daemon, ends, statement):
    changed = dict(DIFF["before"], from_resolution=ends[0], to_resolution=ends[1])
    daemon.put("diff", dict(DIFF, before=changed))
    text = table("diff", *RANGES, daemon=daemon)
    lines = [line for line in text.splitlines() if "kept in buckets" in line]
    assert len(lines) == (statement is not None)
    assert all(line.startswith("Before is ") and statement in line for line in lines)
    daemon.put("diff", dict(DIFF, after=changed))
    assert ("After is kept" in table("diff", *RANGES, daemon=daemon)) == (statement is not None)


def test_color_marks_changes(daemon):
    text = ctl("diff", *RANGES, "--format", "table", "--color", "always", daemon=daemon).stdout.decode()
    for start, color in (("parse_request", "31"), ("gone_away", "32"), ("brand_new", "31")):
        line = line_of(text, start)
        assert line.count(f"\x1b[{color}m") == 2 and line.count("\x1b") == 4  # change and percent
    for start in ("steady", "hardly"):  # no noteworthy change
        assert "\x1b" not in line_of(text, start)
    assert "\x1b" not in table("diff", *RANGES, daemon=daemon)
    bare = re.sub("\x1b\\[[0-9;]*m", "", text)
    assert bare == table("diff", *RANGES, daemon=daemon)


@pytest.mark.parametrize("profiles, side", [((0, 7), "before"), ((7, 0), "after"), ((0, 0), "on either side")])
def test_side_without_profiles_is_an_error(daemon, profiles, side):
    daemon.put("diff", diff_response(row("f", (1, 1), (2, 2), profiles), profiles=profiles))
    text = table("diff", *RANGES, daemon=daemon)
    assert f"there are no profiles {side}, so nothing can be compared" in text
    done = ctl("diff", *RANGES, "--fail-over", "20%", daemon=daemon)
    assert done.returncode == 1 and done.stdout  # the response is still printed
    assert f"timeslicectl: there are no profiles {side}, so nothing can be compared\n" == done.stderr.decode()


def test_ranges_without_functions(daemon):
    daemon.put("diff", diff_response())
    assert "no functions in these ranges" in table("diff", *RANGES, daemon=daemon)
    assert ctl("diff", *RANGES, "--fail-over", "0", daemon=daemon).returncode == 0


@pytest.mark.parametrize("body", [
    b"", b"null", b"{}", b'{"functions": []}', b'{"functions": [], "before": {"profiles": 1}}',
    b'{"functions": {}, "before": {"profiles": 1}, "after": {"profiles": 2}}', b"{" * 3000,
])
def test_malformed_response_is_an_error(daemon, body):
    daemon.put("diff", body)
    for more in (["--format", "table"], ["--fail-over", "5"]):
        done = ctl("diff", *RANGES, *more, daemon=daemon)
        assert done.returncode == 1 and b"timeslicectl: " in done.stderr and b"response" in done.stderr


def test_unexpected_rows_show_no_numbers(daemon):
    """Missing members and members of other types are shown as "-"."""
    rows = [1, None, {}, {"function": 3, "per_profile": []},
            {"function": "x", "per_profile": {"change": "1"}, "called_more": {}}]
    daemon.put("diff", dict(DIFF, functions=rows))
    text = table("diff", *RANGES, daemon=daemon)
    assert re.split("  +", line_of(text, "x "))[1:] == ["-"] * 6
    assert ctl("diff", *RANGES, "--fail-over", "0", daemon=daemon).returncode == 0


# --fail-over.


def failing_functions(daemon, *args):
    """The functions that --fail-over reports, in order. Also checks the exit code."""
    done = ctl("diff", *RANGES, *args, daemon=daemon)
    err = done.stderr.decode()
    assert done.returncode in (0, 1) and err.count("\n") == done.returncode
    if not done.returncode:
        return []
    assert re.match(r"timeslicectl: \d+ functions? grew by over [\d.]+% in cumtime per profile: ", err)
    return re.findall(r"(?:: |, | and )(\S+) (?:\+|~|new|up|more)", err.split(": ", 1)[1])


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_fail_over_reports_functions_above_the_limit(daemon, form):
    args = ("--format", form)
    chosen = ("parse_request", "called_twice_as_much", "steady", "brand_new", "gone_away")
    daemon.put("diff", diff_response(*[r for r in ROWS if r["function"] in chosen]))
    grown = ["parse_request", "brand_new", "called_twice_as_much"]
    assert failing_functions(daemon, *args, "--fail-over", "20%") == grown
    assert failing_functions(daemon, *args, "--fail-over", "49.9") == grown
    assert failing_functions(daemon, *args, "--fail-over", "60") == ["brand_new", "called_twice_as_much"]
    assert failing_functions(daemon, *args, "--fail-over", "100%") == ["brand_new"]  # a new function exceeds any limit
    assert failing_functions(daemon, *args, "--fail-over", "20", "--ignore-below", "200ms") == ["parse_request"]
    assert failing_functions(daemon, *args, "--fail-over", "20", "--ignore-below", "0.4") == []


def test_fail_over_reports_the_change(daemon):
    daemon.put("diff", diff_response(ROWS[0], ROWS[2]))
    done = ctl("diff", *RANGES, "--fail-over", "20%", daemon=daemon)
    assert done.stderr.decode() == ("timeslicectl: 2 functions grew by over 20% in cumtime per profile: "
                                    "parse_request +50% (600 ms to 900 ms), brand_new new (100 ms)\n")


@pytest.mark.parametrize("before, after, percent, over", [
    (0.6, 0.72, "20", False), (0.6, 0.7200001, "20", True), (0.1, 0.3, "200", False), (0.7, 0.77, "10", False),
    (1e-9, 2e-9, "99", True), (1, 1, "0", False), (1, 1.000000001, "0", True), (2, 1, "0", False),
    (-1, 1, "1000", True),
])
def test_change_equal_to_the_limit_does_not_fail(daemon, before, after, percent, over):
    daemon.put("diff", diff_response(row("f", (before, 1), (after, 1), (1, 1)), profiles=(1, 1)))
    assert (failing_functions(daemon, "--fail-over", percent) == ["f"]) == over


def test_fail_over_names_at_most_five_functions(daemon):
    rows = [row(f"f{i}", (7, 7), (14 + 14 * i, 14)) for i in range(1, 9)]
    daemon.put("diff", dict(diff_response(*rows), functions=rows))  # not in the order of the daemon
    done = ctl("diff", *RANGES, "--fail-over", "5", daemon=daemon)
    err = done.stderr.decode()
    assert re.findall(r"f\d ", err) == ["f8 ", "f7 ", "f6 ", "f5 ", "f4 "] and err.endswith(" and 3 more\n")
    assert err.startswith("timeslicectl: 8 functions grew")


def test_fail_over_escapes_and_shortens_names(daemon):
    daemon.put("diff", diff_response(row("x\x1b[2J\n" * 50, (7, 7), (70, 14), file_name="/a/b.py", line_number=3)))
    err = ctl("diff", *RANGES, "--by", "location", "--fail-over", "5", daemon=daemon).stderr.decode()
    assert "\x1b" not in err and err.count("\n") == 1 and len(err) < 250 and "(b.py:3)" in err


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_fail_over_checks_functions_that_are_not_shown(daemon, form):
    """--top limits the output; --fail-over checks all functions."""
    shown = diff_response(ROWS[4])
    daemon.put("diff?top=1", shown)
    done = ctl("diff", *RANGES, "--top", "1", "--fail-over", "5", "--format", form, daemon=daemon)
    assert done.returncode == 1 and b"parse_request" in done.stderr
    plain = ctl("diff", *RANGES, "--top", "1", "--format", form, daemon=daemon)
    assert plain.returncode == 0
    if form != "table":
        assert done.stdout == plain.stdout
    else:
        starts = ("a_func", "parse", "other", "steady")
        rows = [line for line in done.stdout.decode().splitlines() if line.startswith(starts)]
        assert [line.split()[0][:5] for line in rows] == ["a_fun", "other"]


def test_fail_over_requests_json_once(daemon):
    """The printed response is the checked one."""
    done = ctl("diff", *RANGES, "--fail-over", "5", daemon=daemon)
    assert done.returncode == 1 and len(daemon.requests) == 1
    assert done.stdout == daemon.canned["diff"][1]


def test_watch_with_fail_over_ends_at_the_first_failure(daemon):
    daemon.put("diff", diff_response(ROWS[4]))
    child = start_ctl("diff", *RANGES, "--fail-over", "5", "--watch", "0.1", daemon=daemon)
    time.sleep(0.5)
    assert child.poll() is None
    daemon.put("diff", DIFF)
    out, err = child.communicate(timeout=10)
    assert child.returncode == 1 and b"parse_request" in err and out.count(b"\n") >= 3


def test_fail_over_on_a_terminal(daemon):
    text, code = on_terminal(["--socket", daemon.path, "diff", *RANGES, "--fail-over", "20%"], TERM="xterm")
    assert code == 1 and "\x1b[31m+300 ms" in text and "grew by over 20%" in text
    assert os.path.exists(daemon.path)
