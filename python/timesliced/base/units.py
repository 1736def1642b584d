"""Durations as the daemon parses them: numbers with ms, s, m, h, d, w or y (1h30m), or a number of seconds."""
import re

_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_PART = re.compile(rf"({_NUMBER.pattern})(ms|[smhdwy])")
_PARTS = re.compile(rf"(?:{_NUMBER.pattern}(?:ms|[smhdwy]))+")


def seconds(text: str) -> float:
    """Raises ValueError."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    parts = [(float(number), _UNITS[unit]) for number, unit in _PART.findall(text)]
    widths = [width for _, width in parts]
    if _PARTS.fullmatch(text) is None or widths != sorted(set(widths), reverse=True):
        raise ValueError(f"{text!r} is not a duration: numbers with ms, s, m, h, d, w or y, such as 10s or 1h30m")
    return sum(number * width for number, width in parts)
