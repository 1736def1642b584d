"""The queue of one client, and the background thread that empties it into the daemon's socket.

Any thread puts; only the background thread touches the transport. It starts with the first put, so a client made before
a fork costs nothing. What they share is behind one lock; nothing slow happens under it. The lock is re-entrant, because
a signal handler may put in the middle of another put: it then only leaves its profile in `arrived`, for the put it
interrupted to take. A pipe wakes the thread, which otherwise waits in poll().

    put -> queue -> [open, send each message, count] -> done             the happy path
    OSError: close, pause (growing), the same message again              possible failures
    Unsendable, or an exception of our own making: this profile is lost, the next one goes on
    close(): nothing new is taken; the thread drains until stop_at,      on close
    counts what is left as lost, closes the socket, ends
    fork: the child forgets queue, counts, thread and sockets (it must not shut those down: the parent uses them)
"""
import atexit
import os
import random
import select
import socket
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Deque, List, Optional, Tuple

from timesliced import transport
from timesliced.address import Address

PAUSE_MIN = 0.05  # seconds between attempts to reach the daemon, doubled each time
PAUSE_MAX = 5.0
EXIT_TIMEOUT = 1.0  # seconds the end of the process may be held up, for all clients together
FORGOTTEN_TIMEOUT = 5.0  # seconds for the queue of a client that was dropped without close()
GRACE = 0.25  # seconds close() waits past its timeout for the thread to notice


@dataclass(frozen=True)
class ClientStats:
    """What became of the profiles, since the client was made (in a forked child: since the fork)."""

    sent: int = 0  # profiles handed to the kernel whole
    dropped: int = 0  # profiles that were not, and never will be: the queue was full, or close() ran out of time
    queued: int = 0  # profiles that wait
    errors: int = 0  # failures to reach the daemon, or to send
    rejected: int = 0  # error answers of the daemon; only streams carry any
    altered: int = 0  # names, times and counts changed because the daemon would have refused the profile for them
    last_error: Optional[str] = None  # of any of these kinds


class _Stopped(Exception):
    """The time that close() gave is over."""


class _Item:
    def __init__(self, messages: List[bytes], altered: int) -> None:
        self.messages = messages
        self.altered = altered
        self.size = sum(map(len, messages))
        self.sent = 0  # messages handed over: a retry must not repeat them
        self.dropped = False


class Sender:
    def __init__(self, address: Address, max_queue: int) -> None:
        self._address = address
        self._max_queue = max_queue
        self._closed = False
        self._reset()
        _senders.add(self)

    def _reset(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._arrived: Deque[_Item] = deque()
        self._taking = False
        self._queue: Deque[_Item] = deque()  # the head is being sent
        self._bytes = 0
        self._taken = self._done = self._lost = 0  # done includes lost
        self._lost_told = 0  # by flush()
        self._refused = self._errors = self._rejected = self._altered = 0
        self._last_error: Optional[str] = None
        self._stop_at: Optional[float] = None
        self._hurry = False  # ends a pause
        self._thread: Optional[threading.Thread] = None
        self._pipe: Optional[Tuple[int, int]] = None
        self._transport: Optional[transport.Transport] = None

    # Any thread.

    def put(self, messages: List[bytes], altered: int) -> bool:
        """False where they are dropped. Never waits."""
        item = _Item(messages, altered)
        with self._changed:
            self._arrived.append(item)
            while self._arrived and not self._taking:
                try:
                    self._taking = True
                    self._take(self._arrived.popleft())
                except IndexError:
                    pass  # a signal handler took it, between the two lines above
                finally:
                    self._taking = False
        return not item.dropped

    def flush(self, timeout: Optional[float]) -> bool:
        """True once all that was put before this call is handed to the kernel; False too where some of what was put
        since the last flush is lost."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            target = self._taken
            self._hurry = True
            self._wake()
            while self._done < target:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
            lost, self._lost_told = self._lost - self._lost_told, self._lost
            return lost == 0

    def close(self, timeout: float) -> bool:
        """True where nothing that was queued is lost."""
        self.release(timeout)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(timeout, 0.0) + GRACE)
        with self._changed:
            self._give_up()  # the thread hangs in a name's lookup; it ends by itself
            return self._lost == 0

    def release(self, timeout: float = FORGOTTEN_TIMEOUT) -> None:
        """The beginning of close(), which waits for nothing."""
        with self._changed:
            self._closed = True
            if self._stop_at is None:
                self._stop_at = time.monotonic() + timeout
            self._hurry = True
            self._wake()

    def stats(self) -> ClientStats:
        with self._changed:
            return ClientStats(self._done - self._lost, self._refused + self._lost, len(self._queue), self._errors,
                               self._rejected, self._altered, self._last_error)

    def after_fork(self) -> None:
        """In the child, where only the forking thread is left, and any lock may be held by one that is not."""
        pipe, link = self._pipe, self._transport
        self._reset()
        if pipe is not None:
            os.close(pipe[0])
            os.close(pipe[1])
        if link is not None:
            link.close()

    # With the lock held.

    def _take(self, item: _Item) -> None:
        self._altered += item.altered
        if self._closed:
            why: Optional[str] = "the client is closed"
        elif self._bytes + item.size > self._max_queue:
            why = f"the queue is full ({self._bytes} of {self._max_queue} bytes)"
        else:
            why = self._start()
        if why is not None:
            item.dropped = True
            self._refused += 1
            self._last_error = why
            return
        self._queue.append(item)
        self._bytes += item.size
        self._taken += 1
        self._wake()

    def _start(self) -> Optional[str]:
        """Sees that the thread runs. Gives why it cannot."""
        if self._pipe is not None and self._thread is not None and self._thread.is_alive():
            return None
        thread = threading.Thread(target=self._run, name="timesliced", daemon=True)
        try:
            if self._pipe is None:
                self._pipe = os.pipe()
                os.set_blocking(self._pipe[0], False)
                os.set_blocking(self._pipe[1], False)
            thread.start()
        except (OSError, RuntimeError) as error:  # no descriptors, no threads, or the interpreter is ending
            return f"no background thread: {error}"
        self._thread = thread
        return None

    def _wake(self) -> None:
        if self._pipe is not None:
            try:
                os.write(self._pipe[1], b"\0")
            except BlockingIOError:
                pass  # full: it will wake

    def _give_up(self) -> None:
        self._lost += len(self._queue)
        self._done += len(self._queue)
        self._queue.clear()
        self._bytes = 0
        self._changed.notify_all()

    # The background thread.

    def _run(self) -> None:
        try:
            link = self._transport = transport.make(self._address, self)
            try:
                while True:
                    item = self._next(link)
                    if item is None:
                        break
                    self._deliver(link, item)
                if link.sock is not None:
                    link.finish()
            except OSError as error:
                self.failed(_text(error))
            finally:
                link.close()
        except _Stopped:
            pass
        finally:
            with self._changed:
                self._give_up()
                pipe, self._pipe = self._pipe, None  # first: a child forked meanwhile must not close them again
                if pipe is not None:
                    os.close(pipe[0])
                    os.close(pipe[1])

    def _next(self, link: transport.Transport) -> Optional[_Item]:
        """Waits for it. None: closed, and all is sent."""
        while True:
            with self._changed:
                if self._queue:
                    return self._queue[0]
                if self._stop_at is not None:
                    return None
            if self.wait(link.sock, link.watch, None):
                try:
                    link.attend()
                except OSError as error:
                    self.failed(_text(error))
                    link.close()

    def _deliver(self, link: transport.Transport, item: _Item) -> None:
        pause = PAUSE_MIN
        problem: Optional[str] = None
        while item.sent < len(item.messages) and problem is None:
            try:
                if link.sock is None:
                    link.open()
                    self._go_on()
                link.send(item.messages[item.sent])
                item.sent += 1
                pause = PAUSE_MIN
            except OSError as error:
                link.close()
                self.failed(_text(error))
                self._pause(pause)
                pause = min(pause * 2, PAUSE_MAX)
            except transport.Unsendable as error:
                problem = str(error)
            except _Stopped:
                raise
            except Exception as error:  # a mistake of ours may cost a profile, not the application its client
                link.close()
                problem = f"{type(error).__name__}: {error}"
        if problem is not None:
            self.failed(problem)
        with self._changed:
            if self._queue and self._queue[0] is item:  # else close() has counted it as lost
                self._queue.popleft()
                self._bytes -= item.size
                self._done += 1
                self._lost += problem is not None
                self._changed.notify_all()

    def _go_on(self) -> Tuple[Optional[float], Tuple[int, int]]:
        """Raises _Stopped where the time is over. Gives when it will be, and the pipe."""
        with self._changed:
            stop_at, pipe = self._stop_at, self._pipe
        if pipe is None or (stop_at is not None and time.monotonic() >= stop_at):
            raise _Stopped
        return stop_at, pipe

    def _pause(self, seconds: float) -> None:
        """Cut short by flush() and close(). Not equally long for all whom one restart cut off."""
        end = time.monotonic() + seconds * random.uniform(0.75, 1.25)
        while True:
            with self._changed:
                hurry, self._hurry = self._hurry, False
            left = end - time.monotonic()
            if hurry or left <= 0:
                return
            self.wait(None, 0, left)

    # What a transport asks of its host.

    def wait(self, sock: Optional[socket.socket], events: int, timeout: Optional[float]) -> int:
        now = time.monotonic()
        end = None if timeout is None else now + timeout
        stop_at, pipe = self._go_on()
        if stop_at is not None:
            end = stop_at if end is None else min(end, stop_at)
        poll = select.poll()
        poll.register(pipe[0], select.POLLIN)
        if sock is not None:
            poll.register(sock, events)
        ready = 0
        for descriptor, what in poll.poll(None if end is None else max(0.0, end - now) * 1000 + 1):
            if descriptor != pipe[0]:
                ready = what
                continue
            try:
                os.read(pipe[0], 4096)
            except BlockingIOError:
                pass
        return ready

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        left = seconds
        while left > 0:
            self.wait(None, 0, left)
            left = end - time.monotonic()

    def failed(self, what: str) -> None:
        with self._changed:
            self._errors += 1
            self._last_error = what

    def rejected(self, what: str) -> None:
        with self._changed:
            self._rejected += 1
            self._last_error = what


_senders: "weakref.WeakSet[Sender]" = weakref.WeakSet()


def _after_fork() -> None:
    for sender in list(_senders):
        sender.after_fork()


def _at_exit() -> None:
    end = time.monotonic() + EXIT_TIMEOUT
    for sender in list(_senders):
        sender.flush(max(0.0, end - time.monotonic()))


def _text(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
