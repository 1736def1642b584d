"""One acknowledged connection, tcp or unix: hello, numbered lines, answers. Background thread only.

    open      connect; > hello; < hello with last_seq: the session forgets what the daemon has, or takes another name
    step      as much of what the session has as the kernel takes; answers as they come: acks go to the session
    bye       > bye, half-close, read to the end: the daemon has forgotten the client

A failure is an OSError: the worker closes, pauses, and opens a new one, which begins with what is not acknowledged.
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

HELLO_TIMEOUT = 30.0  # seconds; the answer may wait for a commit
FINISH_TIMEOUT = 1.0  # seconds for the daemon's end of the stream after a bye
OUT_MAX = 256 << 10  # bytes made ready for the kernel
READ = 65536  # bytes at once
ANSWER_MAX = 1 << 20  # bytes of a line; no answer is longer


class Renamed(Exception):
    """The session has another name now: a new connection is needed, at once."""


class Connection:
    def __init__(self, address: Address, session: "Session[Any]", host: Host) -> None:
        self.address, self.session, self.host = address, session, host
        self.sock: Optional[socket.socket] = None
        self.out = bytearray()
        self.last = 0  # number written last
        self.partial = b""  # of an answer

    def open(self) -> None:
        """Raises OSError, Renamed."""
        self.sock = transport.connect_stream(self.address, self.host)
        self.out += self.session.hello
        end = time.monotonic() + HELLO_TIMEOUT
        while True:
            self._write()
            for answer in self._read():
                hello = answer.get("hello")
                if isinstance(hello, dict) and isinstance(hello.get("last_seq"), int):
                    self.last = hello["last_seq"]
                    if not self.session.greeted(self.last):
                        raise Renamed
                    return
                raise ConnectionError(_words(answer) or "not the answer to a hello")
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(errno.ETIMEDOUT, "the daemon does not answer the hello")
            self.host.wait(self.sock, self._events(), left)

    def step(self, timeout: Optional[float]) -> None:
        """Sends what there is, waits for something to happen, reads what came. Raises OSError."""
        while self._fill():
            self._write()
            if self.out:  # the kernel takes no more
                break
        self.host.wait(self._socket(), self._events(), timeout)
        for answer in self._read():
            self._answered(answer)

    def bye(self) -> None:
        """Raises OSError where it was not said."""
        self.session.farewell()
        self.out += b'{"bye": true}\n'
        end = time.monotonic() + FINISH_TIMEOUT
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
        """True where there is something to write."""
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
        """Whole answers. Raises OSError at the end of the stream, but for the answers before it."""
        answers: List[Dict[str, Any]] = []
        while True:
            try:
                data = self._socket().recv(READ)
            except BlockingIOError:
                return answers
            more = len(data) == READ
            if not data:
                if answers:
                    return answers  # the end is read again
                raise ConnectionResetError(errno.ECONNRESET, "closed by the daemon")
            *lines, self.partial = (self.partial + data).split(b"\n")
            if len(self.partial) > ANSWER_MAX:
                raise ConnectionError("an answer without end")
            for line in lines:
                try:
                    answer = json.loads(line)
                except (ValueError, RecursionError):
                    raise ConnectionError("an answer that is no JSON") from None
                if isinstance(answer, dict):
                    answers.append(answer)
            if not more:
                return answers

    def _answered(self, answer: Dict[str, Any]) -> None:
        ack, reject = answer.get("ack"), answer.get("reject")
        if isinstance(ack, int):
            if ack > self.last:
                raise ConnectionError(f"acknowledged {ack}, sent {self.last}")
            self.session.acknowledged(ack)
        elif isinstance(reject, dict):
            if reject.get("code") == "sequence":  # what the next hello says will be right
                raise ConnectionError(_words(answer))
            self.host.rejected(_words(answer))
        elif "error" in answer:
            self.host.failed(_words(answer))


def _words(answer: Dict[str, Any]) -> str:
    for member in ("error", "reject"):
        found = answer.get(member)
        if isinstance(found, dict):
            return f"{found.get('code')}: {found.get('message')}"
    return ""
