"""A running profile, sent at intervals as the difference to the previous reading.

The profile is never cleared while it runs: functions that are running then would be lost. The background thread reads
it and subtracts the previous reading, function by function, in integer nanoseconds. The sum of all differences
therefore is the final state of the profile. As always in cProfile, a function is counted when it returns.

Entries are identified by the code object of their function, which lives as long as the profile. Up to Python 3.11 the
profiled thread can run while the list is built (the garbage collector may run Python code) and add functions; an entry
may then appear twice or be missing. Of two the later is used; a missing one is in the next list.

Intervals are aligned to the wall clock (every(10) ends at :00, :10, ...), and each difference has the begin of its
interval as timestamp. If `seconds` divides the daemon's time_slice, each difference falls into one bucket.
"""
import threading
import time
from typing import Any, Dict, List, Optional, Tuple

from timesliced.taking import entries
from timesliced.taking.capture import Rows
from timesliced.taking.profiler import SHARED, Profiler
from timesliced.taking.rows import Place, Row, add, is_own, place_of, to_ns
from timesliced.taking.sink import Sink

MIN_SECONDS = 0.05
MAX_SECONDS = 86400.0


class Deltas:
    """Differences between successive readings of a growing profile."""

    def __init__(self) -> None:
        self.previous: Dict[int, Row] = {}  # id of the code object: row

    def take(self, entries: List[Any]) -> Dict[Place, Row]:
        previous = self.previous
        latest: Dict[int, Tuple[Any, Row]] = {}
        for code, calls, again, cumtime, tottime, _ in entries:
            latest[id(code)] = code, (calls, calls - again, to_ns(tottime), to_ns(cumtime))
        rows: Dict[Place, Row] = {}
        for key, (code, row) in latest.items():
            last = previous.get(key)
            previous[key] = row
            if last is not None:
                if last == row:
                    continue
                row = row[0] - last[0], row[1] - last[1], row[2] - last[2], row[3] - last[3]
            place = place_of(code)
            if not is_own(place):
                rows[place] = add(rows[place], row) if place in rows else row
        return rows


class Every:
    """Returned by Client.every(). stop(), or leaving its `with` block, sends the remainder."""

    def __init__(self, sink: Sink, seconds: float, labels: str) -> None:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"seconds must be a number, not {type(seconds).__name__}")
        if not MIN_SECONDS <= seconds <= MAX_SECONDS:
            raise ValueError(f"seconds {seconds!r}: {MIN_SECONDS} to {MAX_SECONDS:g}")
        self._sink = sink
        self._seconds = float(seconds)
        self._labels = labels
        self._deltas = Deltas()
        self._lock = threading.Lock()
        self._profiler: Optional[Profiler] = None
        self._begin = time.time()
        self.due = float("inf")

    @property
    def running(self) -> bool:
        return self._profiler is not None

    def start(self) -> bool:
        """Starts to profile this thread. False if another profiler is active, or if nothing can be sent."""
        profiler = Profiler()
        self._next(time.time())
        if not self._sink.schedule(self):
            profiler.cancel()
            return False
        self._profiler = profiler
        if profiler.begin():
            return True
        self._profiler = None
        self._sink.unschedule(self)
        profiler.cancel()
        self._sink.count("stepped_back")
        return False

    def stop(self) -> None:
        """Must be called by the thread that started it. Up to Python 3.11 another thread cannot end that thread's
        profile: then only what was measured so far is sent."""
        profiler = self._profiler
        if profiler is None:
            return
        if SHARED or threading.get_ident() == profiler.thread:
            profiler.pause()
        self.tick()
        self._profiler = None
        if not profiler.running:
            profiler.cancel()
        self._sink.unschedule(self)

    def tick(self) -> None:
        """Sends the difference to the previous reading."""
        with self._lock:
            profiler = self._profiler
            if profiler is None:
                return
            begin, now = self._begin, time.time()
            self._next(now)
            rows = self._deltas.take(entries.read(profiler.profile))
            spoiled, profiler.spoiled = profiler.spoiled, False
        if spoiled:
            self._sink.count("stepped_back")
        elif rows:
            self._sink.put(Rows(rows), begin, self._labels)

    def after_fork(self) -> None:
        """In the child: Profiler.after_fork() has cleared the profile."""
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
