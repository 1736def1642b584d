"""Messages with current timestamps, continuous load, and a check that all levels agree; for tests of retention."""
import collections
import contextlib
import json
import threading
import time

from support import senders
from support.acknowledged import Client
from support.daemon import TIMEOUT, connect_db, wait_until

SLOW = TIMEOUT / 15  # larger under sanitizers


def message(timestamp, names, **members):
    """A line: one call of each function."""
    functions = [{"func_name": name, "cumtime": 0.001, "tottime": 0.001, "ncalls": 1} for name in names]
    return json.dumps({"timestamp": timestamp, "profile": {"func_profiles": functions}, **members}).encode() + b"\n"


def send(daemon, messages):
    with senders.Stream(daemon) as stream:
        for at in range(0, len(messages), 100):
            stream.send(b"".join(messages[at:at + 100]))
        assert stream.finish() == []
    wait_until(lambda: daemon.post("/v1/flush").status == 200)  # a large commit may take longer than a flush waits


def calls(daemon, **params):
    return sum(daemon.calls(**params).values())


def disagreements(path):
    """Buckets of wider levels that differ from the sums of complete buckets of level 0, and rows without names."""
    with contextlib.closing(connect_db(path)) as connection:
        connection.execute("BEGIN")
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        levels = {row[0]: row[1:] for row in connection.execute(
            "SELECT level, width, since, live, source FROM levels WHERE kind = 0")}
        width, since, *_ = levels[0]
        wrong = []
        tables = ("sums", "location, cumtime, tottime, ncalls, pcalls"), ("profiles", "0, profiles, total_tt")
        for table, columns in tables:
            fine = connection.execute(f"SELECT bucket, labels, {columns} FROM {table} WHERE level = 0 AND bucket >= ?",
                                      (since,)).fetchall()
            for level, (wide, wide_since, live, source) in levels.items():
                ratio = wide // width
                first = max(-(-since // ratio), wide_since, live if source >= 0 else wide_since)
                expected = collections.Counter()
                for bucket, labels, location, *values in fine:
                    for i, value in enumerate(values):
                        expected[bucket // ratio, labels, location, i] += value
                stored = {(bucket, labels, location, i): value for bucket, labels, location, *values in
                          connection.execute(f"SELECT bucket, labels, {columns} FROM {table} WHERE level = ?",
                                             (level,))
                          for i, value in enumerate(values)}
                for key in set(expected) | set(stored):
                    if key[0] >= first and expected.get(key, 0) != stored.get(key, 0):
                        wrong.append((table, level, key, expected.get(key), stored.get(key)))
        wrong += connection.execute(
            "SELECT 'no name', s.* FROM sums AS s"
            " JOIN levels AS l ON l.level = s.level AND s.bucket >= l.since AND l.kind = 0"
            " WHERE s.location NOT IN (SELECT id FROM locations)"
            " OR s.labels NOT IN (SELECT id FROM label_sets)").fetchall()
        return wrong


class Load(threading.Thread):
    """Sends current messages as an acknowledged client, as fast as they are acknowledged, and reconnects after
    restarts. acked: the last acknowledged number."""

    def __init__(self, daemon, name="load", names=lambda n: [f"f{n % 50}"], batch=20):
        super().__init__()
        self.daemon, self.client, self.names, self.batch = daemon, name, names, batch
        self.sent = self.acked = 0
        self.slowest = 0.0
        self.waiting = []  # lines that are not yet acknowledged
        self.ending = threading.Event()
        self.problem = None

    def run(self):
        while not self.ending.is_set() or self.waiting:
            try:
                self.send()
            except (OSError, ValueError, TypeError):
                time.sleep(0.01)
            except Exception as problem:
                self.problem = problem
                return

    def send(self):
        with Client(self.daemon, self.client) as client:
            last = client.hello()
            assert last >= self.acked, f"last_seq decreased from {self.acked} to {last}"
            self.acknowledge(last)
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
                self.acknowledge(response["ack"])

    def acknowledge(self, acked):
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


def fill(daemon, buckets=120, names=300):
    """Fills the database with some megabytes. Returns the number of calls."""
    now = time.time()
    functions = [f"fill{i}" for i in range(names)]
    send(daemon, [message(now - age, functions, labels={"k": str(age % 2)}) for age in range(buckets)])
    return buckets * names
