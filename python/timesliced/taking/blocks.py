"""Profiling of blocks, functions and coroutines.

All use a Run: ask the budget, begin (unless another profiler is active), measure the cost, send. The application's
results, exceptions and the timing of its awaits are unchanged.

A coroutine is profiled while it runs and not while it waits, so the profile excludes other tasks. cProfile counts each
resumption as a call; time spent waiting is in no function.
"""
import functools
import inspect
import time
from types import TracebackType
from typing import Any, Callable, Generator, Generic, Optional, Type, TypeVar, cast

from timesliced.taking.budget import Budget
from timesliced.taking.capture import Taken
from timesliced.taking.profiler import Profiler
from timesliced.taking.sink import Sink

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")


class Run:
    """One run of something that may be profiled, in segments: resume() and pause() around each, then end()."""

    __slots__ = ("sink", "budget", "profiler", "begun", "seconds")

    def __init__(self, sink: Sink, budget: Budget) -> None:
        """Only if budget.allows()."""
        self.sink, self.budget = sink, budget
        self.seconds = 0.0  # total of the segments
        self.profiler: Optional[Profiler] = None
        if sink.enabled:
            self.profiler = Profiler()

    @classmethod
    def unprofiled(cls, sink: Sink, budget: Budget) -> "Run":
        """Only reports its duration to the budget."""
        run = cls.__new__(cls)
        run.sink, run.budget, run.seconds, run.profiler = sink, budget, 0.0, None
        return run

    @classmethod
    def within(cls, sink: Sink, budget: Budget) -> "Run":
        return cls(sink, budget) if budget.allows() else cls.unprofiled(sink, budget)

    # Between Profiler.begin() and Profiler.pause() nothing must be called that would appear in the profile.

    def resume(self) -> None:
        self.begun = time.perf_counter()
        if self.profiler is not None and not self.profiler.begin():
            self._discard()

    def pause(self) -> None:
        if self.profiler is not None:
            self.profiler.pause()
        self.seconds += time.perf_counter() - self.begun

    def end(self, labels: str) -> None:
        """labels: JSON, "" for the client's own."""
        profiler, self.profiler = self.profiler, None
        budget = self.budget
        if profiler is None:
            if budget.max_overhead is not None:
                budget.worked(self.seconds, labels)
            return
        begin = time.perf_counter()
        entries = profiler.finish()
        if entries is None:
            self.sink.count("stepped_back")
        elif budget.max_overhead is None:
            self.sink.put(Taken(entries), time.time(), labels)
        else:
            budget.profiled(self.seconds, labels, budget.estimate(entries, profiler.segments))
            self.sink.put(Taken(entries), time.time(), labels, budget.spent)
            budget.spent(time.perf_counter() - begin)

    def _discard(self) -> None:
        if self.profiler is not None:
            self.profiler.cancel()
            self.profiler = None
            self.sink.count("stepped_back")


class Block:
    """Returned by Client.profile()."""

    def __init__(self, sink: Sink, budget: Optional[Budget], labels: str) -> None:
        """budget: None profiles nothing."""
        self._sink, self._budget, self._labels = sink, budget, labels
        self._run: Optional[Run] = None

    def __enter__(self) -> "Block":
        if self._budget is not None:
            self._run = Run.within(self._sink, self._budget)
            self._run.resume()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.pause()
            run.end(self._labels)


class Steps(Generic[Result]):
    """An awaitable that runs another one and profiles its steps."""

    def __init__(self, awaitable: Any, run: Run, labels: Callable[[], str]) -> None:
        self._awaitable, self._run, self._labels = awaitable, run, labels

    def __await__(self) -> Generator[Any, Any, Result]:
        run = self._run
        inner = self._awaitable.__await__()
        send, value = inner.send, None
        throw: Optional[BaseException] = None
        try:
            while True:
                run.resume()
                try:
                    step = send(value) if throw is None else inner.throw(throw)
                except StopIteration as stop:
                    return cast(Result, stop.value)
                finally:
                    run.pause()
                value, throw = None, None
                try:
                    value = yield step
                except GeneratorExit:
                    inner.close()
                    raise
                except BaseException as error:  # passed on to the inner awaitable
                    throw = error
        finally:
            run.end(self._labels())


def profiled(sink: Sink, function: Function, budget: Budget, labels: str) -> Function:
    """Raises TypeError for a generator function, which never runs from begin to end."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function!r} is a generator function: profile what uses it")
    if inspect.iscoroutinefunction(function):
        @functools.wraps(function)
        async def stepped(*args: Any, **kwargs: Any) -> Any:
            return await Steps(function(*args, **kwargs), Run.within(sink, budget), lambda: labels)
        return cast(Function, stepped)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        run = Run.within(sink, budget)
        run.resume()
        try:
            return function(*args, **kwargs)
        finally:
            run.pause()
            run.end(labels)
    return cast(Function, called)
