"""Row 15: damaged databases. Damage detected at the start is an error and leaves the file unchanged; other damage must
not crash the daemon, and /healthz reports it.

tests/integration/test_database.py: foreign or truncated files, newer schemas, damaged headers, a second daemon.
"""
import json
import random
import sqlite3

import pytest

from support import senders
from support.daemon import EX_CONFIG, wait_until

PAGE = 4096
PATHS = ("/v1/top", "/v1/buckets", "/v1/functions", "/v1/labels", "/v1/top?by=location", "/v1/top?by=label.service")


def texts(buckets=40, functions=60):
    entries = [{"func_name": f"function_{n}_{'x' * 60}", "ncalls": 1, "cumtime": 0.001,
                "file_name": "/app/some/where.py", "line_number": n} for n in range(functions)]
    for bucket in range(buckets):
        yield json.dumps({"timestamp": 10 * bucket, "labels": {"service": f"s{bucket % 3}"},
                          "profile": {"func_profiles": entries}}).encode()


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    """The bytes of an intact database."""
    from faulty import FaultyDaemon
    daemon = FaultyDaemon()
    try:
        daemon.start()
        senders.TRANSPORTS["unix_stream"](daemon, list(texts()))
        daemon.wait_idle()
        assert daemon.stop() == 0
        data = daemon.db.read_bytes()
    finally:
        daemon.discard()
    assert len(data) > 20 * PAGE
    return data


def file_contents(daemon):
    return {path.name: path.read_bytes() for path in daemon.folder.glob("t.db*")
            if not path.name.endswith(("-shm", "-lock"))}


def by_sql(statement):
    def damage(path):
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA writable_schema=ON")
        connection.executescript(statement)
        connection.close()
    return damage


def garbage_in_schema(path):
    data = bytearray(path.read_bytes())
    data[100:108] = b"\xff" * 8  # the header of the first page of the schema
    path.write_bytes(data)


DAMAGES = {
    "no view": by_sql("DROP VIEW bucket_totals"),
    "no sums": by_sql("DROP TABLE sums"),
    "no grid": by_sql("DELETE FROM grid"),
    "missing column": by_sql("ALTER TABLE profiles DROP COLUMN total_tt"),
    "schema that is not SQL": by_sql("UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'sums'"),
    "schema with an invalid page number": by_sql("UPDATE sqlite_schema SET rootpage = 999999 WHERE name = 'sums'"),
    "garbage in the schema's page": garbage_in_schema,
    "half a page": lambda path: path.write_bytes(path.read_bytes()[:2048]),
    "one byte": lambda path: path.write_bytes(b"S"),
}


@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_damaged_schema_is_rejected(new_daemon, intact, report, damage):
    daemon = new_daemon()
    daemon.db.write_bytes(intact)
    DAMAGES[damage](daemon.db)
    before = file_contents(daemon)
    code, log = daemon.run_to_exit()
    problems = []
    if code != EX_CONFIG or "t.db" not in log:
        problems.append(f"exit code {code}: {log}")
    if file_contents(daemon) != before:
        problems.append("the file has changed")
    report(f"15 {damage}", 1, problems, "rejected, unchanged")


def damaged(rng, intact):
    """The bytes with some pages, but not the first, zeroed, randomised or exchanged."""
    data = bytearray(intact)
    pages = len(data) // PAGE
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.randrange(1, pages) * PAGE
        kind = rng.randrange(4)
        if kind == 0:
            data[at:at + PAGE] = bytes(PAGE)
        elif kind == 1:
            data[at:at + PAGE] = rng.randbytes(PAGE)
        elif kind == 2:
            data[at:at + 12] = rng.randbytes(12)
        else:
            other = rng.randrange(1, pages) * PAGE
            data[at:at + PAGE] = data[other:other + PAGE]
    return bytes(data)


def test_deeper_damage_does_not_crash(new_daemon, scale, report, intact):
    rng = random.Random(15)
    problems, tries, rejected, reported = [], 0, 0, 0
    for n in range(scale.choose(15, 1000)):
        if not scale.has_time():
            break
        tries += 1
        daemon = new_daemon({"store.flush_interval": "50ms"})
        data = damaged(rng, intact)
        daemon.db.write_bytes(data)
        if not daemon.try_start():
            rejected += 1
            if daemon.process.returncode not in (1, EX_CONFIG):
                problems.append(f"{n}: exit code {daemon.process.returncode}: {daemon.log_text()}")
            if file_contents(daemon)["t.db"] != data:
                problems.append(f"{n}: rejected, but the file has changed")
        else:
            senders.TRANSPORTS["unix_stream"](daemon, list(texts(10, 60)))
            responses = [daemon.get(path) for path in PATHS] + [daemon.post("/v1/flush")]
            health = daemon.get("/healthz").status
            if {response.status for response in responses} - {200, 500, 503} or health not in (200, 503):
                problems.append(f"{n}: {responses}")
            if any(response.status == 200 and not response.body for response in responses):
                problems.append(f"{n}: an empty response")
            reported += health == 503
            if daemon.process.poll() is not None:
                problems.append(f"{n}: exit code {daemon.process.returncode}: {daemon.log_text()[-500:]}")
            elif health == 200 or n % 10 == 0:  # a daemon that cannot commit retries for seconds before it exits
                code = daemon.stop()
                if code not in (0, 1):
                    problems.append(f"{n}: exit code {code} on SIGTERM")
        daemon.checked = True  # its check would fail because of the damage
        daemon.discard(quiet=True)
    report("15 deeper damage", tries, problems,
           f"no crash; {rejected} rejected at the start, {reported} reported by /healthz")


def damage_root(path, table):
    """Damages the first page of a table in the database file, not in its log."""
    connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    root, = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchone()
    connection.close()
    with open(path, "r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xff" * PAGE)


def test_damage_found_at_the_start_is_rejected(new_daemon, report, intact):
    """The daemon reads names at the start, so that damage there is an error."""
    problems = []
    tables = ("locations", "label_sets")
    for table in tables:
        daemon = new_daemon()
        daemon.db.write_bytes(intact)
        damage_root(daemon.db, table)
        before = file_contents(daemon)
        code, log = daemon.run_to_exit()
        if code != EX_CONFIG or "t.db" not in log:
            problems.append(f"{table}: exit code {code}: {log}")
        if file_contents(daemon) != before:
            problems.append(f"{table}: the file has changed")
    report("15 damage found at the start", len(tables), problems, "rejected, unchanged")


def test_healthz_reports_damage_after_an_unclean_stop(new_daemon, scale, report, intact):
    """No query reads the damaged part: the check in the background finds it."""
    problems, tries, reported = [], 0, 0
    for n in range(scale.choose(3, 50)):
        daemon = new_daemon()
        daemon.db.write_bytes(intact)
        daemon.start()
        senders.TRANSPORTS["unix_stream"](daemon, list(texts(1, 1)))
        daemon.flush()
        daemon.kill()
        damage_root(daemon.db, "sums")
        if daemon.try_start():
            tries += 1
            try:
                wait_until(lambda: not daemon.healthy())
                reported += 1
            except AssertionError:
                problems.append(f"{n}: /healthz is ok")
            daemon.stop()
        elif daemon.process.returncode != EX_CONFIG:
            problems.append(f"{n}: exit code {daemon.process.returncode}")
        daemon.checked = True  # its check would fail because of the damage
        daemon.discard(quiet=True)
    report("15 damage found after an unclean stop", tries, problems, f"{reported} reported by /healthz")
