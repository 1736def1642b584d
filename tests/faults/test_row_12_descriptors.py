"""Row 12: no file descriptors left. Connections are refused, queries are served, and the daemon does not spin."""
import resource
import socket
import time

import pytest

import checker
from support import senders
from support.daemon import wait_until

BUSY = 0.2  # of a CPU


def limit(number):
    """For preexec_fn: limits the descriptors of the process."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def connect_many(daemon, number):
    """Connections that stay open on this side, accepted or not."""
    socks = []
    for n in range(number):
        sock = socket.socket(socket.AF_UNIX if n % 2 else socket.AF_INET)
        sock.setblocking(False)
        try:
            sock.connect(str(daemon.settings["ingest.unix_stream"]) if n % 2 else daemon.tcp)
        except BlockingIOError:
            pass  # the backlog is full, or the TCP handshake is in progress
        socks.append(sock)
    return socks


def query_under_connections(daemon, number, seconds):
    """Sends queries while `number` connections are open or waiting. Returns (problems, share of a CPU)."""
    problems = []
    socks = connect_many(daemon, number)
    try:
        end = time.monotonic() + seconds
        cpu, begun, queries = daemon.cpu_seconds(), time.monotonic(), 0
        while time.monotonic() < end:
            for path in ("/v1/status", "/healthz", "/v1/top"):
                queries += 1
                try:
                    response = daemon.get(path, timeout=2)
                    if response.status != 200:
                        problems.append(f"{path}: {response}")
                except TimeoutError:
                    problems.append(f"no response to {path}")
                    end = 0
            time.sleep(0.05)  # the daemon should be mostly idle
        share = (daemon.cpu_seconds() - cpu) / (time.monotonic() - begun)
    finally:
        for sock in socks:
            sock.close()
    if share > BUSY:
        problems.append(f"{share:.0%} of a CPU with {queries} queries")
    return problems, share


@pytest.mark.parametrize("threads", [1, 2])
def test_few_descriptors_from_the_start(new_daemon, scale, report, threads):
    daemon = new_daemon({"ingest.threads": threads})
    spawn = daemon.spawn
    daemon.spawn = lambda: spawn(preexec_fn=limit(128))
    daemon.start()
    daemon.tcp = daemon.address("tcp")
    problems, share = query_under_connections(daemon, 300, scale.choose(2, 20))
    wait_until(lambda: daemon.status()["connections"]["open"] == 0, lambda: daemon.status())
    senders.TRANSPORTS["tcp"](daemon, [checker.message(1, 1)])
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    if status["accepted"] != 1:
        problems.append(f"{status['accepted']} accepted afterwards")
    report(f"12 128 descriptors, {threads} ingest threads", 300, problems,
           f"{status['connections']['refused']} refused, {share:.1%} of a CPU")


def test_descriptors_removed_at_run_time(start_daemon, scale, report):
    """The limit drops below what max_connections assumes, so that each accept() fails."""
    daemon = start_daemon()
    daemon.tcp = daemon.address("tcp")
    daemon.get_json("/v1/top")  # opens the files that queries keep open
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    used = daemon.descriptors()
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (used + 20, before[1]))
    problems, _ = query_under_connections(daemon, 15, 1)  # within the limit, with room for a query
    socks = connect_many(daemon, 200)
    try:
        cpu, begun = daemon.cpu_seconds(), time.monotonic()
        time.sleep(scale.choose(2, 20))  # the daemon must be idle
        share = (daemon.cpu_seconds() - cpu) / (time.monotonic() - begun)
        if share > BUSY:
            problems.append(f"{share:.0%} of a CPU with no descriptors")
    finally:
        for sock in socks:
            sock.close()
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
    senders.TRANSPORTS["tcp"](daemon, [checker.message(1, 1)])
    senders.TRANSPORTS["unix_stream"](daemon, [checker.message(1, 2)])
    status = daemon.wait_idle()
    problems += checker.verify_counters(status)
    if status["accepted"] != 2:
        problems.append(f"{status['accepted']} accepted afterwards")
    report("12 descriptors taken away", 200, problems, f"{share:.1%} of a CPU without any, served afterwards")
