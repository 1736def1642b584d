"""Datagrams of any size and content, and the addresses that the daemon listens on."""
import random
import socket

import pytest

from support import senders
from support.messages import calls, check_counters, message, padded

HELLO = b'{"hello": {"client": "5d0f6f2e-0a4b-4a61-9a3e-0d5a0b6f4c11", "labels": {"service": "web"}}}'


def ipv6_available():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


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
def test_each_datagram_is_one_message(start_daemon, kind):
    """Each datagram is one message of any size. A bad one affects no other. Line feeds inside are white space."""
    daemon = start_daemon()
    DATAGRAMS[kind](daemon, message(1), b"", message(2), b"\n", padded(65507, 4), b'["\xff"]',
                    message(8).replace(b", ", b",\n\r\n"), message(16) + b"\n", message(32) + b"\n" + message(64), b"")
    assert calls(daemon) == 1 + 2 + 4 + 8 + 16
    check_counters(daemon, 5, bad_json=4, bad_utf8=1)
    assert {reject["code"] for reject in daemon.rejects()} == {"bad_json", "bad_utf8"}


@pytest.mark.parametrize("kind", sorted(DATAGRAMS))
def test_random_datagrams_are_rejected(start_daemon, kind):
    """Random bytes and damaged messages are all rejected and counted."""
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


def test_datagram_larger_than_the_buffer_is_truncated(start_daemon):
    """A Unix datagram longer than the receive buffer is rejected as truncated; no part of it counts."""
    daemon = start_daemon()
    sizes = [65507, 65535, 65536, 65537, 100_000, 150_000]
    for n, size in enumerate(sizes):
        send_unix(daemon, padded(size, 4**n))
    send_unix(daemon, b'[5, {"func_profiles": {}}]' + b" " * 150_000)  # its truncated form is a valid message
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


def test_hello_in_a_datagram_is_rejected(start_daemon):
    daemon = start_daemon()
    senders.TRANSPORTS["unix_datagram"](daemon, [HELLO, message(1)])
    assert calls(daemon) == 1
    status = daemon.wait_idle()
    assert status["accepted"] == 1 and status["rejected"].get("bad_shape", 0) <= 1


@pytest.mark.parametrize("host", ["127.0.0.1", *(["[::1]"] if ipv6_available() else [])])
@pytest.mark.parametrize("threads", [1, 2])
def test_configured_addresses_are_used(start_daemon, host, threads):
    daemon = start_daemon(ingest__udp=f"{host}:0", ingest__tcp=f"{host}:0", ingest__threads=threads)
    listeners = daemon.status()["listeners"]
    for name in ("udp", "tcp"):
        assert listeners[name].rsplit(":", 1)[0] == host and int(listeners[name].rsplit(":", 1)[1]) > 0
    send_udp(daemon, message(1), padded(60_000, 2))
    senders.TRANSPORTS["tcp"](daemon, [message(4), b"x"])
    assert calls(daemon) == 7
    check_counters(daemon, 3, bad_json=1)
    peer = daemon.rejects()[0]["peer"]
    assert host.strip("[]") in peer


def test_listeners_set_to_off_are_not_opened(start_daemon):
    daemon = start_daemon(ingest__udp="off", ingest__tcp="off", ingest__unix_datagram="off")
    listeners = {name for name, where in daemon.status()["listeners"].items() if where}
    assert listeners & {"udp", "tcp", "unix_stream", "unix_datagram"} == {"unix_stream"}
    assert not (daemon.folder / "d.sock").exists()
    senders.TRANSPORTS["unix_stream"](daemon, [message(1)])
    check_counters(daemon, 1)
