"""Datagrams, and the life of a client: what arrives, what is counted, and that nothing raises or waits."""
import cProfile
import errno
import gc
import os
import pathlib
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest
from decimal import Decimal
from unittest import mock

import timesliced
from helpers import PATIENCE, Acked, Datagrams, accept, many_functions, measured, small, stats_of, wait_until
from timesliced.base.address import parse
from timesliced.sending import encode, sender, transport, worker


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def background_threads():
    return [thread for thread in threading.enumerate() if thread.name == "timesliced"]


def stamps(texts):
    return [int(accept(text)["timestamp"]) for text in texts]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ts")
        self.addCleanup(shutil.rmtree, self.folder)
        self.before = descriptors(), len(background_threads())

    def client(self, address, *args, **more):
        client = timesliced.Client(address, *args, **more)
        self.addCleanup(client.close, 0)
        return client

    def receiver(self, one):
        self.addCleanup(one.close)
        return one

    def path(self, name="s"):
        return os.path.join(self.folder, name)

    def counts(self, client, **expected):
        stats = client.stats
        self.assertEqual({name: getattr(stats, name) for name in expected}, expected, stats)


class Datagram(Case):
    def test_arrives(self):
        receivers = [Datagrams(), Datagrams(self.path())]
        if socket.has_ipv6:
            receivers.append(Datagrams(where=("::1", 0)))
        for receiver in receivers:
            self.receiver(receiver).read()
            client = self.client(receiver.address, {"service": "web"})
            before = time.time()
            self.assertTrue(client.send(small("_now")))
            self.assertTrue(client.send(small("_then"), 1732272009.25))
            self.assertTrue(client.flush(PATIENCE))
            wait_until(lambda: len(receiver.got) == 2)
            now, then = map(accept, receiver.got)
            self.assertTrue(before <= now["timestamp"] <= time.time())
            self.assertEqual(str(then["timestamp"]), "1732272009.25")
            self.assertEqual(then["labels"], {"service": "web"})
            self.assertEqual(then["rows"], [(("/app/work.py", 7, "_then"), (3, 2, 250_000_000, 500_000_000))])
            self.counts(client, sent=2, dropped=0, queued=0, errors=0, rejected=0, altered=0, last_error=None)

    def whole(self, receiver, profile, **more):
        client = self.client(receiver.address, **more)
        self.assertTrue(client.send(profile, 1000))
        self.assertTrue(client.flush(PATIENCE))
        count = accept(receiver.got[0])["part"][1]
        wait_until(lambda: len(receiver.got) == count, lambda: f"{len(receiver.got)} of {count}")
        parts = sorted(map(accept, receiver.got), key=lambda part: part["part"])
        self.assertEqual([part["part"] for part in parts], [[i, count] for i in range(count)])
        self.assertEqual({part["timestamp"] for part in parts}, {1000})
        rows = [row for part in parts for row in part["rows"]]
        self.assertEqual(dict(rows), measured(profile))
        self.assertGreaterEqual(len(rows), 5000)  # from 3.12 on, what another thread calls meanwhile is profiled too
        self.counts(client, sent=1, errors=0)
        return max(map(len, receiver.got))

    def slowly(self):
        """A reader in this very process may be kept from reading for longer than the daemon would be."""
        patch = mock.patch.object(transport, "RATE", 1e6)
        patch.start()
        self.addCleanup(patch.stop)

    def test_5000_functions_by_udp(self):
        """Through a receive buffer of the kernel's usual size, that several bursts would overflow."""
        self.slowly()
        receiver = self.receiver(Datagrams())
        receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 212_992 // 2)
        self.assertEqual(receiver.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 212_992)
        self.assertLessEqual(self.whole(receiver.read(), many_functions(5000)), 65507)

    def test_5000_functions_by_small_datagrams(self):
        self.slowly()
        receiver = self.receiver(Datagrams())
        receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 212_992 // 2)
        self.assertLessEqual(self.whole(receiver.read(), many_functions(5000), max_datagram=1400), 1400)

    def test_5000_functions_to_a_slow_unix_receiver(self):
        self.whole(self.receiver(Datagrams(self.path())).read(pause=0.02), many_functions(5000))

    def test_burst_fits_the_usual_buffer(self):
        """What leaves at once, before the pace sets in, waits in a buffer nobody reads."""
        now = [100.0]
        with mock.patch.object(transport.time, "monotonic", lambda: now[0]):
            pace = transport.Pace(transport.BURST, transport.RATE)
            with Datagrams().socket as receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 212_992 // 2)
                receiver.setblocking(False)
                for size in (65507, 1400):
                    sent = got = 0
                    now[0] += 3600
                    while pace.take(size + transport.OVERHEAD) == 0:
                        sender.sendto(b"x" * size, receiver.getsockname())
                        sent += 1
                    with self.assertRaises(BlockingIOError):
                        while True:
                            receiver.recv(65536)
                            got += 1
                    self.assertGreater(sent, 0)
                    self.assertEqual(got, sent)

    def test_pace_holds_the_rate(self):
        now = [0.0]
        with mock.patch.object(transport.time, "monotonic", lambda: now[0]):
            pace = transport.Pace(100, 1000)
            for _ in range(50):
                now[0] += pace.take(60)
            self.assertAlmostEqual(now[0], (50 * 60 - 100) / 1000)
            now[0] += 10  # an idle time saves up no more than one burst
            self.assertEqual(pace.take(100), 0)
            self.assertAlmostEqual(pace.take(100), 0.1)

    def test_udp_where_nobody_listens(self):
        closed = Datagrams()
        closed.close()
        client = self.client(closed.address)
        for i in range(5):
            self.assertTrue(client.send(small(), i))
        self.assertTrue(client.flush(PATIENCE))  # the kernel took them
        stats = client.stats
        self.assertEqual((stats.sent, stats.dropped), (5, 0))
        self.assertGreaterEqual(stats.errors, 1)
        self.assertIn("refused", stats.last_error)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:  # and somebody comes
            late.bind(("127.0.0.1", parse(closed.address).port))
            late.settimeout(PATIENCE)
            self.assertTrue(client.send(small(), 77))
            self.assertEqual(stamps([late.recv(65536)]), [77])

    def test_a_late_refusal_costs_no_other_datagram(self):
        """From another machine it comes when the next datagram is about to leave, and keeps that one from leaving."""
        host = mock.Mock()
        link = transport.Udp(parse("udp://10.0.0.1:1"), host)
        link.sock = mock.Mock()
        link.sock.send.side_effect = [ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 5]
        link.sock.getsockopt.return_value = 0
        link.send(b"12345")
        self.assertEqual(link.sock.send.call_args_list, [mock.call(b"12345")] * 2)
        host.failed.assert_called_once_with("Connection refused")

    def test_udp_refusals_go_round_the_addresses_of_a_name(self):
        receiver = self.receiver(Datagrams()).read()
        port = parse(receiver.address).port
        found = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.2", port)),
                 (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port))]
        with mock.patch.object(transport.socket, "getaddrinfo", lambda *_, **__: list(found)):
            client = self.client(f"udp://daemon.example:{port}")
            for i in range(3):
                client.send(small(), i)
                self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: len(receiver.got) == 2)
        self.assertEqual(stamps(receiver.got), [1, 2])
        self.counts(client, errors=1)

    def test_a_name_that_does_not_resolve_yet(self):
        receiver = self.receiver(Datagrams()).read()
        where = ("127.0.0.1", parse(receiver.address).port)
        answers = [socket.gaierror(socket.EAI_AGAIN, "try again"), [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", where)]]

        def lookup(*_, **__):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        with mock.patch.object(transport.socket, "getaddrinfo", lookup):
            client = self.client("udp://daemon.example:1")
            self.assertTrue(client.send(small(), 5))
            self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: receiver.got)
        self.counts(client, sent=1, errors=1, last_error="try again")

    def test_localhost_is_ipv4_first(self):
        found = [(socket.AF_INET6, 0, 0, "", "v6"), (socket.AF_INET, 0, 0, "", "v4")]
        with mock.patch.object(transport.socket, "getaddrinfo", lambda *_, **__: list(found)):
            self.assertEqual([where for _, where in transport._resolve(parse("udp://localhost:1"), 2)], ["v4", "v6"])
            self.assertEqual([where for _, where in transport._resolve(parse("udp://a.example:1"), 2)], ["v6", "v4"])

    def test_too_long_for_the_kernel(self):
        receiver = self.receiver(Datagrams()).read()
        client = self.client(receiver.address)
        with mock.patch.object(encode.Encoder, "encode", return_value=encode.Encoded([b"x" * 70_000], 0)):
            self.assertTrue(client.send(small()))
            self.assertFalse(client.flush(PATIENCE))
        self.assertTrue(client.flush(PATIENCE))  # told once
        self.counts(client, sent=0, dropped=1, queued=0, errors=1)
        self.assertIn("70000", client.stats.last_error)
        client.send(small(), 3)
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: receiver.got)
        self.assertEqual(stamps(receiver.got), [3])
        self.assertEqual(accept(receiver.got[0])["dropped"], 1)

    def test_unix_receiver_replaced(self):
        first = Datagrams(self.path())
        client = self.client(first.address)
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        first.close()
        os.unlink(self.path())
        client.send(small(), 2)
        self.assertFalse(client.flush(0.05))
        second = self.receiver(Datagrams(self.path())).read()
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: second.got)
        self.assertEqual(stamps(second.got), [2])

    def test_a_failure_between_parts_repeats_none(self):
        for receiver in (Datagrams(), Datagrams(self.path())):
            self.receiver(receiver).read()
            kind = transport.Udp if receiver.address.startswith("udp") else transport.UnixDatagrams
            real, calls = kind.send, []

            def send(link, message):
                calls.append(len(message))
                if len(calls) in (3, 4, 8):
                    raise OSError(errno.ENETUNREACH, "unreachable")
                real(link, message)
            with mock.patch.object(kind, "send", send):
                client = self.client(receiver.address, max_datagram=5000)
                client.send(many_functions(300), 1)
                self.assertTrue(client.flush(PATIENCE))
            wait_until(lambda: len(receiver.got) >= len(calls) - 3)
            parts = [accept(text)["part"] for text in receiver.got]
            self.assertEqual(parts, [[i, len(parts)] for i in range(len(parts))])
            self.counts(client, sent=1, dropped=0, errors=3, last_error="unreachable")

    def test_unix_receiver_comes_late(self):
        client = self.client(f"unixgram://{self.path()}")
        self.assertTrue(client.send(small(), 4))
        self.assertFalse(client.flush(0.1))
        self.assertGreaterEqual(client.stats.errors, 1)
        receiver = self.receiver(Datagrams(self.path())).read()
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: receiver.got)
        self.assertEqual(stamps(receiver.got), [4])


class Life(Case):
    def test_nothing_is_opened_before_the_first_send(self):
        client = self.client("tcp://daemon.invalid:1")
        self.assertTrue(client.flush(0))
        self.assertEqual((descriptors(), len(background_threads())), self.before)
        self.assertTrue(client.close())

    def test_everything_is_given_back(self):
        receiver = self.receiver(Acked())
        before = descriptors()
        for end in ("close", "with", "forgotten"):
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
        wait_until(lambda: len(receiver.lines) == 3)  # the forgotten one's too
        self.assertEqual(len(receiver.byes), 3)
        for reader in receiver.readers:
            reader.join()
        self.assertEqual(descriptors(), before)

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

    def test_after_the_close(self):
        receiver = self.receiver(Datagrams())
        client = self.client(receiver.address)
        self.assertTrue(client.close())
        self.assertFalse(client.send(small()))
        self.counts(client, sent=0, dropped=1, last_error="the client is closed")
        self.assertTrue(client.flush(0))

    def test_close_gives_up_in_time(self):
        client = self.client(f"tcp://127.0.0.1:{free_port()}")
        client.send(small())
        client.send(small())
        self.assertFalse(client.close(0.1))
        self.counts(client, sent=0, dropped=2, queued=0)
        wait_until(lambda: len(background_threads()) == self.before[1])

    def test_close_while_a_name_is_looked_up(self):
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
        self.counts(client, dropped=1, queued=0, sent=0)  # not counted twice, and not sent after all
        receiver.socket.setblocking(False)
        self.assertRaises(BlockingIOError, receiver.socket.recv, 1)

    def test_flush_waits_only_for_what_was_before_it(self):
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

    def test_threads(self):
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

    def test_signal_handlers_may_send(self):
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

    def test_a_send_in_the_middle_of_a_send(self):
        """A signal handler at the worst places: each profile once, one thread, and the counts right."""
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

    def test_a_mistake_costs_one_profile(self):
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

    def test_no_thread_to_be_had(self):
        client = self.client("udp://127.0.0.1:9")
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError("can't start new thread")):
            self.assertFalse(client.send(small()))
        self.counts(client, dropped=1)
        self.assertIn("can't start new thread", client.stats.last_error)
        self.assertTrue(client.send(small()))
        self.assertTrue(client.flush(PATIENCE))

    def test_arguments(self):
        for more, error in (({"max_datagram": 511}, ValueError), ({"max_datagram": 65508}, ValueError),
                            ({"max_datagram": True}, TypeError), ({"max_datagram": 1e3}, TypeError),
                            ({"max_queue": 0}, ValueError), ({"max_queue": "1"}, TypeError),
                            ({"labels": {"a-b": "c"}}, ValueError), ({"labels": {"a": 1}}, TypeError)):
            with self.subTest(more), self.assertRaises(error):
                timesliced.Client(**more)

    def test_send_never_raises(self):
        client = self.client("udp://127.0.0.1:9")
        inner = stats_of({("f", 1, "a"): ("1", 1, 0.5, 0.5)})
        wrong = [((None,), {}), ((small(), "now"), {}), (({},), {}), ((small(), float("nan")), {}), ((small(), 1e12), {}),
                 ((small(),), {"labels": {"a": 1}}), ((small(),), {"labels": 5}), ((b"/tmp/x",), {})]
        for n, (args, more) in enumerate(wrong, 1):
            self.assertFalse(client.send(*args, **more))
            self.counts(client, dropped=n)
            self.assertIsNotNone(client.stats.last_error)
        for n, profile in enumerate((inner, "/no/such/dump", __file__, self.folder), len(wrong) + 1):
            self.assertTrue(client.send(profile))  # it shows only when it is looked at
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

    def test_dropped_ones_are_told_in_the_stream(self):
        port = free_port()
        client = self.client(f"tcp://127.0.0.1:{port}", max_queue=4000)
        taken = dropped = 0
        while dropped < 10:  # the background thread may make room for one more in between
            if client.send(small(), 1):
                taken += 1
            else:
                dropped += 1
        receiver = self.receiver(Acked(port=port))
        self.assertTrue(client.flush(PATIENCE))
        client.send(None)
        client.send(small(), 2)
        client.send(small(), 3)
        self.assertTrue(client.flush(PATIENCE))
        told = [accept(line).get("dropped", 0) for line in receiver.lines]
        self.assertEqual((len(told), sum(told)), (taken + 2, 11))
        self.counts(client, dropped=11, sent=taken + 2)

    def test_environment(self):
        receiver = self.receiver(Acked())
        with mock.patch.dict(os.environ, {"TIMESLICED_ADDRESS": receiver.address,
                                          "TIMESLICED_LABELS": "service=web, region = eu,"}):
            client = self.client(None, {"region": "us"})
            client.send(small(), 1)
            self.assertTrue(client.flush(PATIENCE))
            self.assertEqual(receiver.hellos[0]["labels"], {"service": "web", "region": "us"})
            elsewhere = self.client("udp://127.0.0.1:9")
            self.assertEqual(elsewhere._sender.options.address.scheme, "udp")
        with mock.patch.dict(os.environ, {"TIMESLICED_ADDRESS": "tcp//oops", "TIMESLICED_LABELS": "oops"}):
            with self.assertLogs("timesliced", "WARNING") as logged:
                client = self.client(None)
            self.assertEqual(len(logged.output), 2)
            self.assertFalse(client.send(small(), 1))
            self.assertIn("TIMESLICED_ADDRESS", client.stats.last_error)
            with client.profile():
                pass
            self.assertEqual((client.every(1).running, client.flush(0), client.close()), (False, True, True))

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

    def test_limits(self):
        for address, limit in (("udp://127.0.0.1:1", 65507), ("udp://[::1]:1", 65507), ("udp://localhost:1", 65507),
                               ("unixgram:///s", 65507), ("udp://10.0.0.1:1", 1400), ("udp://daemon.example:1", 1400),
                               ("tcp://10.0.0.1:1", 8 << 20), ("unix:///s", 8 << 20)):
            self.assertEqual(self.client(address)._sender.options.max_message, limit, address)
        self.assertEqual(self.client("udp://10.0.0.1:1", max_datagram=9000)._sender.options.max_message, 9000)

    def test_altered_is_counted(self):
        receiver = self.receiver(Datagrams()).read()
        client = self.client(receiver.address)
        client.send(small("x" * 2000))
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, altered=1)

    def test_profile_may_go_on(self):
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
