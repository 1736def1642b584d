"""Sampling rates, and limits on the cost of profiling."""
import cProfile
import time
import unittest

import timesliced
from taking.cases import work
from timesliced.taking import budget


class Budget(unittest.TestCase):
    def test_cost_is_compensated_before_the_next_profile(self):
        one = budget.Budget(1.0, 0.05)
        profiled = 0
        for _ in range(1000):
            if one.allows():
                profiled += 1
                one.profiled(0.014, "a", 0.004)  # unprofiled: 10 ms
            else:
                one.worked(0.010, "a")
        self.assertTrue(50 <= profiled <= 77, profiled)  # AIM of 5%

    def test_observed_cost_counts_if_higher(self):
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

    def test_estimate_is_plausible(self):
        costs = budget.calibrate()
        self.assertTrue(1e-8 < costs.call < 2e-5, costs)
        self.assertTrue(0 <= costs.function < 1e-3, costs)
        one = budget.Budget(1.0, 0.05)

        def run():
            begin = time.thread_time()  # not the wall time: the machine may be busy
            for _ in range(200):
                work(20)
            return time.thread_time() - begin
        plain, profiled = [], []
        for _ in range(3):
            plain.append(run())
            profile = cProfile.Profile(subcalls=False)
            profile.enable()
            profiled.append(run())
            profile.disable()
        more = min(profiled) - min(plain)
        estimate = one.estimate(profile.getstats(), 1)
        self.assertGreater(estimate, more / 10)
        self.assertLess(estimate, max(more, 0.001) * 20)

    def test_calibrate_beside_another_profiler(self):
        other = cProfile.Profile()
        other.enable()
        try:
            self.assertIsNone(budget.calibrate())
        finally:
            other.disable()

    def test_skipped_is_counted(self):
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
