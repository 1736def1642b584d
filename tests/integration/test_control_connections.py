"""Connections to the control interface: keep-alive, pipelining, bodies, malformed requests, limits, slow clients."""
import contextlib
import http.client
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import control, senders
from support.daemon import TIMEOUT, wait_until
from support.messages import message


def names(response):
    return [row["function"] for row in response.json["functions"]]


def test_keep_alive_reuses_the_connection(web):
    daemon, address = web
    connections = [control.UnixConnection(str(daemon.control)), http.client.HTTPConnection(*address, timeout=30)]
    for connection in connections:
        sockets = set()
        for _ in range(50):
            for path in ("/v1/top", "/healthz", "/nope"):
                connection.request("GET", path)
                sockets.add(connection.sock)
                response = connection.getresponse()
                assert response.read() and response.status in (200, 404)
        assert len(sockets) == 1
        connection.close()


def test_pipelined_requests_are_answered_in_order(start_daemon):
    daemon = start_daemon()
    requests = b"".join([b"GET /v1/top HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n",
                         b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"] * 20)
    requests += b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    responses = control.send_raw(daemon.control, requests)
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", responses)
    assert statuses == [b"200", b"404", b"200"] * 20 + [b"200"]
    assert responses.endswith(b"\r\n\r\nok\n")


def test_half_closed_client_receives_the_response(start_daemon):
    daemon = start_daemon()
    with contextlib.closing(control.connect(daemon.control)) as sock:
        sock.sendall(b"GET /v1/top HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert control.read_all(sock).split(b" ")[1] == b"200"


@pytest.mark.parametrize("body, head, status", [
    (b"x" * 65536, b"Content-Length: 65536\r\n", 200),
    (b"", b"Content-Length: 65537\r\n", 413),
    (b"", b"Content-Length: 99999999999999999\r\n", 413),
    (b"4000\r\n" + b"x" * 0x4000 + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", 200),
    ((b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 5 + b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", 413),
])
def test_bodies_up_to_64_kib_are_accepted(start_daemon, body, head, status):
    daemon = start_daemon()
    request = b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n" + body
    response = control.send_raw(daemon.control, request)
    assert int(response.split(b" ")[1]) == status
    if status == 413:
        assert json.loads(response.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "too_large"


@pytest.mark.parametrize("junk", [
    b"\r\n" * 50, b"GARBAGE\r\n\r\n", bytes(range(256)), b"GET " + b"/" * 200000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"y" * 200000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
    b"GET /v1/top?" + b"a=1&" * 10000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET\r\n\r\n",
    b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
], ids=range(12))
def test_malformed_requests_do_no_harm(web, junk):
    daemon, address = web
    for endpoint in (daemon.control, address):
        with contextlib.closing(control.connect(endpoint)) as sock:
            with contextlib.suppress(OSError):  # the daemon may already have closed it
                sock.sendall(junk)
                sock.shutdown(socket.SHUT_WR)
            response = control.read_all(sock)
            assert b" 200 " not in response.split(b"\r\n")[0]
        assert control.request(endpoint, "GET", "/healthz").body == b"ok\n"


def test_concurrent_queries_are_served_or_busy(web):
    daemon, address = web
    senders.unix_datagram(daemon, [message()])
    daemon.flush()

    def query(endpoint):
        return control.request(endpoint, "GET", "/v1/top", {"fresh": "true"}, timeout=60)
    with ThreadPoolExecutor(200) as pool:
        responses = list(pool.map(query, (daemon.control, address) * 100))
    # If all 64 requests of one listener wait for a slot, requests of the other listener are rejected as busy.
    assert {response.status for response in responses} <= {200, 503}
    for response in responses:
        assert names(response) == ["f"] if response.status == 200 else response.error["code"] == "busy"
    assert sum(response.status == 200 for response in responses) >= 64
    assert daemon.get("/v1/top").status == 200


def test_aborted_requests_release_descriptors(web):
    daemon, address = web
    daemon.flush()
    before = daemon.descriptors()
    pieces = [b"", b"GET /v1/t", b"GET /v1/top HTTP/1.1\r\nHo", b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\n\r\n",
              b"POST /v1/flush HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nab",
              b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30]
    for n in range(240):
        with contextlib.closing(control.connect(address if n % 2 else daemon.control)) as sock:
            sock.sendall(pieces[n // 2 % len(pieces)])
    for endpoint in (daemon.control, address):
        assert control.request(endpoint, "GET", "/healthz", timeout=60).body == b"ok\n"
    wait_until(lambda: daemon.descriptors() <= before + 12, lambda: f"{before} descriptors, now {daemon.descriptors()}")


def test_oldest_idle_connections_are_closed(start_daemon):
    """With more keep-alive connections than the limit the oldest idle ones are closed, and no request is rejected."""
    daemon = start_daemon()
    connections = [control.UnixConnection(str(daemon.control)) for _ in range(100)]
    for connection in connections:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
    assert daemon.get("/healthz").status == 200
    for connection in connections[:30]:
        assert connection.sock.recv(1) == b""
    for connection in connections:
        connection.close()


def test_slow_requests_do_not_block_others(start_daemon):
    """All connections are used by requests that send a byte now and then. Still, another request is served."""
    daemon = start_daemon()
    socks = [control.connect(daemon.control) for _ in range(64)]
    for sock in socks:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
    ended = threading.Event()

    def drip():
        while not ended.wait(0.2):
            for sock in socks:
                with contextlib.suppress(OSError):
                    sock.send(b"y")
    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert daemon.get("/healthz", timeout=60).body == b"ok\n"
        assert all(control.read_all(sock) == b"" for sock in socks)
    finally:
        ended.set()
        thread.join()
        for sock in socks:
            sock.close()


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "],
                         ids=["silent", "half a request"])
def test_silent_connections_make_room(web, sent):
    """Several times as many connections as there are places send no complete request. Others are served within
    seconds, on the control socket and over TCP."""
    daemon, address = web
    for endpoint, n in ((daemon.control, 300), (address, 150)):
        with contextlib.ExitStack() as stack:
            connecting = threading.Thread(target=lambda: [
                stack.enter_context(contextlib.closing(control.connect(endpoint))).sendall(sent) for _ in range(n)])
            connecting.start()
            time.sleep(0.5)
            begun = time.monotonic()
            assert control.request(endpoint, "GET", "/healthz", timeout=60).body == b"ok\n"
            assert time.monotonic() - begun < TIMEOUT / 2, "a request waited for silent connections"
            connecting.join()
    assert daemon.status()["control"]["connections_evicted"] >= 100


def send_rows(daemon, n):
    """n functions, whose names make the response to /v1/top long."""
    senders.unix_datagram(daemon, [json.dumps([1732272000, {"total_tt": 1, "func_profiles": {
        f"f{first + i:06}_{'x' * 480}": {"ncalls": "1", "cumtime": 1} for i in range(100)}}]).encode()
        for first in range(0, n, 100)])
    # With a sanitizer the commit takes longer than one flush request waits.
    wait_until(lambda: daemon.post("/v1/flush").status == 200)


def ask_and_read_nothing(address, n):
    socks = []
    for _ in range(n):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(address)
        sock.sendall(b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\n\r\n")
        socks.append(sock)
    return socks


def test_unread_responses_do_not_delay_operators(web):
    """Clients over TCP request long responses and read nothing. One address has a share of the places, the control
    socket is served at once, and the responses are cut off."""
    daemon, address = web
    send_rows(daemon, 20000)
    socks = ask_and_read_nothing(address, 60)
    with contextlib.ExitStack() as stack:
        for sock in socks:
            stack.enter_context(contextlib.closing(sock))
        for _ in range(3):
            begun = time.monotonic()
            assert len(names(daemon.get("/v1/top", {"top": 3}))) == 3
            assert time.monotonic() - begun < TIMEOUT / 3
        wait_until(lambda: daemon.status()["control"]["requests_over_share"] >= 60 - 32, daemon.status)
        wait_until(lambda: daemon.status()["control"]["responses_cut"] > 0, daemon.status, timeout=30)
        metrics = control.parse_metrics(daemon.get("/metrics").body.decode())[0]
        assert metrics["timesliced_control_responses_cut_total", ()] > 0
    assert control.request(address, "GET", "/v1/top", {"top": 3}, timeout=60).status == 200
