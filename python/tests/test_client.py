"""Client: send(), flush(), close() and stats; nothing raises or blocks."""
import cProfile
import gc
import os
import pathlib
import signal
import socket
import sys
import threading
import unittest
from decimal import Decimal
from unittest import mock

import timesliced
from helpers import (PATIENCE, Case, background_threads, descriptors, free_port, many_functions, measured, small,
                     stamps, stats_of, wait_until)
from messages import accept
from receivers import Acked, Datagrams
from timesliced.base.address import parse
from timesliced.sending import encode, sender, transport, worker


class Client(Case):
    def test_opens_nothing_before_the_first_send(self):
        client = self.client("tcp://daemon.invalid:1")
        self.assertTrue(client.flush(0))
        self.assertEqual((descriptors(), len(background_threads())), self.before)
        self.assertTrue(client.close())

    def test_close_frees_thread_and_descriptors(self):
        receiver = self.receiver(Acked())
        before = descriptors()
        for end in ("close", "with", "del"):
            client = timesliced.Client(receiver.address)
            if end == "with":
                with client:
                    client.send(small(), 1)
            else:
                client.send(small(), 1)
                if end == "close":
                    self.assertTrue(client.close(PATIENCE))
                    self.assertTrue(client.close(PATIENCE))
            del client
            gc.collect()
            wait_until(lambda: len(background_threads()) == self.before[1])
        wait_until(lambda: len(receiver.lines) == 3)  # also from the client that was not closed
        self.assertEqual(len(receiver.byes), 3)
        for reader in receiver.readers:
            reader.join()
        self.assertEqual(descriptors(), before)

    def test_client_is_dropped_but_still_used(self):
        """Decorated functions, middleware and every() continue to send; the thread ends when they are dropped too."""
        receiver = self.receiver(Acked())

        def work(*_):
            return []
        used = [timesliced.Client(receiver.address).profiled(work),
                timesliced.Client(receiver.address).wsgi(work, max_overhead=None)]
        every = timesliced.Client(receiver.address).every(3600)
        gc.collect()
        work()
        every.stop()
        for n, function in enumerate(used, 2):
            function({}, None)
            wait_until(lambda: len(receiver.lines) == n)
        del used, function, every
        gc.collect()
        wait_until(lambda: len(background_threads()) == self.before[1])
        wait_until(lambda: len(receiver.byes) == 3)

    def test_send_then_close_just_before_the_worker_ends(self):
        """After the worker found the queue empty, and before it checks whether the client is closed."""
        for receiver in (self.receiver(Acked()), self.receiver(Datagrams())):
            client = self.client(receiver.address)
            look, late = worker.Worker.intake, threading.Event()

            def intake(one):
                look(one)
                if not late.is_set():
                    late.set()
                    client.send(small(), 1)
                    client._sender.queue.release(PATIENCE)
            with mock.patch.object(worker.Worker, "intake", intake):
                client._sender.start()
                wait_until(late.is_set)
                self.assertTrue(client.close(PATIENCE))
            self.counts(client, sent=1, dropped=0, last_error=None)

    def test_send_after_close(self):
        receiver = self.receiver(Datagrams())
        client = self.client(receiver.address)
        self.assertTrue(client.close())
        self.assertFalse(client.send(small()))
        self.counts(client, sent=0, dropped=1, last_error="the client is closed")
        self.assertTrue(client.flush(0))

    def test_close_keeps_its_timeout(self):
        client = self.client(f"tcp://127.0.0.1:{free_port()}")
        client.send(small())
        client.send(small())
        self.assertFalse(client.close(0.1))
        self.counts(client, sent=0, dropped=2, queued=0)
        wait_until(lambda: len(background_threads()) == self.before[1])

    def test_close_during_a_name_lookup(self):
        receiver = self.receiver(Datagrams())
        hold = threading.Event()
        self.addCleanup(hold.set)

        def lookup(*_, **__):
            hold.wait(PATIENCE)
            return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", parse(receiver.address).port))]
        with mock.patch.object(transport.socket, "getaddrinfo", lookup):
            client = self.client("udp://daemon.example:1")
            client.send(small())
            wait_until(lambda: background_threads())
            self.assertFalse(client.close(0))
            self.counts(client, dropped=1, queued=0, sent=0)
            hold.set()
            wait_until(lambda: len(background_threads()) == self.before[1])
        self.counts(client, dropped=1, queued=0, sent=0)  # neither counted twice nor sent
        receiver.socket.setblocking(False)
        self.assertRaises(BlockingIOError, receiver.socket.recv, 1)

    def test_flush_waits_only_for_earlier_profiles(self):
        receiver = self.receiver(Datagrams()).read()
        client = self.client(receiver.address)
        stop = threading.Event()

        def busy():
            while not stop.wait(0.0005):
                client.send(small())
        other = threading.Thread(target=busy)
        other.start()
        try:
            for _ in range(20):
                self.assertTrue(client.flush(PATIENCE))
        finally:
            stop.set()
            other.join()

    def test_send_from_several_threads(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)

        def sends(first):
            for i in range(first, first + 50):
                client.send(small(), i)
        threads = [threading.Thread(target=sends, args=(n * 50,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(len(background_threads()), self.before[1] + 1)
        wait_until(lambda: len(receiver.lines) == 400)
        self.assertEqual(sorted(stamps(receiver.lines)), list(range(400)))
        self.counts(client, sent=400)

    def test_send_in_signal_handlers(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        fired = []

        def handler(*_):
            fired.append(client.send(small(), 1))
        before = signal.signal(signal.SIGALRM, handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
            own = 0
            while len(fired) < 100:
                client.send(small(), 2)
                client.flush(PATIENCE)
                own += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: len(receiver.lines) == own + len(fired))
        self.counts(client, sent=own + len(fired), dropped=0)

    def test_send_interrupts_flush(self):
        """As in a signal handler, while flush() looks for the oldest profile."""
        receiver = self.receiver(Acked())
        receiver.acking = False
        client = self.client(receiver.address)
        client.send(small(), 1)
        inner = []

        class Interrupted(dict):
            def __iter__(self):
                found = super().__iter__()
                if not inner:
                    inner.append(client.send(small(), 2))
                return found
        with client._sender.queue.lock:
            client._sender.queue._open = Interrupted(client._sender.queue._open)
        self.assertFalse(client.flush(0.05))
        self.assertEqual(inner, [True])
        receiver.acking = True
        client.send(small(), 3)
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, sent=3, dropped=0, queued=0)

    def test_send_interrupts_send(self):
        """As in a signal handler."""
        receiver = self.receiver(Acked())
        places = ["_start", "_accept"]
        for place in places:
            client = self.client(receiver.address)
            real, inner = getattr(sender.Sender, place), []

            def interrupted(one, *args):
                if not inner:
                    inner.append(client.send(small(), 2))
                return real(one, *args)
            with mock.patch.object(sender.Sender, place, interrupted):
                self.assertTrue(client.send(small(), 1))
            self.assertEqual(inner, [True])
            self.assertTrue(client.flush(PATIENCE))
            self.counts(client, sent=2, dropped=0, queued=0)
            self.assertEqual(client._sender.room(), client._sender.options.max_queue)
            self.assertTrue(client.close(PATIENCE))
            self.assertEqual(len(background_threads()), self.before[1])
        wait_until(lambda: len(receiver.lines) == 2 * len(places))
        self.assertEqual(sorted(stamps(receiver.lines)), [1, 1, 2, 2])

    def test_bug_loses_only_one_profile(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        with mock.patch.object(encode.Encoder, "encode", side_effect=ZeroDivisionError("oops")):
            client.send(small(), 1)
            self.assertFalse(client.flush(PATIENCE))
        self.counts(client, dropped=1, errors=1, last_error="ZeroDivisionError: oops")
        client.send(small(), 2)
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: receiver.lines)
        self.assertEqual(stamps(receiver.lines), [2])

    def test_thread_cannot_start(self):
        client = self.client("udp://127.0.0.1:9")
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
            self.assertFalse(client.send(small()))
        self.counts(client, dropped=1)
        self.assertIn("can't start new thread", client.stats.last_error)
        self.assertTrue(client.send(small()))
        self.assertTrue(client.flush(PATIENCE))

    def test_send_never_raises(self):
        client = self.client("udp://127.0.0.1:9")
        inner = stats_of({("f", 1, "a"): ("1", 1, 0.5, 0.5)})
        wrong = [((None,), {}), ((small(), "now"), {}), (({},), {}), ((small(), float("nan")), {}),
                 ((small(), 1e12), {}), ((small(),), {"labels": {"a": 1}}), ((small(),), {"labels": 5}),
                 ((b"/tmp/x",), {})]
        for n, (args, more) in enumerate(wrong, 1):
            self.assertFalse(client.send(*args, **more))
            self.counts(client, dropped=n)
            self.assertIsNotNone(client.stats.last_error)
        for n, profile in enumerate((inner, "/no/such/dump", __file__, self.folder), len(wrong) + 1):
            self.assertTrue(client.send(profile))  # detected by the background thread
            self.assertFalse(client.flush(PATIENCE))
            self.counts(client, dropped=n, sent=0, queued=0)

    def test_dumps(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        profile = many_functions(30)
        profile.dump_stats(self.path())
        os.utime(self.path(), (1000, 1000.25))
        self.assertTrue(client.send(self.path()))
        self.assertTrue(client.send(pathlib.Path(self.path()), 2000))
        self.assertTrue(client.flush(PATIENCE))
        first, second = map(accept, receiver.lines)
        self.assertEqual((first["timestamp"], second["timestamp"]), (Decimal("1000.25"), 2000))
        self.assertEqual(dict(first["rows"]), measured(profile))
        self.assertEqual(first["rows"], second["rows"])

    def test_labels_of_one_profile(self):
        for receiver in (Acked(), Acked(self.path())):
            self.receiver(receiver)
            client = self.client(receiver.address, {"service": "web", "region": "eu"})
            client.send(small(), 1)
            client.send(small(), 2, labels={"route": "/", "region": "us"})
            self.assertTrue(client.flush(PATIENCE))
            plain, labelled = map(accept, receiver.lines)
            self.assertNotIn("labels", plain)
            self.assertEqual(receiver.hellos[0]["labels"], {"service": "web", "region": "eu"})
            self.assertEqual(labelled["labels"], {"service": "web", "region": "us", "route": "/"})

    def test_dropped_profiles_are_reported_to_the_daemon(self):
        port = free_port()
        client = self.client(f"tcp://127.0.0.1:{port}", max_queue=4000)
        queued = dropped = 0
        while dropped < 10:  # the background thread may make room for one more in between
            if client.send(small(), 1):
                queued += 1
            else:
                dropped += 1
        receiver = self.receiver(Acked(port=port))
        self.assertTrue(client.flush(PATIENCE))
        client.send(None)
        client.send(small(), 2)
        client.send(small(), 3)
        self.assertTrue(client.flush(PATIENCE))
        reported = [accept(line).get("dropped", 0) for line in receiver.lines]
        self.assertEqual((len(reported), sum(reported)), (queued + 2, 11))
        self.counts(client, dropped=11, sent=queued + 2)

    def test_off(self):
        client = self.client("off")
        ran = []

        @client.profiled
        def work():
            ran.append(sys.getprofile())
        work()
        with client.profile():
            work()
        self.assertEqual(ran, [sys.getprofile()] * 2)
        self.assertFalse(client.send(small()))
        self.counts(client, sent=0, errors=0)
        self.assertEqual((descriptors(), len(background_threads())), self.before)

    def test_altered_is_counted(self):
        receiver = self.receiver(Datagrams()).read()
        client = self.client(receiver.address)
        client.send(small("x" * 2000))
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, altered=1)

    def test_profile_may_continue_to_run(self):
        receiver = self.receiver(Datagrams()).read()
        client = self.client(receiver.address)
        profile = cProfile.Profile()
        profile.enable()
        try:
            client.send(profile, 1)
            client.send(profile, 2)
        finally:
            profile.disable()
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: len(receiver.got) == 2)
        first, second = (dict(accept(text)["rows"]) for text in receiver.got)
        self.assertTrue(set(first) < set(second))


if __name__ == "__main__":
    unittest.main()
