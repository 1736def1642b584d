"""Forks, and the end of the process."""
import os
import signal
import textwrap
import threading
import unittest

import timesliced
from helpers import PATIENCE, Case, free_port, many_functions, run_python, small, stamps, wait_until
from receivers import Acked
from timesliced.sending import sender


def in_child(what):
    """Runs what() in a forked child. Returns the exit code: 0 if the result is true; if it is a list, the number of its
    first false member."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(2 * PATIENCE)  # turns a deadlock into a failure
        code = 99
        try:
            found = what()
            found = found if isinstance(found, list) else [found]
            code = 0 if all(found) else 1 + [bool(one) for one in found].index(False)
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Fork(Case):
    def test_parent_and_child_send(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        worker, = [one for one in sender._workers if one.queue is client._sender.queue]
        fds = [*worker.poller._pipe, worker.link.sock.fileno()]

        def closed(descriptor):
            try:
                os.fstat(descriptor)
            except OSError:
                return True
            return False

        def child():
            return [client.stats == timesliced.ClientStats(), *map(closed, fds), client.send(small(), 2),
                    client.flush(PATIENCE), client.stats.sent == 1, client.close(PATIENCE)]
        self.assertEqual(in_child(child), 0)
        client.send(small(), 3)
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: len(receiver.lines) == 3)
        self.assertEqual(sorted(stamps(receiver.lines)), [1, 2, 3])
        self.assertEqual(len(receiver.streams), 2)  # the parent continued with its connection
        # Parent: hello and two messages. Child: hello, message and bye.
        self.assertEqual(sorted(data.count(b"\n") for data in receiver.streams), [3, 3])
        self.assertEqual(len({one["client"] for one in receiver.hellos}), 2)
        self.counts(client, sent=2, errors=0)

    def test_queue_stays_with_the_parent(self):
        receiver = self.receiver(Acked(reading=False))
        client = self.client(receiver.address)
        profile = many_functions(2000)
        for i in range(14):
            client.send(profile, i)
        wait_until(lambda: receiver.connections)
        self.assertGreater(client.stats.queued, 0)
        self.assertEqual(in_child(lambda: client.flush(0) and client.stats.queued == 0 and client.close(PATIENCE)), 0)
        connection, = receiver.connections
        connection.settimeout(PATIENCE)
        with connection.makefile("rb") as lines:
            self.assertIn(b"hello", lines.readline())
            connection.sendall(b'{"hello": {"protocol": 1, "last_seq": 0, "max_message": 1000}}\n')
            self.assertEqual(stamps([lines.readline().rstrip() for _ in range(14)]), list(range(14)))
            connection.sendall(b'{"ack": 14}\n')
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(len(receiver.connections), 1)

    def test_fork_while_another_thread_holds_the_lock(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        held, go = threading.Event(), threading.Event()

        def hold():
            with client._sender.queue.lock:
                held.set()
                go.wait(PATIENCE)
        other = threading.Thread(target=hold)
        other.start()
        try:
            held.wait(PATIENCE)
            self.assertEqual(in_child(lambda: client.send(small(), 2) and client.flush(PATIENCE)), 0)
        finally:
            go.set()
            other.join()
        wait_until(lambda: len(receiver.lines) == 2)

    def test_grandchildren_and_closed_clients(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)

        def grandchild():
            return client.send(small(), 2) and client.flush(PATIENCE)

        def child():
            return client.send(small(), 1) and in_child(grandchild) == 0 and client.flush(PATIENCE)
        self.assertEqual(in_child(child), 0)
        wait_until(lambda: len(receiver.lines) == 2)
        client.close()
        self.assertEqual(in_child(lambda: not client.send(small(), 3) and client.close()), 0)


class Exit(Case):
    def run_text(self, text, *arguments):
        return run_python("-c", textwrap.dedent(text), *arguments)

    def test_queued_profiles_are_sent(self):
        receiver = self.receiver(Acked())
        done = self.run_text("""
            import sys, timesliced
            from helpers import many_functions
            client = timesliced.Client(sys.argv[1])
            profile = many_functions(1000)
            for i in range(5):
                client.send(profile, i)
        """, receiver.address)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        wait_until(lambda: len(receiver.lines) == 5)
        self.assertEqual(stamps(receiver.lines), list(range(5)))

    def test_missing_daemon_does_not_delay_the_exit(self):
        done = self.run_text("""
            import sys, timesliced
            from helpers import small
            clients = [timesliced.Client(sys.argv[1]) for _ in range(5)]
            for client in clients:
                client.send(small())
        """, f"tcp://127.0.0.1:{free_port()}")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_send_after_the_exit_handler_does_not_raise(self):
        done = self.run_text("""
            import atexit, sys
            atexit.register(lambda: print(client.send(small())))  # runs after the handler of the package
            import timesliced
            from helpers import small
            client = timesliced.Client(sys.argv[1])
        """, "udp://127.0.0.1:9")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "False\n", ""))


if __name__ == "__main__":
    unittest.main()
