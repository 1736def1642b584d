"""An answer includes what was sent before it was asked, on every transport, without a wait; and what that costs."""
import json
import signal
import socket
import threading
import time

import pytest

from support import senders

LOOPS = 200


def message(name="f", stamp=5):
    return json.dumps([stamp, {"total_tt": 1, "func_profiles": {name: {"ncalls": 1, "cumtime": 0.5}}}]).encode()


class OpenSockets:
    """One open socket of each kind."""

    def __init__(self, daemon):
        self.open = {"tcp": socket.create_connection(daemon.address("tcp")),
                     "unix_stream": socket.socket(socket.AF_UNIX),
                     "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
                     "unix_datagram": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)}
        self.open["unix_stream"].connect(str(daemon.settings["ingest.unix_stream"]))
        self.open["udp"].connect(daemon.address("udp"))
        self.open["unix_datagram"].connect(str(daemon.settings["ingest.unix_datagram"]))
        for sock in self.open.values():
            sock.settimeout(15)

    def send(self, kind, text):
        self.open[kind].sendall(text if "datagram" in kind or kind == "udp" else text + b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for sock in self.open.values():
            sock.close()


def totals(response):
    return {row["function"]: row["ncalls"] for row in response["functions"]}


@pytest.mark.parametrize("threads", [1, 2])
def test_right_after_sendall(start_daemon, threads):
    """In turns each transport is the last to be written before the question."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    kinds = sorted(senders.TRANSPORTS)
    with OpenSockets(daemon) as sockets:
        for n in range(LOOPS):
            for kind in kinds[n % 4:] + kinds[:n % 4]:
                sockets.send(kind, message(kind))
            assert totals(daemon.get_json("/v1/top")) == dict.fromkeys(kinds, n + 1), f"question {n}"
    assert daemon.wait_idle()["accepted"] == LOOPS * len(kinds)


@pytest.mark.parametrize("path", ["/v1/buckets", "/v1/functions", "/v1/labels"])
def test_every_question_that_is_fresh(start_daemon, path):
    daemon = start_daemon(store__flush_interval="1h")
    with OpenSockets(daemon) as sockets:
        for n in range(12):
            kind = sorted(senders.TRANSPORTS)[n % 4]
            sockets.send(kind, message(f"f{n}"))
            response = daemon.get_json(path)
            if path == "/v1/labels":
                assert response["labels"][0]["profiles"] == n + 1
            else:
                assert {row["function"] for row in response["functions"]} == {f"f{i}" for i in range(n + 1)}
    assert daemon.wait_idle()["accepted"] == 12


@pytest.mark.parametrize("kind", ["tcp", "unix_stream"])
@pytest.mark.parametrize("threads", [1, 2])
def test_right_after_connecting(start_daemon, kind, threads):
    """The connection itself is new: it waits to be accepted when the question comes."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    for n in range(30):
        with OpenSockets(daemon) as sockets:
            sockets.send(kind, message())
            assert totals(daemon.get_json("/v1/top")) == {"f": n + 1}, f"question {n}"
    assert daemon.wait_idle()["accepted"] == 30


@pytest.mark.parametrize("threads", [1, 2])
def test_all_of_it_waits_at_once(start_daemon, threads):
    """The daemon is stopped while connections, data and the question arrive: it finds all of them at the same moment."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    tcp, unix = daemon.address("tcp"), str(daemon.settings["ingest.unix_stream"])
    for n in range(10):
        socks, responses = [], []
        asker = threading.Thread(target=lambda: responses.append(daemon.get_json("/v1/top")))
        with OpenSockets(daemon) as old:
            daemon.process.send_signal(signal.SIGSTOP)
            try:
                for at in range(20):
                    socks.append(socket.socket(socket.AF_UNIX if at % 2 else socket.AF_INET))
                    socks[-1].connect(unix if at % 2 else tcp)
                    socks[-1].sendall((message("new") + b"\n") * 10)
                for kind in sorted(senders.TRANSPORTS):
                    old.send(kind, message("old"))
                asker.start()
                time.sleep(0.02)  # the question is in the kernel's hands
            finally:
                daemon.process.send_signal(signal.SIGCONT)
            asker.join()
        for sock in socks:
            sock.close()
        assert totals(responses[0]) == {"new": 200 * (n + 1), "old": 4 * (n + 1)}
    assert daemon.wait_idle()["accepted"] == 2040


def test_a_burst_before_the_question(start_daemon):
    """More than one read's worth waits in the socket; a partial line does not count until it ends."""
    daemon = start_daemon(store__flush_interval="1h")
    text = message()
    with OpenSockets(daemon) as sockets:
        sent = 0
        for n in range(10):
            for kind in ("tcp", "unix_stream"):
                sockets.open[kind].sendall((text + b"\n") * 400 + text[:20])
            sent += 800
            assert totals(daemon.get_json("/v1/top")) == {"f": sent}
            for kind in ("tcp", "unix_stream"):
                sockets.open[kind].sendall(text[20:] + b"\n")
            sent += 2
            assert totals(daemon.get_json("/v1/top")) == {"f": sent}
    assert daemon.wait_idle()["accepted"] == sent


def test_fresh_false_forces_nothing(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    with OpenSockets(daemon) as sockets:
        sockets.send("tcp", message())
        daemon.wait_received(1)
        for path in ("/v1/buckets", "/v1/top", "/v1/functions", "/v1/labels"):
            response = daemon.get_json(path, {"fresh": "false"})
            assert response.get("functions", response.get("labels")) == []
        status = daemon.status()
        assert (status["commits"], status["pending"]) == (0, 1)
        assert totals(daemon.get_json("/v1/top", {"fresh": "true"})) == {"f": 1}
        status = daemon.status()
        assert (status["commits"], status["pending"]) == (1, 0)
        for _ in range(5):  # nothing new, nothing to commit
            daemon.get_json("/v1/top")
        assert daemon.status()["commits"] == 1
    assert daemon.wait_idle()["accepted"] == 1


def test_the_flush_interval_alone(start_daemon):
    """Nobody asks: what was received is committed all the same."""
    daemon = start_daemon(store__flush_interval="100ms")
    with OpenSockets(daemon) as sockets:
        for kind in sorted(senders.TRANSPORTS):
            sockets.send(kind, message())
        daemon.wait_received(4)
        end = time.monotonic() + 15
        while daemon.status()["pending"]:
            assert time.monotonic() < end
            time.sleep(0.02)
    assert totals(daemon.get_json("/v1/top", {"fresh": "false"})) == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4


def test_concurrent_questions_share_commits(start_daemon):
    """Each asks right after it sent, so each needs a later commit: at most 20 a second, and many share one."""
    daemon = start_daemon(ingest__threads=2, store__flush_interval="1h")
    askers, rounds = 12, 8
    problems = []

    def run(number):
        try:
            with OpenSockets(daemon) as sockets:
                for n in range(rounds):
                    sockets.send(sorted(senders.TRANSPORTS)[(number + n) % 4], message(f"f{number}"))
                    assert totals(daemon.get_json("/v1/top"))[f"f{number}"] == n + 1
        except BaseException as problem:  # for the main thread
            problems.append(problem)

    before, begun = daemon.status()["commits"], time.monotonic()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(askers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = time.monotonic() - begun
    if problems:
        raise problems[0]
    commits = daemon.status()["commits"] - before
    assert commits <= 20 * passed + 3, f"{commits} commits in {passed} s"
    assert commits < askers * rounds / 2, f"{commits} commits for {askers * rounds} questions"
    assert totals(daemon.get_json("/v1/top")) == {f"f{number}": rounds for number in range(askers)}
    assert daemon.wait_idle()["accepted"] == askers * rounds


def test_flush_is_on_the_disk(start_daemon):
    """POST /v1/flush answers once a plain sqlite3 can read it."""
    daemon = start_daemon(store__flush_interval="1h")
    with OpenSockets(daemon) as sockets:
        for n in range(20):
            for kind in sorted(senders.TRANSPORTS):
                sockets.send(kind, message(kind))
            daemon.flush()
            connection = daemon.read_db()
            try:
                rows = dict(connection.execute("SELECT function, ncalls FROM bucket_totals"))
            finally:
                connection.close()
            assert rows == dict.fromkeys(senders.TRANSPORTS, n + 1)
    assert daemon.wait_idle()["accepted"] == 80
