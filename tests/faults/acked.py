"""A strict client of acknowledged streams. It keeps unacknowledged messages and resumes from last_seq.

It checks every response and adds violations to `problems`: last_seq and acks never exceed what was sent, last_seq is
never below an earlier acknowledgement, a valid message is never rejected, and an invalid one only with its own code.
"""
import collections
import contextlib
import itertools
import json
import select
import socket
import threading
import time

import checker

HELLO_TIMEOUT = 15  # seconds; the response may wait for a commit that a write lock delays
BAD_EVERY = 17


class Unusable(Exception):
    """The connection cannot be used further: the daemon has exited or is stopping."""


def connector(daemon, *kinds, timeout=HELLO_TIMEOUT):
    """Returns connect() for a client. Each call uses the next kind, and the current port of the daemon."""
    turns = itertools.cycle(kinds)

    def connect():
        if next(turns) == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(timeout)
            sock.connect(str(daemon.settings["ingest.unix_stream"]))
            return sock
        return socket.create_connection(daemon.address("tcp"), timeout=timeout)
    return connect


@contextlib.contextmanager
def running(clients, problems, timeout=30):
    """Starts the clients, stops them at the end, and adds their problems to the list."""
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            problems += client.stop(timeout)


class Client:
    """A thread that sends until stop() or until `total` is reached, and reconnects whenever the connection is lost."""

    def __init__(self, connect, number, total=None, window=64, bad=False, again=0, name=None, labels=None,
                 errors=()):
        self.connect, self.total, self.window, self.again = connect, total, window, again
        self.bad = bad
        self.errors = errors  # codes by which the daemon may end a connection
        self.hello = {"client": name or f"client-{number}"}
        if labels:
            self.hello["labels"] = labels
        self.sent = checker.Sent(number)
        self.unacked = collections.OrderedDict()  # seq: line
        self.recent = collections.deque(maxlen=max(again, 1))  # acknowledged lines, to send as duplicates
        self.rejects = {}
        self.problems = []
        self.connections = self.acks = self.resent = 0
        self.ending = threading.Event()
        self.giving_up = threading.Event()
        self.thread = threading.Thread(target=self.run)

    # For the thread of the test.

    def start(self):
        self.thread.start()
        return self

    def stop(self, timeout):
        """Stops sending, waits until everything is acknowledged, and returns the problems."""
        self.ending.set()
        self.thread.join(timeout)
        if self.thread.is_alive():
            self.giving_up.set()
            self.thread.join(HELLO_TIMEOUT + 5)
            self.problem(f"no response to {len(self.unanswered())} after {timeout} s")
        return self.problems

    def unanswered(self):
        """The numbers without acknowledgement or reject."""
        return [seq for seq in list(self.unacked) if seq not in self.rejects]

    # For the thread of the client.

    def run(self):
        while not self.giving_up.is_set():
            try:
                with self.connect() as sock:
                    self.connections += 1
                    self.run_connection(sock)
                return
            except (OSError, Unusable, AssertionError):
                time.sleep(0.01)  # before the next attempt
            except Exception as problem:
                self.problems.append(f"client {self.sent.client}: {problem!r}")
                return

    def problem(self, text):
        self.problems.append(f"client {self.sent.client}: {text}")

    def line(self, seq):
        if self.bad and seq % BAD_EVERY == 0:
            self.sent.bad.add(seq)
            # An unreadable line counts as the number after the previous line; the others have their own.
            return b"?" if seq % 2 else json.dumps({"seq": seq, "timestamp": "x"}).encode()
        return checker.message(self.sent.client, seq, seq=seq)

    def run_connection(self, sock):
        self.buffer = b""
        sock.sendall(json.dumps({"hello": self.hello}).encode() + b"\n")
        self.resume(self.read_line(sock))
        out = bytearray()
        for line in list(self.recent)[-self.again:] if self.again else []:
            out += line + b"\n"
            self.resent += 1
        for line in self.unacked.values():
            out += line + b"\n"
            self.resent += 1
        sock.setblocking(False)
        while not self.giving_up.is_set():
            while self.may_send() and len(self.unacked) < self.window and len(out) < 65536:
                seq = self.sent.last + 1
                line = self.line(seq)
                self.unacked[seq] = line
                self.sent.last = seq
                out += line + b"\n"
            if not self.may_send() and not self.unanswered():
                return
            readable, writable, _ = select.select([sock], [sock] if out else [], [], 0.1)
            if readable:
                more = sock.recv(65536)
                if not more:
                    raise Unusable
                self.buffer += more
                *lines, self.buffer = self.buffer.split(b"\n")
                for line in lines:
                    self.check(json.loads(line))
            if writable:
                del out[:sock.send(out)]

    def may_send(self):
        return not self.ending.is_set() and (self.total is None or self.sent.last < self.total)

    def read_line(self, sock):
        while b"\n" not in self.buffer:
            more = sock.recv(65536)
            if not more:
                raise Unusable
            self.buffer += more
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def resume(self, response):
        self.may_end(response)
        if "hello" not in response:
            self.problem(f"response to the hello: {response}")
            self.giving_up.set()
            raise Unusable
        hello = response["hello"]
        last = hello["last_seq"]
        if hello["protocol"] != 1 or not isinstance(hello["max_message"], int):
            self.problem(f"response to the hello: {response}")
        if last < self.sent.confirmed:
            self.problem(f"last_seq {last} is below the acknowledged {self.sent.confirmed}")
        self.confirm(last, "last_seq")

    def confirm(self, seq, member):
        if seq > self.sent.last:
            self.problem(f"{member} {seq} was not sent, {self.sent.last} is the last")
            seq = self.sent.last
        self.sent.confirmed = max(self.sent.confirmed, seq)
        while self.unacked and next(iter(self.unacked)) <= seq:
            _, line = self.unacked.popitem(last=False)
            if line != b"?":  # a line without a number cannot be sent as a duplicate
                self.recent.append(line)

    def may_end(self, response):
        if response.get("error", {}).get("code") in self.errors:
            raise Unusable

    def check(self, response):
        self.may_end(response)
        if "ack" in response:
            self.acks += 1
            self.confirm(response["ack"], "ack")
        elif "reject" in response:
            reject = response["reject"]
            seq, code = reject.get("seq"), reject["code"]
            expected = ("bad_json" if seq % 2 else "bad_shape") if seq in self.sent.bad else None
            if code != expected or self.rejects.setdefault(seq, code) != code:
                self.problem(f"rejected: {reject}, expected {expected}")
        else:
            self.problem(f"unknown response: {response}")
