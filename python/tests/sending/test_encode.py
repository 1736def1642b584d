"""Messages: their content against the measured values, and values that must be changed or rejected."""
import cProfile
import dataclasses
import json
import pstats
import random
import re
import unittest
from decimal import Decimal
from fractions import Fraction
from unittest import mock

from helpers import BIG, STAMP, encode, many_functions, measured, small, stats_of
from messages import accept, to_ns
from timesliced.base import limits
from timesliced.sending import encode as encode_module
from timesliced.sending.encode import DROPPED, Encoder
from timesliced.taking.capture import Rows, Taken, capture
from timesliced.taking.rows import to_ns as rounded


def one(profile, labels="", stamp=STAMP):
    """The single message of a profile, parsed, and the number of altered values."""
    messages, altered = encode(profile, stamp, labels, BIG)
    assert len(messages) == 1
    return accept(messages[0]), altered


def recursive(n):
    return len(str(n)) + (recursive(n - 1) if n else 0)


class FromProfile(unittest.TestCase):
    def test_functions_are_not_rounded(self):
        profile = cProfile.Profile()
        profile.runcall(recursive, 5)
        profile.runcall(json.dumps, list(range(50)), indent=1)
        message, altered = one(profile)
        self.assertEqual(altered, 0)
        self.assertIs(message["exact"], True)
        self.assertEqual(message["timestamp"], Decimal(STAMP))
        rows = dict(message["rows"])
        self.assertEqual(rows, measured(profile))
        self.assertEqual(len(rows), len(message["rows"]))
        self.assertEqual(rows["~", 0, "<built-in method builtins.len>"][:2], (6, 6))
        place = (__file__, recursive.__code__.co_firstlineno, "recursive")
        self.assertEqual(rows[place][:2], (6, 1))
        total = to_ns(message["profile"]["total_tt"])
        self.assertAlmostEqual(total, sum(row[2] for row in rows.values()), delta=2)
        self.assertGreater(total, 0)

    def test_same_values_as_pstats(self):
        profile = many_functions(200)
        found = dict(one(profile)[0]["rows"])
        profile.create_stats()
        expected = {place: (calls, primitive, to_ns(tottime), to_ns(cumtime))
                  for place, (primitive, calls, tottime, cumtime, _) in profile.stats.items()}
        self.assertEqual(found, expected)

    def test_functions_with_the_same_place_are_summed(self):
        first, second = (lambda n: sum(range(n))), (lambda n: max(range(n)))  # noqa: E731
        self.assertIsNot(first.__code__, second.__code__)
        profile = cProfile.Profile()
        for _ in range(3):
            profile.runcall(first, 100)
        profile.runcall(second, 2000)
        entries = [entry for entry in profile.getstats() if getattr(entry.code, "co_name", "") == "<lambda>"]
        self.assertEqual(len(entries), 2)
        message, _ = one(profile)
        found = [row for place, row in message["rows"] if place[2] == "<lambda>"]
        self.assertEqual(len(found), 1)
        self.assertEqual(found[0][:2], (4, 4))
        self.assertEqual(found[0][3], sum(to_ns(entry.totaltime) for entry in entries))

    def test_running_profile(self):
        profile = cProfile.Profile()
        profile.enable()
        try:
            recursive(0)
            before, _ = one(profile)
            recursive(0)
            after, _ = one(profile)
        finally:
            profile.disable()
        place = (__file__, recursive.__code__.co_firstlineno, "recursive")
        self.assertEqual(dict(before["rows"])[place][0], 1)
        self.assertEqual(dict(after["rows"])[place][0], 2)

    def test_text_cache(self):
        """Code objects are created and freed, and there are more than fit into the cache."""
        encoder = Encoder()
        with mock.patch.object(encode_module, "CACHE_MAX", 100):
            for _ in range(20):
                profile = many_functions(30)
                message = accept(encoder.encode(capture(profile), STAMP, "", BIG).messages[0])
                self.assertEqual(dict(message["rows"]), measured(profile))
                self.assertLess(len(encoder.kept) + len(encoder.by_place), 161)

    def test_own_calls_are_removed_from_taken_profiles(self):
        profile = cProfile.Profile(subcalls=False)
        profile.enable()
        recursive(3)
        limits.labels_text({"a": "b"})
        profile.disable()
        complete = accept(encode(profile, STAMP, "", BIG)[0][0])
        taken = accept(Encoder().encode(Taken(profile.getstats()), STAMP, "", BIG).messages[0])
        names = [place[2] for place, _ in complete["rows"]]
        self.assertIn("labels_text", names)
        self.assertEqual(dict(taken["rows"]), {place: row for place, row in complete["rows"] if place[2] not in (
            "labels_text", "<method 'disable' of '_lsprof.Profiler' objects>")})
        self.assertEqual(to_ns(taken["profile"]["total_tt"]), sum(row[2] for _, row in taken["rows"]))

    def test_rows(self):
        rows = {("/a.py", 1, "f"): (3, 2, 10**9 + 1, 7), ("~", 0, "<b>"): (1, 1, -5, 0)}
        message = accept(Encoder().encode(Rows(rows), STAMP, "", BIG).messages[0])
        self.assertEqual(dict(message["rows"]), rows)
        self.assertEqual(message["profile"]["total_tt"], Decimal("0.999999996") + Decimal("0.000000000"))
        self.assertIs(message["exact"], True)

    def test_dropped_profiles_are_reported(self):
        for profile in (many_functions(3), small()):
            message = accept(Encoder().encode(capture(profile), STAMP, "", BIG, 7).messages[0])
            self.assertEqual(message["dropped"], 7)
            self.assertEqual(dict(message["rows"]), dict(one(profile)[0]["rows"]))
        self.assertEqual(DROPPED, "(dropped)")

    def test_empty_profile(self):
        message, _ = one(cProfile.Profile())
        self.assertEqual(message["rows"], [])
        self.assertEqual(message["profile"]["func_profiles"], [])
        self.assertEqual(message["profile"]["total_tt"], 0)


class FromStats(unittest.TestCase):
    def test_stats(self):
        rng = random.Random(1)

        def seconds():
            return rng.random() * 10.0**rng.randrange(-9, 6)
        entries = {(f"/f{i % 7}.py", i, f"_f{i % 50}"): (i + 1, 2 * i + 1, seconds(), seconds()) for i in range(300)}
        message, altered = one(stats_of(entries))
        self.assertEqual(altered, 0)
        self.assertIs(message["exact"], True)
        self.assertEqual(dict(message["rows"]), {
            place: (calls, primitive, to_ns(tottime), to_ns(cumtime))
            for place, (primitive, calls, tottime, cumtime) in entries.items()})
        self.assertLess(abs(message["profile"]["total_tt"] - sum(Decimal(row[2]) for row in entries.values())), 1e-6)

    def test_stripped_file_names(self):
        profile = many_functions(5)
        stats = pstats.Stats(profile).strip_dirs()
        message, _ = one(stats)
        self.assertEqual({place[0] for place, _ in message["rows"]}, {"made.py"})
        self.assertEqual(len(message["rows"]), 5)

    def test_stats_profile_equals_asdict(self):
        profile = many_functions(40)
        profile.runcall(json.dumps, [1, "é"], indent=1)
        made = pstats.Stats(profile).get_stats_profile()
        messages, altered = encode(made, STAMP, "", BIG)
        expected = json.dumps({"timestamp": float(STAMP), "profile": dataclasses.asdict(made)})
        self.assertEqual(messages[0].decode(), expected)
        self.assertEqual(altered, 0)

    def test_empty_stats_profile(self):
        message, _ = one(pstats.StatsProfile(0, {}))
        self.assertEqual(message["profile"], {"total_tt": 0, "func_profiles": []})
        self.assertNotIn("exact", message)


class Numbers(unittest.TestCase):
    def test_nine_decimals_without_exponent(self):
        rng = random.Random(2)
        values = [0.0, -0.0, 1e-9, -1e-9, 5e-324, 1e-7, 9.999e-5, 1e-4, 0.1, 1 / 3, 123456.000000001, 9999999.999999999]
        values += [3] + [ticks * 1e-9 for ticks in (1, 7, 99_999, 100_001, 123_456_789, 4_000_000_000_000_007)]
        values += [rng.random() * 10.0**rng.randrange(-12, 7) * rng.choice([1, -1]) for _ in range(3000)]
        entries = {("f", i, "n"): (1, 1, value, value) for i, value in enumerate(values)}
        text = encode(stats_of(entries), STAMP, "", BIG).messages[0].decode()
        numbers = re.findall(r'"cumtime": ([^,]*),', text)
        self.assertEqual(len(numbers), len(values))
        for value, number in zip(values, numbers):
            self.assertRegex(number, r"^-?(0|[1-9][0-9]*)\.[0-9]{9}$")
            self.assertEqual(to_ns(Decimal(number)), to_ns(float(value)), value)

    def test_rounded_once_to_nanoseconds(self):
        rng = random.Random(3)
        values = [rng.random() * 10.0**rng.randrange(-12, 7) for _ in range(3000)]
        values += [ticks * 1e-9 for ticks in (1, 3, 10**15 + 1, 2**51 + 1)] + [0.5e-9, 1.5e-9, -2.5e-9, 1e300, 0.0]
        for value in values:
            exact = Fraction(value) * 10**9
            self.assertEqual(rounded(value), round(exact), value)
            if abs(value) < 1e12:
                self.assertEqual(f"{value:.9f}".replace(".", "").lstrip("-0") or "0", str(abs(round(exact))), value)

    def test_not_finite(self):
        inf = float("inf")
        message, altered = one(stats_of({("f", 1, "a"): (1, 1, float("nan"), inf), ("f", 2, "b"): (1, 1, 0.5, -inf),
                                         ("f", 3, "c"): (1, 1, 10**400, 0.25)}))
        self.assertEqual([row[2:] for _, row in message["rows"]], [(0, 0), (5 * 10**8, 0), (0, 25 * 10**7)])
        self.assertEqual(message["profile"]["total_tt"], Decimal("0.5"))
        self.assertEqual(altered, 4)
        broken = small()
        broken.total_tt = broken.func_profiles["work"].percall_cumtime = float("nan")
        message, altered = one(broken)
        self.assertEqual(message["profile"]["total_tt"], 0)
        self.assertEqual(altered, 2)

    def test_total_out_of_range(self):
        messages, altered = encode(stats_of({("f", i, "a"): (1, 1, 1e308, 0.0) for i in range(3)}), STAMP, "", BIG)
        self.assertLess(len(messages[0]), 1000)
        self.assertIn(b'"total_tt": 3000000000000.000000000,', messages[0])
        self.assertIn(b'"tottime": 1000000000000.000000000,', messages[0])  # the daemon rejects it
        self.assertEqual(altered, 0)

    def test_times_out_of_range_are_not_changed(self):
        text = encode(stats_of({("f", 1, "a"): (1, 1, 0.0, 1e7 + 1)}), STAMP, "", BIG).messages[0]
        self.assertIn(b'"cumtime": 10000001.000000000,', text)

    def test_counts_and_lines(self):
        for calls, primitive, line, expected in (
            (2**53, 2**53, 2**31 - 1, (2**53, 2**53, 2**31 - 1)), (0, 0, 0, (0, 0, 0)),
            (2**53 + 1, 5, 1, (2**53, 5, 1)), (-1, -1, 1, (0, 0, 1)), (3, 4, 1, (3, 3, 1)), (3, -4, 1, (3, 0, 1)),
            (2, 2, -1, (2, 2, None)), (2, 2, 2**31, (2, 2, None)), (True, True, 1, (1, 1, 1)),
        ):
            with self.subTest(calls=calls, primitive=primitive, line=line):
                message, altered = one(stats_of({("f", line, "a"): (primitive, calls, 0.5, 0.5)}))
                (place, row), = message["rows"]
                self.assertEqual((row[0], row[1], place[1]), expected)
                self.assertEqual(altered, expected != (calls, primitive, line))
        for text, expected in (("7", (7, 7)), ("7/0", (7, 0)), ("7/8", (7, 7)), ("9" * 20, (2**53, 2**53))):
            profile = small()
            profile.func_profiles["work"].ncalls = text
            self.assertEqual(one(profile)[0]["rows"][0][1][:2], expected)


class Names(unittest.TestCase):
    def check(self, name, file_name, expected_name, expected_file, altered):
        for profile in (stats_of({(file_name, 3, name): (1, 1, 0.5, 0.5)}), small(name)):
            if isinstance(profile, pstats.StatsProfile):
                profile.func_profiles[name].file_name = file_name
            message, count = one(profile)
            place = message["rows"][0][0]
            self.assertEqual((place[2], place[0]), (expected_name, expected_file))
            self.assertEqual(count, altered)

    def test_valid_names(self):
        for name in ("", "_", "日本語", "😀" * 256, "x" * 1024, "é" * 512, "quo\"te\\ \t\n\r\x1b\x7f\u2028", "half\ud800",
                     "\udc80" * 341, "<lambda>"):
            self.check(name, name * 4, name, name * 4, 0)

    def test_long_names_are_cut_between_characters(self):
        for name, kept in (("x" * 1025, "x" * 1024), ("x" + "é" * 512, "x" + "é" * 511),
                           ("xx" + "日" * 341, "xx" + "日" * 340), ("x" + "😀" * 256, "x" + "😀" * 255),
                           ("\udc80" * 342, "\udc80" * 341), ("x" * 10**6, "x" * 1024)):
            self.check(name, "f", kept, "f", 1)
        self.check("n", "é" * 3000, "n", "é" * 2048, 1)
        self.check("n", "x" + "é" * 3000, "n", "x" + "é" * 2047, 1)

    def test_nul_is_removed(self):
        self.check("a\0b\0", "\0f", "ab", "f", 2)
        self.check("\0" * 2000, "f", "", "f", 1)
        self.check("\0" + "x" * 1024, "f", "x" * 1024, "f", 1)

    def test_one_bad_function_among_many(self):
        entries = {("/f.py", i, f"f{i}"): (1, 1, 0.5, 0.5) for i in range(20)}
        entries["/f.py", 5, "y" * 3000 + "\0"] = (9, 4, float("nan"), 0.5)
        message, altered = one(stats_of(entries))
        self.assertEqual(len(message["rows"]), 21)
        self.assertEqual(altered, 3)


class Arguments(unittest.TestCase):
    def test_wrong_types(self):
        import profile as pure
        for wrong in (None, {}, [], b"x", 1, pure.Profile(), cProfile.Profile, dataclasses.asdict(small())):
            with self.subTest(type(wrong).__name__), self.assertRaises(TypeError):
                encode(wrong, STAMP, "", BIG)

    def test_bad_content(self):
        broken = [stats_of({("f", 1, "a"): row}) for row in (
            ("1", 1, 0.5, 0.5), (1, None, 0.5, 0.5), (1, 1, "0.5", 0.5), (1, 1, 0.5, None), (1.5, 1, 0.5, 0.5))]
        broken += [stats_of({place: (1, 1, 0.5, 0.5)}) for place in (
            (b"f", 1, "a"), ("f", "1", "a"), ("f", 1, None), ("f", 1), "f", (None, 1, "a"), (["f"][0], 1.0, "a"))]
        stats = pstats.Stats()
        stats.stats = {("f", 1, "a"): (1, 1, 0.5)}
        broken.append(stats)
        for member, value in (("ncalls", 3), ("ncalls", "3/"), ("ncalls", "-3"), ("ncalls", "３"), ("ncalls", ""),
                              ("tottime", "1"), ("cumtime", None), ("percall_tottime", "x"), ("file_name", None),
                              ("line_number", "7")):
            profile = small()
            setattr(profile.func_profiles["work"], member, value)
            broken.append(profile)
        broken += [pstats.StatsProfile("1", {}), pstats.StatsProfile(1.0, {1: small().func_profiles["work"]}),
                   pstats.StatsProfile(1.0, {"a": {"ncalls": "1"}}), pstats.StatsProfile(1.0, None)]
        for profile in broken:
            with self.subTest(vars(profile)), self.assertRaises(TypeError):
                encode(profile, STAMP, "", BIG)


if __name__ == "__main__":
    unittest.main()
