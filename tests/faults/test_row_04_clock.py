"""Row 4: the wall clock jumps. No message is rejected, deleted or counted twice because of it, and nothing stalls."""
import json
import time

import acked
import checker
from support import senders
from support.daemon import TIMEOUT, wait_until

HOUR = 3600 * 10**9
YEARS = 10 * 365 * 24 * HOUR
STALL = TIMEOUT / 15  # seconds; larger under sanitizers


def message_at(name, timestamp):
    return json.dumps([timestamp, {"func_profiles": {name: {"cumtime": 0.001, "ncalls": 1}}}]).encode()


def calls(daemon):
    return sum(daemon.calls().values())


def test_clock_jumps_under_plain_load(new_daemon, scale, report):
    """Messages with the true time and with the daemon's clock are both accepted, except a time years before the
    retention: age is relative to the horizon, which does not jump."""
    daemon = new_daemon({"aggregation.max_future": "10m", "aggregation.retention": "10s:2d 1m:30d 1h:2y",
                         "store.flush_interval": "200ms"})
    clock = daemon.preload("clock_fault")
    daemon.start()
    problems, slowest, sent = [], 0.0, 0
    jumps = [HOUR, 0, -HOUR, 0, YEARS, 0, -YEARS, 0, HOUR, -HOUR, YEARS, -YEARS, 0] * scale.choose(1, 10)
    with senders.Stream(daemon) as stream:
        for n, offset in enumerate(jumps):
            clock.offset = offset
            commits = daemon.status()["commits"]
            for at in (time.time(), time.time() + max(offset, -HOUR) / 1e9):
                stream.send(message_at(f"f{n}", at) + b"\n")
                sent += 1
            begun = time.monotonic()
            # A commit of the timer, not one that a query forces.
            wait_until(lambda: daemon.status()["commits"] > commits,
                       lambda: f"no commit at {offset}: {daemon.status()}")
            slowest = max(slowest, time.monotonic() - begun)
            daemon.flush()
            if daemon.get("/healthz").status != 200:
                problems.append(f"not healthy at {offset}")
        if stream.received:
            problems.append(f"responses {bytes(stream.received[:500])}")
    status = daemon.wait_idle()
    if status["accepted"] != sent:
        problems.append(f"{status['accepted']} of {sent} accepted, {status['rejected']}")
    if not 0 <= status["uptime"] < 600:
        problems.append(f"uptime {status['uptime']}")
    if calls(daemon) != sent:
        problems.append(f"{calls(daemon)} of {sent} are stored")
    if slowest > STALL:
        problems.append(f"no commit for {slowest:.2f} s")
    report("4 clock jumps, plain", len(jumps), problems, f"longest stall {slowest:.2f} s")


def test_clock_jumps_under_acknowledged_load(new_daemon, scale, report):
    """Clients do not depend on the wall clock: none expires, no message counts twice, acknowledgements continue."""
    daemon = new_daemon({"store.client_expiry": "1h"})
    clock = daemon.preload("clock_fault")
    daemon.start()
    clients = [acked.Client(acked.connector(daemon, kind), n + 1, again=5) for n, kind in enumerate(["tcp", "unix"])]
    sent = [client.sent for client in clients]
    jumps = [YEARS, -YEARS, HOUR, -HOUR, 0] * scale.choose(1, 20)
    problems, slowest = [], 0.0

    def wait_acknowledged(more):
        """Waits until this many more messages of each client are acknowledged. Returns the seconds."""
        begun = time.monotonic()
        before = [client.confirmed for client in sent]
        wait_until(lambda: all(client.confirmed > b + more for client, b in zip(sent, before)),
                   lambda: f"no acknowledgements: {daemon.status()}")
        return time.monotonic() - begun

    with acked.running(clients, problems):
        wait_acknowledged(100)
        for n, offset in enumerate(jumps):
            clock.offset = offset
            slowest = max(slowest, wait_acknowledged(0))
            wait_acknowledged(100)
            if n % 5 == 4:
                daemon.restart()
                wait_acknowledged(0)
    if slowest > STALL:
        problems.append(f"no acknowledgement for {slowest:.2f} s")
    problems += checker.verify(daemon.db, sent) + checker.verify_counters(daemon.wait_idle())
    report("4 clock jumps, acknowledged load", len(jumps), problems,
           f"{sum(client.last for client in sent)} messages, longest wait for an acknowledgement {slowest:.2f} s")
