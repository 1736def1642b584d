"""Service features without systemd: notifications, the watchdog, passed sockets that stay open over restarts.

systemd-analyze checks the units.
"""
import contextlib
import ctypes
import functools
import os
import pathlib
import re
import signal
import socket
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
    return checker.message(1, n)


@pytest.fixture
def notified(new_daemon):
    """start(watchdog, settings, config_text) -> a daemon with daemon.notify, a NotifySocket."""
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


# Notifications.


def test_ready_and_stopping_are_sent(notified):
    """READY is sent once, when the daemon responds. The status names the addresses, later the counters."""
    daemon = notified()
    first = daemon.notify.messages[0][1]
    assert first["READY"] == "1"
    for address in daemon.status()["listeners"].values():
        assert address in first["STATUS"]
    senders.TRANSPORTS["tcp"](daemon, [message(1), message(2), b"bad"])
    counters = r"2 messages accepted \(\d+/s\), 1 rejected, 0 datagrams dropped; 2 functions$"
    daemon.notify.wait("STATUS", lambda line: re.match(counters, line))
    assert daemon.notify.all("WATCHDOG") == []
    daemon.check()
    assert daemon.notify.all("STOPPING") == ["1"]
    assert daemon.notify.all("READY") == ["1"]
    assert "committing" in daemon.notify.all("STATUS")[-1]


def test_unchanged_status_is_not_sent(notified):
    daemon = notified()
    daemon.notify.wait("STATUS", lambda line: line.startswith("0 messages"))
    before = len(daemon.notify.messages)
    time.sleep(6)  # longer than the interval of status updates
    assert len(daemon.notify.messages) == before


def test_reload_is_notified(notified):
    """Valid and invalid files cause RELOADING with its time, then READY. An error stays in the status until a reload
    succeeds."""
    daemon = notified(config_text="[aggregation]\nmax_future = 10m\n")

    def reload(text):
        daemon.config.write_text(text)
        before = len(daemon.notify.messages)
        requested = time.monotonic_ns() // 1000
        daemon.process.send_signal(signal.SIGHUP)
        daemon.notify.wait("READY", after=before)
        assert [next(iter(fields)) for _, fields in daemon.notify.messages[before:before + 2]] == ["RELOADING", "READY"]
        assert requested <= int(daemon.notify.messages[before][1]["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        return daemon.notify.wait("STATUS", after=before)

    status = reload("[aggregation]\nmax_future = soon\n")
    assert "timesliced.conf:2" in status and "max_future" in status and "messages accepted" in status
    assert "timesliced.conf" not in reload("[aggregation]\nmax_future = 1h\n")


# The watchdog.


def suspend(tid):
    """Suspends one thread with ptrace, while the others run. Returns a function that resumes it."""
    libc = ctypes.CDLL(None, use_errno=True)

    def ptrace(request):
        if libc.ptrace(ctypes.c_long(request), ctypes.c_long(tid), None, None) != 0:
            pytest.skip(f"ptrace: {os.strerror(ctypes.get_errno())}")
    ptrace(PTRACE_SEIZE)
    ptrace(PTRACE_INTERRUPT)
    os.waitpid(tid, WALL)
    return functools.partial(ptrace, PTRACE_DETACH)


@pytest.mark.parametrize("which", ["main", "first ingest", "second ingest", "writer"])
def test_watchdog_detects_a_suspended_thread(notified, which):
    """WATCHDOG=1 is sent in time, stops while any thread is suspended, and is sent again after it resumes."""
    daemon = notified(WATCHDOG, {"ingest.threads": 2})
    wait_until(lambda: len(daemon.notify.all("WATCHDOG")) >= 3)
    threads = sorted(map(int, os.listdir(f"/proc/{daemon.process.pid}/task")))
    # In order of creation. The thread of a sanitizer follows main.
    at = {"main": 0, "first ingest": -3, "second ingest": -2, "writer": -1}
    assert len(threads) >= len(at)
    resume = suspend(threads[at[which]])
    try:
        time.sleep(WATCHDOG * 1.2)  # half of WATCHDOG to be detected, and the notification in flight
        before = len(daemon.notify.all("WATCHDOG"))
        time.sleep(WATCHDOG)
        assert len(daemon.notify.all("WATCHDOG")) == before
    finally:
        resume()
    wait_until(lambda: len(daemon.notify.all("WATCHDOG")) > before + 2)
    if which != "main":  # the main thread writes the log
        assert ("the writer" if which == "writer" else "an ingest thread") in daemon.log_text()
        assert "all threads make progress again" in daemon.log_text()


def test_failing_commits_do_not_stop_the_watchdog(notified):
    daemon = notified(WATCHDOG, {"store.flush_interval": "100ms"})
    with daemon.locked_db():
        senders.TRANSPORTS["tcp"](daemon, [message(1), message(2)])
        daemon.notify.wait("STATUS", lambda line: line.endswith("2 messages are waiting in memory"))
        before = len(daemon.notify.all("WATCHDOG"))
        time.sleep(WATCHDOG)
        times = daemon.notify.times("WATCHDOG")
        assert len(times) - before >= 2
    daemon.notify.wait("STATUS", lambda line: line.startswith("2 messages accepted"), after=len(daemon.notify.messages))


# Passed sockets.


@pytest.fixture
def activated(new_daemon):
    """(a daemon that is not started, its six passed sockets)"""
    daemon = new_daemon({"ingest.unix_stream": "off", "ingest.unix_datagram": "off"})
    sockets = passed_sockets(daemon.folder)
    daemon.control = daemon.settings["control.socket"] = daemon.folder / "passed.c"
    yield activate(daemon, sockets), sockets
    daemon.check()
    for each in sockets.values():
        each.close()


class Datagrams:
    """A thread that sends numbered messages as client `number` at a limited rate."""

    def __init__(self, to, number):
        self.to, self.sent = to, checker.Sent(number)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._send)
        self.thread.start()

    def _send(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            while not self.ending.wait(0.001):
                sock.sendto(checker.message(self.sent.client, self.sent.last + 1), self.to)
                self.sent.last += 1
        self.sent.confirmed = self.sent.last  # the kernel has queued them, so the daemon must store them

    def stop(self):
        self.ending.set()
        self.thread.join()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_passed_sockets_lose_nothing_over_restarts(activated, number):
    """Datagrams and acknowledged streams continue during restarts. After SIGTERM no message is lost or counted twice
    and no connection is refused; after SIGKILL every acknowledged message counts once."""
    daemon, sockets = activated
    to = sockets["tcp"].getsockname()
    refused = []

    def connect():
        try:
            return socket.create_connection(to, timeout=acked.HELLO_TIMEOUT)
        except ConnectionRefusedError as problem:
            refused.append(problem)
            raise
    sockets["udp"].setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE, if privileged
    daemon.start()
    udp = Datagrams(sockets["udp"].getsockname(), 9) if number == signal.SIGTERM else None
    clients = [acked.Client(connect, client).start() for client in range(3)]
    try:
        for _ in range(5):
            known = sum(client.sent.confirmed for client in clients)
            wait_until(lambda: sum(client.sent.confirmed for client in clients) > known + 500)
            if number == signal.SIGTERM:
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
    assert problems + checker.verify(daemon.db, sent) == []
    assert refused == []
    assert min(client.connections for client in clients) > 1


def test_receive_buffer_of_a_passed_socket_is_kept(activated):
    """systemd may exceed net.core.rmem_max, the daemon may not: setting the size would shrink the buffer."""
    daemon, sockets = activated
    sockets["udp"].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 50_000)
    granted = sockets["udp"].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    daemon.start()
    assert sockets["udp"].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == granted


def test_port_of_a_passed_socket_cannot_be_bound_by_others(activated):
    """systemd sets SO_REUSEADDR, which would let any user bind the port and receive the datagrams."""
    daemon, sockets = activated
    daemon.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):
            other.bind(sockets["udp"].getsockname())


@pytest.mark.parametrize("settings, keys", [
    ({}, []),
    ({"ingest.udp": "127.0.0.1:8137", "ingest.tcp": "127.0.0.1:8137"}, []),
    ({"ingest.udp": "off", "control.http": "127.0.0.1:1"}, ["ingest.udp", "control.http"]),
    ({"ingest.tcp": "127.0.0.1:1"}, ["ingest.tcp"]), ({"control.socket": "/nowhere/c.sock"}, ["control.socket"])])
def test_keys_overridden_by_passed_sockets_are_logged(activated, settings, keys):
    """A key is reported only if it was set and names another address."""
    daemon, sockets = activated
    daemon.settings.update({"ingest.udp": "%s:%d" % sockets["udp"].getsockname(),
                            "ingest.tcp": "%s:%d" % sockets["tcp"].getsockname(), **settings})
    daemon.start()
    assert re.findall(r"(\S+) is \S+, but is replaced by the socket that systemd passed", daemon.log_text()) == keys



# The units.


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", "--no-pager", *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=60)


@pytest.fixture
def units(tmp_path):
    """A folder with the units. They name an existing program, which systemd-analyze requires."""
    for name in UNITS:
        text = (ROOT / "systemd" / name).read_text()
        (tmp_path / name).write_text(text.replace("=/usr/bin/timesliced", "=/bin/true"))
    return tmp_path


def test_units_pass_systemd_analyze(units):
    done = analyze("--man=no", "verify", *(units / name for name in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("example", sorted(path.name for path in (ROOT / "systemd" / "examples").iterdir()))
def test_examples_pass_systemd_analyze(units, example):
    """Each example names the folder to install it in."""
    text = (ROOT / "systemd" / "examples" / example).read_text()
    folder = re.match(r"# /etc/systemd/system/(timesliced\S*\.d)/" + re.escape(example), text)
    assert folder
    place = units / folder[1]
    place.mkdir()
    (place / example).write_text(text.replace("=/usr/bin/timesliced", "=/bin/true"))
    done = analyze("--man=no", "verify", *(units / name for name in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_exposure_level_is_low():
    done = analyze("security", "--offline=true", ROOT / "systemd" / "timesliced.service")
    score = re.search(r"Overall exposure level for timesliced.service: ([\d.]+)", done.stdout)
    assert score and float(score[1]) <= EXPOSURE_MAX, done.stdout


def test_socket_units_name_their_descriptors():
    """Each socket unit has the FileDescriptorName that the daemon expects, and the service."""
    names = {}
    for name in UNITS:
        if name.endswith(".socket"):
            text = (ROOT / "systemd" / name).read_text()
            names[name] = re.findall(r"^FileDescriptorName=(.*)$", text, re.M)
            assert re.findall(r"^Service=(.*)$", text, re.M) == ["timesliced.service"], name
    assert sorted(names.values()) == [["control"], ["http"], ["tcp"], ["udp"], ["unix_datagram"], ["unix_stream"]]
    for name, (known,) in names.items():
        assert pathlib.Path(name).stem == "timesliced-" + known.replace("_", "-")
