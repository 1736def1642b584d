"""Row 15: damaged databases. What SQLite or the daemon can see at the start is refused, the file unchanged; what lies
deeper crashes nothing, and healthz says so.

Foreign files, newer schemas, damaged headers, cut ones, a second daemon: tests/integration/test_lifecycle.py,
test_a_file_that_must_not_be_used, test_second_daemon_on_the_same_database.
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
def whole(tmp_path_factory):
    """The bytes of a good database."""
    from faulty import FaultyDaemon
    one = FaultyDaemon()
    try:
        one.start()
        senders.TRANSPORTS["unix_stream"](one, list(texts()))
        one.idle()
        assert one.stop() == 0
        data = one.db.read_bytes()
    finally:
        one.discard()
    assert len(data) > 20 * PAGE
    return data


def image(one):
    return {path.name: path.read_bytes() for path in one.folder.glob("t.db*")
            if not path.name.endswith(("-shm", "-lock"))}


def by_sql(statement):
    def harm(path):
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA writable_schema=ON")
        connection.executescript(statement)
        connection.close()
    return harm


def garbage_in_schema(path):
    data = bytearray(path.read_bytes())
    data[100:108] = b"\xff" * 8  # the head of the schema's first page
    path.write_bytes(data)


HARMS = {
    "no view": by_sql("DROP VIEW bucket_totals"),
    "no sums": by_sql("DROP TABLE sums"),
    "no grid": by_sql("DELETE FROM grid"),
    "a column less": by_sql("ALTER TABLE profiles DROP COLUMN total_tt"),
    "schema that is no SQL": by_sql("UPDATE sqlite_schema SET sql = 'nonsense' WHERE name = 'sums'"),
    "schema that points nowhere": by_sql("UPDATE sqlite_schema SET rootpage = 999999 WHERE name = 'sums'"),
    "garbage in the schema's page": garbage_in_schema,
    "half a page": lambda path: path.write_bytes(path.read_bytes()[:2048]),
    "one byte": lambda path: path.write_bytes(b"S"),
}


@pytest.mark.parametrize("harm", sorted(HARMS))
def test_schema(prepare, whole, figure, harm):
    one = prepare()
    one.db.write_bytes(whole)
    HARMS[harm](one.db)
    before = image(one)
    code, log = one.refused()
    problems = []
    if code != EX_CONFIG or "t.db" not in log:
        problems.append(f"exit code {code}: {log}")
    if image(one) != before:
        problems.append("the file has changed")
    figure(f"15 {harm}", 1, problems, "refused, unchanged")


def damaged(rng, whole):
    """Some of the pages behind the first, in one of several ways."""
    data = bytearray(whole)
    pages = len(data) // PAGE
    for _ in range(rng.choice([1, 1, 3])):
        at = rng.randrange(1, pages) * PAGE
        way = rng.randrange(4)
        if way == 0:
            data[at:at + PAGE] = bytes(PAGE)
        elif way == 1:
            data[at:at + PAGE] = rng.randbytes(PAGE)
        elif way == 2:
            data[at:at + 12] = rng.randbytes(12)
        else:
            other = rng.randrange(1, pages) * PAGE
            data[at:at + PAGE] = data[other:other + PAGE]
    return bytes(data)




def test_deeper_damage_crashes_nothing(prepare, scale, figure, whole):
    rng = random.Random(15)
    problems, tries, refused, told = [], 0, 0, 0
    for n in range(scale.choose(15, 1000)):
        if not scale.goes_on():
            break
        tries += 1
        one = prepare({"store.flush_interval": "50ms"})
        data = damaged(rng, whole)
        one.db.write_bytes(data)
        if not one.try_start():
            refused += 1
            if one.process.returncode not in (1, EX_CONFIG):
                problems.append(f"{n}: exit code {one.process.returncode}: {one.log_text()}")
            if image(one)["t.db"] != data:
                problems.append(f"{n}: refused, and the file has changed")
        else:
            senders.TRANSPORTS["unix_stream"](one, list(texts(10, 60)))
            answers = [one.get(path) for path in PATHS] + [one.post("/v1/flush")]
            health = one.get("/healthz").status
            if {answer.status for answer in answers} - {200, 500, 503} or health not in (200, 503):
                problems.append(f"{n}: {answers}")
            if any(answer.status == 200 and not answer.body for answer in answers):
                problems.append(f"{n}: an empty answer")
            told += health == 503
            if one.process.poll() is not None:
                problems.append(f"{n}: it has ended with {one.process.returncode}: {one.log_text()[-500:]}")
            elif health == 200 or n % 10 == 0:  # else it tries for seconds to commit, as it should
                code = one.stop()
                if code not in (0, 1):
                    problems.append(f"{n}: exit code {code} on SIGTERM")
        one.checked = True  # not its database
        one.discard(quiet=True)
    figure("15 deeper damage", tries, problems, f"no crash; {refused} refused at the start, {told} told by healthz")


def damage_root(path, table):
    """The first page of a table; the log, where there is one, is left as it is."""
    connection = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    root, = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", [table]).fetchone()
    connection.close()
    with open(path, "r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xff" * PAGE)


def test_damage_met_at_the_start_is_refused(prepare, figure, whole):
    """Names and clients are read before the first message is: damage there is seen at the start, and so refused."""
    problems = []
    tables = ("locations", "label_sets")
    for table in tables:
        one = prepare()
        one.db.write_bytes(whole)
        damage_root(one.db, table)
        before = image(one)
        code, log = one.refused()
        if code != EX_CONFIG or "t.db" not in log:
            problems.append(f"{table}: exit code {code}: {log}")
        if image(one) != before:
            problems.append(f"{table}: the file has changed")
    figure("15 damage met at the start", len(tables), problems, "refused, unchanged")


def test_healthz_tells_after_an_unclean_stop(prepare, scale, figure, whole):
    """Nobody asks for what is damaged: the check in the background finds it."""
    problems, tries, told = [], 0, 0
    for n in range(scale.choose(3, 50)):
        one = prepare()
        one.db.write_bytes(whole)
        one.start()
        senders.TRANSPORTS["unix_stream"](one, list(texts(1, 1)))
        one.flush()
        one.kill()
        damage_root(one.db, "sums")
        if one.try_start():
            tries += 1
            try:
                wait_until(lambda: not one.healthy())
                told += 1
            except AssertionError:
                problems.append(f"{n}: healthz says ok")
            one.stop()
        elif one.process.returncode != EX_CONFIG:
            problems.append(f"{n}: exit code {one.process.returncode}")
        one.checked = True  # not its database
        one.discard(quiet=True)
    figure("15 damage found after an unclean stop", tries, problems, f"{told} told by healthz")
