"""Control: queries to the daemon over its control socket (HTTP on a Unix socket) or its TCP address.

Each call makes one HTTP request and blocks until the response is complete. Errors are ControlError: Refused if the
daemon responded with an error, Unreachable (also an OSError) if there was no response.
"""
import http.client
import json
import os
import socket
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlencode, urlsplit

from timesliced.reading import parameters, results
from timesliced.reading.buckets import Buckets
from timesliced.reading.parameters import Duration, Globs, Parameters, Range, Time

DEFAULT_SOCKET = "/run/timesliced/control.sock"
TIMEOUT = 30.0  # seconds


class ControlError(Exception):
    """A query without a result."""


class Unreachable(ControlError, OSError):
    """No connection, or no response within the timeout."""


class Refused(ControlError):
    """The daemon responded with an error.

    status      of HTTP: 400 bad parameter, 403 host not allowed, 404 not found, 503 temporarily unavailable
    code        one of docs/interfaces.md, such as "bad_parameter"
    parameter   the name of the bad parameter, or None
    """

    def __init__(self, status: int, code: str, message: str, parameter: Optional[str] = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.status, self.code, self.message, self.parameter = status, code, message, parameter


class Control:
    """where    path of the control socket, or http://host:port (the daemon's control.http). Default:
                $TIMESLICED_SOCKET, else /run/timesliced/control.sock.
    timeout  seconds to wait for a response.

    Times are epoch seconds, ISO 8601, "now", relative ("-15m"), datetime (without a time zone: local time) or date.
    Durations are seconds, "90s", "15m", "2h", "7d", or timedelta. Ranges include their begin, exclude their end and
    are widened to complete buckets.

    last, from_, to   the range: from_ and to, or `last` before now. Default: all data.
    metric            "cumtime", "tottime", "ncalls" or "pcalls": the values, their order, and what `top` ranks by.
    function          a glob or several that the function must match.
    labels            only profiles with these labels.
    by                "function", "location", or "label.KEY".
    top               the number of functions; the others are summed as `other`.
    fresh             False: read what is stored, without a commit of newly received profiles first.

    All methods raise Unreachable and Refused; ValueError and TypeError for arguments that cannot be sent.
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
            raise ValueError(f"{text!r}: must be a path or http://host:port")
        self._host = url.hostname, url.port or 80

    def buckets(self, *, last: Optional[Duration] = None, from_: Optional[Time] = None, to: Optional[Time] = None,
                time_slice: Optional[Duration] = None, metric: Optional[str] = None, function: Globs = (),
                labels: Optional[Mapping[str, str]] = None, by: Optional[str] = None, top: Optional[int] = None,
                fill: bool = False, fresh: Optional[bool] = None) -> Buckets:
        """The matrix of buckets and functions. time_slice: wider buckets, a multiple of the stored width; fill: include
        buckets without data."""
        query = parameters.time_range(last, from_, to) + parameters.selection(metric, function, labels, by, top, fresh)
        if time_slice is not None:
            query.append(("time_slice", parameters.duration(time_slice)))
        if fill:
            query.append(("fill", "true"))
        return Buckets.of(self._get("/v1/buckets", query))

    def top(self, *, last: Optional[Duration] = None, from_: Optional[Time] = None, to: Optional[Time] = None,
            metric: Optional[str] = None, function: Globs = (), labels: Optional[Mapping[str, str]] = None,
            by: Optional[str] = None, top: Optional[int] = None, fresh: Optional[bool] = None) -> results.Top:
        """One row per function, with all metrics, summed over the range."""
        query = parameters.time_range(last, from_, to) + parameters.selection(metric, function, labels, by, top, fresh)
        return results.Top.of(self._get("/v1/top", query))

    def diff(self, *, before: Optional[Range] = None, after: Optional[Range] = None,
             before_labels: Optional[Mapping[str, str]] = None, after_labels: Optional[Mapping[str, str]] = None,
             metric: Optional[str] = None, function: Globs = (), labels: Optional[Mapping[str, str]] = None,
             by: Optional[str] = None, top: Optional[int] = None, fresh: Optional[bool] = None) -> results.Diff:
        """Compares two ranges or two sets of labels: the change per profile, split into more calls and slower calls.

        before, after   text such as "2h..1h" (from two hours ago to one hour ago), "last:1h" or "2026-01-31..", or a
                        pair of times (None: open end). Default: all data.
        before_labels, after_labels   only profiles with these labels on that side; `labels`: on both sides.
        """
        query = parameters.selection(metric, function, labels, by, top, fresh)
        query += parameters.side("before", before, before_labels) + parameters.side("after", after, after_labels)
        return results.Diff.of(self._get("/v1/diff", query))

    def labels(self, *, fresh: Optional[bool] = None) -> List[results.LabelSet]:
        """All label sets."""
        response = self._get("/v1/labels", parameters.selection(None, (), None, None, None, fresh))
        return [results.LabelSet.of(row) for row in response["labels"]]

    def status(self) -> Dict[str, Any]:
        """As described in docs/interfaces.md."""
        return self._get("/v1/status", [])

    def flush(self) -> None:
        """Makes the daemon commit everything it has received. Control socket only."""
        self._request("POST", "/v1/flush")

    def _get(self, path: str, query: Parameters) -> Dict[str, Any]:
        return self._request("GET", path + ("?" + urlencode(query) if query else ""))

    def _request(self, method: str, target: str) -> Dict[str, Any]:
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
            members = json.loads(body)
        except ValueError:
            members = None
        if response.status == 200 and isinstance(members, dict):
            return members
        problem = members.get("error") if isinstance(members, dict) else None
        if not isinstance(problem, dict):
            raise Refused(response.status, "no_answer", f"HTTP {response.status} without the daemon's JSON")
        raise Refused(response.status, str(problem.get("code")), str(problem.get("message", "")),
                      problem.get("parameter"))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
