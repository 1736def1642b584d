"""Row 7: a line without end is refused and costs no more memory than the longest message that is allowed."""
import socket

import pytest

import checker
from support import senders
from support.daemon import wait_until

SLACK = 3 << 20  # bytes: read buffers, and what growing one by copying leaves for a moment


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_memory_is_bounded(start_daemon, scale, report, kind):
    """What it closes is opened again, until a gigabyte has been offered."""
    max_message = scale.choose(4, 16) << 20
    daemon = start_daemon(ingest__max_message=max_message)
    senders.TRANSPORTS["tcp"](daemon, [checker.text(1, 1)])
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
                pass  # closed, as it must
            if left > 0:
                wait_until(lambda: daemon.status()["rejected"]["too_large"] == lines, lambda: daemon.status())
                if stream.wait_closed() and stream.responses()[-1]["error"]["code"] != "too_large":
                    problems.append(f"answered {stream.responses()}")
    grown = daemon.memory("VmHWM") - before
    if grown > max_message + SLACK:
        problems.append(f"{grown} bytes of memory more, max_message is {max_message}")
    status = daemon.wait_idle()
    problems += checker.balance(status)
    if status["accepted"] != 1 or status["rejected"]["too_large"] < lines - 1:
        problems.append(f"{lines} lines; {status}")
    report(f"7 endless line over {kind}", lines, problems,
           f"{grown / (1 << 20):.1f} MiB more, max_message is {max_message >> 20} MiB")


def test_many_at_once_share_a_bound(start_daemon, scale, report):
    """Together unfinished lines may hold half of memory_limit."""
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
            closed += 1  # some have to go
    grown = daemon.memory() - before
    if grown > (16 << 20) + SLACK:
        problems.append(f"{grown} bytes of memory more, memory_limit is 16 MiB")
    if daemon.status()["waiting_bytes"] > 8 << 20:
        problems.append(f"{daemon.status()['waiting_bytes']} bytes wait")
    for sock in socks:
        sock.close()
    senders.TRANSPORTS["tcp"](daemon, [checker.text(1, 1)])
    status = daemon.wait_idle()
    problems += checker.balance(status)
    if status["accepted"] != 1:
        problems.append(f"{status}")
    report("7 many unfinished lines", number, problems, f"{grown / (1 << 20):.1f} MiB more, the limit is 16 MiB")
