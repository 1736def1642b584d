"""Row 11: datagrams of every size and content, each counted.

Empty, of 65,507 bytes, cut by the kernel, a few hundred of random bytes, one at a time:
tests/integration/test_datagrams.py.
Here they come all together and in number.
"""
import random
import socket

import pytest

import checker
from support import senders

CUT = 600_000  # bytes; more than is read at once
SO_SNDBUFFORCE = 32


def can_be_cut():
    """So long a datagram takes a sender with privileges."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * CUT)
            return True
        except PermissionError:
            return False


def send_long(daemon, datagram):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * CUT)
        sock.settimeout(15)
        sock.sendto(datagram, str(daemon.settings["ingest.unix_datagram"]))


@pytest.mark.parametrize("kind", ["udp", "unix_datagram"])
@pytest.mark.parametrize("threads", [1, 2])
def test_each_is_counted(start_daemon, scale, report, kind, threads):
    daemon = start_daemon(ingest__threads=threads)
    rng = random.Random(kind)
    number = scale.choose(4000, 100_000)
    sent = checker.Sent(1)
    cut = 20 if kind != "udp" and can_be_cut() else 0
    datagrams, good = [], 0
    for n in range(number):
        chance = rng.random()
        if n % 50 == 0:
            sent.last += 1
            good += 1
            text = checker.text(1, sent.last)
            datagrams.append(text if n % 100 else text + b" " * (65507 - len(text)))
        elif chance < 0.1:
            datagrams.append(b"")
        else:
            datagrams.append(b"\xff" + rng.randbytes(int(rng.paretovariate(0.7)) % 3000))  # never JSON
    senders.TRANSPORTS[kind](daemon, datagrams, sockets=4)
    for _ in range(cut):
        send_long(daemon, checker.text(2, 1) + b" " * CUT)  # whole, if one only looks at its beginning
    sent.confirmed = sent.last
    daemon.flush()
    status = daemon.wait_idle()
    problems = checker.judge(daemon.db, [sent]) + checker.balance(status)
    counted = {"received": number + cut, "accepted": good, "datagrams_dropped": 0, "datagrams_over_memory": 0}
    for name, expected in counted.items():
        if status[name] != expected:
            problems.append(f"{name} is {status[name]}, not {expected}")
    if status["rejected"]["truncated"] != cut:
        problems.append(f"truncated is {status['rejected']['truncated']}, not {cut}")
    report(f"11 {kind}, {threads} ingest threads", number + cut, problems, f"{good} good, {cut} cut, counters exact")
