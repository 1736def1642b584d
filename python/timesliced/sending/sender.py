"""Sender: accepts profiles from any thread, and runs the background thread (worker.py) that sends them.

The thread starts with the first profile, so a client made before a fork costs nothing. In a forked child the sender
begins with an empty queue; the child closes its copies of the descriptors, but does not shut the sockets down, because
the parent uses them.

The worker refers to the queue and not to the sender. If the last reference to the sender is dropped without a close(),
the queue is released: the worker sends what is left and ends.
"""
import atexit
import os
import sys
import threading
import time
import weakref
from functools import partial
from typing import Callable, Mapping, Optional, Set

from timesliced.base import limits
from timesliced.sending import spool
from timesliced.sending.options import Options
from timesliced.sending.queue import ClientStats, Queue, Task
from timesliced.sending.unprofiled import run_unprofiled
from timesliced.sending.worker import Worker
from timesliced.taking import profiler
from timesliced.taking.capture import Capture, size_of
from timesliced.taking.sink import Ticker

EXIT_TIMEOUT = 1.0  # seconds that all clients together may delay the exit of the process
DROPPED_TIMEOUT = 5.0  # seconds for the queue of a client that was dropped without close()


class Sender:
    """A taking.sink.Sink."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.queue = self._new_queue()
        _senders.add(self)

    def _new_queue(self) -> Queue:
        queue = Queue(self.options.max_queue)
        queue.last_error = self.options.why_off
        self._finalizer = weakref.finalize(self, queue.release, DROPPED_TIMEOUT)
        self._finalizer.atexit = False
        return queue

    @property
    def enabled(self) -> bool:
        return self.options.address is not None

    def put(self, captured: Capture, timestamp: Optional[float], labels: str = "",
            spent: Optional[Callable[[float], None]] = None) -> bool:
        task = Task(captured, timestamp, labels, size_of(captured), spent)
        queue = self.queue
        with queue.lock:
            queue.arrived.append(task)
            while queue.arrived and not queue.accepting:
                try:
                    queue.accepting = True
                    self._accept(queue, queue.arrived.popleft())
                except IndexError:
                    pass  # a signal handler accepted it between the check and popleft()
                finally:
                    queue.accepting = False
        return not task.refused

    def refuse(self, why: str) -> None:
        self.queue.refuse(why)

    def count(self, name: str, more: int = 1, why: Optional[str] = None) -> None:
        self.queue.count(name, more, why)

    def labels_json(self, labels: Optional[Mapping[str, str]]) -> str:
        if not labels:
            return ""
        return limits.labels_text(limits.check_labels({**self.options.labels, **limits.check_labels(labels)}))

    def schedule(self, ticker: Ticker) -> bool:
        if not self.start():
            return False
        with self.queue.lock:
            self.queue.tickers.append(ticker)
            self.queue.wake()
        return True

    def unschedule(self, ticker: Ticker) -> None:
        if ticker in self.queue.tickers:
            self.queue.tickers.remove(ticker)

    def start(self) -> bool:
        """Starts the thread before there is anything to send. False if the client is off or closed, or if the thread
        cannot run."""
        with self.queue.lock:
            return self.enabled and not self.queue.closed and self._start(self.queue) is None

    def recover(self) -> None:
        """Starts the thread if the spool may have messages of previous processes."""
        if self.options.spool is not None and spool.has_files(self.options.spool):
            self.start()

    def room(self) -> int:
        """Bytes of the queue that are free."""
        return self.queue.room()

    def stats(self) -> ClientStats:
        return self.queue.stats()

    def flush(self, timeout: Optional[float]) -> bool:
        return self.queue.flush(timeout)

    def close(self, timeout: float) -> bool:
        self.queue.stop_tickers()
        return self.queue.close(timeout)

    def after_fork(self) -> None:
        """In the child, whose only thread is the one that forked. Another one may have held the lock of the old
        queue."""
        old = self.queue
        self._finalizer.detach()
        self.queue = self._new_queue()
        self.queue.closed, self.queue.tickers = old.closed, old.tickers
        if self.queue.tickers:
            for ticker in self.queue.tickers:
                ticker.after_fork()
            self.start()

    # With the lock held.

    def _accept(self, queue: Queue, task: Task) -> None:
        if not self.enabled:
            why: Optional[str] = self.options.why_off or "the client is off"
        else:
            why = queue.obstacle(task) or self._start(queue)
        if why is None:
            queue.accept(task)
        else:
            task.refused = True
            queue.refuse(why)

    def _start(self, queue: Queue) -> Optional[str]:
        """Starts the thread unless it runs. Returns why it cannot."""
        if queue.running:
            return None
        worker = None
        try:
            worker = Worker(queue, self.options)
            run = partial(run_unprofiled, partial(_run, worker))
            thread = threading.Thread(target=run, name="timesliced", daemon=True)
            _workers.add(worker)
            queue.running, queue.poller = True, worker.poller
            thread.start()
        except (OSError, RuntimeError) as error:  # no descriptors, no threads, or the interpreter is shutting down
            queue.running, queue.poller = False, None
            if worker is not None:
                _workers.discard(worker)
                worker.abandon()
            return f"no background thread: {error}"
        queue.thread = thread
        _at_end_of_child()
        return None


_senders: "weakref.WeakSet[Sender]" = weakref.WeakSet()
_workers: Set[Worker] = set()  # running
_finalizer_process = 0  # the process in which _at_exit() is among multiprocessing's finalizers
_fork_hook_set = False  # forked children of multiprocessing add it


def _run(worker: Worker) -> None:
    """Must not raise."""
    worker.run()
    _workers.discard(worker)


def _after_fork() -> None:
    profiler.after_fork()
    for worker in _workers:
        worker.abandon()
    _workers.clear()
    for sender in list(_senders):
        sender.after_fork()


def _at_exit() -> None:
    end = time.monotonic() + EXIT_TIMEOUT
    queues = {sender.queue for sender in list(_senders)} | {worker.queue for worker in list(_workers)}
    for queue in queues:
        queue.stop_tickers()
    for queue in queues:
        if queue.flush(max(0.0, end - time.monotonic())):
            queue.close(max(0.0, end - time.monotonic()))  # sends the bye
        else:
            queue.close(0.0)


# Children of multiprocessing end without atexit, but with multiprocessing's finalizers, which are cleared at their
# start.

def _at_end_of_child() -> None:
    """For children that were not forked, or whose parent had not imported multiprocessing when it forked."""
    global _finalizer_process
    process = sys.modules.get("multiprocessing.process")
    if _finalizer_process == os.getpid() or process is None or process.parent_process() is None:
        return
    _child_began()


def _child_began(_key: object = None) -> None:
    global _finalizer_process
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        _finalizer_process = os.getpid()
        util.Finalize(None, _at_exit, exitpriority=-100)  # after all others, which may still send


def _before_fork() -> None:
    global _fork_hook_set
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _fork_hook_set:
        _fork_hook_set = True
        util.register_after_fork(_at_exit, _child_began)


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
atexit.register(_at_exit)
