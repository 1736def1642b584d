"""Row 5: senders that never read their answers cost a bounded bit of memory each, and hurt nobody."""
import json
import socket
import time

import pytest

import checker
from support import senders
from support.daemon import wait_until

EACH = 1 << 20  # bytes of memory
BAD = b"this is no message, and its answer is longer than it\n"


def deaf(one, kind):
    if kind == "tcp":
        way = socket.socket()
        way.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        way.connect(one.address("tcp"))
    else:
        way = socket.socket(socket.AF_UNIX)
        way.connect(str(one.settings["ingest.unix_stream"]))
    way.settimeout(15)
    return way


def answered_within(one):
    """How long a sender that reads waits for the answer to a bad line."""
    with senders.Stream(one) as way:
        begun = time.monotonic()
        way.send(b"?\n").wait_answers(1)
        return time.monotonic() - begun


def test_plain(daemon, scale, figure):
    """Each is owed megabytes of answers."""
    one = daemon()
    lines = scale.choose(10_000, 100_000)
    problems, ways = [], []
    with senders.Stream(one) as way:  # what a sender that reads costs is there already
        way.send(BAD * 1000).wait_answers(1000)
    received = one.idle()["received"]
    before, most = one.memory(), 0
    try:
        for n in range(8):
            ways.append(deaf(one, ("tcp", "unix")[n % 2]))
            for _ in range(lines // 100):
                ways[-1].sendall(BAD * 100)
            received += lines
            wait_until(lambda: one.status()["received"] == received, lambda: one.status())
            most = max(most, one.memory() - before)
            if most > EACH * len(ways):
                problems.append(f"{most} bytes of memory for {len(ways)} of them")
        waited = max(answered_within(one) for _ in range(20))
        senders.TRANSPORTS["tcp"](one, [checker.text(1, 1)])
        if one.status()["answers_dropped"] == 0:
            problems.append("no answer was dropped")
    finally:
        for way in ways:
            way.close()
    status = one.idle()
    problems += checker.balance(status)
    if status["accepted"] != 1:
        problems.append(f"{status['accepted']} accepted, one was sent")
    figure("5 never reads, plain", len(ways), problems,
           f"{most // len(ways) >> 10} KiB each; others answered within {waited * 1000:.1f} ms")


def test_acknowledged(daemon, scale, figure):
    """Acknowledgements and rejects that nobody takes: dropped with the connection at the latest, and then resumed."""
    one = daemon(store__ack_interval="1ms")
    numbers = scale.choose(10_000, 100_000)
    problems, ways = [], []
    sent = [checker.Sent(n + 1) for n in range(4)]
    before = most = one.memory()
    for n, client in enumerate(sent):
        way = deaf(one, ("tcp", "unix")[n % 2])
        ways.append(way)
        try:
            way.sendall(json.dumps({"hello": {"client": f"deaf-{n}"}}).encode() + b"\n")
            while client.last < numbers:
                lines = b""
                for _ in range(100):
                    client.last += 1
                    if client.last % 3:
                        client.bad.add(client.last)
                        lines += json.dumps({"seq": client.last, "timestamp": "x"}).encode() + b"\n"
                    else:
                        lines += checker.text(client.client, client.last, seq=client.last) + b"\n"
                way.sendall(lines)
        except (OSError, TimeoutError):
            pass  # closed, or not read from: both are allowed
        most = max(most, one.memory())
    with senders.Stream(one) as way:
        way.send(b"?\n").wait_answers(1)
    if most - before > 2 * EACH * len(ways) + (4 << 20):
        problems.append(f"{most - before} bytes of memory for {len(ways)} of them")
    for way in ways:
        way.close()
    for n, client in enumerate(sent):
        with senders.Stream(one) as way:
            hello, = way.send(json.dumps({"hello": {"client": f"deaf-{n}"}}).encode() + b"\n").wait_answers(1)
        client.confirmed = hello["hello"]["last_seq"]
        if not 0 < client.confirmed <= client.last:
            problems.append(f"last_seq {client.confirmed} of {client.last}")
    problems += checker.judge(one.db, sent) + checker.balance(one.idle())
    figure("5 never reads, acknowledged", len(ways), problems,
           f"{(most - before) // len(ways) >> 10} KiB each, with what they send")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_acknowledged_late_reader(daemon, scale, figure, kind):
    """One that reads only after all it sent is stored: the last acknowledgement still comes, or the stream ends."""
    one = daemon()
    number = scale.choose(20_000, 200_000)
    problems = []
    with deaf(one, kind) as way:
        way.sendall(b'{"hello": {"client": "late"}}\n')
        for first in range(1, number + 1, 100):
            way.sendall(b"".join(json.dumps({"seq": seq, "timestamp": "x"}).encode() + b"\n"
                                 for seq in range(first, first + 100)))
        wait_until(lambda: one.status()["received"] == number, lambda: one.status())
        one.idle()
        way.settimeout(3)
        read, ack = b"", 0
        try:
            while ack < number and (more := way.recv(65536)):
                *lines, read = (read + more).split(b"\n")
                for line in lines:
                    ack = max(ack, json.loads(line).get("ack", 0))
        except ConnectionError:
            pass  # closed: it will ask by its next hello
        except TimeoutError:
            problems.append(f"neither the last acknowledgement nor an end: {ack} of {number}")
    status = one.idle()
    problems += checker.balance(status)
    figure(f"5 reads late, {kind}", number, problems, f"acknowledged to {ack}, {status['answers_dropped']} dropped")
