"""The control side: HTTP itself, who may ask what, what is fresh, what happens when the store or the client does not
behave. What the answers of queries hold is tested elsewhere."""
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import threading

import pytest

from support import control
from support.daemon import TIMEOUT, wait_until

T0 = 1732272000
GET_PATHS = ["/v1/buckets", "/v1/top", "/v1/functions", "/v1/labels", "/v1/status", "/v1/rejects", "/metrics",
             "/healthz"]
QUERY_PATHS = GET_PATHS[:4]
STATE_PATHS = GET_PATHS[4:]


def message(name="f", seconds=1, timestamp=T0):
    return json.dumps([timestamp, {"total_tt": seconds, "func_profiles": {
        name: {"ncalls": "1", "tottime": seconds, "cumtime": seconds}}}]).encode()


def send(daemon, *texts):
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.settimeout(TIMEOUT)
        for text in texts:
            sock.sendto(text, str(daemon.settings["ingest.unix_datagram"]))


def names(response):
    return [row["function"] for row in response.json["functions"]]


def connect(address):
    sock = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
    sock.settimeout(3 * TIMEOUT)
    sock.connect(address if isinstance(address, tuple) else str(address))
    return sock


def read_all(sock):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def raw(address, request):
    """Sends these bytes, gives all bytes up to the daemon's end."""
    with contextlib.closing(connect(address)) as sock:
        sock.sendall(request)
        return read_all(sock)


def raw_request(address, target, method=b"GET", host=b"localhost", more=b""):
    host_line = b"" if host is None else b"Host: " + host + b"\r\n"
    response = raw(address, method + b" " + target + b" HTTP/1.1\r\n" + host_line + b"Connection: close\r\n" + more +
                   b"\r\n")
    head, body = response.split(b"\r\n\r\n", 1)
    return int(head.split(b" ")[1]), body


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


@pytest.fixture
def web(start_daemon):
    """A daemon that also listens on TCP, and the address."""
    daemon = start_daemon(control__http="127.0.0.1:0", control__allowed_hosts="stats.example, other")
    return daemon, daemon.address("http")


@contextlib.contextmanager
def locked(daemon):
    """An operator's shell holds the write lock: nothing can be committed."""
    db = sqlite3.connect(daemon.db, timeout=TIMEOUT, isolation_level=None)
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
    finally:
        db.close()


# --- Who may ask what ------------------------------------------------------------------------------------------------


def test_every_path_answers(web):
    daemon, address = web
    for where in (daemon.control, address):
        for path in GET_PATHS:
            response = control.request(where, "GET", path)
            assert response.status == 200, (where, path, response)
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["Cache-Control"] == "no-store"
            assert int(response.headers["Content-Length"]) == len(response.body)
            assert response.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("path, params, content_type", [
    ("/v1/buckets", {}, "application/json"), ("/v1/top", {"format": "csv"}, "text/csv; charset=utf-8"),
    ("/v1/buckets", {"format": "csv"}, "text/csv; charset=utf-8"), ("/v1/status", {}, "application/json"),
    ("/v1/rejects", {}, "application/json"), ("/nope", {}, "application/json"),
    ("/v1/top", {"nope": "1"}, "application/json"), ("/healthz", {}, "text/plain; charset=utf-8"),
    ("/metrics", {}, "text/plain; version=0.0.4; charset=utf-8"),
])
def test_content_types(start_daemon, path, params, content_type):
    assert start_daemon().get(path, params).headers["Content-Type"] == content_type


def test_head_is_get_without_body(web):
    daemon, address = web
    for where in (daemon.control, address):
        for path in ["/v1/top", "/healthz", "/nope", "/v1/labels?x=1"]:
            get, head = (control.request(where, method, path) for method in ("GET", "HEAD"))
            assert head.body == b"" and get.body
            assert (head.status, head.headers["Content-Length"], head.headers["Content-Type"]) == \
                (get.status, str(len(get.body)), get.headers["Content-Type"])


def test_unknown_paths(web):
    daemon, address = web
    for where in (daemon.control, address):
        for path in ["/", "/v1", "/v1/", "/v1/top/", "/v1//top", "/V1/top", "/healthz/", "/v1/flush/x", "/%2e/v1/top"]:
            response = control.request(where, "GET", path)
            assert (response.status, response.error["code"]) == (404, "not_found"), path
            assert "parameter" not in response.error
    assert control.request(address, "GET", "/v1/flush").status == 404  # is not served there


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_other_methods(web, method):
    daemon, address = web
    for path in GET_PATHS:
        response = control.request(daemon.control, method, path)
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD"), path
        assert response.error["code"] == "method_not_allowed"
    for path in [*GET_PATHS, "/v1/flush", "/nope"]:
        response = control.request(address, method, path)
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD"), path
    if method != "POST":
        response = control.request(daemon.control, method, "/v1/flush")
        assert (response.status, response.headers["Allow"]) == (405, "POST")


def test_flush_by_get_flushes_nothing(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    daemon.flush()  # the writer's cycle at the start is over
    send(daemon, message())
    daemon.wait_received(1)
    assert daemon.get("/v1/flush").status == 405
    assert daemon.status()["pending"] == 1


def test_hosts(web):
    daemon, address = web
    for host in [b"127.0.0.1", b"127.0.0.1:8138", b"[::1]", b"[::1]:80", b"localhost", b"LOCALHOST:1",
                 b"stats.example", b"Stats.Example:80", b"other"]:
        assert raw_request(address, b"/healthz", host=host) == (200, b"ok\n"), host
    for host in [None, b"", b"evil.example", b"stats.example.evil", b"localhost.evil", b"127.0.0.1.evil", b"::1",
                 b"[::1", b"localhost:x", b"stats", b"stats.example, other", b"localhost\r\nHost: localhost",
                 b"evil\r\nHost: localhost", b"localhost\r\nHost: evil"]:
        for path in (b"/healthz", b"/v1/status", b"/v1/top", b"/nope"):
            status, body = raw_request(address, path, host=host)
            assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden_host"), (host, path)
    assert raw_request(daemon.control, b"/healthz", host=b"evil.example") == (200, b"ok\n")


def test_no_host_at_all(web):
    daemon, address = web
    assert raw(address, b"GET /healthz HTTP/1.0\r\n\r\n").split(b" ")[1] == b"403"
    assert raw(daemon.control, b"GET /healthz HTTP/1.0\r\n\r\n").split(b" ")[1] == b"200"


def test_allowed_hosts_reload(start_daemon):
    daemon = start_daemon("[control]\nallowed_hosts = first.example\n", control__http="127.0.0.1:0")
    address = daemon.address("http")

    def status(host):
        return raw_request(address, b"/healthz", host=host)[0]
    assert (status(b"first.example"), status(b"second.example")) == (200, 403)
    daemon.config.write_text("[control]\nallowed_hosts = second.example\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: status(b"second.example") == 200, daemon.log_text)
    assert status(b"first.example") == 403


# --- Parameters ------------------------------------------------------------------------------------------------------


def test_no_parameters_here(start_daemon):
    daemon = start_daemon()
    for path in STATE_PATHS:
        for name, value in [("fresh", "false"), ("x", ""), ("from", "now")]:
            response = daemon.get(path, [(name, value), ("to", "now")])
            assert (response.status, response.error["code"]) == (400, "bad_parameter")
            assert response.error["parameter"] == name
    assert daemon.post("/v1/flush?x=1").error["parameter"] == "x"


BAD_QUERIES = [
    (b"nope=1", "nope"), (b"nope", "nope"), (b"=1", None), (b"fresh=maybe", "fresh"), (b"fresh", "fresh"),
    (b"fresh=true&fresh=true", "fresh"), (b"fresh=%", "fresh"), (b"fresh=%4", "fresh"), (b"fresh=%zz", "fresh"),
    (b"fresh=true%00", "fresh"), (b"fresh=%ff", "fresh"), (b"fresh=%ed%a0%80", "fresh"), (b"fresh=\xff", "fresh"),
    (b"%ff=1", None), (b"a%00=1", None), (b"%66resh=maybe", "fresh"), (b"fresh=tr+ue", "fresh"),
]


def test_bad_parameters(start_daemon):
    daemon = start_daemon()
    for path in QUERY_PATHS:
        for query, parameter in BAD_QUERIES:
            status, body = raw_request(daemon.control, path.encode() + b"?" + query)
            error = control.loads(body)["error"]
            assert (status, error["code"], error.get("parameter")) == (400, "bad_parameter", parameter), (path, query)
            assert error["message"]


def test_parameters_are_decoded(start_daemon):
    daemon = start_daemon()
    send(daemon, message("a b&c=d%+é"), message("other"))
    escaped = b"a+b%26c%3Dd%25%2B%C3%A9"
    for target in (b"/v1/top?function=" + escaped, b"/v1/t%6Fp?&&%66unction=" + escaped.replace(b"+", b"%20") + b"&"):
        status, body = raw_request(daemon.control, target)
        assert status == 200, body
        assert [row["function"] for row in json.loads(body)["functions"]] == ["a b&c=d%+é"]


def test_too_many_parameters(start_daemon):
    daemon = start_daemon()
    response = daemon.get("/v1/top", [("function", "f")] * 257)
    assert (response.status, response.error["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize("target", [b"http://localhost/v1/status", b"*", b"v1/status", b"//v1/status"])
def test_strange_targets(web, target):
    for where in (web[0].control, web[1]):
        assert raw_request(where, target)[0] in (400, 404)


# --- What is fresh ---------------------------------------------------------------------------------------------------


def test_queries_include_what_was_sent_before(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    for n in range(20):
        send(daemon, message(f"f{n:02}"))
        assert names(daemon.get("/v1/functions")) == [f"f{i:02}" for i in range(n + 1)]


def test_fresh_false_reads_what_is_stored(start_daemon):
    daemon = start_daemon(store__flush_interval="1h", control__http="127.0.0.1:0")
    address = daemon.address("http")
    daemon.flush()  # the writer's cycle at the start is over
    send(daemon, message())
    daemon.wait_received(1)
    assert names(daemon.get("/v1/top", {"fresh": "false"})) == []
    assert names(control.request(address, "GET", "/v1/top")) == []
    assert daemon.status()["pending"] == 1
    assert names(control.request(address, "GET", "/v1/top", {"fresh": "true"})) == ["f"]
    assert daemon.status()["pending"] == 0
    send(daemon, message("g"))
    daemon.wait_received(2)
    assert names(daemon.get("/v1/top", {"fresh": "false"})) == ["f"]
    assert sorted(names(daemon.get("/v1/top", {"fresh": "true"}))) == ["f", "g"]


def test_flush(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, *[message(seconds=2)] * 7)
    response = daemon.post("/v1/flush")
    assert response.status == 200
    assert response.json == {"flushed": True, "committed": 7}
    with contextlib.closing(daemon.read_db()) as db:
        assert db.execute("SELECT function, ncalls FROM bucket_totals").fetchall() == [("f", 7)]
    assert daemon.post("/v1/flush").json == {"flushed": True, "committed": 7}


# --- Status, metrics, rejects ----------------------------------------------------------------------------------------


def test_status(start_daemon):
    daemon = start_daemon(control__http="127.0.0.1:0", aggregation__time_slice="250ms", aggregation__start_time="-1.5")
    send(daemon, message(), b"{", b"\xff", message("g"))
    status = daemon.wait_idle()
    assert status["pid"] == daemon.process.pid
    assert status["version"] and status["uptime"] >= 0 and status["started_at"] > T0
    assert (str(status["time_slice"]), str(status["start_time"])) == ("0.25", "-1.5")
    assert set(status["listeners"]) == {"udp", "tcp", "unix_stream", "unix_datagram", "control", "http"}
    assert status["listeners"]["control"] == str(daemon.control)
    assert (status["received"], status["accepted"], status["duplicates"], status["pending"]) == (4, 2, 0, 0)
    rejected = {code: n for code, n in status["rejected"].items() if n}
    assert rejected == {"bad_json": 1, "bad_utf8": 1}
    assert len(status["rejected"]) == 12
    assert (status["functions"], status["locations"], status["entries"], status["threads"]) == (2, 2, 2, 1)
    assert status["commits"] >= 1 and status["saturated"] == 0 and status["datagrams_dropped"] == 0
    assert status["store_error"] is None
    assert status["store"]["path"] == str(daemon.db) and status["store"]["bytes"] >= daemon.db.stat().st_size
    assert status["store"]["last_commit_at"] > T0


def test_metrics_agree_with_status(start_daemon):
    daemon = start_daemon()
    send(daemon, message(), message(), b"[", b"{}")
    status = daemon.wait_idle()
    response = daemon.get("/metrics")
    series, types = control.parse_metrics(response.body.decode())
    value = {name: n for (name, labels), n in series.items() if not labels}
    assert value["timesliced_messages_received_total"] == status["received"] == 4
    assert value["timesliced_messages_accepted_total"] == value["timesliced_messages_committed_total"] == 2
    assert value["timesliced_messages_pending"] == 0 and value["timesliced_store_up"] == 1
    assert value["timesliced_commits_total"] == value["timesliced_commit_duration_seconds_count"] >= 1
    assert value["timesliced_commit_duration_seconds_sum"] > 0
    assert value["timesliced_last_commit_timestamp_seconds"] > T0
    assert value["timesliced_store_size_bytes"] > 0
    rejected = {dict(labels)["code"]: n for (name, labels), n in series.items()
                if name == "timesliced_messages_rejected_total"}
    assert rejected == status["rejected"] and sum(rejected.values()) == 2
    assert series["timesliced_build_info", (("version", status["version"]),)] == 1
    listeners = {dict(labels)["listener"]: dict(labels)["address"] for name, labels in series
                 if name == "timesliced_listener_info"}
    assert listeners == status["listeners"]
    for name, kind in types.items():
        assert re.fullmatch("timesliced_[a-z_]+", name)
        assert (kind == "counter") == name.endswith("_total"), name


def test_rejects(start_daemon):
    daemon = start_daemon()
    send(daemon, b"{\"first\": 1", b"\xff\"\\\n" + b"x" * 300)
    daemon.wait_received(2)
    latest, first = daemon.rejects()
    assert (first["code"], first["text"]) == ("bad_json", "{\"first\": 1")
    assert latest["code"] in ("bad_json", "bad_utf8")
    assert latest["text"] == "\ufffd\"\\\n" + "x" * 252
    for reject in (latest, first):
        assert set(reject) == {"time", "peer", "code", "message", "text"}
        assert reject["time"] > T0 and reject["peer"] and reject["message"]


# --- A store that cannot commit --------------------------------------------------------------------------------------


def test_store_that_cannot_commit(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, message())
    daemon.flush()
    with locked(daemon):
        send(daemon, message("g"))
        daemon.wait_received(2)
        for path in QUERY_PATHS:
            response = daemon.get(path)
            assert (response.status, response.error["code"]) == (503, "store_unavailable"), path
            assert "fresh=false" in response.error["message"]
            assert response.headers["Retry-After"]
        assert daemon.post("/v1/flush").status == 503
        for path in QUERY_PATHS:
            assert daemon.get(path, {"fresh": "false"}).status == 200, path
        assert names(daemon.get("/v1/top", {"fresh": "false"})) == ["f"]
        wait_until(lambda: daemon.get("/healthz").status == 503, "healthz stays ok")
        sick = daemon.get("/healthz")
        status = daemon.status()
        assert sick.type == "text/plain" and sick.body.decode().strip() == status["store_error"] != ""
        assert status["pending"] == 1
        series, _ = control.parse_metrics(daemon.get("/metrics").body.decode())
        assert series["timesliced_store_up", ()] == 0
        assert series["timesliced_messages_pending", ()] == 1
    wait_until(lambda: daemon.get("/v1/top").status == 200, "never well again")
    assert sorted(names(daemon.get("/v1/top"))) == ["f", "g"]
    assert (daemon.get("/healthz").status, daemon.get("/healthz").body) == (200, b"ok\n")
    assert daemon.status()["store_error"] is None


def test_state_does_not_wait_for_the_store(start_daemon):
    """All of it is answered while a flush that was asked for before has no answer yet."""
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, message())
    daemon.wait_received(1)
    with locked(daemon), contextlib.closing(connect(daemon.control)) as waiting:
        waiting.sendall(b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        bodies = [daemon.get(path).body for path in STATE_PATHS]
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)
        assert all(bodies)
        waiting.setblocking(True)
        waiting.settimeout(TIMEOUT)
        assert read_all(waiting).split(b" ")[1] == b"503"


def test_clients_that_leave_while_they_wait(start_daemon):
    daemon = start_daemon(store__flush_interval="1h", control__http="127.0.0.1:0")
    address = daemon.address("http")
    daemon.flush()
    before = descriptors(daemon)
    with locked(daemon):
        send(daemon, message())
        daemon.wait_received(1)
        for n in range(100):
            with contextlib.closing(connect(address if n % 2 else daemon.control)) as sock:
                sock.sendall(b"GET /v1/top?fresh=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert daemon.get("/v1/top", {"fresh": "false"}).status == 200
    wait_until(lambda: daemon.get("/v1/top").status == 200, "never well again")
    # Four readers of three files each may have been opened.
    wait_until(lambda: descriptors(daemon) <= before + 12, lambda: f"{before} descriptors, now {descriptors(daemon)}")


def test_stop_answers_who_waits(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, message())
    daemon.wait_received(1)
    socks = [connect(daemon.control) for _ in range(8)]
    with locked(daemon):
        for sock in socks:
            sock.sendall(b"POST /v1/flush HTTP/1.1\r\nHost: x\r\n\r\n")
        socks.append(connect(daemon.control))
        socks[-1].sendall(b"GET /v1/sta")
        daemon.process.send_signal(signal.SIGTERM)
        responses = [read_all(sock) for sock in socks[:-1]]
    assert {response.split(b" ")[1] for response in responses} <= {b"200", b"503"}
    assert read_all(socks[-1]) == b""
    for sock in socks:
        sock.close()
    daemon.process.wait(TIMEOUT)
    daemon.checked = True  # whether the lock outlasted the last commit decides the exit code
    daemon.check_db()


# --- Connections -----------------------------------------------------------------------------------------------------


def test_keep_alive(web):
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


def test_pipelining(start_daemon):
    daemon = start_daemon()
    requests = b"".join([b"GET /v1/top HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n",
                         b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"] * 20)
    responses = raw(daemon.control, requests + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", responses)
    assert statuses == [b"200", b"404", b"200"] * 20 + [b"200"]
    assert responses.endswith(b"\r\n\r\nok\n")


def test_half_closed_client_is_answered(start_daemon):
    daemon = start_daemon()
    with contextlib.closing(connect(daemon.control)) as sock:
        sock.sendall(b"GET /v1/top HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).split(b" ")[1] == b"200"


@pytest.mark.parametrize("body, head, status", [
    (b"x" * 65536, b"Content-Length: 65536\r\n", 200),
    (b"", b"Content-Length: 65537\r\n", 413),
    (b"", b"Content-Length: 99999999999999999\r\n", 413),
    (b"4000\r\n" + b"x" * 0x4000 + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", 200),
    ((b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 5 + b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", 413),
])
def test_bodies(start_daemon, body, head, status):
    daemon = start_daemon()
    response = raw(daemon.control, b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n" + body)
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
def test_junk(web, junk):
    daemon, address = web
    for where in (daemon.control, address):
        with contextlib.closing(connect(where)) as sock:
            with contextlib.suppress(OSError):  # it may have been closed already
                sock.sendall(junk)
                sock.shutdown(socket.SHUT_WR)
            response = read_all(sock)
            assert b" 200 " not in response.split(b"\r\n")[0]
        assert control.request(where, "GET", "/healthz").body == b"ok\n"


def test_many_at_once(web):
    daemon, address = web
    send(daemon, message())
    daemon.flush()
    seen = []

    def ask(where):
        seen.append(control.request(where, "GET", "/v1/top", {"fresh": "true"}, timeout=60))
    threads = [threading.Thread(target=ask, args=(where,)) for where in (daemon.control, address) * 100]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 200
    # All 64 of one listener may wait for a slot while the other's come: they are told so.
    assert {response.status for response in seen} <= {200, 503}
    assert all(names(response) == ["f"] if response.status == 200 else response.error["code"] == "busy" for response in seen)
    assert sum(response.status == 200 for response in seen) >= 64
    assert daemon.get("/v1/top").status == 200


def test_aborted_clients(web):
    daemon, address = web
    daemon.flush()
    before = descriptors(daemon)
    pieces = [b"", b"GET /v1/t", b"GET /v1/top HTTP/1.1\r\nHo", b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\n\r\n",
              b"POST /v1/flush HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nab",
              b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30]
    for n in range(240):
        with contextlib.closing(connect(address if n % 2 else daemon.control)) as sock:
            sock.sendall(pieces[n // 2 % len(pieces)])
    for where in (daemon.control, address):
        assert control.request(where, "GET", "/healthz", timeout=60).body == b"ok\n"
    wait_until(lambda: descriptors(daemon) <= before + 12, lambda: f"{before} descriptors, now {descriptors(daemon)}")


def test_idle_connections_make_room(start_daemon):
    """More keep-alive connections than there is room for: the oldest idle ones are closed, nobody is refused."""
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


def test_dripping_requests_do_not_hold_their_places(start_daemon):
    """A byte now and then keeps no connection: all places are taken by such requests, and still one gets in."""
    daemon = start_daemon()
    socks = [connect(daemon.control) for _ in range(64)]
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
        assert all(read_all(sock) == b"" for sock in socks)
    finally:
        ended.set()
        thread.join()
        for sock in socks:
            sock.close()
