"""Measures the whole daemon, from sockets to store: the real program, in a folder of its own, on ports of its own.

    /usr/bin/python3 bench/daemon.py BUILD CORPUS WHAT [ARGUMENT...]

WHAT is the name of a function below. CPU time is the daemon's own (/proc/PID/stat), its commits among it, the kernel's
share for its sockets too; what the senders use is not in it.
"""
import json
import multiprocessing
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from support import control  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 20
COMMIT_SECONDS = 60
PROBES = 100
CHUNK = 256 * 1024
PIECES = 64  # messages in one sendmsg


class Daemon:
    def __init__(self, build, **settings):
        self.build = pathlib.Path(build)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="timesliced-bench."))
        self.settings = {
            "store.path": self.folder / "bench.db", "control.socket": self.folder / "c",
            "ingest.udp": "127.0.0.1:0", "ingest.tcp": "127.0.0.1:0",
            # The corpus has one minute of its own, for ever.
            "aggregation.retention": "10s:290y", "aggregation.max_future": "off",
            **{key.replace("__", "."): value for key, value in settings.items()}}

    def __enter__(self):
        sets = [f"--set={key}={value}" for key, value in self.settings.items()]
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([self.build / "daemon" / "timesliced", "--config", "/dev/null", *sets],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            end = time.monotonic() + START_SECONDS
            while True:
                try:
                    self.listeners = self.status()["listeners"]
                    return self
                except OSError:
                    if self.process.poll() is not None or time.monotonic() > end:
                        raise SystemExit(f"the daemon did not start:\n{(self.folder / 'log').read_text()}") from None
                time.sleep(0.01)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method, path, params=()):
        answer = control.request(self.settings["control.socket"], method, path, params)
        if answer.status != 200:
            raise SystemExit(f"{method} {path}: {answer!r}")
        return answer.json

    def status(self):
        return self.ask("GET", "/v1/status")

    def flush(self):
        """Until all that was received is committed: one answer waits for 1.8 s at most, a commit of very much takes longer."""
        end = time.monotonic() + COMMIT_SECONDS
        while control.request(self.settings["control.socket"], "POST", "/v1/flush").status != 200:
            if time.monotonic() > end:
                raise SystemExit("the store does not commit")
        return self.status()

    def port(self, name):
        return int(self.listeners[name].rsplit(":", 1)[1])

    def cpu(self):
        """(user, system) seconds so far."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / TICKS, int(fields[12]) / TICKS

    def memory(self):
        """MiB that are resident now, and at the most so far."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines
                 if line.startswith(("VmRSS", "VmHWM"))}
        return sizes["VmRSS"], sizes["VmHWM"]

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.port("tcp")))


def send_all(daemon, data, times, rate=0):
    """rate: bytes a second at most; 0: as fast as it goes."""
    with daemon.tcp() as sock:
        start, sent = time.monotonic(), 0
        for _ in range(times):
            for at in range(0, len(data), CHUNK if rate else len(data)):
                sock.sendall(memoryview(data)[at:at + CHUNK] if rate else data)
                sent += CHUNK
                if rate:
                    time.sleep(max(0, start + sent / rate - time.monotonic()))
        sock.shutdown(socket.SHUT_WR)
        if answer := sock.recv(1000):
            raise SystemExit(f"the daemon answered: {answer}")


def used(daemon, before, status, seconds):
    user, system = (now - then for now, then in zip(daemon.cpu(), before))
    if any(status["rejected"].values()):
        raise SystemExit(f"rejected: {status['rejected']}")
    return {"functions": status["entries"], "rate": status["entries"] / (user + system) / 1e6,
            "user": user, "system": system, "seconds": seconds}


def tcp(build, corpus, form, threads=1, functions=12_000_000, connections=8, mb_per_second=0):
    """Millions of functions per CPU-second; every byte that is sent must have been counted. Of all connections together
    mb_per_second at most, where it is given."""
    data = (pathlib.Path(corpus) / f"{form}.jsonl").read_bytes()
    connections = int(connections)
    with Daemon(build, ingest__threads=threads, ingest__udp="off") as daemon:
        send_all(daemon, data, 1)  # names are known, buffers have their size
        each = daemon.flush()["entries"]
        times = max(1, round(int(functions) / each / connections))
        before, start = daemon.cpu(), time.monotonic()
        rate = float(mb_per_second) * 1e6 / connections
        senders = [threading.Thread(target=send_all, args=(daemon, data, times, rate)) for _ in range(connections)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        status = daemon.flush()
        if status["entries"] != each * (1 + connections * times):
            raise SystemExit(f"sent {each * (1 + connections * times)} functions, counted {status['entries']}")
        status["entries"] -= each
        result = used(daemon, before, status, time.monotonic() - start)
        result["mb_per_second"] = len(data) * connections * times / result["seconds"] / 1e6
        return result


def send_numbered(daemon, messages, times, client, report):
    """The messages, `times` over; with a client's name as an acknowledged stream, until the last ack. No copy is made."""
    with daemon.tcp() as sock:
        number, reader = 0, sock.makefile("rb")
        if client:
            sock.sendall(json.dumps({"hello": {"client": client}}).encode() + b"\n")
            reader.readline()
            acks = threading.Thread(target=lambda: report.append(json.loads(list(reader)[-1])["ack"]))
            acks.start()  # reads them as they come
        for _ in range(times):
            for at in range(0, len(messages), PIECES):
                pieces = []
                for message in messages[at:at + PIECES]:
                    number += 1
                    pieces += [b'{"seq": %d, ' % number, message] if client else [b"{", message]
                sent, size = sock.sendmsg(pieces), sum(map(len, pieces))
                if sent < size:
                    sock.sendall(b"".join(pieces)[sent:])
        sock.shutdown(socket.SHUT_WR)
        if client:
            acks.join()
            if report[-1] != number:
                raise SystemExit(f"acknowledged: {report[-1]} of {number}")
        elif answer := reader.read():
            raise SystemExit(f"the daemon answered: {answer}")


def numbered(build, corpus, acknowledged, functions=12_000_000, connections=4):
    """Acknowledged streams, or the same messages over plain ones; a commit syncs (durability=power)."""
    lines = (pathlib.Path(corpus) / "spaced.jsonl").read_bytes().splitlines()
    messages = []
    for line in lines:  # [timestamp, profile] -> an object without its brace
        timestamp, profile = line[1:-1].split(b", ", 1)
        messages.append(b'"timestamp": ' + timestamp + b', "profile": ' + profile + b"}\n")
    with Daemon(build, ingest__udp="off", store__durability="power") as daemon:
        send_numbered(daemon, messages, 1, None, [])
        each = daemon.flush()["entries"]
        times = max(1, round(functions / each / connections))
        before, start, report = daemon.cpu(), time.monotonic(), []
        senders = [threading.Thread(target=send_numbered, args=(daemon, messages, times, n and f"client-{n}", report))
                   for n in (range(1, connections + 1) if acknowledged else [None] * connections)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        seconds = time.monotonic() - start
        status = daemon.flush()
        if status["entries"] != each * (1 + connections * times) or acknowledged and len(report) != connections:
            raise SystemExit(f"counted {status['entries']}, acknowledged to the end {len(report)}")
        status["entries"] -= each
        result = used(daemon, before, status, seconds)
        result["wall"] = status["entries"] / seconds / 1e6
        return result


def udp(build, corpus, name, rate, seconds, threads=1, sockets=1):
    """The same over UDP, at a rate that is given: what arrived and what did not."""
    with Daemon(build, ingest__threads=threads, ingest__tcp="off") as daemon:
        before, start = daemon.cpu(), time.monotonic()
        command = [daemon.build / "bench" / "udp_send", daemon.port("udp"), rate, seconds,
                   pathlib.Path(corpus) / f"{name}.jsonl", sockets]
        sent = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
        status = daemon.flush()  # commits what the sockets still hold
        result = used(daemon, before, status, time.monotonic() - start)
        return {**result, "sent": sent["sent"], "sent_rate": sent["rate"], "bytes": sent["bytes"] / sent["sent"],
                "lost": sent["sent"] - status["received"], "dropped": status["datagrams_dropped"]}


def pace(port, data, rate):
    """Sends whole messages at `rate` bytes a second until it is ended."""
    lines = data.splitlines(keepends=True)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        start, sent = time.monotonic(), 0
        while True:
            for line in lines:
                while sent > (time.monotonic() - start) * rate:
                    time.sleep(0.001)
                sock.sendall(line)
                sent += len(line)


def visible(build, corpus, mb_per_second):
    """Milliseconds from a message's send over TCP to an answer of /v1/top that has it, under a load that is given."""
    data = (pathlib.Path(corpus) / "spaced.jsonl").read_bytes()
    with Daemon(build) as daemon:
        send_all(daemon, data, 1)
        daemon.flush()
        load = multiprocessing.Process(target=pace, args=(daemon.port("tcp"), data, float(mb_per_second) * 1e6))
        load.start()
        try:
            time.sleep(0.5)
            entries, start = int(daemon.status()["entries"]), time.monotonic()
            times = []
            with daemon.tcp() as sock:
                for n in range(PROBES):
                    entry = {f"probe_{n}": {"ncalls": "1", "tottime": 0.5, "cumtime": 0.5}}
                    message = json.dumps([1732272000, {"total_tt": 0.5, "func_profiles": entry}]).encode() + b"\n"
                    sent = time.monotonic()
                    sock.sendall(message)
                    while not daemon.ask("GET", "/v1/top", {"function": f"probe_{n}"})["functions"]:
                        pass
                    times.append((time.monotonic() - sent) * 1e3)
                    time.sleep(0.013)
            status = daemon.status()
            load_rate = (int(status["entries"]) - entries) / (time.monotonic() - start) / 1e6
        finally:
            load.terminate()
            load.join()
        parts = statistics.quantiles(times, n=100)
        return {"p50": parts[49], "p99": parts[98], "most": max(times), "functions_per_second": load_rate}


def memory(build, _corpus):
    """100,000 locations in one bucket: memory, and what a row costs to commit, new and again."""
    with Daemon(build, store__flush_interval="1h") as daemon:
        empty = daemon.memory()[0]
        result, rows, spent = {"empty": empty}, 0, 0.0
        for turn in ("new", "again", "again"):
            with daemon.tcp() as sock:
                for n in range(200):
                    functions = {f"function_{n}_{i}": {
                        "ncalls": "3", "tottime": 0.125, "percall_tottime": 0.042, "cumtime": 0.25,
                        "percall_cumtime": 0.083, "file_name": f"/usr/lib/python3/dist-packages/module_{n}.py",
                        "line_number": i} for i in range(500)}
                    sock.sendall(json.dumps([1000, {"total_tt": 1, "func_profiles": functions}]).encode() + b"\n")
                sock.shutdown(socket.SHUT_WR)
                sock.recv(1)
            before = daemon.memory()[0]
            status = daemon.flush()
            store = status["store"]
            result[f"{turn}_us"] = (float(store["commit_seconds"]) - spent) / (store["rows"] - rows) * 1e6
            result[f"{turn}_rows"] = store["rows"] - rows
            rows, spent = store["rows"], float(store["commit_seconds"])
            result[f"{turn}_live"], result[f"{turn}_committed"] = before, daemon.memory()[0]
        result["most"], result["locations"] = daemon.memory()[1], status["locations"]
        return result


WHAT = {"tcp": tcp, "plain": lambda build, corpus: numbered(build, corpus, False),
        "acknowledged": lambda build, corpus: numbered(build, corpus, True), "udp": udp, "visible": visible, "memory": memory}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[3] not in WHAT:
        sys.exit(f"usage: daemon.py BUILD CORPUS {'|'.join(WHAT)} [ARGUMENT...]")
    print(json.dumps(WHAT[sys.argv[3]](*sys.argv[1:3], *sys.argv[4:])))
