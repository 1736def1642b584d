"""Row 7: a line without end is refused and costs no more memory than the longest message that is allowed."""
import socket

import pytest

import checker
from support import senders
from support.daemon import wait_until

SLACK = 3 << 20  # bytes: read buffers, and what growing one by copying leaves for a moment


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_memory_is_bounded(daemon, scale, figure, kind):
    """What it closes is opened again, until a gigabyte has been offered."""
    max_message = scale.choose(4, 16) << 20
    one = daemon(ingest__max_message=max_message)
    senders.TRANSPORTS["tcp"](one, [checker.text(1, 1)])
    one.idle()
    before = one.memory("VmHWM")
    left, lines, piece = scale.choose(64 << 20, 1 << 30), 0, b"x" * (1 << 20)
    problems = []
    while left > 0:
        with senders.Stream(one, kind) as way:
            lines += 1
            try:
                while left > 0:
                    way.send(piece)
                    left -= len(piece)
            except OSError:
                pass  # closed, as it must
            if left > 0:
                wait_until(lambda: one.status()["rejected"]["too_large"] == lines, lambda: one.status())
                if way.wait_closed() and way.answers()[-1]["error"]["code"] != "too_large":
                    problems.append(f"answered {way.answers()}")
    grown = one.memory("VmHWM") - before
    if grown > max_message + SLACK:
        problems.append(f"{grown} bytes of memory more, max_message is {max_message}")
    status = one.idle()
    problems += checker.balance(status)
    if status["accepted"] != 1 or status["rejected"]["too_large"] < lines - 1:
        problems.append(f"{lines} lines; {status}")
    figure(f"7 endless line over {kind}", lines, problems,
           f"{grown / (1 << 20):.1f} MiB more, max_message is {max_message >> 20} MiB")


def test_many_at_once_share_a_bound(daemon, scale, figure):
    """Together unfinished lines may hold half of memory_limit."""
    one = daemon(ingest__memory_limit="16M", ingest__max_message="8M")
    number = scale.choose(12, 100)
    before, problems = one.memory(), []
    ways = [socket.create_connection(one.address("tcp")) for _ in range(number)]
    closed = 0
    for way in ways:
        way.settimeout(15)
        try:
            way.sendall(b"x" * (2 << 20))
        except OSError:
            closed += 1  # some have to go
    grown = one.memory() - before
    if grown > (16 << 20) + SLACK:
        problems.append(f"{grown} bytes of memory more, memory_limit is 16 MiB")
    if one.status()["waiting_bytes"] > 8 << 20:
        problems.append(f"{one.status()['waiting_bytes']} bytes wait")
    for way in ways:
        way.close()
    senders.TRANSPORTS["tcp"](one, [checker.text(1, 1)])
    status = one.idle()
    problems += checker.balance(status)
    if status["accepted"] != 1:
        problems.append(f"{status}")
    figure("7 many unfinished lines", number, problems, f"{grown / (1 << 20):.1f} MiB more, the limit is 16 MiB")
