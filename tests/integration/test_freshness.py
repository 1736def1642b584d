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


class Ways:
    """One open socket of each kind."""

    def __init__(self, daemon):
        self.open = {"tcp": socket.create_connection(daemon.address("tcp")),
                     "unix_stream": socket.socket(socket.AF_UNIX),
                     "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
                     "unix_datagram": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)}
        self.open["unix_stream"].connect(str(daemon.settings["ingest.unix_stream"]))
        self.open["udp"].connect(daemon.address("udp"))
        self.open["unix_datagram"].connect(str(daemon.settings["ingest.unix_datagram"]))
        for way in self.open.values():
            way.settimeout(15)

    def send(self, kind, text):
        self.open[kind].sendall(text if "datagram" in kind or kind == "udp" else text + b"\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for way in self.open.values():
            way.close()


def totals(answer):
    return {row["function"]: row["ncalls"] for row in answer["functions"]}


@pytest.mark.parametrize("threads", [1, 2])
def test_right_after_sendall(daemon, threads):
    """In turns each transport is the last to be written before the question."""
    one = daemon(ingest__threads=threads, store__flush_interval="1h")
    kinds = sorted(senders.TRANSPORTS)
    with Ways(one) as ways:
        for n in range(LOOPS):
            for kind in kinds[n % 4:] + kinds[:n % 4]:
                ways.send(kind, message(kind))
            assert totals(one.ask("/v1/top")) == dict.fromkeys(kinds, n + 1), f"question {n}"
    assert one.idle()["accepted"] == LOOPS * len(kinds)


@pytest.mark.parametrize("path", ["/v1/buckets", "/v1/functions", "/v1/labels"])
def test_every_question_that_is_fresh(daemon, path):
    one = daemon(store__flush_interval="1h")
    with Ways(one) as ways:
        for n in range(12):
            kind = sorted(senders.TRANSPORTS)[n % 4]
            ways.send(kind, message(f"f{n}"))
            answer = one.ask(path)
            if path == "/v1/labels":
                assert answer["labels"][0]["profiles"] == n + 1
            else:
                assert {row["function"] for row in answer["functions"]} == {f"f{i}" for i in range(n + 1)}
    assert one.idle()["accepted"] == 12


@pytest.mark.parametrize("kind", ["tcp", "unix_stream"])
@pytest.mark.parametrize("threads", [1, 2])
def test_right_after_connecting(daemon, kind, threads):
    """The connection itself is new: it waits to be accepted when the question comes."""
    one = daemon(ingest__threads=threads, store__flush_interval="1h")
    for n in range(30):
        with Ways(one) as ways:
            ways.send(kind, message())
            assert totals(one.ask("/v1/top")) == {"f": n + 1}, f"question {n}"
    assert one.idle()["accepted"] == 30


@pytest.mark.parametrize("threads", [1, 2])
def test_all_of_it_waits_at_once(daemon, threads):
    """The daemon is stopped while connections, data and the question arrive: it finds all of them at the same moment."""
    one = daemon(ingest__threads=threads, store__flush_interval="1h")
    tcp, unix = one.address("tcp"), str(one.settings["ingest.unix_stream"])
    for n in range(10):
        ways, answers = [], []
        asker = threading.Thread(target=lambda: answers.append(one.ask("/v1/top")))
        with Ways(one) as old:
            one.process.send_signal(signal.SIGSTOP)
            try:
                for at in range(20):
                    ways.append(socket.socket(socket.AF_UNIX if at % 2 else socket.AF_INET))
                    ways[-1].connect(unix if at % 2 else tcp)
                    ways[-1].sendall((message("new") + b"\n") * 10)
                for kind in sorted(senders.TRANSPORTS):
                    old.send(kind, message("old"))
                asker.start()
                time.sleep(0.02)  # the question is in the kernel's hands
            finally:
                one.process.send_signal(signal.SIGCONT)
            asker.join()
        for way in ways:
            way.close()
        assert totals(answers[0]) == {"new": 200 * (n + 1), "old": 4 * (n + 1)}
    assert one.idle()["accepted"] == 2040


def test_a_burst_before_the_question(daemon):
    """More than one read's worth waits in the socket; a partial line does not count until it ends."""
    one = daemon(store__flush_interval="1h")
    text = message()
    with Ways(one) as ways:
        sent = 0
        for n in range(10):
            for kind in ("tcp", "unix_stream"):
                ways.open[kind].sendall((text + b"\n") * 400 + text[:20])
            sent += 800
            assert totals(one.ask("/v1/top")) == {"f": sent}
            for kind in ("tcp", "unix_stream"):
                ways.open[kind].sendall(text[20:] + b"\n")
            sent += 2
            assert totals(one.ask("/v1/top")) == {"f": sent}
    assert one.idle()["accepted"] == sent


def test_fresh_false_forces_nothing(daemon):
    one = daemon(store__flush_interval="1h")
    with Ways(one) as ways:
        ways.send("tcp", message())
        one.wait_received(1)
        for path in ("/v1/buckets", "/v1/top", "/v1/functions", "/v1/labels"):
            answer = one.ask(path, {"fresh": "false"})
            assert answer.get("functions", answer.get("labels")) == []
        status = one.status()
        assert (status["commits"], status["pending"]) == (0, 1)
        assert totals(one.ask("/v1/top", {"fresh": "true"})) == {"f": 1}
        status = one.status()
        assert (status["commits"], status["pending"]) == (1, 0)
        for _ in range(5):  # nothing new, nothing to commit
            one.ask("/v1/top")
        assert one.status()["commits"] == 1
    assert one.idle()["accepted"] == 1


def test_the_flush_interval_alone(daemon):
    """Nobody asks: what was received is committed all the same."""
    one = daemon(store__flush_interval="100ms")
    with Ways(one) as ways:
        for kind in sorted(senders.TRANSPORTS):
            ways.send(kind, message())
        one.wait_received(4)
        end = time.monotonic() + 15
        while one.status()["pending"]:
            assert time.monotonic() < end
            time.sleep(0.02)
    assert totals(one.ask("/v1/top", {"fresh": "false"})) == {"f": 4}
    assert one.idle()["accepted"] == 4


def test_concurrent_questions_share_commits(daemon):
    """Each asks right after it sent, so each needs a later commit: at most 20 a second, and many share one."""
    one = daemon(ingest__threads=2, store__flush_interval="1h")
    askers, rounds = 12, 8
    problems = []

    def run(number):
        try:
            with Ways(one) as ways:
                for n in range(rounds):
                    ways.send(sorted(senders.TRANSPORTS)[(number + n) % 4], message(f"f{number}"))
                    assert totals(one.ask("/v1/top"))[f"f{number}"] == n + 1
        except BaseException as problem:  # for the main thread
            problems.append(problem)

    before, begun = one.status()["commits"], time.monotonic()
    threads = [threading.Thread(target=run, args=(number,)) for number in range(askers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    passed = time.monotonic() - begun
    if problems:
        raise problems[0]
    commits = one.status()["commits"] - before
    assert commits <= 20 * passed + 3, f"{commits} commits in {passed} s"
    assert commits < askers * rounds / 2, f"{commits} commits for {askers * rounds} questions"
    assert totals(one.ask("/v1/top")) == {f"f{number}": rounds for number in range(askers)}
    assert one.idle()["accepted"] == askers * rounds


def test_flush_is_on_the_disk(daemon):
    """POST /v1/flush answers once a plain sqlite3 can read it."""
    one = daemon(store__flush_interval="1h")
    with Ways(one) as ways:
        for n in range(20):
            for kind in sorted(senders.TRANSPORTS):
                ways.send(kind, message(kind))
            one.flush()
            connection = one.read_db()
            try:
                rows = dict(connection.execute("SELECT function, ncalls FROM bucket_totals"))
            finally:
                connection.close()
            assert rows == dict.fromkeys(senders.TRANSPORTS, n + 1)
    assert one.idle()["accepted"] == 80
