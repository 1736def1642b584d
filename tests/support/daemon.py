"""Runs the real binary in a temporary folder, with ephemeral ports, an empty configuration file and settings by --set.

check() verifies what must hold at the end of every test: the message counters add up, SIGTERM ends the daemon with
exit code 0, and the database passes its integrity check.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time

from support import control
from support.wait import TIMEOUT, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TIMESLICED", str(ROOT / "build" / "daemon" / "timesliced"))
EX_CONFIG = 78


def parse_address(text):
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def connect_db(path):
    """A read-only connection, so that a test cannot change the database."""
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10, isolation_level=None)


def query(path, sql, *parameters):
    with contextlib.closing(connect_db(path)) as connection:
        return connection.execute(sql, parameters).fetchall()


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
        if self.settings["aggregation.retention"] is None:  # the timestamps of the tests are years old
            width = self.settings.get("aggregation.time_slice", "10s")
            self.settings["aggregation.retention"] = f"{width}:290y"
        self.settings = {key: value for key, value in self.settings.items() if value is not False}
        self.process = None
        self.logs = 0
        self.checked = False

    def command(self, *arguments):
        sets = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        return [BINARY, "--config", str(self.config), *sets, *map(str, arguments)]

    def spawn(self, **options):
        self.logs += 1
        self.log = self.folder / f"log.{self.logs}"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            cwd=self.folder, **options)
        return self.process

    def start(self):
        """Starts the daemon and waits until its control socket responds."""
        self.spawn()
        return self.wait_ready()

    def wait_ready(self):
        self.checked = False
        end = time.monotonic() + TIMEOUT
        while True:
            if self.process.poll() is not None:
                raise AssertionError(f"timesliced exited with code {self.process.returncode}:\n{self.log_text()}")
            try:
                self.status()
                return self
            except OSError as error:
                if time.monotonic() > end:
                    raise AssertionError(f"not ready: {error}\n{self.log_text()}") from error
            time.sleep(0.005)

    def run_to_exit(self):
        """Starts a daemon that must exit on its own. Returns (exit code, log)."""
        self.spawn()
        try:
            code = self.process.wait(TIMEOUT)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        return code, self.log_text()

    def stop(self, number=signal.SIGTERM):
        """Sends the signal and returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"does not exit on {number.name}:\n{self.log_text()}") from None

    def restart(self):
        code = self.stop()
        assert code == 0, f"exit code {code} on SIGTERM:\n{self.log_text()}"
        return self.start()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def log_text(self):
        return self.log.read_text(errors="replace")

    def descriptors(self):
        """The number of open file descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # Requests to the control socket.

    def get(self, path, params=(), **options):
        return control.request(self.control, "GET", path, params, **options)

    def post(self, path, **options):
        return control.request(self.control, "POST", path, **options)

    def get_json(self, path, params=()):
        response = self.get(path, params)
        assert response.status == 200, response
        return response.json

    def calls(self, **params):
        """{function: ncalls} of /v1/top. In the name of a parameter two underscores stand for the dot."""
        params = {name.replace("__", "."): value for name, value in params.items()}
        return {row["function"]: row["ncalls"] for row in self.get_json("/v1/top", params)["functions"]}

    def status(self):
        return self.get_json("/v1/status")

    def rejects(self):
        return self.get_json("/v1/rejects")["rejects"]

    def address(self, name):
        return parse_address(self.status()["listeners"][name])

    def flush(self):
        response = self.post("/v1/flush")
        assert response.status == 200, response
        assert isinstance(response.json, dict)

    def wait_received(self, n):
        """Waits until this process has received exactly n messages."""
        status = {}

        def received():
            status.update(self.status())
            return status["received"] >= n
        wait_until(received, lambda: f"received {status['received']} of {n}; {status}\n{self.log_text()[-2000:]}")
        assert status["received"] == n, f"received {status['received']}, sent {n}"

    def wait_idle(self):
        """Flushes until no message is pending and none arrives. Returns the status after checking its counters."""
        last = [None]

        def is_idle():
            self.flush()
            status = self.status()
            previous, last[0] = last[0], status
            return previous and status["pending"] == 0 and previous["received"] == status["received"]
        wait_until(is_idle, lambda: f"never idle: {last[0]}")
        status = last[0]
        rejected = sum(n for code, n in status["rejected"].items() if code != "sequence")
        assert status["received"] == status["accepted"] + status["duplicates"] + rejected, f"counters: {status}"
        return status

    def read_db(self):
        return connect_db(self.db)

    def query_db(self, sql, *parameters):
        return query(self.db, sql, *parameters)

    def check(self):
        """Once per start: checks the counters, stops the daemon, checks the exit code and the database."""
        if self.checked or self.process is None:
            return
        self.checked = True
        if self.process.poll() is None:
            self.wait_idle()
        code = self.stop()
        assert code == 0, f"exit code {code}:\n{self.log_text()}"
        self.check_db()

    @contextlib.contextmanager
    def locked_db(self):
        """Holds the write lock of the database, so that commits fail."""
        connection = sqlite3.connect(self.db, timeout=TIMEOUT, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
        finally:
            connection.close()

    def check_db(self):
        assert self.query_db("PRAGMA integrity_check") == [("ok",)]

    def discard(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for log in sorted(self.folder.glob("log.*")):
            print(f"--- {log}\n{log.read_text(errors='replace')[-4000:]}")
        if not os.environ.get("TIMESLICED_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)


def daemon_factory(daemon_class):
    """Yields new(settings, config_text, folder), which returns a daemon that is not started. Afterwards checks the
    daemons that run, and ends all."""
    if not pathlib.Path(BINARY).exists():
        raise AssertionError(f"{BINARY} is not built")
    daemons = []

    def new(settings=None, config_text="", folder=None):
        daemons.append(daemon_class(settings, config_text, folder))
        return daemons[-1]
    yield new
    problems = []
    for daemon in daemons:
        try:
            if daemon.process is not None and daemon.process.poll() is None:
                daemon.check()
        except Exception as problem:  # the others must still be ended
            problems.append(problem)
        finally:
            daemon.discard()
    if problems:
        raise problems[0]
