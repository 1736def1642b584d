"""Plain streams: lines split anywhere, rejected lines, limits, HTTP by mistake, peers that never read or disconnect."""
import json
import random
import socket
import struct
import time

import pytest

from support import control, senders
from support.daemon import wait_until
from support.messages import calls, check_counters, error_of, message, padded
from support.compare import compare_buckets
from support.oracle import Model
from support.random_profiles import random_messages

STREAMS = ["tcp", "unix"]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"]
HELLO = b'{"hello": {"client": "5d0f6f2e-0a4b-4a61-9a3e-0d5a0b6f4c11", "labels": {"service": "web"}}}'


@pytest.mark.parametrize("kind", STREAMS)
def test_line_ends_and_blank_lines_are_ignored(start_daemon, kind):
    daemon = start_daemon()
    stream = senders.Stream(daemon, kind)
    stream.send(b"\n\r\n\n" + message(1) + b"\r\n\r\n" + message(2) + b"\n\n\n" + b"  " + message(4) +
                b" \t \r\n" + message(8))
    assert stream.finish() == []
    assert calls(daemon) == 15
    check_counters(daemon, 4)


@pytest.mark.parametrize("kind", STREAMS)
def test_empty_streams_count_nothing(start_daemon, kind):
    daemon = start_daemon()
    for data in (b"", b"\n", b"\r\n\r\n", b"\r\n\n\r\n"):
        stream = senders.Stream(daemon, kind)
        if data:
            stream.send(data)
        assert stream.finish() == []
    check_counters(daemon, 0)


@pytest.mark.parametrize("kind", STREAMS)
def test_lines_split_at_every_byte_are_joined(start_daemon, kind):
    """Each line arrives in two pieces, split one byte later each time: in keys, escapes, characters, the line end."""
    daemon = start_daemon()
    text = message(3, name='_é😀"\\\n', timestamp=5.25).decode()
    text = text.replace("\\u00e9", "é").replace("\\ud83d\\ude00", "😀").encode()
    line = text + b"\r\n"
    stream = senders.Stream(daemon, kind)
    if kind == "tcp":
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for cut in range(1, len(line)):
        stream.send(line[:cut])
        if cut % 4 == 0:
            time.sleep(0.0005)  # otherwise both often arrive together
        stream.send(line[cut:])
    for byte in line:  # then a line byte by byte
        stream.send(bytes([byte]))
        time.sleep(0.0005)
    assert stream.finish() == []
    row, = daemon.get_json("/v1/top")["functions"]
    assert (row["function"], row["ncalls"]) == ('é😀"\\\n', 3 * len(line))
    check_counters(daemon, len(line))


@pytest.mark.parametrize("kind", STREAMS)
def test_streams_split_at_random_are_joined(start_daemon, kind):
    """A long stream split at random, with blank and bad lines in between. Responses name the right line."""
    rng = random.Random(kind)
    daemon, model = start_daemon(ingest__threads=2), Model()
    texts = random_messages(rng, model, 150)
    data, line, bad = bytearray(), 0, []
    for text in texts:
        while rng.random() < 0.3:
            data += rng.choice([b"\n", b"\r\n"])
            line += 1
        if rng.random() < 0.2:
            offset = rng.randrange(5)
            data += b" " * offset + b"?nonsense\n"
            line += 1
            bad.append((line, offset))
        data += text + rng.choice([b"\n", b"\r\n", b" \r\n"])
        line += 1
    stream = senders.Stream(daemon, kind)
    at = 0
    while at < len(data):
        size = rng.choice([1, 7, 100, 4096, 65536])
        stream.send(data[at:at + size])
        at += size
    responses = [error_of(response) for response in stream.finish()]
    assert {response["code"] for response in responses} == {"bad_json"}
    assert [(response["line"], response["offset"]) for response in responses] == bad
    compare_buckets(daemon.get_json("/v1/buckets"), model)
    check_counters(daemon, len(texts), **({"bad_json": len(bad)} if bad else {}))


@pytest.mark.parametrize("kind", STREAMS)
def test_many_messages_in_one_send_all_count(start_daemon, kind):
    daemon = start_daemon()
    stream = senders.Stream(daemon, kind)
    stream.send(b"\n".join(message(1) for _ in range(5000)))
    assert stream.finish() == []
    assert calls(daemon) == 5000
    check_counters(daemon, 5000)


def test_connections_do_not_mix(start_daemon):
    """Forty streams of both kinds take turns sending quarters of their lines."""
    daemon = start_daemon(ingest__threads=2)
    streams = [senders.Stream(daemon, STREAMS[n % 2]) for n in range(40)]
    lines = [message(1, name=f"f{n}") + b"\n" for n in range(len(streams))]
    for round_ in range(4):
        for part in range(4):
            for stream, line in zip(streams, lines):
                step = len(line) // 4
                stream.send(line[part * step:(part + 1) * step if part < 3 else None])
    for stream in streams:
        assert stream.finish() == []
    assert {row["function"]: row["ncalls"] for row in daemon.get_json("/v1/top")["functions"]} == {
        f"f{n}": 4 for n in range(len(streams))}
    check_counters(daemon, 160)


@pytest.mark.parametrize("kind", STREAMS)
def test_error_names_line_and_offset_and_the_stream_goes_on(start_daemon, kind):
    daemon = start_daemon()
    stream = senders.Stream(daemon, kind)
    cut = message(2)[:-5]
    far = b'{"timestamp": 1e400, "profile": {"func_profiles": {}}}'
    lines = [message(1), b"?nonsense", b"", b"   {x", cut, b'{"x\xff": 1}', message(4), b'{"timestamp": 1}', far,
             b"{}", message(8)]
    stream.send(b"\r\n".join(lines) + b"\n")
    responses = [error_of(response) for response in stream.wait_responses(7)]
    assert [(response["code"], response["line"]) for response in responses] == [
        ("bad_json", 2), ("bad_json", 4), ("bad_json", 5), ("bad_utf8", 6), ("bad_shape", 8), ("out_of_range", 9),
        ("bad_shape", 10)]
    assert [response["offset"] for response in responses[:2]] == [0, 4]
    assert len(cut) <= responses[2]["offset"] <= len(cut) + 1
    assert responses[3]["offset"] == 3
    assert responses[5]["offset"] == far.index(b"1e400")
    for response in responses:
        assert len(response["message"]) > 5
    stream.send(message(16))
    assert stream.finish() == [{"error": response} for response in responses]
    assert calls(daemon) == 1 + 4 + 8 + 16
    check_counters(daemon, 4, bad_json=3, bad_utf8=1, bad_shape=2, out_of_range=1)
    kept = daemon.rejects()
    assert [reject["code"] for reject in kept] == [response["code"] for response in reversed(responses)]
    assert kept[-1]["text"].startswith("?nonsense")


@pytest.mark.parametrize("kind", STREAMS)
def test_half_closed_stream_receives_all_responses(start_daemon, kind):
    """The last line has no line end. Its response still arrives, followed by the end of the stream."""
    daemon = start_daemon()
    for data, code, accepted in ((message(1)[:-1], "bad_json", 0), (message(1) + b"\n" + b"[]", "bad_shape", 1),
                                 (message(1) + b"\nx\n" + message(2), "bad_json", 2)):
        before = daemon.status()["accepted"]
        stream = senders.Stream(daemon, kind)
        response, = stream.send(data).finish()
        assert error_of(response)["code"] == code
        assert not stream.reset
        assert daemon.status()["accepted"] == before + accepted
    check_counters(daemon, 3, bad_json=2, bad_shape=1)


@pytest.mark.parametrize("kind", STREAMS)
def test_line_of_maximum_length_is_accepted(start_daemon, kind):
    daemon = start_daemon(ingest__max_message="4K")
    stream = senders.Stream(daemon, kind)
    stream.send(padded(4096) + b"\n" + padded(4095) + b"\n" + padded(4096))
    assert stream.finish() == []
    assert calls(daemon) == 3
    check_counters(daemon, 3)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("kind", STREAMS)
def test_too_large_line_closes_the_stream(start_daemon, kind, ended):
    """Ended: the line is complete. Not ended: the daemon must not wait for an end that never arrives."""
    daemon = start_daemon(ingest__max_message="4K")
    stream = senders.Stream(daemon, kind)
    stream.send(message(1) + b"\n\n")
    if ended:
        stream.send(padded(4097) + b"\n" + message(2) + b"\n")
    else:
        stream.send(b"x" * 4097)
    error = error_of(stream.wait_closed()[-1])
    assert (error["code"], error["line"]) == ("too_large", 3)
    stream.close()
    assert calls(daemon) == 1  # nothing after it is accepted
    senders.TRANSPORTS["tcp"](daemon, [message(4)])
    assert calls(daemon) == 5
    check_counters(daemon, 2, too_large=1)
    assert daemon.rejects()[0]["code"] == "too_large"


def test_line_of_megabytes_closes_the_stream(start_daemon):
    """The daemon neither reads nor buffers a line of megabytes; other streams are served."""
    daemon = start_daemon(ingest__max_message="64K")
    with senders.Stream(daemon) as stream:
        try:
            for _ in range(200):
                stream.send(b"x" * 65536)
        except OSError:
            pass  # closed by the daemon, as expected
        stream.wait_closed()
    senders.TRANSPORTS["unix_stream"](daemon, [message(4)])
    assert calls(daemon) == 4
    check_counters(daemon, 1, too_large=1)


@pytest.mark.parametrize("method", METHODS)
def test_http_request_closes_the_stream(start_daemon, method):
    """A web page can make a browser send a request to a local port: no message in the body may count."""
    daemon = start_daemon()
    body = message(64)
    request = f"{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with senders.Stream(daemon) as stream:
        stream.send(message(1) + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 1)
        try:
            stream.send(request)
            stream.send(body + b"\r\n")
        except OSError:
            pass
        stream.wait_closed()
    with senders.Stream(daemon, "unix") as stream:  # as the first line
        try:
            stream.send(request + body + b"\n")
        except OSError:
            pass
        stream.wait_closed()
    assert calls(daemon) == 1
    assert daemon.wait_idle()["accepted"] == 1


def test_line_similar_to_http_is_rejected_and_the_stream_goes_on(start_daemon):
    daemon = start_daemon()
    stream = senders.Stream(daemon)
    stream.send(b"get / HTTP/1.1\nGETTER x\nPOST\n G\nGET\n" + message(1) + b"\n")
    responses = [error_of(response)["code"] for response in stream.finish()]
    assert responses == ["bad_json"] * 5
    assert calls(daemon) == 1
    check_counters(daemon, 1, bad_json=5)


@pytest.mark.parametrize("kind", STREAMS)
def test_hello_after_a_message_closes_the_stream(start_daemon, kind):
    daemon = start_daemon()
    with senders.Stream(daemon, kind) as stream:
        stream.send(message(1) + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 1)
        try:
            stream.send(HELLO + b"\n")
            stream.send(message(2) + b"\n")
        except OSError:
            pass
        response, = stream.wait_closed()
    assert error_of(response)["code"] == "bad_shape"
    assert calls(daemon) == 1
    status = daemon.wait_idle()
    assert status["accepted"] == 1 and status["rejected"].get("bad_shape", 0) <= 1


@pytest.mark.parametrize("kind", STREAMS)
def test_sender_that_never_reads_is_served(start_daemon, kind):
    """The daemon neither waits for a peer that leaves ten thousand responses unread nor stops reading from it."""
    daemon = start_daemon()
    if kind == "tcp":
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        to = daemon.address("tcp")
    else:
        sock = socket.socket(socket.AF_UNIX)
        to = str(daemon.settings["ingest.unix_stream"])
    with sock:
        sock.settimeout(30)
        sock.connect(to)
        for _ in range(100):
            sock.sendall(b"this is not a message; the response is longer than it\n" * 100)
        sock.sendall(message(1) + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 1, lambda: daemon.status())
        senders.TRANSPORTS["tcp"](daemon, [message(2)])  # other clients are served meanwhile
        assert calls(daemon) == 3
        sock.shutdown(socket.SHUT_WR)
        read = bytearray()
        while more := sock.recv(65536):
            read += more
    responses = [json.loads(line) for line in read.split(b"\n")[:-1]]
    assert 0 < len(responses) <= 10_000
    assert {response["error"]["code"] for response in responses} == {"bad_json"}
    lines = [response["error"]["line"] for response in responses]
    assert lines == sorted(set(lines)) and lines[0] == 1
    check_counters(daemon, 2, bad_json=10_000)


def test_reset_within_a_line_discards_the_line(start_daemon):
    daemon = start_daemon()
    for _ in range(20):
        sock = socket.create_connection(daemon.address("tcp"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(message(1) + b"\n" + message(2)[:40])
        sock.close()
    senders.TRANSPORTS["tcp"](daemon, [message(64)])
    total = calls(daemon)  # a reset may discard lines that were not read yet, but no part of a line may count
    status = daemon.wait_idle()
    assert total - 64 == status["accepted"] - 1 <= 20


def refused_connections(daemon):
    text = control.request(daemon.control, "GET", "/metrics").body.decode()
    series, _ = control.parse_metrics(text)
    values = [value for (name, _), value in series.items() if "refused" in name]
    assert len(values) == 1, f"there must be one counter of refused connections: {values}"
    return values[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_connections_above_max_connections_are_refused(start_daemon, threads):
    """Further connections are closed at once and counted. Open connections and the control socket are not affected."""
    daemon = start_daemon(ingest__max_connections=3, ingest__threads=threads)
    streams = []
    for n in range(3):
        streams.append(senders.Stream(daemon, STREAMS[n % 2]))
        streams[-1].send(message(1) + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == len(streams))
    for n in range(5):
        with senders.Stream(daemon, STREAMS[n % 2]) as stream:
            stream.wait_closed()
    wait_until(lambda: refused_connections(daemon) == 5, lambda: f"{refused_connections(daemon)} refused")
    for stream in streams:
        stream.send(message(10) + b"\n")
    assert calls(daemon) == 33
    assert streams.pop().finish() == []

    def served():
        stream = senders.Stream(daemon)
        try:
            stream.send(b"nonsense\n")
        except OSError:
            pass
        wait_until(lambda: stream.closed.is_set() or b"\n" in stream.received)
        if b"bad_json" in stream.received:
            streams.append(stream)
            return True
        stream.close()
        return False
    wait_until(served)  # once the daemon has noticed that a connection ended
    assert len(streams) == 3
    assert error_of(streams[-1].send(message(100)).finish()[0])["line"] == 1
    assert streams.pop().closed.is_set() and calls(daemon) == 133
    for stream in streams:
        assert stream.finish() == []
    check_counters(daemon, 7, bad_json=1)
