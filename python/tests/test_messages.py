"""accept() rejects what the daemon would reject; without this the other tests would prove nothing."""
import unittest

from helpers import BIG, STAMP, encode, small
from messages import accept, stored


class Accept(unittest.TestCase):
    def test_rejects_what_the_daemon_rejects(self):
        good, = encode(small(), STAMP, "", BIG).messages
        accept(good)
        for old, new in ((b'"cumtime": 0.5', b'"cumtime": NaN'), (b'"3/2"', b'"3/4"'),
                         (b'"work"', b'"' + b"x" * 1025 + b'"'), (b'"work"', b'"a\\u0000"'), (b"0.5", b"10000000.1"),
                         (b", ", b",\n"), (b'"3/2"', b'"3/2", "ncalls": "1"')):
            self.assertIn(old, good)
            with self.assertRaises(AssertionError):
                accept(good.replace(old, new, 1) if b"\n" not in new else good.replace(old, new))
        self.assertEqual(stored("\ud800"), "\ufffd".encode())


if __name__ == "__main__":
    unittest.main()
