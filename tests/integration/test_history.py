"""Retention in the running daemon, with retentions of seconds: pruning, deleted names, levels that are built later."""
import collections
import random
import time

from support.acknowledged import Client
from support.daemon import query, wait_until
from support.history import SLOW, Load, calls, disagreements, message, send


# Pruning.

def test_pages_of_pruned_rows_are_reused(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:2s 2s:4s 10s:1h",
                          store__flush_interval="100ms", store__durability="process")
    with Load(daemon, names=lambda n: [f"f{i}" for i in range(n % 7, 300, 7)]) as load:
        wait_until(lambda: query(daemon.db, "SELECT sum(since > 0) FROM levels WHERE kind = 0") == [(2,)])
        time.sleep(2)
        pages = query(daemon.db, "PRAGMA page_count")[0][0]
        time.sleep(4)
        after = query(daemon.db, "PRAGMA page_count")[0][0]
        load.end()
    daemon.wait_idle()
    assert after < 1.5 * pages + 50, f"from {pages} to {after} pages"
    sent = sum(len(range(n % 7, 300, 7)) for n in range(1, load.sent + 1))
    assert calls(daemon) == sent
    now = time.time()
    old_rows = "SELECT count(*) FROM sums WHERE level = 0 AND bucket < ?"
    wait_until(lambda: query(daemon.db, old_rows, int(now) - 3) == [(0,)])
    assert disagreements(daemon.db) == []
    assert calls(daemon) == sent


# Names.

def test_deleted_names_count_again_when_they_return(start_daemon):
    """Bursts of names are counted exactly while the names of earlier bursts are deleted."""
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1s 2s:4s",
                          store__durability="process")
    rng = random.Random(5)
    sent = []  # (timestamp, name)
    problems = []
    end = time.monotonic() + 14
    with Load(daemon) as load, Client(daemon, "bursts") as client:
        assert client.hello() == 0
        seq = 0
        while time.monotonic() < end:
            group = rng.randrange(12)
            names = [f"burst{group}.{i}" for i in range(40)]
            at = time.time()
            for _ in range(5):
                seq += 1
                client.send(message(at, names, seq=seq, labels={"group": str(group)}))
                sent += [(at, name) for name in names]
            client.acked(seq)
            since = int(time.time() - 1) // 2 * 2
            response = daemon.get_json("/v1/top", {"from": since, "function": "burst*"})
            found = {row["function"]: row["ncalls"] for row in response["functions"]}
            expected = collections.Counter(name for stamp, name in sent if stamp >= since)
            if response["from"] == since and found != expected:
                problems.append((since, expected - collections.Counter(found), collections.Counter(found) - expected))
            wrong = disagreements(daemon.db)
            problems += wrong[:3]
            time.sleep(rng.choice([0, 0.1, 0.4]))
        load.end()
    assert problems == []
    assert " unreferenced names" in daemon.log_text()
    daemon.restart()
    assert disagreements(daemon.db) == []
    # All names are deleted, also after a restart.
    wait_until(lambda: query(daemon.db, "SELECT count(*) FROM locations") == [(0,)], timeout=20 * SLOW)
    wait_until(lambda: query(daemon.db, "SELECT count(*) FROM label_sets") == [(0,)])
    send(daemon, [message(time.time(), ["burst1.1", "new"])] * 3)
    assert calls(daemon, function="burst1.1") == 3 and calls(daemon, function="new") == 3


def test_limit_of_locations_applies_to_the_finest_level(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:2s 10s:1h",
                          aggregation__max_locations=60)
    total = 0
    for turn in range(3):
        send(daemon, [message(time.time(), [f"turn{turn}.{i}" for i in range(50)])])
        total += 50
        rows = {row["function"]: row["ncalls"] for row in daemon.get_json("/v1/top")["functions"]}
        assert "(overflow)" not in rows and sum(rows.values()) == total, rows
        if turn == 0:  # until these names are deleted, further ones are above the limit
            send(daemon, [message(time.time(), [f"more.{i}" for i in range(50)])])
            total += 50
            rows = {row["function"]: row["ncalls"] for row in daemon.get_json("/v1/top")["functions"]}
            assert rows.pop("(overflow)") > 0
            total -= 50
            response = daemon.post("/v1/delete?function=more*&function=(overflow)&dry_run=false")
            assert response.status == 200 and response.json["ncalls"] == 50, response
        wait_until(lambda: query(daemon.db, "SELECT count(*) FROM sums WHERE level = 0") == [(0,)])
        if turn < 2:  # the table of names is rebuilt even if it is not full
            wait_until(lambda: daemon.status()["locations"] < 50, lambda: str(daemon.status()))
    assert disagreements(daemon.db) == []


# Other levels at a restart.

def test_levels_are_built_while_late_messages_arrive(new_daemon):
    now = int(time.time())
    daemon = new_daemon({"aggregation.time_slice": "1s", "aggregation.retention": "1s:1h",
                         "aggregation.max_future": "10m"}).start()
    minutes = {"from": now // 60 * 60 - 3000, "to": now // 60 * 60, "time_slice": "60s"}
    send(daemon, [message(now - age, [f"f{i}" for i in range(age % 5, 40, 5)]) for age in range(3500)])
    total = calls(daemon)
    assert total == 3500 * 8
    expected = daemon.get_json("/v1/buckets", minutes)
    assert daemon.stop() == 0
    daemon.settings["aggregation.retention"] = "1s:1h 5s:2h 60s:1d"
    daemon.start()
    for age in range(0, 3000, 100):  # late messages, before and after the bucket being built
        send(daemon, [message(now - age, ["late"])])
        total += 1
        assert calls(daemon) == total
        found = daemon.get_json("/v1/buckets", {**minutes, "function": "f*"})
        assert found["functions"] == expected["functions"]
    assert "building buckets of" in daemon.log_text()
    wait_until(lambda: "built buckets of 1m" in daemon.log_text(), daemon.log_text)
    assert disagreements(daemon.db) == [] and calls(daemon) == total
    assert daemon.stop() == 0
    daemon.settings["aggregation.retention"] = "1s:1h 60s:1d"
    daemon.start()
    assert "deleting buckets of 5s" in daemon.log_text()
    assert calls(daemon) == total
    wait_until(lambda: len(query(daemon.db, "SELECT * FROM levels WHERE kind = 3")) == 0)
    assert disagreements(daemon.db) == [] and calls(daemon) == total
