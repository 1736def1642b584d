"""The ways by which an application has itself profiled: a block, a function, a coroutine, step by step.

All of them follow one course: may it (budget), can it (taking: another profiler may be active), what did it cost, send.
What cannot be taken whole is not sent; the application's own results, exceptions and timing of awaits are untouched.

A coroutine is profiled while it runs, and not while it waits: what other tasks do meanwhile is not in it. cProfile sees
each resumption as a call, and the time of waiting in no function at all.
"""
import functools
import inspect
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Generator, Generic, Optional, Type, TypeVar, cast

from timesliced.taking import profiler as taking
from timesliced.taking.budget import Budget
from timesliced.taking.capture import Taken

if TYPE_CHECKING:
    from timesliced.client import Client

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")


class Run:
    """One run of something that may be profiled, in pieces: resume() and pause() around each, then end()."""

    __slots__ = ("client", "budget", "taking", "begun", "seconds")

    def __init__(self, client: "Client", budget: Budget) -> None:
        """Where the budget allows it: ask that first."""
        self.client, self.budget = client, budget
        self.seconds = 0.0  # that it ran
        self.taking: Optional[taking.Taking] = None
        if client._sender.address is not None:
            self.taking = taking.Taking()

    @classmethod
    def without(cls, client: "Client", budget: Budget) -> "Run":
        """One that is not profiled; how long it ran is work."""
        run = cls.__new__(cls)
        run.client, run.budget, run.seconds, run.taking = client, budget, 0.0, None
        return run

    @classmethod
    def within(cls, client: "Client", budget: Budget) -> "Run":
        return cls(client, budget) if budget.allows() else cls.without(client, budget)

    # While the profile runs nothing is called here that would show in it.

    def resume(self) -> None:
        self.begun = time.perf_counter()
        if self.taking is not None and not self.taking.begin():
            self._step_back()

    def pause(self) -> None:
        if self.taking is not None:
            self.taking.pause()
        self.seconds += time.perf_counter() - self.begun

    def end(self, labels: str) -> None:
        """labels: JSON text, "" for the client's own."""
        one, self.taking = self.taking, None
        budget = self.budget
        if one is None:
            if budget.max_overhead is not None:
                budget.worked(self.seconds, labels)
            return
        begin = time.perf_counter()
        entries = one.finish()
        if entries is None:
            self.client._sender.count("stepped_back")
        elif budget.max_overhead is None:
            self.client._sender.put(Taken(entries), time.time(), labels)
        else:
            budget.profiled(self.seconds, labels, budget.reckon(entries, one.pieces))
            self.client._sender.put(Taken(entries), time.time(), labels, budget.spent)
            budget.spent(time.perf_counter() - begin)

    def _step_back(self) -> None:
        if self.taking is not None:
            self.taking.cancel()
            self.taking = None
            self.client._sender.count("stepped_back")


class Block:
    """What Client.profile() gives."""

    def __init__(self, client: "Client", budget: Optional[Budget], labels: str) -> None:
        """budget: None profiles nothing."""
        self._client, self._budget, self._labels = client, budget, labels
        self._run: Optional[Run] = None

    def __enter__(self) -> "Block":
        if self._budget is not None:
            self._run = Run.within(self._client, self._budget)
            self._run.resume()
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.pause()
            run.end(self._labels)


class Steps(Generic[Result]):
    """An awaitable that runs another one, profiled in its steps."""

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
                except BaseException as error:  # goes to whom it is meant for
                    throw = error
        finally:
            run.end(self._labels())


def profiled(client: "Client", function: Function, budget: Budget, labels: str) -> Function:
    """Raises TypeError where it is a generator function: there is no moment at which one has run."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function!r} is a generator function: profile what uses it")
    if inspect.iscoroutinefunction(function):
        @functools.wraps(function)
        async def stepped(*args: Any, **kwargs: Any) -> Any:
            return await Steps(function(*args, **kwargs), Run.within(client, budget), lambda: labels)
        return cast(Function, stepped)

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        run = Run.within(client, budget)
        run.resume()
        try:
            return function(*args, **kwargs)
        finally:
            run.pause()
            run.end(labels)
    return cast(Function, called)
