"""Row 10: sums that exceed 64 bits stay at the maximum, are counted, and cause no commit and no query to fail.

Here queries add up many saturated sums, at the maximum and at the minimum. tests/integration/test_oracle.py,
test_sums_saturate, has one sum and a restart.
"""
import json

import checker
from support import senders

MOST, LEAST = 2**63 - 1, -2**63
ENTRY = {"ncalls": 2**53, "cumtime": 1e7, "tottime": -1e7}
REPEATS = 1100  # times 2^53 calls and 1e7 s exceed 2^63 calls and 2^63 ns


def seconds(text):
    return int(text * 10**9)


def test_queries_add_up_saturated_sums(start_daemon, scale, report):
    daemon = start_daemon(store__flush_interval="50ms")
    buckets, labels = scale.choose((30, 3), (500, 20))
    problems, tries = [], 0
    texts = [json.dumps({"timestamp": 10 * bucket, "labels": {"n": str(label)}, "profile": {
        "total_tt": 1e7, "func_profiles": [{"func_name": f"{'_' * (bucket % 3)}f{bucket % 2}", **ENTRY}] * REPEATS}})
        .encode() for bucket in range(buckets) for label in range(labels)]
    for text in texts:
        senders.TRANSPORTS["unix_stream"](daemon, [text])
    status = daemon.wait_idle()
    if status["store"]["commits_failed"] or status["store_error"]:
        problems.append(f"a commit failed: {status}")
    if status["saturated"] < buckets * labels:
        problems.append(f"{status['saturated']} counted as saturated")
    for path, params in [("top", {}), ("top", {"by": "location"}), ("top", {"by": "label.n"}), ("top", {"top": 1}),
                         ("top", {"last": "100y"}), ("functions", {}), ("labels", {}), ("buckets", {}),
                         *(("buckets", {"metric": metric, "time_slice": width, "fill": "true"})
                           for metric in ("cumtime", "tottime", "ncalls", "pcalls")
                           for width in ("10s", "100s", "1d"))]:
        for form in ("json", "csv"):
            if form == "csv" and path in ("functions", "labels"):
                continue
            tries += 1
            response = daemon.get(f"/v1/{path}", {**params, **({"format": "csv"} if form == "csv" else {})})
            if response.status != 200:
                problems.append(f"{path} {params} {form}: {response}")
    rows = buckets // 2 * labels  # per function; sums in responses are exact
    for row in daemon.get_json("/v1/top")["functions"]:
        found = (row["ncalls"], row["pcalls"], seconds(row["cumtime"]), seconds(row["tottime"]))
        if found != (rows * MOST, rows * MOST, rows * MOST, rows * LEAST):
            problems.append(f"the sum of {rows} saturated sums is {found}")
    for row in daemon.get_json("/v1/buckets", {"time_slice": "20s", "metric": "ncalls"})["functions"]:
        if set(row["values"]) != {labels * MOST}:
            problems.append(f"buckets of saturated sums: {row['values'][:10]}")
    rows = daemon.query_db("SELECT ncalls, pcalls FROM bucket_totals")
    tries += 1
    if len(rows) != buckets or set(rows) != {(MOST, MOST)}:
        problems.append(f"the view has {len(rows)} rows, {set(rows)}")
    problems += checker.verify_counters(daemon.wait_idle())
    report("10 saturated sums", tries, problems, f"{len(texts)} saturated rows, all queries succeed")
