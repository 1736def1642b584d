"""Rows: the calls and times of one function as integers. Adding them loses nothing."""
import os
from types import CodeType
from typing import Tuple, Union

Place = Tuple[str, int, str]  # file, line, name
Row = Tuple[int, int, int, int]  # calls, primitive calls, tottime ns, cumtime ns

NS = 10**9

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")  # the folder timesliced/
_SWITCHES = ("<method 'disable' of '_lsprof.Profiler' objects>", "<built-in method sys.getprofile>")


def place_of(code: Union[CodeType, str]) -> Place:
    return ("~", 0, code) if isinstance(code, str) else (code.co_filename, code.co_firstlineno, code.co_name)


def is_own(place: Place) -> bool:
    """True for functions of this package, and for those it calls to end a profile."""
    return place[0].startswith(PACKAGE) or place[2] in _SWITCHES


def add(one: Row, other: Row) -> Row:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


def to_ns(seconds: float) -> int:
    """Rounds the exact value of the float once, half to even."""
    if abs(seconds) < 1e6:  # the product is then accurate enough to recognise nearly every integer
        product = seconds * 1e9
        nearest = round(product)
        if abs(product - nearest) < 0.25:
            return nearest
    numerator, denominator = seconds.as_integer_ratio()
    quotient, rest = divmod(numerator * NS, denominator)
    twice = 2 * rest
    return quotient + (twice > denominator or (twice == denominator and quotient & 1))
