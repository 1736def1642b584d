"""Reading what the daemon has summed: Control, over its control socket (HTTP on a Unix socket) or its TCP address.

Everything here is a question and its whole answer. What goes wrong is a ControlError: Refused, with the daemon's own
words, or Unreachable, which is an OSError too.
"""
import http.client
import json
import os
import socket
from datetime import date, datetime, timedelta, timezone
from typing import Any, Iterable, List, Mapping, Optional, Tuple, Union
from urllib.parse import urlencode, urlsplit

from timesliced.reading import results

DEFAULT_SOCKET = "/run/timesliced/control.sock"
TIMEOUT = 30.0  # seconds

Time = Union[str, int, float, date, datetime]
Duration = Union[str, int, float, timedelta]
Globs = Union[str, Iterable[str]]


class ControlError(Exception):
    """A question that got no answer."""


class Unreachable(ControlError, OSError):
    """No daemon there, or none that answers in time."""


class Refused(ControlError):
    """What the daemon answered in place of what was asked for.

    status      of HTTP: 400 a parameter, 403 the host, 404 not there, 503 not now
    code        as docs/interfaces.md has them, as "bad_parameter"
    parameter   the one that is wrong, or None
    """

    def __init__(self, status: int, code: str, message: str, parameter: Optional[str] = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.status, self.code, self.message, self.parameter = status, code, message, parameter


class Control:
    """where    the path of the control socket, or http://host:port (the daemon's control.http). Not given:
                $TIMESLICED_SOCKET, else /run/timesliced/control.sock.
    timeout  seconds that an answer may take.

    Times are epoch seconds, ISO 8601, "now", relative ("-15m"), or datetime (without a zone: local time) and date;
    durations are seconds, "90s", "15m", "2h", "7d", or timedelta. Ranges are half-open and widened to whole buckets.

    last, from_, to   the range; from_ and to, or last: from that long ago to now. Without any: all there is.
    metric            "cumtime", "tottime", "ncalls" or "pcalls": what is answered, ranked, and cut by `top`.
    function          a glob on the function, or several.
    labels            only profiles with these.
    by                "function", "location", or "label.KEY".
    top               so many; the rest is summed as `other`.
    fresh             False: what is stored will do, without a commit first.

    Each raises Unreachable or Refused; ValueError and TypeError of what could not even be asked.
    """

    def __init__(self, where: Optional[str] = None, *, timeout: float = TIMEOUT) -> None:
        text = where or os.environ.get("TIMESLICED_SOCKET") or DEFAULT_SOCKET
        self.where = text
        self.timeout = timeout
        self._path: Optional[str] = None
        self._host: Tuple[str, int] = ("", 0)
        if "://" not in text:
            self._path = text
            return
        url = urlsplit(text)
        if url.scheme != "http" or not url.hostname or url.path not in ("", "/"):
            raise ValueError(f"{text!r}: must be a path, or http://host:port")
        self._host = url.hostname, url.port or 80

    def buckets(self, *, last: Optional[Duration] = None, from_: Optional[Time] = None, to: Optional[Time] = None,
                time_slice: Optional[Duration] = None, metric: Optional[str] = None, function: Globs = (),
                labels: Optional[Mapping[str, str]] = None, by: Optional[str] = None, top: Optional[int] = None,
                fill: bool = False, fresh: Optional[bool] = None) -> "results.Buckets":
        """The matrix of buckets and functions. time_slice: wider buckets, a multiple of the stored one; fill: buckets
        without data too."""
        asked = _range(last, from_, to) + _common(metric, function, labels, by, top, fresh)
        if time_slice is not None:
            asked.append(("time_slice", _duration(time_slice)))
        if fill:
            asked.append(("fill", "true"))
        return results.Buckets.of(self._get("/v1/buckets", asked))

    def top(self, *, last: Optional[Duration] = None, from_: Optional[Time] = None, to: Optional[Time] = None,
            metric: Optional[str] = None, function: Globs = (), labels: Optional[Mapping[str, str]] = None,
            by: Optional[str] = None, top: Optional[int] = None, fresh: Optional[bool] = None) -> "results.Top":
        """One row for each function, with all metrics, over the whole range."""
        asked = _range(last, from_, to) + _common(metric, function, labels, by, top, fresh)
        return results.Top.of(self._get("/v1/top", asked))

    def diff(self, *, before: "Optional[results.Range]" = None, after: "Optional[results.Range]" = None,
             before_labels: Optional[Mapping[str, str]] = None, after_labels: Optional[Mapping[str, str]] = None,
             metric: Optional[str] = None, function: Globs = (), labels: Optional[Mapping[str, str]] = None,
             by: Optional[str] = None, top: Optional[int] = None, fresh: Optional[bool] = None) -> "results.Diff":
        """Two ranges, or two sets of labels, side by side: what changed, per profile, and whether it was called more or
        became slower per call.

        before, after   a text as "2h..1h" (from two hours ago to one hour ago), "last:1h", "2026-01-31..", or a pair of
                        times, each of them None where that end is open. One that is not given is all there is.
        before_labels, after_labels   only profiles with these, on that side; `labels`: on both.
        """
        asked = _common(metric, function, labels, by, top, fresh)
        for side, span, own in (("before", before, before_labels), ("after", after, after_labels)):
            if span is not None:
                asked.append((side, _span(span)))
            asked += [(f"{side}.label.{key}", value) for key, value in (own or {}).items()]
        return results.Diff.of(self._get("/v1/diff", asked))

    def labels(self, *, fresh: Optional[bool] = None) -> "List[results.LabelSet]":
        """The sets of labels there are."""
        answer = self._get("/v1/labels", _common(None, (), None, None, None, fresh))
        return [results.LabelSet.of(one) for one in answer["labels"]]

    def status(self) -> "dict[str, Any]":
        """As docs/interfaces.md has it."""
        return self._get("/v1/status", [])

    def flush(self) -> None:
        """Has the daemon commit what it has received. Control socket only."""
        self._ask("POST", "/v1/flush")

    def _get(self, path: str, asked: List[Tuple[str, str]]) -> "dict[str, Any]":
        return self._ask("GET", path + ("?" + urlencode(asked) if asked else ""))

    def _ask(self, method: str, target: str) -> "dict[str, Any]":
        connection = (_UnixConnection(self._path, self.timeout) if self._path is not None
                      else http.client.HTTPConnection(*self._host, timeout=self.timeout))
        try:
            connection.request(method, target)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.where}: {getattr(error, 'strerror', None) or error}") from error
        finally:
            connection.close()
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if response.status == 200 and isinstance(answer, dict):
            return answer
        error_part = answer.get("error") if isinstance(answer, dict) else None
        if not isinstance(error_part, dict):
            raise Refused(response.status, "no_answer", f"HTTP {response.status}, and not the daemon's JSON")
        raise Refused(response.status, str(error_part.get("code")), str(error_part.get("message", "")),
                      error_part.get("parameter"))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _range(last: Optional[Duration], from_: Optional[Time], to: Optional[Time]) -> List[Tuple[str, str]]:
    asked = []
    if last is not None:
        asked.append(("last", _duration(last)))
    if from_ is not None:
        asked.append(("from", _time(from_)))
    if to is not None:
        asked.append(("to", _time(to)))
    return asked


def _common(metric: Optional[str], function: Globs, labels: Optional[Mapping[str, str]], by: Optional[str],
            top: Optional[int], fresh: Optional[bool]) -> List[Tuple[str, str]]:
    asked = [("function", glob) for glob in ([function] if isinstance(function, str) else function)]
    asked += [(f"label.{key}", value) for key, value in (labels or {}).items()]
    for name, value in (("metric", metric), ("by", by), ("top", None if top is None else str(top)),
                        ("fresh", None if fresh is None else "true" if fresh else "false")):
        if value is not None:
            asked.append((name, value))
    return asked


def _span(span: "results.Range") -> str:
    if isinstance(span, str):
        return span
    begin, end = span
    return f"{'' if begin is None else _time(begin)}..{'' if end is None else _time(end)}"


def _time(value: Time) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    return _number(value)


def _duration(value: Duration) -> str:
    if isinstance(value, str):
        return value
    return _number(value.total_seconds() if isinstance(value, timedelta) else value)


def _number(value: Union[int, float]) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a number is needed, not {type(value).__name__}")
    return str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")
