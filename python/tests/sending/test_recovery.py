"""Clients with a spool: what an ended process left is delivered once, by one process."""
import json
import os
import signal
import textwrap
import unittest
from unittest import mock

import timesliced
from helpers import PATIENCE, Case, free_port, many_functions, run_python, small, stamps, wait_until
from messages import accept
from receivers import Acked
from timesliced.sending import session


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
