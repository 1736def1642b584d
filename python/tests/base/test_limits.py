"""Limits of timestamps and labels."""
import json
import unittest
from decimal import Decimal

from helpers import labels_json
from timesliced.base.limits import check_timestamp


class Limits(unittest.TestCase):
    def test_timestamps(self):
        for value, text in ((0, "0"), (-90, "-90"), (1732272009.25, "1732272009.25"), (9.2e9, "9200000000.0"),
                            (-9200000000, "-9200000000"), (1e-7, "0.0000001"), (-1e-20, "-0.00000000000000000001")):
            self.assertEqual(check_timestamp(value), text)
        for value in (True, "1", None, Decimal(1), 1j):
            with self.assertRaises(TypeError):
                check_timestamp(value)
        for value in (float("nan"), float("inf"), -float("inf"), 9.2e9 + 1, 10**400, -10**400):
            with self.assertRaises(ValueError):
                check_timestamp(value)
        with self.assertRaisesRegex(ValueError, "milliseconds"):
            check_timestamp(1732272009250)

    def test_labels(self):
        self.assertEqual(labels_json(None), "")
        self.assertEqual(labels_json({}), "")
        good = [{"service": "web"}, {"_": ""}, {"k" * 64: "é" * 128}, {f"k{i}": "v" for i in range(16)},
                {"K_9": "half\ud800 \" \\ \n"}, {"a": "\ud800" * 85}]
        for labels in good:
            self.assertEqual(json.loads(labels_json(labels)), labels)
        for labels in ({f"k{i}": "v" for i in range(17)}, {"": "v"}, {"9k": "v"}, {"a-b": "v"}, {"k" * 65: "v"},
                       {"é": "v"}, {"k\n": "v"}, {"k": "x" * 257}, {"k": "é" * 128 + "x"}, {"k": "a\0"},
                       {"k": "\ud800" * 86}):
            with self.subTest(labels), self.assertRaises(ValueError):
                labels_json(labels)
        for labels in ([("k", "v")], "k=v", {"k": 1}, {1: "v"}, {"k": None}, {b"k": "v"}):
            with self.subTest(labels), self.assertRaises(TypeError):
                labels_json(labels)


if __name__ == "__main__":
    unittest.main()
