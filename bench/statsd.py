"""statsd (Node) with the same corpus: one counter line per function over TCP, in millions per CPU-second.

    /usr/bin/python3 bench/statsd.py FOLDER SPACED.jsonl [SECONDS]

npm installs it into FOLDER if it is missing. Prints null if Node or npm is missing or the installation fails. A line
contains only cumtime; an entry of a profile has five values.
"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

VERSION = "0.9.0"
TICKS = os.sysconf("SC_CLK_TCK")
QUIET = 0.5  # seconds; if no CPU time was used for so long, everything has been read
INSTALL_SECONDS = 60


def install(folder):
    """The path of the program, or None."""
    program = folder / "node_modules" / "statsd" / "stats.js"
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts", "--prefix",
                   folder, f"statsd@{VERSION}"]
        try:
            subprocess.run(command, check=True, timeout=INSTALL_SECONDS, stdout=sys.stderr, stdin=subprocess.DEVNULL)
        except (subprocess.SubprocessError, OSError) as error:
            print(f"statsd is not measured: {error}", file=sys.stderr)
            return None
    return program if program.exists() else None


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def lines(path):
    """(the functions of the corpus in statsd's protocol, their number)"""
    counters = []
    for line in open(path, encoding="utf-8"):
        for name, entry in json.loads(line)[1]["func_profiles"].items():
            key = "".join(c if c not in ":|@\n" else "_" for c in name.lstrip("_"))
            counters.append(f"{key}:{entry['cumtime']}|c\n")
    return "".join(counters).encode(), len(counters)


def cpu(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def connect(process, port):
    end = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            if process.poll() is not None or time.monotonic() > end:
                raise SystemExit("statsd does not listen") from None
            time.sleep(0.05)


def wait_quiet(pid):
    used, since = cpu(pid), time.monotonic()
    while time.monotonic() - since < QUIET:
        time.sleep(0.05)
        now = cpu(pid)
        if now > used:
            used, since = now, time.monotonic()
    return used


def measure(folder, path, seconds=3.0):
    folder = pathlib.Path(folder).resolve()
    program = install(folder)
    if not program:
        return None
    port, management = free_ports(2)
    config = folder / "config.js"
    config.write_text(json.dumps({"servers": [{"server": "./servers/tcp", "address": "127.0.0.1", "port": port}],
                                  "mgmt_address": "127.0.0.1", "mgmt_port": management, "backends": [],
                                  "flushInterval": 1000}), encoding="utf-8")
    data, count = lines(path)
    process = subprocess.Popen(["node", program, config], cwd=program.parent, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with connect(process, port) as sock:
            sock.sendall(data)  # warm up: code is compiled and names are known
            before, start, sent = wait_quiet(process.pid), time.monotonic(), 0
            while time.monotonic() - start < seconds:
                sock.sendall(data)
                sent += count
            return sent / (wait_quiet(process.pid) - before) / 1e6
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 3.0)))
