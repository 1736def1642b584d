"""Row 14: an operator's shell holds the write lock, or a read snapshot. The daemon waits, nothing is lost.

What a question is told meanwhile: tests/integration/test_lifecycle.py, test_an_operator_holds_the_lock.
"""
import socket
import sqlite3
import time

import acked
import checker
from support.daemon import wait_until

RECOVERS_WITHIN = 5  # seconds


def shell(one):
    return sqlite3.connect(one.db, isolation_level=None, timeout=10)


def test_write_lock_under_plain_load(daemon, scale, figure):
    one = daemon(store__flush_interval="100ms")
    sent, problems, slowest = checker.Sent(1), [], 0.0
    tries, seconds = scale.choose((3, 0.3), (3, 60))
    operator = shell(one)
    with socket.create_connection(one.address("tcp")) as way:
        for _ in range(tries):
            operator.execute("BEGIN IMMEDIATE")
            end = time.monotonic() + seconds
            while time.monotonic() < end or not one.status()["store_error"]:
                sent.last += 1
                way.sendall(checker.text(1, sent.last) + b"\n")
                time.sleep(0.001)  # a sender's own pace
            operator.execute("ROLLBACK")
            begun = time.monotonic()
            wait_until(one.healthy, lambda: f"not well again: {one.status()}")
            slowest = max(slowest, time.monotonic() - begun)
            one.flush()
            sent.confirmed = sent.last
            problems += checker.judge(one.db, [sent])
    operator.close()
    if slowest > RECOVERS_WITHIN:
        problems.append(f"well again after {slowest:.1f} s")
    problems += checker.balance(one.idle())
    figure("14 write lock held, plain", tries, problems, f"{sent.last} messages, well again within {slowest:.2f} s")


def test_write_lock_under_acknowledged_load(daemon, scale, figure):
    one = daemon()
    clients = [acked.Client(acked.connector(one, kind), n + 1, bad=n == 1, again=2)
               for n, kind in enumerate(["tcp", "unix"])]
    sent, problems, slowest = [client.sent for client in clients], [], 0.0
    tries, seconds = scale.choose((3, 0.3), (3, 60))
    operator = shell(one)
    for client in clients:
        client.start()
    try:
        for n in range(tries):
            before = [client.confirmed for client in sent]
            wait_until(lambda: all(client.confirmed > b for client, b in zip(sent, before)))
            operator.execute("BEGIN IMMEDIATE")
            before = [client.confirmed for client in sent]
            time.sleep(seconds)  # the operator's pause
            wait_until(lambda: not one.healthy())
            after = [client.confirmed for client in sent]
            if any(a > b + client.window for client, a, b in zip(clients, after, before)):
                problems.append(f"acknowledged while nothing could be stored: {before}, {after}")
            if n % 2:
                one.kill()
                operator.execute("ROLLBACK")
                begun = time.monotonic()
                one.start()
            else:
                operator.execute("ROLLBACK")
                begun = time.monotonic()
            wait_until(lambda: all(client.confirmed > a for client, a in zip(sent, after)), lambda: one.status())
            slowest = max(slowest, time.monotonic() - begun)
    finally:
        operator.close()
        for client in clients:
            problems += client.stop(30)
    if slowest > RECOVERS_WITHIN:
        problems.append(f"acknowledged again after {slowest:.1f} s")
    problems += checker.judge(one.db, sent) + checker.balance(one.idle())
    figure("14 write lock held, acknowledged", tries, problems,
           f"{sum(client.last for client in sent)} messages, acknowledged again within {slowest:.2f} s")


def turns(log):
    """How often the log has been begun anew; the file may keep its size, up to journal_size_limit."""
    with open(log, "rb") as file:
        return int.from_bytes(file.read(16)[12:], "big")


def test_read_snapshot(daemon, scale, figure):
    """Commits go on beside it; what the log grows by meanwhile is put back afterwards."""
    one = daemon(store__flush_interval="1h")
    sent, problems = checker.Sent(1), []
    commits = scale.choose(60, 1000)
    log = one.db.with_name("t.db-wal")

    def commit(way):
        for _ in range(100):
            sent.last += 1
            way.sendall(checker.text(1, sent.last) + b"\n")
        one.flush()
        sent.confirmed = sent.last

    with socket.create_connection(one.address("tcp")) as way:
        commit(way)
        reader = one.read_db()
        reader.execute("BEGIN")
        seen = reader.execute("SELECT count(*) FROM bucket_totals").fetchone()
        for _ in range(commits):
            commit(way)
        if reader.execute("SELECT count(*) FROM bucket_totals").fetchone() != seen:
            problems.append("the snapshot moved")
        if not one.healthy() or one.status()["store_error"]:
            problems.append(f"a reader troubles it: {one.status()['store_error']}")
        problems += checker.judge(one.db, [sent])
        grown, turn = log.stat().st_size, turns(log)
        reader.rollback()
        reader.close()
        begun = time.monotonic()

        def put_back():
            commit(way)
            return turns(log) != turn
        wait_until(put_back, lambda: f"the log stays at {log.stat().st_size} bytes")
        recovered = time.monotonic() - begun
    if recovered > RECOVERS_WITHIN:
        problems.append(f"put back after {recovered:.1f} s")
    problems += checker.judge(one.db, [sent]) + checker.balance(one.idle())
    figure("14 read snapshot held", commits, problems,
           f"{sent.last} messages, log of {grown / (1 << 20):.1f} MiB put back within {recovered:.2f} s")
