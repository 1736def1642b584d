"""ingest.memory_limit: streams resume after each pause, and nothing is lost when a stream or the daemon ends.
Also the ends of streams whose peer never reads, and signals during shutdown.
"""
import json
import signal
import socket
import time

import pytest

from support import senders
from support.daemon import wait_until


def message(name, functions=20, size=100):
    entries = {f"{name}_{i}_{'x' * size}": {"cumtime": 0.001, "file_name": f"/{name}.py", "line_number": i}
               for i in range(functions)}
    return json.dumps([1000, {"func_profiles": entries}]).encode()


def profiles(daemon):
    return daemon.query_db("SELECT ifnull(sum(profiles), 0) FROM profiles WHERE level = 0")[0][0]


def test_streams_resume_after_every_pause(start_daemon):
    """The messages exceed the limit many times; with a flush_interval of 1h only memory causes commits."""
    daemon = start_daemon(ingest__memory_limit="1M", store__flush_interval="1h")
    with senders.Stream(daemon) as stream:
        for n in range(2000):
            stream.send(message(f"f{n}", size=200) + b"\n")
        wait_until(lambda: daemon.status()["received"] == 2000, lambda: daemon.status())
    assert daemon.status()["commits"] >= 2
    assert daemon.wait_idle()["accepted"] == 2000
    assert profiles(daemon) == 2000


def test_stop_while_paused_commits_all_queued_messages(start_daemon):
    daemon = start_daemon(ingest__memory_limit="1M", store__flush_interval="1h", store__durability="process")
    socks = [socket.create_connection(daemon.address("tcp"), timeout=15) for _ in range(4)]
    sent = 0
    try:
        daemon.process.send_signal(signal.SIGSTOP)  # the kernel queues everything until the daemon continues
        for n in range(60):  # less than the kernel queues per connection
            for number, sock in enumerate(socks):
                sock.sendall(message(f"c{number}_{n}") + b"\n")
                sent += 1
        daemon.process.send_signal(signal.SIGTERM)
        daemon.process.send_signal(signal.SIGCONT)
        assert daemon.stop(signal.SIGTERM) == 0
    finally:
        for sock in socks:
            sock.close()
    daemon.check_db()
    assert profiles(daemon) == sent


def test_lowered_limit_closes_streams_with_long_incomplete_lines(new_daemon):
    daemon = new_daemon({"ingest.memory_limit": False}, "[ingest]\nmemory_limit = 64M\n").start()
    with senders.Stream(daemon) as greedy:
        greedy.send(b"[" + b" " * 3_000_000)
        wait_until(lambda: daemon.status()["waiting_bytes"] > 2_900_000, lambda: daemon.status())
        daemon.config.write_text("[ingest]\nmemory_limit = 2M\n")
        daemon.process.send_signal(signal.SIGHUP)
        greedy.wait_closed()
    with senders.Stream(daemon) as stream:
        stream.send(message("small") + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 1, lambda: daemon.status())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_last_line_counts_when_the_sender_never_reads(start_daemon, kind):
    """Unread responses turn its close() into a reset; the line sent before it still counts."""
    daemon = start_daemon()
    sock = senders.connect_stream(daemon, kind)
    sock.sendall(b"bad\n")
    wait_until(lambda: daemon.status()["received"] == 1)
    time.sleep(0.05)  # until the response is in the receive buffer, which nobody reads
    sock.sendall(message("last"))
    sock.close()
    wait_until(lambda: daemon.status()["accepted"] == 1, lambda: daemon.status())


def test_start_succeeds_under_memory_pressure(new_daemon):
    """Messages are already queued, the memory limit is low, and many names must be loaded first."""
    daemon = new_daemon({"ingest.memory_limit": "64K", "store.flush_interval": "1h"}).start()
    with senders.Stream(daemon) as stream:
        for n in range(200):
            stream.send(message(f"n{n}", functions=50) + b"\n")
        stream.finish()
    wait_until(lambda: daemon.status()["received"] == 200, lambda: daemon.status())
    for _ in range(3):
        assert daemon.stop() == 0
        daemon.spawn()
        wait_until(daemon.control.exists)
        for _ in range(50):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(15)
                sock.connect(str(daemon.settings["ingest.unix_datagram"]))
                sock.send(message("again", functions=50))
        assert daemon.wait_idle()["received"] <= 50


def test_signals_during_shutdown_do_not_kill(start_daemon):
    daemon = start_daemon()
    with senders.Stream(daemon) as stream:
        stream.send(message("f") + b"\n")
        daemon.wait_received(1)
    end = time.monotonic() + 15
    while daemon.process.poll() is None and time.monotonic() < end:
        daemon.process.send_signal(signal.SIGTERM)
        time.sleep(0.002)
    assert daemon.process.poll() == 0
    assert not daemon.control.exists()
    assert profiles(daemon) == 1
