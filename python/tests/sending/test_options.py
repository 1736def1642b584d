"""Arguments of Client, and the environment variables."""
import os
import unittest
from unittest import mock

import timesliced
from helpers import PATIENCE, Case, small
from receivers import Acked


class Options(Case):
    def test_bad_arguments_raise(self):
        for more, error in (({"max_datagram": 511}, ValueError), ({"max_datagram": 65508}, ValueError),
                            ({"max_datagram": True}, TypeError), ({"max_datagram": 1e3}, TypeError),
                            ({"max_queue": 0}, ValueError), ({"max_queue": "1"}, TypeError),
                            ({"labels": {"a-b": "c"}}, ValueError), ({"labels": {"a": 1}}, TypeError)):
            with self.subTest(more), self.assertRaises(error):
                timesliced.Client(**more)

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

    def test_default_message_size(self):
        for address, limit in (("udp://127.0.0.1:1", 65507), ("udp://[::1]:1", 65507), ("udp://localhost:1", 65507),
                               ("unixgram:///s", 65507), ("udp://10.0.0.1:1", 1400), ("udp://daemon.example:1", 1400),
                               ("tcp://10.0.0.1:1", 8 << 20), ("unix:///s", 8 << 20)):
            self.assertEqual(self.client(address)._sender.options.max_message, limit, address)
        self.assertEqual(self.client("udp://10.0.0.1:1", max_datagram=9000)._sender.options.max_message, 9000)


if __name__ == "__main__":
    unittest.main()
