"""Differences of a running profile, sent at intervals."""
import functools
import os
import sys
import threading
import time
import unittest
from unittest import mock

from helpers import PATIENCE, measured
from messages import accept
from taking.cases import SHARED, Profiling, work
from timesliced.taking import profiler
from timesliced.taking.every import Deltas


class Every(Profiling):
    def test_sum_of_differences_is_the_profile(self):
        def loop():
            nonlocal rounds
            end = time.monotonic() + 0.4
            while time.monotonic() < end:
                work(6)
                rounds += 1
        rounds = 0
        begun = time.time()
        profiling = self.sender.every(0.1)
        self.assertTrue(profiling.running)
        loop()
        profiling.stop()
        total = measured(profile_of(profiling))
        profiling.stop()
        self.assertFalse(profiling.running)
        sums = {}
        for line in self.sent():
            message = accept(line)
            self.assertIs(message["exact"], True)
            self.assertTrue(begun <= message["timestamp"] <= time.time())
            for place, row in message["rows"]:
                self.assertNotIn("timesliced/", place[0])
                sums[place] = tuple(map(sum, zip(sums.get(place, (0, 0, 0, 0)), row)))
        self.assertGreaterEqual(len(self.server.lines), 3)
        for place, row in sums.items():
            self.assertEqual(row, total[place], place)
        self.assertEqual(self.sum_of("step"), rounds * 6)

    def sum_of(self, name):
        return sum(self.calls(name))

    def test_with_block_and_close(self):
        with self.sender.every(3600) as profiling:
            work(5)
            self.assertTrue(profiling.running)
        self.assertEqual(self.calls("step"), [5])
        other = self.client(self.server.address)
        other.every(3600)
        work(4)
        self.assertTrue(other.close(PATIENCE))
        self.assertEqual(self.calls("step"), [5, 4])
        self.assertEqual(other._sender.queue.tickers, [])

    def test_steps_back_beside_another_profiler(self):
        with self.sender.every(3600):
            again = self.sender.every(3600)
            self.assertFalse(again.running)
            again.stop()
            with self.sender.profile():
                work(2)
        self.counts(self.sender, stepped_back=2)
        self.assertEqual(self.calls("step"), [2])

    def test_timestamps_are_multiples_of_the_interval(self):
        with self.sender.every(0.2):
            end = time.monotonic() + 0.9
            while time.monotonic() < end:
                work()
        stamps = [float(accept(line)["timestamp"]) for line in self.sent()]
        self.assertGreaterEqual(len(stamps), 4)
        for stamp in stamps[1:]:
            self.assertLess(stamp % 0.2, 0.1, stamps)

    def test_arguments(self):
        for seconds, error in ((0, ValueError), (-1, ValueError), (1e9, ValueError), ("10", TypeError),
                               (True, TypeError)):
            with self.assertRaises(error):
                self.sender.every(seconds)

    def test_stop_by_another_thread(self):
        """Up to 3.11 the profile of the other thread continues, but is not sent any more."""
        ready, leave = threading.Event(), threading.Event()
        found = []

        def thread():
            found.append(self.sender.every(3600))
            work(9)
            ready.set()
            leave.wait(PATIENCE)
        one = threading.Thread(target=thread)
        one.start()
        ready.wait(PATIENCE)
        def marker(*_):
            return None
        sys.setprofile(marker)
        try:
            found[0].stop()
            if not SHARED:
                self.assertIs(sys.getprofile(), marker)
        finally:
            sys.setprofile(None)
        leave.set()
        one.join()
        self.assertEqual(sum(self.calls("step")), 9)

    def test_entries_twice_or_missing(self):
        """As in a list that is built while the profile changes."""
        codes = [compile("0", f"/app/{name}", "exec") for name in "ab"]

        def entry(code, calls, seconds):
            return (code, calls, 0, seconds, seconds / 2, None)
        deltas, sums = Deltas(), {}
        lists = [[entry(codes[0], 1, 0.5), entry(codes[0], 2, 0.75)], [entry(codes[1], 1, 1.0)],
                 [entry(codes[0], 5, 1.5), entry(codes[1], 1, 1.0)], []]
        for entries in lists:
            for place, row in deltas.take(entries).items():
                sums[place] = tuple(map(sum, zip(sums.get(place, (0, 0, 0, 0)), row)))
        self.assertEqual(sums, {("/app/a", 1, "<module>"): (5, 5, 750_000_000, 1_500_000_000),
                                ("/app/b", 1, "<module>"): (1, 1, 500_000_000, 1_000_000_000)})

    def test_forked_child_has_a_profile_of_its_own(self):
        with self.sender.every(3600):
            work(5)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    work(3)
                    code = 0 if self.sender.close(PATIENCE) and self.sender.stats.sent == 1 else 2
                finally:
                    os._exit(code)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        self.assertEqual(sorted(self.calls("step")), [3, 5])
        self.assertEqual(len(self.server.hellos), 2)


def profile_of(one):
    return one._profiler.profile if one._profiler is not None else cancelled[-1]


cancelled = []


def remember(real):
    @functools.wraps(real)
    def cancel(one):
        cancelled.append(one.profile)
        real(one)
    return cancel


def setUpModule():
    patch = mock.patch.object(profiler.Profiler, "cancel", remember(profiler.Profiler.cancel))
    patch.start()
    unittest.addModuleCleanup(patch.stop)


if __name__ == "__main__":
    unittest.main()
