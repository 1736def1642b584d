"""The real binary in a folder of its own: ephemeral ports, an empty configuration, settings by --set.

check() is what must hold at the end of every test: the ledger balances, SIGTERM gives 0, the database is whole.
"""
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from support import control

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TIMESLICED", str(ROOT / "build" / "daemon" / "timesliced"))
EX_CONFIG = 78
TIMEOUT = float(os.environ.get("TIMESLICED_TEST_TIMEOUT", "15"))  # seconds; raise it under sanitizers or valgrind


def wait_until(what, why="", timeout=None):
    """Polls until what() is true (gives its value), with growing pauses; fails after `patience`."""
    end = time.monotonic() + (timeout or TIMEOUT)
    pause = 0.001
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain{': ' if why else ''}{why() if callable(why) else why}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)


def address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


class Daemon:
    def __init__(self, settings=None, config_text="", folder=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="ts", dir="/tmp"))
        self.config = self.folder / "timesliced.conf"
        self.config.write_text(config_text)
        self.db = self.folder / "t.db"
        self.control = self.folder / "c.sock"
        self.settings = {
            "ingest.udp": "127.0.0.1:0", "ingest.tcp": "127.0.0.1:0",
            "ingest.unix_stream": self.folder / "s.sock", "ingest.unix_datagram": self.folder / "d.sock",
            "control.socket": self.control, "store.path": self.db,
            "aggregation.max_future": "off", "aggregation.retention": None,
        }
        self.settings.update({key.replace("__", "."): value for key, value in (settings or {}).items()})
        if self.settings["aggregation.retention"] is None:  # the tests' moments are years old
            width = self.settings.get("aggregation.time_slice", "10s")
            self.settings["aggregation.retention"] = f"{width}:290y"
        self.settings = {key: value for key, value in self.settings.items() if value is not False}
        self.process = None
        self.logs = 0
        self.checked = False

    def command(self, *more):
        sets = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        return [BINARY, "--config", str(self.config), *sets, *map(str, more)]

    def spawn(self, **how):
        self.logs += 1
        self.log = self.folder / f"log.{self.logs}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder, **how)
        return self.process

    def start(self):
        """Ready: the control socket answers."""
        self.spawn()
        self.checked = False
        end = time.monotonic() + TIMEOUT
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"timesliced ended with {self.process.returncode}:\n{self.log_text()}")
            try:
                self.status()
                return self
            except OSError as error:
                if time.monotonic() > end:
                    raise AssertionError(f"not ready: {error}\n{self.log_text()}") from error
            time.sleep(0.005)

    def run_to_exit(self):
        """Starts what must not start. Gives (exit code, log)."""
        self.spawn()
        try:
            code = self.process.wait(TIMEOUT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        return code, self.log_text()

    def stop(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not end on {how.name}:\n{self.log_text()}") from None

    def restart(self):
        code = self.stop()
        assert code == 0, f"SIGTERM gave {code}:\n{self.log_text()}"
        return self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log_text(self):
        return self.log.read_text(errors="replace")

    # What it answers.

    def get(self, path, params=(), **more):
        return control.request(self.control, "GET", path, params, **more)

    def post(self, path, **more):
        return control.request(self.control, "POST", path, **more)

    def get_json(self, path, params=()):
        response = self.get(path, params)
        assert response.status == 200, response
        return response.json

    def status(self):
        return self.get_json("/v1/status")

    def rejects(self):
        return self.get_json("/v1/rejects")["rejects"]

    def address(self, name):
        return address(self.status()["listeners"][name])

    def flush(self):
        response = self.post("/v1/flush")
        assert response.status == 200, response
        assert isinstance(response.json, dict)

    def wait_received(self, n):
        """Until n messages have been received by this process."""
        seen = {}

        def there():
            seen.update(self.status())
            return seen["received"] >= n
        wait_until(there, lambda: f"received {seen['received']} of {n}; {seen}\n{self.log_text()[-2000:]}")
        assert seen["received"] == n, f"received {seen['received']}, sent {n}"

    def wait_idle(self):
        """Flushes until nothing moves. Gives the status, its ledger checked."""
        last = [None]

        def still():
            self.flush()
            status = self.status()
            before, last[0] = last[0], status
            return before and status["pending"] == 0 and before["received"] == status["received"]
        wait_until(still, lambda: f"never idle: {last[0]}")
        status = last[0]
        rejected = sum(n for code, n in status["rejected"].items() if code != "sequence")
        assert status["received"] == status["accepted"] + status["duplicates"] + rejected, f"ledger: {status}"
        return status

    def read_db(self):
        return sqlite3.connect(f"file:{self.db}?mode=ro", uri=True, timeout=10)

    def check(self):
        """Once per start: the ledger, a clean end, a whole database."""
        if self.checked or self.process is None:
            return
        self.checked = True
        if self.process.poll() is None:
            self.wait_idle()
        code = self.stop()
        assert code == 0, f"exit code {code}:\n{self.log_text()}"
        self.check_db()

    def check_db(self):
        connection = self.read_db()
        try:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        finally:
            connection.close()

    def discard(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for log in sorted(self.folder.glob("log.*")):
            print(f"--- {log}\n{log.read_text(errors='replace')[-4000:]}")
        if not os.environ.get("TIMESLICED_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


def daemon_factory(make):
    """What the fixtures `prepare` yield: new(settings, config_text, folder) gives make(...), a Daemon that is not started
    yet. Afterwards each that runs is checked, and all are ended."""
    if not pathlib.Path(BINARY).exists():
        raise AssertionError(f"{BINARY} is not built")
    made = []

    def new(settings=None, config_text="", folder=None):
        made.append(make(settings, config_text, folder))
        return made[-1]
    yield new
    problems = []
    for daemon in made:
        try:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.check()
        except Exception as problem:  # the others must be ended all the same
            problems.append(problem)
        finally:
            daemon.discard()
    if problems:
        raise problems[0]
