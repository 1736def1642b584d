"""How much of the work is profiled: a sampling rate, and a limit on what profiling costs.

With max_overhead=0.05 the time that profiling takes is held under 5% of the time that the work takes, in the long run:
each profile is paid off by work that is not profiled before the next one begins. What one costs is the larger of two
figures: reckoned, calls and functions by what they cost on this machine and this Python, measured once (calibrate); and
seen, how much longer it took than work of the same kind takes without. The package's own work goes by the clock, the
background thread's too, because it holds the interpreter.

Threads share a budget without a lock, so that none is held where a process forks: one that adds while another does may
be forgotten, which is little beside what a clock cannot see.
"""
import random
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from timesliced.taking.profiler import Taking

# What cProfile costs in real code, whose calls are not in the processor's caches, as against the loop of calibrate():
# 1.2 to 1.7 times as much (bench/client.py overhead).
MARGIN = 1.75
AIM = 0.6  # of max_overhead: what a clock cannot see is left room for
KINDS_MAX = 1000
LOOK_EVERY = 7  # prime: requests that take turns are all seen
NEWEST = 0.1  # weight of the latest in the running mean of a kind


class Costs(NamedTuple):
    """Seconds."""

    call: float  # of one call while a profile runs
    function: float  # of each function that is called, once for each piece: from 3.12 on its code is rewritten
    piece: float  # of beginning and ending


_GUESS = Costs(0.5e-6, 10e-6, 20e-6)  # where another profiler runs, so that nothing can be measured
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
        self._usual: Dict[str, float] = {}  # seconds that a kind of work takes without a profile
        if self.max_overhead is not None:
            costs()  # now, rather than in a request

    def allows(self) -> bool:
        """Whether the next one is to be profiled. Those that are not are counted."""
        if self.rate < 1.0 and random.random() >= self.rate:
            self.skipped += 1
            return False
        # Not always the first that comes: where requests take turns it might always be the same one's.
        if self.max_overhead is not None and self._spent and (
                self._spent > self._worked * self.max_overhead * AIM or random.random() < 0.5):
            self.skipped += 1
            return False
        return True

    def curious(self) -> bool:
        """Whether the kind of this one is worth the looking."""
        self._turn += 1
        return self._turn % LOOK_EVERY == 0

    def worked(self, seconds: float, kind: Optional[str]) -> None:
        """Something ran that long, without a profile. kind: None where nobody looked."""
        self._worked += seconds
        if kind is None:
            return
        usual = self._usual.get(kind)
        if usual is not None:
            self._usual[kind] = usual + (seconds - usual) * NEWEST
        elif len(self._usual) < KINDS_MAX:
            self._usual[kind] = seconds

    def profiled(self, seconds: float, kind: str, reckoned: float) -> None:
        """Something ran that long with one."""
        cost = max(reckoned, seconds - self._usual.get(kind, seconds))
        self._spent += cost
        self._worked += max(0.0, seconds - cost)

    def spent(self, seconds: float) -> None:
        """So much was taken from the work elsewhere."""
        self._spent += seconds

    def reckon(self, entries: List[Any], pieces: int) -> float:
        """Seconds that the profile of these entries cost while it ran."""
        if self.max_overhead is None:
            return 0.0
        cost = costs()
        calls = sum([int(entry[1]) for entry in entries])
        return MARGIN * (calls * cost.call + pieces * (len(entries) * cost.function + cost.piece))


def costs() -> Costs:
    global _costs
    if _costs is None:
        _costs = calibrate() or _GUESS
    return _costs


def calibrate(functions: int = 40, rounds: int = 5, calls: int = 25) -> Optional[Costs]:
    """About 5 ms. None where another profiler runs."""
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
    piece: List[float] = []
    for _ in range(rounds):
        run(1)
        once = run(1)
        plain.append(run(calls) / calls)
        taking = Taking()
        begin = time.perf_counter()
        if not taking.begin():
            taking.cancel()
            return None
        begun = time.perf_counter()
        first_run = run(1)
        profiled.append(run(calls) / calls)
        end = time.perf_counter()
        taking.cancel()
        piece.append(begun - begin + time.perf_counter() - end)
        first.append(first_run - profiled[-1] + max(0.0, run(1) - once))  # and the way back to unprofiled code
    each = max(0.0, min(profiled) - min(plain)) / (2 * functions)  # f and abs
    return Costs(each, max(0.0, min(first)) / functions, min(piece))


def _fraction(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {type(value).__name__}")
    if not 0 < value <= 1:
        raise ValueError(f"{name} {value!r}: more than 0, up to 1")
    return float(value)
