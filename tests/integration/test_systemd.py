"""Under systemd, as far as that goes without it: what the daemon tells it, the watchdog, sockets that outlive a restart.
The units themselves are checked with systemd-analyze."""
import contextlib
import ctypes
import functools
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from support import senders
from support.activation import NotifySocket, activate, passed_sockets
from support.daemon import ROOT, wait_until

sys.path.insert(0, str(ROOT / "tests" / "faults"))
import acked  # noqa: E402
import checker  # noqa: E402

UNITS = sorted(path.name for path in (ROOT / "systemd").glob("timesliced*.s*") if path.suffix != ".sysusers")
EXPOSURE_MAX = 1.2
WATCHDOG = 4  # seconds
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000


def message(n=1):
    return checker.text(1, n)


@pytest.fixture
def notified(new_daemon):
    """start(watchdog, settings, config_text) -> a daemon that tells one.notify."""
    with contextlib.ExitStack() as stack:
        def start(watchdog=None, settings=None, config_text=""):
            daemon = new_daemon(settings, config_text)
            daemon.notify = NotifySocket(daemon.folder)
            stack.callback(daemon.notify.close)
            daemon.spawn = functools.partial(daemon.spawn, env=daemon.notify.environment(watchdog))
            daemon.start()
            daemon.notify.wait("READY")
            return daemon
        yield start


# What it tells.


def test_ready_then_stopping(notified):
    """Ready once and not before it answers; the status names where it listens, later what it has taken."""
    daemon = notified()
    first = daemon.notify.messages[0][1]
    assert first["READY"] == "1"
    for address in daemon.status()["listeners"].values():
        assert address in first["STATUS"]
    senders.TRANSPORTS["tcp"](daemon, [message(1), message(2), b"bad"])
    daemon.notify.wait("STATUS", lambda line: re.match(r"2 messages accepted \(\d+/s\), 1 rejected, 0 datagrams dropped; "
                                                     r"2 functions$", line))
    assert daemon.notify.all("WATCHDOG") == []
    daemon.check()
    assert daemon.notify.all("STOPPING") == ["1"]
    assert daemon.notify.all("READY") == ["1"]
    assert "committing" in daemon.notify.all("STATUS")[-1]


def test_status_is_quiet_where_nothing_changes(notified):
    daemon = notified()
    daemon.notify.wait("STATUS", lambda line: line.startswith("0 messages"))
    before = len(daemon.notify.messages)
    time.sleep(6)  # one more look at least
    assert len(daemon.notify.messages) == before


def test_reload(notified):
    """RELOADING with its time, then READY, for a good file and a bad one; a refusal stays in the status until a good
    one."""
    daemon = notified(config_text="[aggregation]\nmax_future = 10m\n")

    def reload(text):
        daemon.config.write_text(text)
        before = len(daemon.notify.messages)
        asked = time.monotonic_ns() // 1000
        daemon.process.send_signal(signal.SIGHUP)
        daemon.notify.wait("READY", after=before)
        assert [next(iter(fields)) for _, fields in daemon.notify.messages[before:before + 2]] == ["RELOADING", "READY"]
        assert asked <= int(daemon.notify.messages[before][1]["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        return daemon.notify.wait("STATUS", after=before)

    status = reload("[aggregation]\nmax_future = soon\n")
    assert "timesliced.conf:2" in status and "max_future" in status and "messages accepted" in status
    assert "timesliced.conf" not in reload("[aggregation]\nmax_future = 1h\n")


# The watchdog.


def hang(tid):
    """Stops one thread and lets the others run, by what a debugger uses. Gives what ends that."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(request):
        if libc.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None) != 0:
            pytest.skip(f"ptrace: {os.strerror(ctypes.get_errno())}")
    ptrace(PTRACE_SEIZE)
    ptrace(PTRACE_INTERRUPT)
    os.waitpid(tid, WALL)
    return functools.partial(ptrace, PTRACE_DETACH)


@pytest.mark.parametrize("which", ["main", "first ingest", "second ingest", "writer"])
def test_watchdog(notified, which):
    """Fed in time while all is well; no more from when any one thread stands still; again once it gets on."""
    daemon = notified(WATCHDOG, {"ingest.threads": 2})
    wait_until(lambda: len(daemon.notify.all("WATCHDOG")) >= 3)
    threads = sorted(map(int, os.listdir(f"/proc/{daemon.process.pid}/task")))
    # In the order in which they are made; a sanitizer's own comes after main.
    at = {"main": 0, "first ingest": -3, "second ingest": -2, "writer": -1}
    assert len(threads) >= len(at)
    go_on = hang(threads[at[which]])
    try:
        time.sleep(WATCHDOG * 1.2)  # half of that to be noticed, and a ping that was on its way
        before = len(daemon.notify.all("WATCHDOG"))
        time.sleep(WATCHDOG)
        assert len(daemon.notify.all("WATCHDOG")) == before
    finally:
        go_on()
    wait_until(lambda: len(daemon.notify.all("WATCHDOG")) > before + 2)
    if which != "main":  # which cannot say so itself
        assert ("the writer" if which == "writer" else "an ingest thread") in daemon.log_text()
        assert "all threads make progress again" in daemon.log_text()


def test_a_store_that_refuses_is_no_hang(notified):
    daemon = notified(WATCHDOG, {"store.flush_interval": "100ms"})
    shell = sqlite3.connect(daemon.db, isolation_level=None)
    try:
        shell.execute("BEGIN IMMEDIATE")
        senders.TRANSPORTS["tcp"](daemon, [message(1), message(2)])
        daemon.notify.wait("STATUS", lambda line: line.endswith("2 messages are waiting in memory"))
        before = len(daemon.notify.all("WATCHDOG"))
        time.sleep(WATCHDOG)
        times = daemon.notify.times("WATCHDOG")
        assert len(times) - before >= 2
    finally:
        shell.rollback()
        shell.close()
    daemon.notify.wait("STATUS", lambda line: line.startswith("2 messages accepted"), after=len(daemon.notify.messages))


# Sockets that are held.


@pytest.fixture
def held(new_daemon):
    """(daemon, sockets) with all six passed."""
    daemon = new_daemon({"ingest.unix_stream": "off", "ingest.unix_datagram": "off"})
    sockets = passed_sockets(daemon.folder)
    daemon.control = daemon.settings["control.socket"] = daemon.folder / "passed.c"
    yield activate(daemon, sockets), sockets
    daemon.check()
    for each in sockets.values():
        each.close()


class Datagrams:
    """Sends numbered messages as client `number`, paced, from a thread of its own."""

    def __init__(self, to, number):
        self.to, self.sent = to, checker.Sent(number)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._sends)
        self.thread.start()

    def _sends(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not self.ending.wait(0.001):
                sock.sendto(checker.text(self.sent.client, self.sent.last + 1), self.to)
                self.sent.last += 1
        self.sent.confirmed = self.sent.last  # the kernel has them, so the daemon owes them

    def stop(self):
        self.ending.set()
        self.thread.join()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_restarts_under_load(held, how):
    """Datagrams and acknowledged streams go on while it restarts: stopped in order none is lost, none is there twice, no
    connection is refused. Killed, what was acknowledged is there, and once."""
    daemon, sockets = held
    to = sockets["tcp"].getsockname()
    refused = []

    def connect():
        try:
            return socket.create_connection(to, timeout=acked.HELLO_TIMEOUT)
        except ConnectionRefusedError as problem:
            refused.append(problem)
            raise
    sockets["udp"].setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE; else what the machine allows
    daemon.start()
    udp = Datagrams(sockets["udp"].getsockname(), 9) if how == signal.SIGTERM else None
    clients = [acked.Client(connect, number).start() for number in range(3)]
    try:
        for _ in range(5):
            known = sum(client.sent.confirmed for client in clients)
            wait_until(lambda: sum(client.sent.confirmed for client in clients) > known + 500)
            if how == signal.SIGTERM:
                daemon.restart()
            else:
                daemon.kill()
                daemon.start()
    finally:
        if udp:
            udp.stop()
        problems = [problem for client in clients for problem in client.stop(60)]
    assert daemon.wait_idle()["datagrams_dropped"] == 0
    sent = [client.sent for client in clients] + ([udp.sent] if udp else [])
    assert problems + checker.judge(daemon.db, sent) == []
    assert refused == []
    assert min(client.connections for client in clients) > 1


def test_a_buffer_that_systemd_gave_stays(held):
    """The daemon may ask for no more than net.core.rmem_max; systemd may. Asking would shrink it."""
    daemon, sockets = held
    sockets["udp"].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
    granted = sockets["udp"].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    daemon.start()
    assert sockets["udp"].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == granted


def test_nobody_binds_beside_a_passed_socket(held):
    """systemd sets SO_REUSEADDR, by which any user could take the datagrams."""
    daemon, sockets = held
    daemon.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):
            thief.bind(sockets["udp"].getsockname())


@pytest.mark.parametrize("settings, told", [
    ({}, []),
    ({"ingest.udp": "127.0.0.1:8137", "ingest.tcp": "127.0.0.1:8137"}, []),
    ({"ingest.udp": "off", "control.http": "127.0.0.1:1"}, ["ingest.udp", "control.http"]),
    ({"ingest.tcp": "127.0.0.1:1"}, ["ingest.tcp"]), ({"control.socket": "/nowhere/c.sock"}, ["control.socket"])])
def test_a_key_that_does_not_count_is_said(held, settings, told):
    """Only where it was changed and means another address."""
    daemon, sockets = held
    daemon.settings.update({"ingest.udp": "%s:%d" % sockets["udp"].getsockname(),
                            "ingest.tcp": "%s:%d" % sockets["tcp"].getsockname(), **settings})
    daemon.start()
    assert re.findall(r"(\S+) is \S+, but is replaced by the socket that systemd passed", daemon.log_text()) == told


# The units.


def analyze(*words):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, words)], capture_output=True, text=True,
                          check=False, timeout=60)


@pytest.fixture
def units(tmp_path):
    """The units in a folder, naming programs that are here: systemd-analyze looks for them."""
    for name in UNITS:
        text = (ROOT / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("=/usr/bin/timesliced", "=/bin/true"))
    return tmp_path


def test_units_are_valid(units):
    done = analyze("--man=no", "verify", *(units / name for name in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "systemd" / "examples").iterdir()))
def test_examples_are_valid(units, example):
    """Each names the folder it belongs into."""
    text = (ROOT / "systemd" / "examples" / example).read_text()
    folder = re.match(r"# /etc/systemd/system/(timesliced\S*\.d)/" + re.escape(example), text)
    assert folder
    place = units / folder[1]
    place.mkdir()
    (place / example).write_text(text.replace("=/usr/bin/timesliced", "=/bin/true"))
    done = analyze("--man=no", "verify", *(units / name for name in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_exposure():
    done = analyze("security", "--offline=true", ROOT / "systemd" / "timesliced.service")
    score = re.search(r"Overall exposure level for timesliced.service: ([\d.]+)", done.stdout)
    assert score and float(score[1]) <= EXPOSURE_MAX, done.stdout


def test_socket_names():
    """Each socket unit has the name that the daemon knows it by, and the service."""
    names = {}
    for name in UNITS:
        if name.endswith(".socket"):
            text = (ROOT / "systemd" / name).read_text()
            names[name] = re.findall(r"^FileDescriptorName=(.*)$", text, re.M)
            assert re.findall(r"^Service=(.*)$", text, re.M) == ["timesliced.service"], name
    assert sorted(names.values()) == [["control"], ["http"], ["tcp"], ["udp"], ["unix_datagram"], ["unix_stream"]]
    for name, (known,) in names.items():
        assert pathlib.Path(name).stem == "timesliced-" + known.replace("_", "-")
