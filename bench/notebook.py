"""The baseline: aggregation as in a notebook, with json.loads, groupby and a Counter of cumtime by name.

Prints million functions per CPU-second.

    /usr/bin/python3 bench/notebook.py SPACED.jsonl [SECONDS]
"""
import json
import sys
import time
from collections import Counter
from itertools import groupby

TIME_SLICE = 10


def buckets(lines):
    """({bucket: Counter of cumtime}, number of functions) of messages in any order."""
    profiles = sorted(map(json.loads, lines), key=lambda message: message[0])
    sums, functions = {}, 0
    for bucket, group in groupby(profiles, key=lambda message: message[0] // TIME_SLICE):
        counter = sums[bucket] = Counter()
        for _, profile in group:
            functions += len(profile["func_profiles"])
            for name, entry in profile["func_profiles"].items():
                counter[name.lstrip("_")] += entry["cumtime"]
    return sums, functions


def measure(path, seconds):
    with open(path, "rb") as file:
        lines = file.read().splitlines()
    functions, start = 0, time.process_time()
    while True:
        functions += buckets(lines)[1]
        used = time.process_time() - start
        if used >= seconds:
            return functions / used / 1e6


if __name__ == "__main__":
    print(measure(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1.0))
