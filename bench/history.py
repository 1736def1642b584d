"""A year of history: size of the file, latency of queries (idle and under full ingest), commits during pruning.

    /usr/bin/python3 bench/history.py BUILD [QUERIES]

A year of 2,000 functions, 250 of them active in each hour, is sent to the daemon with the default retention. Queries
use the control socket. For comparison, plain SQL computes the same sums from the finest level that has the year.
Latencies are those of complete requests; `fresh` queries first wait until everything received is committed.
"""
import json
import multiprocessing
import pathlib
import random
import re
import socket
import sqlite3
import statistics
import sys
import threading
import time

import daemon as bench

HOUR, DAY = 3600, 86400
FUNCTIONS, ACTIVE, DAYS = 2000, 250, 365
PRUNED_ROWS = 10_000_000
RETENTION = "10s:2d 1m:30d 1h:2y"


def progress(text):
    print(text, file=sys.stderr, flush=True)


def entry(rng, number):
    calls = rng.randrange(1, 5000)
    tottime = rng.randrange(1, 10**9) / 1e9
    return {"ncalls": f"{calls}", "tottime": tottime, "cumtime": tottime * 3,
            "file_name": f"/app/module_{number // 40}.py", "line_number": 10 + number % 40 * 25}


def message(timestamp, profile):
    text = json.dumps({"timestamp": timestamp, "profile": {"total_tt": 1.0, "func_profiles": profile}})
    return text.encode() + b"\n"


def year_of_messages(now):
    rng = random.Random(1)
    names = [f"function_{number}" for number in range(FUNCTIONS)]
    for hour in range(DAYS * 24):
        profile = {names[number]: entry(rng, number) for number in rng.sample(range(FUNCTIONS), ACTIVE)}
        yield message(now - DAYS * DAY + hour * HOUR + 1, profile)


def metric(one, name):
    text = bench.control.request(one.settings["control.socket"], "GET", "/metrics").body.decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"timesliced_{name} ")))


def commits(one):
    """{upper bound in seconds: number of commits that took at most that long}"""
    text = bench.control.request(one.settings["control.socket"], "GET", "/metrics").body.decode()
    return {float(bound): int(n) for bound, n in
            re.findall(r'^timesliced_commit_duration_seconds_bucket\{le="([^"]+)"\} (\d+)$', text, re.M)}


def longest(before, after):
    """(the least bound of all commits between two readings, in ms; the number of commits)"""
    counts = {bound: after[bound] - before[bound] for bound in after}
    total = max(counts.values())
    return min(bound for bound, n in counts.items() if n == total) * 1000, total


def settle(one):
    """Waits until nothing is built or pruned any more."""
    last, quiet = None, 0
    while quiet < 3:
        time.sleep(1)
        now = metric(one, "rows_built_total"), metric(one, "rows_pruned_total")
        quiet = quiet + 1 if now == last else 0
        last = now


def latency(one, params):
    start = time.perf_counter()
    one.request("GET", "/v1/top", {"top": "10", **params})
    return (time.perf_counter() - start) * 1000


def kinds(now, rng):
    """{name of the range: parameters}"""
    begin = now - DAYS * DAY + rng.randrange((DAYS - 100) * 24) * HOUR
    return {"the year": {"from": str(now - DAYS * DAY), "to": str(now)},
            "100 days, at random": {"from": str(begin), "to": str(begin + 100 * DAY)},
            "the last hour": {"last": "1h"}}


def queries(one, now, n, fresh, pause=0.0):
    """{kind: [ms]}"""
    rng = random.Random(2)
    took = {}
    for _ in range(n):
        for kind, params in kinds(now, rng).items():
            took.setdefault(kind, []).append(latency(one, {**params, "fresh": fresh}))
            time.sleep(pause)
    return took


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def by_sql(path, now):
    """The same three queries in plain SQL over the buckets of an hour. Medians of three, in ms."""
    level = "(SELECT level FROM levels WHERE width = 3600000000000 AND kind = 0)"
    text = ("SELECT l.function, sum(cumtime), sum(tottime), sum(ncalls), sum(pcalls)"
            " FROM sums JOIN locations AS l ON l.id = location"
            f" WHERE level = {level} AND bucket >= ? AND bucket < ? GROUP BY l.function ORDER BY 2 DESC LIMIT 10")
    end = now // HOUR
    took = {}
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        for kind, hours in ("the year", DAYS * 24), ("100 days, at random", 2400), ("the last hour", 1):
            runs = []
            for _ in range(3):
                start = time.perf_counter()
                db.execute(text, (end - hours, end + 1)).fetchall()
                runs.append((time.perf_counter() - start) * 1000)
            took[kind] = statistics.median(runs)
    return took


def send(port, stopping):
    """Sends the same megabyte of current profiles repeatedly, as fast as possible. Runs in a process of its own, to not
    delay the measurements."""
    rng = random.Random(3)
    profile = {f"function_{number}": entry(rng, number) for number in range(0, FUNCTIONS, 7)}
    line = message(time.time(), profile)
    data = line * (2**20 // len(line))
    with socket.create_connection(("127.0.0.1", port)) as sock:
        while not stopping.is_set():
            sock.sendall(data)


class Ingest:
    def __init__(self, one, senders=2):
        self.one, self.stopping = one, multiprocessing.Event()
        self.senders = [multiprocessing.Process(target=send, args=(one.port("tcp"), self.stopping))
                        for _ in range(senders)]

    def __enter__(self):
        for sender in self.senders:
            sender.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for sender in self.senders:
            sender.join()

    def rate(self, seconds):
        before, start = self.one.status()["entries"], time.monotonic()
        time.sleep(seconds)
        return (self.one.status()["entries"] - before) / (time.monotonic() - start)


def under_load(one, now, n):
    """Queries under full ingest from two senders.

    Returns (ingest with queries divided by ingest without, ingest without, {fresh: {kind: latencies}}).
    """
    alone, during, took = [], [], {False: {}, True: {}}
    with Ingest(one) as ingest:
        ingest.rate(2)
        for round_ in range(4):
            alone.append(ingest.rate(4))
            fresh = bool(round_ % 2)
            result = {}
            thread = threading.Thread(target=lambda f=fresh, r=result: r.update(
                queries(one, now, max(1, n // 2), str(f).lower(), 0.02)))
            thread.start()
            before, start = one.status()["entries"], time.monotonic()
            thread.join()
            during.append((one.status()["entries"] - before) / (time.monotonic() - start))
            for kind, values in result.items():
                took[fresh].setdefault(kind, []).extend(values)
    return statistics.median(b / a for a, b in zip(alone, during)), alone, took


def year(build, n):
    now = int(time.time()) // HOUR * HOUR
    with bench.Daemon(build, aggregation__retention=RETENTION, aggregation__max_future="10m") as one:
        progress("sending a year")
        start = time.monotonic()
        with one.tcp() as sock:
            for one_hour in year_of_messages(now):
                sock.sendall(one_hour)
        while one.flush()["accepted"] < DAYS * 24:
            time.sleep(0.1)
        loaded = time.monotonic() - start
        settle(one)
        path = one.settings["store.path"]
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT v.width / 1000000000, count(*) FROM sums JOIN levels AS v USING (level)"
                              " GROUP BY v.width ORDER BY 1").fetchall()
            size = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
        progress("queries, idle")
        idle = {fresh: queries(one, now, n, fresh) for fresh in ("false", "true")}
        sql = by_sql(path, now)
        progress("queries, under full ingest")
        share, alone, busy = under_load(one, now, n)
    return {"rows": rows, "size": size, "loaded": loaded, "idle": idle, "sql": sql, "share": share,
            "ingest": statistics.median(alone), "busy": busy}


# ---- Pruning

def fill(path, now):
    """Inserts buckets of ten seconds, two to three days old. The level is kept for two days, so all must be pruned."""
    level, per_bucket = 0, 1160
    first = (now - 3 * DAY) // 10 - 10
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("INSERT INTO label_sets VALUES(1, '{}')")
        db.executemany("INSERT INTO locations(id, raw_name) VALUES(?, ?)",
                       ((i, f"f{i}") for i in range(1, per_bucket + 1)))
        db.execute(f"WITH RECURSIVE b(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM b WHERE n < {first + 8639}),"
                   f" l(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM l WHERE i < {per_bucket})"
                   f" INSERT INTO sums SELECT {level}, n, 1, i, n, i, 1, 1 FROM b, l WHERE true")
        db.execute(f"INSERT INTO profiles SELECT DISTINCT {level}, bucket, 1, 1, 0, 0, 1, 1 FROM sums"
                   f" WHERE level = {level}")
        db.commit()
        return db.execute("SELECT count(*) FROM sums WHERE level = 0").fetchone()[0]


def acked(one, seconds, took):
    """Sends one message at a time, each after the previous one is acknowledged, and measures how long that takes."""
    with one.tcp() as sock:
        reader, seq = sock.makefile("rb"), 0
        sock.sendall(b'{"hello": {"client": "bench-history"}}\n')
        reader.readline()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            seq += 1
            start = time.perf_counter()
            try:
                sock.sendall(b'{"seq": %d, "timestamp": %f, "profile": {"func_profiles": {"f1": {"cumtime": 1}}}}\n'
                             % (seq, time.time()))
                reader.readline()
            except OSError:
                return  # the daemon was stopped, at the end
            took.append((time.perf_counter() - start) * 1000)


def pruning(build):
    now = int(time.time())
    with bench.Daemon(build, aggregation__retention="10s:2d 1m:30d 1h:2y") as one:
        path = one.settings["store.path"]
        one.process.terminate()
        one.process.wait(20)
        progress("inserting rows to prune")
        rows = fill(path, now)
        one.__enter__()
        took, after = [], []
        start = time.monotonic()
        with Ingest(one):
            sender = threading.Thread(target=acked, args=(one, 600, took))
            sender.daemon = True
            sender.start()
            at_first = commits(one)
            while metric(one, "rows_pruned_total") < rows:
                time.sleep(0.5)
                if time.monotonic() - start > 300:
                    break  # the table has the number of rows pruned
            pruned, seconds, n = metric(one, "rows_pruned_total"), time.monotonic() - start, len(took)
            at_end = commits(one)
            time.sleep(seconds)
            later = commits(one)
            after = took[n:]
        size = pathlib.Path(path).stat().st_size
    return {"rows": rows, "pruned": pruned, "seconds": seconds, "during": took[:n], "after": list(after), "size": size,
            "commits": longest(at_first, at_end), "later": longest(at_end, later)}


def table(result, pruned):
    yield "**a year**: 2,000 functions, 250 in each hour, one label set", "", ""
    total = sum(n for _, n in result["rows"])
    yield "file", f"{result['size'] / 2**20:.0f} MiB", ""
    yield "rows", ", ".join(f"{n:,} of {width} s" for width, n in result["rows"]), ""
    yield "bytes per row", f"{result['size'] / total:.1f}", ""
    yield "functions per second, sent and stored in all levels", f"{DAYS * 24 * ACTIVE / result['loaded']:,.0f}", ""
    yield "**top 10, idle**", "", ""
    for kind in result["sql"]:
        values = result["idle"]["false"][kind]
        yield (kind, f"p50 {percentile(values, .5):.1f} ms, p99 {percentile(values, .99):.1f} ms", "<= 50 ms")
        fresh = result["idle"]["true"][kind]
        yield (f"{kind}, fresh", f"p50 {percentile(fresh, .5):.1f} ms, p99 {percentile(fresh, .99):.1f} ms", "<= 50 ms")
        yield (f"{kind}, plain SQL over buckets of an hour", f"{result['sql'][kind]:.1f} ms, "
               f"{result['sql'][kind] / percentile(values, .5):.1f}x", "")
    yield "**top 10, under full ingest**", f"{result['ingest'] / 1e6:.1f} million functions/s", ""
    for fresh, suffix in (False, ""), (True, ", fresh"):
        for kind, values in result["busy"][fresh].items():
            idle = percentile(result["idle"][str(fresh).lower()][kind], .99)
            yield (kind + suffix, f"p50 {percentile(values, .5):.1f} ms, p99 {percentile(values, .99):.1f} ms, "
                   f"{percentile(values, .99) / idle:.1f}x", "<= 2x")
    yield "ingest with queries vs. without", f"{result['share']:.2f}x", ">= 0.9x"
    yield ("**pruning**, under full ingest",
           f"{pruned['pruned']:,.0f} of {pruned['rows']:,} rows in {pruned['seconds']:.0f} s", "")
    for period, values, (bound, n) in (("during pruning", pruned["during"], pruned["commits"]),
                                      ("after pruning", pruned["after"], pruned["later"])):
        yield f"longest commit {period}", f"<= {bound:.0f} ms ({n} commits)", ""
        yield (f"time until a message is acknowledged, {period}", f"p50 {percentile(values, .5):.0f} ms, p99 "
               f"{percentile(values, .99):.0f} ms, longest {max(values):.0f} ms ({len(values)})", "")


def main():
    build, n = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 200
    result = year(build, n)
    progress("pruning")
    pruned = pruning(build)
    print("| measurement | result | goal |\n| --- | --- | --- |")
    for row in table(result, pruned):
        print("| " + " | ".join(row) + " |")


main()
