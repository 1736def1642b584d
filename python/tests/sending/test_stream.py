"""Acknowledged streams: each profile is counted once, whatever the daemon does; bye at the end."""
import json
import socket
import threading
import time
import unittest
from unittest import mock

import timesliced
from helpers import PATIENCE, Case, free_port, many_functions, measured, small, stamps, wait_until
from messages import accept
from receivers import Acked, Lines
from timesliced.base.address import parse
from timesliced.sending import stream, transport, worker


class Stream(Case):
    def receivers(self, **more):
        return [self.receiver(Acked(**more)), self.receiver(Acked(self.path(), **more))]

    def test_in_order_on_one_connection(self):
        for receiver in self.receivers():
            client = self.client(receiver.address)
            for i in range(100):
                self.assertTrue(client.send(small(), i))
            self.assertTrue(client.flush(PATIENCE))
            self.assertEqual(stamps(receiver.lines), list(range(100)))
            self.assertEqual([seq for _, seq, _ in receiver.accepted], list(range(1, 101)))
            self.assertEqual(len(receiver.streams), 1)
            self.counts(client, sent=100, dropped=0, queued=0, errors=0)
            self.assertTrue(client.close(PATIENCE))
            self.assertEqual(receiver.byes, [receiver.hellos[0]["client"]])
            self.assertEqual(receiver.memory, {})

    def test_large(self):
        profile = many_functions(5000)
        for receiver in self.receivers():
            client = self.client(receiver.address)
            client.send(profile, 1)
            self.assertTrue(client.flush(PATIENCE))
            message, = map(accept, receiver.lines)
            self.assertNotIn("part", message)
            self.assertEqual(dict(message["rows"]), measured(profile))

    def test_flush_waits_for_acknowledgements(self):
        receiver = self.receiver(Acked())
        receiver.acking = False
        client = self.client(receiver.address)
        client.send(small(), 1)
        wait_until(lambda: receiver.accepted)
        self.assertFalse(client.flush(0.1))
        self.counts(client, sent=0, queued=1)
        receiver.acking = True
        client.send(small(), 2)
        self.assertTrue(client.flush(PATIENCE))
        self.counts(client, sent=2, queued=0)

    def test_rejected(self):
        for receiver in self.receivers():
            receiver.rejecting = {2: "too_new", 3: "out_of_range"}
            client = self.client(receiver.address)
            for i in range(4):
                client.send(small(), i)
            self.assertTrue(client.flush(PATIENCE))  # the daemon has processed all of them
            self.counts(client, sent=4, rejected=2, errors=0, last_error="out_of_range: no")
            self.assertEqual(stamps(receiver.lines), [0, 3])

    def test_connection_lost_after_each_message(self):
        for cut in range(1, 6):
            receiver = self.receiver(Acked())
            receiver.cut_after = cut
            client = self.client(receiver.address)
            for i in range(6):
                client.send(small(), i)
            self.assertTrue(client.flush(PATIENCE))
            self.assertEqual(stamps(receiver.lines), list(range(6)))
            self.assertEqual(len(receiver.hellos), 2)
            self.assertEqual(len({one["client"] for one in receiver.hellos}), 1)
            self.assertEqual((receiver.problems, receiver.duplicates), ([], 0))
            self.counts(client, sent=6, dropped=0)

    def test_daemon_starts_late(self):
        port = free_port()
        client = self.client(f"tcp://127.0.0.1:{port}")
        for i in range(3):
            self.assertTrue(client.send(small(), i))
        self.assertFalse(client.flush(0.2))
        self.counts(client, sent=0, queued=3, dropped=0)
        self.assertIn("refused", client.stats.last_error)
        receiver = self.receiver(Acked(port=port))
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(stamps(receiver.lines), [0, 1, 2])

    def test_flush_and_close_end_a_pause(self):
        with mock.patch.object(worker, "PAUSE_MIN", 3600.0):
            for end in (timesliced.Client.flush, timesliced.Client.close):
                port = free_port()
                client = self.client(f"tcp://127.0.0.1:{port}")
                client.send(small(), 1)
                wait_until(lambda: client.stats.errors)
                receiver = self.receiver(Acked(port=port))
                self.assertTrue(end(client, PATIENCE))
                self.assertEqual(stamps(receiver.lines), [1])

    def test_pauses_double_and_are_reset(self):
        pauses = []
        port = free_port()
        client = self.client(f"tcp://127.0.0.1:{port}")

        def pause(one, seconds):
            pauses.append(seconds)
            one.sleep(0.01)
        with mock.patch.object(worker.Worker, "pause", pause):
            client.send(small(), 1)
            wait_until(lambda: len(pauses) >= 10)
            receiver = Acked(port=port)
            self.assertTrue(client.flush(PATIENCE))
            first = len(pauses)
            receiver.close()
            wait_until(lambda: client.stats.errors > first)
            client.send(small(), 2)
            wait_until(lambda: len(pauses) > first)
        self.assertEqual(pauses[:9], [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])
        self.assertEqual(pauses[first], 0.05)

    def test_daemon_restarts_while_idle(self):
        first = Acked()
        client = self.client(first.address)
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        first.close()
        wait_until(lambda: client.stats.errors)
        second = self.receiver(Acked(port=first.port, memory=first.memory))
        client.send(small(), 2)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(stamps(second.lines), [2])
        self.assertEqual(second.problems, [])

    def test_daemon_with_another_database(self):
        """Acknowledged messages are not sent again; the others get a new client id, numbered from 1."""
        first = Acked()
        client = self.client(first.address)
        for i in range(3):
            client.send(small(), i)
        self.assertTrue(client.flush(PATIENCE))
        first.close()
        wait_until(lambda: client.stats.errors)
        second = self.receiver(Acked(port=first.port))
        client.send(small(), 3)
        client.send(small(), 4)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(stamps(second.lines), [3, 4])
        self.assertEqual([seq for _, seq, _ in second.accepted], [1, 2])
        self.assertEqual(second.problems, [])
        names = [one["client"] for one in second.hellos]
        self.assertEqual((names[0], len(set(names))), (first.hellos[0]["client"], 2))

    def test_last_seq_higher_than_sent(self):
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        responses = [{"hello": {"protocol": 1, "last_seq": 99, "max_message": 1}}]

        def greeting(name):
            receiver.memory[name] = 0
            return responses.pop() if responses else {"hello": {"protocol": 1, "last_seq": 0, "max_message": 1}}
        receiver.greeting = greeting
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(stamps(receiver.lines), [1])
        self.assertNotEqual(receiver.hellos[0], receiver.hellos[1])

    def test_rejected_hello(self):
        receiver = self.receiver(Acked())
        receiver.greeting = lambda _: {"error": {"code": "too_many_clients", "message": "full"}}
        client = self.client(receiver.address)
        client.send(small(), 1)
        wait_until(lambda: client.stats.errors >= 2)
        self.counts(client, sent=0, queued=1, last_error="too_many_clients: full")
        receiver.greeting = None
        self.assertTrue(client.flush(PATIENCE))

    def test_bad_responses(self):
        for noise in (b"[" * 100_000 + b"\n", b"\xff\n", b'{"ack": 5}\n', b"x" * (2 << 20)):
            receiver = self.receiver(Acked())
            client = self.client(receiver.address)
            client.send(small(), 1)
            self.assertTrue(client.flush(PATIENCE))
            connection, = receiver.connections
            connection.sendall(noise)
            wait_until(lambda: client.stats.errors == 1)
            client.send(small(), 2)
            self.assertTrue(client.flush(PATIENCE))
            self.assertEqual((stamps(receiver.lines), receiver.duplicates), ([1, 2], 0))
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        client.send(small(), 1)
        self.assertTrue(client.flush(PATIENCE))
        receiver.connections[0].sendall(b'[]\nnull\n{}\n{"later": 1}\n{"error": {"code": 1}}\n')
        wait_until(lambda: client.stats.errors == 1)  # counted, and the stream continues
        client.send(small(), 2)
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(len(receiver.hellos), 1)

    def test_no_response_to_the_hello(self):
        with mock.patch.object(stream, "HELLO_TIMEOUT", 0.05):
            receiver = self.receiver(Lines())
            client = self.client(receiver.address)
            client.send(small(), 1)
            wait_until(lambda: client.stats.errors >= 2)
            self.assertIn("hello", client.stats.last_error)
            self.assertFalse(client.close(0.05))

    def test_daemon_that_never_reads(self):
        receiver = self.receiver(Lines(reading=False))
        profile = many_functions(3000)
        client = self.client(receiver.address, max_queue=4 << 20)
        queued = [client.send(profile, i) for i in range(60)]  # 35 MB: more than fits into queue and kernel
        self.assertIn(False, queued)
        self.assertFalse(client.flush(0.05))
        stats = client.stats
        self.assertEqual(stats.sent + stats.queued + stats.dropped, 60)
        self.assertEqual(stats.dropped, queued.count(False))
        self.assertGreaterEqual(client._sender.room(), 0)
        self.assertFalse(client.close(0.05))
        thread = client._sender.queue.thread
        wait_until(lambda: not thread.is_alive())
        stats = client.stats
        self.assertEqual((stats.sent + stats.dropped, stats.queued), (60, 0))

    def test_daemon_that_stops_reading_after_the_hello(self):
        """More is sent than fits into the kernel's buffers."""
        receiver = self.receiver(Lines(reading=False))
        client = self.client(receiver.address)
        profile = many_functions(2000)
        for i in range(14):
            client.send(profile, i)
        wait_until(lambda: receiver.connections)
        connection = receiver.connections[0]
        connection.settimeout(PATIENCE)
        with connection.makefile("rb") as lines:
            json.loads(lines.readline())
            connection.sendall(b'{"hello": {"protocol": 1, "last_seq": 0, "max_message": 1000}}\n')
            time.sleep(0.1)
            self.assertFalse(client.flush(0))
            got = [lines.readline().rstrip() for _ in range(14)]
            self.assertEqual(stamps(got), list(range(14)))
            connection.sendall(b'{"ack": 14}\n')
            self.assertTrue(client.flush(PATIENCE))
            connection.close()

    def test_queue_has_room_after_delivery(self):
        port = free_port()
        client = self.client(f"tcp://127.0.0.1:{port}", max_queue=3000)
        while client.send(small(), 1):
            self.assertLess(client.stats.queued, 20)
        queued = client.stats.queued
        self.assertGreater(queued, 0)
        receiver = self.receiver(Acked(port=port))
        self.assertTrue(client.flush(PATIENCE))
        self.assertTrue(client.send(small(), 2))
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(len(receiver.lines), queued + 1)
        self.counts(client, sent=queued + 1, dropped=1)

    def test_port_connected_to_itself_is_refused(self):
        real = socket.socket

        class Bound(real):
            def connect_ex(self, where):
                self.bind(where)
                return super().connect_ex(where)
        host = mock.Mock(wait=lambda *_: 4)
        with mock.patch.object(transport.socket, "socket", Bound), self.assertRaises(ConnectionRefusedError):
            transport.connect_stream(parse(f"tcp://127.0.0.1:{free_port()}"), host)

    def test_all_addresses_of_a_name_are_tried(self):
        receiver = self.receiver(Acked())
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, receiver.port))
                 for host in ("127.0.0.2", "127.0.0.1")]
        with mock.patch.object(transport.socket, "getaddrinfo", lambda *_, **__: list(found)):
            client = self.client("tcp://daemon.example:1")
            client.send(small(), 1)
            self.assertTrue(client.flush(PATIENCE))
        self.counts(client, errors=0, sent=1)

    def test_random_disconnects(self):
        """While several threads send."""
        receiver = self.receiver(Acked())
        client = self.client(receiver.address)
        sent = threading.Event()

        def sends(first):
            for i in range(first, first + 100):
                client.send(small(), i)
                time.sleep(0.003)

        def cuts():
            while not sent.wait(0.02):
                for connection in list(receiver.connections):
                    receiver._shut(connection)
        threads = [threading.Thread(target=sends, args=(n * 100,)) for n in range(4)]
        cutter = threading.Thread(target=cuts)
        for one in (cutter, *threads):
            one.start()
        for one in threads:
            one.join()
        sent.set()
        cutter.join()
        self.assertTrue(client.flush(PATIENCE))
        self.assertEqual(sorted(stamps(receiver.lines)), list(range(400)))
        self.assertGreater(len(receiver.hellos), 2)
        self.assertEqual(receiver.problems, [])


if __name__ == "__main__":
    unittest.main()
