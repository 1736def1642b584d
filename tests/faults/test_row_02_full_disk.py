"""Row 2: a full disk. Only stored messages are confirmed, streams pause, /healthz fails; with free space all resume."""
import ctypes
import ctypes.util
import itertools
import json
import os
import socket
import time

import pytest

import acked
import checker
from support.daemon import wait_until

RESUMES_WITHIN = 5  # seconds
SIZE = 16 << 20


@pytest.fixture
def small_disk(tmp_path):
    """The folder of a file system of 16 MiB."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    folder = tmp_path / "disk"
    folder.mkdir()
    if libc.mount(b"tmpfs", bytes(folder), b"tmpfs", 0, f"size={SIZE}".encode()):
        pytest.skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")
    yield folder
    libc.umount2(bytes(folder), 2)  # MNT_DETACH: even if files are still open


def fill(folder):
    """Uses all free space. Returns the file to delete to free it."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        try:
            while file.write(bytes(65536)):
                pass
        except OSError:
            pass
        try:
            while file.write(bytes(512)):
                pass
        except OSError:
            pass
    return filler


def wide(n):
    """A message with new names, which makes the database grow."""
    return json.dumps([checker.BEGIN, {"func_profiles": {
        f"w{n}_{i}_{'x' * 100}": {"cumtime": 0.001, "ncalls": 1} for i in range(200)}}]).encode()


def stored_wide(daemon):
    return daemon.query_db("SELECT sum(ncalls) FROM bucket_totals WHERE function LIKE 'w%'")[0][0] or 0


def test_full_disk_with_plain_streams_and_datagrams(small_disk, new_daemon, report):
    """Senders of streams have to wait, datagrams above the limit are counted, and all received messages are stored."""
    daemon = new_daemon({"store.path": small_disk / "t.db", "ingest.memory_limit": "2M",
                         "store.flush_interval": "100ms"})
    daemon.db = small_disk / "t.db"
    daemon.start()
    problems = []
    filler = fill(small_disk)
    sock = socket.socket(socket.AF_UNIX)  # its buffers are small enough for the disk
    sock.connect(str(daemon.settings["ingest.unix_stream"]))
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.setblocking(False)
    sent = 0
    try:
        sock.setblocking(False)
        left = b""
        quiet_since = time.monotonic()

        def paused():
            """Whether nothing could be sent for a second, because the daemon does not read."""
            nonlocal left, sent, quiet_since
            while True:
                if not left:
                    left = wide(sent) + b"\n"
                    sent += 1
                try:
                    left = left[sock.send(left):]
                    quiet_since = time.monotonic()
                except BlockingIOError:
                    return time.monotonic() - quiet_since > 1
        wait_until(paused, lambda: f"the stream is never paused: {daemon.status()}")
        status = daemon.status()
        if not status["store_error"] or daemon.get("/healthz").status != 503:
            problems.append(f"the daemon reports no error: {status}")
        if status["waiting_bytes"] > 4 << 20:  # a read of up to a megabyte is processed completely
            problems.append(f"{status['waiting_bytes']} bytes are waiting, the limit is 2 MiB")

        numbers = itertools.count()

        def dropped():
            for _ in range(50):
                try:
                    datagrams.sendto(wide(f"d{next(numbers)}"), str(daemon.settings["ingest.unix_datagram"]))
                except BlockingIOError:
                    break
            return daemon.status()["datagrams_over_memory"]
        wait_until(dropped, lambda: f"no datagram is dropped: {daemon.status()}")
        response = daemon.post("/v1/flush")
        if response.status != 503:
            problems.append(f"response to a flush on a full disk: {response}")

        begun = time.monotonic()
        filler.unlink()
        wait_until(daemon.healthy, lambda: f"not healthy again: {daemon.status()}")
        resumed = time.monotonic() - begun
        if resumed > RESUMES_WITHIN:
            problems.append(f"healthy again after {resumed:.1f} s")
        sock.setblocking(True)
        sock.settimeout(15)
        sock.sendall(left)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass
    finally:
        sock.close()
        datagrams.close()
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    if stored_wide(daemon) != 200 * status["accepted"] or status["accepted"] < sent:
        problems.append(f"{stored_wide(daemon)} calls are stored; {status}")
    report("2 full disk, plain", 1, problems, f"{sent} lines, none lost; healthy again after {resumed:.2f} s")


def test_full_disk_with_acknowledged_streams(small_disk, new_daemon, scale, report):
    """The disk is full, then free, repeatedly: acknowledged messages stay, and acknowledgements resume."""
    daemon = new_daemon({"store.path": small_disk / "t.db", "ingest.memory_limit": "2M"})
    daemon.db = small_disk / "t.db"
    daemon.start()
    clients = [acked.Client(acked.connector(daemon, kind), n + 1, bad=n == 1, again=2, window=100)
               for n, kind in enumerate(["tcp", "unix"])]
    sent = [client.sent for client in clients]
    problems, slowest, tries = [], 0.0, scale.choose(2, 20)
    with acked.running(clients, problems):
        for n in range(tries):
            before = [client.confirmed for client in sent]
            wait_until(lambda: all(client.confirmed > b + 500 for client, b in zip(sent, before)),
                       lambda: f"no acknowledgements: {daemon.status()}")
            filler = fill(small_disk)
            wait_until(lambda: not daemon.healthy(), lambda: f"the full disk is not detected: {daemon.status()}")
            if n % 2:
                daemon.kill()
                problems += checker.verify(daemon.db, sent)
                before = [client.confirmed for client in sent]
                filler.unlink()
                begun = time.monotonic()
                daemon.start()
            else:
                before = [client.confirmed for client in sent]
                begun = time.monotonic()
                filler.unlink()
            wait_until(lambda: daemon.healthy() and all(client.confirmed > b for client, b in zip(sent, before)),
                       lambda: f"no acknowledgements: {daemon.status()}")
            slowest = max(slowest, time.monotonic() - begun)
    if slowest > RESUMES_WITHIN:
        problems.append(f"acknowledged again after {slowest:.1f} s")
    problems += checker.verify(daemon.db, sent) + checker.verify_counters(daemon.wait_idle())
    report("2 full disk, acknowledged", tries, problems,
           f"{sum(client.last for client in sent)} messages, acknowledged again after {slowest:.2f} s")
