"""Row 12: no descriptors left. The daemon's own cap refuses, questions are answered, and it does not spin."""
import resource
import socket
import time

import pytest

import checker
from support import senders
from support.daemon import wait_until

BUSY = 0.2  # of a CPU


def limit(number):
    """Before the program starts: all that it can ever have."""
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def knock(daemon, number):
    """Connections that stay, whatever becomes of them."""
    socks = []
    for n in range(number):
        sock = socket.socket(socket.AF_UNIX if n % 2 else socket.AF_INET)
        sock.setblocking(False)
        try:
            sock.connect(str(daemon.settings["ingest.unix_stream"]) if n % 2 else daemon.tcp)
        except BlockingIOError:
            pass  # the backlog is full, or TCP is on its way
        socks.append(sock)
    return socks


def crowded(daemon, number, seconds):
    """Gives (problems, share of a CPU) while `number` connections knock."""
    problems = []
    socks = knock(daemon, number)
    try:
        end = time.monotonic() + seconds
        cpu, begun, asked = daemon.cpu_seconds(), time.monotonic(), 0
        while time.monotonic() < end:
            for path in ("/v1/status", "/healthz", "/v1/top"):
                asked += 1
                try:
                    response = daemon.get(path, timeout=2)
                    if response.status != 200:
                        problems.append(f"{path}: {response}")
                except TimeoutError:
                    problems.append(f"{path} is not answered")
                    end = 0
            time.sleep(0.05)  # it is idling that is measured
        share = (daemon.cpu_seconds() - cpu) / (time.monotonic() - begun)
    finally:
        for sock in socks:
            sock.close()
    if share > BUSY:
        problems.append(f"{share:.0%} of a CPU with {asked} questions")
    return problems, share


@pytest.mark.parametrize("threads", [1, 2])
def test_few_from_the_start(new_daemon, scale, report, threads):
    daemon = new_daemon({"ingest.threads": threads})
    spawn = daemon.spawn
    daemon.spawn = lambda: spawn(preexec_fn=limit(128))
    daemon.start()
    daemon.tcp = daemon.address("tcp")
    problems, share = crowded(daemon, 300, scale.choose(2, 20))
    wait_until(lambda: daemon.status()["connections"]["open"] == 0, lambda: daemon.status())
    senders.TRANSPORTS["tcp"](daemon, [checker.text(1, 1)])
    status = daemon.wait_idle()
    problems += checker.balance(status)
    if status["accepted"] != 1:
        problems.append(f"{status['accepted']} accepted afterwards")
    report(f"12 128 descriptors, {threads} ingest threads", 300, problems,
           f"{status['connections']['refused']} refused, {share:.1%} of a CPU")


def test_taken_away_while_it_runs(start_daemon, scale, report):
    """Below what its own cap counts on: each accept fails."""
    daemon = start_daemon()
    daemon.tcp = daemon.address("tcp")
    daemon.get_json("/v1/top")  # whatever a query keeps open is open
    before = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
    used = daemon.descriptors()
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (used + 20, before[1]))
    problems, _ = crowded(daemon, 15, 1)  # there is room for these and for a question
    socks = knock(daemon, 200)
    try:
        cpu, begun = daemon.cpu_seconds(), time.monotonic()
        time.sleep(scale.choose(2, 20))  # with nothing to do it does nothing
        share = (daemon.cpu_seconds() - cpu) / (time.monotonic() - begun)
        if share > BUSY:
            problems.append(f"{share:.0%} of a CPU with no descriptors")
    finally:
        for sock in socks:
            sock.close()
    resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, before)
    senders.TRANSPORTS["tcp"](daemon, [checker.text(1, 1)])
    senders.TRANSPORTS["unix_stream"](daemon, [checker.text(1, 2)])
    status = daemon.wait_idle()
    problems += checker.balance(status)
    if status["accepted"] != 2:
        problems.append(f"{status['accepted']} accepted afterwards")
    report("12 descriptors taken away", 200, problems, f"{share:.1%} of a CPU without any, served afterwards")
