"""Row 5: senders that never read their responses use limited memory each, and do not affect others."""
import json
import socket
import time

import pytest

import checker
from support import senders
from support.daemon import wait_until

EACH = 1 << 20  # bytes of memory
BAD = b"this is not a message; the response is longer than it\n"


def connect_with_small_buffer(daemon, kind):
    if kind == "tcp":
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.connect(daemon.address("tcp"))
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(daemon.settings["ingest.unix_stream"]))
    sock.settimeout(15)
    return sock


def response_time(daemon):
    """The time until another sender has the response to a bad line."""
    with senders.Stream(daemon) as stream:
        begun = time.monotonic()
        stream.send(b"?\n").wait_responses(1)
        return time.monotonic() - begun


def test_unread_responses_of_plain_streams_use_limited_memory(start_daemon, scale, report):
    """Each leaves megabytes of responses unread."""
    daemon = start_daemon()
    lines = scale.choose(10_000, 100_000)
    problems, streams = [], []
    with senders.Stream(daemon) as stream:  # so that the memory for a normal sender is already allocated
        stream.send(BAD * 1000).wait_responses(1000)
    received = daemon.wait_idle()["received"]
    before, most = daemon.memory(), 0
    try:
        for n in range(8):
            streams.append(connect_with_small_buffer(daemon, ("tcp", "unix")[n % 2]))
            for _ in range(lines // 100):
                streams[-1].sendall(BAD * 100)
            received += lines
            wait_until(lambda: daemon.status()["received"] == received, lambda: daemon.status())
            most = max(most, daemon.memory() - before)
            if most > EACH * len(streams):
                problems.append(f"{most} bytes of memory for {len(streams)} senders")
        waited = max(response_time(daemon) for _ in range(20))
        senders.TRANSPORTS["tcp"](daemon, [checker.message(1, 1)])
        if daemon.status()["answers_dropped"] == 0:
            problems.append("no response was dropped")
    finally:
        for stream in streams:
            stream.close()
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    if status["accepted"] != 1:
        problems.append(f"{status['accepted']} of 1 message accepted")
    report("5 never reads, plain", len(streams), problems,
           f"{most // len(streams) >> 10} KiB each; others wait up to {waited * 1000:.1f} ms")


def test_unread_responses_of_acknowledged_streams_use_limited_memory(start_daemon, scale, report):
    """Unread acknowledgements and rejects are dropped with the connection at the latest; the client then resumes."""
    daemon = start_daemon(store__ack_interval="1ms")
    numbers = scale.choose(10_000, 100_000)
    problems, streams = [], []
    sent = [checker.Sent(n + 1) for n in range(4)]
    before = most = daemon.memory()
    for n, client in enumerate(sent):
        stream = connect_with_small_buffer(daemon, ("tcp", "unix")[n % 2])
        streams.append(stream)
        try:
            stream.sendall(json.dumps({"hello": {"client": f"unread-{n}"}}).encode() + b"\n")
            while client.last < numbers:
                lines = b""
                for _ in range(100):
                    client.last += 1
                    if client.last % 3:
                        client.bad.add(client.last)
                        lines += json.dumps({"seq": client.last, "timestamp": "x"}).encode() + b"\n"
                    else:
                        lines += checker.message(client.client, client.last, seq=client.last) + b"\n"
                stream.sendall(lines)
        except (OSError, TimeoutError):
            pass  # the daemon may close the connection or stop reading
        most = max(most, daemon.memory())
    with senders.Stream(daemon) as stream:
        stream.send(b"?\n").wait_responses(1)
    if most - before > 2 * EACH * len(streams) + (4 << 20):
        problems.append(f"{most - before} bytes of memory for {len(streams)} senders")
    for stream in streams:
        stream.close()
    for n, client in enumerate(sent):
        with senders.Stream(daemon) as stream:
            hello, = stream.send(json.dumps({"hello": {"client": f"unread-{n}"}}).encode() + b"\n").wait_responses(1)
        client.confirmed = hello["hello"]["last_seq"]
        if not 0 < client.confirmed <= client.last:
            problems.append(f"last_seq {client.confirmed} of {client.last}")
    problems += checker.verify(daemon.db, sent) + checker.verify_counters(daemon.wait_idle())
    report("5 never reads, acknowledged", len(streams), problems,
           f"{(most - before) // len(streams) >> 10} KiB each, including received messages")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_late_reader_receives_the_last_ack(start_daemon, scale, report, kind):
    """A client that reads only after its messages are stored receives the last ack or the end of the stream."""
    daemon = start_daemon()
    number = scale.choose(20_000, 200_000)
    problems = []
    with connect_with_small_buffer(daemon, kind) as sock:
        sock.sendall(b'{"hello": {"client": "late"}}\n')
        for first in range(1, number + 1, 100):
            sock.sendall(b"".join(json.dumps({"seq": seq, "timestamp": "x"}).encode() + b"\n"
                                  for seq in range(first, first + 100)))
        wait_until(lambda: daemon.status()["received"] == number, lambda: daemon.status())
        daemon.wait_idle()
        sock.settimeout(3)
        read, ack = b"", 0
        try:
            while ack < number and (more := sock.recv(65536)):
                *lines, read = (read + more).split(b"\n")
                for line in lines:
                    ack = max(ack, json.loads(line).get("ack", 0))
        except ConnectionError:
            pass  # closed: the next hello returns the number
        except TimeoutError:
            problems.append(f"neither the last acknowledgement nor the end of the stream: {ack} of {number}")
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    report(f"5 reads late, {kind}", number, problems, f"acknowledged to {ack}, {status['answers_dropped']} dropped")
