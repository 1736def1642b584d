"""The spool: what a process that is gone left there is delivered once, by one process, whatever broke off when."""
import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import unittest
from unittest import mock

import timesliced
from helpers import PATIENCE, Acked, accept, many_functions, small, wait_until
from test_client import Case, free_port, stamps
from timesliced.sending import session, spool


class Files(Case):
    def write(self, name, *lines, end=b""):
        with open(self.path(name), "wb") as file:
            file.write(b"".join(line + b"\n" for line in lines) + end)

    HELLO = b'{"hello": {"client": "one", "labels": {"a": "b"}}}'

    def message(self, n):
        return b'{"seq": %d, "timestamp": %d, "profile": {"func_profiles": []}}' % (n, n)

    def adopted(self):
        found = list(spool.adopt(self.folder))
        for left in found:
            self.addCleanup(left.spool.close)
        return found

    def test_what_is_left(self):
        self.write("a.spool", self.HELLO, *map(self.message, range(1, 6)), b'{"ack": 2}', self.message(6),
                   end=b'{"seq": 7, "timest')
        left, = self.adopted()
        self.assertEqual((left.client, left.labels, left.confirmed), ("one", '{"a": "b"}', 2))
        self.assertEqual([seq for seq, _ in left.messages], [3, 4, 5, 6])
        self.assertEqual(spool.message_line(3, left.messages[0][1]), self.message(3) + b"\n")
        left.spool.append(b'{"ack": 6}\n')  # goes where the torn line was
        left.spool.close()
        self.assertEqual(self.adopted(), [])
        self.assertEqual(os.listdir(self.folder), [])

    def test_what_owes_nothing(self):
        self.write("acked.spool", self.HELLO, self.message(1), b'{"ack": 1}')
        self.write("hello.spool", self.HELLO)
        self.write("empty.spool")
        self.write("x.spool.1.new", self.HELLO, self.message(1))
        self.write("other.spool", b"somebody else's")
        self.write("notes.txt", b"mine")
        self.assertEqual(self.adopted(), [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["notes.txt", "other.spool"])

    def test_locked_ones_are_left_alone(self):
        mine = spool.Spool.create(self.folder, "two", "")
        mine.append(self.message(1) + b"\n")
        self.assertEqual(self.adopted(), [])
        mine.close()
        self.assertEqual(len(self.adopted()), 1)
        self.assertEqual(self.adopted(), [])  # we have it

    def test_one_that_is_replaced_while_it_is_locked(self):
        """The name leads to another file by then: that one is not ours."""
        self.write("a.spool", self.HELLO, self.message(1))
        real = fcntl.flock

        def replaced(descriptor, how):
            real(descriptor, how)
            if os.path.exists(self.path("a.spool")):
                os.unlink(self.path("a.spool"))
        with mock.patch.object(spool.fcntl, "flock", replaced):
            self.assertEqual(self.adopted(), [])

    def test_rewritten_at_once(self):
        one = spool.Spool.create(self.folder, "one", "")
        for n in range(1, 4):
            one.append(self.message(n) + b"\n")
        one.rewrite("two", "", [self.message(1) + b"\n"])
        one.append(self.message(2) + b"\n")
        one.close()
        left, = self.adopted()
        self.assertEqual((left.client, [seq for seq, _ in left.messages]), ("two", [1, 2]))

    def test_no_room(self):
        one = spool.Spool.create(self.folder, "one", "")
        one.append(self.message(1) + b"\n")
        with mock.patch.object(spool.os, "write", lambda fd, data: os.pwrite(fd, data[:10], one.size)):
            with self.assertRaises(OSError):
                one.append(self.message(2) + b"\n")
        one.append(self.message(3) + b"\n")
        one.close()
        left, = self.adopted()
        self.assertEqual([seq for seq, _ in left.messages], [1, 3])

    def test_every_torn_end(self):
        whole = b"".join(line + b"\n" for line in (self.HELLO, self.message(1), b'{"ack": 1}', self.message(2)))
        for end in range(1, len(whole) + 1):
            with open(self.path("t.spool"), "wb") as file:
                file.write(whole[:end])
            found = self.adopted()
            lines = whole[:end].count(b"\n")
            self.assertEqual([seq for left in found for seq, _ in left.messages], {2: [1], 4: [2]}.get(lines, []), end)
            for left in found:
                left.spool.remove()


class Numbers(unittest.TestCase):
    """A session against every answer there can be."""

    def test_greetings(self):
        for sent, confirmed, last_seq in itertools.product(range(4), range(4), range(6)):
            if confirmed > sent:
                continue
            done = []
            one = session.Session("", done.append, self.fail)
            for n in range(1, sent + 1):
                one.add(b'{"n": %d}' % n, n)
            one.acknowledged(confirmed)
            name = one.client
            goes_on = one.greeted(last_seq)
            known = confirmed <= last_seq <= sent
            self.assertEqual(goes_on, known)
            self.assertEqual(one.client == name, known)
            left = list(range((last_seq if known else confirmed) + 1, sent + 1))
            self.assertEqual([message.owner for message in one.waiting], left)
            self.assertEqual([message.seq for message in one.waiting], left if known else list(range(1, len(left) + 1)))
            self.assertEqual(done, list(range(1, (last_seq if known else confirmed) + 1)))


class Clients(Case):
    def crash(self, address, text):
        """A process that ends by SIGKILL, after the text."""
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
        text = "import sys, os, signal, time, timesliced\nfrom helpers import *\n" + textwrap.dedent(text) + (
            "\nos.kill(os.getpid(), signal.SIGKILL)")
        done = subprocess.run([sys.executable, "-c", text, address, self.path("spool")], env=environment, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=3 * PATIENCE)
        self.assertEqual((done.returncode, done.stderr), (-signal.SIGKILL, ""))
        return done.stdout

    SEND = """
        client = timesliced.Client(sys.argv[1], {"service": "web"}, spool=sys.argv[2])
        for i in range(5):
            client.send(small(), i)
        wait_until(lambda: client.stats.spooled == 5)
    """

    def test_a_killed_application(self):
        port = free_port()
        address = f"tcp://127.0.0.1:{port}"
        self.crash(address, self.SEND)
        self.assertEqual(len(os.listdir(self.path("spool"))), 1)
        client = self.client(address, spool=self.path("spool"))  # sends nothing of its own
        server = self.receiver(Acked(port=port))
        wait_until(lambda: client.stats.recovered == 5, lambda: f"{client.stats}")
        self.assertEqual(stamps(server.lines), list(range(5)))
        self.assertEqual(server.hellos[0]["labels"], {"service": "web"})
        wait_until(lambda: not os.listdir(self.path("spool")))
        self.assertEqual(server.byes, [server.hellos[0]["client"]])
        self.assertTrue(client.close(PATIENCE))
        self.assertEqual(len(server.hellos), 1)

    def test_killed_with_what_the_daemon_has_taken(self):
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

    def test_two_at_once(self):
        """Each file is one process's."""
        server = self.receiver(Acked())
        server.acking = False
        for _ in range(4):
            self.crash(f"tcp://127.0.0.1:{free_port()}", self.SEND)
        server.acking = True
        clients = [self.client(server.address, spool=self.path("spool")) for _ in range(3)]
        wait_until(lambda: sum(client.stats.recovered for client in clients) == 20)
        self.assertEqual(sorted(stamps(server.lines)), sorted(list(range(5)) * 4))
        self.assertEqual((server.duplicates, server.problems), (0, []))

    def test_closed_before_it_is_delivered(self):
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

    def test_delivered_at_once(self):
        server = self.receiver(Acked(self.path()))
        client = self.client(server.address, spool=self.path("spool"))
        for i in range(20):
            client.send(small(), i)
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, spooled=20, sent=20)
        self.assertTrue(client.close(PATIENCE))
        self.assertEqual(os.listdir(self.path("spool")), [])

    def test_a_daemon_that_has_forgotten(self):
        """The file follows the new name at once."""
        first = Acked()
        client = self.client(first.address, spool=self.path("spool"))
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        first.close()
        wait_until(lambda: client.stats.errors)
        second = self.receiver(Acked(port=first.port))
        second.acking = False
        client.send(small(), 2)
        wait_until(lambda: second.taken)
        name, = os.listdir(self.path("spool"))
        with open(self.path(os.path.join("spool", name)), "rb") as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual(lines[0]["hello"]["client"], second.taken[0][0])
        self.assertEqual([line["seq"] for line in lines[1:] if "seq" in line], [1])

    def test_no_spool_to_be_had(self):
        """It is sent all the same."""
        with open(self.path("spool"), "w", encoding="ascii"):
            pass
        server = self.receiver(Acked())
        client = self.client(server.address, spool=self.path("spool"))
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, sent=1, spooled=0)
        self.assertIn("spool", client.stats.last_error)

    def test_room_ends_in_the_middle(self):
        """A hole in the file: after a kill, what is in it counts under another name."""
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
        self.assertEqual([seq for _, seq, _ in server.taken], [1, 2, 3])
        self.assertEqual(server.problems, [])

    def test_it_does_not_grow_without_end(self):
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

    def test_a_forked_child_has_its_own(self):
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
        again = self.client(server.address, spool=self.path("spool"))  # takes the child's, and not the parent's
        wait_until(lambda: again.stats.recovered == 1)
        client.send(small(), 3)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(sorted(stamps(server.lines)), [1, 2, 3])

    def test_arguments(self):
        for address in ("udp://127.0.0.1:1", "unixgram:///s"):
            with self.assertRaises(ValueError):
                timesliced.Client(address, spool="/tmp")
        with self.assertRaises(TypeError):
            timesliced.Client("tcp://127.0.0.1:1", spool=5)
        self.assertTrue(accept(b'{"timestamp": 1, "profile": {"func_profiles": []}}'))


if __name__ == "__main__":
    unittest.main()
