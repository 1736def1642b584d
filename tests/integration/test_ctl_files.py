"""timeslicectl backup, regrid and delete against a fake control socket. A file is written completely or not at all."""
import os
import re
import resource
import signal
import sqlite3
import stat

import pytest

from support.daemon import wait_until
from support.fake_control import CUT_FORMS, check_text, ctl, on_terminal, serving, start_ctl, table

T0 = 1732272000
DELETED = {"dry_run": True, "from": T0, "to": None, "functions": 3, "label_sets": 1, "buckets": 60, "rows": 180,
        "profiles": 0, "cumtime": 12.5, "tottime": 3.4, "ncalls": 500, "pcalls": 400}
SAVES = [("backup", ()), ("regrid", ("--time-slice", "60s"))]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    path = tmp_path_factory.mktemp("db") / "t.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t(x)")
    connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 4000)
    connection.commit()
    connection.close()
    data = path.read_bytes()
    assert len(data) > 1_000_000
    return data


@pytest.fixture
def daemon(tmp_path, database):
    folder = tmp_path / "daemon"
    folder.mkdir()
    responses = {"delete?dry_run=true": DELETED, "delete?dry_run=false": dict(DELETED, dry_run=False)}
    for server in serving(folder, responses):
        for name in ("backup", "regrid"):
            server.put(name, database, form="chunked")
        yield server


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    return place


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# backup and regrid.


@pytest.mark.parametrize("command, more", SAVES)
@pytest.mark.parametrize("form", ["chunked", "length"])
def test_database_is_saved(daemon, folder, database, command, more, form):
    daemon.put(command, database, form=form)
    target = folder / "b.db"
    done = ctl(command, target, *more, daemon=daemon)
    assert done.returncode == 0 and done.stderr == b""
    assert target.read_bytes() == database and names(folder) == ["b.db"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert re.fullmatch(rf"{target}: [\d.]+ MiB in .*s\n", done.stdout.decode())
    assert daemon.requests == [("POST", f"/v1/{command}", [("time_slice", "60s")] if more else [])]
    assert sqlite3.connect(target).execute("SELECT count(*) FROM t").fetchone() == (4000,)


def test_file_name_without_a_folder(daemon, folder, database):
    assert ctl("backup", "b.db", daemon=daemon, cwd=folder).returncode == 0
    assert (folder / "b.db").read_bytes() == database and names(folder) == ["b.db"]
    assert ctl("backup", "-x.db", daemon=daemon, cwd=folder).returncode == 2  # an option, not a name
    assert ctl("backup", "./-x.db", daemon=daemon, cwd=folder).returncode == 0


def test_existing_file_is_kept_without_force(daemon, folder, database):
    target = folder / "b.db"
    target.write_text("precious")
    done = ctl("backup", target, daemon=daemon)
    assert done.returncode == 1 and b"already exists" in done.stderr and b"--force" in done.stderr
    assert daemon.requests == []  # detected before any request
    assert target.read_text() == "precious" and names(folder) == ["b.db"]
    assert ctl("backup", target, "--force", daemon=daemon).returncode == 0
    assert target.read_bytes() == database and stat.S_IMODE(target.stat().st_mode) == 0o600


def test_failed_transfer_keeps_the_existing_file(daemon, folder, database):
    target = folder / "b.db"
    target.write_text("precious")
    daemon.put("backup", database, form="cut")
    assert ctl("backup", target, "--force", daemon=daemon).returncode == 1
    assert target.read_text() == "precious" and names(folder) == ["b.db"]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_only_regular_files_are_replaced(daemon, folder, force):
    (folder / "precious").write_text("precious")
    (folder / "link.db").symlink_to("precious")
    (folder / "hanging.db").symlink_to("nowhere")
    os.mkfifo(folder / "fifo")
    before = names(folder)
    for name in ("link.db", "hanging.db", "fifo", "."):
        done = ctl("backup", folder / name, *force, daemon=daemon)
        assert done.returncode == 1 and b"not a regular file" in done.stderr, name
    assert ctl("backup", "/dev/null", *force, daemon=daemon).returncode == 1
    assert names(folder) == before and (folder / "precious").read_text() == "precious"


@pytest.mark.parametrize("end", ["-wal", "-journal"])
def test_log_of_another_database_is_an_error(daemon, folder, end):
    """SQLite would apply it to the new file."""
    (folder / f"b.db{end}").write_text("")
    for force in ([], ["--force"]):
        done = ctl("backup", folder / "b.db", *force, daemon=daemon)
        assert done.returncode == 1 and f"b.db{end} exists" in done.stderr.decode()
    assert names(folder) == [f"b.db{end}"]


@pytest.mark.parametrize("command, more", SAVES)
@pytest.mark.parametrize("form", CUT_FORMS)
def test_interrupted_response_is_an_error(daemon, folder, database, command, more, form):
    """Each cut is at the end of a page, so that only the transfer shows it."""
    for size in (0, 4096, len(database) // 8192 * 4096, len(database)):
        daemon.put(command, database[:size], form=form)
        done = ctl(command, folder / "b.db", *more, daemon=daemon)
        assert done.returncode == 1 and done.stdout == b"", size
        assert b"broke off" in done.stderr and names(folder) == []
        assert (b"partial file was removed" in done.stderr) == (size > 0)


def test_response_without_length_is_an_error(daemon, folder, database):
    daemon.put("backup", database, form="open")
    done = ctl("backup", folder / "b.db", daemon=daemon)
    assert done.returncode == 1 and b"neither a length nor chunks" in done.stderr and names(folder) == []


def test_response_that_is_not_a_database_is_an_error(daemon, folder, database):
    short = database[:len(database) // 2]
    for body, part in ((b"", b"not an SQLite"), (b"{}", b"not an SQLite"), (b"x" * 4096, b"not an SQLite"),
                       (database[:80], b"not an SQLite"), (short[:-1], b"incomplete"), (short[:4096], b"incomplete"),
                       (database[:-4096], b"incomplete"), (database[:16] + b"\0\1" + database[18:], None)):
        daemon.put("backup", body)
        done = ctl("backup", folder / "b.db", daemon=daemon)
        if part is None:  # the header states pages of 64 KiB, and the length is not a multiple of that
            assert done.returncode == 1 and b"incomplete" in done.stderr
            continue
        assert done.returncode == 1 and part in done.stderr, body[:20]
        assert names(folder) == []


def test_error_of_the_daemon_is_reported(daemon, folder):
    error = {"code": "bad_parameter", "parameter": "time_slice", "message": "7s does not fit"}
    daemon.put("regrid", {"error": error}, 400)
    done = ctl("regrid", folder / "b.db", "--time-slice", "7s", daemon=daemon)
    assert done.returncode == 1 and b"7s does not fit (bad_parameter, parameter time_slice)\n" in done.stderr
    assert names(folder) == []
    done = ctl("backup", folder / "b.db", "--socket", folder / "none.sock")
    assert done.returncode == 3 and names(folder) == []


def test_missing_folder_is_an_error(daemon, folder):
    done = ctl("backup", folder / "none" / "b.db", daemon=daemon)
    assert done.returncode == 1 and b"No such file" in done.stderr and daemon.requests == []


def test_full_disk_is_an_error(daemon, folder):
    """A limit on the file size makes a write in the middle fail, as on a full disk."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    done = ctl("backup", folder / "b.db", daemon=daemon, preexec_fn=limit)
    assert done.returncode == 1 and b"cannot write" in done.stderr and b"File too large" in done.stderr
    assert names(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
                                    signal.SIGXCPU, signal.SIGALRM, signal.SIGUSR1, signal.SIGUSR2])
def test_signal_removes_the_partial_file(daemon, folder, number):
    daemon.may_end.clear()  # all data arrives, but not the end
    child = start_ctl("backup", folder / "b.db", daemon=daemon)
    wait_until(lambda: names(folder) and (folder / names(folder)[0]).stat().st_size > 1_000_000)
    [part] = names(folder)
    assert re.fullmatch(r"b\.db\.\w{6}\.part", part) and stat.S_IMODE((folder / part).stat().st_mode) == 0o600
    child.send_signal(number)
    child.communicate(timeout=10)
    assert child.returncode == -number and names(folder) == []


def test_file_created_during_the_transfer_is_kept(daemon, folder):
    daemon.may_end.clear()
    target = folder / "b.db"
    child = start_ctl("backup", target, daemon=daemon)
    wait_until(lambda: names(folder))
    target.write_text("precious")
    daemon.may_end.set()
    err = child.communicate(timeout=10)[1]
    assert child.returncode == 1 and b"already exists" in err
    assert target.read_text() == "precious" and names(folder) == ["b.db"]


def test_backup_to_standard_output(daemon, folder, database):
    done = ctl("backup", "-", daemon=daemon)
    assert done.returncode == 0 and done.stdout == database
    assert re.fullmatch(r"standard output: [\d.]+ MiB in .*s\n", done.stderr.decode())
    daemon.put("backup", database[:40960], form="cut chunked")
    done = ctl("backup", "-", daemon=daemon)
    assert done.returncode == 1 and b"broke off" in done.stderr
    text, code = on_terminal(["--socket", daemon.path, "backup", "-"])
    assert code == 2 and "terminal" in text and len(text) < 500


def test_progress_is_shown_on_a_terminal(daemon, folder, database):
    daemon.put("backup", database * 20, form="length")
    text, code = on_terminal(["--socket", daemon.path, "backup", str(folder / "b.db")])
    assert code == 0 and names(folder) == ["b.db"]
    steps = re.findall(r"\r[^\r]*b\.db: [\d.]+ .?i?B of [\d.]+ MiB, (\d+)%\x1b\[K", text)
    assert steps == sorted(steps, key=int) and steps
    assert text.splitlines()[-1].endswith("s") and "\r\x1b[K" in text


@pytest.mark.parametrize("args, part", [
    (["backup"], "backup needs the file to write"), (["regrid", "x.db"], "--time-slice"),
    (["backup", ""], "must not be empty"),
    (["backup", "a", "b"], "unexpected argument b"), (["backup", "a", "--format", "json"], "does not accept --format"),
    (["backup", "a", "--time-slice", "1m"], "does not accept --time-slice"),
    (["backup", "a", "--watch", "1"], "--watch"), (["top", "a"], "unexpected argument a"),
    (["top", "--force"], "does not accept --force"),
    (["delete"], "delete needs at least one of"), (["delete", "--yes"], "delete needs at least one of"),
    (["delete", "a"], "unexpected"), (["delete", "--function", "x", "--by", "location"], "does not accept --by"),
    (["delete", "--function", "x", "--watch", "1"], "does not accept --watch"),
    (["delete", "--function", "x", "--format", "csv"], "no CSV format"), (["delete", "--label", "x"], "KEY=VALUE"),
])
def test_wrong_usage_exits_with_2(args, part, folder):
    done = ctl(*args, cwd=folder)
    assert done.returncode == 2 and part in done.stderr.decode() and done.stdout == b"" and names(folder) == []


@pytest.mark.parametrize("command", ["backup", "regrid", "delete", "diff"])
def test_help_describes_the_command(command):
    done = ctl(command, "--help")
    assert done.returncode == 0 and done.stderr == b""
    text = check_text(done.stdout.decode(), 80)
    operand = " FILE" if command in ("backup", "regrid") else ""
    assert text.startswith(f"Usage: timeslicectl [--socket PATH | --url URL] {command}{operand} [OPTIONS]\n")
    assert "\nExample" in text


# delete.


def test_delete_without_yes_is_a_dry_run(daemon):
    args = ("delete", "--function", "a*", "--function", "b", "--label", "service=old", "--from", "2026-01-31",
            "--to", "-1h")
    text = table(*args, daemon=daemon)
    assert text.startswith("This would be deleted: from 2024-11-22 10:40:00Z\n  functions   3\n  label sets  1\n")
    assert "  sums        180\n" in text and "  cumtime     12.5 s\n" in text
    assert text.splitlines()[-1] == "Nothing was deleted. The same command with --yes deletes it permanently."
    [(method, path, query)] = daemon.requests
    assert (method, path) == ("POST", "/v1/delete") and sorted(query) == sorted([
        ("function", "a*"), ("function", "b"), ("label.service", "old"), ("from", "2026-01-31"), ("to", "-1h"),
        ("dry_run", "true")])
    done = ctl(*args, daemon=daemon)
    assert done.returncode == 0 and done.stdout == daemon.canned["delete?dry_run=true"][1]
    assert b"nothing was deleted" in done.stderr and b"--yes" in done.stderr


def test_delete_with_yes_does_a_dry_run_first(daemon):
    text = table("delete", "--last", "1h", "--yes", daemon=daemon)
    assert text.startswith("Deleted: from") and "--yes" not in text
    assert [query for _, _, query in daemon.requests] == [[("last", "1h"), ("dry_run", "true")],
                                                          [("last", "1h"), ("dry_run", "false")]]
    done = ctl("delete", "--last", "1h", "--yes", daemon=daemon)
    assert done.returncode == 0 and done.stdout == daemon.canned["delete?dry_run=false"][1] and done.stderr == b""


def test_rejected_dry_run_deletes_nothing(daemon):
    daemon.put("delete?dry_run=true", {"error": {"code": "not_kept", "message": "the bound cuts 10:00 to 11:00"}}, 400)
    done = ctl("delete", "--to", "-90m", "--yes", daemon=daemon)
    assert done.returncode == 1 and b"cuts 10:00 to 11:00 (not_kept)" in done.stderr and len(daemon.requests) == 1


def test_delete_that_matches_nothing_is_stated(daemon):
    daemon.put("delete?dry_run=true", dict(DELETED, rows=0, functions=0, buckets=0))
    text = table("delete", "--function", "x", daemon=daemon)
    assert text == "Nothing matches: nothing was deleted. Range: from 2024-11-22 10:40:00Z\n"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", {"dry_run": False, "rows": 3}, {"dry_run": 1, "rows": 3}])
def test_response_must_confirm_the_dry_run(daemon, body):
    daemon.put("delete?dry_run=true", body)
    done = ctl("delete", "--function", "x", "--yes", daemon=daemon)
    assert done.returncode == 1 and b"dry run" in done.stderr and len(daemon.requests) == 1


def test_response_must_confirm_the_deletion(daemon):
    daemon.put("delete?dry_run=false", DELETED)
    done = ctl("delete", "--function", "x", "--yes", daemon=daemon)
    assert done.returncode == 1 and b"does not confirm the deletion" in done.stderr


@pytest.mark.parametrize("form", CUT_FORMS)
def test_interrupted_deletion_may_have_happened(daemon, form):
    daemon.put("delete?dry_run=false", b'{"dry_run": ', form=form)
    done = ctl("delete", "--function", "x", "--yes", daemon=daemon)
    assert done.returncode == 1 and done.stdout == b""
    assert b"broke off" in done.stderr and b"may have been deleted" in done.stderr
