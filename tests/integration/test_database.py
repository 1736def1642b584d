"""The database belongs to one daemon and one grid. Unusable files are rejected, locks delay commits."""
import sqlite3
import time

import pytest

from support import senders
from support.daemon import EX_CONFIG, TIMEOUT, wait_until
from support.messages import message

SCALE = TIMEOUT / 15


def file_contents(path):
    """{name: content} of the database and of its log, to compare them byte by byte."""
    return {name.name: name.read_bytes() for name in sorted(path.parent.glob(path.name + "*"))
            if not name.name.endswith(("-shm", ".lock", "-lock"))}


def test_second_daemon_on_the_same_database_is_rejected(start_daemon, new_daemon):
    daemon = start_daemon()
    senders.TRANSPORTS["tcp"](daemon, [message()])
    daemon.flush()
    before = daemon.status()["listeners"]
    for path in (daemon.db, daemon.folder / "." / ".." / daemon.folder.name / "t.db"):
        code, log = new_daemon({"store.path": path}).run_to_exit()
        assert code == EX_CONFIG, log
        assert "t.db" in log
    link = daemon.folder / "link.db"
    link.symlink_to(daemon.db)
    code, log = new_daemon({"store.path": link}).run_to_exit()
    assert code == EX_CONFIG, log
    assert daemon.status()["listeners"] == before
    senders.TRANSPORTS["udp"](daemon, [message()])
    assert daemon.calls() == {"f": 2}
    daemon.restart()
    assert daemon.calls() == {"f": 2}
    assert daemon.wait_idle()["store_error"] is None


def test_second_daemon_with_the_same_configuration_exits(start_daemon, new_daemon):
    """The second daemon exits because sockets and database are in use; the first one is not affected."""
    daemon = start_daemon()
    code, log = new_daemon(daemon.settings).run_to_exit()
    assert code > 0, log
    for kind in sorted(senders.TRANSPORTS):
        senders.TRANSPORTS[kind](daemon, [message()])
    assert daemon.calls() == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4


@pytest.mark.parametrize("key, value, part", [
    ("aggregation.time_slice", "5s", "time_slice"), ("aggregation.time_slice", "20s", "time_slice"),
    ("aggregation.start_time", "5", "start_time"), ("aggregation.start_time", "0.000000001", "start_time")])
def test_another_grid_is_rejected(start_daemon, key, value, part):
    daemon = start_daemon()
    senders.TRANSPORTS["tcp"](daemon, [message()])
    daemon.wait_idle()
    assert daemon.stop() == 0
    before, settings = file_contents(daemon.db), dict(daemon.settings)
    daemon.settings[key] = value
    daemon.settings["aggregation.retention"] = f"{daemon.settings.get('aggregation.time_slice', '10s')}:290y"
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG, log
    assert part in log
    assert file_contents(daemon.db) == before
    daemon.settings = settings
    daemon.start()
    assert daemon.calls() == {"f": 1}
    assert daemon.wait_idle()["received"] == 0


def foreign_text(path):
    path.write_text("This is not a database, and somebody needs it.\n" * 100)


def foreign_sqlite(path):
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE precious(x); INSERT INTO precious VALUES (1);")
    connection.close()


def newer_schema(path):
    connection = sqlite3.connect(path)
    version, = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version={version + 1}")
    connection.close()


def another_application(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id=1234")
    connection.close()


def damaged_header(path):
    data = bytearray(path.read_bytes())
    data[:16] = b"SQLite format 4\0"
    path.write_bytes(data)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-4096])


@pytest.mark.parametrize("damage", [foreign_text, foreign_sqlite, newer_schema, another_application, damaged_header,
                                    cut_short])
def test_unusable_database_is_rejected_and_unchanged(new_daemon, damage):
    daemon = new_daemon()
    if not damage.__name__.startswith("foreign"):
        daemon.start()
        senders.TRANSPORTS["tcp"](daemon, [message()])
        daemon.wait_idle()
        assert daemon.stop() == 0
    damage(daemon.db)
    before = file_contents(daemon.db)
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG, log
    assert "t.db" in log
    assert file_contents(daemon.db) == before


def test_start_time_now_is_fixed_once(start_daemon):
    before = time.time()
    daemon = start_daemon(aggregation__start_time="now")
    after = time.time()
    origin = daemon.status()["start_time"]
    assert isinstance(origin, int) and int(before) <= origin <= after
    senders.TRANSPORTS["tcp"](daemon, [message(timestamp=origin), message(timestamp=origin - 1)])
    assert daemon.get_json("/v1/buckets")["buckets"] == [origin - 10, origin]
    daemon.wait_idle()
    time.sleep(max(0, origin + 1.1 - time.time()))  # so that "now" would be another second
    daemon.restart()
    assert daemon.status()["start_time"] == origin
    assert daemon.stop() == 0
    daemon.settings["aggregation.start_time"] = origin  # the same time, explicitly
    daemon.start()
    assert daemon.get_json("/v1/buckets")["buckets"] == [origin - 10, origin]
    assert daemon.wait_idle()["received"] == 0
    assert daemon.stop() == 0
    daemon.settings["aggregation.start_time"] = origin + 1
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG and "start_time" in log, log


def test_write_lock_delays_commits_but_loses_nothing(start_daemon):
    """While another connection holds the write lock, a fresh query fails within 2 s, committed data is served, and
    received messages are not lost."""
    daemon = start_daemon(store__flush_interval="100ms")
    senders.TRANSPORTS["tcp"](daemon, [message(name="before")])
    daemon.wait_idle()
    with daemon.locked_db():
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message(name="during")])
        for _ in range(2):
            begun = time.monotonic()
            response = daemon.get("/v1/top")
            passed = time.monotonic() - begun
            assert (response.status, response.error["code"]) == (503, "store_unavailable")
            assert passed < 2.5 * max(1, SCALE)
        response = daemon.get_json("/v1/top", {"fresh": "false"})
        assert {row["function"] for row in response["functions"]} == {"before"}
        status = daemon.status()
        assert status["pending"] == 4 and status["received"] == 5 and status["store_error"]
        assert daemon.get("/healthz").status == 503
        assert daemon.get("/metrics").status == 200
        assert daemon.rejects() == []
    wait_until(lambda: daemon.get("/v1/top").status == 200)
    assert daemon.calls() == {"before": 1, "during": 4}
    status = daemon.wait_idle()
    assert (status["accepted"], status["store_error"]) == (5, None)
    assert daemon.get("/healthz").status == 200
