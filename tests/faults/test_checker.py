"""The checker and the strict client detect each kind of violation."""
import json
import socket
import sqlite3
import threading

import pytest

import acked
import checker


def database(path, messages):
    """messages: (client, seq, calls, milliseconds)."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bucket_totals(bucket, width, function, cumtime, tottime, ncalls, pcalls)")
    for client, seq, calls, milliseconds in messages:
        profile = checker.profile(client, seq)
        name, = profile["profile"]["func_profiles"]
        connection.execute("INSERT INTO bucket_totals VALUES(?, ?, ?, ?, ?, ?, ?)",
                           [profile["timestamp"], checker.WIDTH, name, milliseconds / 1000, milliseconds / 1000, calls,
                            calls])
    connection.commit()
    connection.close()
    return path


GOOD = [(1, seq, 1, seq) for seq in (1, 2, 999, 1000, 1001)]


@pytest.mark.parametrize("change, part", [
    (lambda rows: rows, None),
    (lambda rows: rows[1:], "lost"),
    (lambda rows: rows[:-1] + [(1, 1001, 2, 2002)], "2 times"),
    (lambda rows: rows[:-1] + [(1, 1001, 1, 1002)], "altered"),
    (lambda rows: rows + [(1, 1003, 1, 1003)], "never sent"),
    (lambda rows: rows + [(1, 7, 1, 7)], "stored though invalid"),
    (lambda rows: rows + [(2, 1, 1, 1)], "never sent"),
])
def test_verify_detects_violations(tmp_path, change, part):
    sent = checker.Sent(1)
    sent.last, sent.confirmed = 1002, 1001
    sent.bad = set(range(1, 1002)) - {seq for _, seq, _, _ in GOOD}
    problems = checker.verify(database(tmp_path / "t.db", change(GOOD)), [sent])
    if part:
        assert any(part in problem for problem in problems), problems
    else:
        assert problems == []


def test_verify_counters_detects_a_wrong_sum():
    status = {"received": 7, "accepted": 3, "duplicates": 2, "rejected": {"bad_json": 2, "sequence": 5}}
    assert checker.verify_counters(status) == []
    assert checker.verify_counters({**status, "duplicates": 1})


HELLO = {"hello": {"protocol": 1, "last_seq": 0, "max_message": 1000}}


def served(sessions):
    """The problems that a client reports about a server with these responses, one list per connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for responses in sessions:
            sock, _ = listener.accept()
            with sock, sock.makefile("rb") as lines:
                lines.readline()
                sock.sendall(json.dumps(responses[0]).encode() + b"\n")
                for _ in range(2 if "hello" in responses[0] and responses[0]["hello"]["last_seq"] < 2 else 0):
                    lines.readline()
                for response in responses[1:]:
                    sock.sendall(json.dumps(response).encode() + b"\n")
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client = acked.Client(lambda: socket.create_connection(listener.getsockname(), timeout=0.5), 1, total=2).start()
        client.thread.join(0.5)
        return client.stop(1)
    finally:
        listener.close()
        thread.join()


def ack(seq):
    return {"ack": seq}


@pytest.mark.parametrize("sessions, part", [
    ([[HELLO, ack(2)]], None),
    ([[HELLO, ack(1), ack(2)]], None),
    ([[HELLO, ack(1)], [{"hello": {**HELLO["hello"], "last_seq": 2}}]], None),
    ([[HELLO, ack(1)], [HELLO, ack(2)]], "is below the acknowledged"),
    ([[HELLO, ack(3)]], "was not sent"),
    ([[{"hello": {**HELLO["hello"], "last_seq": 5}}]], "was not sent"),
    ([[HELLO, {"reject": {"seq": 1, "code": "bad_json", "message": "x"}}, ack(2)]], "rejected"),
    ([[HELLO, {"reject": {"expected": 1, "code": "sequence", "message": "x"}}, ack(2)]], "rejected"),
    ([[HELLO, {"nack": 1}, ack(2)]], "unknown response"),
    ([[{"error": {"code": "not_supported", "message": "x"}}]], "response to the hello"),
    ([[HELLO, ack(1), HELLO]], "no response"),
])
def test_client_detects_violations(sessions, part):
    problems = served(sessions)
    if part:
        assert any(part in problem for problem in problems), problems
    else:
        assert problems == []
