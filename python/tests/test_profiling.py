"""Taking profiles: blocks, functions, coroutines, processes that run long; beside other profilers; within a budget."""
import asyncio
import cProfile
import functools
import os
import sys
import threading
import time
import unittest
from unittest import mock

import timesliced
from helpers import PATIENCE, Acked, accept, measured
from test_client import Case
from timesliced.sending import unprofiled
from timesliced.taking import budget, profiler
from timesliced.taking.every import Deltas

SHARED = sys.version_info >= (3, 12)


def work(n=3):
    return sum(step(i) for i in range(n))


def step(n):
    return n * n


def rows_by_name(line):
    return {place[2]: row for place, row in accept(line)["rows"]}


class Profiling(Case):
    def setUp(self):
        super().setUp()
        self.assertIsNone(sys.getprofile())
        self.server = self.receiver(Acked())
        self.sender = self.client(self.server.address, {"service": "t"})

    def sent(self):
        self.assertTrue(self.sender.flush(PATIENCE))
        self.assertIsNone(sys.getprofile())
        return self.server.lines

    def calls(self, name, lines=None):
        return [rows_by_name(line).get(name, (0,))[0] for line in (self.sent() if lines is None else lines)]


class Blocks(Profiling):
    def test_block(self):
        with self.sender.profile():
            work(5)
        with self.assertRaises(KeyError), self.sender.profile(labels={"route": "/x"}):
            work(2)
            raise KeyError
        first, second = map(accept, self.sent())
        self.assertEqual(self.calls("step"), [5, 2])
        self.assertEqual(second["labels"], {"service": "t", "route": "/x"})
        names = {place[2] for place, _ in first["rows"]}
        self.assertLessEqual({"work", "step"}, names)
        self.assertFalse([place for place, _ in first["rows"] if "timesliced/" in place[0] or "_lsprof" in place[2]])
        self.assertFalse({"<built-in method time.perf_counter>", "<built-in method sys.getprofile>"} & names, names)

    def test_function(self):
        @self.sender.profiled
        def bare(n):
            """What it does."""
            return work(n)

        @self.sender.profiled(labels={"k": "v"})
        def labelled(n):
            work(n)
            raise ValueError(n)
        self.assertEqual((bare(4), bare.__name__, bare.__doc__), (14, "bare", "What it does."))
        with self.assertRaises(ValueError):
            labelled(2)
        self.assertEqual(self.calls("step"), [4, 2])
        self.assertEqual(accept(self.server.lines[1])["labels"], {"service": "t", "k": "v"})

    def test_method_and_nested(self):
        class Thing:
            @self.sender.profiled
            def outer(self):
                return self.inner()

            @self.sender.profiled
            def inner(self):
                return work(3)
        self.assertEqual(Thing().outer(), 5)
        self.assertEqual(self.calls("step"), [3])  # once: inside the outer one
        self.counts(self.sender, stepped_back=1, dropped=0)

    def test_generators_are_refused(self):
        def generator():
            yield 1

        async def asynchronous():
            yield 1
        for one in (generator, asynchronous):
            with self.assertRaises(TypeError):
                self.sender.profiled(one)

    def test_wrong_labels_cost_the_profile_only(self):
        with self.sender.profile(labels={"route": "x" * 300}):
            work()
        with self.sender.profile(labels={"route": 5}):
            work()
        self.assertTrue(self.sender.flush(PATIENCE))
        self.counts(self.sender, dropped=2, sent=0)
        for more in ({"rate": 0}, {"rate": 1.5}, {"max_overhead": -1}, {"rate": "1"}):
            with self.assertRaises((TypeError, ValueError)):
                self.sender.profiled(**more)


class Others(Profiling):
    """Where another profiler is active."""

    def test_cprofile(self):
        other = cProfile.Profile()
        other.enable()
        try:
            with self.sender.profile():
                work(7)
        finally:
            other.disable()
        self.assertEqual([row[0] for place, row in measured(other).items() if place[2] == "step"], [7])
        self.assertEqual(self.sent(), [])
        self.counts(self.sender, stepped_back=1, dropped=0)

    def test_setprofile(self):
        seen = []
        sys.setprofile(lambda frame, event, arg: seen.append(event))
        try:
            with self.sender.profile():
                work(2)
        finally:
            sys.setprofile(None)
        self.assertGreater(len(seen), 4)
        self.assertEqual(self.sent(), [])
        self.counts(self.sender, stepped_back=1)

    def test_one_that_comes_meanwhile(self):
        """What it does to ours makes ours incomplete: it is not sent. Theirs stays as it is."""
        other = cProfile.Profile()
        with self.sender.profile():
            work(2)
            if SHARED:
                with self.assertRaises(ValueError):  # CPython's own rule
                    other.enable()
            else:
                other.enable()
            work(2)
        if not SHARED:
            self.assertIs(sys.getprofile(), other)
            other.disable()
            self.assertEqual([row[0] for place, row in measured(other).items() if place[2] == "step"], [2])
        self.assertEqual(len(self.sent()), int(SHARED))
        self.counts(self.sender, stepped_back=int(not SHARED))

    def test_afterwards_it_goes_on(self):
        self.test_cprofile()
        with self.sender.profile():
            work(2)
        self.assertEqual(self.calls("step"), [2])

    @unittest.skipUnless(SHARED, "each thread has a profiler of its own")
    def test_threads_that_would_be_mixed(self):
        inside, leave = threading.Event(), threading.Event()

        def other():
            entered = profiler.enter_thread()
            inside.set()
            leave.wait(PATIENCE)
            profiler.leave_thread(entered)
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(PATIENCE)
        with self.sender.profile():  # one is there already
            work()
        self.counts(self.sender, stepped_back=1)
        leave.set()
        thread.join()
        with self.sender.profile():  # one comes
            work()
            thread = threading.Thread(target=lambda: profiler.leave_thread(profiler.enter_thread()))
            thread.start()
            thread.join()
        self.counts(self.sender, stepped_back=2)
        with self.sender.profile():
            work(4)
        self.assertEqual(self.calls("step"), [4])
        self.assertEqual(profiler._busy, {})

    def test_each_thread_by_itself(self):
        def thread():
            for _ in range(10):
                with self.sender.profile():
                    work(3)
        threads = [threading.Thread(target=thread) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        stats = self.sender.stats
        self.assertTrue(self.sender.flush(PATIENCE))
        self.assertEqual(self.sender.stats.sent + stats.stepped_back, 40)
        if not SHARED:
            self.assertEqual(self.calls("step"), [3] * 40)


class Unprofiled(Case):
    def test_the_background_thread_is_not_seen(self):
        """It works all the while; the profiled thread's figures are its own, each call once."""
        server = self.receiver(Acked())
        sender = self.client(server.address)
        self.assertTrue(sender._sender.start())
        profile = cProfile.Profile()
        deadline = time.monotonic() + 0.3

        def outer():
            while time.monotonic() < deadline:
                inner()
                sender.send("/no/such/dump")

        def inner():
            time.sleep(0.0005)
        profile.runcall(outer)
        self.assertGreater(sender.stats.dropped, 5)
        names = [getattr(entry.code, "co_name", entry.code) for entry in profile.getstats()]
        self.assertEqual(names.count("outer"), 1)
        self.assertFalse({"intake", "_encode", "load", "poll", "_datagrams", "_streams"} & set(names))
        by_name = {getattr(entry.code, "co_name", entry.code): entry for entry in profile.getstats()}
        self.assertEqual(by_name["outer"].callcount, 1)
        slept = by_name["<built-in method time.sleep>"]
        self.assertEqual(slept.callcount, by_name["inner"].callcount)
        self.assertGreaterEqual(by_name["inner"].totaltime, slept.totaltime)
        self.assertGreaterEqual(by_name["outer"].totaltime, by_name["inner"].totaltime)

    def test_several_begin_at_once(self):
        ran = []
        start = threading.Barrier(8)

        def one(n):
            start.wait(PATIENCE)
            unprofiled.run_unprofiled(lambda: (time.sleep(0.01), ran.append((n, threading.get_ident()))))
        threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        idents = {n: thread.ident for n, thread in enumerate(threads)}
        for thread in threads:
            thread.join()
        self.assertEqual(dict(ran), idents)
        self.assertEqual(len(ran), 8)
        if SHARED:
            self.assertEqual([sys.monitoring.get_tool(tool) for tool in unprofiled._IDS], [None, None])


class Coroutines(Profiling):
    def test_own_steps_only(self):
        @self.sender.profiled(labels={"who": "one"})
        async def one():
            work(3)
            await asyncio.sleep(0.01)
            work(4)
            return "done"

        async def other():
            for _ in range(20):
                noise()
                await asyncio.sleep(0.001)

        def noise():
            return None

        async def main():
            return await asyncio.gather(one(), other(), one(), one())
        self.assertEqual(asyncio.run(main()), ["done", None, "done", "done"])
        self.assertEqual(self.calls("step"), [7, 7, 7])
        self.assertEqual(self.calls("noise"), [0, 0, 0])
        self.assertEqual(self.calls("one"), [2, 2, 2])  # a call for each resumption
        self.counts(self.sender, stepped_back=0)

    def test_exceptions_and_cancellation_pass(self):
        seen = []

        @self.sender.profiled
        async def catches():
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("cancelled")
                work(5)
                raise

        @self.sender.profiled
        async def raises():
            await asyncio.sleep(0)
            raise KeyError("x")

        async def main():
            task = asyncio.ensure_future(catches())
            await asyncio.sleep(0.01)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            with self.assertRaises(KeyError):
                await raises()
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(catches(), 0.01)
        asyncio.run(main())
        self.assertEqual(seen, ["cancelled"] * 2)
        self.assertEqual(sorted(self.calls("step")), [0, 5, 5])

    def test_one_that_is_dropped(self):
        class Waiting:
            def __await__(self):
                yield

        @self.sender.profiled
        async def waits():
            await Waiting()
        coroutine = waits()
        coroutine.send(None)
        coroutine.close()
        self.assertEqual(self.calls("waits"), [1])

    def test_signature_is_kept(self):
        async def plain(a, *, b=1):
            return a + b
        wrapped = self.sender.profiled(plain)
        self.assertTrue(asyncio.iscoroutinefunction(wrapped) if not SHARED else True)
        self.assertEqual(asyncio.run(wrapped(1, b=2)), 3)
        self.assertIs(wrapped.__wrapped__, plain)


class Every(Profiling):
    def test_deltas_add_up(self):
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
        total = measured(profiling_of(profiling))
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

    def test_with_and_close(self):
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

    def test_steps_back(self):
        with self.sender.every(3600):
            again = self.sender.every(3600)
            self.assertFalse(again.running)
            again.stop()
            with self.sender.profile():
                work(2)
        self.counts(self.sender, stepped_back=2)
        self.assertEqual(self.calls("step"), [2])

    def test_stamps_are_aligned(self):
        """Each delta bears the begin of its interval, which lies on a multiple of it."""
        with self.sender.every(0.2):
            end = time.monotonic() + 0.9
            while time.monotonic() < end:
                work()
        stamps = [float(accept(line)["timestamp"]) for line in self.sent()]
        self.assertGreaterEqual(len(stamps), 4)
        for stamp in stamps[1:]:
            self.assertLess(stamp % 0.2, 0.1, stamps)

    def test_arguments(self):
        for seconds, error in ((0, ValueError), (-1, ValueError), (1e9, ValueError), ("10", TypeError), (True, TypeError)):
            with self.assertRaises(error):
                self.sender.every(seconds)

    def test_from_another_thread(self):
        """It ends what it can: before 3.12 a thread's profiler is that thread's own."""
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

    def test_entries_that_come_twice_or_not_at_all(self):
        """As a list that is made while the tree turns may have them."""
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

    def test_a_child_goes_on_by_itself(self):
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


def profiling_of(one):
    return one._profiler.profile if one._profiler is not None else every_profile[-1]


every_profile = []


def remember(real):
    @functools.wraps(real)
    def cancel(one):
        every_profile.append(one.profile)
        real(one)
    return cancel


def setUpModule():
    patch = mock.patch.object(profiler.Profiler, "cancel", remember(profiler.Profiler.cancel))
    patch.start()
    unittest.addModuleCleanup(patch.stop)


class Budget(unittest.TestCase):
    def test_pays_off_before_the_next(self):
        one = budget.Budget(1.0, 0.05)
        taken = 0
        for _ in range(1000):
            if one.allows():
                taken += 1
                one.profiled(0.014, "a", 0.004)  # of work that takes 10 ms
            else:
                one.worked(0.010, "a")
        self.assertTrue(50 <= taken <= 77, taken)  # 0.6 of 5%

    def test_what_is_seen_counts_where_it_is_more(self):
        one = budget.Budget(1.0, 0.05)
        one.allows()
        one.worked(0.010, "a")
        one.profiled(0.050, "a", 0.004)
        self.assertAlmostEqual(one._spent, 0.040)
        one.profiled(0.050, "unknown", 0.004)
        self.assertAlmostEqual(one._spent, 0.044)
        for n in range(3 * budget.KINDS_MAX):
            one.worked(0.001, str(n))
        self.assertEqual(len(one._usual), budget.KINDS_MAX)

    def test_rate(self):
        one = budget.Budget(0.25)
        self.assertTrue(400 < sum(one.allows() for _ in range(2000)) < 600)

    def test_reckons_something_like_what_it_costs(self):
        costs = budget.calibrate()
        self.assertTrue(1e-8 < costs.call < 2e-5, costs)
        self.assertTrue(0 <= costs.function < 1e-3, costs)
        one = budget.Budget(1.0, 0.05)
        profile = cProfile.Profile(subcalls=False)
        begin = time.perf_counter()
        for _ in range(200):
            work(20)
        plain = time.perf_counter() - begin
        profile.enable()
        begin = time.perf_counter()
        for _ in range(200):
            work(20)
        more = time.perf_counter() - begin - plain
        profile.disable()
        reckoned = one.estimate(profile.getstats(), 1)
        self.assertGreater(reckoned, more / 10)
        self.assertLess(reckoned, max(more, 0.001) * 20)

    def test_beside_another_profiler(self):
        other = cProfile.Profile()
        other.enable()
        try:
            self.assertIsNone(budget.calibrate())
        finally:
            other.disable()

    def test_skipped_ones_are_counted(self):
        client = timesliced.Client("udp://127.0.0.1:9")
        try:
            @client.profiled(max_overhead=0.001)
            def fast():
                return work(50)
            for _ in range(50):
                fast()
            self.assertGreater(client.stats.skipped, 40)
        finally:
            client.close(0)


if __name__ == "__main__":
    unittest.main()
