"""Row 13: the n-th allocation fails, with increasing n, during the start and while messages arrive.

The daemon may reject messages or exit with an error, but no sum is wrong, and acknowledged messages are stored. The
unit tests with failing_alloc.h do the same for lib/ and single files of daemon/, with sanitizers.
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

QUICK = {"store.ack_interval": "1ms", "store.durability": "process"}  # the disk does not matter here

# mode: (number of consecutive failures, whether only calls of the program itself fail)
MODES = {"one": (1, 1), "twenty": (20, 1), "libraries": (1, 0)}
# libuv calls abort() when it cannot allocate memory for another descriptor.
EXIT_CODES = {"one": (1, EX_CONFIG), "twenty": (1, EX_CONFIG), "libraries": (1, EX_CONFIG, -signal.SIGABRT)}


def workload(daemon, client, datagrams):
    """Messages over all kinds of sockets, and queries."""
    client.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        for _ in range(MESSAGES):
            datagrams.last += 1
            sock.sendto(checker.message(DATAGRAMS, datagrams.last), str(daemon.settings["ingest.unix_datagram"]))
    for path in ("/v1/top", "/v1/buckets", "/v1/status", "/metrics", "/v1/rejects", "/healthz"):
        daemon.get(path, timeout=5)
    wait_until(lambda: client.sent.last == MESSAGES and not client.unanswered(), timeout=1)


def run_with_failure(daemon, slots, mode, n):
    """A run in which the n-th call fails. Returns (problems, whether there was an n-th call)."""
    slots.fail_count, slots.own_only = MODES[mode]
    slots.fail_call = n
    # This client uses another transport if it gets no response; see the second test.
    client = acked.Client(acked.connector(daemon, "unix", "tcp", timeout=1), 1, total=MESSAGES, window=10, bad=True,
                          again=2, labels={"service": "web"}, errors=("unavailable",))
    datagrams = checker.Sent(DATAGRAMS)
    problems = []
    try:
        if daemon.try_start():
            workload(daemon, client, datagrams)
    except (OSError, AssertionError, http.client.HTTPException, json.JSONDecodeError):
        pass  # rejected, or the daemon has exited
    slots.fail_call = 0
    hit = bool(slots.failed)
    code = daemon.process.poll()
    if code is None:
        try:
            # A flush that started without memory may fail; the next one must succeed.
            wait_until(lambda: daemon.post("/v1/flush").status == 200, daemon.log_text)
            status = daemon.wait_idle()
            if status["store_error"]:
                problems.append(f"the store error stays: {status['store_error']}")
        except (OSError, AssertionError, http.client.HTTPException, json.JSONDecodeError) as problem:
            problems.append(f"the daemon does not respond: {problem!r}")
            daemon.kill()
            code = "killed"
    elif code not in EXIT_CODES[mode] or not hit:
        problems.append(f"exit code {code}: {daemon.log_text()[-500:]}")
    if daemon.process.poll() is not None:
        daemon.start()
    if not client.thread.ident:
        client.start()
    wait_until(lambda: not client.thread.is_alive() or client.problems,
               lambda: f"{mode}, call {n}: no response to {client.unanswered()}, {client.sent.last} sent; {status}")
    problems += client.stop(10)
    if client.sent.last != MESSAGES:
        problems.append(f"{client.sent.last} sent")
    status = daemon.wait_idle()
    problems += checker.verify(daemon.db, [client.sent, datagrams]) + checker.verify_counters(status)
    if code is None:
        stored = daemon.get_json("/v1/top")["profiles"]
        if stored != status["accepted"]:
            problems.append(f"{status['accepted']} accepted, {stored} stored")
    daemon.process.send_signal(signal.SIGTERM)
    if daemon.process.wait(TIMEOUT) != 0:
        problems.append(f"exit code {daemon.process.returncode} on SIGTERM")
    return [f"{mode}, call {n}: {problem}" for problem in problems], hit


@pytest.mark.parametrize("mode", sorted(MODES))
def test_each_failing_allocation_loses_nothing(new_daemon, scale, report, mode):
    if sanitizer():
        pytest.skip("a sanitizer has its own malloc; unit tests make allocations of lib/ and daemon/ fail")

    def attempt(n):
        daemon = new_daemon(QUICK)
        problems, hit = run_with_failure(daemon, daemon.preload("malloc_fault"), mode, n)
        daemon.discard(quiet=not problems)
        return problems, hit
    report(f"13 run_with_failure allocation, {mode}", *each_call(scale, attempt, at_least=10))


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_failing_allocation_affects_one_connection(new_daemon, report, kind):
    """The n-th call fails for one connection: it is served or closed, and the next one is served."""
    if sanitizer():
        pytest.skip("a sanitizer has its own malloc")
    problems, hits, calls = [], 0, 16  # more calls than for a connection and its hello
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
                problems.append(f"call {n}: the {which} connection is neither served nor closed")
            hits += which == "first" and slots.failed
        if not served and slots.failed == hits:
            problems.append(f"call {n}: the second connection is not served")
        daemon.discard(quiet=True)
        if len(problems) > 2:
            break  # each takes long
    if not hits:
        problems.append("no call was made to fail")
    report(f"13 run_with_failure allocation, connections over {kind}", calls, problems,
           f"{hits} failures in the first: served or closed, the next is served")
