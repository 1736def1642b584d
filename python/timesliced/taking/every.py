"""A profile that goes on running: at each interval, what came to it since the last time.

The profile is never cleared while it runs: a function that is running then would be lost. It is read by the background
thread, and the figures of the time before are taken off, function by function, in integer nanoseconds. So the sum of
all that is sent is what the profile holds at the end. A function counts when it returns, as everywhere in cProfile.

Entries are told apart by the object that stands for their function in the profile, which lives as long as the profile:
until Python 3.11 the profiled thread may run, and add functions, while the list is being made (the garbage collector
may run Python code), and an entry may then come twice or be left out. The later one of two is taken, and one that is
left out is in the next list.

Intervals are those of the wall clock (every=10 ends at :00, :10, ...), and what is sent bears the time of the
interval's begin: where `seconds` is the daemon's time_slice or a part of it, each delta falls into one bucket.
"""
import threading
import time
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Tuple

from timesliced.sending.encode import add, is_own, place_of, to_ns
from timesliced.taking.capture import Place, Row, Rows
from timesliced.taking.profiler import SHARED, Taking

if TYPE_CHECKING:
    from timesliced.client import Client

MIN_SECONDS = 0.05
MAX_SECONDS = 86400.0


class Deltas:
    """What of a growing profile has not been given yet."""

    def __init__(self) -> None:
        self.before: Dict[int, Row] = {}

    def take(self, entries: List[Any]) -> Dict[Place, Row]:
        before = self.before
        latest: Dict[int, Tuple[Any, Row]] = {}
        for code, calls, again, cumtime, tottime, _ in entries:
            latest[id(code)] = code, (calls, calls - again, to_ns(tottime), to_ns(cumtime))
        rows: Dict[Place, Row] = {}
        for key, (code, row) in latest.items():
            last = before.get(key)
            before[key] = row
            if last is not None:
                if last == row:
                    continue
                row = row[0] - last[0], row[1] - last[1], row[2] - last[2], row[3] - last[3]
            place = place_of(code)
            if not is_own(place):
                rows[place] = add(rows[place], row) if place in rows else row
        return rows

    def forget(self) -> None:
        self.before = {}


class Every:
    """What Client.every() gives. stop() sends what is left; with `with` that is done at the end."""

    def __init__(self, client: "Client", seconds: float, labels: str) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"seconds must be a number, not {type(seconds).__name__}")
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:
            raise ValueError(f"seconds {seconds!r}: {MIN_SECONDS} to {MAX_SECONDS:g}")
        self._client = client
        self._sender = client._sender
        self._seconds = float(seconds)
        self._labels = labels
        self._deltas = Deltas()
        self._lock = threading.Lock()
        self._taking: Optional[Taking] = None
        self._begin = time.time()
        self.due = float("inf")

    @property
    def running(self) -> bool:
        return self._taking is not None

    def start(self) -> bool:
        """Profiles this thread from now on. False where another profiler is active: then it does nothing."""
        taking = Taking()
        if self._sender.address is None or not self._sender.start():
            taking.cancel()
            return False
        self._next(time.time())
        self._sender.tickers.append(self)
        self._sender.wake()
        self._taking = taking
        if taking.begin():
            return True
        self._taking = None
        self._sender.tickers.remove(self)
        taking.cancel()
        self._sender.count("stepped_back")
        return False

    def stop(self) -> None:
        """Ends it. To be called by the thread that began it; from another one, until Python 3.11, the profile of that
        thread cannot be ended: what it has is sent, and no more."""
        taking = self._taking
        if taking is None:
            return
        if SHARED or threading.get_ident() == taking.thread:
            taking.pause()
        self.tick()
        self._taking = None
        if not taking.running:
            taking.cancel()
        if self in self._sender.tickers:
            self._sender.tickers.remove(self)

    def tick(self) -> None:
        """Sends what came since the last time."""
        with self._lock:
            taking = self._taking
            if taking is None:
                return
            begin, now = self._begin, time.time()
            self._next(now)
            rows = self._deltas.take(taking.profile.getstats())  # type: ignore[attr-defined]
            spoiled, taking.spoiled = taking.spoiled, False
        if spoiled:
            self._sender.count("stepped_back")
        elif rows:
            self._sender.put(Rows(rows), begin, self._labels)

    def after_fork(self) -> None:
        """The child goes on by itself, from nothing: its profile has been cleared (taking.py)."""
        self._lock = threading.Lock()
        self._deltas = Deltas()
        self._next(time.time())

    def _next(self, now: float) -> None:
        self._begin = now
        left = self._seconds - now % self._seconds
        self.due = time.monotonic() + left

    def __enter__(self) -> "Every":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
