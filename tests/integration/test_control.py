"""The control interface: paths, methods, hosts, parameters, fresh queries, failing commits.

Connections are tested in test_control_connections.py, the content of responses in test_oracle.py.
"""
import contextlib
import json
import re
import signal

import pytest

from support import control, messages, senders
from support.daemon import TIMEOUT, wait_until

T0 = 1732272000
GET_PATHS = ["/v1/buckets", "/v1/top", "/v1/functions", "/v1/labels", "/v1/status", "/v1/rejects", "/metrics",
             "/healthz"]
QUERY_PATHS = GET_PATHS[:4]
STATE_PATHS = GET_PATHS[4:]


def message(name="f"):
    return messages.message(name=name, timestamp=T0)


def send(daemon, *texts):
    senders.unix_datagram(daemon, texts)


def names(response):
    return [row["function"] for row in response.json["functions"]]


# Paths, methods, hosts.


def test_every_path_responds_with_its_headers(web):
    daemon, address = web
    for endpoint in (daemon.control, address):
        for path in GET_PATHS:
            response = control.request(endpoint, "GET", path)
            assert response.status == 200, (endpoint, path, response)
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
def test_content_type_of_each_response(start_daemon, path, params, content_type):
    assert start_daemon().get(path, params).headers["Content-Type"] == content_type


def test_head_is_get_without_body(web):
    daemon, address = web
    for endpoint in (daemon.control, address):
        for path in ["/v1/top", "/healthz", "/nope", "/v1/labels?x=1"]:
            get, head = (control.request(endpoint, method, path) for method in ("GET", "HEAD"))
            assert head.body == b"" and get.body
            assert (head.status, head.headers["Content-Length"], head.headers["Content-Type"]) == \
                (get.status, str(len(get.body)), get.headers["Content-Type"])


def test_unknown_paths_are_not_found(web):
    daemon, address = web
    for endpoint in (daemon.control, address):
        for path in ["/", "/v1", "/v1/", "/v1/top/", "/v1//top", "/V1/top", "/healthz/", "/v1/flush/x", "/%2e/v1/top"]:
            response = control.request(endpoint, "GET", path)
            assert (response.status, response.error["code"]) == (404, "not_found"), path
            assert "parameter" not in response.error
    assert control.request(address, "GET", "/v1/flush").status == 404  # only on the control socket


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_other_methods_are_not_allowed(web, method):
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
    daemon.flush()  # waits for the writer's first cycle
    send(daemon, message())
    daemon.wait_received(1)
    assert daemon.get("/v1/flush").status == 405
    assert daemon.status()["pending"] == 1


def test_only_allowed_hosts_are_served(web):
    daemon, address = web
    for host in [b"127.0.0.1", b"127.0.0.1:8138", b"[::1]", b"[::1]:80", b"localhost", b"LOCALHOST:1",
                 b"stats.example", b"Stats.Example:80", b"other"]:
        assert control.raw_request(address, b"/healthz", host=host) == (200, b"ok\n"), host
    for host in [None, b"", b"evil.example", b"stats.example.evil", b"localhost.evil", b"127.0.0.1.evil", b"::1",
                 b"[::1", b"localhost:x", b"stats", b"stats.example, other", b"localhost\r\nHost: localhost",
                 b"evil\r\nHost: localhost", b"localhost\r\nHost: evil", b"127.0.0.1\0.evil.example",
                 b"localhost\0\0\0\0.evil", b"localhost\0.evil\nAccept: */*", b"localhost\0\0x",
                 b"localhost\r\n .evil"]:
        for path in (b"/healthz", b"/v1/status", b"/v1/top", b"/nope"):
            status, body = control.raw_request(address, path, host=host)
            assert (status, json.loads(body)["error"]["code"]) == (403, "forbidden_host"), (host, path)
    assert control.raw_request(daemon.control, b"/healthz", host=b"evil.example") == (200, b"ok\n")


def test_host_is_required_over_tcp_only(web):
    daemon, address = web
    assert control.send_raw(address, b"GET /healthz HTTP/1.0\r\n\r\n").split(b" ")[1] == b"403"
    assert control.send_raw(daemon.control, b"GET /healthz HTTP/1.0\r\n\r\n").split(b" ")[1] == b"200"


def test_reload_changes_allowed_hosts(start_daemon):
    daemon = start_daemon("[control]\nallowed_hosts = first.example\n", control__http="127.0.0.1:0")
    address = daemon.address("http")

    def status(host):
        return control.raw_request(address, b"/healthz", host=host)[0]
    assert (status(b"first.example"), status(b"second.example")) == (200, 403)
    daemon.config.write_text("[control]\nallowed_hosts = second.example\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: status(b"second.example") == 200, daemon.log_text)
    assert status(b"first.example") == 403


# Parameters.


def test_state_paths_accept_no_parameters(start_daemon):
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


def test_bad_parameters_are_rejected_by_name(start_daemon):
    daemon = start_daemon()
    for path in QUERY_PATHS:
        for query, parameter in BAD_QUERIES:
            status, body = control.raw_request(daemon.control, path.encode() + b"?" + query)
            error = control.loads(body)["error"]
            assert (status, error["code"], error.get("parameter")) == (400, "bad_parameter", parameter), (path, query)
            assert error["message"]


def test_parameters_are_decoded(start_daemon):
    daemon = start_daemon()
    send(daemon, message("a b&c=d%+é"), message("other"))
    escaped = b"a+b%26c%3Dd%25%2B%C3%A9"
    for target in (b"/v1/top?function=" + escaped, b"/v1/t%6Fp?&&%66unction=" + escaped.replace(b"+", b"%20") + b"&"):
        status, body = control.raw_request(daemon.control, target)
        assert status == 200, body
        assert [row["function"] for row in json.loads(body)["functions"]] == ["a b&c=d%+é"]


def test_too_many_parameters_are_rejected(start_daemon):
    daemon = start_daemon()
    response = daemon.get("/v1/top", [("function", "f")] * 257)
    assert (response.status, response.error["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize("target", [b"http://localhost/v1/status", b"*", b"v1/status", b"//v1/status",
                                    b"/healthz\0x", b"/healthz\0?x=y", b"/v1/status?\0format=csv"])
def test_invalid_targets_are_rejected(web, target):
    for endpoint in (web[0].control, web[1]):
        assert control.raw_request(endpoint, target)[0] in (400, 404)


# Fresh queries.


def test_queries_include_what_was_sent_before(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    for n in range(20):
        send(daemon, message(f"f{n:02}"))
        assert names(daemon.get("/v1/functions")) == [f"f{i:02}" for i in range(n + 1)]


def test_fresh_false_reads_committed_data(start_daemon):
    daemon = start_daemon(store__flush_interval="1h", control__http="127.0.0.1:0")
    address = daemon.address("http")
    daemon.flush()  # waits for the writer's first cycle
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


def test_flush_commits_and_counts_the_messages(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, *[message()] * 7)
    response = daemon.post("/v1/flush")
    assert response.status == 200
    assert response.json == {"flushed": True, "committed": 7}
    assert daemon.query_db("SELECT function, ncalls FROM bucket_totals") == [("f", 7)]
    assert daemon.post("/v1/flush").json == {"flushed": True, "committed": 7}


# Status, metrics, rejects.


def test_status_has_the_documented_members(start_daemon):
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


def test_metrics_equal_the_status(start_daemon):
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


def test_rejects_keep_code_and_text(start_daemon):
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


# A store that cannot commit.


def test_failing_commits_are_reported(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, message())
    daemon.flush()
    with daemon.locked_db():
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
        wait_until(lambda: daemon.get("/healthz").status == 503, "/healthz stays ok")
        health = daemon.get("/healthz")
        status = daemon.status()
        assert health.type == "text/plain" and health.body.decode().strip() == status["store_error"] != ""
        assert status["pending"] == 1
        series, _ = control.parse_metrics(daemon.get("/metrics").body.decode())
        assert series["timesliced_store_up", ()] == 0
        assert series["timesliced_messages_pending", ()] == 1
    wait_until(lambda: daemon.get("/v1/top").status == 200, "commits do not succeed again")
    assert sorted(names(daemon.get("/v1/top"))) == ["f", "g"]
    assert (daemon.get("/healthz").status, daemon.get("/healthz").body) == (200, b"ok\n")
    assert daemon.status()["store_error"] is None


def test_state_does_not_wait_for_the_store(start_daemon):
    """Status, rejects, metrics and health respond while an earlier flush is still waiting."""
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, message())
    daemon.wait_received(1)
    with daemon.locked_db(), contextlib.closing(control.connect(daemon.control)) as waiting:
        waiting.sendall(b"POST /v1/flush HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        bodies = [daemon.get(path).body for path in STATE_PATHS]
        waiting.setblocking(False)
        with pytest.raises(BlockingIOError):
            waiting.recv(1)
        assert all(bodies)
        waiting.setblocking(True)
        waiting.settimeout(TIMEOUT)
        assert control.read_all(waiting).split(b" ")[1] == b"503"


def test_clients_that_disconnect_while_waiting_are_removed(start_daemon):
    daemon = start_daemon(store__flush_interval="1h", control__http="127.0.0.1:0")
    address = daemon.address("http")
    daemon.flush()
    before = daemon.descriptors()
    with daemon.locked_db():
        send(daemon, message())
        daemon.wait_received(1)
        for n in range(100):
            with contextlib.closing(control.connect(address if n % 2 else daemon.control)) as sock:
                sock.sendall(b"GET /v1/top?fresh=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert daemon.get("/v1/top", {"fresh": "false"}).status == 200
    wait_until(lambda: daemon.get("/v1/top").status == 200, "commits do not succeed again")
    # Up to four readers with three files each may have been opened.
    wait_until(lambda: daemon.descriptors() <= before + 12, lambda: f"{before} descriptors, now {daemon.descriptors()}")


def test_stop_responds_to_waiting_requests(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    send(daemon, message())
    daemon.wait_received(1)
    socks = [control.connect(daemon.control) for _ in range(8)]
    with daemon.locked_db():
        for sock in socks:
            sock.sendall(b"POST /v1/flush HTTP/1.1\r\nHost: x\r\n\r\n")
        socks.append(control.connect(daemon.control))
        socks[-1].sendall(b"GET /v1/sta")
        daemon.process.send_signal(signal.SIGTERM)
        responses = [control.read_all(sock) for sock in socks[:-1]]
    assert {response.split(b" ")[1] for response in responses} <= {b"200", b"503"}
    assert control.read_all(socks[-1]) == b""
    for sock in socks:
        sock.close()
    daemon.process.wait(TIMEOUT)
    daemon.checked = True  # the exit code depends on whether the last commit had to wait for the lock
    daemon.check_db()
