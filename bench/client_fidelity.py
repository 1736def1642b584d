"""Real profiles of standard library workloads, compared with what the daemon stores, to the nanosecond.

Each profile has a bucket of its own. The results of get_stats_profile() are sent too, with another label.
"""
import cProfile
import pstats
import random
from decimal import Decimal

import corpus
import daemon
import timesliced

PROFILES = 60
STAMP = 1732272000
SLICE = 10


def profiles(count):
    rng = random.Random(corpus.SEED)
    for workload in corpus.WORKLOADS:
        workload()
    for _ in range(count):
        profile = cProfile.Profile()
        for workload in rng.sample(corpus.WORKLOADS, corpus.WORKLOADS_EACH):
            profile.runcall(workload)
        yield profile


def ns(seconds):
    """The exact value of a float, or of the daemon's decimal text."""
    return round(Decimal(seconds) * 10**9)


def measured(profile):
    """{(raw name, file, line): (ncalls, pcalls, tottime ns, cumtime ns)}."""
    sums = {}
    for entry in profile.getstats():
        code = entry.code
        place = (code, "~", 0) if isinstance(code, str) else (code.co_name, code.co_filename, code.co_firstlineno)
        row = (entry.callcount, entry.callcount - entry.reccallcount, ns(entry.inlinetime), ns(entry.totaltime))
        sums[place] = tuple(a + b for a, b in zip(sums.get(place, (0, 0, 0, 0)), row))
    return sums


def stored(one, number, source):
    begin = STAMP + SLICE * number
    response = one.request("GET", "/v1/top",
                           {"by": "location", "from": begin, "to": begin + SLICE, "label.source": source})
    return {(row["raw_name"], row["file_name"], row["line_number"]):
            (row["ncalls"], row["pcalls"], ns(row["tottime"]), ns(row["cumtime"])) for row in response["functions"]}


def measure(build):
    made = list(profiles(PROFILES))
    with daemon.Daemon(build) as one:
        client = timesliced.Client(f"tcp://{one.listeners['tcp']}")
        for number, profile in enumerate(made):
            stamp = STAMP + SLICE * number + 5
            client.send(profile, stamp, labels={"source": "getstats"})
            client.send(pstats.Stats(profile).get_stats_profile(), stamp, labels={"source": "get_stats_profile"})
            if not client.flush(20):
                raise SystemExit(f"not delivered: {client.stats}")
        client.close()
        rows = [compare([(measured(profile), stored(one, n, source)) for n, profile in enumerate(made)])
                for source in ("getstats", "get_stats_profile")]
    sent, rounded = rows
    return [
        (f"functions in {PROFILES} profiles", f"{sent['functions']:,}", "", True),
        ("`client.send(profile)`: functions lost", f"{sent['lost']:,}", "0", sent["lost"] == 0),
        ("functions whose calls or times differ by a nanosecond or more", f"{sent['different']:,}", "0",
         sent["different"] == 0),
        ("tottime lost", f"{sent['time_lost']:,} ns of {sent['time']:,} ns", "0", sent["time_lost"] == 0),
        ("`get_stats_profile()`: functions lost", share(rounded["lost"], rounded["functions"]), "", True),
        ("functions whose calls or times differ", share(rounded["different"], rounded["functions"]), "", True),
        ("cumtimes that became 0.000", share(rounded["zero"], rounded["functions"] - rounded["lost"]), "", True),
        ("tottime lost", share(rounded["time_lost"], rounded["time"], "ns"), "", True)]


def share(part, total, unit=""):
    return f"{part:,} {unit} ({100 * part / total:.1f}%)".replace("  ", " ")


def compare(pairs):
    found = dict.fromkeys(("functions", "lost", "different", "zero", "time", "time_lost"), 0)
    for expected, there in pairs:
        found["functions"] += len(expected)
        found["lost"] += len(expected.keys() - there.keys())
        found["different"] += sum(there[place] != row for place, row in expected.items() if place in there)
        found["different"] += len(there.keys() - expected.keys())
        found["zero"] += sum(there[place][3] == 0 < row[3] for place, row in expected.items() if place in there)
        found["time"] += sum(row[2] for row in expected.values())
        found["time_lost"] += sum(row[2] for row in expected.values()) - sum(row[2] for row in there.values())
    return found
