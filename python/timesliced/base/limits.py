"""Limits of the daemon. Values of profiles are changed to fit; labels and timestamps raise instead.

Functions that return a pair return the value and the number of changes: 0 or 1.
"""
import re
from decimal import Decimal
from json import dumps
from math import isfinite
from typing import Any, Dict, Mapping, Optional, Tuple

NAME_MAX = 1024  # bytes, as FILE_NAME_MAX
FILE_NAME_MAX = 4096
LABELS_MAX = 16
LABEL_KEY_MAX = 64  # bytes, as LABEL_VALUE_MAX
LABEL_VALUE_MAX = 256
TIMESTAMP_MAX = 9.2e9  # seconds
CALLS_MAX = 2**53
LINE_MAX = 2**31 - 1
SECONDS_MAX = 1e12
_LABEL_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NCALLS = re.compile(r"([0-9]{1,20})(?:/([0-9]{1,20}))?")


def check_labels(labels: Optional[Mapping[str, str]]) -> Dict[str, str]:
    """Returns a copy. Raises TypeError or ValueError if the daemon would reject them."""
    if labels is None:
        return {}
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
        if "\0" in value or len(utf8(value)) > LABEL_VALUE_MAX:
            raise ValueError(f"label {key!r}: a value is up to {LABEL_VALUE_MAX} bytes of UTF-8 without NULs")
        pairs[str(key)] = str(value)
    return pairs


def labels_text(labels: Mapping[str, str]) -> str:
    """JSON; "" if there are none."""
    return dumps(labels) if labels else ""


def label_value(value: str) -> str:
    """For values that users of the application may choose: shortened if too long, never rejected."""
    return head(value.replace("\0", ""), LABEL_VALUE_MAX)


def check_timestamp(timestamp: float) -> str:
    """Returns it as JSON. Raises TypeError, ValueError."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, (int, float)):
        raise TypeError(f"timestamp must be an int or a float, not {type(timestamp).__name__}")
    if not -TIMESTAMP_MAX <= timestamp <= TIMESTAMP_MAX:  # NaN too
        hint = " (is it in milliseconds?)" if abs(timestamp) < float("inf") else ""
        raise ValueError(f"timestamp {timestamp!r}: seconds since the epoch, within {TIMESTAMP_MAX:g}{hint}")
    return str(int(timestamp)) if isinstance(timestamp, int) else format(Decimal(repr(float(timestamp))), "f")


def string(text: str, limit: int) -> Tuple[str, int]:
    """JSON of at most `limit` bytes of UTF-8, without NULs. Raises TypeError."""
    if not isinstance(text, str):
        raise TypeError(f"a name must be a str, not {type(text).__name__}")
    if len(text) * 4 > limit or "\0" in text:
        kept = head(text.replace("\0", ""), limit)
        return dumps(kept), int(kept != text)
    return dumps(text), 0


def line_number(line: int) -> Tuple[str, int]:
    if not isinstance(line, int):
        raise TypeError(f"a line number must be an int, not {type(line).__name__}")
    return (f"{line:d}", 0) if 0 <= line <= LINE_MAX else ("null", 1)


def calls(total: int, primitive: int) -> Tuple[str, int]:
    """As pstats prints them: "n", or "n/p" if some are recursive."""
    if not isinstance(total, int) or not isinstance(primitive, int):
        raise TypeError("call counts must be int")
    kept = min(max(int(total), 0), CALLS_MAX)
    kept_primitive = min(max(int(primitive), 0), kept)
    changed = int((kept, kept_primitive) != (total, primitive))
    return (str(kept) if kept == kept_primitive else f"{kept}/{kept_primitive}"), changed


def calls_of(text: str) -> Tuple[int, int]:
    """The reverse. Raises TypeError for other text."""
    match = _NCALLS.fullmatch(text)
    if match is None:
        raise TypeError(f'ncalls must be "n" or "n/p", not {text[:100]!r}')
    return int(match[1]), int(match[2] or match[1])


def number(value: Any) -> Tuple[float, int]:
    """0 if it is not finite. Clamped to SECONDS_MAX, which the daemon still rejects: this only keeps the text short.
    Raises TypeError."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"a time must be a float, not {type(value).__name__}")
    try:
        real = float(value)
    except OverflowError:
        return 0.0, 1
    return (min(max(real, -SECONDS_MAX), SECONDS_MAX), 0) if isfinite(real) else (0.0, 1)


def utf8(text: str) -> bytes:
    """A lone surrogate has three bytes, as many as the U+FFFD that the daemon stores for it."""
    return text.encode("utf-8", "surrogatepass")


def head(text: str, limit: int) -> str:
    """The longest prefix of complete characters with at most `limit` bytes."""
    data = utf8(text)
    if len(data) <= limit:
        return text
    end = limit
    while data[end] & 0xC0 == 0x80:  # inside a character
        end -= 1
    return data[:end].decode("utf-8", "surrogatepass")
