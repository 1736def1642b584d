"""Durations as the daemon parses them: a number with ms, s, m, h, d, w or y, or without a unit (seconds)."""
import re

_UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdwy]?)")


def seconds(text: str) -> float:
    """Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration: must be a number with ms, s, m, h, d, w or y, such as 10s")
    return float(match[1]) * _UNITS[match[2]]
