"""Addresses: which are accepted, which are rejected, and the messages."""
import unittest

import timesliced
from timesliced.base.address import Address, parse


class Addresses(unittest.TestCase):
    def test_accepted(self):
        for text, expected in (
            ("udp://127.0.0.1:8137", Address("udp", "127.0.0.1", 8137)),
            ("tcp://daemon.example:1", Address("tcp", "daemon.example", 1)),
            ("tcp://[::1]:65535", Address("tcp", "::1", 65535)),
            ("udp://[fe80::1%eth0]:8137", Address("udp", "fe80::1%eth0", 8137)),
            ("udp://bücher.example:8137", Address("udp", "bücher.example", 8137)),
            ("unix:///run/a b%20c?#.sock", Address("unix", path="/run/a b%20c?#.sock")),
            ("unixgram:///" + "x" * 106, Address("unixgram", path="/" + "x" * 106)),
        ):
            with self.subTest(text):
                self.assertEqual(parse(text), expected)

    def test_rejected(self):
        for text, word in (
            ("", "must be"), ("127.0.0.1:8137", "must be"), ("http://127.0.0.1:8137", "must be"),
            ("UDP://127.0.0.1:8137", "must be"), ("udp:127.0.0.1:8137", "must be"), ("udp://", "host:port"),
            ("udp://127.0.0.1", "host:port"), ("udp://:8137", "host:port"), ("udp://h:", "host:port"),
            ("udp://h:0", "port"), ("udp://h:65536", "port"), ("udp://h:+80", "host:port"), ("udp://h:８１", "host:port"),
            ("udp://h:80/", "host:port"), ("udp://u@h:80", "host:port"), ("udp://::1:80", "host:port"),
            ("udp://h:80\n", "host:port"),
            ("udp://[127.0.0.1]:80", "IPv6"), ("udp://[::1]", "host:port"), ("udp://[]:80", "host:port"),
            ("udp://a b:80", "host:port"), ("udp://" + "x" * 64 + ":80", "host name"), ("udp://a..b:80", "host name"),
            ("unix://run/sock", "absolute"), ("unix://", "absolute"), ("unix:///a\0b", "NUL"),
            ("unix:///" + "x" * 107, "107"), ("unixgram:///" + "é" * 54, "107"),
        ):
            with self.subTest(text):
                with self.assertRaises(ValueError) as caught:
                    timesliced.Client(text)
                self.assertIn(word, str(caught.exception))

    def test_wrong_type(self):
        for text in (5, b"udp://127.0.0.1:1", 8137, ("127.0.0.1", 1)):
            with self.assertRaises(TypeError):
                timesliced.Client(text)

    def test_loopback(self):
        for text, expected in (("udp://127.9.9.9:1", True), ("udp://[::1]:1", True), ("tcp://LocalHost:1", True),
                               ("udp://10.0.0.1:1", False), ("udp://localhost.example:1", False)):
            self.assertEqual(parse(text).is_loopback, expected, text)


if __name__ == "__main__":
    unittest.main()
