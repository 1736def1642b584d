"""One profile being taken, in one piece or in several: begin and pause, as often as it takes, then finish.

It is sent whole or not at all. Where another profiler was active when a piece began, where somebody put another in its
place meanwhile, or where CPython mixed calls of another thread into it, it is not sent, and counted as stepped_back.

Until Python 3.11 each thread has a profiler of its own. From 3.12 on there is one for all threads, with one stack of
calls for all of them: what threads do at the same time comes out wrong. So there a profile steps back where another
thread is in one that this package knows of (its middleware says which threads are), and is dropped where one comes.

Calls of this package, which begin and end a profile, are left out of it (encode.py).
"""
import cProfile
import sys
import threading
from typing import Any, Dict, List, Optional, cast

SHARED = sys.version_info >= (3, 12)  # one profiler for all threads

REPLACED_MAX = 100

# Profiles that another took the place of: one that is freed while it counts as enabled ends whatever profiler its thread
# has. Where that many came together the program profiles itself, and this package leaves it alone.
_replaced: List[cProfile.Profile] = []

_active: Optional["Taking"] = None  # where SHARED
_busy: Dict[int, int] = {}  # threads in requests, where SHARED; guarded by the interpreter: one thread changes its own


def enter_thread() -> int:
    """This thread begins what another one's profile must not contain. Gives what leave_thread() needs."""
    if not SHARED:
        return 0
    me = threading.get_ident()
    _busy[me] = _busy.get(me, 0) + 1
    other = _active
    if other is not None and other.thread != me:
        other.spoiled = True
    return me


def leave_thread(thread: int) -> None:
    """From any thread: whoever drops a response that was not read to its end."""
    if not SHARED:
        return
    left = _busy.get(thread, 1) - 1
    if left > 0:
        _busy[thread] = left
    else:
        _busy.pop(thread, None)


def forget_threads() -> None:
    """In a forked child: there is only one."""
    global _active
    me = threading.get_ident()
    for thread in list(_busy):
        if thread != me:
            del _busy[thread]
    if _active is not None and _active.thread != me:
        _active = None


class Taking:
    def __init__(self) -> None:
        # Whom a function calls is not sent, and is a third of the cost.
        self.profile = cProfile.Profile(subcalls=False)
        self.thread = 0
        self.running = False
        self.spoiled = False
        self.pieces = 0
        _all.append(self)

    def begin(self) -> bool:
        """False where it steps back."""
        global _active
        if self.spoiled or _profiled_by_another() or len(_replaced) >= REPLACED_MAX:
            self.spoiled = True
            return False
        self.thread = threading.get_ident()
        if SHARED and any(thread != self.thread for thread in list(_busy)):
            self.spoiled = True
            return False
        try:
            self.profile.enable()
        except ValueError:  # another one came first
            self.spoiled = True
            return False
        self.running = True
        self.pieces += 1
        if SHARED:
            _active = self
        return True

    def pause(self) -> None:
        """In the thread that began."""
        global _active
        if not self.running:
            return
        self.running = False
        if SHARED:
            _active = None
            self.profile.disable()
        elif cast(object, sys.getprofile()) is self.profile:
            self.profile.disable()
        else:  # another took its place, and is not ours to end
            self.spoiled = True
            self.profile.clear()  # type: ignore[attr-defined]
            _replaced.append(self.profile)

    def finish(self) -> Optional[List[Any]]:
        """Its entries; None where it stepped back."""
        self.pause()
        self._forget()
        return None if self.spoiled else self.profile.getstats()  # type: ignore[attr-defined]

    def cancel(self) -> None:
        self.pause()
        self._forget()

    def after_fork(self) -> None:
        """What the parent did before the fork, the parent will tell."""
        self.profile.clear()  # type: ignore[attr-defined]
        if self.running and self.thread != threading.get_ident():
            self.spoiled = True

    def _forget(self) -> None:
        try:
            _all.remove(self)
        except ValueError:
            pass


_all: List[Taking] = []  # not finished


def after_fork() -> None:
    forget_threads()
    for taking in list(_all):
        taking.after_fork()


def _profiled_by_another() -> bool:
    if sys.getprofile() is not None:
        return True
    monitoring: Any = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.PROFILER_ID) is not None
