"""Datagrams over UDP and Unix sockets: arrival, splitting, pacing, errors."""
import errno
import os
import socket
import time
import unittest
from unittest import mock

from helpers import PATIENCE, Case, many_functions, measured, small, stamps, wait_until
from messages import accept
from receivers import Datagrams
from timesliced.base.address import parse
from timesliced.sending import encode, transport


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

    def send_large(self, receiver, profile, **more):
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
        self.assertGreaterEqual(len(rows), 5000)  # from 3.12 on also calls of other threads
        self.counts(client, sent=1, errors=0)
        return max(map(len, receiver.got))

    def limit_rate(self):
        """The reading thread of this process may be slower than the daemon."""
        patch = mock.patch.object(transport, "RATE", 1e6)
        patch.start()
        self.addCleanup(patch.stop)

    def test_5000_functions_over_udp(self):
        """With a receive buffer of the default size, which several bursts would overflow."""
        self.limit_rate()
        receiver = self.receiver(Datagrams())
        receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 212_992 // 2)
        self.assertEqual(receiver.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF), 212_992)
        self.assertLessEqual(self.send_large(receiver.read(), many_functions(5000)), 65507)

    def test_5000_functions_in_small_datagrams(self):
        self.limit_rate()
        receiver = self.receiver(Datagrams())
        receiver.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 212_992 // 2)
        self.assertLessEqual(self.send_large(receiver.read(), many_functions(5000), max_datagram=1400), 1400)

    def test_5000_functions_to_a_slow_unix_receiver(self):
        self.send_large(self.receiver(Datagrams(self.path())).read(pause=0.02), many_functions(5000))

    def test_burst_fits_into_the_default_receive_buffer(self):
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

    def test_pace_limits_the_rate(self):
        now = [0.0]
        with mock.patch.object(transport.time, "monotonic", lambda: now[0]):
            pace = transport.Pace(100, 1000)
            for _ in range(50):
                now[0] += pace.take(60)
            self.assertAlmostEqual(now[0], (50 * 60 - 100) / 1000)
            now[0] += 10  # idle time allows at most one burst
            self.assertEqual(pace.take(100), 0)
            self.assertAlmostEqual(pace.take(100), 0.1)

    def test_udp_port_without_listener(self):
        closed = Datagrams()
        closed.close()
        client = self.client(closed.address)
        for i in range(5):
            self.assertTrue(client.send(small(), i))
        self.assertTrue(client.flush(PATIENCE))  # the kernel accepted them
        stats = client.stats
        self.assertEqual((stats.sent, stats.dropped), (5, 0))
        self.assertGreaterEqual(stats.errors, 1)
        self.assertIn("refused", stats.last_error)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:  # now there is a listener
            late.bind(("127.0.0.1", parse(closed.address).port))
            late.settimeout(PATIENCE)
            self.assertTrue(client.send(small(), 77))
            self.assertEqual(stamps([late.recv(65536)]), [77])

    def test_late_icmp_error_does_not_lose_the_next_datagram(self):
        """The error of an earlier datagram is returned by the next send(), which sends nothing."""
        host = mock.Mock()
        link = transport.Udp(parse("udp://10.0.0.1:1"), host)
        link.sock = mock.Mock()
        link.sock.send.side_effect = [ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 5]
        link.sock.getsockopt.return_value = 0
        link.send(b"12345")
        self.assertEqual(link.sock.send.call_args_list, [mock.call(b"12345")] * 2)
        host.failed.assert_called_once_with("Connection refused")

    def test_udp_errors_rotate_the_addresses_of_a_name(self):
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

    def test_name_lookup_is_retried(self):
        receiver = self.receiver(Datagrams()).read()
        where = ("127.0.0.1", parse(receiver.address).port)
        results = [socket.gaierror(socket.EAI_AGAIN, "try again"), [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", where)]]

        def lookup(*_, **__):
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result
        with mock.patch.object(transport.socket, "getaddrinfo", lookup):
            client = self.client("udp://daemon.example:1")
            self.assertTrue(client.send(small(), 5))
            self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: receiver.got)
        self.counts(client, sent=1, errors=1, last_error="try again")

    def test_localhost_prefers_ipv4(self):
        found = [(socket.AF_INET6, 0, 0, "", "v6"), (socket.AF_INET, 0, 0, "", "v4")]
        with mock.patch.object(transport.socket, "getaddrinfo", lambda *_, **__: list(found)):
            self.assertEqual([where for _, where in transport._resolve(parse("udp://localhost:1"), 2)], ["v4", "v6"])
            self.assertEqual([where for _, where in transport._resolve(parse("udp://a.example:1"), 2)], ["v6", "v4"])

    def test_message_too_long_for_the_kernel(self):
        receiver = self.receiver(Datagrams()).read()
        client = self.client(receiver.address)
        with mock.patch.object(encode.Encoder, "encode", return_value=encode.Encoded([b"x" * 70_000], 0)):
            self.assertTrue(client.send(small()))
            self.assertFalse(client.flush(PATIENCE))
        self.assertTrue(client.flush(PATIENCE))  # reported once
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

    def test_error_between_parts_repeats_no_part(self):
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

    def test_unix_receiver_starts_late(self):
        client = self.client(f"unixgram://{self.path()}")
        self.assertTrue(client.send(small(), 4))
        self.assertFalse(client.flush(0.1))
        self.assertGreaterEqual(client.stats.errors, 1)
        receiver = self.receiver(Datagrams(self.path())).read()
        self.assertTrue(client.flush(PATIENCE))
        wait_until(lambda: receiver.got)
        self.assertEqual(stamps(receiver.got), [4])


if __name__ == "__main__":
    unittest.main()
