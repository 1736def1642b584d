"""Row 14: another connection holds the write lock or a read snapshot. The daemon waits, and nothing is lost.

tests/integration/test_database.py, test_write_lock_delays_commits_but_loses_nothing, checks the responses to queries.
"""
import contextlib
import socket
import sqlite3
import time

import acked
import checker
from support.daemon import wait_until

RECOVERS_WITHIN = 5  # seconds


def connect_writer(daemon):
    return sqlite3.connect(daemon.db, isolation_level=None, timeout=10)


def test_write_lock_delays_plain_messages(start_daemon, scale, report):
    daemon = start_daemon(store__flush_interval="100ms")
    sent, problems, slowest = checker.Sent(1), [], 0.0
    tries, seconds = scale.choose((3, 0.3), (3, 60))
    with contextlib.closing(connect_writer(daemon)) as writer, \
            socket.create_connection(daemon.address("tcp")) as sock:
        for _ in range(tries):
            writer.execute("BEGIN IMMEDIATE")
            end = time.monotonic() + seconds
            while time.monotonic() < end or not daemon.status()["store_error"]:
                sent.last += 1
                sock.sendall(checker.message(1, sent.last) + b"\n")
                time.sleep(0.001)  # limits the rate
            writer.execute("ROLLBACK")
            begun = time.monotonic()
            wait_until(daemon.healthy, lambda: f"not healthy again: {daemon.status()}")
            slowest = max(slowest, time.monotonic() - begun)
            daemon.flush()
            sent.confirmed = sent.last
            problems += checker.verify(daemon.db, [sent])
    if slowest > RECOVERS_WITHIN:
        problems.append(f"healthy again after {slowest:.1f} s")
    problems += checker.verify_counters(daemon.wait_idle())
    report("14 write lock held, plain", tries, problems, f"{sent.last} messages, healthy again within {slowest:.2f} s")


def test_write_lock_delays_acknowledgements(start_daemon, scale, report):
    daemon = start_daemon()
    clients = [acked.Client(acked.connector(daemon, kind), n + 1, bad=n == 1, again=2)
               for n, kind in enumerate(["tcp", "unix"])]
    sent, problems, slowest = [client.sent for client in clients], [], 0.0
    tries, seconds = scale.choose((3, 0.3), (3, 60))
    with acked.running(clients, problems), contextlib.closing(connect_writer(daemon)) as writer:
        for n in range(tries):
            before = [client.confirmed for client in sent]
            wait_until(lambda: all(client.confirmed > b for client, b in zip(sent, before)))
            writer.execute("BEGIN IMMEDIATE")
            before = [client.confirmed for client in sent]
            time.sleep(seconds)  # while the lock is held
            wait_until(lambda: not daemon.healthy())
            after = [client.confirmed for client in sent]
            if any(a > b + client.window for client, a, b in zip(clients, after, before)):
                problems.append(f"acknowledged without a commit: {before}, {after}")
            if n % 2:
                daemon.kill()
                writer.execute("ROLLBACK")
                begun = time.monotonic()
                daemon.start()
            else:
                writer.execute("ROLLBACK")
                begun = time.monotonic()
            wait_until(lambda: all(client.confirmed > a for client, a in zip(sent, after)), lambda: daemon.status())
            slowest = max(slowest, time.monotonic() - begun)
    if slowest > RECOVERS_WITHIN:
        problems.append(f"acknowledged again after {slowest:.1f} s")
    problems += checker.verify(daemon.db, sent) + checker.verify_counters(daemon.wait_idle())
    report("14 write lock held, acknowledged", tries, problems,
           f"{sum(client.last for client in sent)} messages, acknowledged again within {slowest:.2f} s")


def restarts_of(log):
    """How often SQLite restarted the log. The file may keep its size, up to journal_size_limit."""
    with open(log, "rb") as file:
        return int.from_bytes(file.read(16)[12:], "big")


def test_read_snapshot_does_not_block_commits(start_daemon, scale, report):
    """Commits continue beside a read snapshot; afterwards the log is written back to the database and restarted."""
    daemon = start_daemon(store__flush_interval="1h")
    sent, problems = checker.Sent(1), []
    commits = scale.choose(60, 1000)
    log = daemon.db.with_name("t.db-wal")

    def commit(sock):
        for _ in range(100):
            sent.last += 1
            sock.sendall(checker.message(1, sent.last) + b"\n")
        daemon.flush()
        sent.confirmed = sent.last

    with socket.create_connection(daemon.address("tcp")) as sock:
        commit(sock)
        reader = daemon.read_db()
        reader.execute("BEGIN")
        seen = reader.execute("SELECT count(*) FROM bucket_totals").fetchone()
        for _ in range(commits):
            commit(sock)
        if reader.execute("SELECT count(*) FROM bucket_totals").fetchone() != seen:
            problems.append("the snapshot changed")
        if not daemon.healthy() or daemon.status()["store_error"]:
            problems.append(f"store error because of a reader: {daemon.status()['store_error']}")
        problems += checker.verify(daemon.db, [sent])
        grown, restarts = log.stat().st_size, restarts_of(log)
        reader.rollback()
        reader.close()
        begun = time.monotonic()

        def restarted():
            commit(sock)
            return restarts_of(log) != restarts
        wait_until(restarted, lambda: f"the log stays at {log.stat().st_size} bytes")
        recovered = time.monotonic() - begun
    if recovered > RECOVERS_WITHIN:
        problems.append(f"log restarted after {recovered:.1f} s")
    problems += checker.verify(daemon.db, [sent]) + checker.verify_counters(daemon.wait_idle())
    report("14 read snapshot held", commits, problems,
           f"{sent.last} messages, log of {grown / (1 << 20):.1f} MiB restarted within {recovered:.2f} s")
