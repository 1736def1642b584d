"""Fresh queries: on every transport a response includes all messages sent before the query; the commits this takes."""
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support import senders
from support.daemon import wait_until
from support.messages import message

LOOPS = 200


class OpenSockets:
    """An open socket of each transport."""

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


@pytest.mark.parametrize("threads", [1, 2])
def test_query_includes_messages_sent_before(start_daemon, threads):
    """Each transport in turn is the last one used before the query."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    kinds = sorted(senders.TRANSPORTS)
    with OpenSockets(daemon) as sockets:
        for n in range(LOOPS):
            for kind in kinds[n % 4:] + kinds[:n % 4]:
                sockets.send(kind, message(name=kind))
            assert daemon.calls() == dict.fromkeys(kinds, n + 1), f"query {n}"
    assert daemon.wait_idle()["accepted"] == LOOPS * len(kinds)


@pytest.mark.parametrize("path", ["/v1/buckets", "/v1/functions", "/v1/labels"])
def test_every_fresh_query_includes_messages_sent_before(start_daemon, path):
    daemon = start_daemon(store__flush_interval="1h")
    with OpenSockets(daemon) as sockets:
        for n in range(12):
            kind = sorted(senders.TRANSPORTS)[n % 4]
            sockets.send(kind, message(name=f"f{n}"))
            response = daemon.get_json(path)
            if path == "/v1/labels":
                assert response["labels"][0]["profiles"] == n + 1
            else:
                assert {row["function"] for row in response["functions"]} == {f"f{i}" for i in range(n + 1)}
    assert daemon.wait_idle()["accepted"] == 12


@pytest.mark.parametrize("kind", ["tcp", "unix_stream"])
@pytest.mark.parametrize("threads", [1, 2])
def test_query_includes_messages_of_new_connections(start_daemon, kind, threads):
    """The connection is still waiting to be accepted when the query arrives."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    for n in range(30):
        with OpenSockets(daemon) as sockets:
            sockets.send(kind, message())
            assert daemon.calls() == {"f": n + 1}, f"query {n}"
    assert daemon.wait_idle()["accepted"] == 30


@pytest.mark.parametrize("threads", [1, 2])
def test_query_includes_everything_queued_in_the_kernel(start_daemon, threads):
    """Connections, data and the query arrive while SIGSTOP holds the daemon, so it sees all of them at once."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    tcp, unix = daemon.address("tcp"), str(daemon.settings["ingest.unix_stream"])
    for n in range(10):
        socks = []
        with OpenSockets(daemon) as old, ThreadPoolExecutor() as pool:
            daemon.process.send_signal(signal.SIGSTOP)
            try:
                for at in range(20):
                    socks.append(socket.socket(socket.AF_UNIX if at % 2 else socket.AF_INET))
                    socks[-1].connect(unix if at % 2 else tcp)
                    socks[-1].sendall((message(name="new") + b"\n") * 10)
                for kind in sorted(senders.TRANSPORTS):
                    old.send(kind, message(name="old"))
                query = pool.submit(daemon.calls)
                time.sleep(0.02)  # until the kernel has queued the query
            finally:
                daemon.process.send_signal(signal.SIGCONT)
            assert query.result() == {"new": 200 * (n + 1), "old": 4 * (n + 1)}
        for sock in socks:
            sock.close()
    assert daemon.wait_idle()["accepted"] == 2040


def test_query_includes_a_burst_but_no_incomplete_line(start_daemon):
    """The socket holds more than one read returns. An incomplete line does not count until its end arrives."""
    daemon = start_daemon(store__flush_interval="1h")
    text = message()
    with OpenSockets(daemon) as sockets:
        sent = 0
        for n in range(10):
            for kind in ("tcp", "unix_stream"):
                sockets.open[kind].sendall((text + b"\n") * 400 + text[:20])
            sent += 800
            assert daemon.calls() == {"f": sent}
            for kind in ("tcp", "unix_stream"):
                sockets.open[kind].sendall(text[20:] + b"\n")
            sent += 2
            assert daemon.calls() == {"f": sent}
    assert daemon.wait_idle()["accepted"] == sent


def test_fresh_false_forces_no_commit(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    with OpenSockets(daemon) as sockets:
        sockets.send("tcp", message())
        daemon.wait_received(1)
        for path in ("/v1/buckets", "/v1/top", "/v1/functions", "/v1/labels"):
            response = daemon.get_json(path, {"fresh": "false"})
            assert response.get("functions", response.get("labels")) == []
        status = daemon.status()
        assert (status["commits"], status["pending"]) == (0, 1)
        assert daemon.calls(fresh="true") == {"f": 1}
        status = daemon.status()
        assert (status["commits"], status["pending"]) == (1, 0)
        for _ in range(5):  # nothing new to commit
            daemon.get_json("/v1/top")
        assert daemon.status()["commits"] == 1
    assert daemon.wait_idle()["accepted"] == 1


def test_flush_interval_commits_without_queries(start_daemon):
    """Without any query, received messages are committed."""
    daemon = start_daemon(store__flush_interval="100ms")
    with OpenSockets(daemon) as sockets:
        for kind in sorted(senders.TRANSPORTS):
            sockets.send(kind, message())
        daemon.wait_received(4)
        wait_until(lambda: daemon.status()["pending"] == 0)
    assert daemon.calls(fresh="false") == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4


def test_concurrent_queries_share_commits(start_daemon):
    """Each query must include a message sent just before. There are at most 20 commits a second; queries share them."""
    daemon = start_daemon(ingest__threads=2, store__flush_interval="1h")
    clients, rounds = 12, 8

    def run(number):
        with OpenSockets(daemon) as sockets:
            for n in range(rounds):
                sockets.send(sorted(senders.TRANSPORTS)[(number + n) % 4], message(name=f"f{number}"))
                assert daemon.calls()[f"f{number}"] == n + 1

    before, begun = daemon.status()["commits"], time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(run, range(clients)))  # raises what run() raises
    passed = time.monotonic() - begun
    commits = daemon.status()["commits"] - before
    assert commits <= 20 * passed + 3, f"{commits} commits in {passed} s"
    assert commits < clients * rounds / 2, f"{commits} commits for {clients * rounds} queries"
    assert daemon.calls() == {f"f{number}": rounds for number in range(clients)}
    assert daemon.wait_idle()["accepted"] == clients * rounds


def test_flush_returns_after_the_commit(start_daemon):
    """When POST /v1/flush responds, another SQLite connection can read the sums."""
    daemon = start_daemon(store__flush_interval="1h")
    with OpenSockets(daemon) as sockets:
        for n in range(20):
            for kind in sorted(senders.TRANSPORTS):
                sockets.send(kind, message(name=kind))
            daemon.flush()
            rows = daemon.query_db("SELECT function, ncalls FROM bucket_totals")
            assert dict(rows) == dict.fromkeys(senders.TRANSPORTS, n + 1)
    assert daemon.wait_idle()["accepted"] == 80
