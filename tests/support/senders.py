"""Senders for each transport: f(daemon, messages, sockets) returns when all messages were handed to the kernel.

UDP waits for the daemon in between, because loopback silently drops datagrams when the receive buffer is full.
"""
import json
import select
import socket
import threading
import time

WINDOW = 48_000  # bytes of datagrams in flight; far below the smallest default receive buffer


def udp(daemon, messages, sockets=1):
    to = daemon.address("udp")
    before, waiting = daemon.status()["received"], 0
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(sockets)]
    try:
        for n, message in enumerate(messages):
            if waiting + len(message) > WINDOW and waiting:
                daemon.wait_received(before + n)
                waiting = 0
            socks[n % sockets].sendto(message, to)
            waiting += len(message) + 800
    finally:
        for sock in socks:
            sock.close()


def unix_datagram(daemon, messages, sockets=1):
    socks = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(sockets)]
    try:
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            sock.settimeout(15)
        for n, message in enumerate(messages):
            socks[n % sockets].sendto(message, str(daemon.settings["ingest.unix_datagram"]))
    finally:
        for sock in socks:
            sock.close()


def connect_stream(daemon, kind="tcp", timeout=15):
    """A connected stream socket; kind: "tcp" or "unix"."""
    if kind == "tcp":
        return socket.create_connection(daemon.address("tcp"), timeout=timeout)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout)
    sock.connect(str(daemon.settings["ingest.unix_stream"]))
    return sock


class Stream:
    """A connection. A thread reads the responses all the time, so that sending never blocks because of them."""

    def __init__(self, daemon, kind="tcp"):
        self.socket = connect_stream(daemon, kind)
        self.received = bytearray()
        self.closed = threading.Event()  # by the daemon, or by a reset
        self.reset = False
        self.reader = threading.Thread(target=self._read_responses, daemon=True)
        self.reader.start()

    def _read_responses(self):
        try:
            while True:
                ready, _, _ = select.select([self.socket], [], [], 30)
                more = self.socket.recv(65536) if ready else b""
                if not more:
                    break
                self.received += more
        except (OSError, ValueError):
            self.reset = True
        self.closed.set()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def responses(self):
        """The complete lines received so far, parsed."""
        return [json.loads(line) for line in bytes(self.received).split(b"\n")[:-1]]

    def wait_responses(self, n, timeout=10):
        end = time.monotonic() + timeout
        while self.received.count(b"\n") < n:
            assert time.monotonic() < end, f"{self.received.count(10)} of {n} responses: {bytes(self.received[-500:])}"
            if self.closed.is_set() and self.received.count(b"\n") < n:
                raise AssertionError(f"closed after {bytes(self.received[-500:])}")
            time.sleep(0.002)
        return self.responses()

    def wait_closed(self, timeout=10):
        assert self.closed.wait(timeout), f"still open after {bytes(self.received[-500:])}"
        return self.responses()

    def finish(self):
        """Closes the sending side, waits for the daemon to close too, and returns all responses."""
        self.half_close()
        responses = self.wait_closed()
        self.close()
        return responses

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.reader.join(5)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stream(kind):
    def send(daemon, messages, sockets=1):
        streams = [Stream(daemon, kind) for _ in range(sockets)]
        for n, stream in enumerate(streams):
            lines = messages[n::sockets]
            for at in range(0, len(lines), 50):
                stream.send(b"".join(line + b"\n" for line in lines[at:at + 50]))
        for stream in streams:
            stream.finish()
    return send


TRANSPORTS = {"udp": udp, "tcp": stream("tcp"), "unix_stream": stream("unix"), "unix_datagram": unix_datagram}
