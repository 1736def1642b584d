"""Start, stop, reload, and everything a daemon must refuse: signals, databases, grids, sockets, options."""
import functools
import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import threading
import time

import pytest

from support import control, senders
from support.activation import activate, passed_sockets
from support.daemon import BINARY, EX_CONFIG, TIMEOUT, wait_until

SCALE = TIMEOUT / 15
UNIX = ("unix_stream", "unix_datagram")


def message(name="f", n=1, stamp=5):
    functions = {name: {"ncalls": n, "cumtime": n, "tottime": n}}
    return json.dumps([stamp, {"total_tt": n, "func_profiles": functions}]).encode()


def stored(path):
    """{function: ncalls} as a plain sqlite3 reads it."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return dict(connection.execute("SELECT function, sum(ncalls) FROM bucket_totals GROUP BY function"))
    finally:
        connection.close()


def calls(daemon):
    return {row["function"]: row["ncalls"] for row in daemon.get_json("/v1/top")["functions"]}


def image(path):
    """The database and what lies beside it, byte for byte."""
    return {name.name: name.read_bytes() for name in sorted(path.parent.glob(path.name + "*"))
            if not name.name.endswith(("-shm", ".lock", "-lock"))}


def run(*arguments, **more):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT, **more)


# Stopping.


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop_commits_what_was_received(start_daemon, how, threads):
    """Nothing is waited for between the last send and the signal: the kernel has it, so the daemon owes it."""
    daemon = start_daemon(ingest__threads=threads, store__flush_interval="1h")
    with senders.Stream(daemon) as tcp, senders.Stream(daemon, "unix") as unix, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.send(message("early") + b"\n")
        unix.send(message("early") + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 2)
        udp.connect(daemon.address("udp"))
        senders.TRANSPORTS["unix_datagram"](daemon, [message("unix_datagram")] * 5)
        unix.send((message("unix") + b"\n") * 500)
        tcp.send((message("tcp") + b"\n") * 500)
        for _ in range(50):
            udp.send(message("udp"))
        assert daemon.stop(how) == 0, daemon.log_text()
    assert stored(daemon.db) == {"early": 2, "unix_datagram": 5, "unix": 500, "tcp": 500, "udp": 50}
    daemon.start()
    assert calls(daemon) == {"early": 2, "unix_datagram": 5, "unix": 500, "tcp": 500, "udp": 50}
    assert daemon.wait_idle()["received"] == 0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_stop_right_after_a_connection(start_daemon, kind):
    """Connected, sent and gone before the daemon could accept."""
    daemon = start_daemon(store__flush_interval="1h")
    to = daemon.address("tcp") if kind == "tcp" else str(daemon.settings["ingest.unix_stream"])
    for n in range(10):
        with socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX) as sock:
            sock.settimeout(15)
            sock.connect(to)
            sock.sendall(message() + b"\n" + message())  # the second ends with the stream
    assert daemon.stop() == 0, daemon.log_text()
    assert stored(daemon.db) == {"f": 20}


def test_stop_under_a_stream_that_never_ends(start_daemon):
    """At most a second is read on; whole messages only, from the first on."""
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
                sent[0] += 20  # a part of the last send may have been taken

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        wait_until(lambda: daemon.status()["accepted"] > 1000)
        known = daemon.status()["accepted"]
        assert daemon.stop() == 0, daemon.log_text()
    finally:
        stop.set()
        thread.join()
    assert known <= stored(daemon.db)["f"] <= sent[0]


def test_stop_with_idle_and_half_sent_connections(start_daemon):
    """Open connections, on all sockets, do not hold it up; half a line is no message."""
    daemon = start_daemon()
    streams = [senders.Stream(daemon, kind) for kind in ("tcp", "unix") for _ in range(3)]
    for stream in streams[::2]:
        stream.send(message("whole") + b"\n" + message("half")[:30])
    asking = control.UnixConnection(str(daemon.control))
    asking.connect()
    asking.sock.sendall(b"GET /v1/sta")
    wait_until(lambda: daemon.status()["accepted"] == 3)
    assert daemon.stop() == 0, daemon.log_text()
    for stream in streams:
        stream.wait_closed()
        stream.close()
    asking.close()
    assert stored(daemon.db) == {"whole": 3}


def test_kill_keeps_what_was_flushed(start_daemon):
    daemon = start_daemon(store__flush_interval="1h")
    for n in range(3):
        senders.TRANSPORTS["tcp"](daemon, [message()] * 10)
        daemon.flush()
        senders.TRANSPORTS["tcp"](daemon, [message("lost")])
        daemon.kill()
        daemon.start()  # sockets of the dead one are in its way
        assert calls(daemon) == {"f": 10 * (n + 1)}
    assert daemon.wait_idle()["received"] == 0
    wait_until(lambda: daemon.get("/healthz").status == 200)


def test_kills_at_any_moment(start_daemon):
    """Under load, killed and started again: what is stored is whole messages, never more than was sent, and never less
    than an answer has shown."""
    daemon = start_daemon(store__flush_interval="20ms", ingest__threads=2)
    sent = shown = 0
    for round_ in range(5):
        for _ in range(3):
            senders.TRANSPORTS["unix_stream"](daemon, [message("a"), message("b")] * 20, sockets=2)
            sent += 40
        if round_ % 2:
            shown = daemon.get_json("/v1/top")["profiles"]
            assert shown <= sent
        daemon.kill()
        daemon.start()
        profiles = daemon.get_json("/v1/top")["profiles"]
        assert shown <= profiles <= sent
        assert sum(calls(daemon).values()) == profiles
        shown = sent = profiles
    assert daemon.wait_idle()["store_error"] is None


# One database, one daemon, one grid.


def test_second_daemon_on_the_same_database(start_daemon, new_daemon):
    daemon = start_daemon()
    senders.TRANSPORTS["tcp"](daemon, [message()])
    daemon.flush()
    before = daemon.status()["listeners"]
    for settings in ({"store.path": daemon.db}, {"store.path": daemon.folder / "." / ".." / daemon.folder.name / "t.db"}):
        code, log = new_daemon(settings).run_to_exit()
        assert code == EX_CONFIG, log
        assert "t.db" in log
    link = daemon.folder / "link.db"
    link.symlink_to(daemon.db)
    code, log = new_daemon({"store.path": link}).run_to_exit()
    assert code == EX_CONFIG, log
    assert daemon.status()["listeners"] == before
    senders.TRANSPORTS["udp"](daemon, [message()])
    assert calls(daemon) == {"f": 2}
    daemon.restart()
    assert calls(daemon) == {"f": 2}
    assert daemon.wait_idle()["store_error"] is None


def test_the_same_command_twice(start_daemon, new_daemon):
    """All its sockets and its database are taken; the one that runs does not notice."""
    daemon = start_daemon()
    code, log = new_daemon(daemon.settings).run_to_exit()
    assert code > 0, log
    for kind in sorted(senders.TRANSPORTS):
        senders.TRANSPORTS[kind](daemon, [message()])
    assert calls(daemon) == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4


@pytest.mark.parametrize("key, value, word", [
    ("aggregation.time_slice", "5s", "time_slice"), ("aggregation.time_slice", "20s", "time_slice"),
    ("aggregation.start_time", "5", "start_time"), ("aggregation.start_time", "0.000000001", "start_time")])
def test_another_grid_is_refused(start_daemon, key, value, word):
    daemon = start_daemon()
    senders.TRANSPORTS["tcp"](daemon, [message()])
    daemon.wait_idle()
    assert daemon.stop() == 0
    before, settings = image(daemon.db), dict(daemon.settings)
    daemon.settings[key] = value
    daemon.settings["aggregation.retention"] = f"{daemon.settings.get('aggregation.time_slice', '10s')}:290y"
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG, log
    assert word in log
    assert image(daemon.db) == before
    daemon.settings = settings
    daemon.start()
    assert calls(daemon) == {"f": 1}
    assert daemon.wait_idle()["received"] == 0


def foreign_text(path):
    path.write_text("This is not a database, and somebody needs it.\n" * 100)


def foreign_sqlite(path):
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE precious(x); INSERT INTO precious VALUES (1);")
    connection.close()


def newer_schema(path):
    connection = sqlite3.connect(path)
    version, = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version={version + 1}")
    connection.close()


def another_application(path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA application_id=1234")
    connection.close()


def damaged_header(path):
    data = bytearray(path.read_bytes())
    data[:16] = b"SQLite format 4\0"
    path.write_bytes(data)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-4096])


@pytest.mark.parametrize("harm", [foreign_text, foreign_sqlite, newer_schema, another_application, damaged_header,
                                  cut_short])
def test_a_file_that_must_not_be_used(new_daemon, harm):
    daemon = new_daemon()
    if not harm.__name__.startswith("foreign"):
        daemon.start()
        senders.TRANSPORTS["tcp"](daemon, [message()])
        daemon.wait_idle()
        assert daemon.stop() == 0
    harm(daemon.db)
    before = image(daemon.db)
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG, log
    assert "t.db" in log
    assert image(daemon.db) == before


def test_start_time_now_is_fixed_once(start_daemon):
    before = time.time()
    daemon = start_daemon(aggregation__start_time="now")
    after = time.time()
    origin = daemon.status()["start_time"]
    assert isinstance(origin, int) and int(before) <= origin <= after
    senders.TRANSPORTS["tcp"](daemon, [message(stamp=origin), message(stamp=origin - 1)])
    assert daemon.get_json("/v1/buckets")["buckets"] == [origin - 10, origin]
    daemon.wait_idle()
    time.sleep(max(0, origin + 1.1 - time.time()))  # now is another second
    daemon.restart()
    assert daemon.status()["start_time"] == origin
    assert daemon.stop() == 0
    daemon.settings["aggregation.start_time"] = origin  # the same, said outright
    daemon.start()
    assert daemon.get_json("/v1/buckets")["buckets"] == [origin - 10, origin]
    assert daemon.wait_idle()["received"] == 0
    assert daemon.stop() == 0
    daemon.settings["aggregation.start_time"] = origin + 1
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG and "start_time" in log, log


def test_an_operator_holds_the_lock(start_daemon):
    """A fresh question is told within 2 s; what is stored is served; nothing that comes meanwhile is lost."""
    daemon = start_daemon(store__flush_interval="100ms")
    senders.TRANSPORTS["tcp"](daemon, [message("before")])
    daemon.wait_idle()
    shell = sqlite3.connect(daemon.db, isolation_level=None)
    try:
        shell.execute("BEGIN IMMEDIATE")
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message("during")])
        for _ in range(2):
            begun = time.monotonic()
            response = daemon.get("/v1/top")
            passed = time.monotonic() - begun
            assert (response.status, response.error["code"]) == (503, "store_unavailable")
            assert passed < 2.5 * max(1, SCALE)
        response = daemon.get_json("/v1/top", {"fresh": "false"})
        assert {row["function"] for row in response["functions"]} == {"before"}
        status = daemon.status()
        assert status["pending"] == 4 and status["received"] == 5 and status["store_error"]
        assert daemon.get("/healthz").status == 503
        assert daemon.get("/metrics").status == 200
        assert daemon.rejects() == []
    finally:
        shell.rollback() if shell.in_transaction else None
        shell.close()
    wait_until(lambda: daemon.get("/v1/top").status == 200)
    assert calls(daemon) == {"before": 1, "during": 4}
    status = daemon.wait_idle()
    assert (status["accepted"], status["store_error"]) == (5, None)
    assert daemon.get("/healthz").status == 200


# Sockets.


def test_a_stale_socket_is_replaced_and_a_live_one_refused(new_daemon):
    daemon = new_daemon()
    paths = {key: daemon.settings[key] for key in ("control.socket", "ingest.unix_stream", "ingest.unix_datagram")}
    for key, path in paths.items():
        kind = socket.SOCK_DGRAM if key.endswith("datagram") else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as stale:
            stale.bind(str(path))
    daemon.start()
    for kind in UNIX:
        senders.TRANSPORTS[kind](daemon, [message()])
    assert calls(daemon) == {"f": 2}
    for key, path in paths.items():
        code, log = new_daemon({key: path}).run_to_exit()
        assert code > 0, log
        assert str(path) in log
    for kind in UNIX:
        senders.TRANSPORTS[kind](daemon, [message()])
    assert calls(daemon) == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4


@pytest.mark.parametrize("key", ["control.socket", "ingest.unix_stream", "ingest.unix_datagram"])
def test_what_is_no_socket_is_left_alone(new_daemon, key):
    daemon = new_daemon()
    path = daemon.folder / "precious"
    path.write_text("somebody needs this")
    daemon.settings[key] = path
    code, log = daemon.run_to_exit()
    assert code > 0, log
    assert "precious" in log
    assert path.read_text() == "somebody needs this"


def test_modes_of_sockets(start_daemon):
    def modes(daemon):
        paths = (daemon.control, daemon.folder / "s.sock", daemon.folder / "d.sock")
        return [stat.S_IMODE(path.stat().st_mode) for path in paths]

    for umask in (0o022, 0o077):
        old = os.umask(umask)
        try:
            plain = start_daemon()
            chosen = start_daemon(control__socket_mode="0600", ingest__socket_mode="0620")
        finally:
            os.umask(old)
        assert modes(plain) == [0o660, 0o666, 0o666]
        assert modes(chosen) == [0o600, 0o620, 0o620]
        assert not plain.db.stat().st_mode & 0o007  # readable by its owner and by the group, nobody else


def test_group_of_the_control_socket(start_daemon, new_daemon):
    import grp
    mine = [grp.getgrgid(gid) for gid in {*os.getgroups(), os.getgid()}]
    groups = mine if os.geteuid() else [grp.getgrnam("daemon"), *mine]
    daemon = start_daemon(control__socket_group=groups[0].gr_name)
    assert daemon.control.stat().st_gid == groups[0].gr_gid
    code, log = new_daemon({"control.socket_group": "no-such-group-here"}).run_to_exit()
    assert code > 0 and "no-such-group-here" in log, log


@pytest.mark.parametrize("kind, key", [("tcp", "ingest.tcp"), ("udp", "ingest.udp"), ("tcp", "control.http")])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_port_in_use(new_daemon, kind, key, threads):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == "tcp":
            taken.listen()
        where = "127.0.0.1:%d" % taken.getsockname()[1]
        daemon = new_daemon({key: where, "ingest.threads": threads})
        code, log = daemon.run_to_exit()
        assert code > 0, log
        assert where in log and "in use" in log
    assert daemon.start().get("/healthz").status == 200  # and once it is free, it starts


def test_nobody_else_takes_the_port(start_daemon):
    """An own port that others may bind beside would let them take datagrams."""
    daemon = start_daemon()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):
            thief.bind(daemon.address("udp"))
    senders.TRANSPORTS["udp"](daemon, [message()])
    assert daemon.wait_idle()["accepted"] == 1


def test_ready_means_listening(new_daemon):
    """Once the control socket answers, every ingest socket takes messages, at once."""
    for _ in range(5):
        daemon = new_daemon({"ingest.threads": 2}).start()
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message()])
        assert calls(daemon) == {"f": 4}
        assert daemon.wait_idle()["accepted"] == 4


# Options.


def test_version_and_help():
    version = run("--version")
    assert version.returncode == 0 and version.stderr == ""
    assert any(part[0].isdigit() and "." in part for part in version.stdout.split()), version.stdout
    text = run("--help")
    assert text.returncode == 0 and text.stderr == ""
    for option in ("--config", "--set", "--check-config", "--version", "--help"):
        assert option in text.stdout


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-x"], ["word"], ["--config"], ["--set"], ["--set="],
                                       ["--check-config", "more"]])
def test_wrong_options(arguments, tmp_path):
    """Said on standard error; nothing is started."""
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode > 0
    assert done.stderr.strip() and done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", ["ingest.threads=0", "ingest.threads", "nonsense.key=1", "ingest.nonsense=1", "=",
                                  "ingest.udp=here", "aggregation.time_slice=0s",
                                  "aggregation.retention=7s:1d", "log.level=loud"])
def test_a_bad_set_is_a_bad_configuration(new_daemon, word):
    daemon = new_daemon()
    key, _, value = word.partition("=")
    command = [*daemon.command(), "--set", word]
    for more in ([], ["--check-config"]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == EX_CONFIG, done
        assert key in done.stderr + done.stdout
    assert not daemon.db.exists()


def test_check_config(new_daemon):
    daemon = new_daemon(config_text="[ingest]\nthreads = 2\n")

    def check():
        return subprocess.run(daemon.command("--check-config"), capture_output=True, text=True, timeout=TIMEOUT)

    assert check().returncode == 0, check()
    daemon.config.write_text("[ingest]\nthreads = 2\n\n[store]\nflush_interval = soon\n")
    done = check()
    assert done.returncode == EX_CONFIG
    said = done.stderr + done.stdout
    assert f"{daemon.config}:5" in said and "flush_interval" in said, said
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG and "flush_interval" in log
    daemon.config.unlink()
    assert check().returncode == EX_CONFIG  # a file that was asked for by name and is not there
    assert sorted(path.name for path in daemon.folder.iterdir()) == ["log.1"]  # it only checked


# Reload.


@pytest.fixture
def reloading(new_daemon):
    """A daemon whose reloadable keys stand in its file; configure(text) writes it and sends SIGHUP."""
    daemon = new_daemon({"aggregation.max_future": False}, "[aggregation]\nmax_future = off\n").start()

    def configure(text):
        daemon.config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
    daemon.configure = configure
    return daemon


def takes_future(daemon):
    """Whether a message an hour ahead is accepted now."""
    stream = senders.Stream(daemon)
    responses = stream.send(message("future", stamp=int(time.time()) + 3600)).finish()
    assert not responses or responses[0]["error"]["code"] == "too_new"
    return not responses


def test_reload_changes_max_future(reloading):
    daemon = reloading
    before = daemon.status()
    with senders.Stream(daemon) as open_before:
        open_before.send(message() + b"\n")
        wait_until(lambda: daemon.status()["accepted"] == 1)
        assert takes_future(daemon)
        for value, taken in (("10m", False), ("2h", True), ("59m", False), ("off", True)):
            daemon.configure(f"[aggregation]\nmax_future = {value}\n")
            wait_until(lambda: takes_future(daemon) == taken, lambda: daemon.log_text())
        open_before.send(message() + b"\n")  # no connection was closed
        wait_until(lambda: calls(daemon).get("f") == 2)
        assert not open_before.closed.is_set()
    after = daemon.status()
    assert (after["pid"], after["listeners"]) == (before["pid"], before["listeners"])
    daemon.wait_idle()


def test_reload_says_what_cannot_change(reloading):
    daemon = reloading
    daemon.configure("[aggregation]\nmax_future = 10m\n[ingest]\nthreads = 2\nmax_message = 1M\n")
    wait_until(lambda: not takes_future(daemon))
    wait_until(lambda: "ingest.threads" in daemon.log_text(), daemon.log_text)
    daemon.configure("[aggregation]\nmax_future = off\n")
    wait_until(lambda: takes_future(daemon))
    daemon.wait_idle()


def test_reload_changes_the_log_level(reloading):
    daemon = reloading
    off, ahead = "[aggregation]\nmax_future = off\n", "[aggregation]\nmax_future = 10m\n"
    daemon.configure(ahead + "[ingest]\nthreads = 2\n")
    wait_until(lambda: not takes_future(daemon))
    wait_until(lambda: "ingest.threads" in daemon.log_text(), daemon.log_text)
    daemon.configure(off + "[ingest]\nthreads = 2\n[log]\nlevel = error\n")
    wait_until(lambda: takes_future(daemon))
    daemon.flush()  # goes through the loop that reloads: it is done
    quiet = daemon.log_text()
    daemon.configure(ahead + "[ingest]\nthreads = 3\n[log]\nlevel = error\n")  # would be said, were it not for the level
    wait_until(lambda: not takes_future(daemon))
    daemon.flush()
    assert daemon.log_text() == quiet
    daemon.configure(off + "[ingest]\nthreads = 2\n[log]\nlevel = info\n")
    wait_until(lambda: takes_future(daemon))
    daemon.configure(ahead + "[ingest]\nthreads = 3\n[log]\nlevel = info\n")
    wait_until(lambda: "ingest.threads" in daemon.log_text()[len(quiet):], daemon.log_text)
    daemon.wait_idle()


@pytest.mark.parametrize("text", ["[aggregation]\nmax_future = 10m\n[log]\nlevel = loud\n",
                                  "[aggregation]\nmax_future = 10m\nnonsense = 1\n", "max_future\n", None])
def test_reload_of_a_bad_file_keeps_the_old(reloading, text):
    """Nothing of it is taken, also not what stands before the mistake."""
    daemon = reloading
    before = len(daemon.log_text())
    if text is None:
        daemon.config.unlink()
        daemon.process.send_signal(signal.SIGHUP)
    else:
        daemon.configure(text)
    wait_until(lambda: "timesliced.conf" in daemon.log_text()[before:], daemon.log_text)
    assert takes_future(daemon)
    daemon.configure("[aggregation]\nmax_future = 10m\n")  # and a good one is taken afterwards
    wait_until(lambda: not takes_future(daemon))
    daemon.wait_idle()


# Log.


def test_log_lines_for_the_journal(new_daemon):
    """With a priority under the journal, without one elsewhere."""
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


def test_no_log_line_per_bad_message(start_daemon):
    daemon = start_daemon()
    senders.TRANSPORTS["tcp"](daemon, [b"bad"] * 1000)
    assert daemon.wait_idle()["rejected"]["bad_json"] == 1000
    assert len(daemon.log_text().splitlines()) < 50


def test_a_closed_standard_error_does_not_end_it(new_daemon):
    """The reader of a pipe is gone: writing to it must not kill."""
    daemon = new_daemon({"log.level": "debug"})
    reading, writing = os.pipe()
    os.close(reading)
    daemon.process = subprocess.Popen(daemon.command(), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing,
                                      cwd=daemon.folder)
    daemon.log = daemon.folder / "log.0"
    daemon.log.touch()
    os.close(writing)
    wait_until(lambda: daemon.process.poll() is not None or daemon.control.exists() and responses(daemon))
    assert daemon.process.poll() is None
    daemon.process.send_signal(signal.SIGHUP)
    senders.TRANSPORTS["tcp"](daemon, [message()])
    assert daemon.wait_idle()["accepted"] == 1


def responses(daemon):
    try:
        return daemon.status()
    except OSError:
        return None


# Sockets passed by systemd.


@pytest.mark.parametrize("threads", [1, 2])
def test_sockets_from_systemd(new_daemon, threads):
    """They replace the keys, whatever those say; what was sent before the start is there; they outlive the daemon."""
    def unix_paths(name):
        daemon.settings.update({f"ingest.{kind}": daemon.folder / f"{name}.{kind[5]}" for kind in UNIX})

    daemon = new_daemon({"ingest.threads": threads, "ingest.udp": "off"})
    daemon.settings["control.socket"] = daemon.folder / "other.c"
    sockets = passed_sockets(daemon.folder)
    try:
        daemon.control = daemon.folder / "passed.c"
        unix_paths("other")
        activate(daemon, sockets)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_connection(
                sockets["tcp"].getsockname()) as tcp:
            udp.sendto(message("early"), sockets["udp"].getsockname())
            tcp.sendall(message("early") + b"\n")
            daemon.start()
            assert calls(daemon) == {"early": 2}
        listeners = daemon.status()["listeners"]
        for name, each in sockets.items():
            where = each.getsockname()
            assert listeners[name] == (where if isinstance(where, str) else "%s:%d" % where)
        assert not [path.name for path in daemon.folder.iterdir() if path.name.startswith("other.")]
        unix_paths("passed")
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message(kind)])
        assert calls(daemon) == {"early": 2, **dict.fromkeys(senders.TRANSPORTS, 1)}
        response = control.request(sockets["http"].getsockname(), "GET", "/v1/status")
        assert response.status == 200 and response.json["pid"] == daemon.process.pid
        assert daemon.wait_idle()["accepted"] == 6
        unix_paths("other")

        # While it is down the kernel queues.
        assert daemon.stop() == 0, daemon.log_text()
        assert {"passed.c", "passed.s", "passed.d"} <= {path.name for path in daemon.folder.iterdir()}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_connection(
                sockets["tcp"].getsockname()) as tcp:
            for _ in range(20):
                udp.sendto(message("between"), sockets["udp"].getsockname())
            tcp.sendall((message("between") + b"\n") * 20)
            daemon.start()
            assert calls(daemon)["between"] == 40
        assert daemon.wait_idle()["accepted"] == 40
    finally:
        for each in sockets.values():
            each.close()


@pytest.mark.parametrize("name", ["udp", "tcp", "unix_stream", "unix_datagram", "http"])
def test_one_socket_from_systemd(new_daemon, name):
    """The others go by their keys."""
    daemon = new_daemon()
    sockets = passed_sockets(daemon.folder)
    try:
        activate(daemon, {name: sockets[name]}).start()
        listeners = daemon.status()["listeners"]
        where = sockets[name].getsockname()
        assert listeners[name] == (where if isinstance(where, str) else "%s:%d" % where)
        if name in UNIX:
            daemon.settings[f"ingest.{name}"] = where
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message()])
        assert calls(daemon) == {"f": 4}
        assert daemon.wait_idle()["accepted"] == 4
    finally:
        for each in sockets.values():
            each.close()


def test_sockets_that_are_not_for_us(new_daemon):
    """LISTEN_PID of somebody else: ignored. A socket of the wrong kind: said, and refused."""
    daemon = new_daemon()
    daemon.spawn = functools.partial(daemon.spawn, env={**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1",
                                                        "LISTEN_FDNAMES": "udp"})
    daemon.start()
    for kind in sorted(senders.TRANSPORTS):
        senders.TRANSPORTS[kind](daemon, [message()])
    assert calls(daemon) == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4
    for name, wrong in (("udp", "tcp"), ("tcp", "udp"), ("unix_stream", "unix_datagram")):
        other = new_daemon()
        sockets = passed_sockets(other.folder)
        try:
            code, log = activate(other, {name: sockets[wrong]}).run_to_exit()
            assert code > 0, (name, wrong, log)
            assert name in log
        finally:
            for each in sockets.values():
                each.close()
