"""Exactly once: an application with a spool and the daemon are killed at random moments.

The application (this file, run as a program) sends profiles as fast as it can, each with functions of its own, and
writes down how many are in the spool. Killed processes (SIGKILL) are restarted. In the end the daemon must have every
function of the profiles in the spool, and none twice.
"""
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
KILLS = 200
TARGETS = ("application", "daemon", "both")
LONGEST = 0.12  # seconds between the start of an application and the kill, at most
FUNCTIONS = 3  # per profile
DRAIN = 60  # seconds


class Application:
    """One process of it."""

    def __init__(self, folder, address, number):
        self.number = number
        self.note = folder / f"note.{number}"
        self.note.touch()
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
        self.process = subprocess.Popen([sys.executable, __file__, address, str(folder / "spool"), str(number),
                                         str(self.note)], env=environment, stdin=subprocess.DEVNULL)

    def began(self):
        end = time.monotonic() + DRAIN
        while not self.note.stat().st_size and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.002)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def spooled(self):
        """Profiles in the spool, as last written down."""
        text = self.note.read_bytes().split(b"\n")
        return int(text[-2]) if len(text) > 1 else 0


def run(new_daemon, kills, seed=8137, transport="tcp"):
    """new_daemon() returns a daemon of tests/support, not started. Returns the result of check() and more, as a
    dict."""
    rng = random.Random(seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="timesliced-kills."))
    daemon = new_daemon()
    applications = []
    try:
        daemon.start()
        if transport == "tcp":
            daemon.settings["ingest.tcp"] = "{}:{}".format(*daemon.address("tcp"))  # the same port after each kill
        where = daemon.settings["ingest.tcp"] if transport == "tcp" else daemon.settings["ingest.unix_stream"]
        address = f"{transport}://{where}"
        applications.append(Application(folder, address, 0))
        for n in range(kills):
            applications[-1].began()
            time.sleep(rng.random() * LONGEST)
            target = TARGETS[n % 3]
            if target in ("daemon", "both"):
                daemon.kill()
            if target in ("application", "both"):
                applications[-1].kill()
                applications.append(Application(folder, address, n + 1))
            if target in ("daemon", "both"):
                daemon.start()
        applications[-1].began()
        applications[-1].kill()
        drained = deliver(address, folder / "spool")
        return {"applications": len(applications), "drained": drained, **check(daemon, applications)}
    finally:
        for application in applications:
            if application.process.poll() is None:
                application.kill()
        shutil.rmtree(folder)


def deliver(address, spool):
    """Sends the rest of the spool. True if the spool is empty then."""
    import timesliced
    client = timesliced.Client(address, spool=str(spool))
    end = time.monotonic() + DRAIN
    while os.listdir(spool) and time.monotonic() < end:
        time.sleep(0.01)
    client.close()
    return not os.listdir(spool)


def check(daemon, applications):
    response = daemon.get_json("/v1/top", {"metric": "ncalls"})
    calls = {row["function"]: row["ncalls"] for row in response["functions"] if row["function"].startswith("run")}
    lost = []
    spooled = 0
    for application in applications:
        safe = application.spooled()
        spooled += safe
        lost += [(application.number, n, k) for n in range(safe) for k in range(FUNCTIONS)
                 if f"run{application.number}_{n}_{k}" not in calls]
    return {"spooled": spooled, "stored": len(calls) // FUNCTIONS, "profiles": response["profiles"], "lost": len(lost),
            "twice": sum(n != 1 for n in calls.values()),
            "parts": len({name.rsplit("_", 1)[0] for name in calls}) * FUNCTIONS - len(calls)}


def measure(build):
    os.environ["TIMESLICED"] = str(build / "daemon" / "timesliced")
    from support.daemon import Daemon
    daemons = []

    def new_daemon():
        daemons.append(Daemon({"aggregation.max_label_sets": 2000}))
        return daemons[-1]
    rows = []
    try:
        for transport in ("tcp", "unix"):
            kills = KILLS if transport == "tcp" else KILLS // 4
            found = run(new_daemon, kills, transport=transport)
            rows += [
                (f"{transport}: {kills} kills: profiles written to the spool and lost", f"{found['lost']} of "
                 f"{found['spooled']:,}", "0", found["lost"] == 0 and found["drained"] and found["spooled"] > 0),
                (f"{transport}: profiles counted twice or in part", f"{found['twice'] + found['parts']} of "
                 f"{found['stored']:,} stored", "0", found["twice"] == found["parts"] == 0
                 and found["stored"] == found["profiles"])]
    finally:
        for daemon in daemons:
            daemon.check()
            for log in daemon.folder.glob("log.*"):  # one per start; discard() would print all
                log.unlink()
            daemon.discard()
    return rows


def application(address, spool, number, note):
    import pstats
    import timesliced
    client = timesliced.Client(address, spool=spool)
    descriptor = os.open(note, os.O_WRONLY | os.O_APPEND)
    noted = 0
    for n in range(10**6):
        stats = pstats.Stats()
        stats.stats = {("/app/a.py", k, f"run{number}_{n}_{k}"): (1, 1, 0.001, 0.001, {}) for k in range(FUNCTIONS)}
        while not client.send(stats):
            time.sleep(0.01)
        spooled = client.stats.spooled
        if spooled > noted:
            noted = spooled
            os.write(descriptor, b"%d\n" % spooled)
        time.sleep(0.0005)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    application(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
