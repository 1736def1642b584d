"""All sums and queries against a naive model that keeps every profile, and against the code of a notebook.

Profiles arrive out of order, before and after start_time, at the edges of buckets, with unusual names.
"""
import cProfile
import dataclasses
import io
import itertools
import json
import pstats
import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction

import pytest

from support import senders
from support.compare import (compare_buckets, compare_csv, compare_names, compare_top, compare_top_csv, compare_view,
                             read_csv)
from support.oracle import METRICS, NS, Model, exact_ns, lstrip
from support.random_profiles import random_messages

GRIDS = {  # name: (aggregation.time_slice, seconds, aggregation.start_time)
    "10s": ("10s", "10", "0"),
    "250ms": ("250ms", "0.25", "0"),
    "1ms": ("0.001", "0.001", "0"),
    "fractional_start": ("10s", "10", "1732272000.125"),
    "7s_from_3": ("7s", "7", "3"),
    "before_1970": ("1m", "60", "-86401.5"),
}
GLOBS = [["send*"], ["_send"], ["*"], ["__*init*"], ["?"], ["日*"], ["[a-c]*", "main"], ["a*b", "*\ufffd*"],
         ["*_all", "S*"], ["nothing like it"], ["___"]]
FILTERS = [{}, {"service": "web"}, {"service": "db", "host": "a"}, {"host": "é😀"}, {"service": 'we"b'},
           {"service": "none"}, {"_x9": "a,b"}, {"no_such_key": "x"}]
BY = ["function", "location", "label.service", "label.host", "label._x9", "label.absent"]


def start(start_daemon, grid, **settings):
    text, seconds, origin = GRIDS[grid]
    start_daemon = start_daemon(aggregation__time_slice=text, aggregation__start_time=origin, **settings)
    status = start_daemon.status()
    assert Fraction(status["time_slice"]) == Fraction(seconds)
    assert Fraction(status["start_time"]) == Fraction(origin)
    return start_daemon, Model(seconds, origin)


def seconds(moment):
    """A Fraction as exact decimal text."""
    scaled = moment * 10**18
    assert scaled.denominator == 1
    sign, scaled = ("-", -scaled.numerator) if scaled < 0 else ("", scaled.numerator)
    text = f"{sign}{scaled // 10**18}.{scaled % 10**18:018}".rstrip("0").rstrip(".")
    return text


def random_range(rng, model, spread):
    """from and to: within buckets, at their edges, or a nanosecond beside them."""
    def moment(n):
        return model.begin(n) + rng.choice([0, 0, Fraction(1, NS), -Fraction(1, NS), model.slice * Fraction(1, 2)])

    low, high = sorted(rng.sample(range(-spread - 1, spread + 2), 2))
    first, end = moment(low), moment(high)
    return (first if rng.random() < 0.8 else None), (end if rng.random() < 0.8 else None)


def random_query(rng, model, spread, kind):
    """(parameters for the daemon, the same for the model)"""
    params, wanted = [], {}
    if rng.random() < 0.6:
        wanted["metric"] = rng.choice(METRICS)
        params.append(("metric", wanted["metric"]))
    if rng.random() < 0.6:
        wanted["by"] = rng.choice(BY)
        params.append(("by", wanted["by"]))
    if rng.random() < 0.4:
        wanted["functions"] = rng.choice(GLOBS)
        params += [("function", glob) for glob in wanted["functions"]]
    if rng.random() < 0.4:
        wanted["labels"] = rng.choice(FILTERS)
        params += [(f"label.{key}", value) for key, value in wanted["labels"].items()]
    if rng.random() < 0.5:
        wanted["first"], wanted["end"] = random_range(rng, model, spread)
        ends = (("from", wanted["first"]), ("to", wanted["end"]))
        params += [(name, seconds(moment)) for name, moment in ends if moment is not None]
    if rng.random() < 0.4:
        wanted["top"] = rng.choice([1, 2, 5, 100000])
        params.append(("top", wanted["top"]))
    if kind == "buckets" and rng.random() < 0.4:
        wanted["width"] = rng.choice([1, 2, 3, 7])
        params.append(("time_slice", f"{seconds(model.slice * wanted['width'])}s"))
    filtered = "functions" in wanted or "labels" in wanted
    both_ends = None not in (wanted.get("first"), wanted.get("end"))
    if kind == "buckets" and rng.random() < 0.3 and (both_ends or not filtered):
        wanted["fill"] = True  # with a filter only if from and to are given
        params.append(("fill", "true"))
    rng.shuffle(params)
    return params, wanted


def compare_everything(daemon, model, rng, spread=6, queries=25):
    """The first query follows the messages at once and must include all of them."""
    def ask(path, params):
        return daemon.get_json(path, {**params, "fresh": "false"})

    compare_buckets(daemon.get_json("/v1/buckets"), model)
    compare_top(ask("/v1/top", {}), model)
    for by in BY:
        compare_buckets(ask("/v1/buckets", {"by": by}), model, by=by)
        compare_top(ask("/v1/top", {"by": by}), model, by=by)
    for metric in METRICS:
        compare_buckets(ask("/v1/buckets", {"metric": metric, "top": 3}), model, metric, top=3)
        compare_top(ask("/v1/top", {"metric": metric, "top": 3}), model, metric, top=3)
    for _ in range(queries):
        for kind, compare in (("buckets", compare_buckets), ("top", compare_top)):
            params, wanted = random_query(rng, model, spread, kind)
            try:
                compare(daemon.get_json(f"/v1/{kind}", [*params, ("fresh", "false")]), model, **wanted)
            except AssertionError as error:
                raise AssertionError(f"/v1/{kind} {params}: {error}") from error
    for by in ("function", "location"):
        for more in ({}, {"top": 2, "metric": "ncalls"}):
            params = {"by": by, **more}
            rows, names = read_csv(daemon.get("/v1/buckets", {**params, "format": "csv", "fresh": "false"}))
            compare_csv(rows, names, ask("/v1/buckets", params), by)
    for more in ({}, {"top": 2, "metric": "ncalls"}):
        rows, names = read_csv(daemon.get("/v1/top", {**more, "format": "csv", "fresh": "false"}))
        compare_top_csv(rows, names, ask("/v1/top", more))
    compare_names(daemon, model)
    status = daemon.wait_idle()
    assert status["saturated"] == 0
    assert status["locations"] == len({place for _, _, place, _ in model.facts})
    assert status["functions"] == len({lstrip(place[0]) for _, _, place, _ in model.facts})
    compare_view(daemon, model)
    return status


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("transport", sorted(senders.TRANSPORTS))
def test_every_transport_equals_the_model(start_daemon, transport, threads):
    rng = random.Random(f"{transport} {threads}")
    daemon, model = start(start_daemon, list(GRIDS)[rng.randrange(len(GRIDS))], ingest__threads=threads)
    texts = random_messages(rng, model, 300)
    senders.TRANSPORTS[transport](daemon, texts, sockets=4)
    status = compare_everything(daemon, model, rng, queries=8)
    assert status["received"] == status["accepted"] == len(texts)
    assert status["datagrams_dropped"] == 0


@pytest.mark.parametrize("grid", sorted(GRIDS))
def test_every_grid_equals_the_model(start_daemon, grid):
    """All transports send to one daemon; the transport of a profile makes no difference."""
    rng = random.Random(grid)
    daemon, model = start(start_daemon, grid, ingest__threads=2)
    sent = 0
    for transport in sorted(senders.TRANSPORTS):
        texts = random_messages(rng, model, 80)
        senders.TRANSPORTS[transport](daemon, texts, sockets=2)
        sent += len(texts)
    status = compare_everything(daemon, model, rng)
    assert status["received"] == status["accepted"] == sent


@pytest.mark.parametrize("threads", [1, 2])
def test_sums_continue_after_restarts(start_daemon, threads):
    """After a restart sums continue with the stored names, labels and buckets, and late profiles add to old buckets."""
    rng = random.Random(threads)
    daemon, model = start(start_daemon, "7s_from_3", ingest__threads=threads)
    for round_ in range(3):
        texts = random_messages(rng, model, 120)
        senders.TRANSPORTS["tcp" if round_ % 2 else "unix_stream"](daemon, texts, sockets=3)
        if round_ == 1:
            compare_everything(daemon, model, rng, queries=2)
        status = daemon.wait_idle() if round_ == 2 else daemon.status()
        assert status["received"] == len(texts)
        if round_ < 2:
            daemon.restart()
            assert daemon.status()["received"] == 0
            compare_buckets(daemon.get_json("/v1/buckets"), model)
            compare_top(daemon.get_json("/v1/top", {"by": "location"}), model, by="location")
    compare_everything(daemon, model, rng, queries=5)


def test_any_order_gives_the_same_responses(start_daemon):
    """The same profiles in another order, over other transports and in other batches give identical responses."""
    rng = random.Random(3)
    model = Model("10", "0")
    texts = random_messages(rng, model, 150)
    responses = []
    for round_ in range(2):
        daemon = start_daemon(ingest__threads=round_ + 1)
        rng.shuffle(texts)
        if round_:
            for at in range(0, len(texts), 40):
                senders.TRANSPORTS[sorted(senders.TRANSPORTS)[at // 40 % 4]](daemon, texts[at:at + 40], sockets=2)
                daemon.flush()
        else:
            senders.TRANSPORTS["tcp"](daemon, texts)
        responses.append([daemon.get(path, params).body for path in ("/v1/buckets", "/v1/top")
                          for params in ({}, {"by": "location"}, {"by": "label.host"}, {"metric": "pcalls", "top": 4})])
        assert daemon.wait_idle()["accepted"] == len(texts)
    assert responses[0] == responses[1]
    assert len(responses[0][0]) > 1000


def test_sums_calculated_by_hand(start_daemon):
    daemon = start_daemon()
    stream = senders.Stream(daemon)
    stream.send(b'{"timestamp": 9.999999999, "profile": {"total_tt": 0.3, "func_profiles": {"__a": {"ncalls": "3/2",'
                b' "tottime": 0.1, "cumtime": 0.2, "file_name": "/x.py", "line_number": 7}}}}\n'
                b'[10, {"total_tt": 0.000000001, "func_profiles": [{"func_name": "_a", "cumtime": 1.5},'
                b' {"func_name": "a", "cumtime": 2e-9, "ncalls": 4},'
                b' {"func_name": "___", "cumtime": 0.25, "ncalls": "1"}]}]\n'
                b'{"timestamp": -0.000000001, "profile": {"func_profiles": {}}, "exact": true}\n'
                b'[-10, {"total_tt": 1, "func_profiles": {"a": {"cumtime": -0.5}}}]\n')
    assert stream.finish() == []
    response = daemon.get_json("/v1/buckets")
    assert response["buckets"] == [-10, 0, 10]
    assert response["profiles"] == [2, 1, 1]
    assert response["exact_profiles"] == [1, 0, 0]
    assert [exact_ns(v) for v in response["total_tt"]] == [NS, 300_000_000, 1]
    rows = response["functions"]
    assert [(row["function"], exact_ns(row["total"]), list(map(exact_ns, row["values"]))) for row in rows] == [
        ("a", 1_200_000_002, [-500_000_000, 200_000_000, 1_500_000_002]), ("", 250_000_000, [0, 0, 250_000_000])]
    assert response["unit"] == "seconds"
    top = daemon.get_json("/v1/top", {"from": "0", "to": "10"})
    row, = top["functions"]
    assert (top["from"], top["to"], top["profiles"]) == (0, 10, 1)
    assert (row["function"], row["ncalls"], row["pcalls"]) == ("a", 3, 2)
    assert (exact_ns(row["percall_cumtime"]), exact_ns(row["cumtime"])) == (100_000_000, 200_000_000)
    calls = daemon.get_json("/v1/buckets", {"metric": "ncalls"})
    assert {row["function"]: row["values"] for row in calls["functions"]} == {"a": [0, 3, 4], "": [0, 0, 1]}
    places = daemon.get_json("/v1/top", {"by": "location"})["functions"]
    got = sorted((row["function"], row["raw_name"], row["file_name"] or "", row["line_number"] or 0) for row in places)
    assert got == [
        ("", "___", "", 0), ("a", "__a", "/x.py", 7), ("a", "_a", "", 0), ("a", "a", "", 0)]
    assert daemon.wait_idle()["accepted"] == 4


def test_profiles_without_functions_are_counted(start_daemon):
    """Profiles without functions have buckets and are counted."""
    daemon, model = start(start_daemon, "10s")
    texts = [json.dumps({"timestamp": stamp, "profile": {"total_tt": 0.5, "func_profiles": shape}}).encode()
             for stamp in (-25, -5, 5, 5.5, 31) for shape in ({}, [])]
    model.extend(texts)
    senders.TRANSPORTS["udp"](daemon, texts)
    response = daemon.get_json("/v1/buckets")
    assert response["buckets"] == [-30, -10, 0, 30]
    assert response["profiles"] == [2, 2, 4, 2]
    assert response["functions"] == []
    compare_buckets(response, model)
    compare_buckets(daemon.get_json("/v1/buckets", {"fill": "true"}), model, fill=True)
    compare_top(daemon.get_json("/v1/top"), model)
    assert daemon.wait_idle()["accepted"] == len(texts)


def test_empty_database_has_empty_responses(start_daemon):
    daemon, model = start(start_daemon, "7s_from_3")
    for fill in ({}, {"fill": "true"}):
        response = daemon.get_json("/v1/buckets", fill)
        assert response["buckets"] == response["functions"] == response["profiles"] == []
    compare_top(daemon.get_json("/v1/top"), model)
    assert daemon.get_json("/v1/functions") == {"functions": []}
    assert daemon.get_json("/v1/labels") == {"labels": []}
    rows, names = read_csv(daemon.get("/v1/top", {"format": "csv"}))
    assert names[0] == "kind" and all(row["kind"] == "other" for row in rows)


def test_sums_saturate(start_daemon):
    """1,200 times 2^53 calls exceed 2^63: the sum stays at the maximum, saturation is counted, and queries work."""
    daemon, _ = start(start_daemon, "10s")
    entry = {"ncalls": 2**53, "cumtime": 9999999.999999999, "tottime": -9999999.999999999}
    text = json.dumps([5, {"func_profiles": [{"func_name": "f", **entry}] * 120}]).encode()
    senders.TRANSPORTS["tcp"](daemon, [text] * 10)
    row, = daemon.get_json("/v1/top")["functions"]
    assert (row["ncalls"], row["pcalls"]) == (2**63 - 1, 2**63 - 1)
    assert (exact_ns(row["cumtime"]), exact_ns(row["tottime"])) == (2**63 - 1, -2**63)
    status = daemon.wait_idle()
    assert status["saturated"] >= 2
    daemon.restart()
    senders.TRANSPORTS["tcp"](daemon, [text] * 10)
    row, = daemon.get_json("/v1/top")["functions"]
    assert row["ncalls"] == 2**63 - 1
    assert exact_ns(row["cumtime"]) == 2**63 - 1
    assert exact_ns(row["tottime"]) == -2**63
    assert daemon.query_db("SELECT ncalls, pcalls FROM bucket_totals") == [(2**63 - 1, 2**63 - 1)]
    assert daemon.wait_idle()["accepted"] == 10


# The code of the notebook: real profiles, groupby over the buckets, a Counter for each.


def work(rng):
    def _private(n):
        return sorted(json.dumps({"n": i}) for i in range(n))

    def __mangled__(n):
        return _private(n) if n < 2 else __mangled__(n // 2) + _private(n)

    return json.loads(json.dumps({str(i): __mangled__(rng.randrange(1, 60)) for i in range(rng.randrange(1, 4))}))


def real_profile(rng):
    profiler = cProfile.Profile()
    profiler.runcall(work, rng)
    return pstats.Stats(profiler, stream=io.StringIO()).get_stats_profile()


def ns(value):
    """The seconds that the notebook prints, in nanoseconds."""
    scaled = Decimal(repr(value)) * NS
    assert scaled == int(scaled)
    return int(scaled)


def notebook(profiles, time_slice, start_time, metric):
    """({bucket: Counter of functions}, {bucket: number of profiles})"""
    def bucket(pair):
        return start_time + (Fraction(repr(pair[0])) - start_time) // time_slice * time_slice

    totals, counts = {}, {}
    for at, group in itertools.groupby(sorted(profiles, key=bucket), key=bucket):
        counter, n = Counter(), 0
        for _, profile in group:
            n += 1
            for name, function in profile.func_profiles.items():
                calls = function.ncalls.split("/")
                counter[name.lstrip("_")] += {"ncalls": int(calls[0]), "pcalls": int(calls[-1])}.get(metric) \
                    if metric.endswith("calls") else ns(getattr(function, metric))
        totals[at], counts[at] = counter, n
    return totals, counts


@pytest.mark.parametrize("transport", sorted(senders.TRANSPORTS))
def test_sums_equal_the_notebook(start_daemon, transport):
    rng = random.Random(transport)
    time_slice, start_time = rng.choice([("10s", 0), ("250ms", 0), ("7s", 3)])
    daemon = start_daemon(aggregation__time_slice=time_slice, aggregation__start_time=start_time, ingest__threads=2)
    width = Fraction(time_slice[:-2]) / 1000 if time_slice.endswith("ms") else Fraction(time_slice[:-1])
    profiles = []
    for _ in range(24):
        stamp = rng.choice([1732272000, 0]) + rng.choice([rng.uniform(-30, 30), float(rng.randrange(-30, 30))])
        profiles.append((stamp, real_profile(rng)))
    assert any(name.startswith("_") for _, profile in profiles for name in profile.func_profiles)
    texts = [json.dumps((stamp, dataclasses.asdict(profile))).encode() for stamp, profile in profiles]
    assert max(map(len, texts)) < 65507
    senders.TRANSPORTS[transport](daemon, texts, sockets=2)
    for metric in METRICS:
        totals, counts = notebook(profiles, width, start_time, metric)
        response = daemon.get_json("/v1/buckets", {"metric": metric})
        begins = [Fraction(begin) for begin in response["buckets"]]
        assert begins == sorted(totals)
        assert response["profiles"] == [counts[begin] for begin in begins]
        read = (lambda value: value) if metric.endswith("calls") else exact_ns
        rows = {row["function"]: list(map(read, row["values"])) for row in response["functions"]}
        got = {begin: {name: values[i] for name, values in rows.items() if values[i]} for i, begin in enumerate(begins)}
        assert got == {begin: {name: value for name, value in counter.items() if value}
                       for begin, counter in totals.items()}
        assert {row["function"] for row in response["functions"]} == set().union(*totals.values())
    total = sum(ns(profile.total_tt) for _, profile in profiles)
    assert exact_ns(daemon.get_json("/v1/top")["total_tt"]) == total
    assert daemon.wait_idle()["accepted"] == len(profiles)
