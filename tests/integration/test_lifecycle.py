"""Stop, kill, reload and the log of the daemon.

See also: test_database.py, test_sockets.py, test_command_line.py.
"""
import functools
import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest

from support import control, senders
from support.daemon import wait_until
from support.messages import message


def stored(daemon):
    """{function: ncalls} in the database."""
    return dict(daemon.query_db("SELECT function, sum(ncalls) FROM bucket_totals GROUP BY function"))


# Stopping.


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_commits_what_was_received(start_daemon, number, threads):
    """The signal follows the last send at once. What the kernel has queued must be committed."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    with senders.Stream(daemon) as tcp, senders.Stream(daemon, "unix") as unix, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.send(message(name="early") + b"\n")
        unix.send(message(name="early") + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 2)
        udp.connect(daemon.address("udp"))
        senders.TRANSPORTS["unix_datagram"](daemon, [message(name="unix_datagram")] * 5)
        unix.send((message(name="unix") + b"\n") * 500)
        tcp.send((message(name="tcp") + b"\n") * 500)
        for _ in range(50):
            udp.send(message(name="udp"))
        assert daemon.stop(number) == 0, daemon.log_text()
    assert stored(daemon) == {"early": 2, "unix_datagram": 5, "unix": 500, "tcp": 500, "udp": 50}
    daemon.start()
    assert daemon.calls() == {"early": 2, "unix_datagram": 5, "unix": 500, "tcp": 500, "udp": 50}
    assert daemon.wait_idle()["received"] == 0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_stop_commits_messages_of_unaccepted_connections(start_daemon, kind):
    """Peers connect, send and disconnect before the daemon accepts the connection."""
    daemon = start_daemon(store__flush_interval="1h")
    for n in range(10):
        with senders.connect_stream(daemon, kind) as sock:
            sock.sendall(message() + b"\n" + message())  # the second ends with the stream
    assert daemon.stop() == 0, daemon.log_text()
    assert stored(daemon) == {"f": 20}


def test_stop_ends_despite_an_endless_stream(start_daemon):
    """The daemon reads on for at most a second. Only complete messages count."""
    daemon = start_daemon()
    sent, stop = [0], threading.Event()

    def pour():
        with socket.create_connection(daemon.address("tcp")) as sock:
            sock.settimeout(15)
            try:
                while not stop.is_set():
                    sock.sendall((message() + b"\n") * 20)
                    sent[0] += 20
            except OSError:
                sent[0] += 20  # a part of the last send may have been received

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        wait_until(lambda: daemon.status()["accepted"] > 1000)
        known = daemon.status()["accepted"]
        assert daemon.stop() == 0, daemon.log_text()
    finally:
        stop.set()
        thread.join()
    assert known <= stored(daemon)["f"] <= sent[0]


def test_stop_closes_idle_and_incomplete_connections(start_daemon):
    """Open connections on any socket do not delay the stop. An incomplete line does not count."""
    daemon = start_daemon()
    streams = [senders.Stream(daemon, kind) for kind in ("tcp", "unix") for _ in range(3)]
    for stream in streams[::2]:
        stream.send(message(name="whole") + b"\n" + message(name="half")[:30])
    asking = control.UnixConnection(str(daemon.control))
    asking.connect()
    asking.sock.sendall(b"GET /v1/sta")
    wait_until(lambda: daemon.status()["accepted"] == 3)
    assert daemon.stop() == 0, daemon.log_text()
    for stream in streams:
        stream.wait_closed()
        stream.close()
    asking.close()
    assert stored(daemon) == {"whole": 3}


def test_kill_keeps_flushed_messages(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    for n in range(3):
        senders.TRANSPORTS["tcp"](daemon, [message()] * 10)
        daemon.flush()
        senders.TRANSPORTS["tcp"](daemon, [message(name="lost")])
        daemon.kill()
        daemon.start()  # replaces the sockets that the killed process left
        assert daemon.calls() == {"f": 10 * (n + 1)}
    assert daemon.wait_idle()["received"] == 0
    wait_until(lambda: daemon.get("/healthz").status == 200)


def test_kills_under_load_keep_complete_messages(start_daemon):
    """Killed under load and restarted: only complete messages are stored, not more than were sent and not fewer than a
    response has shown."""
    daemon = start_daemon(store__flush_interval="20ms", ingest__threads=2)
    sent = shown = 0
    for round_ in range(5):
        for _ in range(3):
            senders.TRANSPORTS["unix_stream"](daemon, [message(name="a"), message(name="b")] * 20, sockets=2)
            sent += 40
        if round_ % 2:
            shown = daemon.get_json("/v1/top")["profiles"]
            assert shown <= sent
        daemon.kill()
        daemon.start()
        profiles = daemon.get_json("/v1/top")["profiles"]
        assert shown <= profiles <= sent
        assert sum(daemon.calls().values()) == profiles
        shown = sent = profiles
    assert daemon.wait_idle()["store_error"] is None


# Reload.


@pytest.fixture
def reloading(new_daemon):
    """A daemon with its reloadable keys in the file. configure(text) writes the file and sends SIGHUP."""
    daemon = new_daemon({"aggregation.max_future": False}, "[aggregation]\nmax_future = off\n").start()

    def configure(text):
        daemon.config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
    daemon.configure = configure
    return daemon


def accepts_future(daemon):
    """Whether the daemon accepts a message with a timestamp an hour ahead."""
    stream = senders.Stream(daemon)
    responses = stream.send(message(name="future", timestamp=int(time.time()) + 3600)).finish()
    assert not responses or responses[0]["error"]["code"] == "too_new"
    return not responses


def test_reload_changes_max_future(reloading):
    daemon = reloading
    before = daemon.status()
    with senders.Stream(daemon) as open_before:
        open_before.send(message() + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 1)
        assert accepts_future(daemon)
        for value, accepted in (("10m", False), ("2h", True), ("59m", False), ("off", True)):
            daemon.configure(f"[aggregation]\nmax_future = {value}\n")
            wait_until(lambda: accepts_future(daemon) == accepted, lambda: daemon.log_text())
        open_before.send(message() + b"\n")  # no connection was closed
        wait_until(lambda: daemon.calls().get("f") == 2)
        assert not open_before.closed.is_set()
    after = daemon.status()
    assert (after["pid"], after["listeners"]) == (before["pid"], before["listeners"])
    daemon.wait_idle()


def test_reload_logs_keys_that_need_a_restart(reloading):
    daemon = reloading
    daemon.configure("[aggregation]\nmax_future = 10m\n[ingest]\nthreads = 2\nmax_message = 1M\n")
    wait_until(lambda: not accepts_future(daemon))
    wait_until(lambda: "ingest.threads" in daemon.log_text(), daemon.log_text)
    daemon.configure("[aggregation]\nmax_future = off\n")
    wait_until(lambda: accepts_future(daemon))
    daemon.wait_idle()


def test_reload_changes_the_log_level(reloading):
    daemon = reloading
    off, ahead = "[aggregation]\nmax_future = off\n", "[aggregation]\nmax_future = 10m\n"
    daemon.configure(ahead + "[ingest]\nthreads = 2\n")
    wait_until(lambda: not accepts_future(daemon))
    wait_until(lambda: "ingest.threads" in daemon.log_text(), daemon.log_text)
    daemon.configure(off + "[ingest]\nthreads = 2\n[log]\nlevel = error\n")
    wait_until(lambda: accepts_future(daemon))
    daemon.flush()  # runs on the loop that reloads, so the reload is complete
    quiet = daemon.log_text()
    daemon.configure(ahead + "[ingest]\nthreads = 3\n[log]\nlevel = error\n")  # not logged at this level
    wait_until(lambda: not accepts_future(daemon))
    daemon.flush()
    assert daemon.log_text() == quiet
    daemon.configure(off + "[ingest]\nthreads = 2\n[log]\nlevel = info\n")
    wait_until(lambda: accepts_future(daemon))
    daemon.configure(ahead + "[ingest]\nthreads = 3\n[log]\nlevel = info\n")
    wait_until(lambda: "ingest.threads" in daemon.log_text()[len(quiet):], daemon.log_text)
    daemon.wait_idle()


@pytest.mark.parametrize("text", ["[aggregation]\nmax_future = 10m\n[log]\nlevel = loud\n",
                                  "[aggregation]\nmax_future = 10m\nnonsense = 1\n", "max_future\n", None])
def test_reload_of_an_invalid_file_changes_nothing(reloading, text):
    """Nothing of the new file is applied, not even the lines before the error."""
    daemon = reloading
    before = len(daemon.log_text())
    if text is None:
        daemon.config.unlink()
        daemon.process.send_signal(signal.SIGHUP)
    else:
        daemon.configure(text)
    wait_until(lambda: "timesliced.conf" in daemon.log_text()[before:], daemon.log_text)
    assert accepts_future(daemon)
    daemon.configure("[aggregation]\nmax_future = 10m\n")  # a valid file is still applied afterwards
    wait_until(lambda: not accepts_future(daemon))
    daemon.wait_idle()


# Log.


def test_log_lines_have_priorities_in_the_journal_only(new_daemon):
    """Lines have a priority if the log goes to the journal, and none otherwise."""
    journal = new_daemon({"log.level": "debug"})
    log = journal.folder / "log.1"
    log.touch()
    known = log.stat()
    journal.spawn = functools.partial(journal.spawn, env={**os.environ,
                                                          "JOURNAL_STREAM": f"{known.st_dev}:{known.st_ino}"})
    plain = new_daemon({"log.level": "debug"})
    plain.spawn = functools.partial(plain.spawn, env={k: v for k, v in os.environ.items() if k != "JOURNAL_STREAM"})
    for daemon in (journal, plain):
        daemon.start()
        daemon.process.send_signal(signal.SIGHUP)
        senders.TRANSPORTS["tcp"](daemon, [message(), b"bad"])
        daemon.wait_idle()
        assert daemon.stop() == 0
    lines = journal.log_text().splitlines()
    assert lines and all(re.fullmatch("<[0-7]>[^<].+", line) for line in lines), lines
    lines = plain.log_text().splitlines()
    assert lines and not any(line.startswith("<") for line in lines)


def test_rejected_messages_are_not_logged_each(start_daemon):
    daemon = start_daemon()
    senders.TRANSPORTS["tcp"](daemon, [b"bad"] * 1000)
    assert daemon.wait_idle()["rejected"]["bad_json"] == 1000
    assert len(daemon.log_text().splitlines()) < 50


def test_closed_standard_error_does_not_end_the_daemon(new_daemon):
    """Writing the log to a pipe without a reader must not end the daemon."""
    daemon = new_daemon({"log.level": "debug"})
    reading, writing = os.pipe()
    os.close(reading)
    daemon.process = subprocess.Popen(daemon.command(), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing,
                                      cwd=daemon.folder)
    daemon.log = daemon.folder / "log.0"
    daemon.log.touch()
    os.close(writing)
    wait_until(lambda: daemon.process.poll() is not None or daemon.control.exists() and responds(daemon))
    assert daemon.process.poll() is None
    daemon.process.send_signal(signal.SIGHUP)
    senders.TRANSPORTS["tcp"](daemon, [message()])
    assert daemon.wait_idle()["accepted"] == 1


def responds(daemon):
    try:
        return daemon.status()
    except OSError:
        return None


def test_file_size_limit_is_a_full_disk(new_daemon):
    """Beyond `ulimit -f` a commit fails and is repeated, but the signal of that limit does not end the daemon."""
    daemon = new_daemon()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    daemon.spawn(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, unlimited[1])))
    daemon.wait_ready()
    for n in range(300):
        senders.unix_datagram(daemon, [message(name=f"{n:03}" + "x" * 1000)])
    wait_until(lambda: daemon.status()["store_error"])
    resource.prlimit(daemon.process.pid, resource.RLIMIT_FSIZE, unlimited)
    assert daemon.wait_idle()["accepted"] == 300
    assert len(daemon.query_db("SELECT DISTINCT function FROM bucket_totals")) == 300
