"""ingest.memory_limit, and the ends of streams and of the daemon while it bites: nothing stands still, nothing is lost."""
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


def profiles(one):
    connection = one.read_db()
    try:
        return connection.execute("SELECT ifnull(sum(profiles), 0) FROM profiles WHERE level = 0").fetchone()[0]
    finally:
        connection.close()


def test_streams_go_on_after_every_pause(daemon):
    """Far more than the limit, with a flush_interval that would never come: only memory asks for commits."""
    one = daemon(ingest__memory_limit="1M", store__flush_interval="1h")
    with senders.Stream(one) as way:
        for n in range(2000):
            way.send(message(f"f{n}", size=200) + b"\n")
        wait_until(lambda: one.status()["received"] == 2000, lambda: one.status())
    assert one.status()["commits"] >= 2
    assert one.idle()["accepted"] == 2000
    assert profiles(one) == 2000


def test_stop_while_paused_commits_what_had_arrived(daemon):
    one = daemon(ingest__memory_limit="1M", store__flush_interval="1h", store__durability="process")
    ways = [socket.create_connection(one.address("tcp"), timeout=15) for _ in range(4)]
    sent = 0
    try:
        one.process.send_signal(signal.SIGSTOP)  # so that all of it lies in the kernel, and it is read in one go
        for n in range(60):  # less than the kernel holds of each
            for number, way in enumerate(ways):
                way.sendall(message(f"c{number}_{n}") + b"\n")
                sent += 1
        one.process.send_signal(signal.SIGTERM)
        one.process.send_signal(signal.SIGCONT)
        assert one.stop(signal.SIGTERM) == 0
    finally:
        for way in ways:
            way.close()
    one.check_db()
    assert profiles(one) == sent


def test_a_lowered_limit_cuts_the_lines_that_wait(prepare):
    one = prepare({"ingest.memory_limit": False}, "[ingest]\nmemory_limit = 64M\n").start()
    with senders.Stream(one) as greedy:
        greedy.send(b"[" + b" " * 3_000_000)
        wait_until(lambda: one.status()["waiting_bytes"] > 2_900_000, lambda: one.status())
        one.config.write_text("[ingest]\nmemory_limit = 2M\n")
        one.process.send_signal(signal.SIGHUP)
        greedy.wait_closed()
    with senders.Stream(one) as way:
        way.send(message("small") + b"\n")
        wait_until(lambda: one.status()["accepted"] == 1, lambda: one.status())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_last_line_of_a_sender_that_never_reads(daemon, kind):
    """Its close becomes a reset, because answers lie unread; the line before it counts all the same."""
    one = daemon()
    if kind == "tcp":
        way = socket.create_connection(one.address("tcp"), timeout=15)
    else:
        way = socket.socket(socket.AF_UNIX)
        way.connect(str(one.settings["ingest.unix_stream"]))
    way.sendall(b"bad\n")
    wait_until(lambda: one.status()["received"] == 1)
    time.sleep(0.05)  # the answer is on its way into a buffer that nobody reads
    way.sendall(message("last"))
    way.close()
    wait_until(lambda: one.status()["accepted"] == 1, lambda: one.status())


def test_start_under_pressure(prepare):
    """Senders wait already, memory is short at once, and many names are to be loaded first."""
    one = prepare({"ingest.memory_limit": "64K", "store.flush_interval": "1h"}).start()
    with senders.Stream(one) as way:
        for n in range(200):
            way.send(message(f"n{n}", functions=50) + b"\n")
        way.finish()
    wait_until(lambda: one.status()["received"] == 200, lambda: one.status())
    for _ in range(3):
        assert one.stop() == 0
        one.spawn()
        wait_until(one.control.exists)
        for _ in range(50):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as way:
                way.settimeout(15)
                way.connect(str(one.settings["ingest.unix_datagram"]))
                way.send(message("again", functions=50))
        assert one.idle()["received"] <= 50


def test_signals_at_the_very_end_do_not_kill(daemon):
    one = daemon()
    with senders.Stream(one) as way:
        way.send(message("f") + b"\n")
        one.wait_received(1)
    end = time.monotonic() + 15
    while one.process.poll() is None and time.monotonic() < end:
        one.process.send_signal(signal.SIGTERM)
        time.sleep(0.002)
    assert one.process.poll() == 0
    assert not one.control.exists()
    assert profiles(one) == 1
