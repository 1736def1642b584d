"""Reads the entries of a cProfile.Profile that may be running."""
import cProfile
import gc
from typing import Any, List


def read(profile: cProfile.Profile) -> List[Any]:
    """getstats(), consistent. Making its list can start the garbage collector, and finalizers written in Python are then
    profiled too: CPython rebuilds the tree of functions while it is walked, and some appear twice or not at all."""
    collecting = gc.isenabled()
    if collecting:
        gc.disable()
    try:
        return profile.getstats()  # type: ignore[attr-defined, no-any-return]
    finally:
        if collecting:
            gc.enable()
