"""The daemon under the system call filter of its systemd unit: everything it does is allowed.

The complete test suite can run that way: set TIMESLICED to a script that executes
sandbox.py UNIT build/daemon/timesliced "$@".
"""
import functools
import os
import signal
import sys

import pytest

from support import control, senders
from support.daemon import ROOT, wait_until

UNIT = ROOT / "systemd" / "timesliced.service"
SANDBOX = ROOT / "tests" / "support" / "sandbox.py"


@pytest.fixture
def confined(new_daemon):
    def start(**settings):
        daemon = new_daemon({"control.http": "127.0.0.1:0", **settings})
        command = daemon.command
        # LeakSanitizer attaches to its own process with ptrace, which the filter forbids.
        leaks = f"{os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0"
        daemon.spawn = functools.partial(daemon.spawn, env={**os.environ, "ASAN_OPTIONS": leaks})
        daemon.command = lambda *arguments: [sys.executable, str(SANDBOX), str(UNIT), *command(*arguments)]
        return daemon.start()
    return start


def profile(n, at):
    return (b'{"timestamp": %d, "labels": {"service": "s%d"}, "profile": {"total_tt": 1, "func_profiles": '
            b'{"f%d": {"ncalls": 1, "cumtime": 1, "file_name": "/a.py", "line_number": 1}}}}' % (at, n % 3, n))


def test_everything_is_allowed_by_the_filter(confined):
    """All transports, queries and background tasks, wider levels, a reload, and a clean and an unclean stop."""
    daemon = confined(**{"ingest.threads": 2, "aggregation.retention": "10s:1h 1m:290y",
                         "store.flush_interval": "50ms"})
    for kind, send in sorted(senders.TRANSPORTS.items()):
        send(daemon, [profile(n, 60 * n) for n in range(50)] + [b"bad"])
    for path in ("buckets", "top", "functions", "labels", "status", "rejects"):
        assert daemon.get(f"/v1/{path}").status == 200, path
    assert daemon.get("/v1/diff", {"before": "0..600", "after": "600..1200"}).status == 200
    assert daemon.get("/v1/top", {"by": "location"}).status == 200
    http = daemon.address("http")
    assert [control.request(http, "GET", path).status for path in ("/metrics", "/healthz", "/v1/top")] == [200] * 3
    assert daemon.post("/v1/backup").status == 200
    assert daemon.post("/v1/regrid?time_slice=60s").status == 200
    assert daemon.post("/v1/delete?label.service=s1&dry_run=false").status == 200
    daemon.config.write_text("[log]\nlevel = debug\n")
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "reload: done" in daemon.log_text())
    assert daemon.wait_idle()["accepted"] == 200
    daemon.kill()
    daemon.start()  # checks the database after the unclean stop
    wait_until(lambda: daemon.get("/healthz").status == 200)
    senders.TRANSPORTS["udp"](daemon, [profile(1, 0)])
    assert daemon.wait_idle()["accepted"] == 1


def test_filter_is_active(confined):
    """Without this the test above would prove nothing."""
    daemon = confined()
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{daemon.process.pid}/status", encoding="utf-8")
                  if ":\t" in line)
    assert status["Seccomp"].strip() == "2" and status["NoNewPrivs"].strip() == "1"
