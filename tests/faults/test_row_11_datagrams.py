"""Row 11: many datagrams of all sizes and contents; each is counted.

tests/integration/test_datagrams.py sends them one at a time.
"""
import random
import socket

import pytest

import checker
from support import senders

TOO_LONG = 600_000  # bytes; more than the daemon reads at once
SO_SNDBUFFORCE = 32


def can_send_too_long():
    """Whether this process may send such a datagram, which requires privileges."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * TOO_LONG)
            return True
        except PermissionError:
            return False


def send_long(daemon, datagram):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * TOO_LONG)
        sock.settimeout(15)
        sock.sendto(datagram, str(daemon.settings["ingest.unix_datagram"]))


@pytest.mark.parametrize("kind", ["udp", "unix_datagram"])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_datagram_is_counted(start_daemon, scale, report, kind, threads):
    daemon = start_daemon(ingest__threads=threads)
    rng = random.Random(kind)
    number = scale.choose(4000, 100_000)
    sent = checker.Sent(1)
    truncated = 20 if kind != "udp" and can_send_too_long() else 0
    datagrams, good = [], 0
    for n in range(number):
        chance = rng.random()
        if n % 50 == 0:
            sent.last += 1
            good += 1
            text = checker.message(1, sent.last)
            datagrams.append(text if n % 100 else text + b" " * (65507 - len(text)))
        elif chance < 0.1:
            datagrams.append(b"")
        else:
            datagrams.append(b"\xff" + rng.randbytes(int(rng.paretovariate(0.7)) % 3000))  # never JSON
    senders.TRANSPORTS[kind](daemon, datagrams, sockets=4)
    for _ in range(truncated):
        send_long(daemon, checker.message(2, 1) + b" " * TOO_LONG)  # its truncated form is a valid message
    sent.confirmed = sent.last
    daemon.flush()
    status = daemon.wait_idle()
    problems = checker.verify(daemon.db, [sent]) + checker.verify_counters(status)
    counters = {"received": number + truncated, "accepted": good, "datagrams_dropped": 0, "datagrams_over_memory": 0}
    for name, expected in counters.items():
        if status[name] != expected:
            problems.append(f"{name} is {status[name]}, not {expected}")
    if status["rejected"]["truncated"] != truncated:
        problems.append(f"truncated is {status['rejected']['truncated']}, not {truncated}")
    report(f"11 {kind}, {threads} ingest threads", number + truncated, problems,
           f"{good} valid, {truncated} truncated, counters exact")
