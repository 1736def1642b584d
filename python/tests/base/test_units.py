"""Durations."""
import unittest

from timesliced.base import units


class Units(unittest.TestCase):
    def test_durations(self):
        for text, seconds in (("10", 10), ("250ms", 0.25), ("1.5h", 5400), ("2d", 172800), ("1w", 604800),
                              ("1y", 31536000), ("1h30m", 5400), ("1m0.5s", 60.5)):
            self.assertEqual(units.seconds(text), seconds)
        for text in ("", "x", "-1s", "1 s", "1e3", "10sec", "30m1h", "1h30", "1h1h"):
            with self.assertRaises(ValueError):
                units.seconds(text)


if __name__ == "__main__":
    unittest.main()
