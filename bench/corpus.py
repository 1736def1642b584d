"""Generates the corpus: real profiles of standard library workloads, as messages in all forms.

    /usr/bin/python3 bench/corpus.py FOLDER [PROFILES [SEED]]

The seed determines the workloads of each profile and the order of shuffled members; the times are measured. Writes to
FOLDER, one message per line:

    spaced.jsonl     json.dumps((timestamp, dataclasses.asdict(stats_profile)))
    compact.jsonl    the same without spaces, as orjson prints it
    list.jsonl       {"timestamp": ..., "profile": ...} with the functions as a list
    shuffled.jsonl   the first form with the members of every object in random order
    datagrams.jsonl  the same profiles, split with `part` into datagrams of up to 60,000 bytes
    small.jsonl      the same with up to 1,400 bytes
"""
import argparse
import ast
import calendar
import configparser
import cProfile
import csv
import dataclasses
import datetime
import decimal
import difflib
import email
import fractions
import html.parser
import inspect
import io
import json
import pathlib
import pprint
import pstats
import random
import re
import statistics
import string
import sys
import textwrap
import tokenize
import xml.dom.minidom
import zipfile

PROFILES = 150
SEED = 8137
WORKLOADS_EACH = 5
FORMS = ("spaced", "compact", "list", "shuffled")


def syntax_trees():
    ast.unparse(ast.parse(inspect.getsource(textwrap)))


def tokens():
    list(tokenize.generate_tokens(io.StringIO(inspect.getsource(string)).readline))


def differences():
    a, b = inspect.getsource(string).splitlines(), inspect.getsource(string).replace("self", "this").splitlines()
    list(difflib.unified_diff(a, b))
    difflib.get_close_matches("functon", dir(string) + dir(textwrap))


def printing():
    pprint.pformat([{str(n): list(range(n)), "text": "word " * n} for n in range(20)], width=60)
    textwrap.fill("some words to wrap " * 40, 60)


def documents():
    text = email.message_from_string("From: a@example.org\nSubject: test\nMIME-Version: 1.0\n\nbody\n" * 3)
    text.as_string()
    xml.dom.minidom.parseString("<a>" + '<b c="d">text</b>' * 30 + "</a>").toprettyxml()
    html.parser.HTMLParser().feed("<p class=x>text &amp; more</p>" * 20)


def options():
    parser = argparse.ArgumentParser(prog="bench")
    for name in ("--from", "--to", "--by"):
        parser.add_argument(name, help="what it does")
    parser.parse_args(["--from", "1"])
    parser.format_help()
    configuration = configparser.ConfigParser()
    configuration.read_string("".join(f"[section{n}]\nkey = %(other)s\nother = {n}\n" for n in range(10)))
    [configuration.get(section, "key") for section in configuration.sections()]


def patterns():
    re.purge()
    for pattern in (r"(a|b)*c+\d{2,4}", r"(?P<year>\d+)-(?P<month>\d+)", r"^\s*(\w+)\s*=\s*(.*?)\s*$"):
        re.compile(pattern).findall("key = 2024-11 abc12 " * 20)


def arithmetic():
    sum((fractions.Fraction(1, n) for n in range(1, 30)), fractions.Fraction(0))
    statistics.stdev([1.0, 2.0, 3.5, 4.25] * 5)
    statistics.quantiles(range(100))
    decimal.Decimal("1.1") ** 50


def tables():
    rows = [{"name": f"item {n}", "price": n * 1.25} for n in range(100)]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    list(csv.DictReader(io.StringIO(out.getvalue())))
    json.loads(json.dumps(rows, indent=1, sort_keys=True))


def dates():
    calendar.TextCalendar().formatyear(2024)
    for n in range(20):
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=n)
        datetime.datetime.strptime(day.strftime("%Y-%m-%d"), "%Y-%m-%d")
    string.Template("$a and ${b}").substitute(a=1, b=2)


def archives():
    with zipfile.ZipFile(io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(10):
            archive.writestr(f"file{n}.txt", "content " * 50)
        archive.namelist()


WORKLOADS = (syntax_trees, tokens, differences, printing, documents, options, patterns, arithmetic, tables, dates,
             archives)


def profile(rng):
    """(timestamp, StatsProfile as a dict) of random workloads. The timestamps are within one minute, in six buckets."""
    profiler = cProfile.Profile()
    chosen = rng.sample(WORKLOADS, WORKLOADS_EACH)
    profiler.enable()
    for workload in chosen:
        workload()
    profiler.disable()
    stats = pstats.Stats(profiler).get_stats_profile()
    return 1732272000 + rng.random() * 60, dataclasses.asdict(stats)


def as_list(timestamp, stats):
    functions = [{"func_name": name, **entry} for name, entry in stats["func_profiles"].items()]
    return {"timestamp": timestamp, "profile": {**stats, "func_profiles": functions}}


def shuffled(value, rng):
    if not isinstance(value, dict):
        return value
    names = list(value)
    rng.shuffle(names)
    return {name: shuffled(value[name], rng) for name in names}


def split(timestamp, stats, limit):
    """The messages, each of up to `limit` bytes, into which a profile is split."""
    room = limit - 125  # the rest of the message, around the functions
    groups, size = [[]], 0
    for name, entry in stats["func_profiles"].items():
        text = f"{json.dumps(name)}: {json.dumps(entry)}"
        if size + len(text) + 2 > room and groups[-1]:
            groups.append([])
            size = 0
        groups[-1].append(text)
        size += len(text) + 2
    head = f'{{"timestamp": {json.dumps(timestamp)}, "part": [%d, {len(groups)}], "profile": ' \
           f'{{"total_tt": {json.dumps(stats["total_tt"])}, "func_profiles": {{'
    return [head % n + ", ".join(group) + "}}}" for n, group in enumerate(groups)]


def write(folder, name, messages):
    (folder / f"{name}.jsonl").write_text("".join(f"{message}\n" for message in messages), "ascii")


def main():
    folder = pathlib.Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else PROFILES
    rng = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for workload in WORKLOADS:
        workload()  # imports and caches, so that no profile contains them
    profiles = [profile(rng) for _ in range(count)]
    write(folder, "spaced", map(json.dumps, profiles))
    write(folder, "compact", (json.dumps(one, separators=(",", ":")) for one in profiles))
    write(folder, "list", (json.dumps(as_list(*one)) for one in profiles))
    write(folder, "shuffled", (json.dumps((timestamp, shuffled(stats, rng))) for timestamp, stats in profiles))
    for name, limit in (("datagrams", 60000), ("small", 1400)):
        write(folder, name, (text for one in profiles for text in split(*one, limit)))
    functions = sum(len(stats["func_profiles"]) for _, stats in profiles)
    print(f"{count} profiles, {functions} functions, {functions / count:.0f} each")


if __name__ == "__main__":
    main()
