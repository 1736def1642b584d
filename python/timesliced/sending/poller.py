"""Poller: lets the background thread wait for one socket, for a time, or for a wake() by another thread."""
import os
import select
import socket
from typing import Optional, Tuple


class Poller:
    def __init__(self) -> None:
        """Raises OSError if there are no file descriptors left."""
        self._poll = select.poll()
        self._registered: Optional[Tuple[int, int]] = None  # descriptor of the socket, events
        self._pipe: Optional[Tuple[int, int]] = os.pipe()
        os.set_blocking(self._pipe[0], False)
        os.set_blocking(self._pipe[1], False)
        self._poll.register(self._pipe[0], select.POLLIN)

    @property
    def closed(self) -> bool:
        return self._pipe is None

    def wake(self) -> None:
        """From any thread. The caller must prevent a concurrent close()."""
        if self._pipe is not None:
            try:
                os.write(self._pipe[1], b"\0")
            except BlockingIOError:
                pass  # full: poll() will return

    def wait(self, sock: Optional[socket.socket], events: int, timeout: Optional[float]) -> int:
        """Returns the events of the socket, or 0 after a wake() or the timeout."""
        assert self._pipe is not None
        self._register(sock, events)
        ready = 0
        for descriptor, found in self._poll.poll(None if timeout is None else max(0.0, timeout) * 1000 + 1):
            if descriptor != self._pipe[0]:
                ready = found
                continue
            try:
                os.read(self._pipe[0], 4096)
            except BlockingIOError:
                pass
        return ready

    def close(self) -> None:
        pipe, self._pipe = self._pipe, None  # first: a child forked in between must not close them again
        if pipe is not None:
            os.close(pipe[0])
            os.close(pipe[1])

    def _register(self, sock: Optional[socket.socket], events: int) -> None:
        wanted = None if sock is None else (sock.fileno(), events)
        if wanted == self._registered:
            return
        if self._registered is not None:
            self._poll.unregister(self._registered[0])
        self._registered = wanted
        if wanted is not None:
            self._poll.register(*wanted)
