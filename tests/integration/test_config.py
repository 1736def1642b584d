"""The configuration of the real binary: the sample file and all its keys, locations in errors, precedence.

test_lifecycle.py tests reload. The unit tests cover the values of each type, and that the sample,
docs/configuration.md and the table of keys agree.
"""
import re
import subprocess

import pytest

from support.daemon import BINARY, EX_CONFIG, TIMEOUT, ROOT

SAMPLE = ROOT / "config" / "timesliced.conf"
KEY = re.compile(r"#([a-z][a-z_]*) =(?: (.*))?")


def sample_keys():
    """(section, key, default) of each commented key."""
    section, keys = None, []
    for line in SAMPLE.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif found := KEY.fullmatch(line):
            keys.append((section, found[1], found[2] or ""))
    return keys


KEYS = sample_keys()


@pytest.fixture
def check(new_daemon, tmp_path, monkeypatch):
    """check(text or path, *sets): runs --check-config, or another option, and returns the result."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    file = tmp_path / "t.conf"

    def run(config, *sets, option="--check-config"):
        if isinstance(config, str):
            file.write_text(config)
            config = file
        arguments = [word for setting in sets for word in ("--set", setting)]
        return subprocess.run([BINARY, "--config", config, option, *arguments], capture_output=True, text=True,
                              cwd=tmp_path, timeout=TIMEOUT)
    run.file = file
    return run


def assert_rejected(result, *parts):
    """Standard output is empty; standard error has one line that contains the parts in this order."""
    assert result.returncode == EX_CONFIG, (result.returncode, result.stderr)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1 and result.stderr.endswith("\n"), result.stderr
    at = 0
    for part in parts:
        found = result.stderr.find(part, at)
        assert found >= 0, f"{part!r} is not in {result.stderr!r} after offset {at}"
        at = found + len(part)


def assert_accepted(result):
    assert (result.returncode, result.stderr) == (0, "")


def test_sample_is_accepted_with_and_without_its_keys(check):
    assert_accepted(check(SAMPLE))
    text = "".join(line[KEY.fullmatch(line.rstrip("\n")) is not None:] for line in SAMPLE.open())
    assert len(re.findall(r"^[a-z_]+ =", text, re.M)) == len(KEYS) > 20
    assert_accepted(check(text))


@pytest.mark.parametrize(("section", "key", "default"), KEYS, ids=[f"{section}.{key}" for section, key, _ in KEYS])
def test_key_accepts_its_default_and_reports_errors(check, section, key, default):
    """The default is accepted in the file and by --set. Errors name their location. A repeated key is an error."""
    assert_accepted(check(f"[{section}]\n{key} = {default}\n"))
    assert_accepted(check("", f"{section}.{key}={default}"))
    wrong = "there/is/none/" if key != "allowed_hosts" else "a/b"
    assert_rejected(check(f"# first\n[{section}]\n\n{key} = {wrong}\n"), f"{check.file}:4: {section}.{key}: ", wrong)
    assert_rejected(check("", f"{section}.{key}={wrong}"), f"--set {section}.{key}: ", wrong)
    assert_rejected(check(f"[{section}]\n{key} = {default}\n{key} = {default}\n"),
            f"{check.file}:3: {section}.{key}: ", "twice", "line 2")
    assert_rejected(check(f"[{section}]\n{key}{key[-1]} = {default}\n"),
            f"{check.file}:2: {section}.{key}", "did you mean", f"{section}.{key}?")


@pytest.mark.parametrize(("text", "parts"), [
    ("[aggregation]\ntime_slice = 0\n", ("2: aggregation.time_slice: ", '"0"', "1ms")),
    ("[aggregation]\ntime_slice = 5s\nretention = 10s:2d\n", ("3: aggregation.retention: ", "10s", "time_slice, 5s")),
    ("[ingest]\nudp\n", ("2: ", "name = value")),
    ("udp = off\n", ("1: ", "[section]")),
    ("[ingset]\n", ("1: [ingset]", "no such section", "ingest")),
    ("[ingest]\nudp = off\n tcp = off\n", ("3: ingest.udp: ", "indented")),
    ("[store]\npath = x\0y\n", ("2: ", "NUL")),
    ("[store]\npath = " + "x" * 300 + "\n", ("2: ", "longer")),
    ("[control]\nsocket_group = no-such-group-here\n", ("2: control.socket_group: ", "no such group")),
    ("[control]\nhttp = 127.0.0.1:8137\n", ("2: control.http: ", "ingest.tcp", "different ports")),
    ("[ingest]\ntcp = :9\n[control]\nhttp = [::1]:9\n", ("4: control.http: ", "ingest.tcp")),
    ("[ingest]\nunix_stream = /run/x\n[control]\nsocket = /run/x\n", ("4: control.socket: ", "ingest.unix_stream")),
], ids=str)
def test_errors_name_their_location(check, text, parts):
    assert_rejected(check(text), f"{check.file}:{parts[0]}", *parts[1:])


def test_unreadable_files_are_rejected(check, tmp_path):
    assert_rejected(check(tmp_path / "none.conf"), str(tmp_path / "none.conf"), "No such file")
    assert_rejected(check(tmp_path), str(tmp_path), "Is a directory")


def test_invalid_configuration_starts_nothing(new_daemon):
    daemon = new_daemon({"ingest.threads": False}, "[ingest]\nthreads = 65\n")
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG and f"{daemon.config}:2: ingest.threads" in log and "64" in log
    assert sorted(path.name for path in daemon.folder.iterdir()) == ["log.1", "timesliced.conf"]


def test_check_config_changes_nothing(start_daemon, new_daemon):
    """Neither without a daemon nor beside one that runs with the same configuration."""
    daemon = new_daemon()

    def run_check(daemon):
        return subprocess.run(daemon.command("--check-config"), capture_output=True, text=True, cwd=daemon.folder,
                              timeout=TIMEOUT)
    assert_accepted(run_check(daemon))
    assert [path.name for path in daemon.folder.iterdir()] == ["timesliced.conf"]
    running = start_daemon()
    pid = running.status()["pid"]
    before = {path.name for path in running.folder.iterdir()}
    assert_accepted(run_check(running))
    assert running.status()["pid"] == pid
    assert {path.name for path in running.folder.iterdir()} == before


# (key, value). {} stands for the folder of the daemon.
UNUSABLE = [
    ("ingest.udp", "192.0.2.1:0"), ("ingest.tcp", "192.0.2.1:0"), ("control.http", "192.0.2.1:0"),
    ("ingest.udp", "[2001:db8::1]:0"), ("control.http", "[2001:db8::1]:0"), ("ingest.tcp", "[fe80::1]:0"),
    *[(key, path) for key in ("ingest.unix_stream", "ingest.unix_datagram", "control.socket")
      for path in ("/tmp", "{}/none/x.sock", "{}/file", "{}/file/x.sock", "{}/link")],
    ("store.path", "/tmp"), ("store.path", "{}/none/t.db"), ("store.path", "{}/file"), ("store.path", "{}/file/t.db"),
    ("store.path", "{}/loop"), ("store.path", "/dev/null"),
]


@pytest.mark.parametrize(("key", "value"), UNUSABLE)
def test_check_config_reports_what_the_start_refuses(new_daemon, key, value):
    """Both exit with 78, because a restart does not help, and create nothing. The check names key and place."""
    daemon = new_daemon()
    (daemon.folder / "file").write_text("x" * 200)
    (daemon.folder / "link").symlink_to("/nowhere/x")
    (daemon.folder / "loop").symlink_to("loop")
    daemon.settings[key] = value.format(daemon.folder)
    before = sorted(path.name for path in daemon.folder.iterdir())
    done = subprocess.run(daemon.command("--check-config"), capture_output=True, text=True, timeout=TIMEOUT)
    assert_rejected(done, f"--set {key}: ")
    assert sorted(path.name for path in daemon.folder.iterdir()) == before
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG, log
    assert not [path.name for path in daemon.folder.iterdir() if path.suffix == ".sock"]


def test_start_that_may_succeed_later_exits_with_1(start_daemon, new_daemon):
    """An address or a path in use: the check accepts it, and another start may succeed."""
    running = start_daemon()
    for key, value in [("ingest.tcp", "%s:%d" % running.address("tcp")), ("ingest.udp", "%s:%d" % running.address("udp")),
                       ("control.socket", running.control), ("ingest.unix_datagram", running.folder / "d.sock")]:
        daemon = new_daemon({key: value})
        assert_accepted(subprocess.run(daemon.command("--check-config"), capture_output=True, text=True,
                                       timeout=TIMEOUT))
        code, log = daemon.run_to_exit()
        assert code == 1, (key, log)


def test_missing_folder_of_the_service_is_accepted_by_the_check(check):
    """systemd creates these two folders when it starts the service."""
    assert_accepted(check("[ingest]\nunix_stream = /run/timesliced/stream.sock\n"))
    assert_accepted(check("[store]\npath = /var/lib/timesliced/other.db\n"))


def test_set_overrides_the_file_and_the_file_the_default(start_daemon):
    daemon = start_daemon("[aggregation]\ntime_slice = 250ms\nstart_time = 1970-01-01T00:00:07Z\n"
                          "retention = 250ms:290y\n[ingest]\nudp = off\ntcp = off\nunix_stream = off\nthreads = 3\n",
                          aggregation__time_slice=False, aggregation__retention=False, ingest__udp=False,
                          ingest__unix_stream=False, ingest__tcp="localhost:0")
    status = daemon.status()
    assert float(status["time_slice"]) == 0.25 and status["start_time"] == 7
    assert {"udp", "unix_stream"}.isdisjoint(status["listeners"])
    assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", status["listeners"]["tcp"])
    assert status["listeners"]["unix_datagram"] == str(daemon.folder / "d.sock")


def test_memory_limit_below_the_longest_message(start_daemon):
    """The limit is below ingest.max_message: such a message cannot be received, but the daemon starts."""
    daemon = start_daemon(ingest__memory_limit="1M")
    assert daemon.status()["received"] == 0


def printed(result):
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_show_config_prints_every_key_of_the_sample(check):
    sample = "".join(line[KEY.fullmatch(line.rstrip("\n")) is not None:] for line in SAMPLE.open())
    lines = [line for line in sample.splitlines() if line and not line.startswith("#")]
    text = printed(check("", option="--show-config"))
    assert [line.partition("=")[0] for line in text.splitlines() if line] == [line.partition("=")[0] for line in lines]
    assert printed(check(sample, option="--show-config")) == text
    assert printed(check(SAMPLE, option="--show-config")) == text


@pytest.mark.parametrize(("text", "sets"), [
    ("", ()),
    ("[aggregation]\ntime_slice = 250ms\nstart_time = now\nretention = 250ms:1h\n 1s:1d\n\t1m:10y\n", ()),
    ("[ingest]\nudp = localhost:1\nunix_stream = /run/a b.sock\n[control]\nsocket = off\n", ("ingest.threads=7",)),
    ("[control]\nallowed_hosts = " + " ".join(f"host-{n:03}.example,\n" for n in range(60)), ("log.level=debug",)),
    ("", ("store.path=/tmp/" + "x" * 185, "control.socket_group=root")),
])
def test_shown_configuration_is_a_configuration_file(check, text, sets):
    """It is accepted, and printing it again changes nothing."""
    first = printed(check(text, *sets, option="--show-config"))
    for one in sets:
        section, key, value = re.match(r"(\w+)\.(\w+)=(.*)", one).groups()
        part = re.search(rf"^\[{section}\]\n(.*?)(?=^\[|\Z)", first, re.M | re.S)[1]
        assert re.search(rf"^{key} ?= ?{re.escape(value)}$", part, re.M), part
    assert_accepted(check(first))
    assert printed(check(first, option="--show-config")) == first


def test_show_config_rejects_an_invalid_file(check):
    assert_rejected(check("[log]\nlevel = loud\n", option="--show-config"), f"{check.file}:2: log.level: ", '"loud"')
    assert_rejected(check("", "log.level=loud", option="--show-config"), "--set log.level: ", '"loud"')


def test_show_config_reports_a_full_disk(check, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "--config", "/dev/null", "--show-config"], stdout=full, stderr=subprocess.PIPE,
                              text=True, cwd=tmp_path, timeout=TIMEOUT)
    assert done.returncode == 1 and "No space left" in done.stderr


def test_folders_of_systemd_are_used(new_daemon, monkeypatch):
    daemon = new_daemon({"control.socket": False, "store.path": False})
    runtime, state = daemon.folder / "run", daemon.folder / "state"
    runtime.mkdir()
    state.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{runtime}:{daemon.folder}/other")
    monkeypatch.setenv("STATE_DIRECTORY", f"{state}:{daemon.folder}/other")
    daemon.control, daemon.db = runtime / "control.sock", state / "timesliced.db"
    daemon.start()
    assert daemon.status()["listeners"]["control"] == str(daemon.control)
    assert daemon.db.exists()
    assert not (daemon.folder / "other").exists()


def test_errors_have_priorities_in_the_journal(check, monkeypatch):
    text = "[log]\nlevel = loud\n"
    assert_rejected(check(text), "error: ", f"{check.file}:2: log.level: ")
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    result = check(text)
    assert_rejected(result, f"{check.file}:2: log.level: ")
    assert result.stderr.startswith("<3>")
