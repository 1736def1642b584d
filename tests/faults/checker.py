"""Detects lost, repeated and altered messages from the database and the control socket.

Message s of client c has one function, m<c>_<s mod SPREAD>, in bucket s // SPREAD, with one call and s milliseconds.
So function and bucket identify the message: stored once it has one call and s milliseconds, stored twice it has two
calls, and any other sum was altered. The number of names is limited for any number of messages.
"""
import contextlib
import json
import re
import sqlite3
from decimal import Decimal

SPREAD = 1000
WIDTH = 10  # seconds; of the bucket
BEGIN = 1_000_000  # seconds; the begin of the first bucket
NAME = re.compile(r"m(\d+)_(\d+)")


def profile(client, seq):
    """The members of a message, without seq."""
    seconds = seq / 1000
    return {"timestamp": BEGIN + WIDTH * (seq // SPREAD),
            "profile": {"total_tt": seconds, "func_profiles": {
                f"m{client}_{seq % SPREAD}": {"ncalls": 1, "cumtime": seconds, "tottime": seconds}}}}


def message(client, number, **members):
    return json.dumps({**members, **profile(client, number)}).encode()


class Sent:
    """The messages of a client: numbers up to `last`; `bad` are invalid ones; up to `confirmed` they must be stored."""

    def __init__(self, client):
        self.client = client
        self.last = 0
        self.confirmed = 0
        self.bad = set()

    def good(self, until):
        return set(range(1, until + 1)) - set(self.bad)


def read(connection):
    """Reads the view bucket_totals. Returns ({(client, seq): calls}, problems)."""
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


def verify(path, sent):
    """Returns violations: confirmed messages must be stored, and stored ones valid, sent, and stored once.

    Clients may go on sending: messages confirmed before the database is read must be in it, and messages in it must
    have been sent by the time it has been read.
    """
    confirmed = {client.client: client.confirmed for client in sent}
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
        found, problems = read(connection)
        if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
            problems.append("integrity_check fails")
    of_client = {client.client: set() for client in sent}
    for client, seq in found:
        if client in of_client:
            of_client[client].add(seq)
        else:
            problems.append(f"never sent: message {seq} of client {client}")
    for client in sent:
        stored, bad = of_client[client.client], set(client.bad)
        for violation, numbers in (("lost", client.good(confirmed[client.client]) - stored),
                                   ("stored though invalid", stored & bad),
                                   ("never sent", stored - client.good(client.last) - bad)):
            if numbers:
                problems.append(f"{violation}, of client {client.client}: {sorted(numbers)[:10]}, "
                                f"{len(numbers)} in total")
    return problems


def verify_counters(status):
    """Returns a violation if the counters of an idle daemon do not add up."""
    rejected = sum(n for code, n in status["rejected"].items() if code != "sequence")
    if status["received"] != status["accepted"] + status["duplicates"] + rejected:
        return [f"counters: received {status['received']}, accepted {status['accepted']}, duplicates "
                f"{status['duplicates']}, rejected {status['rejected']}"]
    return []
