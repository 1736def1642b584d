"""Sockets to the daemon: datagrams, and the way to a stream. Background thread only.

Sockets are non-blocking; where one has to be waited for, the worker's wait() does it, so that a close() elsewhere can
end the wait. A failure is an OSError: the worker closes the transport, pauses, and gives the same message again.

    udp       connected, so that a port where nobody listens is noticed; paced, because a full receive buffer drops
              silently. A refusal is counted, and the data goes on: the kernel took it.
    unixgram  the kernel holds the sender back when the daemon's queue is full, so nothing is lost on the way
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
KEEPALIVE = 30  # seconds of silence before the first probe

# A receiver that the kernel granted only the usual 212,992 bytes holds three datagrams of 64 kB. BURST fits in there;
# RATE then gives such a receiver 50 ms to come round again, and still is 20,000 functions a second.
BURST = 128_000
RATE = 4e6  # bytes a second
OVERHEAD = 800  # bytes the kernel charges to the receive buffer for each datagram, beside the data


class Host(Protocol):
    """What sockets need of the worker that runs them."""

    def wait(self, sock: Optional[socket.socket], events: int, timeout: Optional[float]) -> int:
        """Until the socket has one of the events (gives them), something woke the thread, or the time is over (0)."""

    def sleep(self, seconds: float) -> None: ...

    def failed(self, what: str) -> None:
        """Counts an error."""

    def rejected(self, what: str) -> None:
        """Counts a message the daemon refused."""


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
        """Hands one message to the kernel. Raises OSError (give it again), Unsendable. Only where it is open."""
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

    def attend(self) -> None:
        """Something happened on an idle socket. Raises OSError."""
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

    def attend(self) -> None:  # nothing comes back on it, so this is an end of some kind
        raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


class Udp(Datagrams):
    def __init__(self, address: Address, host: Host) -> None:
        super().__init__(address, host)
        self.pace = Pace(BURST, RATE)
        self.addresses = 1  # of the name
        self.turn = 0  # which of them

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
        except ConnectionRefusedError as error:  # one before it was; this one has not left yet
            self._refused(error.errno or errno.ECONNREFUSED)
            if self.sock is None:
                self.open()
            super().send(message)
        self.attend()

    def attend(self) -> None:
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
    """A token bucket: `burst` bytes at once, then `rate` bytes a second."""

    def __init__(self, burst: float, rate: float) -> None:
        self.burst, self.rate = burst, rate
        self.level = burst
        self.last = time.monotonic()

    def take(self, size: float) -> float:
        """Gives the seconds to wait before sending that many bytes."""
        now = time.monotonic()
        self.level = min(self.burst, self.level + (now - self.last) * self.rate) - size
        self.last = now
        return max(0.0, -self.level / self.rate)


def connect_stream(address: Address, host: Host) -> socket.socket:
    """Raises OSError, of the last of several addresses."""
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
    """Where connecting does not wait for the other side. (A Unix stream whose backlog is full gives EAGAIN.)"""
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _resolve(address: Address, kind: int) -> List[Tuple[int, Any]]:
    found: List[Tuple[int, Any]] = [(one[0], one[4]) for one in socket.getaddrinfo(address.host, address.port, type=kind)]
    if address.host.lower() == "localhost":  # the daemon's default is the IPv4 one, and UDP cannot ask
        found.sort(key=lambda one: one[0] != socket.AF_INET)
    return found


def text_of(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
