"""Deletion beside ingest: how long it takes, and how long an acknowledgement waits meanwhile.

    /usr/bin/python3 bench/deletion.py BUILD

For each row one bucket with many functions is deleted, while a client sends a message at a time and waits for its ack.
The longest wait before the deletion is shown for comparison.
"""
import json
import pathlib
import socket
import sys
import threading
import time

import daemon as bench

# time_slice, retention, functions in the bucket
ROWS = [("1s", "1s:2y", 500), ("1s", "1s:2y", 3000), ("10s", "10s:2y", 5000), ("10s", "10s:1h 1m:7d 1h:2y", 20000),
        ("1ms", "1ms:1h 1d:2y", 50)]
LOAD = 2.0  # seconds of acknowledgements before the deletion


def message(timestamp, functions, **members):
    entry = {"ncalls": "1", "tottime": 0.001, "cumtime": 0.001, "file_name": "x.py"}
    profile = {f"function_{n}": {**entry, "line_number": n} for n in range(functions)}
    return json.dumps({"timestamp": timestamp, **members,
                       "profile": {"total_tt": 1.0, "func_profiles": profile}}).encode() + b"\n"


class Acks:
    """Sends messages of three functions; `waits` has how long each acknowledgement took, in seconds."""

    def __init__(self, address):
        self.address, self.waits, self.ended = address, [], threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        with socket.create_connection(self.address) as sock, sock.makefile("rwb") as stream:
            stream.write(b'{"hello": {"client": "acks"}}\n')
            stream.flush()
            stream.readline()
            number = 0
            while not self.ended.is_set():
                number += 1
                began = time.monotonic()
                stream.write(message(time.time(), 3, seq=number))
                stream.flush()
                stream.readline()
                self.waits.append(time.monotonic() - began)
                time.sleep(0.01)

    def longest(self):
        waits, self.waits = self.waits, []
        return max(waits, default=float("nan"))

    def end(self):
        self.ended.set()
        self.thread.join()


def measure(build, time_slice, retention, functions):
    with bench.Daemon(build, aggregation__time_slice=time_slice, aggregation__retention=retention,
                      store__durability="process") as one:
        began = int(time.time()) // 10 * 10 - 1800 - (5400 if time_slice == "1s" else 0)
        with one.tcp() as sock:
            sock.sendall(message(began, functions))
            for n in range(100):  # other buckets
                sock.sendall(message(began + 20 + 10 * n, 50))
        while one.status()["received"] < 101:
            time.sleep(0.01)
        one.flush()
        acks = Acks(("127.0.0.1", one.port("tcp")))
        time.sleep(LOAD)
        idle, at = acks.longest(), time.monotonic()
        end = began + (10 if time_slice == "10s" else 1)
        response = bench.control.request(one.settings["control.socket"], "POST", "/v1/delete",
                                         {"from": str(began), "to": str(end), "dry_run": "false"}, timeout=120)
        took, longest = time.monotonic() - at, acks.longest()
        acks.end()
        assert response.json["functions"] == functions, response.json
        return took, idle, longest


def main():
    build = pathlib.Path(sys.argv[1])
    print(f"{'retention':20} {'functions':>9} {'deletion':>10} {'longest ack before':>19} {'during':>9}")
    for time_slice, retention, functions in ROWS:
        took, idle, longest = measure(build, time_slice, retention, functions)
        print(f"{retention:20} {functions:9,} {took:8.2f} s {idle * 1000:16.0f} ms {longest * 1000:6.0f} ms",
              flush=True)


if __name__ == "__main__":
    main()
