"""What send() takes of a profile while the application waits: as little as will do.

Everything is copied by C code, and nothing is turned into text: that is encode.py's, on the background thread. A
profile may go on running, or be cleared, right afterwards.

    cProfile.Profile      the list of getstats()
    pstats.Stats          a shallow copy of .stats
    pstats.StatsProfile   a shallow copy of .func_profiles
    a path                the path; the file is read on the background thread
    Taken                 as the first, of a profile that this package took: its own calls are left out
    Rows                  integers, as every.py makes them of a profile that goes on running
"""
import cProfile
import os
import pstats
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Union

Profile = Union[cProfile.Profile, pstats.Stats, pstats.StatsProfile, str, "os.PathLike[str]"]

Place = Tuple[str, int, str]  # file, line, name
Row = Tuple[int, int, int, int]  # calls, primitive calls, tottime ns, cumtime ns

# Bytes of memory that one function keeps until it is encoded, as measured on CPython 3.9 to 3.13 (tracemalloc): with
# subcalls, the default, an entry of getstats() has a list of its callees.
_ENTRY_SIZE = 450
_TAKEN_SIZE = 150
_ROW_SIZE = 300


class Entries(NamedTuple):
    entries: List[Any]  # _lsprof.profiler_entry, a type that typeshed knows under another name on each version


class Taken(NamedTuple):
    entries: List[Any]


class Stats(NamedTuple):
    stats: Dict[Any, Any]  # as pstats has them; not looked at yet


class Rounded(NamedTuple):
    total: Any
    functions: Dict[Any, Any]


class Dump(NamedTuple):
    path: str


class Rows(NamedTuple):
    rows: Mapping[Place, Row]


Capture = Union[Entries, Taken, Stats, Rounded, Dump, Rows]


def capture(profile: object) -> Capture:
    """Raises TypeError where it is none of those."""
    if isinstance(profile, cProfile.Profile):
        return Entries(profile.getstats())  # type: ignore[attr-defined]
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
    """Bytes that it keeps in memory, about."""
    if isinstance(captured, Entries):
        return _ENTRY_SIZE * (1 + len(captured.entries))
    if isinstance(captured, Dump):
        return _ENTRY_SIZE
    if isinstance(captured, Taken):
        return _TAKEN_SIZE * (1 + len(captured.entries))
    return _ROW_SIZE * (1 + len(captured[-1]))


def modified(path: str) -> Optional[float]:
    """Seconds since the epoch: when the dump was written. None where there is none. Background thread only."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
