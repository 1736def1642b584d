"""Row 3: the n-th write, the n-th sync of the database and its log fails, n rising until none is hit.

What was confirmed, by an answered flush or by an acknowledgement, is stored, once; nothing else may be there that was
not sent. A failed sync ends the process: later ones would seem to succeed.
"""
import errno
import json
import signal
import socket

import pytest

import acked
import checker
from faulty import each_call
from support.daemon import TIMEOUT, wait_until

FLUSHES = 6
MESSAGES = 30  # between two of them


class Plain:
    """Sends lines; an answered flush confirms all before it."""

    def __init__(self, daemon, slots):
        self.daemon, self.slots, self.sent = daemon, slots, checker.Sent(1)
        self.confirmed_after_failure = False

    def run(self):
        with socket.create_connection(self.daemon.address("tcp"), timeout=TIMEOUT) as sock:
            for _ in range(FLUSHES):
                lines = b""
                for _ in range(MESSAGES):
                    self.sent.last += 1
                    lines += checker.text(1, self.sent.last) + b"\n"
                sock.sendall(lines)
                sent = self.sent.last
                failed = self.slots.failed
                if self.daemon.post("/v1/flush").status == 200:
                    self.sent.confirmed = sent
                    self.confirmed_after_failure |= failed > 0


def failing(daemon, slots, which, n):
    """One run with one failure. Gives problems, and whether it was hit."""
    slots.fail_write = slots.fail_sync = slots.seen_writes = slots.seen_syncs = slots.failed = 0
    slots.fail_count, slots.fail_errno = 1, errno.EIO
    setattr(slots, which, n)
    problems = []
    plain = Plain(daemon, slots)
    daemon.spawn()
    try:
        wait_until(lambda: daemon.process.poll() is not None or daemon.control.exists())
        if daemon.process.poll() is None:
            plain.run()
            daemon.process.send_signal(signal.SIGTERM)
    except (OSError, json.JSONDecodeError):
        pass  # it has ended
    code = daemon.process.wait(TIMEOUT)
    hit = bool(slots.failed)
    if code not in (0, 1):
        problems.append(f"exit code {code}: {daemon.log_text()[-500:]}")
    if which == "fail_sync" and hit:
        if plain.confirmed_after_failure:
            problems.append("it went on after a failed sync")
        # The last sync is that of the checkpoint while closing: then the log, which is synced, must stay.
        log = daemon.db.with_name("t.db-wal")
        if code == 0 and not (log.exists() and log.stat().st_size):
            problems.append("exit code 0 after a failed sync, and no log is left")
    if not hit and (code, plain.sent.confirmed) != (0, FLUSHES * MESSAGES):
        problems.append(f"without a fault: exit code {code}, {plain.sent.confirmed} confirmed")
    setattr(slots, which, 0)
    daemon.control.unlink(missing_ok=True)
    daemon.start()  # starts whatever was left behind
    problems += checker.judge(daemon.db, [plain.sent])
    if daemon.stop() != 0:
        problems.append(f"the next start ends with {daemon.process.returncode}")
    problems += checker.judge(daemon.db, [plain.sent])
    return [f"{which} {n}: {problem}" for problem in problems], hit


@pytest.mark.parametrize("which", ["fail_write", "fail_sync"])
def test_each_write_and_each_sync(new_daemon, scale, report, which):
    """From the creation of the database to the checkpoint that closing makes."""
    def attempt(n):
        daemon = new_daemon({"store.flush_interval": "1h"})
        problems, hit = failing(daemon, daemon.preload("io_fault"), which, n)
        daemon.discard(quiet=not problems)
        return problems, hit
    report(f"3 EIO at the n-th {which[5:]}", *each_call(scale, attempt, at_least=5))


@pytest.mark.parametrize("which", ["fail_write", "fail_sync"])
def test_acknowledged_load_on_a_failing_disk(new_daemon, scale, report, which):
    """Failures in the middle of the load, again and again: whatever the daemon makes of them, each counts once."""
    daemon = new_daemon()
    slots = daemon.preload("io_fault")
    slots.fail_errno = errno.EIO
    daemon.start()
    clients = [acked.Client(acked.connector(daemon, kind), n + 1, bad=n == 1, again=3)
               for n, kind in enumerate(["tcp", "unix"])]
    sent = [client.sent for client in clients]
    problems, tries, ended = [], 0, 0
    seen = "seen" + which[4:] + "s"
    for client in clients:
        client.start()
    try:
        for n in range(scale.choose(5, 60)):
            if not scale.has_time():
                break
            tries += 1
            failed = slots.failed
            slots.fail_count = 1 + n % 4
            setattr(slots, which, getattr(slots, seen) + 1 + n)
            wait_until(lambda: slots.failed > failed, lambda: f"no {which}: {daemon.status()}")
            if which == "fail_sync":
                code = daemon.process.wait(TIMEOUT)
                if code != 1:
                    problems.append(f"exit code {code} after a failed sync")
            setattr(slots, which, 0)
            if daemon.process.poll() is not None:
                ended += 1
                daemon.start()
            confirmed = [client.sent.confirmed for client in clients]
            wait_until(lambda: all(client.sent.confirmed > before for client, before in zip(clients, confirmed)),
                       lambda: f"no acknowledgement any more: {daemon.status()}")
    finally:
        setattr(slots, which, 0)
        for client in clients:
            problems += client.stop(30)
    problems += checker.judge(daemon.db, sent) + checker.balance(daemon.wait_idle())
    report(f"3 EIO, {which[5:]} under acknowledged load", tries, problems,
           f"{sum(client.last for client in sent)} messages, {ended} times started again")
