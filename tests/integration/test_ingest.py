"""Members beside the profile, limits of names, and all transports at once."""
import itertools
import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import senders
from support.messages import calls, check_counters, error_of, message
from support.compare import compare_buckets, compare_top
from support.oracle import METRICS, NS, Model, exact_ns
from support.random_profiles import random_messages


# Members beside the profile.


def entry(name, n):
    return {"func_name": name, "ncalls": n, "cumtime": n / 1000, "tottime": n / 1000}


def part(i, n, entries, **more):
    return json.dumps({"timestamp": 5, "part": [i, n], **more,
                       "profile": {"total_tt": 0.25, "func_profiles": entries}}).encode()


def test_parts_count_as_one_profile(start_daemon):
    """The parts of a profile count as one profile, in any order and over any transport. Missing parts are reported."""
    daemon = start_daemon(ingest__threads=2)
    complete = [part(i, 4, [entry(f"f{i}", 1), entry("all", 1)]) for i in range(4)]
    for n, text in enumerate(reversed(complete)):
        senders.TRANSPORTS[sorted(senders.TRANSPORTS)[n]](daemon, [text])
    response = daemon.get_json("/v1/buckets", {"metric": "ncalls"})
    assert (response["profiles"], response["parts_missing"]) == ([1], [0])
    assert exact_ns(response["total_tt"][0]) == NS // 4
    assert {row["function"]: row["total"] for row in response["functions"]} == {
        "all": 4, "f0": 1, "f1": 1, "f2": 1, "f3": 1}
    senders.TRANSPORTS["tcp"](daemon, [part(0, 3, []), part(2, 3, [entry("all", 1)])])
    response = daemon.get_json("/v1/buckets")
    assert (response["profiles"], response["parts_missing"]) == ([2], [1])
    # Part 0 of 5 was lost.
    senders.TRANSPORTS["tcp"](daemon, [part(1, 5, []), part(2, 5, []), part(0, 1, [], exact=True)])
    response = daemon.get_json("/v1/buckets")
    assert (response["profiles"], response["exact_profiles"], response["parts_missing"]) == ([3], [1], [1])
    assert exact_ns(response["total_tt"][0]) == 3 * NS // 4
    check_counters(daemon, 9)


def test_exact_counts_profiles_not_parts(start_daemon):
    daemon = start_daemon()
    texts = [message(1, exact=True), message(1), message(1, exact=True, timestamp=15), part(0, 2, [], exact=True),
             part(1, 2, [], exact=True)]
    senders.TRANSPORTS["tcp"](daemon, texts)
    response = daemon.get_json("/v1/buckets")
    assert (response["profiles"], response["exact_profiles"]) == ([3, 1], [2, 1])
    check_counters(daemon, 5)


def test_too_new_messages_are_rejected(start_daemon):
    daemon = start_daemon(aggregation__max_future="10m")
    now = time.time()
    stream = senders.Stream(daemon)
    stamps = [now + 3600, now, now + 300, now + 9_000_000, now - 3600, now + 900, 9.2e9]
    stream.send(b"".join(message(4**n, timestamp=stamp) + b"\n" for n, stamp in enumerate(stamps)))
    responses = [error_of(response) for response in stream.finish()]
    assert [(response["code"], response["line"]) for response in responses] == [("too_new", n) for n in (1, 4, 6, 7)]
    assert calls(daemon) == 4 + 16 + 256
    check_counters(daemon, 3, too_new=4)


def test_max_future_off_accepts_any_future(start_daemon):
    daemon = start_daemon(aggregation__max_future="off")
    senders.TRANSPORTS["tcp"](daemon, [message(1, timestamp=time.time() + 3600), message(2, timestamp=9.2e9)])
    assert calls(daemon) == 3
    check_counters(daemon, 2)


def test_too_old_messages_are_rejected(start_daemon):
    """A message is too old if it is older than the longest level, not the finest, keeps."""
    daemon = start_daemon(aggregation__retention="10s:1h 1m:3h")
    now = time.time()
    stream = senders.Stream(daemon)
    stamps = [now - 4 * 3600, now, now - 2 * 3600, now - 1800, 0, -5, now - 12_000]
    stream.send(b"".join(message(4**n, timestamp=stamp) + b"\n" for n, stamp in enumerate(stamps)))
    responses = [error_of(response) for response in stream.finish()]
    assert [(response["code"], response["line"]) for response in responses] == [("too_old", n) for n in (1, 5, 6, 7)]
    check_counters(daemon, 3, too_old=4)


# Limits of names.


def many_locations(rng, n):
    """n messages with far more locations than the limit; function names repeat."""
    texts = []
    for at in range(n):
        entries = [{**entry(f"{'_' * rng.randrange(3)}f{rng.randrange(60)}", rng.randrange(1, 100)),
                    "file_name": f"/app/m{rng.randrange(9)}.py", "line_number": rng.randrange(1, 5)}
                   for _ in range(rng.randrange(1, 6))]
        texts.append(json.dumps([at % 40, {"total_tt": 0.001, "func_profiles": entries}]).encode())
    return texts


def grand_total(rows):
    return [sum(column) for column in zip(*([exact_ns(row[m]) if m.endswith("time") else row[m] for m in METRICS]
                                            for row in rows))]


@pytest.mark.parametrize("threads", [1, 2])
def test_locations_above_the_limit_overflow(start_daemon, threads):
    """Totals stay exact in every bucket, the number of locations is limited, and the first ones keep their counts, also
    after a restart."""
    rng = random.Random(threads)
    daemon, model = start_daemon(aggregation__max_locations=10, ingest__threads=threads), Model()
    first = [json.dumps([1, {"func_profiles": [{**entry(f"first{n}", 1), "file_name": "/first.py", "line_number": n}
                                               for n in range(10)]}]).encode()]
    sent = 0
    for turn in range(2):
        batches = [first, many_locations(rng, 150), first, many_locations(rng, 150)]
        for texts in batches:
            model.extend(texts)
            senders.TRANSPORTS["tcp"](daemon, texts, sockets=4)
            daemon.flush()
        sent = sum(map(len, batches))
        top, places = daemon.get_json("/v1/top"), daemon.get_json("/v1/top", {"by": "location"})
        _, rows = model.select()
        expected = [sum(cell[m] for row in rows.values() for cell in row.values()) for m in METRICS]
        assert grand_total(top["functions"]) == grand_total(places["functions"]) == expected
        assert len(places["functions"]) <= 2 * 10 + 1
        assert "(overflow)" in {row["function"] for row in top["functions"]}
        kept = {row["raw_name"]: row["ncalls"] for row in places["functions"] if row["file_name"] == "/first.py"}
        assert kept == {f"first{n}": 2 * (turn + 1) for n in range(10)}
        response = daemon.get_json("/v1/buckets", {"metric": "ncalls"})
        heads, _ = model.select()
        assert response["profiles"] == [heads[n]["profiles"] for n in sorted(heads)]
        for i, begin in enumerate(response["buckets"]):
            assert sum(row["values"][i] for row in response["functions"]) == sum(
                cell["ncalls"] for row in rows.values() for n, cell in row.items() if n * 10 == begin)
        check_counters(daemon, sent)
        assert daemon.status()["locations"] <= 2 * 10 + 1
        daemon.restart()


def test_known_name_above_the_limit_loses_only_its_location(start_daemon):
    daemon = start_daemon(aggregation__max_locations=2)
    place = {"file_name": "/a.py", "line_number": 1}

    def send(name, line, n):
        text = json.dumps([1, {"func_profiles": [{**entry(name, n), **place, "line_number": line}]}]).encode()
        senders.TRANSPORTS["tcp"](daemon, [text])
        daemon.flush()

    for at, (name, line) in enumerate([("f", 1), ("_g", 1), ("f", 2), ("i", 1), ("h", 1), ("f", 1), ("_g", 9)]):
        send(name, line, 10**at)
    rows = daemon.get_json("/v1/top", {"by": "location"})["functions"]
    got = {(row["raw_name"], row["file_name"], row["line_number"]): row["ncalls"] for row in rows}
    assert got == {("f", "/a.py", 1): 100001, ("_g", "/a.py", 1): 10, ("f", None, None): 100,
                   ("_g", None, None): 1000000, ("(overflow)", None, None): 11000}
    check_counters(daemon, 7)


@pytest.mark.parametrize("threads", [1, 2])
def test_label_sets_above_the_limit_overflow(start_daemon, threads):
    daemon = start_daemon(aggregation__max_label_sets=3, ingest__threads=threads)
    for turn in range(2):
        senders.TRANSPORTS["tcp"](daemon, [message(1, labels={"service": str(n)}) for n in range(3)])
        daemon.flush()
        more = [message(10, labels={"service": str(n), "x": "y"}) for n in range(3, 40)]
        senders.TRANSPORTS["tcp"](daemon, more, sockets=4)
        senders.TRANSPORTS["tcp"](daemon, [message(1000)])  # no labels at all do not count towards the limit
        daemon.flush()
        sets = {tuple(row["labels"].items()): row["profiles"] for row in daemon.get_json("/v1/labels")["labels"]}
        times = turn + 1
        assert sets == {(("service", "0"),): times, (("service", "1"),): times, (("service", "2"),): times,
                        (("overflow", "true"),): 37 * times, (): times}
        got = {row["label"]: row["ncalls"] for row in daemon.get_json("/v1/top", {"by": "label.overflow"})["functions"]}
        assert got == {"true": 370 * times, None: 1003 * times}
        assert calls(daemon) == 1373 * times
        check_counters(daemon, 41)
        daemon.restart()


def test_concurrent_transports_and_queries_count_every_message(start_daemon):
    """All transports from many threads at once, with queries in between: every message counts exactly once."""
    daemon, model = start_daemon(ingest__threads=2, store__flush_interval="50ms"), Model()
    rng = random.Random(8)
    jobs = []
    for n, transport in enumerate(itertools.islice(itertools.cycle(["tcp", "unix_stream", "unix_datagram"]), 9)):
        jobs.append((transport, random_messages(rng, model, 60)))
    seen = [0]
    with ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(senders.TRANSPORTS[transport], daemon, texts) for transport, texts in jobs]
        while not all(future.done() for future in running):
            seen.append(daemon.get_json("/v1/top")["profiles"])
        for future in running:
            future.result()
    assert seen == sorted(seen)
    compare_buckets(daemon.get_json("/v1/buckets"), model)
    compare_top(daemon.get_json("/v1/top", {"by": "location"}), model, by="location")
    check_counters(daemon, sum(len(texts) for _, texts in jobs))
