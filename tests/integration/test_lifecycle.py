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
from support.daemon import BINARY, EX_CONFIG, PATIENCE, wait_until

SCALE = PATIENCE / 15
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
    return {row["function"]: row["ncalls"] for row in daemon.ask("/v1/top")["functions"]}


def image(path):
    """The database and what lies beside it, byte for byte."""
    return {name.name: name.read_bytes() for name in sorted(path.parent.glob(path.name + "*"))
            if not name.name.endswith(("-shm", ".lock", "-lock"))}


def run(*arguments, **more):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE, **more)


# Stopping.


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_stop_commits_what_was_received(daemon, how, threads):
    """Nothing is waited for between the last send and the signal: the kernel has it, so the daemon owes it."""
    one = daemon(ingest__threads=threads, store__flush_interval="1h")
    with senders.Stream(one) as tcp, senders.Stream(one, "unix") as unix, \
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.send(message("early") + b"\n")
        unix.send(message("early") + b"\n")
        wait_until(lambda: one.status()["accepted"] == 2)
        udp.connect(one.address("udp"))
        senders.TRANSPORTS["unix_datagram"](one, [message("unix_datagram")] * 5)
        unix.send((message("unix") + b"\n") * 500)
        tcp.send((message("tcp") + b"\n") * 500)
        for _ in range(50):
            udp.send(message("udp"))
        assert one.stop(how) == 0, one.log_text()
    assert stored(one.db) == {"early": 2, "unix_datagram": 5, "unix": 500, "tcp": 500, "udp": 50}
    one.start()
    assert calls(one) == {"early": 2, "unix_datagram": 5, "unix": 500, "tcp": 500, "udp": 50}
    assert one.idle()["received"] == 0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_stop_right_after_a_connection(daemon, kind):
    """Connected, sent and gone before the daemon could accept."""
    one = daemon(store__flush_interval="1h")
    to = one.address("tcp") if kind == "tcp" else str(one.settings["ingest.unix_stream"])
    for n in range(10):
        with socket.socket(socket.AF_INET if kind == "tcp" else socket.AF_UNIX) as way:
            way.settimeout(15)
            way.connect(to)
            way.sendall(message() + b"\n" + message())  # the second ends with the stream
    assert one.stop() == 0, one.log_text()
    assert stored(one.db) == {"f": 20}


def test_stop_under_a_stream_that_never_ends(daemon):
    """At most a second is read on; whole messages only, from the first on."""
    one = daemon()
    sent, stop = [0], threading.Event()

    def pour():
        with socket.create_connection(one.address("tcp")) as way:
            way.settimeout(15)
            try:
                while not stop.is_set():
                    way.sendall((message() + b"\n") * 20)
                    sent[0] += 20
            except OSError:
                sent[0] += 20  # a part of the last send may have been taken

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        wait_until(lambda: one.status()["accepted"] > 1000)
        known = one.status()["accepted"]
        assert one.stop() == 0, one.log_text()
    finally:
        stop.set()
        thread.join()
    assert known <= stored(one.db)["f"] <= sent[0]


def test_stop_with_idle_and_half_sent_connections(daemon):
    """Open connections, on all sockets, do not hold it up; half a line is no message."""
    one = daemon()
    ways = [senders.Stream(one, kind) for kind in ("tcp", "unix") for _ in range(3)]
    for way in ways[::2]:
        way.send(message("whole") + b"\n" + message("half")[:30])
    asking = control.UnixConnection(str(one.control))
    asking.connect()
    asking.sock.sendall(b"GET /v1/sta")
    wait_until(lambda: one.status()["accepted"] == 3)
    assert one.stop() == 0, one.log_text()
    for way in ways:
        way.wait_closed()
        way.close()
    asking.close()
    assert stored(one.db) == {"whole": 3}


def test_kill_keeps_what_was_flushed(daemon):
    one = daemon(store__flush_interval="1h")
    for n in range(3):
        senders.TRANSPORTS["tcp"](one, [message()] * 10)
        one.flush()
        senders.TRANSPORTS["tcp"](one, [message("lost")])
        one.kill()
        one.start()  # sockets of the dead one are in its way
        assert calls(one) == {"f": 10 * (n + 1)}
    assert one.idle()["received"] == 0
    wait_until(lambda: one.get("/healthz").status == 200)


def test_kills_at_any_moment(daemon):
    """Under load, killed and started again: what is stored is whole messages, never more than was sent, and never less
    than an answer has shown."""
    one = daemon(store__flush_interval="20ms", ingest__threads=2)
    sent = shown = 0
    for round_ in range(5):
        for _ in range(3):
            senders.TRANSPORTS["unix_stream"](one, [message("a"), message("b")] * 20, sockets=2)
            sent += 40
        if round_ % 2:
            shown = one.ask("/v1/top")["profiles"]
            assert shown <= sent
        one.kill()
        one.start()
        profiles = one.ask("/v1/top")["profiles"]
        assert shown <= profiles <= sent
        assert sum(calls(one).values()) == profiles
        shown = sent = profiles
    assert one.idle()["store_error"] is None


# One database, one daemon, one grid.


def test_second_daemon_on_the_same_database(daemon, prepare):
    one = daemon()
    senders.TRANSPORTS["tcp"](one, [message()])
    one.flush()
    before = one.status()["listeners"]
    for settings in ({"store.path": one.db}, {"store.path": one.folder / "." / ".." / one.folder.name / "t.db"}):
        code, log = prepare(settings).refused()
        assert code == EX_CONFIG, log
        assert "t.db" in log
    link = one.folder / "link.db"
    link.symlink_to(one.db)
    code, log = prepare({"store.path": link}).refused()
    assert code == EX_CONFIG, log
    assert one.status()["listeners"] == before
    senders.TRANSPORTS["udp"](one, [message()])
    assert calls(one) == {"f": 2}
    one.restart()
    assert calls(one) == {"f": 2}
    assert one.idle()["store_error"] is None


def test_the_same_command_twice(daemon, prepare):
    """All its sockets and its database are taken; the one that runs does not notice."""
    one = daemon()
    code, log = prepare(one.settings).refused()
    assert code > 0, log
    for kind in sorted(senders.TRANSPORTS):
        senders.TRANSPORTS[kind](one, [message()])
    assert calls(one) == {"f": 4}
    assert one.idle()["accepted"] == 4


@pytest.mark.parametrize("key, value, word", [
    ("aggregation.time_slice", "5s", "time_slice"), ("aggregation.time_slice", "20s", "time_slice"),
    ("aggregation.start_time", "5", "start_time"), ("aggregation.start_time", "0.000000001", "start_time")])
def test_another_grid_is_refused(daemon, key, value, word):
    one = daemon()
    senders.TRANSPORTS["tcp"](one, [message()])
    one.idle()
    assert one.stop() == 0
    before, settings = image(one.db), dict(one.settings)
    one.settings[key] = value
    one.settings["aggregation.retention"] = f"{one.settings.get('aggregation.time_slice', '10s')}:290y"
    code, log = one.refused()
    assert code == EX_CONFIG, log
    assert word in log
    assert image(one.db) == before
    one.settings = settings
    one.start()
    assert calls(one) == {"f": 1}
    assert one.idle()["received"] == 0


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
def test_a_file_that_must_not_be_used(prepare, harm):
    one = prepare()
    if not harm.__name__.startswith("foreign"):
        one.start()
        senders.TRANSPORTS["tcp"](one, [message()])
        one.idle()
        assert one.stop() == 0
    harm(one.db)
    before = image(one.db)
    code, log = one.refused()
    assert code == EX_CONFIG, log
    assert "t.db" in log
    assert image(one.db) == before


def test_start_time_now_is_fixed_once(daemon):
    before = time.time()
    one = daemon(aggregation__start_time="now")
    after = time.time()
    origin = one.status()["start_time"]
    assert isinstance(origin, int) and int(before) <= origin <= after
    senders.TRANSPORTS["tcp"](one, [message(stamp=origin), message(stamp=origin - 1)])
    assert one.ask("/v1/buckets")["buckets"] == [origin - 10, origin]
    one.idle()
    time.sleep(max(0, origin + 1.1 - time.time()))  # now is another second
    one.restart()
    assert one.status()["start_time"] == origin
    assert one.stop() == 0
    one.settings["aggregation.start_time"] = origin  # the same, said outright
    one.start()
    assert one.ask("/v1/buckets")["buckets"] == [origin - 10, origin]
    assert one.idle()["received"] == 0
    assert one.stop() == 0
    one.settings["aggregation.start_time"] = origin + 1
    code, log = one.refused()
    assert code == EX_CONFIG and "start_time" in log, log


def test_an_operator_holds_the_lock(daemon):
    """A fresh question is told within 2 s; what is stored is served; nothing that comes meanwhile is lost."""
    one = daemon(store__flush_interval="100ms")
    senders.TRANSPORTS["tcp"](one, [message("before")])
    one.idle()
    shell = sqlite3.connect(one.db, isolation_level=None)
    try:
        shell.execute("BEGIN IMMEDIATE")
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](one, [message("during")])
        for _ in range(2):
            begun = time.monotonic()
            answer = one.get("/v1/top")
            passed = time.monotonic() - begun
            assert (answer.status, answer.error["code"]) == (503, "store_unavailable")
            assert passed < 2.5 * max(1, SCALE)
        answer = one.ask("/v1/top", {"fresh": "false"})
        assert {row["function"] for row in answer["functions"]} == {"before"}
        status = one.status()
        assert status["pending"] == 4 and status["received"] == 5 and status["store_error"]
        assert one.get("/healthz").status == 503
        assert one.get("/metrics").status == 200
        assert one.rejects() == []
    finally:
        shell.rollback() if shell.in_transaction else None
        shell.close()
    wait_until(lambda: one.get("/v1/top").status == 200)
    assert calls(one) == {"before": 1, "during": 4}
    status = one.idle()
    assert (status["accepted"], status["store_error"]) == (5, None)
    assert one.get("/healthz").status == 200


# Sockets.


def test_a_stale_socket_is_replaced_and_a_live_one_refused(daemon, prepare):
    one = prepare()
    paths = {key: one.settings[key] for key in ("control.socket", "ingest.unix_stream", "ingest.unix_datagram")}
    for key, path in paths.items():
        kind = socket.SOCK_DGRAM if key.endswith("datagram") else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as stale:
            stale.bind(str(path))
    one.start()
    for kind in UNIX:
        senders.TRANSPORTS[kind](one, [message()])
    assert calls(one) == {"f": 2}
    for key, path in paths.items():
        code, log = prepare({key: path}).refused()
        assert code > 0, log
        assert str(path) in log
    for kind in UNIX:
        senders.TRANSPORTS[kind](one, [message()])
    assert calls(one) == {"f": 4}
    assert one.idle()["accepted"] == 4


@pytest.mark.parametrize("key", ["control.socket", "ingest.unix_stream", "ingest.unix_datagram"])
def test_what_is_no_socket_is_left_alone(prepare, key):
    one = prepare()
    path = one.folder / "precious"
    path.write_text("somebody needs this")
    one.settings[key] = path
    code, log = one.refused()
    assert code > 0, log
    assert "precious" in log
    assert path.read_text() == "somebody needs this"


def test_modes_of_sockets(daemon):
    def modes(one):
        paths = (one.control, one.folder / "s.sock", one.folder / "d.sock")
        return [stat.S_IMODE(path.stat().st_mode) for path in paths]

    for umask in (0o022, 0o077):
        old = os.umask(umask)
        try:
            plain = daemon()
            chosen = daemon(control__socket_mode="0600", ingest__socket_mode="0620")
        finally:
            os.umask(old)
        assert modes(plain) == [0o660, 0o666, 0o666]
        assert modes(chosen) == [0o600, 0o620, 0o620]
        assert not plain.db.stat().st_mode & 0o007  # readable by its owner and by the group, nobody else


def test_group_of_the_control_socket(daemon, prepare):
    import grp
    mine = [grp.getgrgid(gid) for gid in {*os.getgroups(), os.getgid()}]
    groups = mine if os.geteuid() else [grp.getgrnam("daemon"), *mine]
    one = daemon(control__socket_group=groups[0].gr_name)
    assert one.control.stat().st_gid == groups[0].gr_gid
    code, log = prepare({"control.socket_group": "no-such-group-here"}).refused()
    assert code > 0 and "no-such-group-here" in log, log


@pytest.mark.parametrize("kind, key", [("tcp", "ingest.tcp"), ("udp", "ingest.udp"), ("tcp", "control.http")])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_port_in_use(prepare, kind, key, threads):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == "tcp":
            taken.listen()
        where = "127.0.0.1:%d" % taken.getsockname()[1]
        one = prepare({key: where, "ingest.threads": threads})
        code, log = one.refused()
        assert code > 0, log
        assert where in log and "in use" in log
    assert one.start().get("/healthz").status == 200  # and once it is free, it starts


def test_nobody_else_takes_the_port(daemon):
    """An own port that others may bind beside would let them take datagrams."""
    one = daemon()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):
            thief.bind(one.address("udp"))
    senders.TRANSPORTS["udp"](one, [message()])
    assert one.idle()["accepted"] == 1


def test_ready_means_listening(prepare):
    """Once the control socket answers, every ingest socket takes messages, at once."""
    for _ in range(5):
        one = prepare({"ingest.threads": 2}).start()
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](one, [message()])
        assert calls(one) == {"f": 4}
        assert one.idle()["accepted"] == 4


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
def test_a_bad_set_is_a_bad_configuration(prepare, word):
    one = prepare()
    key, _, value = word.partition("=")
    command = [*one.command(), "--set", word]
    for more in ([], ["--check-config"]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == EX_CONFIG, done
        assert key in done.stderr + done.stdout
    assert not one.db.exists()


def test_check_config(prepare):
    one = prepare(config_text="[ingest]\nthreads = 2\n")

    def check():
        return subprocess.run(one.command("--check-config"), capture_output=True, text=True, timeout=PATIENCE)

    assert check().returncode == 0, check()
    one.config.write_text("[ingest]\nthreads = 2\n\n[store]\nflush_interval = soon\n")
    done = check()
    assert done.returncode == EX_CONFIG
    said = done.stderr + done.stdout
    assert f"{one.config}:5" in said and "flush_interval" in said, said
    code, log = one.refused()
    assert code == EX_CONFIG and "flush_interval" in log
    one.config.unlink()
    assert check().returncode == EX_CONFIG  # a file that was asked for by name and is not there
    assert sorted(path.name for path in one.folder.iterdir()) == ["log.1"]  # it only checked


# Reload.


@pytest.fixture
def reloading(prepare):
    """A daemon whose reloadable keys stand in its file; configure(text) writes it and sends SIGHUP."""
    one = prepare({"aggregation.max_future": False}, "[aggregation]\nmax_future = off\n").start()

    def configure(text):
        one.config.write_text(text)
        one.process.send_signal(signal.SIGHUP)
    one.configure = configure
    return one


def takes_future(daemon):
    """Whether a message an hour ahead is accepted now."""
    way = senders.Stream(daemon)
    answers = way.send(message("future", stamp=int(time.time()) + 3600)).finish()
    assert not answers or answers[0]["error"]["code"] == "too_new"
    return not answers


def test_reload_changes_max_future(reloading):
    one = reloading
    before = one.status()
    with senders.Stream(one) as open_before:
        open_before.send(message() + b"\n")
        wait_until(lambda: one.status()["accepted"] == 1)
        assert takes_future(one)
        for value, taken in (("10m", False), ("2h", True), ("59m", False), ("off", True)):
            one.configure(f"[aggregation]\nmax_future = {value}\n")
            wait_until(lambda: takes_future(one) == taken, lambda: one.log_text())
        open_before.send(message() + b"\n")  # no connection was closed
        wait_until(lambda: calls(one).get("f") == 2)
        assert not open_before.closed.is_set()
    after = one.status()
    assert (after["pid"], after["listeners"]) == (before["pid"], before["listeners"])
    one.idle()


def test_reload_says_what_cannot_change(reloading):
    one = reloading
    one.configure("[aggregation]\nmax_future = 10m\n[ingest]\nthreads = 2\nmax_message = 1M\n")
    wait_until(lambda: not takes_future(one))
    wait_until(lambda: "ingest.threads" in one.log_text(), one.log_text)
    one.configure("[aggregation]\nmax_future = off\n")
    wait_until(lambda: takes_future(one))
    one.idle()


def test_reload_changes_the_log_level(reloading):
    one = reloading
    off, ahead = "[aggregation]\nmax_future = off\n", "[aggregation]\nmax_future = 10m\n"
    one.configure(ahead + "[ingest]\nthreads = 2\n")
    wait_until(lambda: not takes_future(one))
    wait_until(lambda: "ingest.threads" in one.log_text(), one.log_text)
    one.configure(off + "[ingest]\nthreads = 2\n[log]\nlevel = error\n")
    wait_until(lambda: takes_future(one))
    one.flush()  # goes through the loop that reloads: it is done
    quiet = one.log_text()
    one.configure(ahead + "[ingest]\nthreads = 3\n[log]\nlevel = error\n")  # would be said, were it not for the level
    wait_until(lambda: not takes_future(one))
    one.flush()
    assert one.log_text() == quiet
    one.configure(off + "[ingest]\nthreads = 2\n[log]\nlevel = info\n")
    wait_until(lambda: takes_future(one))
    one.configure(ahead + "[ingest]\nthreads = 3\n[log]\nlevel = info\n")
    wait_until(lambda: "ingest.threads" in one.log_text()[len(quiet):], one.log_text)
    one.idle()


@pytest.mark.parametrize("text", ["[aggregation]\nmax_future = 10m\n[log]\nlevel = loud\n",
                                  "[aggregation]\nmax_future = 10m\nnonsense = 1\n", "max_future\n", None])
def test_reload_of_a_bad_file_keeps_the_old(reloading, text):
    """Nothing of it is taken, also not what stands before the mistake."""
    one = reloading
    before = len(one.log_text())
    if text is None:
        one.config.unlink()
        one.process.send_signal(signal.SIGHUP)
    else:
        one.configure(text)
    wait_until(lambda: "timesliced.conf" in one.log_text()[before:], one.log_text)
    assert takes_future(one)
    one.configure("[aggregation]\nmax_future = 10m\n")  # and a good one is taken afterwards
    wait_until(lambda: not takes_future(one))
    one.idle()


# Log.


def test_log_lines_for_the_journal(prepare):
    """With a priority under the journal, without one elsewhere."""
    journal = prepare({"log.level": "debug"})
    log = journal.folder / "log.1"
    log.touch()
    known = log.stat()
    journal.spawn = functools.partial(journal.spawn, env={**os.environ,
                                                          "JOURNAL_STREAM": f"{known.st_dev}:{known.st_ino}"})
    plain = prepare({"log.level": "debug"})
    plain.spawn = functools.partial(plain.spawn, env={k: v for k, v in os.environ.items() if k != "JOURNAL_STREAM"})
    for one in (journal, plain):
        one.start()
        one.process.send_signal(signal.SIGHUP)
        senders.TRANSPORTS["tcp"](one, [message(), b"bad"])
        one.idle()
        assert one.stop() == 0
    lines = journal.log_text().splitlines()
    assert lines and all(re.fullmatch("<[0-7]>[^<].+", line) for line in lines), lines
    lines = plain.log_text().splitlines()
    assert lines and not any(line.startswith("<") for line in lines)


def test_no_log_line_per_bad_message(daemon):
    one = daemon()
    senders.TRANSPORTS["tcp"](one, [b"bad"] * 1000)
    assert one.idle()["rejected"]["bad_json"] == 1000
    assert len(one.log_text().splitlines()) < 50


def test_a_closed_standard_error_does_not_end_it(prepare):
    """The reader of a pipe is gone: writing to it must not kill."""
    one = prepare({"log.level": "debug"})
    reading, writing = os.pipe()
    os.close(reading)
    one.process = subprocess.Popen(one.command(), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing,
                                   cwd=one.folder)
    one.log = one.folder / "log.0"
    one.log.touch()
    os.close(writing)
    wait_until(lambda: one.process.poll() is not None or one.control.exists() and answers(one))
    assert one.process.poll() is None
    one.process.send_signal(signal.SIGHUP)
    senders.TRANSPORTS["tcp"](one, [message()])
    assert one.idle()["accepted"] == 1


def answers(one):
    try:
        return one.status()
    except OSError:
        return None


# Sockets passed by systemd.


@pytest.mark.parametrize("threads", [1, 2])
def test_sockets_from_systemd(prepare, threads):
    """They replace the keys, whatever those say; what was sent before the start is there; they outlive the daemon."""
    def unix_paths(name):
        one.settings.update({f"ingest.{kind}": one.folder / f"{name}.{kind[5]}" for kind in UNIX})

    one = prepare({"ingest.threads": threads, "ingest.udp": "off"})
    one.settings["control.socket"] = one.folder / "other.c"
    sockets = passed_sockets(one.folder)
    try:
        one.control = one.folder / "passed.c"
        unix_paths("other")
        activate(one, sockets)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_connection(
                sockets["tcp"].getsockname()) as tcp:
            udp.sendto(message("early"), sockets["udp"].getsockname())
            tcp.sendall(message("early") + b"\n")
            one.start()
            assert calls(one) == {"early": 2}
        listeners = one.status()["listeners"]
        for name, each in sockets.items():
            where = each.getsockname()
            assert listeners[name] == (where if isinstance(where, str) else "%s:%d" % where)
        assert not [path.name for path in one.folder.iterdir() if path.name.startswith("other.")]
        unix_paths("passed")
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](one, [message(kind)])
        assert calls(one) == {"early": 2, **dict.fromkeys(senders.TRANSPORTS, 1)}
        answer = control.request(sockets["http"].getsockname(), "GET", "/v1/status")
        assert answer.status == 200 and answer.json["pid"] == one.process.pid
        assert one.idle()["accepted"] == 6
        unix_paths("other")

        # While it is down the kernel queues.
        assert one.stop() == 0, one.log_text()
        assert {"passed.c", "passed.s", "passed.d"} <= {path.name for path in one.folder.iterdir()}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_connection(
                sockets["tcp"].getsockname()) as tcp:
            for _ in range(20):
                udp.sendto(message("between"), sockets["udp"].getsockname())
            tcp.sendall((message("between") + b"\n") * 20)
            one.start()
            assert calls(one)["between"] == 40
        assert one.idle()["accepted"] == 40
    finally:
        for each in sockets.values():
            each.close()


@pytest.mark.parametrize("name", ["udp", "tcp", "unix_stream", "unix_datagram", "http"])
def test_one_socket_from_systemd(prepare, name):
    """The others go by their keys."""
    one = prepare()
    sockets = passed_sockets(one.folder)
    try:
        activate(one, {name: sockets[name]}).start()
        listeners = one.status()["listeners"]
        where = sockets[name].getsockname()
        assert listeners[name] == (where if isinstance(where, str) else "%s:%d" % where)
        if name in UNIX:
            one.settings[f"ingest.{name}"] = where
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](one, [message()])
        assert calls(one) == {"f": 4}
        assert one.idle()["accepted"] == 4
    finally:
        for each in sockets.values():
            each.close()


def test_sockets_that_are_not_for_us(prepare):
    """LISTEN_PID of somebody else: ignored. A socket of the wrong kind: said, and refused."""
    one = prepare()
    one.spawn = functools.partial(one.spawn, env={**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1",
                                                  "LISTEN_FDNAMES": "udp"})
    one.start()
    for kind in sorted(senders.TRANSPORTS):
        senders.TRANSPORTS[kind](one, [message()])
    assert calls(one) == {"f": 4}
    assert one.idle()["accepted"] == 4
    for name, wrong in (("udp", "tcp"), ("tcp", "udp"), ("unix_stream", "unix_datagram")):
        other = prepare()
        sockets = passed_sockets(other.folder)
        try:
            code, log = activate(other, {name: sockets[wrong]}).refused()
            assert code > 0, (name, wrong, log)
            assert name in log
        finally:
            for each in sockets.values():
                each.close()
