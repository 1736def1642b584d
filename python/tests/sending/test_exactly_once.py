"""Sessions with a spool against a model of the daemon: crashes of both sides in any order."""
import collections
import errno
import itertools
import os
import random
import unittest
from unittest import mock

from helpers import Case
from timesliced.sending import session, spool


class Daemon:
    """A model of the daemon: commits what it received, in order, and stores the last number of each client."""

    def __init__(self):
        self.last = {}  # client: committed number
        self.counted = collections.Counter()
        self.received = []  # (client, number, message), not committed

    def hello(self, client):
        """Returns last_seq, after a commit of everything received."""
        self.commit()
        return self.last.get(client, 0)

    def receive(self, client, number, message):
        known = max([self.last.get(client, 0), *(seq for name, seq, _ in self.received if name == client)])
        assert number <= known + 1, "a gap is rejected"
        if number == known + 1:
            self.received.append((client, number, message))

    def commit(self):
        for client, number, message in self.received:
            self.counted[message] += 1
            self.last[client] = number
        self.received = []

    def kill(self):
        self.received = []


class Process:
    """A sending process: one session with a spool, or one that delivers what an ended process left."""

    def __init__(self, daemon, folder, leftover=None):
        self.daemon = daemon
        self.session = session.Session("", lambda owner: None, lambda reason: None)
        if leftover is None:
            self.session.spool = spool.Spool.create(folder, self.session.client, "")
        else:
            self.session.resume(leftover, None)
        self.sent = None  # number; None: not connected

    def send(self):
        while self.sent is None:
            last = self.daemon.hello(self.session.client)
            if self.session.greeted(last):
                self.sent = last
        for message in self.session.following(self.sent):
            self.daemon.receive(self.session.client, message.seq, message.text)
            self.sent = message.seq

    def acknowledge(self):
        if self.sent is not None:
            last = self.daemon.last.get(self.session.client, 0)
            self.session.acknowledged(min(last, self.sent))

    def kill(self):
        self.session.spool.close()


class ExactlyOnce(Case):
    """Each message in the spool is counted once and every other one at most once, whatever happens in which order."""

    EVENTS = "put full send half commit ack process daemon".split()

    def play(self, events):
        daemon, spooled, full, number = Daemon(), [], [], 0
        process = Process(daemon, self.folder)
        real = spool.os.write
        for event in events:
            if event in ("put", "full", "half"):
                number += 1
                text = b'{"n": %d}' % number
                size = {"put": 1 << 20, "full": 0, "half": 5}[event]

                def write(descriptor, data):
                    written = real(descriptor, data[:size])
                    if not written:
                        raise OSError(errno.ENOSPC, "no space")
                    return written
                with mock.patch.object(spool.os, "write", write):
                    (spooled if process.session.add(text, None) else full).append(text)
            elif event == "send":
                process.send()
            elif event == "commit":
                daemon.commit()
            elif event == "ack":
                process.acknowledge()
            elif event == "process":
                process.kill()
                process = Process(daemon, self.folder)
                # What it finds it delivers before its own; it may be killed before or after that.
                for leftover in spool.adopt(self.folder):
                    if number % 2:
                        left = Process(daemon, self.folder, leftover)
                        left.send()
                        left.kill()
                    else:
                        leftover.spool.close()
            else:
                daemon.kill()
                process.sent = None
        process.kill()
        for leftover in list(spool.adopt(self.folder)):
            last = Process(daemon, self.folder, leftover)
            last.send()
            daemon.commit()
            last.acknowledge()
            self.assertFalse(last.session.waiting)
            last.session.remove_spool()
        daemon.commit()
        self.assertEqual({text: daemon.counted[text] for text in spooled}, {text: 1 for text in spooled}, events)
        self.assertLessEqual(max([daemon.counted[text] for text in full], default=0), 1, events)
        self.assertEqual([name for name in os.listdir(self.folder) if name.endswith(spool.SUFFIX)], [])

    def test_sent_beyond_a_full_spool(self):
        self.play("put put full full send commit process".split())

    def test_hole_in_the_spool(self):
        self.play("put full put send process".split())
        self.play("put full put daemon send process daemon".split())

    def test_all_interleavings(self):
        for n in range(1, 5):
            for events in itertools.product(self.EVENTS, repeat=n):
                self.play(events)

    def test_random_interleavings(self):
        chosen = random.Random(7)
        for _ in range(600):
            self.play(chosen.choices(self.EVENTS, k=chosen.randint(5, 25)))


if __name__ == "__main__":
    unittest.main()
