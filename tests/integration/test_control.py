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
from support.daemon import PATIENCE, wait_until

T0 = 1732272000
GET_PATHS = ["/v1/buckets", "/v1/top", "/v1/functions", "/v1/labels", "/v1/status", "/v1/rejects", "/metrics",
             "/healthz"]
QUERY_PATHS = GET_PATHS[:4]
STATE_PATHS = GET_PATHS[4:]


def message(name="f", seconds=1, timestamp=T0):
    return json.dumps([timestamp, {"total_tt": seconds, "func_profiles": {
        name: {"ncalls": "1", "tottime": seconds, "cumtime": seconds}}}]).encode()


def send(daemon, *texts):
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as way:
        way.settimeout(PATIENCE)
        for text in texts:
            way.sendto(text, str(daemon.settings["ingest.unix_datagram"]))


def names(answer):
    return [row["function"] for row in answer.json["functions"]]


def connect(address):
    way = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
    way.settimeout(3 * PATIENCE)
    way.connect(address if isinstance(address, tuple) else str(address))
    return way


def read_all(way):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := way.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def raw(address, request):
    """Sends these bytes, gives all bytes up to the daemon's end."""
    with contextlib.closing(connect(address)) as way:
        way.sendall(request)
        return read_all(way)


def raw_request(address, target, method=b"GET", host=b"localhost", more=b""):
    host_line = b"" if host is None else b"Host: " + host + b"\r\n"
    answer = raw(address, method + b" " + target + b" HTTP/1.1\r\n" + host_line + b"Connection: close\r\n" + more +
                 b"\r\n")
    head, body = answer.split(b"\r\n\r\n", 1)
    return int(head.split(b" ")[1]), body


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.process.pid}/fd"))


@pytest.fixture
def web(daemon):
    """A daemon that also listens on TCP, and the address."""
    one = daemon(control__http="127.0.0.1:0", control__allowed_hosts="stats.example, other")
    return one, one.address("http")


@contextlib.contextmanager
def locked(daemon):
    """An operator's shell holds the write lock: nothing can be committed."""
    db = sqlite3.connect(daemon.db, timeout=PATIENCE, isolation_level=None)
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
            answer = control.request(where, "GET", path)
            assert answer.status == 200, (where, path, answer)
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert int(answer.headers["Content-Length"]) == len(answer.body)
            assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("path, params, content_type", [
    ("/v1/buckets", {}, "application/json"), ("/v1/top", {"format": "csv"}, "text/csv; charset=utf-8"),
    ("/v1/buckets", {"format": "csv"}, "text/csv; charset=utf-8"), ("/v1/status", {}, "application/json"),
    ("/v1/rejects", {}, "application/json"), ("/nope", {}, "application/json"),
    ("/v1/top", {"nope": "1"}, "application/json"), ("/healthz", {}, "text/plain; charset=utf-8"),
    ("/metrics", {}, "text/plain; version=0.0.4; charset=utf-8"),
])
def test_content_types(daemon, path, params, content_type):
    assert daemon().get(path, params).headers["Content-Type"] == content_type


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
            answer = control.request(where, "GET", path)
            assert (answer.status, answer.error["code"]) == (404, "not_found"), path
            assert "parameter" not in answer.error
    assert control.request(address, "GET", "/v1/flush").status == 404  # is not served there


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_other_methods(web, method):
    daemon, address = web
    for path in GET_PATHS:
        answer = control.request(daemon.control, method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD"), path
        assert answer.error["code"] == "method_not_allowed"
    for path in [*GET_PATHS, "/v1/flush", "/nope"]:
        answer = control.request(address, method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD"), path
    if method != "POST":
        answer = control.request(daemon.control, method, "/v1/flush")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")


def test_flush_by_get_flushes_nothing(daemon):
    one = daemon(store__flush_interval="1h")
    one.flush()  # the writer's cycle at the start is over
    send(one, message())
    one.wait_received(1)
    assert one.get("/v1/flush").status == 405
    assert one.status()["pending"] == 1


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


def test_allowed_hosts_reload(daemon):
    one = daemon("[control]\nallowed_hosts = first.example\n", control__http="127.0.0.1:0")
    address = one.address("http")

    def status(host):
        return raw_request(address, b"/healthz", host=host)[0]
    assert (status(b"first.example"), status(b"second.example")) == (200, 403)
    one.config.write_text("[control]\nallowed_hosts = second.example\n")
    one.process.send_signal(signal.SIGHUP)
    wait_until(lambda: status(b"second.example") == 200, one.log_text)
    assert status(b"first.example") == 403


# --- Parameters ------------------------------------------------------------------------------------------------------


def test_no_parameters_here(daemon):
    one = daemon()
    for path in STATE_PATHS:
        for name, value in [("fresh", "false"), ("x", ""), ("from", "now")]:
            answer = one.get(path, [(name, value), ("to", "now")])
            assert (answer.status, answer.error["code"]) == (400, "bad_parameter")
            assert answer.error["parameter"] == name
    assert one.post("/v1/flush?x=1").error["parameter"] == "x"


BAD_QUERIES = [
    (b"nope=1", "nope"), (b"nope", "nope"), (b"=1", None), (b"fresh=maybe", "fresh"), (b"fresh", "fresh"),
    (b"fresh=true&fresh=true", "fresh"), (b"fresh=%", "fresh"), (b"fresh=%4", "fresh"), (b"fresh=%zz", "fresh"),
    (b"fresh=true%00", "fresh"), (b"fresh=%ff", "fresh"), (b"fresh=%ed%a0%80", "fresh"), (b"fresh=\xff", "fresh"),
    (b"%ff=1", None), (b"a%00=1", None), (b"%66resh=maybe", "fresh"), (b"fresh=tr+ue", "fresh"),
]


def test_bad_parameters(daemon):
    one = daemon()
    for path in QUERY_PATHS:
        for query, parameter in BAD_QUERIES:
            status, body = raw_request(one.control, path.encode() + b"?" + query)
            error = control.loads(body)["error"]
            assert (status, error["code"], error.get("parameter")) == (400, "bad_parameter", parameter), (path, query)
            assert error["message"]


def test_parameters_are_decoded(daemon):
    one = daemon()
    send(one, message("a b&c=d%+é"), message("other"))
    escaped = b"a+b%26c%3Dd%25%2B%C3%A9"
    for target in (b"/v1/top?function=" + escaped, b"/v1/t%6Fp?&&%66unction=" + escaped.replace(b"+", b"%20") + b"&"):
        status, body = raw_request(one.control, target)
        assert status == 200, body
        assert [row["function"] for row in json.loads(body)["functions"]] == ["a b&c=d%+é"]


def test_too_many_parameters(daemon):
    one = daemon()
    answer = one.get("/v1/top", [("function", "f")] * 257)
    assert (answer.status, answer.error["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize("target", [b"http://localhost/v1/status", b"*", b"v1/status", b"//v1/status"])
def test_strange_targets(web, target):
    for where in (web[0].control, web[1]):
        assert raw_request(where, target)[0] in (400, 404)


# --- What is fresh ---------------------------------------------------------------------------------------------------


def test_queries_include_what_was_sent_before(daemon):
    one = daemon(store__flush_interval="1h")
    for n in range(20):
        send(one, message(f"f{n:02}"))
        assert names(one.get("/v1/functions")) == [f"f{i:02}" for i in range(n + 1)]


def test_fresh_false_reads_what_is_stored(daemon):
    one = daemon(store__flush_interval="1h", control__http="127.0.0.1:0")
    address = one.address("http")
    one.flush()  # the writer's cycle at the start is over
    send(one, message())
    one.wait_received(1)
    assert names(one.get("/v1/top", {"fresh": "false"})) == []
    assert names(control.request(address, "GET", "/v1/top")) == []
    assert one.status()["pending"] == 1
    assert names(control.request(address, "GET", "/v1/top", {"fresh": "true"})) == ["f"]
    assert one.status()["pending"] == 0
    send(one, message("g"))
    one.wait_received(2)
    assert names(one.get("/v1/top", {"fresh": "false"})) == ["f"]
    assert sorted(names(one.get("/v1/top", {"fresh": "true"}))) == ["f", "g"]


def test_flush(daemon):
    one = daemon(store__flush_interval="1h")
    send(one, *[message(seconds=2)] * 7)
    answer = one.post("/v1/flush")
    assert answer.status == 200
    assert answer.json == {"flushed": True, "committed": 7}
    with contextlib.closing(one.read_db()) as db:
        assert db.execute("SELECT function, ncalls FROM bucket_totals").fetchall() == [("f", 7)]
    assert one.post("/v1/flush").json == {"flushed": True, "committed": 7}


# --- Status, metrics, rejects ----------------------------------------------------------------------------------------


def test_status(daemon):
    one = daemon(control__http="127.0.0.1:0", aggregation__time_slice="250ms", aggregation__start_time="-1.5")
    send(one, message(), b"{", b"\xff", message("g"))
    status = one.idle()
    assert status["pid"] == one.process.pid
    assert status["version"] and status["uptime"] >= 0 and status["started_at"] > T0
    assert (str(status["time_slice"]), str(status["start_time"])) == ("0.25", "-1.5")
    assert set(status["listeners"]) == {"udp", "tcp", "unix_stream", "unix_datagram", "control", "http"}
    assert status["listeners"]["control"] == str(one.control)
    assert (status["received"], status["accepted"], status["duplicates"], status["pending"]) == (4, 2, 0, 0)
    rejected = {code: n for code, n in status["rejected"].items() if n}
    assert rejected == {"bad_json": 1, "bad_utf8": 1}
    assert len(status["rejected"]) == 12
    assert (status["functions"], status["locations"], status["entries"], status["threads"]) == (2, 2, 2, 1)
    assert status["commits"] >= 1 and status["saturated"] == 0 and status["datagrams_dropped"] == 0
    assert status["store_error"] is None
    assert status["store"]["path"] == str(one.db) and status["store"]["bytes"] >= one.db.stat().st_size
    assert status["store"]["last_commit_at"] > T0


def test_metrics_agree_with_status(daemon):
    one = daemon()
    send(one, message(), message(), b"[", b"{}")
    status = one.idle()
    answer = one.get("/metrics")
    series, types = control.parse_metrics(answer.body.decode())
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


def test_rejects(daemon):
    one = daemon()
    send(one, b"{\"first\": 1", b"\xff\"\\\n" + b"x" * 300)
    one.wait_received(2)
    latest, first = one.rejects()
    assert (first["code"], first["text"]) == ("bad_json", "{\"first\": 1")
    assert latest["code"] in ("bad_json", "bad_utf8")
    assert latest["text"] == "\ufffd\"\\\n" + "x" * 252
    for reject in (latest, first):
        assert set(reject) == {"time", "peer", "code", "message", "text"}
        assert reject["time"] > T0 and reject["peer"] and reject["message"]


# --- A store that cannot commit --------------------------------------------------------------------------------------


def test_store_that_cannot_commit(daemon):
    one = daemon(store__flush_interval="1h")
    send(one, message())
    one.flush()
    with locked(one):
        send(one, message("g"))
        one.wait_received(2)
        for path in QUERY_PATHS:
            answer = one.get(path)
            assert (answer.status, answer.error["code"]) == (503, "store_unavailable"), path
            assert "fresh=false" in answer.error["message"]
            assert answer.headers["Retry-After"]
        assert one.post("/v1/flush").status == 503
        for path in QUERY_PATHS:
            assert one.get(path, {"fresh": "false"}).status == 200, path
        assert names(one.get("/v1/top", {"fresh": "false"})) == ["f"]
        wait_until(lambda: one.get("/healthz").status == 503, "healthz stays ok")
        sick = one.get("/healthz")
        status = one.status()
        assert sick.type == "text/plain" and sick.body.decode().strip() == status["store_error"] != ""
        assert status["pending"] == 1
        series, _ = control.parse_metrics(one.get("/metrics").body.decode())
        assert series["timesliced_store_up", ()] == 0
        assert series["timesliced_messages_pending", ()] == 1
    wait_until(lambda: one.get("/v1/top").status == 200, "never well again")
    assert sorted(names(one.get("/v1/top"))) == ["f", "g"]
    assert (one.get("/healthz").status, one.get("/healthz").body) == (200, b"ok\n")
    assert one.status()["store_error"] is None


def test_state_does_not_wait_for_the_store(daemon):
    """All of it is answered while a flush that was asked for before has no answer yet."""
    one = daemon(store__flush_interval="1h")
    send(one, message())
    one.wait_received(1)
    with locked(one), contextlib.closing(connect(one.control)) as waiting:
        waiting.sendall(b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        bodies = [one.get(path).body for path in STATE_PATHS]
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)
        assert all(bodies)
        waiting.setblocking(True)
        waiting.settimeout(PATIENCE)
        assert read_all(waiting).split(b" ")[1] == b"503"


def test_clients_that_leave_while_they_wait(daemon):
    one = daemon(store__flush_interval="1h", control__http="127.0.0.1:0")
    address = one.address("http")
    one.flush()
    before = descriptors(one)
    with locked(one):
        send(one, message())
        one.wait_received(1)
        for n in range(100):
            with contextlib.closing(connect(address if n % 2 else one.control)) as way:
                way.sendall(b"GET /v1/top?fresh=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert one.get("/v1/top", {"fresh": "false"}).status == 200
    wait_until(lambda: one.get("/v1/top").status == 200, "never well again")
    # Four readers of three files each may have been opened.
    wait_until(lambda: descriptors(one) <= before + 12, lambda: f"{before} descriptors, now {descriptors(one)}")


def test_stop_answers_who_waits(daemon):
    one = daemon(store__flush_interval="1h")
    send(one, message())
    one.wait_received(1)
    ways = [connect(one.control) for _ in range(8)]
    with locked(one):
        for way in ways:
            way.sendall(b"POST /v1/flush HTTP/1.1\r\nHost: x\r\n\r\n")
        ways.append(connect(one.control))
        ways[-1].sendall(b"GET /v1/sta")
        one.process.send_signal(signal.SIGTERM)
        answers = [read_all(way) for way in ways[:-1]]
    assert {answer.split(b" ")[1] for answer in answers} <= {b"200", b"503"}
    assert read_all(ways[-1]) == b""
    for way in ways:
        way.close()
    one.process.wait(PATIENCE)
    one.checked = True  # whether the lock outlasted the last commit decides the exit code
    one.check_db()


# --- Connections -----------------------------------------------------------------------------------------------------


def test_keep_alive(web):
    daemon, address = web
    ways = [control.UnixConnection(str(daemon.control)), http.client.HTTPConnection(*address, timeout=30)]
    for way in ways:
        sockets = set()
        for _ in range(50):
            for path in ("/v1/top", "/healthz", "/nope"):
                way.request("GET", path)
                sockets.add(way.sock)
                answer = way.getresponse()
                assert answer.read() and answer.status in (200, 404)
        assert len(sockets) == 1
        way.close()


def test_pipelining(daemon):
    one = daemon()
    requests = b"".join([b"GET /v1/top HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /nope HTTP/1.1\r\nHost: x\r\n\r\n",
                         b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"] * 20)
    answers = raw(one.control, requests + b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert statuses == [b"200", b"404", b"200"] * 20 + [b"200"]
    assert answers.endswith(b"\r\n\r\nok\n")


def test_half_closed_client_is_answered(daemon):
    one = daemon()
    with contextlib.closing(connect(one.control)) as way:
        way.sendall(b"GET /v1/top HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        way.shutdown(socket.SHUT_WR)
        assert read_all(way).split(b" ")[1] == b"200"


@pytest.mark.parametrize("body, head, status", [
    (b"x" * 65536, b"Content-Length: 65536\r\n", 200),
    (b"", b"Content-Length: 65537\r\n", 413),
    (b"", b"Content-Length: 99999999999999999\r\n", 413),
    (b"4000\r\n" + b"x" * 0x4000 + b"\r\n0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", 200),
    ((b"4000\r\n" + b"x" * 0x4000 + b"\r\n") * 5 + b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", 413),
])
def test_bodies(daemon, body, head, status):
    one = daemon()
    answer = raw(one.control, b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n" + body)
    assert int(answer.split(b" ")[1]) == status
    if status == 413:
        assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] == "too_large"


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
        with contextlib.closing(connect(where)) as way:
            with contextlib.suppress(OSError):  # it may have been closed already
                way.sendall(junk)
                way.shutdown(socket.SHUT_WR)
            answer = read_all(way)
            assert b" 200 " not in answer.split(b"\r\n")[0]
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
    assert {answer.status for answer in seen} <= {200, 503}
    assert all(names(answer) == ["f"] if answer.status == 200 else answer.error["code"] == "busy" for answer in seen)
    assert sum(answer.status == 200 for answer in seen) >= 64
    assert daemon.get("/v1/top").status == 200


def test_aborted_clients(web):
    daemon, address = web
    daemon.flush()
    before = descriptors(daemon)
    pieces = [b"", b"GET /v1/t", b"GET /v1/top HTTP/1.1\r\nHo", b"GET /v1/top HTTP/1.1\r\nHost: localhost\r\n\r\n",
              b"POST /v1/flush HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nab",
              b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 30]
    for n in range(240):
        with contextlib.closing(connect(address if n % 2 else daemon.control)) as way:
            way.sendall(pieces[n // 2 % len(pieces)])
    for where in (daemon.control, address):
        assert control.request(where, "GET", "/healthz", timeout=60).body == b"ok\n"
    wait_until(lambda: descriptors(daemon) <= before + 12, lambda: f"{before} descriptors, now {descriptors(daemon)}")


def test_idle_connections_make_room(daemon):
    """More keep-alive connections than there is room for: the oldest idle ones are closed, nobody is refused."""
    one = daemon()
    ways = [control.UnixConnection(str(one.control)) for _ in range(100)]
    for way in ways:
        way.request("GET", "/healthz")
        assert way.getresponse().read() == b"ok\n"
    assert one.get("/healthz").status == 200
    for way in ways[:30]:
        assert way.sock.recv(1) == b""
    for way in ways:
        way.close()


def test_dripping_requests_do_not_hold_their_places(daemon):
    """A byte now and then keeps no connection: all places are taken by such requests, and still one gets in."""
    one = daemon()
    ways = [connect(one.control) for _ in range(64)]
    for way in ways:
        way.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
    ended = threading.Event()

    def drip():
        while not ended.wait(0.2):
            for way in ways:
                with contextlib.suppress(OSError):
                    way.send(b"y")
    thread = threading.Thread(target=drip)
    thread.start()
    try:
        assert one.get("/healthz", timeout=60).body == b"ok\n"
        assert all(read_all(way) == b"" for way in ways)
    finally:
        ended.set()
        thread.join()
        for way in ways:
            way.close()
