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


def knock(one, number):
    """Connections that stay, whatever becomes of them."""
    ways = []
    for n in range(number):
        way = socket.socket(socket.AF_UNIX if n % 2 else socket.AF_INET)
        way.setblocking(False)
        try:
            way.connect(str(one.settings["ingest.unix_stream"]) if n % 2 else one.tcp)
        except BlockingIOError:
            pass  # the backlog is full, or TCP is on its way
        ways.append(way)
    return ways


def crowded(one, number, seconds):
    """Gives (problems, share of a CPU) while `number` connections knock."""
    problems = []
    ways = knock(one, number)
    try:
        end = time.monotonic() + seconds
        cpu, begun, asked = one.cpu_seconds(), time.monotonic(), 0
        while time.monotonic() < end:
            for path in ("/v1/status", "/healthz", "/v1/top"):
                asked += 1
                try:
                    answer = one.get(path, timeout=2)
                    if answer.status != 200:
                        problems.append(f"{path}: {answer}")
                except TimeoutError:
                    problems.append(f"{path} is not answered")
                    end = 0
            time.sleep(0.05)  # it is idling that is measured
        share = (one.cpu_seconds() - cpu) / (time.monotonic() - begun)
    finally:
        for way in ways:
            way.close()
    if share > BUSY:
        problems.append(f"{share:.0%} of a CPU with {asked} questions")
    return problems, share


@pytest.mark.parametrize("threads", [1, 2])
def test_few_from_the_start(prepare, scale, figure, threads):
    one = prepare({"ingest.threads": threads})
    spawn = one.spawn
    one.spawn = lambda: spawn(preexec_fn=limit(128))
    one.start()
    one.tcp = one.address("tcp")
    problems, share = crowded(one, 300, scale.choose(2, 20))
    wait_until(lambda: one.status()["connections"]["open"] == 0, lambda: one.status())
    senders.TRANSPORTS["tcp"](one, [checker.text(1, 1)])
    status = one.idle()
    problems += checker.balance(status)
    if status["accepted"] != 1:
        problems.append(f"{status['accepted']} accepted afterwards")
    figure(f"12 128 descriptors, {threads} ingest threads", 300, problems,
           f"{status['connections']['refused']} refused, {share:.1%} of a CPU")


def test_taken_away_while_it_runs(daemon, scale, figure):
    """Below what its own cap counts on: each accept fails."""
    one = daemon()
    one.tcp = one.address("tcp")
    one.ask("/v1/top")  # whatever a query keeps open is open
    before = resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE)
    used = one.descriptors()
    resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, (used + 20, before[1]))
    problems, _ = crowded(one, 15, 1)  # there is room for these and for a question
    ways = knock(one, 200)
    try:
        cpu, begun = one.cpu_seconds(), time.monotonic()
        time.sleep(scale.choose(2, 20))  # with nothing to do it does nothing
        share = (one.cpu_seconds() - cpu) / (time.monotonic() - begun)
        if share > BUSY:
            problems.append(f"{share:.0%} of a CPU with no descriptors")
    finally:
        for way in ways:
            way.close()
    resource.prlimit(one.process.pid, resource.RLIMIT_NOFILE, before)
    senders.TRANSPORTS["tcp"](one, [checker.text(1, 1)])
    senders.TRANSPORTS["unix_stream"](one, [checker.text(1, 2)])
    status = one.idle()
    problems += checker.balance(status)
    if status["accepted"] != 2:
        problems.append(f"{status['accepted']} accepted afterwards")
    figure("12 descriptors taken away", 200, problems, f"{share:.1%} of a CPU without any, served afterwards")
