"""timeslicectl streams JSON and CSV: responses of any size in bounded memory, and never silently truncated."""
import json
import os
import pathlib
import re
import select
import subprocess
import time

import pytest

from support.fake_control import BINARY, CUT_FORMS, ctl, environment, on_terminal, serving, start_ctl

TOP = {"from": None, "to": None, "profiles": 0, "total_tt": 0, "metric": "cumtime", "functions": [],
       "other": {"functions": 0}}


@pytest.fixture
def daemon(tmp_path):
    yield from serving(tmp_path, {"top": TOP, "buckets": {}, "status": {"version": "1"}})


@pytest.mark.parametrize("form", ["json", "csv"])
def test_chunked_responses_are_passed_on(daemon, form):
    body = os.urandom(3_000_000)
    daemon.put("buckets", body, form="chunked")
    done = ctl("buckets", "--format", form, daemon=daemon)
    assert done.returncode == 0 and done.stdout == body and done.stderr == b""


def test_received_data_is_written_before_the_rest_arrives(daemon):
    daemon.may_end.clear()
    daemon.put("top", b'{"half": ', form="chunked")
    child = subprocess.Popen([BINARY, "--socket", daemon.path, "top"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment())
    ready, _, _ = select.select([child.stdout], [], [], 20)
    assert ready and os.read(child.stdout.fileno(), 100) == b'{"half": ' and child.poll() is None
    daemon.may_end.set()
    child.communicate(timeout=10)
    assert child.returncode == 0


@pytest.mark.parametrize("form", ["json", "csv"])
def test_memory_is_limited(daemon, form):
    """300 MB pass through a process that uses less than half of that (a few MB without sanitizers)."""
    daemon.put("buckets", (b"0" * 1_000_000 for _ in range(300)), form="chunked")
    child = start_ctl("buckets", "--format", form, daemon=daemon)
    got, most = 0, 0
    while chunk := os.read(child.stdout.fileno(), 1 << 20):
        got += len(chunk)
        # Not ru_maxrss, which also counts the memory of the parent before exec.
        text = pathlib.Path(f"/proc/{child.pid}/status").read_text()
        most = max([most, *map(int, re.findall(r"^VmHWM:\s+(\d+) kB$", text, re.M))])
    assert child.stderr.read() == b""
    assert (child.wait(20), got) == (0, 300_000_000) and 0 < most < 150_000
    child.stdout.close()
    child.stderr.close()


@pytest.mark.parametrize("args", [["--format", "json"], ["--format", "csv"], ["--format", "table"], []])
@pytest.mark.parametrize("form", CUT_FORMS)
@pytest.mark.parametrize("body", [b"", b'{"functions": [', json.dumps(TOP).encode()])
def test_interrupted_response_is_an_error(daemon, args, form, body):
    """Also if the received part is a complete document."""
    daemon.put("top", body, form=form)
    done = ctl("top", *args, daemon=daemon)
    assert done.returncode == 1
    assert re.match(rb"timeslicectl: the response broke off after \d+ B: ", done.stderr)
    assert done.stderr.count(b"\n") == 1
    assert done.stdout == (b"" if "table" in args else body) or (form == "reset" and body.startswith(done.stdout))


def test_response_without_length_is_an_error(daemon):
    daemon.put("top", TOP, form="open")
    for form in ("json", "table"):
        done = ctl("top", "--format", form, daemon=daemon)
        assert done.returncode == 1 and b"may be incomplete" in done.stderr


@pytest.mark.parametrize("form", ["length", "chunked", "cut", "cut chunked"])
@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_error_goes_to_standard_error_only(daemon, form, status):
    daemon.put("top", {"error": {"code": "busy", "message": "too many at once"}}, status, form)
    for more in ([], ["--format", "csv"], ["--format", "table"]):
        done = ctl("top", *more, daemon=daemon)
        assert done.returncode == 1 and done.stdout == b""
        assert done.stderr.split(b"\n")[0] == b"timeslicectl: too many at once (busy)"


def test_long_error_is_truncated(daemon):
    daemon.put("top", b"oops " * 1_000_000, 500, "chunked")
    done = ctl("top", daemon=daemon)
    assert done.returncode == 1 and len(done.stderr) < 400 and b"HTTP status 500" in done.stderr


def test_too_large_table_is_an_error(daemon):
    daemon.put("top", b" " * (65 << 20), form="chunked")
    done = ctl("top", "--format", "table", daemon=daemon)
    assert done.returncode == 1 and b"too large to lay out" in done.stderr and b"--format json" in done.stderr
    assert len(ctl("top", "--format", "json", daemon=daemon).stdout) == 65 << 20


def test_closed_pipe_ends_quietly(daemon):
    daemon.put("top", b"x" * 5_000_000, form="chunked")
    child = subprocess.Popen([BINARY, "--socket", daemon.path, "top"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment())
    os.read(child.stdout.fileno(), 10)
    child.stdout.close()
    assert child.stderr.read() == b"" and child.wait(10) == 1


def test_full_disk_is_an_error(daemon):
    daemon.put("top", b"x" * 5_000_000, form="chunked")
    with open("/dev/full", "wb") as full:
        done = ctl("top", daemon=daemon, stdout=full)
    assert done.returncode == 1 and b"No space left" in done.stderr


def test_watch_goes_on_after_an_interrupted_response(daemon):
    daemon.put("top", b'{"half": ', form="cut chunked")
    child = start_ctl("top", "--watch", "0.1", daemon=daemon)
    time.sleep(0.5)
    daemon.put("top", b'{"whole": 1}', form="chunked")
    time.sleep(0.5)
    assert child.poll() is None
    child.terminate()
    out, err = child.communicate(timeout=10)
    lines = out.decode().splitlines()
    assert lines.count('{"half": ') >= 2 and lines.count('{"whole": 1}') >= 2  # each on its own line
    assert err.count(b"broke off") == 1 and b"retrying" in err


def test_output_to_a_terminal_ends_in_a_line_feed(daemon):
    daemon.put("top", b'{"x": 1}', form="chunked")
    text, code = on_terminal(["--socket", daemon.path, "top", "--format", "json"])
    assert (text, code) == ('{"x": 1}\r\n', 0)
    daemon.put("top", b'{"x": 1}\n', form="chunked")
    assert on_terminal(["--socket", daemon.path, "top", "--format", "json"]) == ('{"x": 1}\r\n', 0)
