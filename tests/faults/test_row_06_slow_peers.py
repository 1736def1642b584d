"""Row 6: hundreds of senders that drip, and some that died, take nothing from good ones; their places come back."""
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
TCP_REPAIR = 19  # of linux/tcp.h; takes privileges
FREED_WITHIN = 120  # seconds


class Drips:
    def __init__(self, number, pause, *addresses):
        self.process = subprocess.Popen([sys.executable, str(DRIP), str(number), str(pause), *map(str, addresses)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def end(self):
        """How many were still open."""
        return int(self.process.communicate(timeout=30)[0])


def measure(daemon, lines, rounds):
    """(lines a second until they are stored, seconds of CPU that the daemon took for a line)."""
    cpu = daemon.cpu_seconds()
    with senders.Stream(daemon) as stream:
        begun = time.monotonic()
        for _ in range(rounds):
            stream.send(lines)
        stream.finish()
    daemon.flush()
    return 1000 * rounds / (time.monotonic() - begun), (daemon.cpu_seconds() - cpu) / rounds / 1000


def open_now(daemon):
    return daemon.status()["connections"]["open"]


def test_good_senders_keep_their_rate(start_daemon, scale, report):
    """Windows with and without the slow ones in turns. On a machine that others use too a rate says little: the short
    form compares the CPU that a line costs, and shows the rates."""
    daemon = start_daemon()
    lines = b"".join(checker.text(1, n) + b"\n" for n in range(1, 1001))
    rounds, pairs = scale.choose((100, 3), (1000, 8))
    measure(daemon, lines, rounds)  # warm
    alone, beside, open_, problems = [], [], [], []
    for _ in range(pairs):
        alone.append(measure(daemon, lines, rounds))
        drips = Drips(SLOW, 1, f"127.0.0.1:{daemon.address('tcp')[1]}", daemon.settings["ingest.unix_stream"])
        try:
            wait_until(lambda: open_now(daemon) == SLOW, lambda: f"{open_now(daemon)} are open")
            beside.append(measure(daemon, lines, rounds))
        finally:
            open_.append(drips.end())
        wait_until(lambda: open_now(daemon) == 0, lambda: f"{open_now(daemon)} stay open")
    kept = statistics.median(rate for rate, _ in beside) / statistics.median(rate for rate, _ in alone)
    cost = min(cpu for _, cpu in beside) / min(cpu for _, cpu in alone)
    if min(open_) != SLOW:
        problems.append(f"{open_} of {SLOW} were open: the figure is none")
    if cost > 1.5:
        problems.append(f"a line costs {cost:.0%} of what it costs without them")
    if scale.long and kept < 0.95:
        problems.append(f"good senders keep {kept:.0%} of their rate")
    status = daemon.wait_idle()
    problems += checker.balance(status)
    sent = 1000 * rounds * (1 + 2 * pairs)
    if status["accepted"] != sent or status["rejected"]["bad_json"] != SLOW * pairs:
        problems.append(f"{sent} sent; {status}")  # what was dripped ends as a line that is cut
    report("6 slow peers beside a good one", pairs, problems,
           f"keeps {kept:.0%} of {statistics.median(rate for rate, _ in alone):,.0f} lines/s, "
           f"a line costs {cost:.0%} of the CPU")


def connected(daemon, kind):
    if kind == "tcp":
        return socket.create_connection(daemon.address("tcp"))
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(daemon.settings["ingest.unix_stream"]))
    return sock


def is_open(sock):
    try:
        sock.setblocking(False)
        return sock.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_idle_between_lines_is_left_in_peace(start_daemon, scale, report):
    daemon = start_daemon()
    seconds = scale.choose(3, 100)
    socks = [connected(daemon, kind) for kind in ("tcp", "unix")]
    for sock in socks:
        sock.sendall(checker.text(1, 1) + b"\n")
    wait_until(lambda: daemon.status()["accepted"] == 2)
    time.sleep(seconds)  # idling is what they do
    problems = [] if all(map(is_open, socks)) and open_now(daemon) == 2 else [f"closed: {daemon.status()}"]
    for sock in socks:
        sock.setblocking(True)
        sock.sendall(checker.text(1, 1) + b"\n")
    wait_until(lambda: daemon.status()["accepted"] == 4, lambda: daemon.status())
    for sock in socks:
        sock.close()
    report("6 idle between lines", 2, problems, f"open after {seconds} s")


@pytest.mark.long
def test_unfinished_lines_are_closed(start_daemon, report):
    """They stand still in the middle of a line: closed at the deadline, their descriptors are free again."""
    daemon = start_daemon()
    socks = [connected(daemon, kind) for kind in ("tcp", "unix") for _ in range(50)]
    for sock in socks:
        sock.sendall(b'{"timestamp": 1, "x": "')
    begun = time.monotonic()
    wait_until(lambda: open_now(daemon) == len(socks))
    descriptors = daemon.descriptors()
    wait_until(lambda: open_now(daemon) == 0, lambda: f"{open_now(daemon)} stay open", timeout=FREED_WITHIN)
    freed = time.monotonic() - begun
    wait_until(lambda: daemon.descriptors() <= descriptors - len(socks), lambda: f"{daemon.descriptors()}, were {descriptors}")
    for sock in socks:
        sock.close()
    report("6 unfinished lines", len(socks), checker.balance(daemon.wait_idle()), f"freed after {freed:.0f} s")


@pytest.mark.long
def test_dripped_lines_have_a_deadline(start_daemon, report):
    """A byte a second in the middle of a line, for ever."""
    daemon = start_daemon()
    drips = Drips(SLOW, 1, f"127.0.0.1:{daemon.address('tcp')[1]}", daemon.settings["ingest.unix_stream"])
    begun = time.monotonic()
    try:
        wait_until(lambda: open_now(daemon) == SLOW, lambda: f"{open_now(daemon)} are open")
        wait_until(lambda: open_now(daemon) == 0, lambda: f"{open_now(daemon)} stay open", timeout=FREED_WITHIN)
    finally:
        drips.end()
    report("6 dripped lines", SLOW, checker.balance(daemon.wait_idle()), f"freed after {time.monotonic() - begun:.0f} s")


@pytest.mark.long
def test_dead_peers_are_found(start_daemon, report):
    """The other end of these connections no longer exists, and has said nothing: keepalive finds out."""
    daemon = start_daemon()
    number = 50
    socks = [connected(daemon, "tcp") for _ in range(number)]
    for sock in socks:
        sock.sendall(checker.text(1, 1) + b"\n")
    wait_until(lambda: daemon.status()["accepted"] == number)
    begun = time.monotonic()
    for sock in socks:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # closing it sends nothing
        sock.close()
    problems = [] if open_now(daemon) == number else [f"{open_now(daemon)} of {number} are open: they were not dead"]
    wait_until(lambda: open_now(daemon) == 0, lambda: f"{open_now(daemon)} stay open", timeout=FREED_WITHIN)
    problems += checker.balance(daemon.wait_idle())
    report("6 dead peers", number, problems, f"freed after {time.monotonic() - begun:.0f} s")
