"""One profile to its messages: JSON in the form the daemon reads, ASCII, no line feeds. Background thread only.

    getstats() of a cProfile.Profile     every function, unrounded             list form, "exact": true
    .stats of pstats.Stats, and dumps    likewise, as far as pstats kept them  list form, "exact": true
    rows of a running profile            likewise, integers already            list form, "exact": true
    pstats.StatsProfile                  one a bare name, rounded to 1 ms      object form, as dataclasses.asdict has it

A time is rounded to a nanosecond once, and written with nine decimals. CPython's timer counts whole nanoseconds, and its
floats tell them apart for 26 days a function: so nothing is rounded at all.

Functions with the same file, line and name (two lambdas on one line) are summed, as integers. What stands around the
numbers of a function is the same in each profile: Texts keeps it, for a bounded number of functions.

What one odd function holds must not cost the whole profile, so what the daemon would refuse is changed (limits.py), and
each change is counted (`altered`): names and file names that are too long keep their head, NULs are removed; a time that
is not finite becomes 0; a call count is held to its bounds, and the primitive calls to the calls; a line number out of
bounds becomes null. Times beyond 1e7 s are left for the daemon to refuse, loudly: a smaller figure in their place would
pass for a measurement.

Profiles that the client had to drop are told to the daemon as calls of a function of their own, DROPPED, in the next
profile that it sends.
"""
import marshal
import os
from itertools import compress
from math import fsum, isfinite
from types import CodeType
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Union

from timesliced.base import limits
from timesliced.sending.frame import Frame
from timesliced.taking.capture import Capture, Dump, Entries, Place, Rounded, Row, Rows, Stats, Taken

DROPPED = "(dropped)"
TEXTS_MAX = 50_000  # functions
NS = 10**9

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")
_SWITCHES = ("<method 'disable' of '_lsprof.Profiler' objects>", "<built-in method sys.getprofile>")

_Raw = Tuple[int, int, float, float]  # as Row, its times in seconds


class Encoded(NamedTuple):
    messages: List[bytes]
    altered: int


class _Text:
    """What stands around the numbers of one place."""

    __slots__ = ("place", "before", "after", "altered", "own")

    def __init__(self, place: Place) -> None:
        file_name, line, name = self.place = place
        name_text, name_changed = limits.string(name, limits.NAME_MAX)
        file_text, file_changed = limits.string(file_name, limits.FILE_NAME_MAX)
        line_text, line_changed = limits.line_number(line)
        self.before = f'{{"func_name": {name_text}, "ncalls": "'
        self.after = f', "file_name": {file_text}, "line_number": {line_text}}}'
        self.altered = name_changed + file_changed + line_changed
        self.own = is_own(place)


class Encoder:
    """Keeps the texts of functions from one profile to the next."""

    def __init__(self) -> None:
        # Code objects are found by their id, which stands for them as long as they are kept: comparing two of them
        # compares all that is in them. What is written in C has a str in place of one.
        self.by_code: Dict[Union[int, str], _Text] = {}
        self.by_place: Dict[Place, _Text] = {}
        self.kept: List[CodeType] = []

    def encode(self, captured: Capture, timestamp: str, labels: str, limit: int, dropped: int = 0) -> Encoded:
        """timestamp and labels are JSON texts (limits.py). Raises TypeError where the profile holds what neither cProfile
        nor pstats puts into one, OSError and ValueError of a dump that cannot be read."""
        if len(self.by_place) + len(self.kept) > TEXTS_MAX:  # a program that makes functions without end
            self.by_code, self.by_place, self.kept = {}, {}, []
        if isinstance(captured, Dump):
            captured = load(captured.path)
        if isinstance(captured, Rounded):
            entries, total, altered = _object_form(captured)
        elif isinstance(captured, (Entries, Taken)):
            entries, total, altered = self._entries(captured.entries, isinstance(captured, Taken))
        elif isinstance(captured, Rows):
            entries, total, altered = self._rows(captured.rows)
        else:
            entries, total, altered = self._raw(_of_stats(captured.stats))
        rounded = isinstance(captured, Rounded)
        if dropped:
            entries.append(_dropped(dropped, rounded))
        frame = Frame(timestamp, labels, not rounded, total, "{}" if rounded else "[]")
        return Encoded(frame.messages(entries, limit), altered)

    def _entries(self, entries: List[Any], without_own: bool) -> Tuple[List[str], str, int]:
        """Of getstats(). The direct way is for what CPython's own timer makes; the other one looks at everything."""
        by_code = self.by_code
        texts: List[_Text] = []
        for entry in entries:
            code = entry[0]
            texts.append(by_code.get(code if type(code) is str else id(code)) or self._of_code(code))
        if without_own and any([text.own for text in texts]):
            kept = [not text.own for text in texts]
            entries, texts = list(compress(entries, kept)), list(compress(texts, kept))
        if len(set(map(id, texts))) != len(texts) or not isfinite(sum([entry[3] + entry[4] for entry in entries])):
            return self._raw([(text.place, (entry[1], entry[1] - entry[2], entry[4], entry[3]))
                              for text, entry in zip(texts, entries)])
        lines = [f'{text.before}{calls}", "tottime": {tottime:.9f}, "cumtime": {cumtime:.9f}{text.after}' if not again else
                 f'{text.before}{calls}/{calls - again}", "tottime": {tottime:.9f}, "cumtime": {cumtime:.9f}{text.after}'
                 for text, (_, calls, again, cumtime, tottime, _) in zip(texts, entries)]
        return lines, f"{fsum([entry[4] for entry in entries]):.9f}", sum([text.altered for text in texts])

    def _of_code(self, code: Union[CodeType, str]) -> _Text:
        text = self._of_place(place_of(code))
        if isinstance(code, str):
            self.by_code[code] = text
        else:
            self.by_code[id(code)] = text
            self.kept.append(code)
        return text

    def _of_place(self, place: Place) -> _Text:
        text = self.by_place.get(place)
        if text is None:
            text = self.by_place[place] = _Text(place)
        return text

    def _raw(self, found: List[Tuple[Place, _Raw]]) -> Tuple[List[str], str, int]:
        """Sums what has the same place; looks at every value."""
        rows: Dict[Place, Row] = {}
        altered = 0
        times: List[float] = []
        for place, (total, primitive, tottime, cumtime) in found:
            tottime, tottime_changed = limits.number(tottime)
            cumtime, cumtime_changed = limits.number(cumtime)
            altered += tottime_changed + cumtime_changed
            times.append(tottime)
            if not isinstance(total, int) or not isinstance(primitive, int):
                raise TypeError("call counts must be int")
            row = (total, primitive, to_ns(tottime), to_ns(cumtime))
            before = rows.get(place)
            rows[place] = row if before is None else add(before, row)
        lines, _, changed = self._rows(rows)
        return lines, _seconds(to_ns(fsum(times))), altered + changed

    def _rows(self, rows: Mapping[Place, Row]) -> Tuple[List[str], str, int]:
        lines: List[str] = []
        altered = 0
        for place, (total, primitive, tottime, cumtime) in rows.items():
            text = self._of_place(place)
            ncalls, changed = limits.calls(total, primitive)
            altered += text.altered + changed
            lines.append(f'{text.before}{ncalls}", "tottime": {_seconds(tottime)}, "cumtime": {_seconds(cumtime)}'
                         f"{text.after}")
        return lines, _seconds(sum(row[2] for row in rows.values())), altered


def place_of(code: Union[CodeType, str]) -> Place:
    return ("~", 0, code) if isinstance(code, str) else (code.co_filename, code.co_firstlineno, code.co_name)


def is_own(place: Place) -> bool:
    """Whether it is this package's doing, or how it ends a profile."""
    return place[0].startswith(_PACKAGE) or place[2] in _SWITCHES


def add(one: Row, other: Row) -> Row:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3]


def to_ns(seconds: float) -> int:
    """Rounded once, from the exact value of the float, half to even."""
    if abs(seconds) < 1e6:  # the product is near enough to tell apart whole nanoseconds, which nearly all are
        product = seconds * 1e9
        nearest = round(product)
        if abs(product - nearest) < 0.25:
            return nearest
    numerator, denominator = seconds.as_integer_ratio()
    whole, rest = divmod(numerator * NS, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole & 1))


def _seconds(ns: int) -> str:
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    return f"{sign}{ns // NS}.{ns % NS:09d}"


def _dropped(count: int, rounded: bool) -> str:
    times = '"tottime": 0.0, "cumtime": 0.0}'
    return f'"{DROPPED}": {{"ncalls": "{count}", {times}' if rounded else (
        f'{{"func_name": "{DROPPED}", "ncalls": "{count}", {times}')


def _of_stats(stats: Dict[Any, Any]) -> List[Tuple[Place, _Raw]]:
    found: List[Tuple[Place, _Raw]] = []
    try:
        for (file_name, line, name), (primitive, total, tottime, cumtime, _) in stats.items():
            found.append(((file_name, line, name), (total, primitive, tottime, cumtime)))
    except (TypeError, ValueError) as error:
        raise TypeError(f"not the statistics pstats makes: {error}") from error
    return found


def load(path: str) -> Stats:
    """Of what Profile.dump_stats() or Stats.dump_stats() wrote. Raises OSError; ValueError and TypeError where it is
    none."""
    with open(path, "rb") as file:
        try:
            stats = marshal.load(file)
        except (EOFError, ValueError, TypeError) as error:
            raise ValueError(f"not a dump of cProfile: {error}") from error
    if not isinstance(stats, dict):
        raise ValueError("not a dump of cProfile")
    _of_stats(stats)
    return Stats(stats)


def _object_form(profile: Rounded) -> Tuple[List[str], str, int]:
    """Figures as pstats printed them: rounding them again would make them no better."""
    altered = 0

    def seconds(value: Any) -> str:
        nonlocal altered
        real, changed = limits.number(value)
        altered += changed
        text = repr(real)
        return f"{real:.15f}" if "e" in text else text

    entries: List[str] = []
    try:
        for name, one in profile.functions.items():
            name_text, name_changed = limits.string(name, limits.NAME_MAX)
            file_text, file_changed = limits.string(one.file_name, limits.FILE_NAME_MAX)
            line_text, line_changed = limits.line_number(one.line_number)
            ncalls, calls_changed = limits.calls(*limits.calls_of(one.ncalls))
            altered += name_changed + file_changed + line_changed + calls_changed
            entries.append(
                f'{name_text}: {{"ncalls": "{ncalls}", '
                f'"tottime": {seconds(one.tottime)}, "percall_tottime": {seconds(one.percall_tottime)}, '
                f'"cumtime": {seconds(one.cumtime)}, "percall_cumtime": {seconds(one.percall_cumtime)}, '
                f'"file_name": {file_text}, "line_number": {line_text}}}')
    except AttributeError as error:
        raise TypeError(f"not a profile pstats makes: {error}") from error
    return entries, seconds(profile.total), altered
