"""The Python client with the daemon: the sums of the daemon equal the results of cProfile to the nanosecond."""
import cProfile
import json
import os
import pathlib
import pstats
import sys
import textwrap
from decimal import Decimal

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))

import timesliced  # noqa: E402
from support.daemon import TIMEOUT, wait_until  # noqa: E402
from support.oracle import exact_ns, seconds_to_ns, text_of  # noqa: E402

TRANSPORTS = ["udp", "tcp", "unix", "unixgram"]
STAMP = 1732272009.25
ROUNDED = pstats.StatsProfile


def address(daemon, transport):
    if transport in ("udp", "tcp"):
        return "{}://{}:{}".format(transport, *daemon.address(transport))
    return f"{transport}://{daemon.settings['ingest.unix_stream' if transport == 'unix' else 'ingest.unix_datagram']}"


@pytest.fixture
def connect():
    """connect(daemon, transport) -> Client. Clients are closed before the daemon."""
    clients = []

    def new(daemon, transport, *args, **options):
        clients.append(timesliced.Client(address(daemon, transport), *args, **options))
        return clients[-1]
    yield new
    for client in clients:
        client.close(0)


def many_functions(count):
    names = {}
    exec(compile("".join(f"def _made_{i}(n):\n    return n and _made_{i}(n - 1)\n" for i in range(count)),
                 "/app/made.py", "exec"), names)
    functions = [names[f"_made_{i}"] for i in range(count)]
    profile = cProfile.Profile(builtins=False)
    profile.enable()
    for i, function in enumerate(functions):
        function(i % 4)
    profile.disable()
    assert len(profile.getstats()) == count
    return profile


def busy():
    """Calls the standard library, with recursion, built-ins, lambdas and generators."""
    data = [{"n": i, "text": "é" * i, "deep": [[i]] * 3} for i in range(40)]
    json.loads(json.dumps(data, indent=1, sort_keys=True))
    sorted(data, key=lambda item: -item["n"])
    list(map(lambda item: item["text"].upper(), data))
    return textwrap.fill(" ".join(str(n) for n in range(300)), 30), Decimal(2).sqrt()


def profile_of(function=busy):
    profile = cProfile.Profile()
    profile.runcall(function)
    return profile


def ns(value):
    return seconds_to_ns(repr(value))


def add(sums, raw, file_name, line, calls, primitive, tottime, cumtime):
    key = (text_of(raw), text_of(file_name), line)
    before = sums.get(key, (0, 0, 0, 0))
    sums[key] = tuple(map(sum, zip(before, (calls, primitive, ns(tottime), ns(cumtime)))))


def measured(profile):
    """{(raw name, file, line): (ncalls, pcalls, tottime ns, cumtime ns)}, read directly from the profile."""
    sums = {}
    if isinstance(profile, cProfile.Profile):
        for entry in profile.getstats():
            where = ("~", 0, entry.code) if isinstance(entry.code, str) else (
                entry.code.co_filename, entry.code.co_firstlineno, entry.code.co_name)
            add(sums, where[2], where[0], where[1], entry.callcount, entry.callcount - entry.reccallcount,
                entry.inlinetime, entry.totaltime)
    elif isinstance(profile, pstats.Stats):
        for (file_name, line, raw), (primitive, calls, tottime, cumtime, _) in profile.stats.items():
            add(sums, raw, file_name, line, calls, primitive, tottime, cumtime)
    else:
        for raw, function in profile.func_profiles.items():
            calls = function.ncalls.split("/")
            add(sums, raw, function.file_name, function.line_number, int(calls[0]), int(calls[-1]), function.tottime,
                function.cumtime)
    return sums


def stored(daemon, **params):
    params = {key.replace("__", "."): value for key, value in params.items()}
    rows = daemon.get_json("/v1/top", {"by": "location", **params})["functions"]
    found = {(row["raw_name"], row["file_name"], row["line_number"]):
             (row["ncalls"], row["pcalls"], exact_ns(row["tottime"]), exact_ns(row["cumtime"])) for row in rows}
    assert len(found) == len(rows)
    return found


def bucket(daemon, **params):
    """The only bucket."""
    response = daemon.get_json("/v1/buckets", params)
    assert len(response["buckets"]) == 1
    return {name: response[name][0] for name in ("buckets", "profiles", "exact_profiles", "total_tt", "parts_missing")}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_profile_of_5000_functions_is_complete(start_daemon, connect, transport):
    daemon = start_daemon()
    profile = many_functions(5000)
    client = connect(daemon, transport, {"service": "web"})
    assert client.send(profile, STAMP)
    assert client.flush(TIMEOUT)
    wait_until(lambda: daemon.wait_idle()["accepted"] and bucket(daemon)["parts_missing"] == 0,
               lambda: f"{bucket(daemon)}")
    found = bucket(daemon)
    assert (found["buckets"], found["profiles"], found["exact_profiles"]) == (1732272000, 1, 1)
    assert found["parts_missing"] == 0
    sums = measured(profile)
    assert len(sums) == 5000
    assert stored(daemon, label__service="web") == sums
    total = seconds_to_ns(repr(sum(entry.inlinetime for entry in profile.getstats())))
    assert abs(exact_ns(found["total_tt"]) - total) <= 1
    status = daemon.wait_idle()
    assert (status["received"] > 1) == (transport in ("udp", "unixgram"))
    assert (status["datagrams_dropped"], sum(status["rejected"].values())) == (0, 0)
    stats = client.stats
    assert (stats.sent, stats.dropped, stats.errors, stats.rejected, stats.altered) == (1, 0, 0, 0, 0), stats


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", [cProfile.Profile, pstats.Stats, ROUNDED])
def test_sums_equal_real_profiles(start_daemon, connect, transport, kind):
    daemon = start_daemon()
    client = connect(daemon, transport)
    expected = {}
    for i in range(3):
        profile = profile_of()
        if kind is not cProfile.Profile:
            profile = pstats.Stats(profile)
        if kind is ROUNDED:
            profile = profile.get_stats_profile()
        for key, row in measured(profile).items():
            expected[key] = tuple(map(sum, zip(row, expected.get(key, (0, 0, 0, 0)))))
        assert client.send(profile, STAMP + i * 0.125)
    assert client.flush(TIMEOUT)
    wait_until(lambda: daemon.wait_idle()["accepted"] >= 3)
    assert stored(daemon) == expected
    found = bucket(daemon)
    assert (found["profiles"], found["exact_profiles"], found["parts_missing"]) == (3, 0 if kind is ROUNDED else 3, 0)


@pytest.mark.parametrize("limit", [512, 1400, 9000])
def test_profile_is_split_over_small_datagrams(start_daemon, connect, limit):
    daemon = start_daemon()
    client = connect(daemon, "udp", {"a": "b"}, max_datagram=limit)
    profile = many_functions(200)
    assert client.send(profile, STAMP)
    assert client.flush(TIMEOUT)
    wait_until(lambda: daemon.wait_idle()["accepted"] and bucket(daemon)["parts_missing"] == 0)
    assert stored(daemon) == measured(profile)
    assert bucket(daemon)["profiles"] == 1
    assert daemon.wait_idle()["accepted"] > 200 * 100 // limit


def test_running_profiler_can_be_sent(start_daemon, connect):
    """send() sends the current results and leaves the profiler running; clear() resets it."""
    daemon = start_daemon()
    client = connect(daemon, "tcp")
    profile = cProfile.Profile()
    profile.enable()
    busy()
    client.send(profile, STAMP)
    profile.clear()
    busy()
    client.send(profile, STAMP)
    profile.disable()
    assert sum(entry.callcount for entry in profile.getstats() if entry.code is busy.__code__) == 1
    assert client.flush(TIMEOUT)
    wait_until(lambda: daemon.wait_idle()["accepted"] == 2)
    calls = daemon.get_json("/v1/top", {"function": "busy", "by": "location"})["functions"][0]["ncalls"]
    assert calls == 2


def test_unusual_names_are_kept(start_daemon, connect):
    daemon = start_daemon()
    names = ["", "_", "___", "__init__", "日本語", "_é", "e\u0301", "😀", "<lambda>", 'quo"te', "back\\slash", "a b",
             "tab\t", "line\nbreak", "\r", "\x1b[31m", "\x7f", "\u2028", "half\ud800", "end\udc80", "\ud83d",
             "x" * 1024, "é" * 512]
    entries = {(f"/\udcff{name}.py", line, name): (line, line + 2, 0.1 + line, 0.2 + line)
               for line, name in enumerate(names)}
    for transport in TRANSPORTS:
        stats = pstats.Stats()
        stats.stats = {place: (*row, {}) for place, row in entries.items()}
        client = connect(daemon, transport, {"way": transport, "odd": "wéb \ud800\"\\\n"})
        assert client.send(stats, STAMP)
        assert client.flush(TIMEOUT)
        assert client.stats.altered == 0
        wait_until(lambda: daemon.wait_idle()["accepted"] == TRANSPORTS.index(transport) + 1, daemon.rejects)
        assert stored(daemon, label__way=transport) == measured(stats)
    assert {row["labels"]["odd"] for row in daemon.get_json("/v1/labels")["labels"]} == {"wéb \ufffd\"\\\n"}


def test_invalid_functions_are_altered_not_rejected(start_daemon, connect):
    """Sent unchanged, each of these functions would cause the complete profile to be rejected."""
    daemon = start_daemon()
    inf = float("inf")
    stats = pstats.Stats()
    stats.stats = {
        ("/app/a.py", 1, "good"): (2, 3, 0.25, 0.5, {}),
        ("/app/a.py", 2, "n" * 5000): (1, 1, 0.25, 0.5, {}),
        ("/app/a.py", 3, "nul\0"): (1, 1, 0.25, 0.5, {}),
        ("/" + "日" * 5000, 4, "far"): (1, 1, 0.25, 0.5, {}),
        ("/app/a.py", -5, "before"): (1, 1, 0.25, 0.5, {}),
        ("/app/a.py", 6, "clock"): (1, 1, float("nan"), inf, {}),
        ("/app/a.py", 7, "count"): (-1, 2**60, 0.25, 0.5, {}),
    }
    for n, transport in enumerate(TRANSPORTS):
        client = connect(daemon, transport)
        client.send(stats, STAMP)
        assert client.flush(TIMEOUT)
        assert client.stats.altered == 7
        wait_until(lambda: daemon.wait_idle()["accepted"] == n + 1, daemon.rejects)
    times = (250_000_000 * 4, 500_000_000 * 4)
    assert stored(daemon) == {
        ("good", "/app/a.py", 1): (12, 8, *times),
        ("n" * 1024, "/app/a.py", 2): (4, 4, *times),
        ("nul", "/app/a.py", 3): (4, 4, *times),
        ("far", "/" + "日" * 1365, 4): (4, 4, *times),
        ("before", "/app/a.py", None): (4, 4, *times),
        ("clock", "/app/a.py", 6): (4, 4, 0, 0),
        ("count", "/app/a.py", 7): (2**55, 0, *times),
    }


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_rejects_are_counted_by_the_client(start_daemon, connect, transport):
    daemon = start_daemon()
    client = connect(daemon, transport)
    stats = pstats.Stats()
    stats.stats = {("/app/a.py", 1, "slow"): (1, 1, 0.25, 2e7, {})}
    client.send(stats, STAMP)
    client.send(profile_of(), STAMP)
    assert client.flush(TIMEOUT)
    wait_until(lambda: client.stats.rejected == 1, lambda: f"{client.stats}")
    assert client.stats.last_error.startswith("out_of_range: ")
    wait_until(lambda: daemon.wait_idle()["accepted"] == 1)
    assert daemon.wait_idle()["rejected"]["out_of_range"] == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_client_continues_after_a_restart(start_daemon, connect, transport):
    """The daemon restarts at the same address. Profiles sent meanwhile are queued; udp loses them and counts errors."""
    daemon = start_daemon()
    if transport in ("udp", "tcp"):
        daemon.settings[f"ingest.{transport}"] = "{}:{}".format(*daemon.address(transport))
    client = connect(daemon, transport)
    first, second, third = profile_of(), many_functions(50), profile_of()
    assert client.send(first, STAMP)
    assert client.flush(TIMEOUT)
    wait_until(lambda: daemon.wait_idle()["accepted"] >= 1)
    daemon.check()
    if transport in ("tcp", "unix"):
        wait_until(lambda: client.stats.errors)  # it has noticed the end of the stream
    assert client.send(second, STAMP)
    if transport == "udp":
        assert client.flush(TIMEOUT)
        wait_until(lambda: client.stats.errors)
    else:
        assert not client.flush(0.2)
        assert client.stats.queued == 1
    daemon.start()
    assert client.send(third, STAMP)
    assert client.flush(TIMEOUT)
    kept = [first, third] if transport == "udp" else [first, second, third]
    # The daemon counts messages since its start; the first one was received before.
    wait_until(lambda: daemon.wait_idle()["accepted"] >= len(kept) - 1, daemon.log_text)
    expected = {}
    for profile in kept:
        for key, row in measured(profile).items():
            expected[key] = tuple(map(sum, zip(row, expected.get(key, (0, 0, 0, 0)))))
    assert stored(daemon) == expected
    assert bucket(daemon)["profiles"] == len(kept)
    assert (client.stats.sent, client.stats.dropped) == (3, 0)


def test_client_without_daemon_drops_at_close(connect, tmp_path):
    client = timesliced.Client(f"unix://{tmp_path}/none.sock")
    assert client.send(profile_of())
    assert not client.flush(0.1)
    assert not client.close(0.1)
    assert (client.stats.sent, client.stats.dropped) == (0, 1)


def test_default_timestamp_is_now_and_forks_send_their_own(start_daemon, connect):
    daemon = start_daemon()
    client = connect(daemon, "tcp", {"who": "parent"})
    assert client.send(profile_of())
    assert client.flush(TIMEOUT)
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if client.send(profile_of()) and client.close(TIMEOUT) and client.stats.sent == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert client.send(profile_of())
    assert client.flush(TIMEOUT)
    wait_until(lambda: daemon.wait_idle()["accepted"] == 3)
    assert sum(daemon.get_json("/v1/buckets", {"last": "10m"})["profiles"]) == 3
