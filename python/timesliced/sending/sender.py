"""What one client and its background thread share: the profiles that wait, the counts, the end.

Any thread puts; the worker (worker.py) takes. The thread starts with the first put, so a client made before a fork costs
nothing. All of it is behind one lock, under which nothing slow happens. The lock is re-entrant, because a signal handler
may put in the middle of another put: it then only leaves its profile in `arrived`, for the put it interrupted to take.

    put -> taken -> [worker: encode, spool, send, acknowledged] -> done     the happy path
    no room, closed, no thread: refused                                      possible failures
    cannot be encoded or sent, or time ran out: lost
    close(): nothing new is taken; the worker drains until stop_at           on close
    fork: the child forgets all of it, and closes its copies of the descriptors (it must not shut the sockets down:
          the parent uses them)

Refused and lost ones are dropped, and told to the daemon in the next profile that goes out (encode.DROPPED).
"""
import atexit
import os
import sys
import threading
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Dict, List, Optional

from timesliced.base.address import Address
from timesliced.sending.unprofiled import run_unprofiled
from timesliced.sending.worker import Task, Ticker, Worker
from timesliced.taking import profiler as taking
from timesliced.taking.capture import Capture, size_of

EXIT_TIMEOUT = 1.0  # seconds the end of the process may be held up, for all clients together
FORGOTTEN_TIMEOUT = 5.0  # seconds for the queue of a client that was dropped without close()
GRACE = 0.25  # seconds close() waits past its timeout for the thread to notice


@dataclass(frozen=True)
class ClientStats:
    """What became of the profiles, since the client was made (in a forked child: since the fork)."""

    sent: int = 0  # profiles acknowledged by the daemon (udp, unixgram: handed to the kernel)
    dropped: int = 0  # profiles that never will be: no room, not encodable, or out of time; last_error says which
    queued: int = 0  # profiles that wait
    errors: int = 0  # failures: to reach the daemon, to send, to write the spool, to read a dump
    rejected: int = 0  # messages that the daemon refused; streams only
    altered: int = 0  # names, times and counts changed because the daemon would have refused the profile for them
    stepped_back: int = 0  # profiles not taken because another profiler was active
    skipped: int = 0  # profiles not taken for the sake of a sampling rate or of max_overhead
    spooled: int = 0  # profiles that the spool has taken: the end of the process cannot lose them
    kept: int = 0  # of those, the ones that close() left there for the next start
    recovered: int = 0  # messages of earlier processes delivered out of the spool
    last_error: Optional[str] = None  # of any of these kinds


class Sender:
    def __init__(self, address: Optional[Address], max_queue: int, limit: int, labels: str = "",
                 spool: Optional[str] = None, why_off: Optional[str] = None) -> None:
        """address: None sends nothing; why_off says why, where that is an error."""
        self.address = address
        self.max_queue = max_queue
        self.limit = limit
        self.labels = labels
        self.spool = spool
        self._why_off = why_off
        self.tickers: List[Ticker] = []
        self.closed = False
        self._reset()
        _senders.add(self)

    def _reset(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._arrived: Deque[Task] = deque()
        self._taking = False
        self._queue: Deque[Task] = deque()  # what the worker has not looked at
        self._open: Dict[int, Task] = {}  # what is neither done nor lost, by number
        self._bytes = 0
        self._taken = self._sent = self._lost = self._refused = self._kept = 0
        self._lost_told = 0  # by flush()
        self._untold = 0  # dropped ones that the daemon has not been told of
        self._counts: Dict[str, int] = {}
        self._last_error: Optional[str] = self._why_off
        self._stop_at: Optional[float] = None
        self.pausing = False  # the worker is, between two attempts
        self._hurry = False  # ends a pause
        self._sleeping = False
        self._thread: Optional[threading.Thread] = None
        self._worker: Optional[Worker] = None
        self._running = False  # the worker's thread

    # Any thread.

    def put(self, captured: Capture, timestamp: Optional[float], labels: str = "",
            spent: Optional[Callable[[float], None]] = None) -> bool:
        """False where it is dropped. Never waits. labels: JSON text, "" for the client's own."""
        task = Task(captured, timestamp, labels, size_of(captured), spent)
        with self.lock:
            self._arrived.append(task)
            while self._arrived and not self._taking:
                try:
                    self._taking = True
                    self._take(self._arrived.popleft())
                except IndexError:
                    pass  # a signal handler took it, between the two lines above
                finally:
                    self._taking = False
        return not task.refused

    def room(self) -> int:
        """Bytes."""
        with self.lock:
            return self.max_queue - self._bytes

    def refuse(self, why: str) -> None:
        """A profile that could not even be looked at."""
        with self.lock:
            self._refused += 1
            self._untold += 1
            self._last_error = why

    def start(self) -> bool:
        """Has the worker run without anything to send yet."""
        with self.lock:
            return not self.closed and self._start() is None

    def wake(self) -> None:
        """Has the worker look at the tickers."""
        with self.lock:
            self._wake()

    def flush(self, timeout: Optional[float]) -> bool:
        """True once all that was put before this call is sent; False too where some of what was put since the last
        flush is lost."""
        end = None if timeout is None else time.monotonic() + timeout
        with self.changed:
            target = self._taken
            self._hurry = True
            if self.pausing:
                self._wake()
            while self._open and next(iter(self._open)) <= target:
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    return False
                self.changed.wait(left)
            lost, self._lost_told = self._lost - self._lost_told, self._lost
            return lost == 0

    def close(self, timeout: float) -> bool:
        """True where all that was put is sent."""
        self.release(timeout)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(timeout, 0.0) + GRACE)
        with self.changed:
            self._give_up()  # the thread hangs in a name's lookup; it ends by itself
            return self._lost == self._kept == 0

    def release(self, timeout: float = FORGOTTEN_TIMEOUT) -> None:
        """The beginning of close(), which waits for nothing."""
        with self.changed:
            self.closed = True
            if self._stop_at is None:
                self._stop_at = time.monotonic() + timeout
            self._hurry = True
            self._wake()

    def stats(self) -> ClientStats:
        with self.lock:
            return ClientStats(sent=self._sent, dropped=self._refused + self._lost, queued=len(self._open),
                               kept=self._kept, last_error=self._last_error, **self._counts)

    def count(self, name: str, more: int = 1, why: Optional[str] = None) -> None:
        with self.lock:
            self._counts[name] = self._counts.get(name, 0) + more
            if why is not None:
                self._last_error = why

    def after_fork(self) -> None:
        """In the child, where only the forking thread is left, and any lock may be held by one that is not."""
        worker = self._worker
        self._reset()
        if worker is not None:
            worker.abandon()
        if self.tickers and self.address is not None:
            for ticker in self.tickers:
                ticker.after_fork()
            self.start()

    # With the lock held.

    def _take(self, task: Task) -> None:
        why: Optional[str] = None
        if self.address is None:
            why = self._why_off or "the client is off"
        elif self.closed:
            why = "the client is closed"
        elif self._bytes + task.size > self.max_queue:
            why = f"the queue is full ({self._bytes} of {self.max_queue} bytes)"
        else:
            why = self._start()
        if why is not None:
            task.refused = True
            self.refuse(why)
            return
        self._taken += 1
        task.number = self._taken
        self._open[task.number] = task
        self._bytes += task.size
        self._queue.append(task)
        if self._sleeping:
            self._wake()

    def _start(self) -> Optional[str]:
        """Sees that the thread runs. Gives why it cannot."""
        if self._running:
            return None
        try:
            worker = self._worker or Worker(self)
            self._worker = worker
            thread = threading.Thread(target=run_unprofiled, args=(worker.run,), name="timesliced", daemon=True)
            self._running = True
            thread.start()
        except (OSError, RuntimeError) as error:  # no descriptors, no threads, or the interpreter is ending
            self._running = False
            return f"no background thread: {error}"
        self._thread = thread
        _at_end_of_child()
        return None

    def _wake(self) -> None:
        if self._worker is not None:
            self._worker.wake()

    def _give_up(self) -> None:
        for task in self._open.values():
            if task.spooled and not task.failed:
                self._kept += 1
            else:
                self._lost += 1
        self._open.clear()
        self._queue.clear()
        self._bytes = 0
        self.changed.notify_all()

    # The worker.

    def next_task(self) -> Optional[Task]:
        with self.lock:
            if not self._queue:
                return None
            task = self._queue.popleft()
            task.told, self._untold = self._untold, 0
            return task

    def resized(self, task: Task, size: int) -> None:
        """It is encoded: that many bytes."""
        with self.lock:
            if task.number in self._open:
                self._bytes += size - task.size
                task.size = size

    def done(self, task: Task, problem: Optional[str] = None) -> None:
        """Sent, or lost to that problem."""
        with self.changed:
            if self._open.pop(task.number, None) is None:
                return  # close() has counted it as lost
            self._bytes -= task.size
            if problem is None:
                self._sent += 1
            else:
                self._lost += 1
                self._untold += 1 + task.told
                self.count("errors", why=problem)
            self.changed.notify_all()

    def sleep_until(self, end: Optional[float]) -> Optional[float]:
        """Before the worker waits: the time (monotonic) that it may wait until at most. Now, where there is work."""
        with self.lock:
            if self._queue:
                return 0.0
            self._sleeping = True
            if self._stop_at is not None:
                end = self._stop_at if end is None else min(end, self._stop_at)
            return end

    def awake(self) -> None:
        with self.lock:
            self._sleeping = False

    def stopping(self) -> bool:
        """Closed, and nothing is queued: a profile put just before close() is still sent."""
        with self.lock:
            return self._stop_at is not None and not self._queue

    def out_of_time(self) -> bool:
        with self.lock:
            return self._stop_at is not None and time.monotonic() >= self._stop_at

    def hurried(self) -> bool:
        """Asked before each wait of a pause."""
        with self.lock:
            hurry, self._hurry = self._hurry, False
            self.pausing = not hurry
            return hurry

    def ended(self, worker: Worker) -> None:
        with self.changed:
            self._give_up()
            if self._worker is worker:
                self._worker = None
                self._running = False


_senders: "weakref.WeakSet[Sender]" = weakref.WeakSet()
_child_end_set_in = 0  # the process that has _at_exit() among multiprocessing's finalizers
_forks_set = False  # forked children get it there


def _after_fork() -> None:
    taking.after_fork()
    for sender in list(_senders):
        sender.after_fork()


def _at_exit() -> None:
    end = time.monotonic() + EXIT_TIMEOUT
    senders = list(_senders)
    for sender in senders:
        for ticker in list(sender.tickers):
            ticker.stop()
    for sender in senders:
        if sender.flush(max(0.0, end - time.monotonic())):
            sender.close(max(0.0, end - time.monotonic()))  # takes leave of the daemon
        else:
            sender.close(0.0)


# Children of multiprocessing end without atexit, but with finalizers of their own, which are cleared when they begin.

def _at_end_of_child() -> None:
    """In one that was not forked, or whose parent had no multiprocessing yet when it forked."""
    global _child_end_set_in
    process = sys.modules.get("multiprocessing.process")
    if _child_end_set_in == os.getpid() or process is None or process.parent_process() is None:
        return
    _child_began()


def _child_began(_client: object = None) -> None:
    global _child_end_set_in
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        _child_end_set_in = os.getpid()
        util.Finalize(None, _at_exit, exitpriority=-100)  # after everybody else's, who may still send


def _before_fork() -> None:
    global _forks_set
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _forks_set:
        _forks_set = True
        util.register_after_fork(_at_exit, _child_began)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
atexit.register(_at_exit)
