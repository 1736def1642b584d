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


def measure(one, lines, rounds):
    """(lines a second until they are stored, seconds of CPU that the daemon took for a line)."""
    cpu = one.cpu_seconds()
    with senders.Stream(one) as way:
        begun = time.monotonic()
        for _ in range(rounds):
            way.send(lines)
        way.finish()
    one.flush()
    return 1000 * rounds / (time.monotonic() - begun), (one.cpu_seconds() - cpu) / rounds / 1000


def open_now(one):
    return one.status()["connections"]["open"]


def test_good_senders_keep_their_rate(daemon, scale, figure):
    """Windows with and without the slow ones in turns. On a machine that others use too a rate says little: the short
    form compares the CPU that a line costs, and shows the rates."""
    one = daemon()
    lines = b"".join(checker.text(1, n) + b"\n" for n in range(1, 1001))
    rounds, pairs = scale.choose((100, 3), (1000, 8))
    measure(one, lines, rounds)  # warm
    alone, beside, open_, problems = [], [], [], []
    for _ in range(pairs):
        alone.append(measure(one, lines, rounds))
        drips = Drips(SLOW, 1, f"127.0.0.1:{one.address('tcp')[1]}", one.settings["ingest.unix_stream"])
        try:
            wait_until(lambda: open_now(one) == SLOW, lambda: f"{open_now(one)} are open")
            beside.append(measure(one, lines, rounds))
        finally:
            open_.append(drips.end())
        wait_until(lambda: open_now(one) == 0, lambda: f"{open_now(one)} stay open")
    kept = statistics.median(rate for rate, _ in beside) / statistics.median(rate for rate, _ in alone)
    cost = min(cpu for _, cpu in beside) / min(cpu for _, cpu in alone)
    if min(open_) != SLOW:
        problems.append(f"{open_} of {SLOW} were open: the figure is none")
    if cost > 1.5:
        problems.append(f"a line costs {cost:.0%} of what it costs without them")
    if scale.long and kept < 0.95:
        problems.append(f"good senders keep {kept:.0%} of their rate")
    status = one.idle()
    problems += checker.balance(status)
    sent = 1000 * rounds * (1 + 2 * pairs)
    if status["accepted"] != sent or status["rejected"]["bad_json"] != SLOW * pairs:
        problems.append(f"{sent} sent; {status}")  # what was dripped ends as a line that is cut
    figure("6 slow peers beside a good one", pairs, problems,
           f"keeps {kept:.0%} of {statistics.median(rate for rate, _ in alone):,.0f} lines/s, "
           f"a line costs {cost:.0%} of the CPU")


def connected(one, kind):
    if kind == "tcp":
        return socket.create_connection(one.address("tcp"))
    way = socket.socket(socket.AF_UNIX)
    way.connect(str(one.settings["ingest.unix_stream"]))
    return way


def is_open(way):
    try:
        way.setblocking(False)
        return way.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_idle_between_lines_is_left_in_peace(daemon, scale, figure):
    one = daemon()
    seconds = scale.choose(3, 100)
    ways = [connected(one, kind) for kind in ("tcp", "unix")]
    for way in ways:
        way.sendall(checker.text(1, 1) + b"\n")
    wait_until(lambda: one.status()["accepted"] == 2)
    time.sleep(seconds)  # idling is what they do
    problems = [] if all(map(is_open, ways)) and open_now(one) == 2 else [f"closed: {one.status()}"]
    for way in ways:
        way.setblocking(True)
        way.sendall(checker.text(1, 1) + b"\n")
    wait_until(lambda: one.status()["accepted"] == 4, lambda: one.status())
    for way in ways:
        way.close()
    figure("6 idle between lines", 2, problems, f"open after {seconds} s")


@pytest.mark.long
def test_unfinished_lines_are_closed(daemon, figure):
    """They stand still in the middle of a line: closed at the deadline, their descriptors are free again."""
    one = daemon()
    ways = [connected(one, kind) for kind in ("tcp", "unix") for _ in range(50)]
    for way in ways:
        way.sendall(b'{"timestamp": 1, "x": "')
    begun = time.monotonic()
    wait_until(lambda: open_now(one) == len(ways))
    descriptors = one.descriptors()
    wait_until(lambda: open_now(one) == 0, lambda: f"{open_now(one)} stay open", patience=FREED_WITHIN)
    freed = time.monotonic() - begun
    wait_until(lambda: one.descriptors() <= descriptors - len(ways), lambda: f"{one.descriptors()}, were {descriptors}")
    for way in ways:
        way.close()
    figure("6 unfinished lines", len(ways), checker.balance(one.idle()), f"freed after {freed:.0f} s")


@pytest.mark.long
def test_dripped_lines_have_a_deadline(daemon, figure):
    """A byte a second in the middle of a line, for ever."""
    one = daemon()
    drips = Drips(SLOW, 1, f"127.0.0.1:{one.address('tcp')[1]}", one.settings["ingest.unix_stream"])
    begun = time.monotonic()
    try:
        wait_until(lambda: open_now(one) == SLOW, lambda: f"{open_now(one)} are open")
        wait_until(lambda: open_now(one) == 0, lambda: f"{open_now(one)} stay open", patience=FREED_WITHIN)
    finally:
        drips.end()
    figure("6 dripped lines", SLOW, checker.balance(one.idle()), f"freed after {time.monotonic() - begun:.0f} s")


@pytest.mark.long
def test_dead_peers_are_found(daemon, figure):
    """The other end of these connections no longer exists, and has said nothing: keepalive finds out."""
    one = daemon()
    number = 50
    ways = [connected(one, "tcp") for _ in range(number)]
    for way in ways:
        way.sendall(checker.text(1, 1) + b"\n")
    wait_until(lambda: one.status()["accepted"] == number)
    begun = time.monotonic()
    for way in ways:
        way.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)  # closing it sends nothing
        way.close()
    problems = [] if open_now(one) == number else [f"{open_now(one)} of {number} are open: they were not dead"]
    wait_until(lambda: open_now(one) == 0, lambda: f"{open_now(one)} stay open", patience=FREED_WITHIN)
    problems += checker.balance(one.idle())
    figure("6 dead peers", number, problems, f"freed after {time.monotonic() - begun:.0f} s")
