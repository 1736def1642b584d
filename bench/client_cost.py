"""The cost of sending one profile: send() on the application's thread, and the package's work on all threads, relative
to CPython's conversion of the same profile (create_stats, Stats, get_stats_profile, asdict, dumps).

Medians of CPU time. Both alternate in one process, like in an application that works between its profiles. The time of
all threads is that of the process without CPython's conversion, until everything is delivered. The profile has the
default settings (with subcalls), and each function calls three others. The client sends to the real daemon. Any use of
a Profile needs getstats(), which is listed alone. A profile taken by the package has no subcalls.
"""
import cProfile
import dataclasses
import json
import pstats
import statistics
import time

import daemon
import timesliced
from timesliced.sending.options import make_options
from timesliced.sending.sender import Sender
from timesliced.taking.capture import Taken

SIZES = (130, 1300)
ROUNDS = 15
SENDS = 20  # per round
APPLICATION_GOAL, TOTAL_GOAL = 0.1, 1 / 3


def profile_of(count, subcalls=True):
    source = "".join(f"def function_{i}(depth):\n    if depth:\n"
                     + "".join(f"        function_{(i * 7 + k) % count}(depth - 1)\n" for k in range(3))
                     for i in range(count))
    names = {}
    exec(compile(source, "/usr/lib/app/package/module.py", "exec"), names)
    profile = cProfile.Profile(subcalls=subcalls, builtins=False)
    profile.enable()
    for i in range(count):
        names[f"function_{i}"](i % 3)
    profile.disable()
    assert len(profile.getstats()) == count
    return profile


def convert(profile):
    profile.create_stats()
    stats = pstats.Stats(profile).get_stats_profile()
    return json.dumps((time.time(), dataclasses.asdict(stats)))


def one_size(client, count):
    profile = profile_of(count)
    cpython, application, total = [], [], []
    for _ in range(ROUNDS):
        begun, conversion = time.process_time(), 0.0
        for _ in range(SENDS):
            begin = time.thread_time()
            convert(profile)
            middle = time.thread_time()
            client.send(profile)
            end = time.thread_time()
            cpython.append(middle - begin)
            application.append(end - middle)
            conversion += middle - begin
        if not client.flush(10):
            raise SystemExit(f"not delivered: {client.stats}")
        total.append((time.process_time() - begun - conversion) / SENDS)
    return [statistics.median(one) for one in (cpython, application, total)]


def end_of_block(sender, count):
    """CPython's conversion, getstats() alone, and the end of client.profile()."""
    profile, taken = profile_of(count), profile_of(count, False)
    cpython, alone, package = [], [], []
    kept = []
    for _ in range(ROUNDS * 4):
        times = [time.thread_time()]
        for step in (lambda: convert(profile), profile.getstats,
                     lambda: sender.put(Taken(taken.getstats()), time.time())):
            kept.append(step())
            times.append(time.thread_time())
        del kept[:-3]
        for list_of, begin, end in zip((cpython, alone, package), times, times[1:]):
            list_of.append(end - begin)
    sender.flush(10)
    return [statistics.median(one) for one in (cpython, alone, package)]


def measure(build):
    rows = []

    def add(what, seconds, cpython, goal, more=""):
        rows.append((what, f"{seconds / cpython:.3f} ({seconds * 1e6:,.0f} µs{more})",
                     f"<= {round(goal, 3)}" if goal else "", not goal or seconds <= cpython * goal))

    with daemon.Daemon(build) as one:
        sender = Sender(make_options(f"tcp://{one.listeners['tcp']}", None))
        for count in SIZES:
            cpython, alone, package = end_of_block(sender, count)
            add(f"{count:,} functions: getstats() alone", alone, cpython, None)
            add(f"{count:,} functions: the end of `client.profile()`, application's thread", package, cpython,
                APPLICATION_GOAL)
        sender.close(2)
        for transport in ("tcp", "udp"):
            client = timesliced.Client(f"{transport}://{one.listeners[transport]}")
            for count in SIZES:
                cpython, application, total = one_size(client, count)
                add(f"{count:,} functions, {transport}: `send()`, application's thread", application, cpython,
                    APPLICATION_GOAL, f", CPython alone {cpython * 1e6:,.0f} µs")
                add(f"{count:,} functions, {transport}: all threads, until it is delivered", total, cpython, TOTAL_GOAL)
            client.close()
    return rows
