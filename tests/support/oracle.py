"""A naive model of the daemon: it keeps every profile and scans all of them for each query, with exact numbers.

It parses messages independently of the daemon (json and decimal), and compares responses as integers. Also random
profiles as messages.
"""
import csv
import io
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


def key_of(row, by):
    if by == "function":
        return row["function"]
    if by == "location":
        return row["function"], row["raw_name"], row["file_name"], row["line_number"]
    return row["label"]


def number(value, metric):
    if metric.endswith("time"):
        return exact_ns(value)
    assert isinstance(value, int), f"{metric} {value!r}"
    return value


def rows_in_order(rows, totals, by):
    """Rows must descend by total, then ascend by name."""
    order = [(-total, str(key[0] if by == "location" else key or "")) for key, total in zip(rows, totals)]
    assert order == sorted(order), f"order: {order[:20]}"


def compare_buckets(response, model, metric=None, by="function", width=1, first=None, end=None, functions=(),
                    labels=None, top=None, fill=False):
    metric = metric or ("tottime" if by.startswith("label.") else "cumtime")
    heads, rows = model.select(by, functions, labels, first, end, width)
    assert Fraction(response["start_time"]) == model.start
    assert Fraction(response["time_slice"]) == model.slice * width
    assert response["metric"] == metric
    low, high = model.widened(first, end, width)
    if first is not None:
        assert Fraction(response["from"]) == model.begin(low, width)
    if end is not None:
        assert Fraction(response["to"]) == model.begin(high, width)
    numbers = []
    for begin in response["buckets"]:
        n = (Fraction(begin) - model.start) / (model.slice * width)
        assert n.denominator == 1, f"{begin} is not on the grid"
        numbers.append(n.numerator)
    assert numbers == sorted(set(numbers)), "buckets must ascend"
    holding = {n for row in rows.values() for n in row}
    if fill:
        every = sorted(heads)
        low = every[0] if low is None and every else low
        high = every[-1] + 1 if high is None and every else high
        assert numbers == list(range(low, high))
    elif functions:  # a bucket with other functions only may be included or not
        assert holding <= set(numbers) <= set(heads)
    else:
        assert numbers == sorted(heads)
    empty = Counter()
    for name, value in (("profiles", "profiles"), ("exact_profiles", "exact")):
        assert response[name] == [heads.get(n, empty)[value] for n in numbers], name
    assert [exact_ns(v) for v in response["total_tt"]] == [heads.get(n, empty)["total_tt"] for n in numbers]
    assert response["parts_missing"] == [abs(heads.get(n, empty)["missing"]) for n in numbers]

    expected = {key: [row.get(n, empty)[metric] for n in numbers] for key, row in rows.items()}
    got = {}
    for row in response["functions"]:
        key = key_of(row, by)
        assert key not in got, f"{key} appears twice"
        got[key] = [number(value, metric) for value in row["values"]]
        assert number(row["total"], metric) == sum(got[key]), key
    rows_in_order(list(got), [sum(values) for values in got.values()], by)
    other = response["other"]
    if top is None or top >= len(expected):
        assert got == expected
        assert other["functions"] == 0
    else:
        assert len(got) == top
        assert got == {key: expected[key] for key in got}
        best = sorted((sum(values) for values in expected.values()), reverse=True)[:top]
        assert [sum(values) for values in got.values()] == best
        assert other["functions"] == len(expected) - top
    rest = [values for key, values in expected.items() if key not in got]
    assert [number(v, metric) for v in other["values"]] == [sum(column) for column in zip(*rest)] or \
        (not rest and not any(other["values"]) and len(other["values"]) == len(numbers))
    assert number(other["total"], metric) == sum(map(sum, rest))


def compare_top(response, model, metric=None, by="function", first=None, end=None, functions=(), labels=None, top=None):
    metric = metric or ("tottime" if by.startswith("label.") else "cumtime")
    heads, rows = model.select(by, functions, labels, first, end)
    assert response["metric"] == metric
    assert response["profiles"] == sum(head["profiles"] for head in heads.values())
    assert exact_ns(response["total_tt"]) == sum(head["total_tt"] for head in heads.values())

    def numbers(row):
        return {m: number(row[m], m) for m in METRICS}

    def check_quotients(row):
        for name, above, below in (("percall_cumtime", "cumtime", "pcalls"), ("percall_tottime", "tottime", "ncalls")):
            if row[below] == 0:
                assert row[name] is None, (name, row)
            else:
                true = Fraction(row[above]) / row[below]
                assert abs(Fraction(row[name]) - true) <= max(Fraction(1, NS), abs(true) / 10**12), (name, row)

    expected = {key: {m: sum(cell[m] for cell in row.values()) for m in METRICS} for key, row in rows.items()}
    got = {}
    for row in response["functions"]:
        key = key_of(row, by)
        assert key not in got, f"{key} appears twice"
        got[key] = numbers(row)
        check_quotients(row)
    rows_in_order(list(got), [row[metric] for row in got.values()], by)
    other = response["other"]
    shown = len(expected) if top is None else min(top, len(expected))
    assert len(got) == shown
    assert got == {key: expected[key] for key in got}
    best = sorted((row[metric] for row in expected.values()), reverse=True)[:shown]
    assert [row[metric] for row in got.values()] == best
    assert other["functions"] == len(expected) - shown
    rest = [row for key, row in expected.items() if key not in got]
    assert numbers(other) == {m: sum(row[m] for row in rest) for m in METRICS}
    check_quotients(other)


def read_csv(response):
    """Parses CSV strictly as in RFC 4180. Returns (rows as dicts, names of the columns)."""
    assert response.status == 200, response
    assert response.type == "text/csv", response.headers
    text = response.body.decode("utf-8")
    assert text.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert all(len(row) == len(rows[0]) for row in rows)
    return [dict(zip(rows[0], row)) for row in rows[1:]], rows[0]


# Random profiles.

NAMES = ["send", "_send", "__send", "__init__", "_init__", "_", "___", "main", "日本語", "_é", "e\u0301", "😀_x",
         "<lambda>", "<built-in method builtins.len>", 'quo"te', "back\\slash", "tab\tname", "line\nbreak",
         "comma,name", "a b", "send_all", "x" * 1024, "a" * 1000 + "é" * 12, "half\ud800", "half\udc80end", "Send",
         "0", "other", "(overflow) not", "'", "%s", "a/b", "a.b:c"]
FILES = [None, "/app/net.py", "~", "/app/日本.py", "C:\\x\\y.py", "/a\udc80.py", "", "f" * 4096]
LABELS = [None, None, {}, {"service": "web"}, {"service": "db", "host": "a"}, {"host": "é😀", "service": "web"},
          {"service": "we\"b", "_x9": "a,b"}]


class Number(str):
    """The text of a number, written unchanged."""


def write(value, item=", ", colon=": ", ascii_only=True):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        value = Pairs(value.items())
    if isinstance(value, Pairs):
        names = [json.dumps(str(name), ensure_ascii=ascii_only) for name, _ in value]
        members = [write(member, item, colon, ascii_only) for _, member in value]
        return "{" + item.join(f"{name}{colon}{member}" for name, member in zip(names, members)) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + item.join(write(v, item, colon, ascii_only) for v in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def random_seconds(rng):
    kind = rng.randrange(12)
    if kind < 5:
        return Number(repr(round(rng.random() * 3, 3)))
    if kind == 5:
        return Number(repr(rng.random()))
    if kind == 6:
        return Number(rng.choice(["0", "-0", "0.0", "-0.0", "0e5", "1", "12", "-3", "0.0000000005", "0.0000000015",
                                  "-0.0000000005", "-0.0000000015", "2.5e-9", "3.5E-9",
                                  "0.00000000050000000000000000000000000001", "1e-400",
                                  "0.1e1", "1E2", "1e+3", "9999999.999999999", "-9999999.999999999"]))
    if kind == 7:
        return Number(f"{rng.randrange(10**6)}.{rng.randrange(10**9):09}")
    if kind == 8:
        return Number(f"{rng.randrange(100)}.{rng.randrange(10**25):025}")
    if kind == 9:
        return Number(f"{rng.choice(['', '-'])}{rng.randrange(1, 10**6)}e-{rng.randrange(0, 14)}")
    if kind == 10:
        return Number(f"-{rng.random():.6f}")
    return Number(repr(rng.random() * 10**rng.randrange(-9, 6)))


def random_stamp(rng, model, spread):
    """A timestamp before or after start_time, often at the edge of a bucket."""
    n = rng.randrange(-spread, spread)
    edge = model.begin(n)
    kind = rng.randrange(6)
    if kind == 0:
        at = edge
    elif kind == 1:
        at = edge - Fraction(1, 10**9)
    elif kind == 2:
        at = edge - Fraction(1, 10**15)
    elif kind == 3:
        at = edge + Fraction(1, 10**9)
    else:
        at = edge + model.slice * Fraction(rng.randrange(10**6), 10**6)
    sign, at = ("-", -at) if at < 0 else ("", at)
    digits = 18
    scaled = at * 10**digits
    assert scaled.denominator == 1
    whole, part = divmod(scaled.numerator, 10**digits)
    text = f"{sign}{whole}.{part:0{digits}}".rstrip("0")
    text = text[:-1] if text.endswith(".") and rng.random() < 0.5 else text + ("0" if text.endswith(".") else "")
    if "." in text and rng.random() < 0.1:
        mantissa = text.lstrip("-").replace(".", "").lstrip("0")
        if mantissa:
            text = f"{sign}{mantissa}e-{len(text.split('.')[1])}"
    return Number(text)


def random_entry(rng, named):
    entry = Pairs()
    if named is not None:
        entry.append(("func_name", named))
    calls = rng.randrange(9)
    primitive = rng.randrange(calls + 1)
    big = 2**53 if rng.random() < 0.01 else calls
    members = [("ncalls", rng.choice([str(big), f"{big}/{primitive}", Number(big)])),
               ("tottime", random_seconds(rng)), ("percall_tottime", Number("0.0")), ("cumtime", random_seconds(rng)),
               ("percall_cumtime", Number("0.001")), ("file_name", rng.choice(FILES)),
               ("line_number", rng.choice([None, Number(0), Number(278), Number(2**31 - 1), Number(7)]))]
    members = [m for m in members if m[0] == "cumtime" or rng.random() > 0.06]
    if rng.random() < 0.1:
        members.append(("extra", [{"deep": [None, True, Number("1.5")]}]))
    entry.extend(members)
    if rng.random() < 0.2:
        rng.shuffle(entry)
    return entry


def random_messages(rng, model, n, spread=6):
    """n messages (more with parts) in random order, without line feeds. They are added to the model."""
    texts = []
    for _ in range(n):
        stamp = random_stamp(rng, model, spread)
        listed = rng.random() < 0.5
        entries = []
        for _ in range(0 if rng.random() < 0.08 else rng.randrange(1, 9)):
            name = rng.choice(NAMES)
            entries.append(random_entry(rng, name) if listed else (name, random_entry(rng, None)))
        total = [("total_tt", random_seconds(rng))] if rng.random() < 0.9 else []
        style = dict(item=rng.choice([", ", ", ", ",", " ,\t"]), colon=rng.choice([": ", ": ", ":"]),
                     ascii_only=rng.random() < 0.6)

        def profile(some, head):
            members = Pairs([*head, ("func_profiles", some if listed else Pairs(some))])
            if rng.random() < 0.2:
                members.reverse()
            return members

        if rng.random() < 0.3:
            made = [[stamp, profile(entries, total)]]
        else:
            labels = rng.choice(LABELS)
            around = [("labels", labels)] if labels is not None else []
            if rng.random() < 0.3:
                around.append(("exact", True))
            if rng.random() < 0.2:
                parts = rng.randrange(1, 5)
                made = [Pairs([("timestamp", stamp), *around, ("part", [Number(i), Number(parts)]),
                               ("profile", profile(entries[i::parts], total))]) for i in range(parts)]
                if rng.random() < 0.3 and len(made) > 1:
                    made.pop()  # a lost part
            else:
                made = [Pairs([("timestamp", stamp), ("profile", profile(entries, total)), *around])]
            for message in made:
                if rng.random() < 0.2:
                    rng.shuffle(message)
        for message in made:
            try:
                text = write(message, **style).encode("utf-8")
            except UnicodeEncodeError:  # a lone surrogate can only be escaped
                text = write(message, **dict(style, ascii_only=True)).encode("ascii")
            texts.append(text)
    rng.shuffle(texts)
    model.extend(texts)
    return texts
