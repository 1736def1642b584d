"""One profile to its messages: JSON in the form the daemon reads, ASCII, no line feeds.

Three sources, two forms:

    cProfile.Profile     getstats(): every function, unrounded          list form, "exact": true
    pstats.Stats         .stats: likewise, as far as pstats kept them    list form, "exact": true
    pstats.StatsProfile  one entry per bare name, rounded to 1 ms        object form, as dataclasses.asdict orders it

A time is written as repr() does, and below 1e-4 s, where that has an exponent, with 15 decimals: most times are that
short, the daemon reads plain decimals faster, and the timer counts in ns.

What one odd function holds must not cost the whole profile, so what the daemon would refuse is changed, and each change
is counted (`altered`): names over 1024 bytes and file names over 4096 keep their head; NULs are removed; a time that is
not finite becomes 0; a call count is held to 0..2**53, and the primitive calls to the calls; a line number outside
0..2**31-1 becomes null. Times beyond 1e7 s are left for the daemon to refuse, loudly: a smaller figure in their place
would pass for a measurement.

Too long for one message, a profile is split: entries in order, as many in each message as fit. Only a single entry
(with long names, and with long labels around it) may pass `limit`; with all of them at their bounds it has under 60,000
bytes, less than the 65,507 of a UDP datagram.
"""
import cProfile
import pstats
import re
from decimal import Decimal
from json import dumps
from json.encoder import encode_basestring_ascii
from math import isfinite
from types import CodeType
from typing import Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple, Union

Profile = Union[cProfile.Profile, pstats.Stats, pstats.StatsProfile]

NAME_MAX = 1024  # bytes, as FILE_NAME_MAX
FILE_NAME_MAX = 4096
LABELS_MAX = 16
LABEL_KEY_MAX = 64  # bytes, as LABEL_VALUE_MAX
LABEL_VALUE_MAX = 256
TIMESTAMP_MAX = 9.2e9  # seconds
_CALLS_MAX = 2**53
_LINE_MAX = 2**31 - 1
_LABEL_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NCALLS = re.compile(r"([0-9]{1,20})(?:/([0-9]{1,20}))?")

_Place = Tuple[str, int, str]  # file, line, name
_Row = Tuple[int, int, float, float]  # calls, primitive calls, tottime, cumtime


class Encoded(NamedTuple):
    messages: List[bytes]
    altered: int


def check_labels(labels: Optional[Mapping[str, str]]) -> str:
    """Gives their JSON text, "" for none. Raises TypeError or ValueError where the daemon would refuse them."""
    if labels is None:
        return ""
    if not isinstance(labels, Mapping):
        raise TypeError(f"labels must be a mapping of str to str, not {type(labels).__name__}")
    if len(labels) > LABELS_MAX:
        raise ValueError(f"{len(labels)} labels: at most {LABELS_MAX}")
    pairs: Dict[str, str] = {}
    for key, value in labels.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"label {key!r}: keys and values must be str")
        if not _LABEL_KEY.fullmatch(key) or len(key) > LABEL_KEY_MAX:
            raise ValueError(f"label {key!r}: a key is [A-Za-z_][A-Za-z0-9_]*, up to {LABEL_KEY_MAX} bytes")
        if "\0" in value or len(_utf8(value)) > LABEL_VALUE_MAX:
            raise ValueError(f"label {key!r}: a value has up to {LABEL_VALUE_MAX} bytes of UTF-8, and no NUL")
        pairs[str(key)] = str(value)
    return dumps(pairs) if pairs else ""


def check_timestamp(timestamp: float) -> str:
    """Its JSON text. Raises TypeError where it is not an int or a float, ValueError where it is out of bounds."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)):
        raise TypeError(f"timestamp must be an int or a float, not {type(timestamp).__name__}")
    if not -TIMESTAMP_MAX <= timestamp <= TIMESTAMP_MAX:  # NaN too
        hint = " (is it in milliseconds?)" if abs(timestamp) < float("inf") else ""
        raise ValueError(f"timestamp {timestamp!r}: seconds since the epoch, within {TIMESTAMP_MAX:g}{hint}")
    return str(int(timestamp)) if isinstance(timestamp, int) else format(Decimal(repr(float(timestamp))), "f")


def encode(profile: Profile, timestamp: str, labels: str, limit: int) -> Encoded:
    """timestamp and labels are what the checks above gave. Raises TypeError where profile is none of the three, or
    holds what neither cProfile nor pstats puts into one."""
    writer = _Writer()
    if isinstance(profile, pstats.StatsProfile):
        entries = writer.object_form(profile)
        total, exact, brackets = profile.total_tt, False, "{}"
    else:
        rows = _rows(profile)
        entries = writer.list_form(rows)
        total, exact, brackets = sum(filter(isfinite, (row[2] for row in rows.values()))), True, "[]"
    frame = _Frame(timestamp, labels, exact, writer.seconds(total), brackets)
    return Encoded(frame.messages(entries, limit), writer.altered)


def _rows(profile: Profile) -> Dict[_Place, _Row]:
    """Even (file, line, name) repeats (two lambdas on one line): such are summed."""
    rows: Dict[_Place, _Row] = {}
    if isinstance(profile, cProfile.Profile):
        for entry in profile.getstats():
            code: Union[str, CodeType] = entry.code
            place = ("~", 0, code) if isinstance(code, str) else (code.co_filename, code.co_firstlineno, code.co_name)
            calls = entry.callcount
            row = (calls, calls - entry.reccallcount, entry.inlinetime, entry.totaltime)
            before = rows.get(place)
            if before is not None:
                row = (row[0] + before[0], row[1] + before[1], row[2] + before[2], row[3] + before[3])
            rows[place] = row
        return rows
    if not isinstance(profile, pstats.Stats):
        raise TypeError("profile must be a cProfile.Profile, pstats.Stats or pstats.StatsProfile, "
                        f"not {type(profile).__name__}")
    stats: Dict[_Place, Tuple[int, int, float, float, object]] = getattr(profile, "stats")
    try:
        for place, (primitive, calls, tottime, cumtime, _) in list(stats.items()):
            file_name, line, name = place
            rows[file_name, line, name] = calls, primitive, _number(tottime), _number(cumtime)
    except (TypeError, ValueError) as error:
        raise TypeError(f"not the statistics pstats makes: {error}") from error
    return rows


class _Writer:
    """Entries to JSON. Counts what it had to change."""

    def __init__(self) -> None:
        self.altered = 0
        self.files: Dict[str, str] = {}  # a few, each in many entries

    def list_form(self, rows: Mapping[_Place, _Row]) -> List[str]:
        seconds, string, place = self.seconds, self.string, self.place
        return [f'{{"func_name": {string(name, NAME_MAX)}, "ncalls": "{self.calls(calls, primitive)}", '
                f'"tottime": {seconds(tottime)}, "cumtime": {seconds(cumtime)}, {place(file_name, line)}}}'
                for (file_name, line, name), (calls, primitive, tottime, cumtime) in rows.items()]

    def object_form(self, profile: pstats.StatsProfile) -> List[str]:
        seconds, string, place = self.seconds, self.string, self.place
        try:
            return [f'{string(name, NAME_MAX)}: {{"ncalls": "{self.ncalls(one.ncalls)}", '
                    f'"tottime": {seconds(one.tottime)}, "percall_tottime": {seconds(one.percall_tottime)}, '
                    f'"cumtime": {seconds(one.cumtime)}, "percall_cumtime": {seconds(one.percall_cumtime)}, '
                    f'{place(one.file_name, one.line_number)}}}'
                    for name, one in list(profile.func_profiles.items())]
        except AttributeError as error:
            raise TypeError(f"not a profile pstats makes: {error}") from error

    def string(self, text: str, limit: int) -> str:
        if not isinstance(text, str):
            raise TypeError(f"a name must be a str, not {type(text).__name__}")
        if len(text) * 4 > limit or "\0" in text:
            kept = _head(text.replace("\0", ""), limit)
            self.altered += kept != text
            text = kept
        return encode_basestring_ascii(text)

    def place(self, file_name: str, line: int) -> str:
        text = self.files.get(file_name)
        if text is None:
            text = self.files[file_name] = self.string(file_name, FILE_NAME_MAX)
        return f'"file_name": {text}, "line_number": {self.line(line)}'

    def seconds(self, value: float) -> str:
        number = _number(value)
        if not isfinite(number):
            self.altered += 1
            return "0.0"
        text = repr(number)
        if "e" in text:
            text = ("%.15f" % number).rstrip("0")
            return text + "0" if text[-1] == "." else text
        return text

    def calls(self, calls: int, primitive: int) -> str:
        if not isinstance(calls, int) or not isinstance(primitive, int):
            raise TypeError("call counts must be int")
        if 0 <= primitive <= calls <= _CALLS_MAX:
            return f"{calls:d}" if primitive == calls else f"{calls:d}/{primitive:d}"
        kept = min(max(int(calls), 0), _CALLS_MAX)
        kept_primitive = min(max(int(primitive), 0), kept)
        self.altered += 1
        return str(kept) if kept == kept_primitive else f"{kept}/{kept_primitive}"

    def ncalls(self, text: str) -> str:
        match = _NCALLS.fullmatch(text)
        if match is None:
            raise TypeError(f'ncalls must be "n" or "n/p", not {text[:100]!r}')
        return self.calls(int(match[1]), int(match[2] or match[1]))

    def line(self, number: int) -> str:
        if not isinstance(number, int):
            raise TypeError(f"a line number must be an int, not {type(number).__name__}")
        if 0 <= number <= _LINE_MAX:
            return f"{number:d}"
        self.altered += 1
        return "null"


class _Frame:
    """What stands around the entries."""

    def __init__(self, timestamp: str, labels: str, exact: bool, total: str, brackets: str) -> None:
        self.head = (f'{{"timestamp": {timestamp}, ' + (f'"labels": {labels}, ' if labels else "")
                     + ('"exact": true, ' if exact else ""))
        self.total = total
        self.open, self.close = brackets

    def around(self, part: Optional[Tuple[int, int]]) -> Tuple[str, str]:
        index, count = part or (0, 0)
        return (self.head + (f'"part": [{index}, {count}], ' if part else "") + '"profile": {'
                + (f'"total_tt": {self.total}, ' if index == 0 else "") + f'"func_profiles": {self.open}',
                f"{self.close}}}}}")

    def messages(self, entries: List[str], limit: int) -> List[bytes]:
        groups = [entries]
        if self._size(entries, None) > limit:
            groups = self._split(entries, limit)
        parts: Iterable[Optional[Tuple[int, int]]] = [None]
        if len(groups) > 1:
            parts = [(i, len(groups)) for i in range(len(groups))]
        texts = []
        for group, part in zip(groups, parts):
            before, after = self.around(part)
            texts.append((before + ", ".join(group) + after).encode("ascii"))
        return texts

    def _size(self, entries: List[str], part: Optional[Tuple[int, int]]) -> int:
        return sum(map(len, self.around(part))) + sum(map(len, entries)) + 2 * max(len(entries) - 1, 0)

    def _split(self, entries: List[str], limit: int) -> List[List[str]]:
        """Greedy; room is kept for the widest `part` there can be. No group is empty."""
        most = len(entries)
        first, later = self._size([], (0, most)), self._size([], (most, most))
        groups: List[List[str]] = []
        size = 0
        for entry in entries:
            size += 2 + len(entry)
            if groups and size <= limit:
                groups[-1].append(entry)
            else:
                size = len(entry) + (later if groups else first)
                groups.append([entry])
        return groups


def _number(value: float) -> float:
    if type(value) is float:
        return value
    if not isinstance(value, (int, float)):
        raise TypeError(f"a time must be a float, not {type(value).__name__}")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _utf8(text: str) -> bytes:
    """Halves of surrogate pairs have three bytes, as many as the U+FFFD that the daemon stores for them."""
    return text.encode("utf-8", "surrogatepass")


def _head(text: str, limit: int) -> str:
    data = _utf8(text)
    if len(data) <= limit:
        return text
    end = limit
    while data[end] & 0xC0 == 0x80:  # in the middle of a character
        end -= 1
    return data[:end].decode("utf-8", "surrogatepass")
