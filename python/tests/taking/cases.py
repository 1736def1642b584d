"""Shared by the tests of taking profiles: functions to profile, and a client with a receiver."""
import sys

from helpers import PATIENCE, Case, rows_by_name
from receivers import Acked

SHARED = sys.version_info >= (3, 12)


def work(n=3):
    return sum(step(i) for i in range(n))


def step(n):
    return n * n


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
