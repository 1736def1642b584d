"""The profiled processes of script/demo: each works for some seconds, and sends one profile per quarter of a second.

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

PERIOD = 0.25  # seconds per profile
UNIT = 0.002, 0.006  # seconds: the shortest and the longest sleep

TEXT = """timesliced sums the profiles of many processes by time slice. Each bucket holds, for every function, how often
it was called and how long it took. Sums do not depend on the order in which profiles arrive, so a profile that comes
late is as good as one that comes in time, and a query for a past range gives the same result whenever it is made."""

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


# Three functions that sleep for 1, 2 and 3 units of time, like a program that waits for other services.

def sleep1():
    time.sleep(random.uniform(*UNIT))


def sleep2():
    time.sleep(random.uniform(*UNIT))
    sleep1()


def _sleep3():
    time.sleep(random.uniform(*UNIT))
    sleep2()


def notebook():
    random.choice((sleep1, sleep2, _sleep3))()


# Functions that parse text.

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


# Functions that format data.

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
        profile = cProfile.Profile(builtins=name != "notebook")  # False: time.sleep() is time of its caller
        profile.enable()
        until = time.monotonic() + PERIOD
        while time.monotonic() < until:
            work()
        profile.disable()
        profiles += client.send(profile)
    complete = client.flush(5)
    print(f"{name:<12} {address:<24} {profiles} profiles{'' if complete else ', not all of them delivered'}")
    return 0 if complete and client.close() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
