"""Row 9: more names and label sets than the limits. Totals stay exact, and memory is limited.

tests/integration/test_ingest.py tests which names overflow, also after a restart.
"""
import json

import pytest

import checker
from support import senders

PER_MESSAGE = 500
BEGIN = 1000


def totals(daemon):
    """(number of functions, calls, milliseconds of cumtime)"""
    return daemon.query_db("SELECT count(DISTINCT function), sum(ncalls), round(sum(cumtime) * 1e3)"
                           " FROM bucket_totals")[0]


def send(daemon, texts):
    with senders.Stream(daemon, "unix") as stream:
        for text in texts:
            stream.send(text + b"\n")
        assert stream.finish() == []


@pytest.mark.parametrize("threads", [1, 2])
def test_names_above_the_limit_overflow(start_daemon, scale, report, threads):
    names, limit = scale.choose((30_000, 2_000), (1_000_000, 200_000))
    daemon = start_daemon(aggregation__max_locations=limit, ingest__threads=threads, store__flush_interval="100ms")
    before = daemon.memory()

    def texts():
        for at in range(0, names, PER_MESSAGE):
            entries = [{"func_name": f"name_{n}", "ncalls": n % 7, "cumtime": n % 5 / 1000, "tottime": 0.001,
                        "file_name": f"/app/{n}.py", "line_number": n} for n in range(at, at + PER_MESSAGE)]
            yield json.dumps([BEGIN, {"func_profiles": entries}]).encode()
    send(daemon, texts())
    status = daemon.wait_idle()
    problems = checker.verify_counters(status)
    functions, calls, milliseconds = totals(daemon)
    expected = (sum(n % 7 for n in range(names)), sum(n % 5 for n in range(names)))
    if (calls, milliseconds) != expected:
        problems.append(f"calls and milliseconds are {calls}, {milliseconds}, not {expected}")
    if not limit // 2 <= functions <= 2 * limit + 1 or status["locations"] > 2 * limit + 1:
        problems.append(f"{functions} functions, {status['locations']} locations; the limit is {limit}")
    row, = daemon.get_json("/v1/top", {"function": "(overflow)"})["functions"]
    if row["ncalls"] == 0:
        problems.append("(overflow) has no calls")
    # A location uses less than 1 KiB, including names and keys, in each thread and in the writer.
    grown = daemon.memory("VmHWM") - before
    if grown > (8 << 20) + 1024 * limit * (threads + 1):
        problems.append(f"{grown} more bytes of memory for {limit} locations")
    report(f"9 names, {threads} ingest threads", names, problems,
           f"{functions} kept, totals exact, {grown / (1 << 20):.0f} MiB more")


def test_label_sets_above_the_limit_overflow_under_load(start_daemon, scale, report):
    sets, limit = scale.choose((30_000, 500), (1_000_000, 1000))
    daemon = start_daemon(aggregation__max_label_sets=limit, store__flush_interval="100ms")
    before = daemon.memory()
    send(daemon, (json.dumps({"timestamp": BEGIN, "labels": {"request": str(n)}, "profile": {"func_profiles": {
        "f": {"ncalls": n % 7, "cumtime": 0.001, "tottime": 0}}}}).encode() for n in range(sets)))
    status = daemon.wait_idle()
    problems = checker.verify_counters(status)
    functions, calls, milliseconds = totals(daemon)
    expected = (1, sum(n % 7 for n in range(sets)), sets)
    if (functions, calls, milliseconds) != expected:
        problems.append(f"{functions}, {calls} calls, {milliseconds} ms, not {expected}")
    labels = daemon.get_json("/v1/labels")["labels"]
    if len(labels) > limit + 2 or sum(row["profiles"] for row in labels) != sets:
        problems.append(f"{len(labels)} label sets; the limit is {limit}")
    if {"overflow": "true"} not in [row["labels"] for row in labels]:
        problems.append("no label set is overflow=true")
    grown = daemon.memory("VmHWM") - before
    if grown > (8 << 20) + 2048 * limit:
        problems.append(f"{grown} more bytes of memory for {limit} label sets")
    report("9 label sets", sets, problems, f"{len(labels)} kept, totals exact, {grown / (1 << 20):.0f} MiB more")
