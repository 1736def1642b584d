"""Splitting a profile into several messages."""
import pstats
import unittest

from helpers import BIG, STAMP, encode, labels_json, many_functions, stats_of
from messages import accept


class Split(unittest.TestCase):
    def check(self, profile, limit, labels=""):
        complete, = encode(profile, STAMP, labels, BIG).messages
        complete = accept(complete)
        messages = encode(profile, STAMP, labels, limit).messages
        parts = [accept(text) for text in messages]
        if len(parts) == 1:
            self.assertNotIn("part", parts[0])
        else:
            self.assertEqual([part["part"] for part in parts], [[i, len(parts)] for i in range(len(parts))])
        self.assertEqual([row for part in parts for row in part["rows"]], complete["rows"])
        for i, part in enumerate(parts):
            self.assertTrue(part["rows"])
            for key in ("timestamp", "labels", "exact"):
                self.assertEqual(part.get(key), complete.get(key))
            self.assertEqual(part["profile"].get("total_tt"), complete["profile"]["total_tt"] if i == 0 else None)
        return messages

    def test_at_every_limit(self):
        for profile, labels in ((many_functions(60), ""), (many_functions(60), labels_json({"service": "wéb"})),
                                (pstats.Stats(many_functions(60)).get_stats_profile(), "")):
            complete, = encode(profile, STAMP, labels, BIG).messages
            previous = 61
            for limit in [*range(512, len(complete) + 2, 61), len(complete) - 1, len(complete)]:
                messages = self.check(profile, limit, labels)
                self.assertLessEqual(max(map(len, messages)), limit)
                self.assertEqual(len(messages) == 1, limit >= len(complete), (limit, len(complete)))
                if limit < len(complete) - 1:
                    self.assertLessEqual(len(messages), previous)
                    previous = len(messages)

    def test_messages_are_filled(self):
        """No message has room for the first entry of the next one (apart from the space reserved for `part`)."""
        messages = self.check(many_functions(5000), 65507)
        self.assertLess(len(messages), 20)
        self.assertLessEqual(max(map(len, messages)), 65507)
        for message, following in zip(messages, messages[1:]):
            entry = following[following.index(b"{\"func_name"):following.index(b"}", following.index(b"func_name")) + 1]
            self.assertGreater(len(message) + 2 + len(entry) + 8, 65507)
        self.assertGreater(len(self.check(many_functions(5000), 1400)), 500)

    def test_largest_entry_fits_into_a_datagram(self):
        labels = labels_json({"k" * 62 + f"{i:02}": "\x01" * 256 for i in range(16)})
        odd = pstats.FunctionProfile("9007199254740992/9007199254740991", *[-1.7976931348623157e308] * 4,
                                     "\x01" * 4096, 2**31 - 1)
        profile = pstats.StatsProfile(-1.7976931348623157e308, {"\x01" * 1023 + str(i): odd for i in range(3)})
        messages = encode(profile, "-9199999999.9999999", labels, 512).messages
        self.assertEqual(len(messages), 3)
        self.assertLess(max(map(len, messages)), 65507)

    def test_small_entries_share_messages_beside_a_large_one(self):
        entries = {("/f.py", i, f"f{i}"): (1, 1, 0.5, 0.5) for i in range(10)}
        entries["/f.py", 10, "x" * 1000] = (1, 1, 0.5, 0.5)
        entries.update({("/f.py", i, f"f{i}"): (1, 1, 0.5, 0.5) for i in range(11, 20)})
        sizes = [len(text) for text in self.check(stats_of(entries), 600)]
        self.assertEqual(len([size for size in sizes if size > 600]), 1)


if __name__ == "__main__":
    unittest.main()
