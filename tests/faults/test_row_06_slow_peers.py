"""Row 6: hundreds of slow senders, and dead ones, do not slow down normal senders, and are closed."""
import pathlib
import socket
import statistics
import subprocess
import sys
import time

import pytest

import checker
from support import senders
from support.daemon import wait_until

DRIP = pathlib.Path(__file__).with_name("drip.py")
SLOW = 500
TCP_REPAIR = 19  # from linux/tcp.h; requires privileges
FREED_WITHIN = 120  # seconds


class Drips:
    def __init__(self, number, pause, *addresses):
        self.process = subprocess.Popen([sys.executable, str(DRIP), str(number), str(pause), *map(str, addresses)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def end(self):
        """Ends the process and returns the number of connections that were still open."""
        return int(self.process.communicate(timeout=30)[0])


def measure(daemon, lines, rounds):
    """(stored lines per second, seconds of CPU per line)"""
    cpu = daemon.cpu_seconds()
    with senders.Stream(daemon) as stream:
        begun = time.monotonic()
        for _ in range(rounds):
            stream.send(lines)
        stream.finish()
    daemon.flush()
    return 1000 * rounds / (time.monotonic() - begun), (daemon.cpu_seconds() - cpu) / rounds / 1000


def open_connections(daemon):
    return daemon.status()["connections"]["open"]


def wait_all_closed(daemon, timeout=None):
    wait_until(lambda: open_connections(daemon) == 0, lambda: f"{open_connections(daemon)} are open", timeout)


def test_slow_senders_do_not_slow_down_others(start_daemon, scale, report):
    """Measures alternately with and without the slow senders. Rates depend on the load of the machine, so the short
    form compares the CPU time per line and only reports the rates."""
    daemon = start_daemon()
    lines = b"".join(checker.message(1, n) + b"\n" for n in range(1, 1001))
    rounds, pairs = scale.choose((100, 3), (1000, 8))
    measure(daemon, lines, rounds)  # warm-up
    alone, beside, open_, problems = [], [], [], []
    for _ in range(pairs):
        alone.append(measure(daemon, lines, rounds))
        drips = Drips(SLOW, 1, f"127.0.0.1:{daemon.address('tcp')[1]}", daemon.settings["ingest.unix_stream"])
        try:
            wait_until(lambda: open_connections(daemon) == SLOW, lambda: f"{open_connections(daemon)} are open")
            beside.append(measure(daemon, lines, rounds))
        finally:
            open_.append(drips.end())
        wait_all_closed(daemon)
    kept = statistics.median(rate for rate, _ in beside) / statistics.median(rate for rate, _ in alone)
    cost = min(cpu for _, cpu in beside) / min(cpu for _, cpu in alone)
    if min(open_) != SLOW:
        problems.append(f"{open_} of {SLOW} were open: the measurement is invalid")
    if cost > 1.5:
        problems.append(f"a line takes {cost:.0%} of the CPU time without slow senders")
    if scale.long and kept < 0.95:
        problems.append(f"normal senders keep {kept:.0%} of their rate")
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    sent = 1000 * rounds * (1 + 2 * pairs)
    if status["accepted"] != sent or status["rejected"]["bad_json"] != SLOW * pairs:
        problems.append(f"{sent} sent; {status}")  # each slow connection ends with an incomplete line
    report("6 slow peers beside a normal one", pairs, problems,
           f"keeps {kept:.0%} of {statistics.median(rate for rate, _ in alone):,.0f} lines/s, "
           f"a line takes {cost:.0%} of the CPU time")


def is_open(sock):
    try:
        sock.setblocking(False)
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_idle_connections_stay_open(start_daemon, scale, report):
    daemon = start_daemon()
    seconds = scale.choose(3, 100)
    socks = [senders.connect_stream(daemon, kind) for kind in ("tcp", "unix")]
    for sock in socks:
        sock.sendall(checker.message(1, 1) + b"\n")
    wait_until(lambda: daemon.status()["accepted"] == 2)
    time.sleep(seconds)  # the connections are idle
    problems = [] if all(map(is_open, socks)) and open_connections(daemon) == 2 else [f"closed: {daemon.status()}"]
    for sock in socks:
        sock.setblocking(True)
        sock.sendall(checker.message(1, 1) + b"\n")
    wait_until(lambda: daemon.status()["accepted"] == 4, lambda: daemon.status())
    for sock in socks:
        sock.close()
    report("6 idle between lines", 2, problems, f"open after {seconds} s")


@pytest.mark.long
def test_incomplete_lines_are_closed_at_the_deadline(start_daemon, report):
    """Connections that stall within a line are closed at the deadline, and their descriptors are released."""
    daemon = start_daemon()
    socks = [senders.connect_stream(daemon, kind) for kind in ("tcp", "unix") for _ in range(50)]
    for sock in socks:
        sock.sendall(b'{"timestamp": 1, "x": "')
    begun = time.monotonic()
    wait_until(lambda: open_connections(daemon) == len(socks))
    descriptors = daemon.descriptors()
    wait_all_closed(daemon, FREED_WITHIN)
    freed = time.monotonic() - begun
    wait_until(lambda: daemon.descriptors() <= descriptors - len(socks),
               lambda: f"{daemon.descriptors()} descriptors, {descriptors} before")
    for sock in socks:
        sock.close()
    report("6 incomplete lines", len(socks), checker.verify_counters(daemon.wait_idle()), f"freed after {freed:.0f} s")


@pytest.mark.long
def test_slow_lines_are_closed_at_the_deadline(start_daemon, report):
    """Connections that send a byte a second of an endless line are closed at the deadline."""
    daemon = start_daemon()
    drips = Drips(SLOW, 1, f"127.0.0.1:{daemon.address('tcp')[1]}", daemon.settings["ingest.unix_stream"])
    begun = time.monotonic()
    try:
        wait_until(lambda: open_connections(daemon) == SLOW, lambda: f"{open_connections(daemon)} are open")
        wait_all_closed(daemon, FREED_WITHIN)
    finally:
        drips.end()
    report("6 slow lines", SLOW, checker.verify_counters(daemon.wait_idle()),
           f"freed after {time.monotonic() - begun:.0f} s")


@pytest.mark.long
def test_dead_peers_are_detected(start_daemon, report):
    """The peers disappeared without closing their connections: keepalive detects it."""
    daemon = start_daemon()
    number = 50
    socks = [senders.connect_stream(daemon, "tcp") for _ in range(number)]
    for sock in socks:
        sock.sendall(checker.message(1, 1) + b"\n")
    wait_until(lambda: daemon.status()["accepted"] == number)
    begun = time.monotonic()
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # so that close() sends nothing
        sock.close()
    still_open = open_connections(daemon)
    problems = [] if still_open == number else [f"{still_open} of {number} are open: close() was sent"]
    wait_all_closed(daemon, FREED_WITHIN)
    problems += checker.verify_counters(daemon.wait_idle())
    report("6 dead peers", number, problems, f"freed after {time.monotonic() - begun:.0f} s")
