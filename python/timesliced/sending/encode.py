"""Encoder: turns one profile into messages: JSON as the daemon parses it, ASCII, no line feeds. Background thread only.

    getstats() of a cProfile.Profile     every function, not rounded            list form, "exact": true
    .stats of pstats.Stats, and dumps    the same, as far as pstats kept them   list form, "exact": true
    rows of a running profile            the same, already integers             list form, "exact": true
    pstats.StatsProfile                  one per bare name, rounded to 1 ms     object form, like dataclasses.asdict()

A time is rounded to nanoseconds once, and written with nine decimals. CPython's timer counts integer nanoseconds, which
its floats represent exactly up to 26 days per function, so nothing is lost.

Functions with the same file, line and name (two lambdas on one line) are summed as integers. The text around the
numbers of a function is the same in each profile, and is cached for a bounded number of functions.

Values that the daemon would reject are changed (limits.py) and counted (`altered`), so that one odd function does not
cost the complete profile: names and file names are shortened, NULs removed; times that are not finite become 0; call
counts and primitive calls are clamped; invalid line numbers become null. Times over 1e7 s are not changed, and the
daemon rejects the profile: a clamped value would look like a measurement.

The number of dropped profiles is reported to the daemon as calls of a function named DROPPED, in the next profile sent.
"""
import marshal
from itertools import compress
from math import fsum, isfinite
from types import CodeType
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple, Union

from timesliced.base import limits
from timesliced.sending.frame import Frame
from timesliced.taking.capture import Capture, Dump, Entries, Rounded, Rows, Stats, Taken
from timesliced.taking.rows import NS, Place, Row, add, is_own, place_of, to_ns

DROPPED = "(dropped)"
CACHE_MAX = 50_000  # functions

_Raw = Tuple[int, int, float, float]  # like Row, with times in seconds


class Encoded(NamedTuple):
    messages: List[bytes]
    altered: int


class _Text:
    """The text around the numbers of one place."""

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
    """Caches the texts of functions across profiles."""

    def __init__(self) -> None:
        # Code objects are looked up by id, because comparing two of them compares their contents. `kept` keeps them
        # alive, so that ids stay unique. Functions written in C have a str instead of a code object.
        self.by_code: Dict[Union[int, str], _Text] = {}
        self.by_place: Dict[Place, _Text] = {}
        self.kept: List[CodeType] = []

    def encode(self, captured: Capture, timestamp: str, labels: str, limit: int, dropped: int = 0) -> Encoded:
        """timestamp and labels are JSON (limits.py); limit: bytes of a message. Raises TypeError if the profile
        contains what neither cProfile nor pstats puts into one, OSError and ValueError if a dump cannot be read."""
        if len(self.by_place) + len(self.kept) > CACHE_MAX:  # the application creates functions without end
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
        """Entries of getstats(). The fast path is for values of CPython's own timer; _raw() validates everything."""
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
        lines = [f'{text.before}{calls}", "tottime": {tottime:.9f}, "cumtime": {cumtime:.9f}{text.after}' if not again
                 else f'{text.before}{calls}/{calls - again}", "tottime": {tottime:.9f}, '
                      f'"cumtime": {cumtime:.9f}{text.after}'
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
        """Sums functions with the same place, and validates every value."""
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
            known = rows.get(place)
            rows[place] = row if known is None else add(known, row)
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
        raise TypeError(f"not statistics of pstats: {error}") from error
    return found


def load(path: str) -> Stats:
    """Reads what Profile.dump_stats() or Stats.dump_stats() wrote. Raises OSError; ValueError and TypeError for other
    content."""
    with open(path, "rb") as file:
        try:
            stats = marshal.load(file)
        except (EOFError, ValueError, TypeError) as error:
            raise ValueError(f"not a cProfile dump: {error}") from error
    if not isinstance(stats, dict):
        raise ValueError("not a cProfile dump")
    _of_stats(stats)
    return Stats(stats)


def _object_form(profile: Rounded) -> Tuple[List[str], str, int]:
    """The values as pstats rounded them."""
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
        raise TypeError(f"not a profile of pstats: {error}") from error
    return entries, seconds(profile.total), altered
