"""The store and its queries against a naive model: a list of all deltas, and sums over it.

Hypothesis generates late profiles, changes of retention, passing time, steps of maintenance, deletions, copies with a
wider time_slice, and queries. After each step every level, and every response, must equal the sums of the list.
"""
import collections
import fnmatch
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from hypothesis import HealthCheck, Phase, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORE = os.environ.get("TIMESLICED_STORE", str(ROOT / "build" / "tests" / "store"))
S = 10**9
SLICE = 10 * S
START = -35 * S  # start_time; not a multiple of any width
NOW = 1_700_000_000 * S
LABELS = ['{}', '{"service": "web"}', '{"host": "a", "service": "db"}']
NAMES = ["f", "_f", "g", "__init__", "zero", "minus", "huge"]  # see values_of() for the last three
GLOBS = ["f", "_f", "g", "*i*", "zero", "minus", "huge", "[gh]*", "*"]
MAX = 2**63 - 1
KEPT, INTERNAL, RETIRING, DELETED = range(4)  # the kinds of a level
MIN = -2**63


class Store:
    """The program build/tests/store; see tests/support/store_main.c for its commands."""

    def __init__(self, path):
        self.path = path
        self.process = subprocess.Popen([STORE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, *words):
        self.process.stdin.write("\t".join(str(word) for word in words) + "\n")

    def request(self, *words):
        self.send(*words)
        self.process.stdin.flush()
        response = self.process.stdout.readline()
        assert response, "the program has exited"
        return response[:-1]

    def end(self):
        self.process.stdin.close()
        self.process.stdout.read()
        assert self.process.wait(20) == 0


def function(raw_name):
    return raw_name.lstrip("_")


def values_of(name, count, i):
    """zero: only zeros; minus: values that add up to zero; huge: calls whose sum exceeds 64 bits."""
    if name == "zero":
        return (0, 0, 0, 0)
    if name == "minus":
        return (-5000, -5, 0, 0) if count % 2 else (5000, 5, 0, 0)
    calls = 2**62 + 2**61 if name == "huge" else count + 1
    return (count * 1_000_000 + i, count * 1000 + i, calls, calls)


def matches(text, glob):
    return fnmatch.fnmatchcase(text, glob.lstrip("_"))


# Levels as (width as a multiple of the previous level's, number of buckets kept).
retentions = st.lists(st.tuples(st.sampled_from([2, 3, 6]), st.integers(1, 12)), min_size=1, max_size=4)


def retention_of(steps):
    width, keep, result = SLICE, 0, []
    for i, (factor, buckets) in enumerate(steps):
        width = width * factor if i else SLICE
        keep = max(keep, width * buckets)
        result.append((width, keep))
    return result


class Levels(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="ts", dir="/tmp")
        self.store = Store(f"{self.folder}/t.db")
        self.deltas = []   # (position, labels, raw name, (cumtime, tottime, ncalls, pcalls))
        self.profiles = []  # (position, labels, (profiles, exact, total_tt, expected, received))
        self.horizon = NOW
        self.deleted_huge = []
        self.count = 0
        self.always = {}   # {width: shortest keep} of the levels kept since the start

    def teardown(self):
        try:
            self.store.end()
            with sqlite3.connect(f"file:{self.store.path}?mode=ro", uri=True) as db:
                assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        finally:
            shutil.rmtree(self.folder)

    # Changes.

    def open(self, steps):
        self.retention = retention_of(steps)
        response = self.store.request("open", self.store.path, SLICE, START, self.horizon,
                                  *(f"{width}:{keep}" for width, keep in self.retention))
        assert response == "ok", response
        self.read_levels()

    @initialize(steps=retentions)
    def begin(self, steps):
        self.open(steps)
        self.always = dict(self.retention)

    @rule(steps=retentions)
    def restart(self, steps):
        assert self.store.request("close") == "ok"
        before = {level["id"]: level for level in self.levels}
        self.open(steps)
        self.always = {width: min(keep, self.always[width]) for width, keep in self.retention if width in self.always}
        # Deltas that only a deleted level had are deleted with it.
        remaining = [before[level["id"]] for level in self.levels
                   if level["kind"] in (KEPT, RETIRING) and level["id"] in before]

        def is_kept(delta):
            return any(self.is_complete(level, delta[0] // level["ratio"]) for level in remaining)
        self.deltas = list(filter(is_kept, self.deltas))
        self.profiles = list(filter(is_kept, self.profiles))
        self.drop_deleted()

    @rule(seconds=st.sampled_from([1, 9, 10, 35, 120, 600, 5000]))
    def time_passes(self, seconds):
        self.horizon += seconds * S

    @rule(profiles=st.lists(st.tuples(st.one_of(st.integers(-3, 5), st.integers(0, 500)), st.sampled_from(LABELS),
                                      st.lists(st.sampled_from(NAMES), max_size=4)), min_size=1, max_size=6))
    def receive_profiles(self, profiles):
        longest = max(keep for _, keep in self.retention)
        for age, labels, names in profiles:
            moment = self.horizon - age * SLICE
            if moment < self.horizon - longest:
                continue  # too_old
            position = (moment - START) // SLICE
            self.count += 1
            heads = (1, self.count % 2, self.count * 1_000_003 - 7, 1, 1)
            self.profiles.append((position, labels, heads))
            self.store.send("profile", position, labels, *heads)
            for i, name in enumerate(names):
                values = values_of(name, self.count, i)
                self.deltas.append((position, labels, name, values))
                self.store.send("sum", position, labels, name, *values)
        response = self.store.request("commit", self.horizon)
        assert response == "ok", response
        self.read_levels()
        self.drop_deleted()  # an old delta may shorten a level that is too fine for it

    @rule(rows=st.integers(1, 7), steps=st.integers(1, 5))
    def maintain_some_steps(self, rows, steps):
        self.store.request("maintain", self.horizon, rows, steps)
        self.read_levels()
        self.drop_deleted()

    @rule()
    def maintain_until_done(self):
        assert int(self.store.request("maintain", self.horizon, 3, 100000)) < 100000
        self.read_levels()
        self.drop_deleted()
        for level in self.levels:
            assert level["kind"] != DELETED
            first_kept = (self.horizon - level["keep"] - START) // level["width"]
            with self.db() as db:
                for table in "sums", "profiles":
                    older, = db.execute(f"SELECT count(*) FROM {table} WHERE level = ? AND bucket < ?",
                                        (level["id"], first_kept)).fetchone()
                    assert older == 0, (table, level)
            if level["kind"] == KEPT:
                assert level["source"] == -1

    # The state of the store.

    def db(self):
        return sqlite3.connect(f"file:{self.store.path}?mode=ro", uri=True)

    def read_levels(self):
        self.levels = json.loads(self.store.request("levels"))
        for level in self.levels:
            level["ratio"] = level["width"] // SLICE

    def first_kept_position(self):
        """The position before which no level keeps anything."""
        reach = [level["since"] * level["ratio"] for level in self.levels
                 if level["kind"] in (KEPT, RETIRING) and self.is_complete(level, level["since"])]
        return min(reach)

    def drop_deleted(self):
        """Removes from the list what maintenance deleted, which must be old enough."""
        first = self.first_kept_position()
        longest = max(keep for _, keep in self.retention)
        for position, *_ in self.deltas:
            if position < first:
                age = self.horizon - (position + 1) * SLICE - START
                assert age >= longest or not self.was_always(longest), (position, first)
        self.deltas = [delta for delta in self.deltas if delta[0] >= first]
        self.profiles = [profile for profile in self.profiles if profile[0] >= first]

    def was_always(self, keep):
        return any(always >= keep for always in self.always.values())

    def is_complete(self, level, bucket):
        return bucket >= level["since"] and (bucket < level["built_to"] or bucket >= level["live"])

    @invariant()
    def every_level_equals_the_list(self):
        """Each complete bucket of each level has exactly the sums of the list."""
        if not hasattr(self, "levels"):
            return
        with self.db() as db:
            names = dict(db.execute("SELECT id, raw_name FROM locations"))
            sets = dict(db.execute("SELECT id, labels FROM label_sets"))
            for level in self.levels:
                if level["kind"] == DELETED:
                    continue
                expected = collections.defaultdict(lambda: [0, 0, 0, 0])
                for position, labels, name, values in self.deltas:
                    bucket = position // level["ratio"]
                    if self.is_complete(level, bucket):
                        sums = expected[bucket, labels, name]
                        for i, value in enumerate(values):
                            sums[i] = min(sums[i] + value, MAX)
                stored = {(bucket, sets[labels], names[location]): values for bucket, labels, location, *values in
                          db.execute("SELECT bucket, labels, location, cumtime, tottime, ncalls, pcalls FROM sums"
                                     " WHERE level = ?", (level["id"],)) if self.is_complete(level, bucket)}
                for key in set(stored) | set(expected):
                    if not self.keeps_huge(level, key, stored.get(key)):
                        assert stored.get(key) == expected.get(key), (key, level)
                heads = collections.defaultdict(lambda: [0, 0, 0, 0, 0])
                for position, labels, values in self.profiles:
                    bucket = position // level["ratio"]
                    if self.is_complete(level, bucket):
                        for i, value in enumerate(values):
                            heads[bucket, labels][i] += value
                stored = {(bucket, sets[labels]): values for bucket, labels, *values in
                          db.execute("SELECT bucket, labels, profiles, exact_profiles, total_tt, parts_expected,"
                                     " parts_received FROM profiles WHERE level = ?", (level["id"],))
                          if self.is_complete(level, bucket)}
                assert stored == dict(heads), level
            # A level kept since the start is complete for its full age.
            for level in self.levels:
                if level["kind"] == KEPT and level["width"] in self.always:
                    young = (self.horizon - self.always[level["width"]] - START) // level["width"] + 1
                    assert level["since"] <= young, level

    @invariant()
    def the_view_equals_the_list(self):
        if not hasattr(self, "levels"):
            return
        total = collections.Counter()
        for _, _, name, values in self.deltas:
            total[function(name)] += values[2] if name != "huge" else 0
        with self.db() as db:
            rows = db.execute("SELECT function, sum(ncalls) FROM bucket_totals"
                              " WHERE function <> 'huge' GROUP BY function").fetchall()
        assert {name: calls for name, calls in rows if calls} == {name: n for name, n in total.items() if n}

    # Deletion.

    @rule(span=st.tuples(st.one_of(st.none(), st.integers(-600, 6)), st.one_of(st.none(), st.integers(0, 300))),
          wide=st.sampled_from([1, 1, 2, 6, 36]), globs=st.lists(st.sampled_from(GLOBS), max_size=2),
          label=st.sampled_from([None, None, "web", "db"]), rows=st.sampled_from([1, 40, 2000]))
    def delete(self, span, wide, globs, label, rows):
        here = (self.horizon - START) // SLICE
        begin = None if span[0] is None else (here + span[0]) // wide * wide
        end = None if span[1] is None else ((begin if begin is not None else here - 100) + span[1]) // wide * wide
        params = [f"function={glob}" for glob in globs] + [f"label.service={label}"] * (label is not None)
        for name, position in ("from", begin), ("to", end):
            if position is not None:
                params.append(f"{name}={(position * SLICE + START) // S}")
        if not params:
            return
        first, last = begin if begin is not None else -2**62, end if end is not None else 2**62

        def is_selected(position, labels, name=None):
            return (first <= position < last and (label is None or f'"service": "{label}"' in labels)
                    and (name is None or not globs or any(matches(function(name), glob) for glob in globs)))
        dry = self.store.request("delete", self.horizon, rows, "&".join(params))
        self.every_level_equals_the_list()
        if not dry.startswith("{"):
            assert self.may_reject(dry, begin, end), (dry, begin, end, self.levels)
            return
        response = json.loads(self.store.request("delete", self.horizon, rows, "&".join(params + ["dry_run=false"])))
        deleted = [delta for delta in self.deltas if is_selected(*delta[:3])]
        self.deleted_huge += [delta for delta in deleted if delta[2] == "huge"]
        self.deltas = [delta for delta in self.deltas if not is_selected(*delta[:3])]
        profiles = [] if globs else [profile for profile in self.profiles if is_selected(*profile[:2])]
        if not globs:
            self.profiles = [profile for profile in self.profiles if not is_selected(*profile[:2])]
        assert {**json.loads(dry), "dry_run": False} == response
        if not self.deleted_huge:
            assert response["functions"] == len({function(delta[2]) for delta in deleted})
            assert response["ncalls"] == sum(delta[3][2] for delta in deleted)
            assert round(response["cumtime"] * S) == sum(delta[3][0] for delta in deleted)
        assert response["profiles"] == len(profiles)
        self.read_levels()

    # Copies with a wider time_slice.

    @rule(factor=st.sampled_from([1, 2, 3, 4, 6, 12, 36]), steps=retentions)
    def regrid(self, factor, steps):
        path = f"{self.folder}/copy.db"
        width = SLICE * factor
        response = self.store.request("regrid", width, path)
        longest = max((level for level in self.levels if level["kind"] == KEPT),
                      key=lambda level: (level["keep"], level["width"]))
        if response != "ok":
            rebuilt = any(level["kind"] == RETIRING or level["kind"] == KEPT and level["source"] >= 0
                          for level in self.levels)
            assert (rebuilt if "are being rebuilt" in response else
                    factor == 1 or (longest["width"] % width and width % longest["width"])), response
            return
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            kept = db.execute("SELECT width, keep FROM levels WHERE kind = 0 ORDER BY width").fetchall()
        copy = Store(path)
        try:
            for retention in kept, [(w * factor, keep * factor) for w, keep in retention_of(steps)]:
                levels = [f"{w}:{keep}" for w, keep in retention]
                assert copy.request("open", path, width, START, self.horizon, *levels) == "ok"
                if retention is kept:
                    self.check_copy(copy, factor, longest)
                assert int(copy.request("maintain", self.horizon, 3, 100000)) < 100000
                if retention is kept:
                    self.check_copy(copy, factor, longest)
                assert copy.request("close") == "ok"
        finally:
            copy.end()
        os.unlink(path)

    def check_copy(self, copy, factor, longest):
        """The copy has everything except what is too old and an oldest bucket that is no longer complete."""
        levels = json.loads(copy.request("levels"))
        first = min(level["since"] * (level["width"] // SLICE) for level in levels if level["kind"] in (KEPT, RETIRING))
        oldest = max(longest["since"] * longest["ratio"], (self.horizon - longest["keep"] - START) // SLICE)
        assert first < oldest + max(factor, longest["ratio"]), (levels, longest)
        response = json.loads(copy.request("query", "top", self.horizon, "top=100"))
        kept = [delta for delta in self.deltas if delta[0] >= first]
        profiles = [profile for profile in self.profiles if profile[0] >= first]
        self.check_sums(response, kept, profiles)

    def may_reject(self, dry, begin, end):
        alive = [level["ratio"] for level in self.levels if level["kind"] != DELETED]
        if dry.startswith("error store_unavailable "):
            return any(wide % narrow for wide in alive for narrow in alive if narrow < wide)
        finest = {name: next(level for level in self.levels if level["kind"] in (KEPT, RETIRING)
                             and self.is_complete(level, position // level["ratio"]))
                  for name, position in (("from", begin), ("to", None if end is None else end - 1))
                  if position is not None}
        return (dry.startswith("error not_kept from ") and begin % finest["from"]["ratio"]
                or dry.startswith("error not_kept to ") and end % finest["to"]["ratio"])

    def keeps_huge(self, level, key, stored):
        """A saturated sum stays saturated when a part of it is deleted and no finer level has the complete rest."""
        bucket, labels, name = key
        deleted = [delta[3][2] for delta in self.deleted_huge if delta[:2] == (delta[0], labels)
                   and delta[0] // level["ratio"] == bucket]
        return name == "huge" and deleted and level["id"] != 0 and stored and stored[2] == MAX

    def ignore_huge(self, found, expected):
        if self.deleted_huge:
            found.pop("huge", None)
            expected.pop("huge", None)

    @invariant()
    def used_names_are_kept(self):
        if not hasattr(self, "levels"):
            return
        unused = set(self.store.request("unused").split("\t")) - {""}
        used = {delta[2] for delta in self.deltas} | {profile[1] for profile in self.profiles}
        assert not unused & used

    # Queries.

    def wanted(self, position, labels, span, label):
        return span[0] <= position * SLICE + START < span[1] and (label is None or f'"service": "{label}"' in labels)

    def position_range(self, response):
        return [None if response[end] is None else round(response[end] * S) for end in ("from", "to")]

    def query(self, kind, **params):
        text = "&".join(f"{name}={value}" for name, value in params.items())
        response = self.store.request("query", kind, self.horizon, text)
        return json.loads(response) if response.startswith("{") else response

    def check_range(self, response, params, deltas):
        """The range must be widened to complete buckets of a kept level."""
        begin, end = self.position_range(response)
        for name, bound in ("from", begin), ("to", end):
            resolution = response[f"{name}_resolution"]
            if bound is not None:
                assert resolution and (bound - START) % (resolution * S) == 0, response
                assert resolution * S in [level["width"] for level in self.levels if level["kind"] in (KEPT, RETIRING)]
        if "from" in params:
            wanted = params["from"] * S
            assert begin <= wanted < begin + max(response["from_resolution"], response.get("time_slice", 0)) * S
        if "to" in params:
            wanted = params["to"] * S
            resolution = max(response["to_resolution"], response.get("time_slice", 0))
            assert end == begin or wanted <= end < wanted + resolution * S
        return (begin if begin is not None else 0, end if end is not None else 0)

    spans = st.tuples(st.one_of(st.none(), st.integers(-8000, 300)), st.one_of(st.none(), st.integers(0, 8000)))

    def span_params(self, span):
        begin, length = span
        params = {}
        if begin is not None:
            params["from"] = self.horizon // S + begin
        if length is not None:
            params["to"] = (self.horizon // S + begin if begin is not None else self.horizon // S - 4000) + length
        return params

    @rule(span=spans, label=st.sampled_from([None, "web", "db"]))
    def top(self, span, label):
        params = self.span_params(span)
        if label:
            params["label.service"] = label
        response = self.query("top", **params)
        assert isinstance(response, dict), response
        if response["from"] is None or response["to"] is None:
            matching = [p for p in self.profiles if self.wanted(
                p[0], p[1], (params.get("from", -10**12) * S, params.get("to", 10**12) * S), label)]
            assert matching == [] and response["functions"] == [], response
            return
        span = self.check_range(response, params, self.deltas)
        self.check_top(response, span, label)

    def check_top(self, response, span, label):
        self.check_sums(response, [delta for delta in self.deltas if self.wanted(*delta[:2], span, label)],
                        [profile for profile in self.profiles if self.wanted(*profile[:2], span, label)])

    def check_sums(self, response, deltas, profiles):
        expected = collections.defaultdict(lambda: [0, 0, 0, 0])
        for _, _, name, values in deltas:
            for i, value in enumerate(values):
                expected[function(name)][i] += value
        found = {row["function"]: [round(row["cumtime"] * S), round(row["tottime"] * S), row["ncalls"], row["pcalls"]]
                 for row in response["functions"]}
        for sums in expected, found:  # the calls of huge are saturated in some levels
            if "huge" in sums:
                del sums["huge"][2:]
        self.ignore_huge(found, expected)
        assert found == dict(expected)
        assert response["profiles"] == sum(values[0] for _, _, values in profiles)
        assert round(response["total_tt"] * S) == sum(values[2] for _, _, values in profiles)

    @rule(span=spans, factor=st.sampled_from([None, 1, 2, 3, 4, 6, 12, 36, 360]), fill=st.booleans(),
          label=st.sampled_from([None, "web"]))
    def buckets(self, span, factor, fill, label):
        params = self.span_params(span)
        if factor:
            params["time_slice"] = f"{factor * 10}s"
        if fill:
            params["fill"] = "true"
        if label:
            params["label.service"] = label
        response = self.query("buckets", **params)
        if isinstance(response, str):
            assert factor and response.startswith("error not_kept time_slice "), response
            return
        width = round(response["time_slice"] * S)
        assert factor is None or width == factor * SLICE
        if response["from"] is None or response["to"] is None:
            assert response["functions"] == []
            return
        span = self.check_range(response, params, self.deltas)
        cells = collections.defaultdict(collections.Counter)
        columns = collections.Counter()
        for position, labels, name, values in self.deltas:
            if self.wanted(position, labels, span, label):
                begin = (position * SLICE) // width * width + START
                cells[function(name)][begin] += values[0]
        for position, labels, values in self.profiles:
            if self.wanted(position, labels, span, label):
                columns[(position * SLICE) // width * width + START] += 1
        begins = [round(begin * S) for begin in response["buckets"]]
        if fill:
            assert begins == list(range(*span, width))
        else:
            assert begins == sorted(columns)
        assert response["profiles"] == [columns[begin] for begin in begins]
        found = {row["function"]: [round(value * S) for value in row["values"]] for row in response["functions"]}
        expected = {name: [row[begin] for begin in begins] for name, row in cells.items()}
        self.ignore_huge(found, expected)
        assert found == expected

    @precondition(lambda self: self.deltas)
    @rule()
    def functions(self):
        response = self.query("functions")
        seen = {place["raw_name"]: place for row in response["functions"] for place in row["locations"]}
        for name in {delta[2] for delta in self.deltas}:
            positions = [delta[0] for delta in self.deltas if delta[2] == name]
            for end, position in ("first_bucket", min(positions)), ("last_bucket", max(positions)):
                begin = round(seen[name][end] * S)
                at = position * SLICE + START
                widths = [level["width"] for level in self.levels if level["kind"] in (KEPT, RETIRING, INTERNAL)
                          and self.is_complete(level, position // level["ratio"])]
                assert any((at - START) // width * width + START == begin for width in widths), (name, end)

    @rule()
    def labels(self):
        response = self.query("labels")
        found = {json.dumps(row["labels"]): row["profiles"] for row in response["labels"]}
        assert found == collections.Counter(labels for _, labels, _ in self.profiles)

    @rule(before=st.tuples(st.integers(-4000, 0), st.integers(1, 3000)),
          after=st.tuples(st.integers(-500, 0), st.integers(1, 600)))
    def diff(self, before, after):
        now = self.horizon // S
        sides = {"before": before, "after": after}
        response = self.query("diff", **{name: f"{now + begin}..{now + begin + length}"
                                       for name, (begin, length) in sides.items()})
        assert isinstance(response, dict), response
        for side in sides:
            span = [round(response[side][end] * S) for end in ("from", "to")]
            self.check_top({"functions": [{"function": row["function"], **row[side]} for row in response["functions"]
                                          if any(row[side].values()) or self.has(row["function"], span)],
                            "profiles": response[side]["profiles"], "total_tt": response[side]["total_tt"]}, span, None)
        for row in response["functions"]:
            change = row["per_profile"]["change"]
            if change is not None:
                assert round(row["called_more"] * S) + round(row["slower_per_call"] * S) == round(change * S), row

    def has(self, name, span):
        return any(function(delta[2]) == name and self.wanted(delta[0], delta[1], span, None) for delta in self.deltas)


Levels.TestCase.settings = settings(
    max_examples=int(os.environ.get("TIMESLICED_EXAMPLES", "50")),
    stateful_step_count=int(os.environ.get("TIMESLICED_STEPS", "25")), deadline=None, database=None,
    suppress_health_check=list(HealthCheck), print_blob=True,
    phases=[Phase.explicit, Phase.generate] + [Phase.shrink] * bool(os.environ.get("TIMESLICED_SHRINK")))
TestLevels = Levels.TestCase
