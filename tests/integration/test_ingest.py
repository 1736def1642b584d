"""How bytes become messages: streams cut anywhere, datagrams of any size, what is refused, what is bounded."""
import itertools
import json
import random
import socket
import struct
import threading
import time

import pytest

from support import control, senders
from support.daemon import wait_until
from support.oracle import METRICS, NS, Model, compare_buckets, compare_top, exact_ns, random_messages

STREAMS = ["tcp", "unix"]
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE"]


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def message(n=1, name="f", stamp=5, **around):
    """n milliseconds of one function."""
    return json.dumps({"timestamp": stamp, **around,
                       "profile": {"total_tt": n / 1000, "func_profiles": {name: {"ncalls": n, "cumtime": n / 1000,
                                                                                  "tottime": n / 1000}}}}).encode()


def padded(size, n=1):
    """A message of exactly this many bytes; its last ones matter, so that a cut one cannot pass."""
    text = message(n, pad="")
    text = message(n, pad="x" * (size - len(text)))
    assert len(text) == size
    return text


def calls(daemon, name="f"):
    """The sum of n over all messages of this function."""
    return sum(row["ncalls"] for row in daemon.get_json("/v1/top", {"function": name})["functions"])


def counts(daemon, accepted, **rejected):
    """Idle, the ledger balances, and exactly this was received."""
    status = daemon.wait_idle()
    assert (status["accepted"], {code: n for code, n in status["rejected"].items() if n}) == (accepted, rejected)
    assert status["received"] == accepted + sum(rejected.values())
    return status


def error_of(response):
    assert set(response) == {"error"}, response
    return response["error"]


# Streams.


@pytest.mark.parametrize("kind", STREAMS)
def test_line_ends(start_daemon, kind):
    daemon = start_daemon()
    stream = senders.Stream(daemon, kind)
    stream.send(b"\n\r\n\n" + message(1) + b"\r\n\r\n" + message(2) + b"\n\n\n" + b"  " + message(4) +
                b" \t \r\n" + message(8))
    assert stream.finish() == []
    assert calls(daemon) == 15
    counts(daemon, 4)


@pytest.mark.parametrize("kind", STREAMS)
def test_nothing_at_all(start_daemon, kind):
    daemon = start_daemon()
    for data in (b"", b"\n", b"\r\n\r\n", b"\r\n\n\r\n"):
        stream = senders.Stream(daemon, kind)
        if data:
            stream.send(data)
        assert stream.finish() == []
    counts(daemon, 0)


@pytest.mark.parametrize("kind", STREAMS)
def test_cut_at_every_byte(start_daemon, kind):
    """Two sends per line, the cut one byte further each time: in a key, an escape, a character, the line's end."""
    daemon = start_daemon()
    text = message(3, name='_é😀"\\\n', stamp=5.25).decode()
    text = text.replace("\\u00e9", "é").replace("\\ud83d\\ude00", "😀").encode()
    line = text + b"\r\n"
    stream = senders.Stream(daemon, kind)
    if kind == "tcp":
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for cut in range(1, len(line)):
        stream.send(line[:cut])
        if cut % 4 == 0:
            time.sleep(0.0005)  # else the two often arrive as one
        stream.send(line[cut:])
    for byte in line:  # and one line byte by byte
        stream.send(bytes([byte]))
        time.sleep(0.0005)
    assert stream.finish() == []
    row, = daemon.get_json("/v1/top")["functions"]
    assert (row["function"], row["ncalls"]) == ('é😀"\\\n', 3 * len(line))
    counts(daemon, len(line))


@pytest.mark.parametrize("kind", STREAMS)
def test_pieces_of_any_size(start_daemon, kind):
    """A whole conversation cut at random, blank lines and bad lines between; answers name the right line."""
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
    counts(daemon, len(texts), **({"bad_json": len(bad)} if bad else {}))


@pytest.mark.parametrize("kind", STREAMS)
def test_many_messages_in_one_send(start_daemon, kind):
    daemon = start_daemon()
    stream = senders.Stream(daemon, kind)
    stream.send(b"\n".join(message(1) for _ in range(5000)))
    assert stream.finish() == []
    assert calls(daemon) == 5000
    counts(daemon, 5000)


def test_connections_do_not_mix(start_daemon):
    """Forty streams of both kinds, each with a line half sent, in turns."""
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
    counts(daemon, 160)


@pytest.mark.parametrize("kind", STREAMS)
def test_errors_say_where_and_it_goes_on(start_daemon, kind):
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
    counts(daemon, 4, bad_json=3, bad_utf8=1, bad_shape=2, out_of_range=1)
    kept = daemon.rejects()
    assert [reject["code"] for reject in kept] == [response["code"] for response in reversed(responses)]
    assert kept[-1]["text"].startswith("?nonsense")


@pytest.mark.parametrize("kind", STREAMS)
def test_half_close_brings_the_answers(start_daemon, kind):
    """The last line has no end; its answer comes all the same, then the end of the stream."""
    daemon = start_daemon()
    for data, code, accepted in ((message(1)[:-1], "bad_json", 0), (message(1) + b"\n" + b"[]", "bad_shape", 1),
                                 (message(1) + b"\nx\n" + message(2), "bad_json", 2)):
        before = daemon.status()["accepted"]
        stream = senders.Stream(daemon, kind)
        response, = stream.send(data).finish()
        assert error_of(response)["code"] == code
        assert not stream.reset
        assert daemon.status()["accepted"] == before + accepted
    counts(daemon, 3, bad_json=2, bad_shape=1)


@pytest.mark.parametrize("kind", STREAMS)
def test_a_line_as_long_as_allowed(start_daemon, kind):
    daemon = start_daemon(ingest__max_message="4K")
    stream = senders.Stream(daemon, kind)
    stream.send(padded(4096) + b"\n" + padded(4095) + b"\n" + padded(4096))
    assert stream.finish() == []
    assert calls(daemon) == 3
    counts(daemon, 3)


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("kind", STREAMS)
def test_too_large_closes(start_daemon, kind, ended):
    """Ended: the line is whole. Not ended: the daemon must not wait for an end that never comes."""
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
    assert calls(daemon) == 1  # nothing that follows is taken
    senders.TRANSPORTS["tcp"](daemon, [message(4)])
    assert calls(daemon) == 5
    counts(daemon, 2, too_large=1)
    assert daemon.rejects()[0]["code"] == "too_large"


def test_a_line_much_too_large(start_daemon):
    """Megabytes on the way are not read for ever, nor kept; others go on."""
    daemon = start_daemon(ingest__max_message="64K")
    with senders.Stream(daemon) as stream:
        try:
            for _ in range(200):
                stream.send(b"x" * 65536)
        except OSError:
            pass  # closed, as it must
        stream.wait_closed()
    senders.TRANSPORTS["unix_stream"](daemon, [message(4)])
    assert calls(daemon) == 4
    counts(daemon, 1, too_large=1)


@pytest.mark.parametrize("method", METHODS)
def test_http_closes_the_stream(start_daemon, method):
    """A web page can make a browser post to a local port: nothing in the body may count."""
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
    with senders.Stream(daemon, "unix") as stream:  # first line, alone, not even ended
        try:
            stream.send(request + body + b"\n")
        except OSError:
            pass
        stream.wait_closed()
    assert calls(daemon) == 1
    assert daemon.wait_idle()["accepted"] == 1


def test_what_only_looks_like_http_goes_on(start_daemon):
    daemon = start_daemon()
    stream = senders.Stream(daemon)
    stream.send(b"get / HTTP/1.1\nGETTER x\nPOST\n G\nGET\n" + message(1) + b"\n")
    responses = [error_of(response)["code"] for response in stream.finish()]
    assert responses == ["bad_json"] * 5
    assert calls(daemon) == 1
    counts(daemon, 1, bad_json=5)


HELLO = b'{"hello": {"client": "5d0f6f2e-0a4b-4a61-9a3e-0d5a0b6f4c11", "labels": {"service": "web"}}}'


@pytest.mark.parametrize("kind", STREAMS)
def test_hello_elsewhere(start_daemon, kind):
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


def test_hello_in_a_datagram(start_daemon):
    daemon = start_daemon()
    senders.TRANSPORTS["unix_datagram"](daemon, [HELLO, message(1)])
    assert calls(daemon) == 1
    status = daemon.wait_idle()
    assert status["accepted"] == 1 and status["rejected"].get("bad_shape", 0) <= 1


@pytest.mark.parametrize("kind", STREAMS)
def test_a_sender_that_never_reads(start_daemon, kind):
    """Ten thousand answers that nobody takes: the daemon neither waits nor stops reading."""
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
            sock.sendall(b"this is no message, and its answer is longer than it\n" * 100)
        sock.sendall(message(1) + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 1, lambda: daemon.status())
        senders.TRANSPORTS["tcp"](daemon, [message(2)])  # others are served meanwhile
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
    counts(daemon, 2, bad_json=10_000)


def test_a_reset_in_the_middle_of_a_line(start_daemon):
    daemon = start_daemon()
    for _ in range(20):
        sock = socket.create_connection(daemon.address("tcp"))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(message(1) + b"\n" + message(2)[:40])
        sock.close()
    senders.TRANSPORTS["tcp"](daemon, [message(64)])
    total = calls(daemon)  # a reset may take what was not read yet with it, but never half a line
    status = daemon.wait_idle()
    assert total - 64 == status["accepted"] - 1 <= 20


def refused(daemon):
    text = control.request(daemon.control, "GET", "/metrics").body.decode()
    series, _ = control.parse_metrics(text)
    values = [value for (name, _), value in series.items() if "refused" in name]
    assert len(values) == 1, f"one counter of refused connections: {values}"
    return values[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_max_connections(start_daemon, threads):
    """Past the cap a connection is closed at once and counted; those that are open do not notice, nor does control."""
    daemon = start_daemon(ingest__max_connections=3, ingest__threads=threads)
    streams = []
    for n in range(3):
        streams.append(senders.Stream(daemon, STREAMS[n % 2]))
        streams[-1].send(message(1) + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == len(streams))
    for n in range(5):
        with senders.Stream(daemon, STREAMS[n % 2]) as stream:
            stream.wait_closed()
    wait_until(lambda: refused(daemon) == 5, lambda: f"{refused(daemon)} refused")
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
        wait_until(lambda: stream.closed.is_set() or b"\n" in stream.read)
        if b"bad_json" in stream.read:
            streams.append(stream)
            return True
        stream.close()
        return False
    wait_until(served)  # the place of the one that left is free again
    assert len(streams) == 3
    assert error_of(streams[-1].send(message(100)).finish()[0])["line"] == 1
    assert streams.pop().closed.is_set() and calls(daemon) == 133
    for stream in streams:
        assert stream.finish() == []
    counts(daemon, 7, bad_json=1)


# Datagrams.


def send_udp(daemon, *datagrams):
    to = daemon.address("udp")
    with socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for datagram in datagrams:
            before = daemon.status()["received"]
            sock.sendto(datagram, to)
            daemon.wait_received(before + 1)


def send_unix(daemon, *datagrams):
    senders.TRANSPORTS["unix_datagram"](daemon, list(datagrams))


DATAGRAMS = {"udp": send_udp, "unix": send_unix}


@pytest.mark.parametrize("kind", sorted(DATAGRAMS))
def test_datagrams_one_by_one(start_daemon, kind):
    """Each is one message, whatever its size; one bad one hurts no other. Line feeds inside are white space."""
    daemon = start_daemon()
    DATAGRAMS[kind](daemon, message(1), b"", message(2), b"\n", padded(65507, 4), b'["\xff"]',
                    message(8).replace(b", ", b",\n\r\n"), message(16) + b"\n", message(32) + b"\n" + message(64), b"")
    assert calls(daemon) == 1 + 2 + 4 + 8 + 16
    counts(daemon, 5, bad_json=4, bad_utf8=1)
    assert {reject["code"] for reject in daemon.rejects()} == {"bad_json", "bad_utf8"}


@pytest.mark.parametrize("kind", sorted(DATAGRAMS))
def test_random_datagrams(start_daemon, kind):
    """Nothing in random bytes passes, and all of them are counted."""
    daemon = start_daemon()
    rng = random.Random(kind)
    messages = []
    for n in range(300):
        text = bytearray(message(1))
        if n % 3 == 0:
            text = bytearray(rng.randbytes(rng.randrange(200)))
        elif n % 3 == 1:
            text = text[:rng.randrange(len(text))]
        else:
            text[rng.randrange(len(text))] ^= 0x80
        messages.append(bytes(text))
    senders.TRANSPORTS["udp" if kind == "udp" else "unix_datagram"](daemon, messages)
    daemon.flush()
    status = daemon.wait_idle()
    assert (status["received"], status["accepted"]) == (300, 0)


def test_a_datagram_over_the_buffer(start_daemon):
    """A Unix datagram may be longer than what is read at once: then it is truncated, never half taken."""
    daemon = start_daemon()
    sizes = [65507, 65535, 65536, 65537, 100_000, 150_000]
    for n, size in enumerate(sizes):
        send_unix(daemon, padded(size, 4**n))
    send_unix(daemon, b'[5, {"func_profiles": {}}]' + b" " * 150_000)  # whole, if one only looks at its beginning
    send_unix(daemon, message(4**len(sizes)))
    total = calls(daemon)
    status = daemon.wait_idle()
    assert status["received"] == len(sizes) + 2
    assert status["received"] == status["accepted"] + status["rejected"].get("truncated", 0)
    accepted = [n for n in range(len(sizes) + 1) if total // 4**n % 4]
    assert 0 in accepted and len(sizes) in accepted
    assert total == sum(4**n for n in accepted)
    profiles = sum(daemon.get_json("/v1/buckets")["profiles"])
    assert profiles == status["accepted"] and profiles - len(accepted) in (0, 1)


@pytest.mark.parametrize("host", ["127.0.0.1", *(["[::1]"] if has_ipv6() else [])])
@pytest.mark.parametrize("threads", [1, 2])
def test_addresses(start_daemon, host, threads):
    daemon = start_daemon(ingest__udp=f"{host}:0", ingest__tcp=f"{host}:0", ingest__threads=threads)
    listeners = daemon.status()["listeners"]
    for name in ("udp", "tcp"):
        assert listeners[name].rsplit(":", 1)[0] == host and int(listeners[name].rsplit(":", 1)[1]) > 0
    send_udp(daemon, message(1), padded(60_000, 2))
    senders.TRANSPORTS["tcp"](daemon, [message(4), b"x"])
    assert calls(daemon) == 7
    counts(daemon, 3, bad_json=1)
    peer = daemon.rejects()[0]["peer"]
    assert host.strip("[]") in peer


def test_off_means_off(start_daemon):
    daemon = start_daemon(ingest__udp="off", ingest__tcp="off", ingest__unix_datagram="off")
    listeners = {name for name, where in daemon.status()["listeners"].items() if where}
    assert listeners & {"udp", "tcp", "unix_stream", "unix_datagram"} == {"unix_stream"}
    assert not (daemon.folder / "d.sock").exists()
    senders.TRANSPORTS["unix_stream"](daemon, [message(1)])
    counts(daemon, 1)


# What a message can say beside the profile.


def entry(name, n):
    return {"func_name": name, "ncalls": n, "cumtime": n / 1000, "tottime": n / 1000}


def part(i, n, entries, **more):
    return json.dumps({"timestamp": 5, "part": [i, n], **more,
                       "profile": {"total_tt": 0.25, "func_profiles": entries}}).encode()


def test_parts(start_daemon):
    """Parts of a profile count as one, in any order, by any way; what is missing is said."""
    daemon = start_daemon(ingest__threads=2)
    whole = [part(i, 4, [entry(f"f{i}", 1), entry("all", 1)]) for i in range(4)]
    for n, text in enumerate(reversed(whole)):
        senders.TRANSPORTS[sorted(senders.TRANSPORTS)[n]](daemon, [text])
    response = daemon.get_json("/v1/buckets", {"metric": "ncalls"})
    assert (response["profiles"], response["parts_missing"]) == ([1], [0])
    assert exact_ns(response["total_tt"][0]) == NS // 4
    assert {row["function"]: row["total"] for row in response["functions"]} == {
        "all": 4, "f0": 1, "f1": 1, "f2": 1, "f3": 1}
    senders.TRANSPORTS["tcp"](daemon, [part(0, 3, []), part(2, 3, [entry("all", 1)])])
    response = daemon.get_json("/v1/buckets")
    assert (response["profiles"], response["parts_missing"]) == ([2], [1])
    senders.TRANSPORTS["tcp"](daemon, [part(1, 5, []), part(2, 5, []), part(0, 1, [], exact=True)])  # part 0 of 5 was lost
    response = daemon.get_json("/v1/buckets")
    assert (response["profiles"], response["exact_profiles"], response["parts_missing"]) == ([3], [1], [1])
    assert exact_ns(response["total_tt"][0]) == 3 * NS // 4
    counts(daemon, 9)


def test_exact_counts_profiles_not_parts(start_daemon):
    daemon = start_daemon()
    texts = [message(1, exact=True), message(1), message(1, exact=True, stamp=15), part(0, 2, [], exact=True),
             part(1, 2, [], exact=True)]
    senders.TRANSPORTS["tcp"](daemon, texts)
    response = daemon.get_json("/v1/buckets")
    assert (response["profiles"], response["exact_profiles"]) == ([3, 1], [2, 1])
    counts(daemon, 5)


def test_too_new(start_daemon):
    daemon = start_daemon(aggregation__max_future="10m")
    now = time.time()
    stream = senders.Stream(daemon)
    stamps = [now + 3600, now, now + 300, now + 9_000_000, now - 3600, now + 900, 9.2e9]
    stream.send(b"".join(message(4**n, stamp=stamp) + b"\n" for n, stamp in enumerate(stamps)))
    responses = [error_of(response) for response in stream.finish()]
    assert [(response["code"], response["line"]) for response in responses] == [("too_new", n) for n in (1, 4, 6, 7)]
    assert calls(daemon) == 4 + 16 + 256
    counts(daemon, 3, too_new=4)


def test_any_future_where_it_is_off(start_daemon):
    daemon = start_daemon(aggregation__max_future="off")
    senders.TRANSPORTS["tcp"](daemon, [message(1, stamp=time.time() + 3600), message(2, stamp=9.2e9)])
    assert calls(daemon) == 3
    counts(daemon, 2)


def test_too_old(start_daemon):
    """Older than the longest level, not the finest."""
    daemon = start_daemon(aggregation__retention="10s:1h 1m:3h")
    now = time.time()
    stream = senders.Stream(daemon)
    stamps = [now - 4 * 3600, now, now - 2 * 3600, now - 1800, 0, -5, now - 12_000]
    stream.send(b"".join(message(4**n, stamp=stamp) + b"\n" for n, stamp in enumerate(stamps)))
    responses = [error_of(response) for response in stream.finish()]
    assert [(response["code"], response["line"]) for response in responses] == [("too_old", n) for n in (1, 5, 6, 7)]
    counts(daemon, 3, too_old=4)


# Bounds with a name.


def many_places(rng, n):
    """n messages over far more locations than allowed, function names repeated."""
    texts = []
    for at in range(n):
        entries = [{**entry(f"{'_' * rng.randrange(3)}f{rng.randrange(60)}", rng.randrange(1, 100)),
                    "file_name": f"/app/m{rng.randrange(9)}.py", "line_number": rng.randrange(1, 5)}
                   for _ in range(rng.randrange(1, 6))]
        texts.append(json.dumps([at % 40, {"total_tt": 0.001, "func_profiles": entries}]).encode())
    return texts


def grand_total(rows):
    return [sum(column) for column in zip(*([exact_ns(row[m]) if m.endswith("time") else row[m] for m in METRICS]
                                            for row in rows))]


@pytest.mark.parametrize("threads", [1, 2])
def test_overflow_of_locations(start_daemon, threads):
    """Totals stay exact in every bucket, names are bounded, what came first keeps its place; also after a restart."""
    rng = random.Random(threads)
    daemon, model = start_daemon(aggregation__max_locations=10, ingest__threads=threads), Model()
    first = [json.dumps([1, {"func_profiles": [{**entry(f"first{n}", 1), "file_name": "/first.py", "line_number": n}
                                               for n in range(10)]}]).encode()]
    sent = 0
    for round_ in range(2):
        batches = [first, many_places(rng, 150), first, many_places(rng, 150)]
        for texts in batches:
            model.extend(texts)
            senders.TRANSPORTS["tcp"](daemon, texts, sockets=4)
            daemon.flush()
        sent = sum(map(len, batches))
        top, places = daemon.get_json("/v1/top"), daemon.get_json("/v1/top", {"by": "location"})
        _, rows = model.select()
        expected = [sum(cell[m] for row in rows.values() for cell in row.values()) for m in METRICS]
        assert grand_total(top["functions"]) == grand_total(places["functions"]) == expected
        assert len(places["functions"]) <= 2 * 10 + 1
        assert "(overflow)" in {row["function"] for row in top["functions"]}
        kept = {row["raw_name"]: row["ncalls"] for row in places["functions"] if row["file_name"] == "/first.py"}
        assert kept == {f"first{n}": 2 * (round_ + 1) for n in range(10)}
        response = daemon.get_json("/v1/buckets", {"metric": "ncalls"})
        heads, _ = model.select()
        assert response["profiles"] == [heads[n]["profiles"] for n in sorted(heads)]
        for i, begin in enumerate(response["buckets"]):
            assert sum(row["values"][i] for row in response["functions"]) == sum(
                cell["ncalls"] for row in rows.values() for n, cell in row.items() if n * 10 == begin)
        counts(daemon, sent)
        assert daemon.status()["locations"] <= 2 * 10 + 1
        daemon.restart()


def test_a_known_name_loses_only_its_place(start_daemon):
    daemon = start_daemon(aggregation__max_locations=2)
    place = {"file_name": "/a.py", "line_number": 1}

    def send(name, line, n):
        text = json.dumps([1, {"func_profiles": [{**entry(name, n), **place, "line_number": line}]}]).encode()
        senders.TRANSPORTS["tcp"](daemon, [text])
        daemon.flush()

    for at, (name, line) in enumerate([("f", 1), ("_g", 1), ("f", 2), ("i", 1), ("h", 1), ("f", 1), ("_g", 9)]):
        send(name, line, 10**at)
    rows = daemon.get_json("/v1/top", {"by": "location"})["functions"]
    got = {(row["raw_name"], row["file_name"], row["line_number"]): row["ncalls"] for row in rows}
    assert got == {("f", "/a.py", 1): 100001, ("_g", "/a.py", 1): 10, ("f", None, None): 100,
                   ("_g", None, None): 1000000, ("(overflow)", None, None): 11000}
    counts(daemon, 7)


@pytest.mark.parametrize("threads", [1, 2])
def test_overflow_of_label_sets(start_daemon, threads):
    daemon = start_daemon(aggregation__max_label_sets=3, ingest__threads=threads)
    for round_ in range(2):
        senders.TRANSPORTS["tcp"](daemon, [message(1, labels={"service": str(n)}) for n in range(3)])
        daemon.flush()
        more = [message(10, labels={"service": str(n), "x": "y"}) for n in range(3, 40)]
        senders.TRANSPORTS["tcp"](daemon, more, sockets=4)
        senders.TRANSPORTS["tcp"](daemon, [message(1000)])  # none at all is not one too many
        daemon.flush()
        sets = {tuple(row["labels"].items()): row["profiles"] for row in daemon.get_json("/v1/labels")["labels"]}
        times = round_ + 1
        assert sets == {(("service", "0"),): times, (("service", "1"),): times, (("service", "2"),): times,
                        (("overflow", "true"),): 37 * times, (): times}
        got = {row["label"]: row["ncalls"] for row in daemon.get_json("/v1/top", {"by": "label.overflow"})["functions"]}
        assert got == {"true": 370 * times, None: 1003 * times}
        assert calls(daemon) == 1373 * times
        counts(daemon, 41)
        daemon.restart()


def test_all_at_once(start_daemon):
    """Every transport from many threads at the same time, with queries between: nothing lost, nothing twice."""
    daemon, model = start_daemon(ingest__threads=2, store__flush_interval="50ms"), Model()
    rng = random.Random(8)
    jobs, problems = [], []
    for n, transport in enumerate(itertools.islice(itertools.cycle(["tcp", "unix_stream", "unix_datagram"]), 9)):
        jobs.append((transport, random_messages(rng, model, 60)))

    def run(transport, texts):
        try:
            senders.TRANSPORTS[transport](daemon, texts)
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    seen = [0]
    while any(thread.is_alive() for thread in threads):
        seen.append(daemon.get_json("/v1/top")["profiles"])
    for thread in threads:
        thread.join()
    assert not problems
    assert seen == sorted(seen)
    compare_buckets(daemon.get_json("/v1/buckets"), model)
    compare_top(daemon.get_json("/v1/top", {"by": "location"}), model, by="location")
    counts(daemon, sum(len(texts) for _, texts in jobs))
