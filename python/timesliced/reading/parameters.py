"""Query parameters as the daemon parses them (docs/interfaces.md, "Parameters"), made from Python values.

A parameter that is None is left out: the daemon then uses its default. TypeError: a value of a type that is not listed.
"""
from datetime import date, datetime, timedelta, timezone
from typing import Iterable, List, Mapping, Optional, Tuple, Union

Time = Union[str, int, float, date, datetime]
Duration = Union[str, int, float, timedelta]
Range = Union[str, Tuple[Optional[Time], Optional[Time]]]
Globs = Union[str, Iterable[str]]

Parameters = List[Tuple[str, str]]


def time_range(last: Optional[Duration], from_: Optional[Time], to: Optional[Time]) -> Parameters:
    parameters = []
    if last is not None:
        parameters.append(("last", duration(last)))
    if from_ is not None:
        parameters.append(("from", time(from_)))
    if to is not None:
        parameters.append(("to", time(to)))
    return parameters


def selection(metric: Optional[str], function: Globs, labels: Optional[Mapping[str, str]], by: Optional[str],
              top: Optional[int], fresh: Optional[bool]) -> Parameters:
    parameters = [("function", glob) for glob in ([function] if isinstance(function, str) else function)]
    parameters += [(f"label.{key}", value) for key, value in (labels or {}).items()]
    for name, value in (("metric", metric), ("by", by), ("top", None if top is None else str(top)),
                        ("fresh", None if fresh is None else "true" if fresh else "false")):
        if value is not None:
            parameters.append((name, value))
    return parameters


def side(name: str, span: Optional[Range], labels: Optional[Mapping[str, str]]) -> Parameters:
    """One side of a comparison: "before" or "after"."""
    parameters = [] if span is None else [(name, _range(span))]
    return parameters + [(f"{name}.label.{key}", value) for key, value in (labels or {}).items()]


def time(value: Time) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return _number(value)


def duration(value: Duration) -> str:
    if isinstance(value, str):
        return value
    return _number(value.total_seconds() if isinstance(value, timedelta) else value)


def _range(span: Range) -> str:
    if isinstance(span, str):
        return span
    begin, end = span
    return f"{'' if begin is None else time(begin)}..{'' if end is None else time(end)}"


def _number(value: Union[int, float]) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"expected a number, not {type(value).__name__}")
    return str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")
