"""What boot_test.py uses inside the booted machine: rows of the result, commands, the state of the service, load, and
the comparison of what was sent with the database.
"""
import json
import pathlib
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import acked
import checker

SERVICE = "timesliced.service"
SOCKETS = ("timesliced-udp.socket", "timesliced-tcp.socket", "timesliced-control.socket")
ADDRESS = ("127.0.0.1", 8137)
CONFIG = pathlib.Path("/etc/timesliced/timesliced.conf")
DATABASE = pathlib.Path("/var/lib/timesliced/timesliced.db")
DATAGRAMS_PER_SECOND = 1000

results = []  # of each row, whether it passed


def row(ok, name, details):
    results.append(bool(ok))
    print(f"{'ok' if ok else 'FAILED':<6}  {name:<32}  {details}", flush=True)


def message_row(name, counts, problems=()):
    """A row for the result of counted(): no message lost, none counted twice, no problem that a client found."""
    number, lost, twice = counts
    row(number and not lost and not twice and not problems, f"  {name}",
        f"{number} sent, {lost} lost, {twice} twice" + (f"; {problems[:3]}" if problems else ""))


def run(*arguments, code=0, patience=120):
    """Runs a command and returns its output, both streams. Any exit code is accepted if `code` is None."""
    arguments = list(map(str, arguments))
    print("$", *arguments, file=sys.stderr, flush=True)
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=patience, check=False)
    print(done.stdout, file=sys.stderr, flush=True)
    if code is not None and done.returncode != code:
        raise RuntimeError(f"{' '.join(arguments)}: exit code {done.returncode}")
    return done.stdout


def code_of(*arguments):
    print("$", *arguments, file=sys.stderr, flush=True)
    return subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr, timeout=60,
                          check=False).returncode


def wait_until(condition, patience=15, pause=0.05):
    """Returns the first true value of condition()."""
    end = time.monotonic() + patience
    while not (value := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"timed out after {patience} s")
        time.sleep(pause)
    return value


def unit_property(name, unit=SERVICE):
    return run("systemctl", "show", "-P", name, unit).strip()


def is_active(*units):
    return all(unit_property("ActiveState", unit) == "active" for unit in units)


def status():
    return json.loads(run("timeslicectl", "status", "--format", "json"))


def journal():
    """The daemon's entries in the journal."""
    lines = run("journalctl", "-u", SERVICE, "_COMM=timesliced", "-o", "json", "--no-pager").splitlines()
    return [entry for entry in map(json.loads, filter(None, lines)) if isinstance(entry.get("MESSAGE"), str)]


def install(folder):
    run("apt-get", "install", "--allow-downgrades", "-o", "Dpkg::Options::=--force-confold",
        *sorted(pathlib.Path(folder).resolve().glob("*.deb")))


def sums():
    """All rows of the view that is the contract for readers."""
    connection = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute("SELECT * FROM bucket_totals ORDER BY bucket, width, function").fetchall()
    finally:
        connection.close()


class Datagrams:
    """Sends numbered messages over UDP until stop(). There is no response, so only the database shows which arrived."""

    def __init__(self, number):
        self.sent = checker.Sent(number)
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        begin = time.monotonic()
        while not self.ending.is_set():
            while self.sent.last < (time.monotonic() - begin) * DATAGRAMS_PER_SECOND:
                udp.sendto(checker.message(self.sent.client, self.sent.last + 1), ADDRESS)
                self.sent.last += 1
            time.sleep(0.005)
        udp.close()

    def stop(self):
        self.ending.set()
        self.thread.join()
        self.sent.confirmed = self.sent.last


class Acknowledged:
    """Acknowledged clients that send over TCP until stop(), and reconnect whenever the connection is lost."""

    def __init__(self, *numbers):
        assert is_active(SERVICE), "the service is not active"
        self.clients = [acked.Client(lambda: socket.create_connection(ADDRESS, timeout=15), number, window=16).start()
                        for number in numbers]

    def stop(self):
        return [problem for client in self.clients for problem in client.stop(60)]

    @property
    def sent(self):
        return [client.sent for client in self.clients]


def counted(sent):
    """(sent, lost, twice) of these clients. Raises if a stored message is altered or was never sent."""
    run("timeslicectl", "flush")
    connection = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=10)
    try:
        found, problems = checker.read(connection)
    finally:
        connection.close()
    altered = [problem for problem in problems if " times: " not in problem]
    if altered:
        raise RuntimeError(f"{altered[:5]}, {len(altered)} in total")
    calls = {(client.client, seq): found.get((client.client, seq), 0)
             for client in sent for seq in range(1, client.last + 1)}
    return len(calls), sum(n == 0 for n in calls.values()), sum(n > 1 for n in calls.values())


def wait_counted(sent):
    """counted(), after datagrams that were still queued by the kernel when their sender stopped have been read."""
    try:
        wait_until(lambda: counted(sent)[1] == 0, patience=10, pause=0.5)
    except RuntimeError:
        pass  # the row shows how many are missing
    return counted(sent)
