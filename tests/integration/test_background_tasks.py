"""Backups, regrids, deletions and large responses under load, interrupted or abandoned."""
import itertools
import os
import pathlib
import signal
import socket
import threading
import time

import pytest

from support import control, senders
from support.acknowledged import Client
from support.daemon import query, wait_until
from support.history import SLOW, Load, calls, disagreements, fill, message, send


# Backups, regrids and deletions.


def backup(daemon, path=None):
    response = daemon.post("/v1/backup")
    assert response.status == 200, response
    if path:
        path.write_bytes(response.body)
    return response


def test_backup_under_load_is_consistent(start_daemon, new_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:5s 2s:1h 60s:1d",
                          store__durability="process")
    send(daemon, [message(time.time(), [f"many{i}" for i in range(k, 4000, 20)]) for k in range(20)])
    with Load(daemon) as load:
        for n in range(5):
            path = daemon.folder / f"copy{n}.db"
            before = load.acked
            backup(daemon, path)
            after = load.sent
            last, = query(path, "SELECT last_seq FROM clients")[0]
            assert before <= last <= after
            assert not list(daemon.folder.glob("t.db-copy*"))
            assert disagreements(path) == []
            assert query(path, "SELECT sum(ncalls) FROM sums WHERE level = 1") == [(last + 4000,)]
        load.end()
    other = new_daemon({"aggregation.time_slice": "1s", "aggregation.retention": "1s:5s 2s:1h 60s:1d"})
    other.db.write_bytes(path.read_bytes())
    other.start()
    assert calls(other) == last + 4000
    with Client(other, "load") as client:
        assert client.hello() == last


def start_request(daemon, method, path):
    """Sends a request without reading the response. Returns the socket."""
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(daemon.control))
    sock.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock


def post_when_free(daemon, path):
    """Repeats the request until no other background task is running."""
    responses = []

    def succeeded():
        responses.append(daemon.post(path))
        return responses[-1].status == 200
    wait_until(succeeded, lambda: str(responses[-1]))
    return responses[-1]


def test_abandoned_requests_leave_no_files_or_descriptors(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 10s:1d")
    total = fill(daemon)
    descriptors = daemon.descriptors()
    for pause in (0, 0.001, 0.003, 0.01, 0.03, 0.1):
        for path in "/v1/backup", "/v1/regrid?time_slice=10s", "/v1/delete?function=nothing*&dry_run=false":
            sock = start_request(daemon, "POST", path)
            time.sleep(pause)
            sock.close()
            response = daemon.post("/v1/backup")
            assert response.status == 200 or response.error["code"] == "busy"
    post_when_free(daemon, "/v1/backup")
    wait_until(lambda: daemon.descriptors() <= descriptors + 2)
    wait_until(lambda: not list(daemon.folder.glob("t.db-copy*")))
    assert calls(daemon) == total and disagreements(daemon.db) == []


def test_abandoned_deletion_leaves_consistent_levels(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 2s:1h 10s:1d")
    total = fill(daemon)
    for pause in (0.0, 0.02, 0.05, 0.1):
        sock = start_request(daemon, "POST", "/v1/delete?function=fill1*&dry_run=false")
        time.sleep(pause)
        sock.close()
        assert disagreements(daemon.db) == []
    response = post_when_free(daemon, "/v1/delete?function=fill1*&dry_run=false").json
    deleted = 120 * sum(str(i).startswith("1") for i in range(300))
    assert calls(daemon) == total - deleted and response["ncalls"] <= deleted
    assert disagreements(daemon.db) == []


def test_second_background_task_is_busy(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    senders.udp(daemon, [message(time.time(), ["f"])])
    with daemon.locked_db(), start_request(daemon, "POST", "/v1/backup"):  # the lock delays the backup
        wait_until(lambda: daemon.post("/v1/regrid?time_slice=1m").error["code"] == "busy")
        for path in "/v1/backup", "/v1/delete?function=f", "/v1/regrid?time_slice=1m":
            response = daemon.post(path)
            assert response.status == 503 and response.error["code"] == "busy", response
    post_when_free(daemon, "/v1/backup")


def test_overlapping_queries_do_not_make_the_log_grow(start_daemon):
    """Queries overlap all the time, so the log is never unused by itself. It is emptied above 8 MiB."""
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 10s:1d",
                          store__flush_interval="1h")
    fill(daemon, buckets=40)
    daemon.flush()
    log, sizes, ended = daemon.db.with_name("t.db-wal"), [], threading.Event()

    def read():
        while not ended.is_set():
            assert daemon.get("/v1/buckets", {"fresh": "false", "top": 1}).status == 200
    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    try:
        now = int(time.time())

        def truncated(n=itertools.count()):
            send(daemon, [message(now - 1000 + next(n) % 900, [f"fill{i}" for i in range(300)])])
            daemon.flush()
            sizes.append(log.stat().st_size)
            return "\ntimesliced_log_truncations_total 0\n" not in daemon.get("/metrics").body.decode()
        wait_until(truncated, lambda: f"the log has {sizes[-1] >> 10} KiB, at most {max(sizes) >> 10}", timeout=60)
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    metrics = control.parse_metrics(daemon.get("/metrics").body.decode())[0]
    assert max(sizes) < 14 << 20, f"{max(sizes) >> 10} KiB"
    status = daemon.status()["store"]
    assert status["log_bytes"] == metrics["timesliced_store_log_size_bytes", ()] == log.stat().st_size


def copies(daemon):
    """Copies that the daemon holds open, with and without a name."""
    folder = pathlib.Path(f"/proc/{daemon.process.pid}/fd")
    return [name for name in map(os.readlink, folder.iterdir()) if "t.db-copy" in name]


def test_one_copy_at_a_time_exists(start_daemon):
    """Backups that nobody reads: one copy exists, other copies are rejected, and it is given up after 10 s."""
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 10s:1d")
    fill(daemon)
    daemon.flush()
    assert len(backup(daemon).body) > 500_000
    socks = []
    for path in ("/v1/backup", "/v1/regrid?time_slice=10s") * 4:
        socks.append(start_request(daemon, "POST", path))
        time.sleep(0.3)
    assert len(copies(daemon)) == 1
    response = daemon.post("/v1/backup")
    assert response.status == 503 and response.error["code"] == "busy"
    assert daemon.post("/v1/delete?function=nothing").status == 200
    wait_until(lambda: daemon.post("/v1/backup").status == 200, timeout=30)
    assert daemon.status()["control"]["responses_cut"] == 1
    assert not copies(daemon)
    for sock in socks:
        sock.close()


def test_control_http_rejects_changes(start_daemon):
    daemon = start_daemon(control__http="127.0.0.1:0")
    send(daemon, [message(time.time(), ["f"])])
    for path in "/v1/backup", "/v1/delete?function=*&dry_run=false", "/v1/regrid?time_slice=1m", "/v1/flush":
        response = control.request(daemon.address("http"), "POST", path)
        assert response.status == 405, response
        assert control.request(daemon.address("http"), "GET", path).status == 404
    assert calls(daemon) == 1


@pytest.mark.parametrize("path", ["/v1/backup", "/v1/regrid?time_slice=10s", "/v1/delete?function=*&dry_run=false"])
def test_stop_during_a_background_task_leaves_consistent_levels(start_daemon, path):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h 10s:1d")
    for pause in (0.0, 0.005, 0.02, 0.05):
        fill(daemon, 60)
        sock = start_request(daemon, "POST", path)
        time.sleep(pause)
        assert daemon.stop() == 0
        sock.close()
        assert not list(daemon.folder.glob("t.db-copy*"))
        assert disagreements(daemon.db) == []
        daemon.start()


@pytest.mark.parametrize("path", [None, "/v1/backup", "/v1/delete?function=fill2*&dry_run=false"])
def test_kill_during_a_background_task_leaves_consistent_levels(start_daemon, path):
    """Killed while rows are pruned and levels built, during a backup, or during a deletion: all levels agree."""
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:30s 2s:40s 10s:1d",
                          store__durability="process")
    with Load(daemon) as load:
        for pause in (0.0, 0.01, 0.03, 0.1, 0.3):
            total = fill(daemon, 60)
            sock = start_request(daemon, "POST", path) if path else None
            time.sleep(pause)
            daemon.kill()
            if sock:
                sock.close()
            assert disagreements(daemon.db) == []
            daemon.start()
            assert not list(daemon.folder.glob("t.db-copy*")), "left by the killed process"
        load.end()
    assert total and calls(daemon, function="f*", **{"label.k": "none"}) == 0
    assert sum(row["ncalls"] for row in daemon.get_json("/v1/top", {"function": "f[0-9]*"})["functions"]) == load.acked
    assert disagreements(daemon.db) == []


# Large responses.


def connections(daemon):
    """The number of connected peers of all its stream sockets."""
    inodes, n = set(), 0
    folder = f"/proc/{daemon.process.pid}/fd"
    for name in os.listdir(folder):
        try:
            link = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:  # closed in the meantime
            continue
        if link.startswith("socket:["):
            inodes.add(link[len("socket:["):-1])
    tables = ("unix", 5, 6, "03"), ("tcp", 3, 9, "01"), ("tcp6", 3, 9, "01")  # the state of a connected socket
    for table, state, inode, connected in tables:
        for line in pathlib.Path(f"/proc/{daemon.process.pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            n += fields[state] == connected and fields[inode] in inodes
    return n


def test_slow_reader_of_a_large_response_blocks_nobody(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h", store__durability="process")
    fill(daemon, 600, 700)
    wait_until(lambda: connections(daemon) == 0)  # the daemon may notice the end of fill()'s connections later
    socks = [start_request(daemon, "GET", "/v1/buckets?by=location") for _ in range(3)]
    for sock in socks:
        sock.settimeout(30 * SLOW)
        head = sock.recv(2000)
        assert b"200" in head[:20] and b"chunked" in head.lower(), head
    assert connections(daemon) == 3
    with Load(daemon) as load:
        before = load.acked
        time.sleep(3)
        assert load.acked > before + 100
        assert load.slowest < 1 * SLOW, f"an acknowledgement took {load.slowest:.2f} s"
        log = daemon.db.with_name("t.db-wal")
        assert log.stat().st_size < 40_000_000
        load.end()
    daemon.wait_idle()
    for sock in socks[:2]:
        sock.close()
    rest = bytearray()
    while chunk := socks[2].recv(1 << 20):
        rest += chunk
        if rest.endswith(b"0\r\n\r\n"):
            break
    socks[2].close()
    assert len(rest) > 1_000_000
    wait_until(lambda: connections(daemon) == 0)
    response = daemon.get("/v1/buckets", {"by": "location"})
    assert response.headers["Transfer-Encoding"] == "chunked" and len(response.json["functions"]) >= 700
    assert response.body.endswith(b"}\n")


def test_stop_while_a_large_response_is_sent(start_daemon):
    daemon = start_daemon(aggregation__time_slice="1s", aggregation__retention="1s:1h")
    fill(daemon, 300, 400)
    sock = start_request(daemon, "GET", "/v1/buckets")
    sock.recv(1000)
    assert daemon.stop(signal.SIGTERM) == 0
    sock.close()
