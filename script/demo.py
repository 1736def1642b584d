"""The profiled half of script/demo: does work for some seconds and sends a profile of each quarter of a second.

    PYTHONPATH=python python3 script/demo.py WORK ADDRESS SECONDS
"""
import ast
import cProfile
import csv
import io
import json
import os
import pprint
import random
import re
import sys
import textwrap
import time

import timesliced

PERIOD = 0.25  # seconds of work that one profile covers

TEXT = """timesliced sums the profiles of many processes by time slice. Each bucket holds, for every function, how often
it was called and how long it took. Sums do not depend on the order in which profiles arrive, so a profile that comes
late is as good as one that comes in time, and the answer to a question stays the same however often it is asked."""

SOURCE = """
def area(shapes, scale=1.0):
    total = 0
    for shape in shapes:
        if shape["kind"] == "circle":
            total += 3.14159 * shape["r"] ** 2
        elif shape["kind"] in {"square", "rectangle"}:
            total += shape["w"] * shape.get("h", shape["w"])
    return total * scale
"""


# Three functions that wait, and call each other: what a program looks like that asks others for its data.

def function1():
    time.sleep(random.uniform(0.002, 0.006))


def function2():
    time.sleep(random.uniform(0.001, 0.010))
    function1()


def _function3():
    for _ in range(random.randint(1, 3)):
        function2()


def notebook():
    random.choice((function1, function2, _function3))()


# Text into data.

def read_json():
    return json.loads(RECORDS_JSON)


def read_csv():
    return [row for row in csv.DictReader(io.StringIO(RECORDS_CSV)) if row["name"]]


def find_words():
    return re.findall(r"\b(\w+)(?:\s+\1)?\b", TEXT)


def read_source():
    return ast.dump(ast.parse(SOURCE * 4))


def parsing():
    read_json()
    read_csv()
    find_words()
    read_source()


# Data into text.

def write_json():
    return json.dumps(RECORDS, indent=2, sort_keys=True)


def write_csv():
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(RECORDS[0]))
    writer.writeheader()
    writer.writerows(RECORDS)
    return out.getvalue()


def wrap_text():
    return textwrap.fill(TEXT, random.randint(30, 80))


def print_pretty():
    return pprint.pformat(RECORDS[:20], width=60)


def formatting():
    write_json()
    write_csv()
    wrap_text()
    print_pretty()


RECORDS = [{"name": f"item {n}", "price": n * 1.25, "tags": ["a", "b", str(n)]} for n in range(200)]
RECORDS_JSON = json.dumps(RECORDS)
RECORDS_CSV = write_csv()
WORK = {"notebook": notebook, "parsing": parsing, "formatting": formatting}


def main(name, address, seconds):
    work = WORK[name]
    client = timesliced.Client(address, labels={"work": name, "pid": str(os.getpid())})
    end = time.monotonic() + seconds
    profiles = 0
    while time.monotonic() < end:
        profile = cProfile.Profile()
        profile.enable()
        until = time.monotonic() + PERIOD
        while time.monotonic() < until:
            work()
        profile.disable()
        profiles += client.send(profile)
    whole = client.flush(5)
    print(f"{name:<12} {address:<24} {profiles} profiles{'' if whole else ', not all of them on their way'}")
    return 0 if whole and client.close() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
