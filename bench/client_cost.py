"""What sending one profile costs: send() on the application's thread, and all that the package does for it on any thread,
against CPython's own way to the same data (create_stats, Stats, get_stats_profile, asdict, dumps).

CPU time; both in turns in one process, as an application would that has work to do between its profiles; medians. What all
threads took is what the process took, less CPython's own way, once all is delivered. The profile has the default settings
(with subcalls), and each of its functions calls three others. The client talks to the real daemon. getstats() alone is
what no way to read a Profile can do without; the last rows are of a profile that the package took itself, which has no
subcalls.
"""
import cProfile
import dataclasses
import json
import pstats
import statistics
import time

import daemon
import timesliced
from timesliced.taking import capture

SIZES = (130, 1300)
ROUNDS = 15
SENDS = 20  # of a round
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


def own_way(profile):
    profile.create_stats()
    stats = pstats.Stats(profile).get_stats_profile()
    return json.dumps((time.time(), dataclasses.asdict(stats)))


def one_size(client, count):
    profile = profile_of(count)
    theirs, application, total = [], [], []
    for _ in range(ROUNDS):
        whole, own = time.process_time(), 0.0
        for _ in range(SENDS):
            begin = time.thread_time()
            own_way(profile)
            middle = time.thread_time()
            client.send(profile)
            end = time.thread_time()
            theirs.append(middle - begin)
            application.append(end - middle)
            own += middle - begin
        if not client.flush(10):
            raise SystemExit(f"not delivered: {client.stats}")
        total.append((time.process_time() - whole - own) / SENDS)
    return [statistics.median(one) for one in (theirs, application, total)]


def reading(client, count):
    """Of CPython's own way: getstats() alone, and what is done with a profile that the package took."""
    profile, taken = profile_of(count), profile_of(count, False)
    theirs, alone, ours = [], [], []
    kept = []
    for _ in range(ROUNDS * 4):
        times = [time.thread_time()]
        for step in (lambda: own_way(profile), profile.getstats,
                     lambda: client._sender.put(capture.Taken(taken.getstats()), time.time())):
            kept.append(step())
            times.append(time.thread_time())
        del kept[:-3]
        for list_of, begin, end in zip((theirs, alone, ours), times, times[1:]):
            list_of.append(end - begin)
    client.flush(10)
    return [statistics.median(one) for one in (theirs, alone, ours)]


def measure(build):
    rows = []
    with daemon.Daemon(build) as one:
        with timesliced.Client(f"tcp://{one.listeners['tcp']}") as client:
            for count in SIZES:
                theirs, alone, ours = reading(client, count)
                rows.append((f"{count:,} functions: getstats() alone", f"{alone / theirs:.3f} ({alone * 1e6:,.0f} µs)", "",
                             True))
                rows.append((f"{count:,} functions: the end of `client.profile()`, application's thread",
                             f"{ours / theirs:.3f} ({ours * 1e6:,.0f} µs)", "<= 0.1", ours <= theirs * APPLICATION_GOAL))
        for way in ("tcp", "udp"):
            client = timesliced.Client(f"{way}://{one.listeners[way]}")
            for count in SIZES:
                theirs, application, total = one_size(client, count)
                rows.append((f"{count:,} functions, {way}: `send()`, application's thread",
                             f"{application / theirs:.3f} ({application * 1e6:,.0f} µs, CPython's own way "
                             f"{theirs * 1e6:,.0f} µs)", "<= 0.1", application <= theirs * APPLICATION_GOAL))
                rows.append((f"{count:,} functions, {way}: all threads, until it is delivered",
                             f"{total / theirs:.3f} ({total * 1e6:,.0f} µs)", "<= 0.333", total <= theirs * TOTAL_GOAL))
            client.close()
    return rows
