"""Profiles of blocks, functions and coroutines, with and without other profilers."""
import asyncio
import cProfile
import sys
import threading
import unittest

from helpers import PATIENCE, measured
from messages import accept
from taking.cases import SHARED, Profiling, work
from timesliced.taking import profiler


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
            """Docstring."""
            return work(n)

        @self.sender.profiled(labels={"k": "v"})
        def labelled(n):
            work(n)
            raise ValueError(n)
        self.assertEqual((bare(4), bare.__name__, bare.__doc__), (14, "bare", "Docstring."))
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
        self.assertEqual(self.calls("step"), [3])  # only in the profile of outer
        self.counts(self.sender, stepped_back=1, dropped=0)

    def test_generator_functions_raise(self):
        def generator():
            yield 1

        async def asynchronous():
            yield 1
        for one in (generator, asynchronous):
            with self.assertRaises(TypeError):
                self.sender.profiled(one)

    def test_bad_labels_drop_only_the_profile(self):
        with self.sender.profile(labels={"route": "x" * 300}):
            work()
        with self.sender.profile(labels={"route": 5}):
            work()
        self.assertTrue(self.sender.flush(PATIENCE))
        self.counts(self.sender, dropped=2, sent=0)
        for more in ({"rate": 0}, {"rate": 1.5}, {"max_overhead": -1}, {"rate": "1"}):
            with self.assertRaises((TypeError, ValueError)):
                self.sender.profiled(**more)


class OtherProfilers(Profiling):

    def test_active_cprofile(self):
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

    def test_active_setprofile(self):
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

    def test_another_profiler_starts_in_the_block(self):
        """The own profile is incomplete and not sent. The other one is not changed."""
        other = cProfile.Profile()
        with self.sender.profile():
            work(2)
            if SHARED:
                with self.assertRaises(ValueError):  # raised by CPython
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

    def test_next_block_after_the_other_profiler(self):
        self.test_active_cprofile()
        with self.sender.profile():
            work(2)
        self.assertEqual(self.calls("step"), [2])

    @unittest.skipUnless(SHARED, "each thread has its own profiler")
    def test_concurrent_requests_discard_the_profile(self):
        inside, leave = threading.Event(), threading.Event()

        def other():
            entered = profiler.enter_thread()
            inside.set()
            leave.wait(PATIENCE)
            profiler.leave_thread(entered)
        thread = threading.Thread(target=other)
        thread.start()
        inside.wait(PATIENCE)
        with self.sender.profile():  # another thread is in a request
            work()
        self.counts(self.sender, stepped_back=1)
        leave.set()
        thread.join()
        with self.sender.profile():  # another thread begins a request
            work()
            thread = threading.Thread(target=lambda: profiler.leave_thread(profiler.enter_thread()))
            thread.start()
            thread.join()
        self.counts(self.sender, stepped_back=2)
        with self.sender.profile():
            work(4)
        self.assertEqual(self.calls("step"), [4])
        self.assertEqual(profiler._busy, {})

    def test_threads_have_separate_profiles(self):
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


class Coroutines(Profiling):
    def test_only_own_steps_are_profiled(self):
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
        self.assertEqual(self.calls("one"), [2, 2, 2])  # one call per resumption
        self.counts(self.sender, stepped_back=0)

    def test_exceptions_and_cancellation_pass_through(self):
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

    def test_closed_before_its_end(self):
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


if __name__ == "__main__":
    unittest.main()
