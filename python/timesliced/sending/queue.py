"""Queue: the profiles of one client that are not sent yet, its counters, and its shutdown. Shared by Sender and Worker.

One lock guards everything, and nothing slow happens while it is held. It is re-entrant: a signal handler may interrupt
a put() of the same thread with another put(). The inner one only appends to `arrived`; the interrupted one accepts it.

    put -> accepted -> [worker: encode, spool, send, acknowledged] -> done     success
    queue full, closed, no thread: refused                                     failures
    cannot be encoded or sent, or time ran out: lost
    release(): nothing more is accepted; the worker sends until stop_at        shutdown

Refused and lost profiles are dropped. The next profile that is sent reports their number to the daemon
(encode.DROPPED).
"""
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Dict, List, Optional

from timesliced.sending.poller import Poller
from timesliced.taking.capture import Capture
from timesliced.taking.sink import Ticker

GRACE = 0.25  # seconds that close() waits beyond its timeout for the thread to notice


@dataclass(frozen=True)
class ClientStats:
    """Counts of profiles since the client was made (in a forked child: since the fork)."""

    sent: int = 0  # acknowledged by the daemon (udp, unixgram: passed to the kernel)
    dropped: int = 0  # never sent: queue full, cannot be encoded, out of time; see last_error
    queued: int = 0  # waiting
    errors: int = 0  # failures to connect, to send, to write the spool, to read a dump
    rejected: int = 0  # messages that the daemon rejected; streams only
    altered: int = 0  # names, times and counts changed because the daemon would have rejected the profile
    stepped_back: int = 0  # not taken because another profiler was active
    skipped: int = 0  # not taken because of a sampling rate or max_overhead
    spooled: int = 0  # written to the spool: the end of the process cannot lose them
    kept: int = 0  # of those, left there by close() for the next start
    recovered: int = 0  # messages of previous processes delivered from the spool
    last_error: Optional[str] = None  # of any of these kinds


class Task:
    """One profile in the queue."""

    __slots__ = ("captured", "timestamp", "labels", "size", "spent", "number", "refused", "left", "spooled", "failed",
                 "dropped")

    def __init__(self, captured: Capture, timestamp: Optional[float], labels: str, size: int,
                 spent: Optional[Callable[[float], None]]) -> None:
        self.captured: Optional[Capture] = captured
        self.timestamp, self.labels, self.size, self.spent = timestamp, labels, size, spent
        self.number = 0  # ascending
        self.refused = False
        self.left = 0  # messages that are not sent yet
        self.spooled = False
        self.failed = False
        self.dropped = 0  # number of earlier dropped profiles to report with this one


class Queue:
    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.tickers: List[Ticker] = []
        self.closed = False
        self.arrived: Deque[Task] = deque()  # put, and neither accepted nor refused yet
        self.accepting = False  # a put() is at work on `arrived`
        self.running = False  # the worker's thread
        self.thread: Optional[threading.Thread] = None
        self.poller: Optional[Poller] = None  # of the worker
        self.pausing = False  # the worker is between two attempts to connect
        self.last_error: Optional[str] = None
        self._waiting: Deque[Task] = deque()  # not fetched by the worker
        self._open: Dict[int, Task] = {}  # neither done nor lost, by number
        self._bytes = 0  # of _open
        self._accepted = self._sent = self._lost = self._refused = self._kept = 0
        self._lost_before_flush = 0
        self._unreported = 0  # dropped, and not reported to the daemon
        self._counts: Dict[str, int] = {}
        self._stop_at: Optional[float] = None  # monotonic
        self._hurry = False  # ends a pause
        self._sleeping = False  # the worker is in poll()

    # Any thread.

    def room(self) -> int:
        """Bytes."""
        with self.lock:
            return self.max_bytes - self._bytes

    def refuse(self, why: str) -> None:
        with self.lock:
            self._refused += 1
            self._unreported += 1
            self.last_error = why

    def count(self, name: str, more: int = 1, why: Optional[str] = None) -> None:
        with self.lock:
            self._counts[name] = self._counts.get(name, 0) + more
            if why is not None:
                self.last_error = why

    def stats(self) -> ClientStats:
        with self.lock:
            return ClientStats(sent=self._sent, dropped=self._refused + self._lost, queued=len(self._open),
                               kept=self._kept, last_error=self.last_error, **self._counts)

    def flush(self, timeout: Optional[float]) -> bool:
        """Waits until everything put before this call is sent. False if that takes longer, or if a profile put since
        the previous flush was lost."""
        end = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            target = self._accepted
            self._hurry = True
            if self.pausing:
                self.wake()
            while self._is_open(target):
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self.changed.wait(left)
            lost, self._lost_before_flush = self._lost - self._lost_before_flush, self._lost
            return lost == 0

    def release(self, timeout: float) -> None:
        """Begins the shutdown, which the worker has to finish within `timeout`. Does not wait."""
        with self.changed:
            self.closed = True
            if self._stop_at is None:
                self._stop_at = time.monotonic() + timeout
            self._hurry = True
            self.wake()

    def close(self, timeout: float) -> bool:
        """True if everything that was accepted is sent."""
        self.release(timeout)
        thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(timeout, 0.0) + GRACE)
        with self.changed:
            self._give_up()  # if the thread hangs in a name lookup; it ends on its own
            return self._lost == self._kept == 0

    def stop_tickers(self) -> None:
        for ticker in list(self.tickers):
            ticker.stop()

    # Any thread, with the lock held.

    def obstacle(self, task: Task) -> Optional[str]:
        """Why the task cannot be accepted."""
        if self.closed:
            return "the client is closed"
        if self._bytes + task.size > self.max_bytes:
            return f"the queue is full ({self._bytes} of {self.max_bytes} bytes)"
        return None

    def accept(self, task: Task) -> None:
        self._accepted += 1
        task.number = self._accepted
        self._open[task.number] = task
        self._bytes += task.size
        self._waiting.append(task)
        if self._sleeping:
            self.wake()

    def wake(self) -> None:
        if self.poller is not None:
            self.poller.wake()

    def _is_open(self, number: int) -> bool:
        """True if a task up to that number is neither done nor lost."""
        while True:
            try:
                return next(iter(self._open), number + 1) <= number
            except RuntimeError:  # a signal handler accepted a task between iter() and next()
                continue

    def _give_up(self) -> None:
        for task in self._open.values():
            if task.spooled and not task.failed:
                self._kept += 1
            else:
                self._lost += 1
        self._open.clear()
        self._waiting.clear()
        self._bytes = 0
        self.changed.notify_all()

    # The worker.

    def next_task(self) -> Optional[Task]:
        with self.lock:
            if not self._waiting:
                return None
            task = self._waiting.popleft()
            task.dropped, self._unreported = self._unreported, 0
            return task

    def resized(self, task: Task, size: int) -> None:
        """Its encoded form has that many bytes."""
        with self.lock:
            if task.number in self._open:
                self._bytes += size - task.size
                task.size = size

    def done(self, task: Task, problem: Optional[str] = None) -> None:
        """The task is sent, or lost because of that problem."""
        with self.changed:
            if self._open.pop(task.number, None) is None:
                return  # close() has counted it as lost
            self._bytes -= task.size
            if problem is None:
                self._sent += 1
            else:
                self._lost += 1
                self._unreported += 1 + task.dropped
                self.count("errors", why=problem)
            self.changed.notify_all()

    def before_sleep(self, end: Optional[float]) -> Optional[float]:
        """Returns until when (monotonic) the worker may sleep: at most `end`, or the past if there is work."""
        with self.lock:
            if self._waiting:
                return 0.0
            self._sleeping = True
            if self._stop_at is not None:
                end = self._stop_at if end is None else min(end, self._stop_at)
            return end

    def after_sleep(self) -> None:
        with self.lock:
            self._sleeping = False

    def stopping(self) -> bool:
        """True if the client is closed and nothing is waiting: a profile put just before close() is still sent."""
        with self.lock:
            return self._stop_at is not None and not self._waiting

    def out_of_time(self) -> bool:
        with self.lock:
            return self._stop_at is not None and time.monotonic() >= self._stop_at

    def hurried(self) -> bool:
        """Called before each wait of a pause: True ends the pause."""
        with self.lock:
            hurry, self._hurry = self._hurry, False
            self.pausing = not hurry
            return hurry

    def ended(self) -> None:
        """The worker ends, with the lock held."""
        self._give_up()
        self.poller = None
        self.running = False
