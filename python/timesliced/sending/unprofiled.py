"""Running a thread so that no profiler sees it.

From Python 3.12 on a profiler is told of the calls of every thread, and cProfile keeps one stack of calls for all of
them: a thread that returns from a function takes the profiled thread's innermost one off, and its time goes astray. So
a thread that lives beside the application must not be seen. sys.monitoring tells nobody of what happens inside one of
its own callbacks: so that is where the thread runs. The callback is for one code object, a copy of _begin()'s that
nothing else runs, so nothing else of the program is instrumented for it; the tool's number is given back at once.

Before 3.12 a profiler sees only the thread that enabled it, and there is nothing to do.
"""
import sys
from types import FunctionType
from typing import Any, Callable, List

_IDS = (4, 3)  # of those that CPython reserves for nobody


def run_unprofiled(what: Callable[[], None]) -> None:
    """what() must not raise."""
    monitoring: Any = getattr(sys, "monitoring", None)
    tool = _take(monitoring) if monitoring is not None else None
    if tool is None:
        what()
        return
    done: List[bool] = []
    code = _begin.__code__.replace()  # another one for each thread: they may begin at once
    begin = FunctionType(code, {})

    def callback(_code: object, _offset: int) -> None:
        if done:
            return
        done.append(True)
        try:
            _give_back(monitoring, tool, code)
        finally:
            what()

    try:
        monitoring.register_callback(tool, monitoring.events.PY_START, callback)
        monitoring.set_local_events(tool, code, monitoring.events.PY_START)
        begin()
    finally:
        if not done:
            done.append(True)
            _give_back(monitoring, tool, code)
            what()


def _begin() -> None:
    return None


def _take(monitoring: Any) -> Any:
    for tool in _IDS:
        try:
            monitoring.use_tool_id(tool, "timesliced")
            return tool
        except ValueError:  # another tool's
            continue
    return None


def _give_back(monitoring: Any, tool: int, code: Any) -> None:
    monitoring.set_local_events(tool, code, 0)
    monitoring.register_callback(tool, monitoring.events.PY_START, None)
    monitoring.free_tool_id(tool)
