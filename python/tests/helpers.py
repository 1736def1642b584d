"""Shared by all tests: profiles to send, waiting, and a base class."""
import cProfile
import os
import pstats
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import timesliced
from messages import accept, to_ns
from timesliced.base import limits
from timesliced.sending.encode import Encoder
from timesliced.taking.capture import capture

PATIENCE = 20  # seconds; only a failing test waits that long
BIG = 10**9  # a message limit that is never reached
STAMP = "1732272009.25"


def wait_until(what, why="timeout"):
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            raise AssertionError(why)
        time.sleep(0.002)


def many_functions(count):
    """A profile of `count` functions, some recursive."""
    names = {}
    source = "".join(f"def made_{i}(n):\n    return n and made_{i}(n - 1)\n" for i in range(count))
    exec(compile(source, "/app/made.py", "exec"), names)
    functions = [names[f"made_{i}"] for i in range(count)]
    profile = cProfile.Profile(builtins=False)
    profile.enable()
    for i, function in enumerate(functions):
        function(i % 3)
    profile.disable()
    return profile


def small(name="work", tottime=0.25):
    """A StatsProfile with one function."""
    one = pstats.FunctionProfile("3/2", tottime, 0.083, 0.5, 0.25, "/app/work.py", 7)
    return pstats.StatsProfile(tottime, {name: one})


def stats_of(entries):
    """A pstats.Stats of {(file, line, name): (primitive, calls, tottime, cumtime)}."""
    stats = pstats.Stats()
    stats.stats = {place: (*row, {}) for place, row in entries.items()}
    return stats


def run_python(*arguments, environment=None, **more):
    """Runs Python with the package and the tests in its path. Returns a CompletedProcess with text output."""
    return subprocess.run([sys.executable, *arguments], check=False, text=True, timeout=3 * PATIENCE,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(environment or {})},
                          **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more})


def labels_json(labels):
    return limits.labels_text(limits.check_labels(labels))


def encode(profile, stamp, labels, limit):
    """labels: JSON. Returns (messages, altered)."""
    return Encoder().encode(capture(profile), stamp, labels, limit)


def measured(profile):
    """The content of a cProfile.Profile by place: {place: (calls, primitive, tottime ns, cumtime ns)}."""
    sums = {}
    for entry in profile.getstats():
        place = ("~", 0, entry.code) if isinstance(entry.code, str) else (
            entry.code.co_filename, entry.code.co_firstlineno, entry.code.co_name)
        row = (entry.callcount, entry.callcount - entry.reccallcount, to_ns(entry.inlinetime), to_ns(entry.totaltime))
        sums[place] = tuple(map(sum, zip(row, sums[place]))) if place in sums else row
    return sums


def rows_by_name(line):
    return {place[2]: row for place, row in accept(line)["rows"]}


def stamps(texts):
    return [int(accept(text)["timestamp"]) for text in texts]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def background_threads():
    return [thread for thread in threading.enumerate() if thread.name == "timesliced"]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ts")
        self.addCleanup(shutil.rmtree, self.folder)
        self.before = descriptors(), len(background_threads())

    def client(self, address, *args, **more):
        client = timesliced.Client(address, *args, **more)
        self.addCleanup(client.close, 0)
        return client

    def receiver(self, one):
        self.addCleanup(one.close)
        return one

    def path(self, name="s"):
        return os.path.join(self.folder, name)

    def counts(self, client, **expected):
        stats = client.stats
        self.assertEqual({name: getattr(stats, name) for name in expected}, expected, stats)
