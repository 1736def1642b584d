"""Acknowledged streams: hello, acks after the commit, duplicates, gaps, rejects, reconnects, bye.

Every sequence number counts exactly once.
"""
import json
import signal
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.acknowledged import TIMESTAMP, Client, line, profile
from support.daemon import wait_until

STREAMS = ["tcp", "unix"]


def calls(daemon, name="f"):
    return daemon.calls(function=name).get(name, 0)


@pytest.mark.parametrize("kind", STREAMS)
def test_ack_is_sent_after_the_commit(start_daemon, kind):
    daemon = start_daemon(store__flush_interval="1h")
    with Client(daemon, "a-1", kind) as client:
        assert client.hello() == 0
        for seq in range(1, 6):
            client.send(line(seq)).acked(seq)
            # Without a query or a flush, sums and sequence number are committed.
            assert daemon.query_db("SELECT sum(ncalls) FROM sums WHERE level = 0") == [(seq,)]
            assert daemon.query_db("SELECT client, last_seq FROM clients") == [("a-1", seq)]
    status = daemon.wait_idle()
    assert (status["received"], status["accepted"], status["duplicates"]) == (5, 5, 0)


def test_many_messages_share_a_commit(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        before = daemon.status()["commits"]
        started = time.monotonic()
        for seq in range(1, 2001):
            client.send(line(seq))
        client.acked(2000)
        assert daemon.status()["commits"] - before <= 3 + (time.monotonic() - started) / 0.05
    assert calls(daemon) == 2000


def test_messages_pipelined_after_the_hello_are_accepted(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a", pipelined=line(1) + line(2) + line(3)[:20]) as client:
        assert client.hello() == 0
        client.acked(2).send(line(3)[20:]).acked(3)
    assert calls(daemon) == 3


def test_duplicates_are_acknowledged_but_not_counted(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1) + line(2)).acked(2)
        client.send(line(1)).acked(2)  # already stored, so acknowledged at once
        client.send(line(2) + line(3) + line(3) + line(1)).acked(3)
    status = daemon.wait_idle()
    assert (status["received"], status["accepted"], status["duplicates"]) == (7, 3, 4)
    assert calls(daemon) == 3


def test_content_of_a_duplicate_is_not_checked(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1)).acked(1)
        client.send(b'{"seq": 1, "timestamp": null}\n').acked(1)
    status = daemon.wait_idle()
    assert (status["duplicates"], sum(status["rejected"].values())) == (1, 0)


def test_rejected_line_uses_its_number(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1) + b'{"seq": 2, "timestamp": "x", "profile": {"func_profiles": {}}}\n'
                    + b"{not json\n" + b"\xff\n" + line(5))
        rejects = client.until_acked(5)
        assert [(reject["seq"], reject["code"]) for reject in rejects] == [
            (2, "bad_shape"), (3, "bad_json"), (4, "bad_utf8")]
        assert all(len(reject["message"]) > 10 for reject in rejects)
    assert calls(daemon) == 2
    with Client(daemon, "a") as client:
        assert client.hello() == 5
    status = daemon.wait_idle()
    assert (status["received"], status["accepted"]) == (5, 2)


@pytest.mark.parametrize("text", [
    json.dumps([TIMESTAMP, profile()["profile"]]), json.dumps(profile()), json.dumps(profile(seq="7")),
    json.dumps(profile(seq=0)), json.dumps(profile(seq=-3)), json.dumps(profile(seq=1.5))])
def test_message_without_seq_gets_the_next_number(start_daemon, text):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1) + text.encode() + b"\n" + line(3)).acked(3)
    assert calls(daemon) == 3


def test_unreadable_line_counts_as_the_number_after_the_previous_line(start_daemon):
    """After a duplicate of 2 an unreadable line counts as number 3, which is a duplicate too."""
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1) + line(2) + line(3)).acked(3)
        client.send(line(2) + b"{\n" + b"{\n")
        assert [reject["seq"] for reject in client.until_acked(4)] == [4]
    assert daemon.wait_idle()["duplicates"] == 2


@pytest.mark.parametrize("seq", [3, 2**63 - 1, 2**63, 2**64, 10**30])
def test_gap_closes_the_stream(start_daemon, seq):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1)).acked(1)
        client.send(line(seq) + line(4))
        *_, last = client.rest()
        assert (last["reject"]["code"], last["reject"]["expected"]) == ("sequence", 2)
    with Client(daemon, "a") as client:
        assert client.hello() == 1
        client.send(line(2)).acked(2)
    status = daemon.wait_idle()
    assert (status["received"], status["rejected"]["sequence"]) == (2, 1)
    assert [reject["code"] for reject in daemon.rejects()] == ["sequence"]


def test_labels_of_the_hello_apply_to_messages_without_labels(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a", labels={"service": "web", "_x": "ü"}) as client:
        client.hello()
        client.send(line(1) + line(2, labels={"own": "1"}) + line(3)).acked(3)
    rows = daemon.get_json("/v1/labels")["labels"]
    labels = {json.dumps(row["labels"], sort_keys=True): row["profiles"] for row in rows}
    assert labels == {'{"_x": "\\u00fc", "service": "web"}': 2, '{"own": "1"}': 1}


@pytest.mark.parametrize("hello, code", [
    ({}, "bad_shape"), ({"client": ""}, "bad_shape"), ({"client": "a_b"}, "bad_shape"),
    ({"client": "x" * 65}, "bad_shape"), ({"client": 7}, "bad_shape"),
    ({"client": "a", "labels": {"1": "x"}}, "bad_labels"), ({"client": "a", "labels": []}, "bad_labels"),
    ("a", "bad_shape"), (None, "bad_shape")])
def test_invalid_hello_is_rejected(start_daemon, hello, code):
    daemon = start_daemon()
    with socket.create_connection(daemon.address("tcp"), timeout=15) as sock:
        sock.sendall(json.dumps({"hello": hello}).encode() + b"\n")
        responses = sock.makefile("rb").read().splitlines()
    assert len(responses) == 1
    error = json.loads(responses[0])["error"]
    assert error["code"] == code and len(error["message"]) > 10
    assert daemon.wait_idle()["received"] == 0


def test_second_hello_closes_the_stream(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1) + b'{"hello": {"client": "a"}}\n')
        assert [response["error"]["code"] for response in client.rest() if "error" in response] == ["bad_shape"]
    assert daemon.wait_idle()["received"] == 1


def test_half_closed_stream_receives_all_acks(start_daemon):
    daemon = start_daemon(store__ack_interval="200ms")
    with Client(daemon, "a") as client:
        client.hello()
        client.send(b"".join(map(line, range(1, 50))) + line(50).rstrip())
        client.socket.shutdown(socket.SHUT_WR)
        assert client.rest()[-1] == {"ack": 50}
    assert calls(daemon) == 50


def test_too_large(start_daemon):
    daemon = start_daemon(ingest__max_message="64K")
    with socket.create_connection(daemon.address("tcp"), timeout=15) as sock:
        sock.sendall(b'{"hello": {"client": "a"}}\n' + line(1) + b"x" * 70_000 + b"\n" + line(3))
        responses = [json.loads(text) for text in sock.makefile("rb").read().splitlines()]
    rejects = [response["reject"] for response in responses if "reject" in response]
    assert [(reject["seq"], reject["code"]) for reject in rejects] == [(2, "too_large")]
    assert responses[-1] == {"ack": 2}
    assert daemon.query_db("SELECT last_seq FROM clients") == [(2,)]
    status = daemon.wait_idle()
    assert (status["received"], status["accepted"]) == (2, 1)


def test_bye_removes_the_client(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1) + line(2) + b' {"bye" : true} \n' + line(3))
        assert client.rest()[-1] == {"ack": 2}
    with Client(daemon, "a") as client:
        assert client.hello() == 0
        client.send(line(1)).acked(1)
    assert daemon.query_db("SELECT last_seq FROM clients") == [(1,)]
    assert calls(daemon) == 3


@pytest.mark.parametrize("text", [b'{"bye": false}', b'{"bye": 1}', b'{"bye": true, "x": 1}', b'["bye"]'])
def test_malformed_bye_is_rejected(start_daemon, text):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(text + b"\n" + line(2))
        assert [reject["seq"] for reject in client.until_acked(2)] == [1]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("rounds", [40])
def test_new_connection_replaces_the_old(start_daemon, threads, rounds):
    """On the same thread or another, while messages of the old connection are uncommitted: each number counts once."""
    daemon = start_daemon(ingest__threads=threads)
    acked, old = 0, []
    for n in range(rounds):
        client = Client(daemon, "a")
        last = client.hello()
        assert last >= acked
        acked = last
        client.send(b"".join(line(last + k, f"m{last + k}") for k in range(1, 1 + n % 4)))
        if n % 3 == 0:
            if n % 4:
                client.acked(last + n % 4)
            acked = last + n % 4
        old.append(client)
    with Client(daemon, "a") as client:
        last = client.hello()
    for client in old[:-1]:
        client.rest()  # returns at the end of the stream
        client.close()
    old[-1].close()
    daemon.wait_idle()
    assert daemon.query_db("SELECT count(*), sum(ncalls), max(ncalls) FROM sums WHERE level = 0") == [(last, last, 1)]


def test_concurrent_hellos_of_a_client_leave_one_connection(start_daemon):
    """Exactly one connection stays open; the others are closed before or after the response to their hello."""
    daemon = start_daemon(ingest__threads=2)
    with Client(daemon, "a") as first:
        first.hello()
        first.send(line(1)).acked(1)
        connections = [Client(daemon, "a", pipelined=line(2, "m2")) for _ in range(30)]
        for client in connections:
            client.socket.setblocking(False)

        def is_open(client):
            try:
                while client.socket.recv(4096):
                    pass
            except BlockingIOError:
                return True
            except ConnectionResetError:
                pass
            return False
        wait_until(lambda: sum(map(is_open, connections)) == 1)
    for client in connections:
        client.close()
    daemon.wait_idle()
    assert daemon.query_db("SELECT max(ncalls) FROM sums WHERE level = 0") == [(1,)]
    assert daemon.query_db("SELECT last_seq FROM clients") == [(2,)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_client_resumes_after_restart(start_daemon, how):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(b"".join(line(seq, f"m{seq}") for seq in range(1, 51))).acked(50)
        client.send(b"".join(line(seq, f"m{seq}") for seq in range(51, 101)))
        if how == signal.SIGTERM:
            client.acked(100)
    if how == signal.SIGKILL:
        daemon.kill()
        daemon.start()
    else:
        daemon.restart()
    with Client(daemon, "a") as client:
        last = client.hello()
        assert 50 <= last <= 100
        client.send(b"".join(line(seq, f"m{seq}") for seq in range(40, 121))).acked(120)
    daemon.wait_idle()
    assert daemon.query_db("SELECT count(*), max(ncalls) FROM sums WHERE level = 0") == [(120, 1)]


def test_no_ack_while_commits_fail(start_daemon):
    """While another connection holds the write lock nothing is acknowledged; afterwards everything is, once."""
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1)).acked(1)
        with daemon.locked_db():
            client.send(line(2) + line(3))
            client.socket.settimeout(1)
            with pytest.raises(TimeoutError):
                client.socket.recv(100)
        client.socket.settimeout(15)
        data = b""
        while b'{"ack": 3}' not in data:
            data += client.socket.recv(100)
    assert calls(daemon) == 3


def test_idle_clients_are_forgotten(start_daemon):
    daemon = start_daemon(store__client_expiry="1s")
    with Client(daemon, "connected") as connected:
        connected.hello()
        connected.send(line(1)).acked(1)
        with Client(daemon, "idle") as idle:
            idle.hello()
            idle.send(line(1)).acked(1)
        wait_until(lambda: daemon.query_db("SELECT client FROM clients") == [("connected",)])
    with Client(daemon, "idle") as idle:
        assert idle.hello() == 0
    assert calls(daemon) == 2


def test_expiry_counts_uptime_over_restarts(start_daemon):
    daemon = start_daemon()
    with Client(daemon, "a") as client:
        client.hello()
        client.send(line(1)).acked(1)
    daemon.flush()
    daemon.restart()
    (before,), = daemon.query_db("SELECT uptime FROM uptime")
    assert before > 0
    with Client(daemon, "a") as client:
        assert client.hello() == 1
        client.send(line(2)).acked(2)
    (after,), = daemon.query_db("SELECT uptime FROM uptime")
    assert before < after < before + 60e9


def test_too_many_clients(start_daemon):
    daemon = start_daemon()
    assert daemon.stop() == 0
    connection = sqlite3.connect(daemon.db)
    connection.executemany("INSERT INTO clients VALUES(?, 1, 0)", ((f"c{n}",) for n in range(100_000)))
    connection.commit()
    connection.close()
    daemon.start()
    with Client(daemon, "new") as client:
        responses = client.rest()
        assert [response["error"]["code"] for response in responses] == ["too_many_clients"]
    with Client(daemon, "c7") as client:
        assert client.hello() == 1
    with Client(daemon, "c7", pipelined=b'{"bye": true}\n') as client:
        client.rest()
    wait_until(lambda: daemon.status()["clients"] == 99_999)
    with Client(daemon, "new") as client:
        assert client.hello() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_clients_that_break_off_count_once(start_daemon, threads):
    """Clients send, break off at any point, and resume from last_seq: every number counts exactly once."""
    daemon = start_daemon(ingest__threads=threads)

    def run(name):
        acked, n = 0, 0
        while acked < 300:
            n += 1
            with Client(daemon, name) as client:
                last = client.hello()
                assert last >= acked
                client.send(b"".join(line(seq, f"{name}.{seq}") for seq in range(last + 1, 301)))
                if n % 3:
                    response = client.read()
                    acked = response["ack"] if response else acked
                else:
                    client.acked(300)
                    acked = 300
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(run, [f"c{n}" for n in range(6)]))  # raises what run() raises
    daemon.wait_idle()
    assert daemon.query_db("SELECT count(*), max(ncalls), min(ncalls) FROM sums WHERE level = 0") == [(1800, 1, 1)]
