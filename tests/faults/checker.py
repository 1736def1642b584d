"""Lost, doubled, altered: told from the database and the control socket alone, by who knows what was sent.

A message of client c with number s has one function, m<c>_<s mod SPREAD>, in bucket s // SPREAD, with one call and s
milliseconds. So function and bucket name the message: stored once is one call with these milliseconds, stored twice is
two calls, and a sum that mixes messages is no such pair. Names stay few, however many messages there are.
"""
import json
import re
import sqlite3
from decimal import Decimal

SPREAD = 1000
WIDTH = 10  # seconds; of the bucket
BEGIN = 1_000_000  # of the first bucket
NAME = re.compile(r"m(\d+)_(\d+)")


def profile(client, seq):
    """The members of a message, without seq."""
    seconds = seq / 1000
    return {"timestamp": BEGIN + WIDTH * (seq // SPREAD),
            "profile": {"total_tt": seconds, "func_profiles": {
                f"m{client}_{seq % SPREAD}": {"ncalls": 1, "cumtime": seconds, "tottime": seconds}}}}


def text(client, number, **more):
    return json.dumps({**more, **profile(client, number)}).encode()


class Sent:
    """What one client sent: numbers up to `last`, `bad` among them, `confirmed` known to be on stable storage."""

    def __init__(self, client):
        self.client = client
        self.last = 0
        self.confirmed = 0
        self.bad = set()

    def good(self, until):
        return set(range(1, until + 1)) - set(self.bad)


def read(connection):
    """({(client, seq): calls}, problems) of the view that readers may rely on."""
    found, problems = {}, []
    rows = connection.execute("SELECT bucket, width, function, cumtime, tottime, ncalls, pcalls FROM bucket_totals")
    for bucket, width, function, cumtime, tottime, ncalls, pcalls in rows:
        name = NAME.fullmatch(function)
        if not name or width != WIDTH:
            problems.append(f"never sent: {function!r} in a bucket of {width} s")
            continue
        client, low = map(int, name.groups())
        seq = (bucket - BEGIN) // WIDTH * SPREAD + low
        found[client, seq] = ncalls
        exact = [round(Decimal(repr(value)) * 1000) for value in (cumtime, tottime)]
        if exact != [seq * ncalls] * 2 or pcalls != ncalls:
            problems.append(f"altered: message {seq} of client {client} has {cumtime} s, {tottime} s, {ncalls} calls")
        if ncalls != 1:
            problems.append(f"{ncalls} times: message {seq} of client {client}")
    return found, problems


def judge(path, sent):
    """Violations in words: confirmed messages are stored, stored ones were sent and are good, none is there twice.

    The load may go on meanwhile: confirmed before the database is read means stored in it, stored in it means sent by
    the time it has been read.
    """
    confirmed = {client.client: client.confirmed for client in sent}
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        found, problems = read(connection)
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            problems.append("integrity_check fails")
    finally:
        connection.close()
    of_client = {client.client: set() for client in sent}
    for client, seq in found:
        if client in of_client:
            of_client[client].add(seq)
        else:
            problems.append(f"never sent: message {seq} of client {client}")
    for client in sent:
        stored, bad = of_client[client.client], set(client.bad)
        for what, numbers in (("lost", client.good(confirmed[client.client]) - stored), ("stored though bad", stored & bad),
                              ("never sent", stored - client.good(client.last) - bad)):
            if numbers:
                problems.append(f"{what}, of client {client.client}: {sorted(numbers)[:10]}, {len(numbers)} in all")
    return problems


def balance(status):
    """The ledger of an idle daemon, as words where it does not hold."""
    rejected = sum(n for code, n in status["rejected"].items() if code != "sequence")
    if status["received"] != status["accepted"] + status["duplicates"] + rejected:
        return [f"ledger: received {status['received']}, accepted {status['accepted']}, duplicates "
                f"{status['duplicates']}, rejected {status['rejected']}"]
    return []
