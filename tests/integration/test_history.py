"""History by the real daemon, with retentions of seconds: rows and names that go, levels built behind a running one,
backups and deletions under load, interrupted or abandoned, and answers that nobody reads."""
import collections
import json
import os
import pathlib
import random
import signal
import socket
import sqlite3
import threading
import time

import pytest
from support import control, senders
from support.daemon import TIMEOUT, wait_until
from test_acknowledged import Client

SLOW = TIMEOUT / 15  # more under sanitizers
KEPT = 0


def message(at, names, **more):
    functions = [{"func_name": name, "cumtime": 0.001, "tottime": 0.001, "ncalls": 1} for name in names]
    return json.dumps({"timestamp": at, "profile": {"func_profiles": functions}, **more}).encode() + b"\n"


def send(daemon, messages):
    with senders.Stream(daemon) as stream:
        for at in range(0, len(messages), 100):
            stream.send(b"".join(messages[at:at + 100]))
        assert stream.finish() == []
    wait_until(lambda: daemon.post("/v1/flush").status == 200)  # a large commit takes longer than a flush waits


def calls(daemon, **params):
    return sum(row["ncalls"] for row in daemon.get_json("/v1/top", params)["functions"])


def query(path, sql, *parameters):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql, parameters).fetchall()
    finally:
        connection.close()


def disagreements(path):
    """Buckets of wider levels that are not what level 0 has in them, as far as it has them all; names without a row."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10, isolation_level=None)
    try:
        connection.execute("BEGIN")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        levels = {row[0]: row[1:] for row in connection.execute(
            "SELECT level, width, since, live, source FROM levels WHERE kind = 0")}
        width, since, *_ = levels[0]
        wrong = []
        for table, what in ("sums", "location, cumtime, tottime, ncalls, pcalls"), ("profiles", "0, profiles, total_tt"):
            fine = connection.execute(f"SELECT bucket, labels, {what} FROM {table} WHERE level = 0 AND bucket >= ?",
                                      (since,)).fetchall()
            for level, (wide, wide_since, live, source) in levels.items():
                ratio = wide // width
                first = max(-(-since // ratio), wide_since, live if source >= 0 else wide_since)
                expected = collections.Counter()
                for bucket, labels, location, *values in fine:
                    for i, value in enumerate(values):
                        expected[bucket // ratio, labels, location, i] += value
                stored = {(bucket, labels, location, i): value for bucket, labels, location, *values in
                          connection.execute(f"SELECT bucket, labels, {what} FROM {table} WHERE level = ?", (level,))
                          for i, value in enumerate(values)}
                for key in set(expected) | set(stored):
                    if key[0] >= first and expected.get(key, 0) != stored.get(key, 0):
                        wrong.append((table, level, key, expected.get(key), stored.get(key)))
        wrong += connection.execute(
            "SELECT 'no name', s.* FROM sums AS s JOIN levels AS l ON l.level = s.level AND s.bucket >= l.since AND l.kind = 0"
            " WHERE s.location NOT IN (SELECT id FROM locations) OR s.labels NOT IN (SELECT id FROM label_sets)").fetchall()
        return wrong
    finally:
        connection.close()


class Load(threading.Thread):
    """Acknowledged messages of now, as fast as they are acknowledged, through every restart. acked: how many are."""

    def __init__(self, daemon, name="load", names=lambda n: [f"f{n % 50}"], batch=20):
        super().__init__()
        self.daemon, self.client, self.names, self.batch = daemon, name, names, batch
        self.sent = self.acked = 0
        self.slowest = 0.0
        self.waiting = []  # lines that are not acknowledged
        self.ending = threading.Event()
        self.problem = None

    def run(self):
        while not self.ending.is_set() or self.waiting:
            try:
                self.talk()
            except (OSError, ValueError, TypeError):
                time.sleep(0.01)
            except Exception as problem:
                self.problem = problem
                return

    def talk(self):
        with Client(self.daemon, self.client) as client:
            last = client.hello()
            assert last >= self.acked, f"went back from {self.acked} to {last}"
            self.take(last)
            client.send(b"".join(self.waiting))
            while not self.ending.is_set() or self.waiting:
                if not self.waiting:
                    for _ in range(self.batch):
                        self.sent += 1
                        self.waiting.append(message(time.time(), self.names(self.sent), seq=self.sent))
                    client.send(b"".join(self.waiting))
                begun = time.monotonic()
                response = client.read()
                self.slowest = max(self.slowest, time.monotonic() - begun)
                assert set(response) == {"ack"}, response
                self.take(response["ack"])

    def take(self, acked):
        del self.waiting[:acked - self.acked]
        self.acked = acked

    def end(self):
        self.ending.set()
        self.join(30 * SLOW)
        assert not self.is_alive() and not self.problem, self.problem
        return self

    def __enter__(self):
        self.start()
        wait_until(lambda: self.acked or self.problem)
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(30 * SLOW)


# Pruning.

def test_old_rows_go_and_their_pages_are_used_again(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:2s 2s:4s 10s:1h", store__flush_interval="100ms", store__durability="process")
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
    wait_until(lambda: query(daemon.db, "SELECT count(*) FROM sums WHERE level = 0 AND bucket < ?", int(now) - 3) == [(0,)])
    assert disagreements(daemon.db) == []
    assert calls(daemon) == sent


# Names.

def test_names_go_and_come_again(start_daemon):
    """Bursts of names that come and go, each counted as it was sent, while the names of earlier bursts are let go of."""
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1s 2s:4s", store__durability="process")
    chance = random.Random(5)
    sent = []  # (timestamp, name)
    problems = []
    end = time.monotonic() + 14
    with Load(daemon) as load, Client(daemon, "bursts") as client:
        assert client.hello() == 0
        seq = 0
        while time.monotonic() < end:
            group = chance.randrange(12)
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
            time.sleep(chance.choice([0, 0.1, 0.4]))
        load.end()
    assert problems == []
    assert " unreferenced names" in daemon.log_text()
    daemon.restart()
    assert disagreements(daemon.db) == []
    # All go: also after a restart.
    wait_until(lambda: query(daemon.db, "SELECT count(*) FROM locations") == [(0,)], timeout=20 * SLOW)
    wait_until(lambda: query(daemon.db, "SELECT count(*) FROM label_sets") == [(0,)])
    send(daemon, [message(time.time(), ["burst1.1", "new"])] * 3)
    assert calls(daemon, function="burst1.1") == 3 and calls(daemon, function="new") == 3


def test_the_bound_is_on_what_the_finest_level_has(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:2s 10s:1h", aggregation__max_locations=60)
    total = 0
    for turn in range(3):
        send(daemon, [message(time.time(), [f"turn{turn}.{i}" for i in range(50)])])
        total += 50
        rows = {row["function"]: row["ncalls"] for row in daemon.get_json("/v1/top")["functions"]}
        assert "(overflow)" not in rows and sum(rows.values()) == total, rows
        if turn == 0:  # while they are there, others have no room
            send(daemon, [message(time.time(), [f"more.{i}" for i in range(50)])])
            total += 50
            rows = {row["function"]: row["ncalls"] for row in daemon.get_json("/v1/top")["functions"]}
            assert rows.pop("(overflow)") > 0
            total -= 50
            response = daemon.post("/v1/delete?function=more*&function=(overflow)&dry_run=false")
            assert response.status == 200 and response.json["ncalls"] == 50, response
        wait_until(lambda: query(daemon.db, "SELECT count(*) FROM sums WHERE level = 0") == [(0,)])
        if turn < 2:  # the table is begun anew, also where it was not full yet
            wait_until(lambda: daemon.status()["locations"] < 50, lambda: str(daemon.status()))
    assert disagreements(daemon.db) == []


# Other levels at a restart.

def test_levels_that_are_built_behind_it(new_daemon):
    now = int(time.time())
    daemon = new_daemon({"aggregation.time_slice": "1s", "aggregation.retention": "1s:1h", "aggregation.max_future": "10m"}).start()
    send(daemon, [message(now - age, [f"f{i}" for i in range(age % 5, 40, 5)]) for age in range(3500)])
    total = calls(daemon)
    assert total == 3500 * 8
    expected = daemon.get_json("/v1/buckets", {"from": now // 60 * 60 - 3000, "to": now // 60 * 60, "time_slice": "60s"})
    assert daemon.stop() == 0
    daemon.settings["aggregation.retention"] = "1s:1h 5s:2h 60s:1d"
    daemon.start()
    for age in range(0, 3000, 100):  # late, on both sides of what is built
        send(daemon, [message(now - age, ["late"])])
        total += 1
        assert calls(daemon) == total
        found = daemon.get_json("/v1/buckets", {"from": now // 60 * 60 - 3000, "to": now // 60 * 60, "time_slice": "60s",
                                                "function": "f*"})
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


# Backups.

def backup(daemon, path=None):
    response = daemon.post("/v1/backup")
    assert response.status == 200, response
    if path:
        path.write_bytes(response.body)
    return response


def test_a_backup_under_load_is_one_state(start_daemon, new_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:5s 2s:1h 60s:1d", store__durability="process")
    send(daemon, [message(time.time(), [f"many{i}" for i in range(k, 4000, 20)]) for k in range(20)])
    with Load(daemon) as load:
        for n in range(5):
            path = daemon.folder / f"copy{n}.db"
            before = load.acked
            backup(daemon, path)
            after = load.sent
            last, = query(path, "SELECT last_seq FROM clients")[0]
            assert before <= last <= after
            assert not list(daemon.folder.glob("t.db-copy*"))
            assert disagreements(path) == []
            assert query(path, "SELECT sum(ncalls) FROM sums WHERE level = 1") == [(last + 4000,)]
        load.end()
    other = new_daemon({"aggregation.time_slice": "1s", "aggregation.retention": "1s:5s 2s:1h 60s:1d"})
    other.db.write_bytes(path.read_bytes())
    other.start()
    assert calls(other) == last + 4000
    with Client(other, "load") as client:
        assert client.hello() == last


def fill(daemon, buckets=120, names=300):
    """A database of some megabytes. Gives how many calls are in it."""
    now = time.time()
    send(daemon, [message(now - age, [f"fill{i}" for i in range(names)], labels={"k": str(age % 2)}) for age in range(buckets)])
    return buckets * names


def begin(daemon, method, path):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(daemon.control))
    sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def post_when_free(daemon, path):
    """Until no other is under way."""
    responses = []

    def answered():
        responses.append(daemon.post(path))
        return responses[-1].status == 200
    wait_until(answered, lambda: str(responses[-1]))
    return responses[-1]


def test_whoever_leaves_half_way_leaves_nothing(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 10s:1d")
    total = fill(daemon)
    descriptors = daemon.descriptors()
    for pause in (0, 0.001, 0.003, 0.01, 0.03, 0.1):
        for path in "/v1/backup", "/v1/regrid?time_slice=10s", "/v1/delete?function=nothing*&dry_run=false":
            sock = begin(daemon, "POST", path)
            time.sleep(pause)
            sock.close()
            response = daemon.post("/v1/backup")
            assert response.status == 200 or response.error["code"] == "busy"
    post_when_free(daemon, "/v1/backup")
    wait_until(lambda: daemon.descriptors() <= descriptors + 2)
    wait_until(lambda: not list(daemon.folder.glob("t.db-copy*")))
    assert calls(daemon) == total and disagreements(daemon.db) == []


def test_a_deletion_that_is_abandoned_leaves_levels_that_agree(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 2s:1h 10s:1d")
    total = fill(daemon)
    for pause in (0.0, 0.02, 0.05, 0.1):
        sock = begin(daemon, "POST", "/v1/delete?function=fill1*&dry_run=false")
        time.sleep(pause)
        sock.close()
        assert disagreements(daemon.db) == []
    response = post_when_free(daemon, "/v1/delete?function=fill1*&dry_run=false").json
    gone = 120 * sum(str(i).startswith("1") for i in range(300))
    assert calls(daemon) == total - gone and response["ncalls"] <= gone
    assert disagreements(daemon.db) == []


def test_one_at_a_time(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    senders.udp(daemon, [message(time.time(), ["f"])])
    lock = sqlite3.connect(daemon.db, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")  # so that the first cannot begin
    sock = begin(daemon, "POST", "/v1/backup")
    try:
        wait_until(lambda: daemon.post("/v1/regrid?time_slice=1m").error["code"] == "busy")
        for path in "/v1/backup", "/v1/delete?function=f", "/v1/regrid?time_slice=1m":
            response = daemon.post(path)
            assert response.status == 503 and response.error["code"] == "busy", response
    finally:
        lock.execute("ROLLBACK")
        lock.close()
        sock.close()
    post_when_free(daemon, "/v1/backup")


def test_tcp_only_reads(start_daemon):
    daemon = start_daemon(control__http="127.0.0.1:0")
    send(daemon, [message(time.time(), ["f"])])
    for path in "/v1/backup", "/v1/delete?function=*&dry_run=false", "/v1/regrid?time_slice=1m", "/v1/flush":
        response = control.request(daemon.address("http"), "POST", path)
        assert response.status == 405, response
        assert control.request(daemon.address("http"), "GET", path).status == 404
    assert calls(daemon) == 1


@pytest.mark.parametrize("path", ["/v1/backup", "/v1/regrid?time_slice=10s", "/v1/delete?function=*&dry_run=false"])
def test_stop_meanwhile(start_daemon, path):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 10s:1d")
    for pause in (0.0, 0.005, 0.02, 0.05):
        fill(daemon, 60)
        sock = begin(daemon, "POST", path)
        time.sleep(pause)
        assert daemon.stop() == 0
        sock.close()
        assert not list(daemon.folder.glob("t.db-copy*"))
        assert disagreements(daemon.db) == []
        daemon.start()


@pytest.mark.parametrize("path", [None, "/v1/backup", "/v1/delete?function=fill2*&dry_run=false"])
def test_killed_meanwhile(start_daemon, path):
    """While rows are pruned and levels built, a backup is made, or rows are deleted: every level has the same."""
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:30s 2s:40s 10s:1d", store__durability="process")
    with Load(daemon) as load:
        for pause in (0.0, 0.01, 0.03, 0.1, 0.3):
            total = fill(daemon, 60)
            sock = begin(daemon, "POST", path) if path else None
            time.sleep(pause)
            daemon.kill()
            if sock:
                sock.close()
            assert disagreements(daemon.db) == []
            daemon.start()
            assert not list(daemon.folder.glob("t.db-copy*")), "left by who was killed"
        load.end()
    assert total and calls(daemon, function="f*", **{"label.k": "none"}) == 0
    assert sum(row["ncalls"] for row in daemon.get_json("/v1/top", {"function": "f[0-9]*"})["functions"]) == load.acked
    assert disagreements(daemon.db) == []


# Large answers.

def connections(daemon):
    """How many peers are connected to its Unix sockets and over TCP."""
    inodes, n = set(), 0
    folder = f"/proc/{daemon.process.pid}/fd"
    for name in os.listdir(folder):
        try:
            link = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:  # closed since
            continue
        if link.startswith("socket:["):
            inodes.add(link[len("socket:["):-1])
    tables = ("unix", 5, 6, "03"), ("tcp", 3, 9, "01"), ("tcp6", 3, 9, "01")  # the state of a connected socket
    for table, state, inode, connected in tables:
        for line in pathlib.Path(f"/proc/{daemon.process.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            n += fields[state] == connected and fields[inode] in inodes
    return n


def test_a_client_that_reads_slowly_holds_up_nobody(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h", store__durability="process")
    fill(daemon, 600, 700)
    wait_until(lambda: connections(daemon) == 0)  # of fill(): the daemon may notice their end later
    socks = [begin(daemon, "GET", "/v1/buckets?by=location") for _ in range(3)]
    for sock in socks:
        sock.settimeout(30 * SLOW)
        head = sock.recv(2000)
        assert b"200" in head[:20] and b"chunked" in head.lower(), head
    assert connections(daemon) == 3
    with Load(daemon) as load:
        before = load.acked
        time.sleep(3)
        assert load.acked > before + 100
        assert load.slowest < 1 * SLOW, f"an acknowledgement took {load.slowest:.2f} s"
        log = daemon.db.with_name("t.db-wal")
        assert log.stat().st_size < 40_000_000
        load.end()
    daemon.wait_idle()
    for sock in socks[:2]:
        sock.close()
    rest = bytearray()
    while chunk := socks[2].recv(1 << 20):
        rest += chunk
        if rest.endswith(b"0\r\n\r\n"):
            break
    socks[2].close()
    assert len(rest) > 1_000_000
    wait_until(lambda: connections(daemon) == 0)
    whole = daemon.get("/v1/buckets", {"by": "location"})
    assert whole.headers["Transfer-Encoding"] == "chunked" and len(whole.json["functions"]) >= 700
    assert whole.body.endswith(b"}\n")


def test_a_stop_while_a_large_answer_is_sent(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h")
    fill(daemon, 300, 400)
    sock = begin(daemon, "GET", "/v1/buckets")
    sock.recv(1000)
    assert daemon.stop(signal.SIGTERM) == 0
    sock.close()
