"""Row 7: an endless line is rejected and uses no more memory than the longest accepted message."""
import socket

import pytest

import checker
from support import senders
from support.daemon import wait_until

SLACK = 3 << 20  # bytes, for read buffers and for copying a growing buffer


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_memory_is_limited(start_daemon, scale, report, kind):
    """Reconnects after each close until all bytes were sent."""
    max_message = scale.choose(4, 16) << 20
    daemon = start_daemon(ingest__max_message=max_message)
    senders.TRANSPORTS["tcp"](daemon, [checker.message(1, 1)])
    daemon.wait_idle()
    before = daemon.memory("VmHWM")
    left, lines, piece = scale.choose(64 << 20, 1 << 30), 0, b"x" * (1 << 20)
    problems = []
    while left > 0:
        with senders.Stream(daemon, kind) as stream:
            lines += 1
            try:
                while left > 0:
                    stream.send(piece)
                    left -= len(piece)
            except OSError:
                pass  # closed by the daemon, as expected
            if left > 0:
                wait_until(lambda: daemon.status()["rejected"]["too_large"] == lines, lambda: daemon.status())
                if stream.wait_closed() and stream.responses()[-1]["error"]["code"] != "too_large":
                    problems.append(f"responses {stream.responses()}")
    grown = daemon.memory("VmHWM") - before
    if grown > max_message + SLACK:
        problems.append(f"{grown} more bytes of memory, max_message is {max_message}")
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    if status["accepted"] != 1 or status["rejected"]["too_large"] < lines - 1:
        problems.append(f"{lines} lines; {status}")
    report(f"7 endless line over {kind}", lines, problems,
           f"{grown / (1 << 20):.1f} MiB more, max_message is {max_message >> 20} MiB")


def test_incomplete_lines_share_a_memory_limit(start_daemon, scale, report):
    """Incomplete lines may use half of memory_limit in total."""
    daemon = start_daemon(ingest__memory_limit="16M", ingest__max_message="8M")
    number = scale.choose(12, 100)
    before, problems = daemon.memory(), []
    socks = [socket.create_connection(daemon.address("tcp")) for _ in range(number)]
    closed = 0
    for sock in socks:
        sock.settimeout(15)
        try:
            sock.sendall(b"x" * (2 << 20))
        except OSError:
            closed += 1  # the daemon must close some
    grown = daemon.memory() - before
    if grown > (16 << 20) + SLACK:
        problems.append(f"{grown} more bytes of memory, memory_limit is 16 MiB")
    if daemon.status()["waiting_bytes"] > 8 << 20:
        problems.append(f"{daemon.status()['waiting_bytes']} bytes are waiting")
    for sock in socks:
        sock.close()
    senders.TRANSPORTS["tcp"](daemon, [checker.message(1, 1)])
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    if status["accepted"] != 1:
        problems.append(f"{status}")
    report("7 many incomplete lines", number, problems, f"{grown / (1 << 20):.1f} MiB more, the limit is 16 MiB")
