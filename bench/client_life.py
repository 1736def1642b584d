"""Forks, and a missing daemon."""
import os
import resource
import socket
import threading
import time

import client_cost
import daemon
import timesliced

WORKERS = 8
SENDS = 3000
QUEUE = 4 << 20  # bytes


def worked(name, calls):
    """Calls a function of that name `calls` times."""
    names = {}
    exec(f"def {name}(n):\n    return n * n\n", names)
    function = names[name]
    for n in range(calls):
        function(n)


def fork(build):
    """The parent is being profiled when it forks. The workers are profiled too."""
    with daemon.Daemon(build) as one:
        client = timesliced.Client(f"tcp://{one.listeners['tcp']}")
        every = client.every(0.2)
        worked("work_of_parent", 1000)
        begin = time.monotonic()
        workers = []
        for number in range(WORKERS):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    for _ in range(5):
                        worked(f"work_of_{number}", 100 * (number + 1))
                        time.sleep(0.05)
                    code = 0 if client.close(20) else 2
                finally:
                    os._exit(code)
            workers.append(pid)
        worked("work_of_parent", 500)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in workers]
        every.stop()
        delivered = client.close(20)
        span = (time.monotonic() - begin) * (WORKERS + 1)
        rows = {row["function"]: row for row in one.request("GET", "/v1/top")["functions"]}
    calls = {name: row["ncalls"] for name, row in rows.items() if name.startswith("work_of_")}
    expected = {f"work_of_{number}": 500 * (number + 1) for number in range(WORKERS)}
    expected["work_of_parent"] = 1500
    total = sum(float(row["tottime"]) for row in rows.values())
    return [
        (f"{WORKERS} workers: calls of each worker's function, and of the parent's", "equal" if calls == expected else
         f"{calls}", "equal", calls == expected and delivered and codes == [0] * WORKERS),
        ("total tottime, compared to the elapsed time", f"{total:.2f} s of {span:.2f} s", "not more",
         total <= span)]


def absent(build):
    """Sends profiles of blocks and of 130 functions while nothing listens on the port."""
    del build
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    profile = client_cost.profile_of(130)
    threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
    client = timesliced.Client(f"tcp://127.0.0.1:{port}", max_queue=QUEUE)
    problems, slowest = 0, 0.0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(SENDS):
        begin = time.thread_time()
        try:
            with client.profile():
                pow(2, 10)
            client.send(profile)
        except Exception:
            problems += 1
        slowest = max(slowest, time.thread_time() - begin)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    begin = time.monotonic()
    closed = client.close(0.5)
    took = time.monotonic() - begin
    stats = client.stats
    left = threading.active_count() - threads, len(os.listdir("/proc/self/fd")) - descriptors
    return [
        (f"{2 * SENDS:,} profiles: exceptions in the application", f"{problems}", "0", problems == 0),
        ("profiles dropped and counted", f"{stats.dropped:,}", f"{2 * SENDS:,}",
         stats.dropped == 2 * SENDS and not closed),
        (f"memory growth, with a queue of {QUEUE >> 20} MiB", f"+{grown / 2**20:.1f} MiB", "<= 4 x the queue",
         grown <= 4 * QUEUE),
        ("close(0.5)", f"{took:.2f} s", "<= 0.8 s", took <= 0.8),
        ("threads and descriptors left", f"{left[0]} and {left[1]}", "0 and 0", left == (0, 0)),
        ("slowest profile() and send() together, CPU time", f"{slowest * 1e3:.2f} ms", "", True)]
