"""Row 3: the n-th write or sync of the database and its log fails, with increasing n.

Messages confirmed by a flush or an acknowledgement are stored once, and nothing is stored that was not sent. A failed
sync ends the process, because later syncs would seem to succeed.
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
MESSAGES = 30  # per flush


class Plain:
    """A plain client. A successful flush confirms all messages sent before it."""

    def __init__(self, daemon, slots):
        self.daemon, self.slots, self.sent = daemon, slots, checker.Sent(1)
        self.confirmed_after_failure = False

    def run(self):
        with socket.create_connection(self.daemon.address("tcp"), timeout=TIMEOUT) as sock:
            for _ in range(FLUSHES):
                lines = b""
                for _ in range(MESSAGES):
                    self.sent.last += 1
                    lines += checker.message(1, self.sent.last) + b"\n"
                sock.sendall(lines)
                sent = self.sent.last
                failed = self.slots.failed
                if self.daemon.post("/v1/flush").status == 200:
                    self.sent.confirmed = sent
                    self.confirmed_after_failure |= failed > 0


def run_with_failure(daemon, slots, which, n):
    """A run in which the n-th call fails. Returns (problems, whether there was an n-th call)."""
    slots.fail_write = slots.fail_sync = slots.seen_writes = slots.seen_syncs = slots.failed = 0
    slots.fail_count, slots.fail_errno = 1, errno.EIO
    setattr(slots, which, n)
    problems = []
    plain = Plain(daemon, slots)
    try:
        if daemon.try_start():
            plain.run()
            daemon.process.send_signal(signal.SIGTERM)
    except (OSError, json.JSONDecodeError):
        pass  # the daemon has exited
    code = daemon.process.wait(TIMEOUT)
    hit = bool(slots.failed)
    if code not in (0, 1):
        problems.append(f"exit code {code}: {daemon.log_text()[-500:]}")
    if which == "fail_sync" and hit:
        if plain.confirmed_after_failure:
            problems.append("a flush succeeded after a failed sync")
        # The last sync is that of the final checkpoint. If it fails, the log, which is synced, must be kept.
        log = daemon.db.with_name("t.db-wal")
        if code == 0 and not (log.exists() and log.stat().st_size):
            problems.append("exit code 0 after a failed sync without a log")
    if not hit and (code, plain.sent.confirmed) != (0, FLUSHES * MESSAGES):
        problems.append(f"without a fault: exit code {code}, {plain.sent.confirmed} confirmed")
    setattr(slots, which, 0)
    daemon.control.unlink(missing_ok=True)
    daemon.start()  # with the database that the run left
    problems += checker.verify(daemon.db, [plain.sent])
    if daemon.stop() != 0:
        problems.append(f"exit code {daemon.process.returncode} after the next start")
    problems += checker.verify(daemon.db, [plain.sent])
    return [f"{which} {n}: {problem}" for problem in problems], hit


@pytest.mark.parametrize("which", ["fail_write", "fail_sync"])
def test_each_failing_write_or_sync_loses_nothing(new_daemon, scale, report, which):
    """From the creation of the database to the final checkpoint."""
    def attempt(n):
        daemon = new_daemon({"store.flush_interval": "1h"})
        problems, hit = run_with_failure(daemon, daemon.preload("io_fault"), which, n)
        daemon.discard(quiet=not problems)
        return problems, hit
    report(f"3 EIO at the n-th {which[5:]}", *each_call(scale, attempt, at_least=5))


@pytest.mark.parametrize("which", ["fail_write", "fail_sync"])
def test_failing_disk_under_acknowledged_load(new_daemon, scale, report, which):
    """Repeated failures under load: every message counts once."""
    daemon = new_daemon()
    slots = daemon.preload("io_fault")
    slots.fail_errno = errno.EIO
    daemon.start()
    clients = [acked.Client(acked.connector(daemon, kind), n + 1, bad=n == 1, again=3)
               for n, kind in enumerate(["tcp", "unix"])]
    sent = [client.sent for client in clients]
    problems, tries, exits = [], 0, 0
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
                exits += 1
                daemon.start()
            confirmed = [client.sent.confirmed for client in clients]
            wait_until(lambda: all(client.sent.confirmed > before for client, before in zip(clients, confirmed)),
                       lambda: f"no acknowledgements: {daemon.status()}")
    finally:
        setattr(slots, which, 0)
        for client in clients:
            problems += client.stop(30)
    problems += checker.verify(daemon.db, sent) + checker.verify_counters(daemon.wait_idle())
    report(f"3 EIO, {which[5:]} under acknowledged load", tries, problems,
           f"{sum(client.last for client in sent)} messages, {exits} restarts")
