"""What send() copies of a profile on the application's thread: as little as possible.

C code makes the copies, and nothing is formatted: sending/encode.py does that on the background thread. The profile may
continue to run, or be cleared, right afterwards.

    cProfile.Profile      the list returned by getstats()
    pstats.Stats          a shallow copy of .stats
    pstats.StatsProfile   a shallow copy of .func_profiles
    a path                the path; the background thread reads the file
    Taken                 like the first, of a profile taken by this package: its own calls are left out
    Rows                  integers, as every.py reads them from a running profile
"""
import cProfile
import os
import pstats
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Union

from timesliced.taking import entries
from timesliced.taking.rows import Place, Row

Profile = Union[cProfile.Profile, pstats.Stats, pstats.StatsProfile, str, "os.PathLike[str]"]

# Bytes of memory per function until it is encoded, measured with tracemalloc on CPython 3.9 to 3.13. An entry of
# getstats() has a list of its callees if the profile has subcalls, which is the default.
_ENTRY_SIZE = 450
_TAKEN_SIZE = 150
_ROW_SIZE = 300


class Entries(NamedTuple):
    entries: List[Any]  # of _lsprof.profiler_entry, which typeshed names differently for each Python version


class Taken(NamedTuple):
    entries: List[Any]


class Stats(NamedTuple):
    stats: Dict[Any, Any]  # as in pstats; not validated


class Rounded(NamedTuple):
    total: Any
    functions: Dict[Any, Any]


class Dump(NamedTuple):
    path: str


class Rows(NamedTuple):
    rows: Mapping[Place, Row]


Capture = Union[Entries, Taken, Stats, Rounded, Dump, Rows]


def capture(profile: object) -> Capture:
    """Raises TypeError for any other type."""
    if isinstance(profile, cProfile.Profile):
        return Entries(entries.read(profile))
    if isinstance(profile, pstats.Stats):
        return Stats(dict(getattr(profile, "stats")))
    if isinstance(profile, pstats.StatsProfile):
        return Rounded(profile.total_tt, dict(profile.func_profiles))
    if isinstance(profile, (str, os.PathLike)):
        path = os.fspath(profile)
        if isinstance(path, str):
            return Dump(os.path.abspath(path))
    raise TypeError("profile must be a cProfile.Profile, pstats.Stats, pstats.StatsProfile or the path of a dump, "
                    f"not {type(profile).__name__}")


def size_of(captured: Capture) -> int:
    """Its approximate size in memory, in bytes."""
    if isinstance(captured, Entries):
        return _ENTRY_SIZE * (1 + len(captured.entries))
    if isinstance(captured, Dump):
        return _ENTRY_SIZE
    if isinstance(captured, Taken):
        return _TAKEN_SIZE * (1 + len(captured.entries))
    return _ROW_SIZE * (1 + len(captured[-1]))


def modified(path: str) -> Optional[float]:
    """When the dump was written, in seconds since the epoch; None if the file is missing. Background thread only."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
