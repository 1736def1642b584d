"""Connection: one acknowledged stream, tcp or unix: hello, numbered messages, responses. Background thread only.

    open    connect; send hello; receive hello with last_seq: the session removes what the daemon has, or gets a new id
    step    send as many messages as the kernel accepts; process responses: acks are passed to the session
    bye     send bye, half-close, read to the end: the daemon has removed the client

A failure is an OSError: the worker closes the connection, pauses, and opens a new one, which continues with the
messages that are not acknowledged.
"""
import errno
import json
import select
import socket
import time
from typing import Any, Dict, List, Optional

from timesliced.base.address import Address
from timesliced.sending import transport
from timesliced.sending.session import Session
from timesliced.sending.transport import Host

HELLO_TIMEOUT = 30.0  # seconds; the daemon may have to commit before it responds
BYE_TIMEOUT = 1.0  # seconds for the daemon to close the stream after a bye
OUT_MAX = 256 << 10  # bytes of the output buffer
READ = 65536  # bytes per recv()
TEMPORARY = ("too_many_clients", "unavailable")  # errors in response to a hello that may not last
RESPONSE_MAX = 1 << 20  # bytes of a line


class Renamed(Exception):
    """The session has a new client id: reconnect without a pause."""


class Refused(ConnectionError):
    """The daemon does not accept the hello."""

    def __init__(self, reason: str, temporary: bool) -> None:
        super().__init__(reason)
        self.temporary = temporary


class Connection:
    def __init__(self, address: Address, session: "Session[Any]", host: Host) -> None:
        self.address, self.session, self.host = address, session, host
        self.sock: Optional[socket.socket] = None
        self.out = bytearray()
        self.last = 0  # number of the last message written
        self.partial = b""  # response without its line feed

    def open(self) -> None:
        """Raises OSError (Refused, if the daemon answers with an error), Renamed."""
        self.sock = transport.connect_stream(self.address, self.host)
        self.out += self.session.hello
        end = time.monotonic() + HELLO_TIMEOUT
        while True:
            self._write()
            for response in self._read():
                hello = response.get("hello")
                if isinstance(hello, dict) and type(hello.get("last_seq")) is int:
                    self.last = hello["last_seq"]
                    if not self.session.greeted(self.last):
                        raise Renamed
                    return
                error = response.get("error")
                if isinstance(error, dict):
                    raise Refused(_reason(response), error.get("code") in TEMPORARY)
                raise ConnectionError("not the response to a hello")
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(errno.ETIMEDOUT, "the daemon does not respond to the hello")
            self.host.wait(self.sock, self._events(), left)

    def step(self, timeout: Optional[float]) -> None:
        """Sends what is waiting, waits for an event, processes responses. Raises OSError."""
        while self._fill():
            self._write()
            if self.out:  # the send buffer is full
                break
        self.host.wait(self._socket(), self._events(), timeout)
        for response in self._read():
            self._process(response)

    def bye(self) -> None:
        """Raises OSError if it cannot be sent."""
        self.session.before_bye()
        self.out += b'{"bye": true}\n'
        end = time.monotonic() + BYE_TIMEOUT
        while self.out:
            self._write()
            if self.out:
                self.host.wait(self._socket(), select.POLLOUT, end - time.monotonic())
        self._socket().shutdown(socket.SHUT_WR)
        try:
            while time.monotonic() < end:
                self._read()
                self.host.wait(self._socket(), select.POLLIN, end - time.monotonic())
        except OSError:
            return

    def close(self) -> None:
        sock, self.sock = self.sock, None
        if sock is not None:
            sock.close()

    def _socket(self) -> socket.socket:
        if self.sock is None:
            raise OSError(errno.ENOTCONN, "not connected")
        return self.sock

    def _events(self) -> int:
        return select.POLLIN | (select.POLLOUT if self.out else 0)

    def _fill(self) -> bool:
        """True if there is something to write."""
        if len(self.out) < OUT_MAX:
            for message in self.session.following(self.last):
                self.out += message.line
                self.last = message.seq
                if len(self.out) >= OUT_MAX:
                    break
        return bool(self.out)

    def _write(self) -> None:
        try:
            while self.out:
                with memoryview(self.out) as view:
                    sent = self._socket().send(view[:OUT_MAX])
                del self.out[:sent]
        except BlockingIOError:
            return

    def _read(self) -> List[Dict[str, Any]]:
        """The complete responses received. Raises OSError at the end of the stream, after the responses before it."""
        responses: List[Dict[str, Any]] = []
        while True:
            try:
                data = self._socket().recv(READ)
            except BlockingIOError:
                return responses
            more = len(data) == READ
            if not data:
                if responses:
                    return responses  # the next call reads the end again
                raise ConnectionResetError(errno.ECONNRESET, "closed by the daemon")
            *lines, self.partial = (self.partial + data).split(b"\n")
            if len(self.partial) > RESPONSE_MAX:
                raise ConnectionError("response too long")
            for line in lines:
                try:
                    response = json.loads(line)
                except (ValueError, RecursionError):
                    raise ConnectionError("response is not JSON") from None
                if isinstance(response, dict):
                    responses.append(response)
            if not more:
                return responses

    def _process(self, response: Dict[str, Any]) -> None:
        ack, reject = response.get("ack"), response.get("reject")
        if type(ack) is int:
            if ack > self.last:
                raise ConnectionError(f"acknowledged {ack}, sent {self.last}")
            self.session.acknowledged(ack)
        elif isinstance(reject, dict):
            if reject.get("code") == "sequence":  # the response to the next hello will have the right number
                raise ConnectionError(_reason(response))
            self.host.rejected(_reason(response))
        elif "error" in response:
            self.host.failed(_reason(response))


def _reason(response: Dict[str, Any]) -> str:
    for member in ("error", "reject"):
        found = response.get(member)
        if isinstance(found, dict):
            return f"{found.get('code')}: {found.get('message')}"
    return ""
