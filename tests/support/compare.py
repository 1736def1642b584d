"""Compare responses of the daemon, JSON and CSV, and its database with the model of support.oracle."""
import contextlib
import csv
import io
from collections import Counter
from decimal import Decimal
from fractions import Fraction

from support.oracle import METRICS, NS, exact_ns, lstrip


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


def compare_csv(rows, names, response, by):
    """The CSV and the JSON of a query are equal. In CSV a missing file name looks like an empty one."""
    place = ("function",) if by == "function" else ("function", "file_name", "line_number", "raw_name")
    assert set(names) == {"kind", "bucket", "value", *place}
    assert names[0] == "kind"
    expected, got = Counter(), Counter()
    for row in response["functions"]:
        for bucket, value in zip(response["buckets"], row["values"]):
            key = ("function", Fraction(bucket), *("" if row[name] is None else str(row[name]) for name in place))
            expected[key] += Fraction(value)
    for bucket, value in zip(response["buckets"], response["other"]["values"]):
        expected["other", Fraction(bucket)] += Fraction(value)
    for row in rows:
        assert row["kind"] in ("function", "other")
        key = (row["kind"], Fraction(row["bucket"]))
        if row["kind"] == "function":
            key += tuple(row[name] for name in place)
        got[key] += Fraction(Decimal(row["value"]))
    assert set(got) <= set(expected)
    assert {key: v for key, v in got.items() if v} == {key: v for key, v in expected.items() if v}


def compare_top_csv(rows, names, response):
    assert names == ["kind", "function", "cumtime", "tottime", "ncalls", "pcalls"]
    functions = [row for row in rows if row["kind"] == "function"]
    assert [row["function"] for row in functions] == [row["function"] for row in response["functions"]]
    for text, row in zip(functions, response["functions"]):
        assert [Fraction(Decimal(text[m])) for m in METRICS] == [Fraction(row[m]) for m in METRICS]
    rest = [row for row in rows if row["kind"] != "function"]
    assert len(rest) <= 1 and all(row["kind"] == "other" for row in rest)
    if response["other"]["functions"]:
        assert [Fraction(Decimal(rest[0][m])) for m in METRICS] == [Fraction(response["other"][m]) for m in METRICS]


def compare_view(daemon, model):
    """Compares the view bucket_totals, whose seconds are doubles, to the precision of a double."""
    _, rows = model.select()
    expected = {(n, function): cell for function, row in rows.items() for n, cell in row.items()}
    with contextlib.closing(daemon.read_db()) as connection:
        columns = [column[1] for column in connection.execute("PRAGMA table_info(bucket_totals)")]
        assert columns == ["bucket", "width", "function", *METRICS]
        connection.execute("PRAGMA trusted_schema=OFF")
        query = f"SELECT bucket, width, function, {', '.join(METRICS)} FROM bucket_totals"
        found = connection.execute(query).fetchall()

    def near(value, true):
        return abs(Fraction(value) - true) <= max(Fraction(1, 2 * NS), abs(true) / 2**50)

    got = {}
    for bucket, width, function, *values in found:
        n = round((Fraction(bucket) - model.start) / model.slice)
        assert near(bucket, model.begin(n)), (bucket, n)
        assert near(width, model.slice)
        assert (n, function) not in got, f"{function!r} appears twice in bucket {bucket}"
        got[n, function] = values
    assert set(got) == set(expected)
    for key, (cumtime, tottime, ncalls, pcalls) in got.items():
        cell = expected[key]
        assert near(cumtime, Fraction(cell["cumtime"], NS)) and near(tottime, Fraction(cell["tottime"], NS)), key
        assert (ncalls, pcalls) == (cell["ncalls"], cell["pcalls"]), key


def compare_names(daemon, model):
    """/v1/functions and /v1/labels list every location and label set once, with the first and last bucket."""
    places = {}
    for _, _, place, _ in model.facts:
        places.setdefault(lstrip(place[0]), set()).add(place)
    got = {}
    for row in daemon.get_json("/v1/functions")["functions"]:
        assert row["function"] not in got
        found = [(p["raw_name"], p["file_name"], p["line_number"]) for p in row["locations"]]
        assert len(found) == len(set(found))
        got[row["function"]] = set(found)
    assert got == places
    sets = {}
    for bucket, labels, head in model.heads:
        sets.setdefault(labels, []).append((bucket, head["profiles"]))
    seen = {}
    for row in daemon.get_json("/v1/labels")["labels"]:
        key = tuple(sorted(row["labels"].items()))
        assert key not in seen
        seen[key] = (Fraction(row["first_bucket"]), Fraction(row["last_bucket"]), row["profiles"])
    expected = {}
    for labels, heads in sets.items():
        buckets, profiles = zip(*heads)
        expected[labels] = (model.begin(min(buckets)), model.begin(max(buckets)), sum(profiles))
    assert seen == expected
