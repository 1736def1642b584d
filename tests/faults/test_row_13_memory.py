"""Row 13: the n-th allocation fails, n rising until none is hit, from the start on and while messages come in.

Whatever is refused for it, the daemon ends in order or goes on; no sum is wrong, and what was acknowledged is stored.
The same for the calls of lib/ and of single files of daemon/, with sanitizers: the unit tests with failing_alloc.h.
"""
import http.client
import json
import signal
import socket

import pytest

import acked
import checker
from faulty import each_call, sanitizer
from support.daemon import EX_CONFIG, TIMEOUT, wait_until

MESSAGES = 40
DATAGRAMS = 2  # the number of the client that sends them

QUICK = {"store.ack_interval": "1ms", "store.durability": "process"}  # the disk is not what this is about

# mode: (how many calls fail in a row, whether only the program's own ones do)
MODES = {"one": (1, 1), "twenty": (20, 1), "libraries": (1, 0)}
# libuv has no other answer than abort() where it cannot make room for one more descriptor.
ENDS = {"one": (1, EX_CONFIG), "twenty": (1, EX_CONFIG), "libraries": (1, EX_CONFIG, -signal.SIGABRT)}


def workload(daemon, client, datagrams):
    """Everything that allocates while messages come in, and some questions."""
    client.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        for _ in range(MESSAGES):
            datagrams.last += 1
            sock.sendto(checker.text(DATAGRAMS, datagrams.last), str(daemon.settings["ingest.unix_datagram"]))
    for path in ("/v1/top", "/v1/buckets", "/v1/status", "/metrics", "/v1/rejects", "/healthz"):
        daemon.get(path, timeout=5)
    wait_until(lambda: client.sent.last == MESSAGES and not client.owed(), timeout=1)


def failing(daemon, slots, mode, n):
    """One run. Gives problems, and whether a call was hit."""
    slots.fail_count, slots.own_only = MODES[mode]
    slots.fail_call = n
    # One that looks elsewhere where it is not answered: what that is about, the second test says.
    client = acked.Client(acked.connector(daemon, "unix", "tcp", timeout=1), 1, total=MESSAGES, window=10, bad=True,
                          again=2, labels={"service": "web"}, errors=("unavailable",))
    datagrams = checker.Sent(DATAGRAMS)
    problems = []
    try:
        if daemon.try_start():
            workload(daemon, client, datagrams)
    except (OSError, AssertionError, http.client.HTTPException, json.JSONDecodeError):
        pass  # refused, or gone
    slots.fail_call = 0
    hit = bool(slots.failed)
    code = daemon.process.poll()
    if code is None:
        try:
            # A flush that began without memory may say so; the next one must not.
            wait_until(lambda: daemon.post("/v1/flush").status == 200, daemon.log_text)
            status = daemon.wait_idle()
            if status["store_error"]:
                problems.append(f"the store stays in trouble: {status['store_error']}")
        except (OSError, AssertionError, http.client.HTTPException, json.JSONDecodeError) as problem:
            problems.append(f"does not answer any more: {problem!r}")
            daemon.kill()
            code = "killed"
    elif code not in ENDS[mode] or not hit:
        problems.append(f"exit code {code}: {daemon.log_text()[-500:]}")
    if daemon.process.poll() is not None:
        daemon.start()
    if not client.thread.ident:
        client.start()
    wait_until(lambda: not client.thread.is_alive() or client.problems, 
               lambda: f"{mode}, call {n}: {client.owed()} are not answered, {client.sent.last} sent; {status}")
    problems += client.stop(10)
    if client.sent.last != MESSAGES:
        problems.append(f"{client.sent.last} sent")
    status = daemon.wait_idle()
    problems += checker.judge(daemon.db, [client.sent, datagrams]) + checker.balance(status)
    if code is None:
        stored = daemon.get_json("/v1/top")["profiles"]
        if stored != status["accepted"]:
            problems.append(f"{status['accepted']} accepted, {stored} stored")
    daemon.process.send_signal(signal.SIGTERM)
    if daemon.process.wait(TIMEOUT) != 0:
        problems.append(f"SIGTERM gives {daemon.process.returncode}")
    return [f"{mode}, call {n}: {problem}" for problem in problems], hit


@pytest.mark.parametrize("mode", sorted(MODES))
def test_each_allocation(new_daemon, scale, report, mode):
    if sanitizer():
        pytest.skip("a sanitizer has its own malloc; its unit tests make the calls of lib/ and daemon/ fail")
    def attempt(n):
        daemon = new_daemon(QUICK)
        problems, hit = failing(daemon, daemon.preload("malloc_fault"), mode, n)
        daemon.discard(quiet=not problems)
        return problems, hit
    report(f"13 failing allocation, {mode}", *each_call(scale, attempt, at_least=10))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_connections(new_daemon, report, kind):
    """The n-th call fails for one connection: it is answered or closed, and the next one is served."""
    if sanitizer():
        pytest.skip("a sanitizer has its own malloc")
    problems, hits, calls = [], 0, 16  # more than a connection and its hello make
    for n in range(1, calls + 1):
        daemon = new_daemon()
        slots = daemon.preload("malloc_fault")
        slots.fail_count = slots.own_only = 1
        daemon.start()
        daemon.get_json("/v1/top")
        family, to = socket.AF_UNIX, str(daemon.settings["ingest.unix_stream"])
        if kind == "tcp":
            family, to = socket.AF_INET, daemon.address("tcp")
        slots.fail_call = slots.seen_calls + n
        for which in ("first", "second"):
            try:
                with socket.socket(family) as sock:
                    sock.settimeout(2)
                    sock.connect(to)
                    sock.sendall(json.dumps({"hello": {"client": which, "labels": {"k": "v"}}}).encode() + b"\n")
                    served = b"last_seq" in sock.recv(1000)
            except ConnectionError:
                served = False  # closed
            except TimeoutError:
                served = False
                problems.append(f"call {n}: the {which} connection is neither answered nor closed")
            hits += which == "first" and slots.failed
        if not served and slots.failed == hits:
            problems.append(f"call {n}: the second connection is not served")
        daemon.discard(quiet=True)
        if len(problems) > 2:
            break  # each took its time
    if not hits:
        problems.append("no call was made to fail")
    report(f"13 failing allocation, connections over {kind}", calls, problems,
           f"{hits} hit the first: answered or closed, the next is served")
