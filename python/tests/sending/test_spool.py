"""The spool: what an ended process left is delivered once, by one process, however it was interrupted."""
import collections
import errno
import fcntl
import itertools
import json
import os
import random
import signal
import textwrap
import unittest
from unittest import mock

import timesliced
from helpers import PATIENCE, Case, free_port, many_functions, run_python, small, stamps, wait_until
from messages import accept
from receivers import Acked
from timesliced.sending import session, spool


class Files(Case):
    def write(self, name, *lines, end=b""):
        with open(self.path(name), "wb") as file:
            file.write(b"".join(spool._checked(line + b"\n") for line in lines) + end)

    HELLO = b'{"hello": {"client": "one", "labels": {"a": "b"}}}'

    def message(self, n):
        return b'{"seq": %d, "timestamp": %d, "profile": {"func_profiles": []}}' % (n, n)

    def adopted(self):
        found = list(spool.adopt(self.folder))
        for left in found:
            self.addCleanup(left.spool.close)
        return found

    def test_adopt_unacknowledged_messages(self):
        self.write("a.spool", self.HELLO, *map(self.message, range(1, 6)), b'{"ack": 2}', self.message(6),
                   end=b'{"seq": 7, "timest')
        left, = self.adopted()
        self.assertEqual((left.client, left.labels, left.confirmed), ("one", '{"a": "b"}', 2))
        self.assertEqual([seq for seq, _ in left.messages], [3, 4, 5, 6])
        self.assertEqual(spool.message_line(3, left.messages[0][1]), self.message(3) + b"\n")
        left.spool.append(b'{"ack": 6}\n')  # replaces the incomplete line
        left.spool.close()
        self.assertEqual(self.adopted(), [])
        self.assertEqual(os.listdir(self.folder), [])

    def test_adopt_deletes_completed_files(self):
        self.write("acked.spool", self.HELLO, self.message(1), b'{"ack": 1}')
        self.write("hello.spool", self.HELLO)
        self.write("empty.spool")
        self.write("x.spool.1.new", self.HELLO, self.message(1))
        self.write("other.spool", b"not a spool file")
        self.write("notes.txt", b"notes")
        self.assertEqual(self.adopted(), [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["notes.txt", "other.spool"])

    def test_adopt_ignores_locked_files(self):
        mine = spool.Spool.create(self.folder, "two", "")
        mine.append(self.message(1) + b"\n")
        self.assertEqual(self.adopted(), [])
        mine.close()
        self.assertEqual(len(self.adopted()), 1)
        self.assertEqual(self.adopted(), [])

    def test_adopt_file_replaced_during_lock(self):
        self.write("a.spool", self.HELLO, self.message(1))
        real = fcntl.flock

        def replaced(descriptor, how):
            real(descriptor, how)
            if os.path.exists(self.path("a.spool")):
                os.unlink(self.path("a.spool"))
        with mock.patch.object(spool.fcntl, "flock", replaced):
            self.assertEqual(self.adopted(), [])

    def test_rewrite(self):
        one = spool.Spool.create(self.folder, "one", "")
        for n in range(1, 4):
            one.append(self.message(n) + b"\n")
        one.rewrite("two", "", [self.message(1) + b"\n"])
        one.append(self.message(2) + b"\n")
        one.close()
        left, = self.adopted()
        self.assertEqual((left.client, [seq for seq, _ in left.messages]), ("two", [1, 2]))

    def test_disk_full(self):
        one = spool.Spool.create(self.folder, "one", "")
        one.append(self.message(1) + b"\n")
        with mock.patch.object(spool.os, "write", lambda fd, data: os.pwrite(fd, data[:10], one.size)):
            with self.assertRaises(OSError):
                one.append(self.message(2) + b"\n")
        one.append(self.message(3) + b"\n")
        one.close()
        left, = self.adopted()
        self.assertEqual([seq for seq, _ in left.messages], [1, 3])

    def test_truncation_at_every_byte(self):
        lines = (self.HELLO, self.message(1), b'{"ack": 1}', self.message(2))
        whole = b"".join(spool._checked(line + b"\n") for line in lines)
        for end in range(1, len(whole) + 1):
            with open(self.path("t.spool"), "wb") as file:
                file.write(whole[:end])
            found = self.adopted()
            lines = whole[:end].count(b"\n")
            self.assertEqual([seq for left in found for seq, _ in left.messages], {2: [1], 4: [2]}.get(lines, []), end)
            for left in found:
                left.spool.remove()

    def test_damage_at_every_byte(self):
        """Only the damaged line is lost, and every file after it is still read."""
        lines = [spool._checked(line + b"\n") for line in (self.HELLO, *map(self.message, range(1, 4)), b'{"ack": 1}')]
        whole = b"".join(lines)
        for n in range(len(whole)):
            for value in (whole[n] ^ 1, 0xff, 10):
                self.write("b.spool", self.HELLO, self.message(9))
                with open(self.path("a.spool"), "wb") as file:
                    file.write(whole[:n] + bytes([value]) + whole[n + 1:])
                reasons = []
                found = {left.spool.path[-7:]: left for left in spool.adopt(self.folder, reasons.append)}
                self.assertEqual([seq for seq, _ in found["b.spool"].messages], [9])
                if "a.spool" in found:
                    for seq, message in found["a.spool"].messages:
                        self.assertEqual(spool.message_line(seq, message), self.message(seq) + b"\n", n)
                    self.assertLessEqual({2, 3} - {seq for seq, _ in found["a.spool"].messages}, {2, 3})
                if n < len(lines[0]) - 1:
                    self.assertNotIn("a.spool", found)
                if value != whole[n]:
                    self.assertEqual(len(reasons), 0 if n == len(whole) - 1 else 1, (n, reasons))
                for left in found.values():
                    left.spool.close()


class Daemon:
    """What matters of the real one: it commits what it received, in order, and knows the last number of each client."""

    def __init__(self):
        self.last = {}  # client: committed number
        self.counted = collections.Counter()
        self.received = []  # (client, number, message), not committed

    def hello(self, client):
        """Answered once everything received is committed."""
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


class Clients(Case):
    def crash(self, address, text):
        """Runs `text` in a process that then kills itself with SIGKILL."""
        text = "import sys, os, signal, time, timesliced\nfrom helpers import *\n" + textwrap.dedent(text) + (
            "\nos.kill(os.getpid(), signal.SIGKILL)")
        done = run_python("-c", text, address, self.path("spool"))
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGKILL, ""))
        return done.stdout

    SEND = """
        client = timesliced.Client(sys.argv[1], {"service": "web"}, spool=sys.argv[2])
        for i in range(5):
            client.send(small(), i)
        wait_until(lambda: client.stats.spooled == 5)
    """

    def test_application_killed_before_delivery(self):
        port = free_port()
        address = f"tcp://127.0.0.1:{port}"
        self.crash(address, self.SEND)
        self.assertEqual(len(os.listdir(self.path("spool"))), 1)
        client = self.client(address, spool=self.path("spool"))
        server = self.receiver(Acked(port=port))
        wait_until(lambda: client.stats.recovered == 5, lambda: f"{client.stats}")
        self.assertEqual(stamps(server.lines), list(range(5)))
        self.assertEqual(server.hellos[0]["labels"], {"service": "web"})
        wait_until(lambda: not os.listdir(self.path("spool")))
        self.assertEqual(server.byes, [server.hellos[0]["client"]])
        self.assertTrue(client.close(PATIENCE))
        self.assertEqual(len(server.hellos), 1)

    def test_application_killed_before_the_acks(self):
        server = self.receiver(Acked())
        server.acking = False
        self.crash(server.address, self.SEND + "\n        time.sleep(0.3)\n")
        self.assertEqual(len(server.lines), 5)
        server.acking = True
        client = self.client(server.address, spool=self.path("spool"))
        client.send(small(), 9)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(stamps(server.lines), [0, 1, 2, 3, 4, 9])
        self.assertEqual((server.duplicates, server.problems), (0, []))
        self.assertTrue(client.close(PATIENCE))
        self.assertEqual(os.listdir(self.path("spool")), [])
        self.assertEqual(server.memory, {})

    def test_several_clients_adopt_each_file_once(self):
        server = self.receiver(Acked())
        server.acking = False
        for _ in range(4):
            self.crash(f"tcp://127.0.0.1:{free_port()}", self.SEND)
        server.acking = True
        clients = [self.client(server.address, spool=self.path("spool")) for _ in range(3)]
        wait_until(lambda: sum(client.stats.recovered for client in clients) == 20)
        self.assertEqual(sorted(stamps(server.lines)), sorted(list(range(5)) * 4))
        self.assertEqual((server.duplicates, server.problems), (0, []))

    def test_close_before_delivery(self):
        port = free_port()
        client = self.client(f"tcp://127.0.0.1:{port}", spool=self.path("spool"))
        for i in range(3):
            client.send(small(), i)
        self.assertFalse(client.close(0.1))
        self.counts(client, kept=3, spooled=3, dropped=0, queued=0, sent=0)
        server = self.receiver(Acked(port=port))
        again = self.client(server.address, spool=self.path("spool"))
        wait_until(lambda: again.stats.recovered == 3)
        self.assertEqual(stamps(server.lines), [0, 1, 2])

    def test_file_is_removed_after_delivery(self):
        server = self.receiver(Acked(self.path()))
        client = self.client(server.address, spool=self.path("spool"))
        for i in range(20):
            client.send(small(), i)
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, spooled=20, sent=20)
        self.assertTrue(client.close(PATIENCE))
        self.assertEqual(os.listdir(self.path("spool")), [])

    def test_daemon_with_another_database(self):
        """The file is rewritten with the new client id."""
        first = Acked()
        client = self.client(first.address, spool=self.path("spool"))
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        first.close()
        wait_until(lambda: client.stats.errors)
        second = self.receiver(Acked(port=first.port))
        second.acking = False
        client.send(small(), 2)
        wait_until(lambda: second.accepted)
        name, = os.listdir(self.path("spool"))
        with open(self.path(os.path.join("spool", name)), "rb") as file:
            lines = [json.loads(line[9:]) for line in file]  # after the CRC
        self.assertEqual(lines[0]["hello"]["client"], second.accepted[0][0])
        self.assertEqual([line["seq"] for line in lines[1:] if "seq" in line], [1])

    def test_spool_cannot_be_created(self):
        """Profiles are sent nevertheless."""
        with open(self.path("spool"), "w", encoding="ascii"):
            pass
        server = self.receiver(Acked())
        client = self.client(server.address, spool=self.path("spool"))
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, sent=1, spooled=0)
        self.assertIn("spool", client.stats.last_error)

    def test_gap_in_the_file(self):
        """After a kill, its messages are sent with a new client id."""
        port = free_port()
        self.crash(f"tcp://127.0.0.1:{port}", """
            from timesliced.sending import spool
            client = timesliced.Client(sys.argv[1], spool=sys.argv[2])
            real = spool.Spool.append
            def append(one, line):
                if b'"seq": 2,' in line or b'"seq": 4,' in line:
                    raise OSError(28, "full")
                real(one, line)
            spool.Spool.append = append
            for i in range(1, 6):
                client.send(small(), i)
            wait_until(lambda: client.stats.spooled == 3)
        """)
        server = self.receiver(Acked(port=port))
        client = self.client(server.address, spool=self.path("spool"))
        wait_until(lambda: client.stats.recovered == 3, lambda: f"{client.stats}")
        self.assertEqual(stamps(server.lines), [1, 3, 5])
        self.assertEqual([seq for _, seq, _ in server.accepted], [1, 2, 3])
        self.assertEqual(server.problems, [])

    def test_file_size_is_bounded(self):
        server = self.receiver(Acked())
        client = self.client(server.address, spool=self.path("spool"))
        profile = many_functions(400)
        sizes = []
        with mock.patch.object(session, "DEAD_MAX", 200_000):
            for i in range(40):
                client.send(profile, i)
                self.assertTrue(client.flush(PATIENCE))
                name, = (name for name in os.listdir(self.path("spool")) if name.endswith(".spool"))
                sizes.append(os.path.getsize(self.path(os.path.join("spool", name))))
        self.assertLess(max(sizes), 400_000)
        self.assertGreater(len([1 for a, b in zip(sizes, sizes[1:]) if b < a]), 5)
        self.assertEqual(stamps(server.lines), list(range(40)))

    def test_forked_child_has_its_own_file(self):
        server = self.receiver(Acked())
        server.acking = False
        client = self.client(server.address, spool=self.path("spool"))
        client.send(small(), 1)
        wait_until(lambda: client.stats.spooled)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                client.send(small(), 2)
                wait_until(lambda: client.stats.spooled == 1)
                code = 0 if len(os.listdir(self.path("spool"))) == 2 else 2
            finally:
                os._exit(code)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
        server.acking = True
        again = self.client(server.address, spool=self.path("spool"))  # adopts the child's file, not the parent's
        wait_until(lambda: again.stats.recovered == 1)
        client.send(small(), 3)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(sorted(stamps(server.lines)), [1, 2, 3])

    def test_bad_arguments_raise(self):
        for address in ("udp://127.0.0.1:1", "unixgram:///s"):
            with self.assertRaises(ValueError):
                timesliced.Client(address, spool="/tmp")
        with self.assertRaises(TypeError):
            timesliced.Client("tcp://127.0.0.1:1", spool=5)
        self.assertTrue(accept(b'{"timestamp": 1, "profile": {"func_profiles": []}}'))


if __name__ == "__main__":
    unittest.main()
