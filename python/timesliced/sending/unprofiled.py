"""run_unprofiled(): runs a thread without any profiler seeing it.

From Python 3.12 on a profiler receives the calls of all threads, and cProfile keeps one call stack for all of them:
when another thread returns from a function, the innermost function of the profiled thread is popped, and its time is
lost. A background thread must therefore stay invisible. sys.monitoring reports nothing that happens inside one of its
own callbacks, so the thread runs in such a callback. It is registered for one code object, a copy of _begin() that
nothing else runs, so no other code is instrumented. The tool id is freed at once.

Up to 3.11 a profiler sees only the thread that enabled it, and nothing is needed.
"""
import sys
from types import FunctionType
from typing import Any, Callable, List

_IDS = (4, 3)  # tool ids that CPython reserves for nobody


def run_unprofiled(what: Callable[[], None]) -> None:
    """what() must not raise."""
    monitoring: Any = getattr(sys, "monitoring", None)
    tool = _use_tool(monitoring) if monitoring is not None else None
    if tool is None:
        what()
        return
    done: List[bool] = []
    code = _begin.__code__.replace()  # one per thread: two may start at once
    begin = FunctionType(code, {})

    def callback(_code: object, _offset: int) -> None:
        if done:
            return
        done.append(True)
        try:
            _free_tool(monitoring, tool, code)
        finally:
            what()

    try:
        monitoring.register_callback(tool, monitoring.events.PY_START, callback)
        monitoring.set_local_events(tool, code, monitoring.events.PY_START)
        begin()
    finally:
        if not done:
            done.append(True)
            _free_tool(monitoring, tool, code)
            what()


def _begin() -> None:
    return None


def _use_tool(monitoring: Any) -> Any:
    for tool in _IDS:
        try:
            monitoring.use_tool_id(tool, "timesliced")
            return tool
        except ValueError:  # in use by another tool
            continue
    return None


def _free_tool(monitoring: Any, tool: int, code: Any) -> None:
    monitoring.set_local_events(tool, code, 0)
    monitoring.register_callback(tool, monitoring.events.PY_START, None)
    monitoring.free_tool_id(tool)
