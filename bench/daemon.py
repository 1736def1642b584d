"""Measures the daemon, from its sockets to the store. Starts it in a temporary folder on ephemeral ports.

    /usr/bin/python3 bench/daemon.py BUILD CORPUS MEASUREMENT [ARGUMENT...]

MEASUREMENT is one of tcp, plain, acknowledged, udp, visible, memory. CPU time is that of the daemon (/proc/PID/stat),
with its commits and the kernel's work on its sockets, without the senders.
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
            # The timestamps of the corpus are fixed, in one minute of the past.
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

    def request(self, method, path, params=()):
        response = control.request(self.settings["control.socket"], method, path, params)
        if response.status != 200:
            raise SystemExit(f"{method} {path}: {response!r}")
        return response.json

    def status(self):
        return self.request("GET", "/v1/status")

    def flush(self):
        """Waits until everything received is committed. One request waits for up to 1.8 s only."""
        end = time.monotonic() + COMMIT_SECONDS
        while control.request(self.settings["control.socket"], "POST", "/v1/flush").status != 200:
            if time.monotonic() > end:
                raise SystemExit(f"the store did not commit within {COMMIT_SECONDS} s")
        return self.status()

    def port(self, name):
        return int(self.listeners[name].rsplit(":", 1)[1])

    def cpu(self):
        """(user, system) seconds."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) / TICKS, int(fields[12]) / TICKS

    def memory(self):
        """Resident memory in MiB: (current, peak)."""
        lines = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines
                 if line.startswith(("VmRSS", "VmHWM"))}
        return sizes["VmRSS"], sizes["VmHWM"]

    def tcp(self):
        return socket.create_connection(("127.0.0.1", self.port("tcp")))


def send_all(daemon, data, times, rate=0):
    """rate: the limit in bytes per second; 0: none."""
    with daemon.tcp() as sock:
        start, sent = time.monotonic(), 0
        for _ in range(times):
            for at in range(0, len(data), CHUNK if rate else len(data)):
                sock.sendall(memoryview(data)[at:at + CHUNK] if rate else data)
                sent += CHUNK
                if rate:
                    time.sleep(max(0, start + sent / rate - time.monotonic()))
        sock.shutdown(socket.SHUT_WR)
        if reply := sock.recv(1000):
            raise SystemExit(f"the daemon replied: {reply}")


def result_of(daemon, before, status, seconds):
    user, system = (now - then for now, then in zip(daemon.cpu(), before))
    if any(status["rejected"].values()):
        raise SystemExit(f"rejected: {status['rejected']}")
    return {"functions": status["entries"], "rate": status["entries"] / (user + system) / 1e6,
            "user": user, "system": system, "seconds": seconds}


def tcp(build, corpus, form, threads=1, functions=12_000_000, connections=8, mb_per_second=0):
    """Million functions per CPU-second. The daemon must have counted every function. mb_per_second: the limit of all
    connections together; 0: none."""
    data = (pathlib.Path(corpus) / f"{form}.jsonl").read_bytes()
    connections = int(connections)
    with Daemon(build, ingest__threads=threads, ingest__udp="off") as daemon:
        send_all(daemon, data, 1)  # warm up: names are known, buffers are allocated
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
        result = result_of(daemon, before, status, time.monotonic() - start)
        result["mb_per_second"] = len(data) * connections * times / result["seconds"] / 1e6
        return result


def send_numbered(daemon, messages, times, client, report):
    """Sends the messages `times` times, without copying them. client: acknowledged, and waits for the last ack."""
    with daemon.tcp() as sock:
        number, reader = 0, sock.makefile("rb")
        if client:
            sock.sendall(json.dumps({"hello": {"client": client}}).encode() + b"\n")
            reader.readline()
            acks = threading.Thread(target=lambda: report.append(json.loads(list(reader)[-1])["ack"]))
            acks.start()  # reads them while messages are sent
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
        elif reply := reader.read():
            raise SystemExit(f"the daemon replied: {reply}")


def numbered(build, corpus, is_acknowledged, functions=12_000_000, connections=4):
    """Acknowledged or plain streams of the same messages; every commit syncs (durability=power)."""
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
                   for n in (range(1, connections + 1) if is_acknowledged else [None] * connections)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        seconds = time.monotonic() - start
        status = daemon.flush()
        if status["entries"] != each * (1 + connections * times) or is_acknowledged and len(report) != connections:
            raise SystemExit(f"counted {status['entries']}, completely acknowledged streams: {len(report)}")
        status["entries"] -= each
        result = result_of(daemon, before, status, seconds)
        result["wall"] = status["entries"] / seconds / 1e6
        return result


def udp(build, corpus, name, rate, seconds, threads=1, sockets=1):
    """The same over UDP at a given rate, with the number of datagrams lost."""
    with Daemon(build, ingest__threads=threads, ingest__tcp="off") as daemon:
        before, start = daemon.cpu(), time.monotonic()
        command = [daemon.build / "bench" / "udp_send", daemon.port("udp"), rate, seconds,
                   pathlib.Path(corpus) / f"{name}.jsonl", sockets]
        sent = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout)
        status = daemon.flush()  # also reads the datagrams queued in the sockets
        result = result_of(daemon, before, status, time.monotonic() - start)
        return {**result, "sent": sent["sent"], "sent_rate": sent["rate"], "bytes": sent["bytes"] / sent["sent"],
                "lost": sent["sent"] - status["received"], "dropped": status["datagrams_dropped"]}


def pace(port, data, rate):
    """Sends complete messages at `rate` bytes per second until the process is terminated."""
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
    """Milliseconds from sending a message over TCP until /v1/top has it, under a given load."""
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
                    while not daemon.request("GET", "/v1/top", {"function": f"probe_{n}"})["functions"]:
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
    """100,000 locations in one bucket: memory, and the time to commit a row with a new and with a known location."""
    with Daemon(build, store__flush_interval="1h") as daemon:
        empty = daemon.memory()[0]
        result, rows, spent = {"empty": empty}, 0, 0.0
        for kind in ("new", "known", "known"):
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
            result[f"{kind}_us"] = (float(store["commit_seconds"]) - spent) / (store["rows"] - rows) * 1e6
            result[f"{kind}_rows"] = store["rows"] - rows
            rows, spent = store["rows"], float(store["commit_seconds"])
            result[f"{kind}_live"], result[f"{kind}_committed"] = before, daemon.memory()[0]
        result["most"], result["locations"] = daemon.memory()[1], status["locations"]
        return result


def plain(build, corpus):
    return numbered(build, corpus, False)


def acknowledged(build, corpus):
    return numbered(build, corpus, True)


MEASUREMENTS = {"tcp": tcp, "plain": plain, "acknowledged": acknowledged, "udp": udp, "visible": visible,
                "memory": memory}

if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[3] not in MEASUREMENTS:
        sys.exit(f"usage: daemon.py BUILD CORPUS {'|'.join(MEASUREMENTS)} [ARGUMENT...]")
    print(json.dumps(MEASUREMENTS[sys.argv[3]](*sys.argv[1:3], *sys.argv[4:])))
