"""Profiler: one profile, taken in one or several segments: begin() and pause(), repeated, then finish().

A profile is sent complete or not at all. It is discarded, and counted as stepped_back, if another profiler is active
when a segment begins, if another profiler replaces it during a segment, or if CPython mixes calls of another thread
into it.

Up to Python 3.11 each thread has a profiler of its own. From 3.12 on one profiler sees all threads and keeps one call
stack for all of them, which makes calls of concurrent threads wrong. A profile therefore does not begin while another
thread is in a request (the middleware registers threads with enter_thread()), and is discarded if another thread enters
one.

The calls of this package that begin and end a profile are removed when the profile is encoded.
"""
import cProfile
import sys
import threading
from typing import Any, Dict, List, Optional, cast

from timesliced.taking import entries

SHARED = sys.version_info >= (3, 12)  # one profiler for all threads

REPLACED_MAX = 100

# Profiles that another profiler replaced. They must not be freed: freeing an enabled profile disables whatever profiler
# its thread has. If REPLACED_MAX is reached, the application runs its own profiler, and this package no longer takes
# profiles.
_replaced: List[cProfile.Profile] = []

_active: Optional["Profiler"] = None  # if SHARED
_busy: Dict[int, int] = {}  # thread: depth of requests, if SHARED. Each thread changes only its own entry: no lock


def enter_thread() -> int:
    """This thread begins a request, which a profile of another thread must not contain. Returns the argument for
    leave_thread()."""
    if not SHARED:
        return 0
    me = threading.get_ident()
    _busy[me] = _busy.get(me, 0) + 1
    other = _active
    if other is not None and other.thread != me:
        other.spoiled = True
    return me


def leave_thread(thread: int) -> None:
    """Can be called from another thread: the one that drops a response before its end."""
    if not SHARED:
        return
    left = _busy.get(thread, 1) - 1
    if left > 0:
        _busy[thread] = left
    else:
        _busy.pop(thread, None)


class Profiler:
    def __init__(self) -> None:
        # Callees are not sent, and collecting them is a third of the cost.
        self.profile = cProfile.Profile(subcalls=False)
        self.thread = 0
        self.running = False
        self.spoiled = False
        self.segments = 0
        _unfinished.append(self)

    def begin(self) -> bool:
        """False if another profiler or thread is in the way. The profile is then discarded."""
        global _active
        if self.spoiled or _other_profiler_active() or len(_replaced) >= REPLACED_MAX:
            self.spoiled = True
            return False
        self.thread = threading.get_ident()
        if SHARED and any(thread != self.thread for thread in list(_busy)):
            self.spoiled = True
            return False
        try:
            self.profile.enable()
        except ValueError:  # another profiler was enabled since the check
            self.spoiled = True
            return False
        self.running = True
        self.segments += 1
        if SHARED:
            _active = self
        return True

    def pause(self) -> None:
        """Must be called by the thread that called begin()."""
        global _active
        if not self.running:
            return
        self.running = False
        if SHARED:
            _active = None
            self.profile.disable()
        elif cast(object, sys.getprofile()) is self.profile:
            self.profile.disable()
        else:  # replaced; disable() would end the other profiler
            self.spoiled = True
            self.profile.clear()  # type: ignore[attr-defined]
            _replaced.append(self.profile)

    def finish(self) -> Optional[List[Any]]:
        """Returns the entries, or None if the profile is discarded."""
        self.pause()
        self._forget()
        return None if self.spoiled else entries.read(self.profile)

    def cancel(self) -> None:
        self.pause()
        self._forget()

    def after_fork(self) -> None:
        """In the child: the parent sends what was measured before the fork."""
        self.profile.clear()  # type: ignore[attr-defined]
        if self.running and self.thread != threading.get_ident():
            self.spoiled = True

    def _forget(self) -> None:
        try:
            _unfinished.remove(self)
        except ValueError:
            pass


_unfinished: List[Profiler] = []


def after_fork() -> None:
    """In the child, which has one thread: the one that forked."""
    global _active
    me = threading.get_ident()
    for thread in list(_busy):
        if thread != me:
            del _busy[thread]
    if _active is not None and _active.thread != me:
        _active = None
    for profiler in list(_unfinished):
        profiler.after_fork()


def _other_profiler_active() -> bool:
    if sys.getprofile() is not None:
        return True
    monitoring: Any = getattr(sys, "monitoring", None)
    return monitoring is not None and monitoring.get_tool(monitoring.PROFILER_ID) is not None
