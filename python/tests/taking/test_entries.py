"""Entries of a running profile, while garbage is collected."""
import cProfile
import gc
import unittest

from timesliced.taking import entries


class Garbage:
    """Can only be collected by the garbage collector, and calls functions then."""

    def __init__(self):
        self.me = self

    def __del__(self):
        functions[7](1)
        functions[8](1)


def define(n):
    namespace = {}
    exec(f"def f{n}(x): return x", namespace)  # pylint: disable=exec-used
    return namespace[f"f{n}"]


functions = [define(n) for n in range(300)]


class Entries(unittest.TestCase):
    def test_each_function_once(self):
        expected = {function.__code__ for function in functions}
        for _ in range(400):
            profile = cProfile.Profile()
            profile.enable()
            for function in functions:
                function(1)
            for _ in range(20):
                Garbage()
            found = entries.read(profile)
            profile.disable()
            codes = [entry.code for entry in found if entry.code in expected]
            self.assertEqual(len(codes), 300)
            self.assertEqual(set(codes), expected)

    def test_the_collector_is_left_as_it_was(self):
        profile = cProfile.Profile()
        self.addCleanup(gc.enable)
        for enable in (gc.disable, gc.enable):
            enable()
            before = gc.isenabled()
            entries.read(profile)
            self.assertEqual(gc.isenabled(), before)


if __name__ == "__main__":
    unittest.main()
