"""How much is profiled: a sampling rate, and a limit on the cost of profiling.

With max_overhead=0.05 the time spent on profiling stays below 5% of the application's own time in the long run: the
cost of each profile is compensated by unprofiled work before the next profile begins. The cost is the larger of two
values: an estimate from the number of calls and functions and their cost on this machine and Python, measured once
(calibrate()); and the observed difference to unprofiled work of the same kind. The package's own work is measured with
a clock, that of the background thread too, because it holds the interpreter lock.

Threads share a budget without a lock, so that no lock is held during a fork. Concurrent additions may be lost, which is
small compared to the error of the measurement.
"""
import random
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from timesliced.taking.profiler import Profiler

# The cost of cProfile in real code, whose calls are not in the processor's caches, relative to the loop of calibrate():
# measured 1.2 to 1.7 (bench/client.py overhead).
MARGIN = 1.75
AIM = 0.6  # fraction of max_overhead to use: the rest is for costs that the clock does not see
KINDS_MAX = 1000
LOOK_EVERY = 7  # prime, so that all kinds of requests are seen if they alternate
NEWEST = 0.1  # weight of the latest value in the running mean of a kind


class Costs(NamedTuple):
    """Seconds."""

    call: float  # per call while a profile runs
    function: float  # per function and segment: from Python 3.12 on its code is rewritten
    segment: float  # to begin and end one


_GUESS = Costs(0.5e-6, 10e-6, 20e-6)  # used if another profiler prevents the measurement
_costs: Optional[Costs] = None


class Budget:
    def __init__(self, rate: float = 1.0, max_overhead: Optional[float] = None) -> None:
        """Raises TypeError, ValueError."""
        self.rate = _fraction("rate", rate)
        self.max_overhead = None if max_overhead is None else _fraction("max_overhead", max_overhead)
        self.skipped = 0
        self._worked = 0.0
        self._spent = 0.0
        self._turn = 0
        self._usual: Dict[str, float] = {}  # kind of work: mean seconds without a profile
        if self.max_overhead is not None:
            costs()  # measure now, not during a request

    def allows(self) -> bool:
        """True if the next run is to be profiled. False is counted in `skipped`."""
        if self.rate < 1.0 and random.random() >= self.rate:
            self.skipped += 1
            return False
        # Skips the first affordable run half of the time: with alternating requests it might always be the same kind.
        if self.max_overhead is not None and self._spent and (
                self._spent > self._worked * self.max_overhead * AIM or random.random() < 0.5):
            self.skipped += 1
            return False
        return True

    def samples_kind(self) -> bool:
        """True for one in LOOK_EVERY calls: determine the kind of this unprofiled run."""
        self._turn += 1
        return self._turn % LOOK_EVERY == 0

    def worked(self, seconds: float, kind: Optional[str]) -> None:
        """Records an unprofiled run. kind: None if not determined."""
        self._worked += seconds
        if kind is None:
            return
        usual = self._usual.get(kind)
        if usual is not None:
            self._usual[kind] = usual + (seconds - usual) * NEWEST
        elif len(self._usual) < KINDS_MAX:
            self._usual[kind] = seconds

    def profiled(self, seconds: float, kind: str, estimate: float) -> None:
        """Records a profiled run."""
        cost = max(estimate, seconds - self._usual.get(kind, seconds))
        self._spent += cost
        self._worked += max(0.0, seconds - cost)

    def spent(self, seconds: float) -> None:
        """Records other work of the package."""
        self._spent += seconds

    def estimate(self, entries: List[Any], segments: int) -> float:
        """Seconds that profiling added while the profile with these entries ran."""
        if self.max_overhead is None:
            return 0.0
        cost = costs()
        calls = sum([int(entry[1]) for entry in entries])
        return MARGIN * (calls * cost.call + segments * (len(entries) * cost.function + cost.segment))


def costs() -> Costs:
    global _costs
    if _costs is None:
        _costs = calibrate() or _GUESS
    return _costs


def calibrate(functions: int = 40, rounds: int = 5, calls: int = 25) -> Optional[Costs]:
    """Measures for about 5 ms. None if another profiler is active."""
    names: Any = {}
    exec("".join(f"def f{i}(n):\n    return abs(n)\n" for i in range(functions)), names)
    made: List[Callable[[int], int]] = [names[f"f{i}"] for i in range(functions)]

    def run(times: int) -> float:
        begin = time.perf_counter()
        for _ in range(times):
            for function in made:
                function(1)
        return time.perf_counter() - begin

    plain: List[float] = []
    profiled: List[float] = []
    first: List[float] = []
    segment: List[float] = []
    for _ in range(rounds):
        run(1)
        once = run(1)
        plain.append(run(calls) / calls)
        profiler = Profiler()
        begin = time.perf_counter()
        if not profiler.begin():
            profiler.cancel()
            return None
        begun = time.perf_counter()
        first_run = run(1)
        profiled.append(run(calls) / calls)
        end = time.perf_counter()
        profiler.cancel()
        segment.append(begun - begin + time.perf_counter() - end)
        # Includes the first unprofiled run afterwards, which restores the code.
        first.append(first_run - profiled[-1] + max(0.0, run(1) - once))
    each = max(0.0, min(profiled) - min(plain)) / (2 * functions)  # two calls: f and abs
    return Costs(each, max(0.0, min(first)) / functions, min(segment))


def _fraction(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not 0 < value <= 1:
        raise ValueError(f"{name} {value!r}: more than 0, up to 1")
    return float(value)
