"""A naive model of the daemon: it keeps every profile and scans all of them for each query, with exact numbers.

It parses messages independently of the daemon, with json and decimal.
"""
import json
from collections import Counter
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fnmatch import fnmatchcase
from fractions import Fraction

NS = 10**9
METRICS = ("cumtime", "tottime", "ncalls", "pcalls")
EXACT = Context(prec=5000, rounding=ROUND_HALF_EVEN, Emax=10**6, Emin=-10**6)


class Pairs(list):
    """The members of an object in order, including repeated ones."""

    def get(self, name, default=None):
        return dict(self).get(name, default)


def seconds_to_ns(text):
    """Rounds the decimal text half to even."""
    return int(EXACT.to_integral_value(EXACT.multiply(Decimal(text), NS)))


def exact_ns(value):
    """Seconds in a response, as ns. They must not have more than nine decimals."""
    scaled = Fraction(value) * NS
    assert scaled.denominator == 1, f"{value} has more than nine decimals"
    return scaled.numerator


def text_of(string):
    """The stored form of a text: a lone surrogate becomes U+FFFD."""
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in string)


def lstrip(name):
    return name.lstrip("_")


class Model:
    def __init__(self, time_slice="10", start_time="0"):
        self.slice, self.start = Fraction(time_slice), Fraction(start_time)
        self.facts = []  # (bucket, labels, (raw, file, line), {metric: int})
        self.heads = []  # (bucket, labels, Counter with profiles, exact, total_tt, missing)

    def add(self, text):
        message = json.loads(text, parse_float=str, parse_int=str, object_pairs_hook=Pairs)
        if isinstance(message, Pairs):
            stamp, profile, labels = message.get("timestamp"), message.get("profile"), message.get("labels")
            exact, part = message.get("exact"), message.get("part")
        else:
            (stamp, profile), labels, exact, part = message, None, None, None
        bucket = (Fraction(stamp) - self.start) // self.slice
        labels = tuple(sorted((k, text_of(v)) for k, v in labels or ()))
        index, count = (int(part[0]), int(part[1])) if part else (0, 0)
        head = Counter(missing=-1 if part else 0)
        if index == 0:
            head.update(profiles=1, exact=1 if exact is True else 0, missing=count,
                        total_tt=seconds_to_ns(profile.get("total_tt", "0")))
        self.heads.append((bucket, labels, head))
        functions = profile.get("func_profiles")
        entries = functions
        if not isinstance(functions, Pairs):
            entries = [(entry.get("func_name"), entry) for entry in functions]
        for raw, entry in entries:
            line, calls = entry.get("line_number"), entry.get("ncalls", "0").split("/")
            file_name = entry.get("file_name")
            self.facts.append((bucket, labels,
                               (text_of(raw), None if file_name is None else text_of(file_name),
                                None if line is None else int(line)),
                               {"cumtime": seconds_to_ns(entry.get("cumtime")),
                                "tottime": seconds_to_ns(entry.get("tottime", "0")),
                                "ncalls": int(calls[0]), "pcalls": int(calls[-1])}))

    def extend(self, texts):
        for text in texts:
            self.add(text)

    # Queries. width is in time slices; the range is in seconds.

    def begin(self, n, width=1):
        return self.start + n * width * self.slice

    def widened(self, first, end, width=1):
        step = self.slice * width
        low = None if first is None else (Fraction(first) - self.start) // step
        high = None if end is None else -((self.start - Fraction(end)) // step)
        return low, high

    def select(self, by="function", functions=(), labels=None, first=None, end=None, width=1):
        """(heads {bucket: Counter}, rows {key: {bucket: Counter}})"""
        low, high = self.widened(first, end, width)
        wanted = set((labels or {}).items())
        globs = [lstrip(glob) for glob in functions]

        def inside(n, have):
            return (low is None or n >= low) and (high is None or n < high) and wanted <= set(have)

        heads, rows = {}, {}
        for bucket, have, head in self.heads:
            n = bucket // width
            if inside(n, have):
                total = heads.setdefault(n, Counter())
                for key, value in head.items():
                    total[key] += value
        for bucket, have, place, numbers in self.facts:
            n = bucket // width
            name = lstrip(place[0])
            if not inside(n, have) or (globs and not any(fnmatchcase(name, glob) for glob in globs)):
                continue
            if by == "function":
                key = name
            elif by == "location":
                key = (name, *place)
            else:
                key = dict(have).get(by.removeprefix("label."))
            cell = rows.setdefault(key, {}).setdefault(n, Counter())
            for metric, value in numbers.items():
                cell[metric] += value
        return heads, rows
