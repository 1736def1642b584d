"""Sockets to the daemon: datagrams, and connecting a stream. Background thread only.

Sockets are non-blocking. Waiting for one is done by the worker's wait(), so that close() in another thread can end it.
A failure is an OSError: the worker closes the transport, pauses, and sends the same message again.

    udp       connected, so that ICMP errors ("nobody listens there") are noticed; paced, because a full receive buffer
              drops datagrams silently. An error is counted, and the datagram is considered sent: the kernel accepted
              it.
    unixgram  the kernel blocks the sender while the daemon's queue is full, so nothing is lost in transit
"""
import errno
import os
import select
import socket
import time
from typing import Any, List, Optional, Protocol, Tuple

from timesliced.base.address import Address

CONNECT_TIMEOUT = 5.0  # seconds, for each address of a name
USER_TIMEOUT = 60_000  # ms that written data may stay unacknowledged by the peer's kernel
KEEPALIVE = 30  # seconds without traffic before the first probe

# A receive buffer of the usual 212,992 bytes holds three datagrams of 64 kB. BURST fits into it; RATE then leaves such
# a receiver 50 ms until its next read, and still is 20,000 functions per second.
BURST = 128_000
RATE = 4e6  # bytes per second
OVERHEAD = 800  # bytes that the kernel adds to the receive buffer's use for each datagram


class Host(Protocol):
    """The worker, as sockets see it."""

    def wait(self, sock: Optional[socket.socket], events: int, timeout: Optional[float]) -> int:
        """Waits until the socket has one of the events (returns them), the thread is woken, or the timeout is over
        (0)."""

    def sleep(self, seconds: float) -> None: ...

    def failed(self, what: str) -> None:
        """Counts an error."""

    def rejected(self, what: str) -> None:
        """Counts a message that the daemon rejected."""


class Unsendable(Exception):
    """This message can never be sent; others can."""


class Datagrams:
    def __init__(self, address: Address, host: Host) -> None:
        self.address = address
        self.host = host
        self.sock: Optional[socket.socket] = None

    def open(self) -> None:
        """Raises OSError."""
        raise NotImplementedError

    def send(self, message: bytes) -> None:
        """Passes one message to the kernel. Must be open. Raises OSError (send it again), Unsendable."""
        sock = self.connected()
        scarce = 0
        while True:
            try:
                sock.send(message)
                return
            except BlockingIOError:
                self.host.wait(sock, select.POLLOUT, 1.0)
            except OSError as error:
                if error.errno == errno.EMSGSIZE:
                    raise Unsendable(f"a datagram of {len(message)} bytes: {error.strerror}") from error
                scarce += 1
                if error.errno != errno.ENOBUFS or scarce > 100:
                    raise
                self.host.sleep(0.01)

    def check(self) -> None:
        """Called when an idle socket has an event. Raises OSError."""
        raise NotImplementedError

    def connected(self) -> socket.socket:
        if self.sock is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self.sock

    def close(self) -> None:
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()


class UnixDatagrams(Datagrams):
    def open(self) -> None:
        self.sock = _connect(socket.AF_UNIX, socket.SOCK_DGRAM, self.address.path)

    def check(self) -> None:  # the daemon sends nothing, so the event is an error or the end
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


class Udp(Datagrams):
    def __init__(self, address: Address, host: Host) -> None:
        super().__init__(address, host)
        self.pace = Pace(BURST, RATE)
        self.addresses = 1  # of the name
        self.turn = 0  # which of them to use

    def open(self) -> None:
        found = _resolve(self.address, socket.SOCK_DGRAM)
        self.addresses = len(found)
        family, where = found[self.turn % len(found)]
        try:
            self.sock = _connect(family, socket.SOCK_DGRAM, where)
        except OSError:
            self.turn += 1
            raise

    def send(self, message: bytes) -> None:
        self.host.sleep(self.pace.take(len(message) + OVERHEAD))
        try:
            super().send(message)
        except ConnectionRefusedError as error:  # of an earlier datagram; this one is not sent yet
            self._refused(error.errno or errno.ECONNREFUSED)
            if self.sock is None:
                self.open()
            super().send(message)
        self.check()

    def check(self) -> None:
        code = self.connected().getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._refused(code)

    def _refused(self, code: int) -> None:
        self.host.failed(os.strerror(code))
        if self.addresses > 1:
            self.turn += 1
            self.close()


def make_datagrams(address: Address, host: Host) -> Datagrams:
    return Udp(address, host) if address.scheme == "udp" else UnixDatagrams(address, host)


class Pace:
    """A token bucket: `burst` bytes at once, then `rate` bytes per second."""

    def __init__(self, burst: float, rate: float) -> None:
        self.burst, self.rate = burst, rate
        self.level = burst
        self.last = time.monotonic()

    def take(self, size: float) -> float:
        """Returns the seconds to wait before that many bytes may be sent."""
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.last) * self.rate) - size
        self.last = now
        return max(0.0, -self.level / self.rate)


def connect_stream(address: Address, host: Host) -> socket.socket:
    """Raises OSError: if the name has several addresses, that of the last."""
    if address.scheme == "unix":
        return _connect(socket.AF_UNIX, socket.SOCK_STREAM, address.path)
    problem = OSError(errno.EADDRNOTAVAIL, "no address")
    for family, where in _resolve(address, socket.SOCK_STREAM):
        try:
            return _connect_tcp(family, where, host)
        except OSError as error:
            problem = error
    raise problem


def _connect_tcp(family: int, where: Any, host: Host) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (("TCP_KEEPIDLE", KEEPALIVE), ("TCP_USER_TIMEOUT", USER_TIMEOUT)):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        code = sock.connect_ex(where)
        end = time.monotonic() + CONNECT_TIMEOUT
        while code == errno.EINPROGRESS:
            left = end - time.monotonic()
            if left <= 0:
                code = errno.ETIMEDOUT
            elif host.wait(sock, select.POLLOUT, left):
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        if sock.getsockname() == sock.getpeername():  # nobody listens, and the kernel connected the port to itself
            raise OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(family: int, kind: int, where: Any) -> socket.socket:
    """For sockets that connect without waiting. A Unix stream fails with EAGAIN if the listener's backlog is full."""
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(address: Address, kind: int) -> List[Tuple[int, Any]]:
    found: List[Tuple[int, Any]] = [(one[0], one[4]) for one in socket.getaddrinfo(address.host, address.port,
    type=kind)]
    if address.host.lower() == "localhost":  # the daemon listens on IPv4 by default, and UDP cannot try both
        found.sort(key=lambda one: one[0] != socket.AF_INET)
    return found


def text_of(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
