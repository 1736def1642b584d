"""Middleware for WSGI and ASGI: profiles requests within a budget, labelled by route. Made by Client.wsgi() and asgi().

Responses and exceptions of the application pass through unchanged. A response that is generated while the server reads
it is profiled in segments, in the profile of its request.

Route names must come from a small set, because the daemon keeps sums for each. The path of a request does not: it may
contain numbers and names.
"""
import re
import time
from typing import Any, Awaitable, Callable, Dict, Iterable, Iterator, MutableMapping, Optional

from timesliced.base import limits
from timesliced.taking import profiler
from timesliced.taking.blocks import Run, Steps
from timesliced.taking.budget import Budget
from timesliced.taking.sink import Sink

WSGI = Callable[[Dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ASGI = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]],
                Awaitable[None]]
Route = Callable[[Any], Optional[str]]

ROUTES_MAX = 500  # half of the label sets that the daemon keeps by default
OTHER = "(other)"
_VARIABLE = re.compile(r"[^/]*[0-9%@][^/]*")


class _Routes:
    """The label sets of requests, with a bounded number of routes."""

    def __init__(self, sink: Sink, own: Optional[Route], framework: Route) -> None:
        """own: the application's function; framework: used if that returns None."""
        self.sink, self.own, self.framework = sink, own, framework
        self.known: Dict[str, str] = {}  # route: labels

    def labels(self, request: Any, path: str) -> str:
        """JSON. Never raises."""
        name: Optional[str] = None
        for route in (self.own, self.framework):
            try:
                name = name or (route(request) if route is not None else None)
            except Exception as error:
                self.sink.count("errors", why=f"route: {type(error).__name__}: {error}")
        if not isinstance(name, str):
            name = _VARIABLE.sub("*", path)
        labels = self.known.get(name)
        if labels is None:
            if len(self.known) >= ROUTES_MAX:
                name = OTHER
            labels = self.known[name] = self.sink.labels_json({"route": limits.label_value(name)})
        return labels


class WSGIMiddleware:
    def __init__(self, sink: Sink, app: WSGI, budget: Budget, route: Optional[Route]) -> None:
        self.sink, self.app, self.budget = sink, app, budget
        self.routes = _Routes(sink, _of_environ(route) if route is not None else None, _seen_route)

    def __call__(self, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        thread = profiler.enter_thread()
        if not self.budget.allows():
            return self.unprofiled(thread, environ, start_response)
        request = _Request(environ, start_response, thread)
        run = Run(self.sink, self.budget)
        run.resume()
        try:
            body = self.app(environ, request.start)
        except BaseException:
            run.pause()
            self.end(run, request)
            raise
        run.pause()
        if isinstance(body, (list, tuple)) or run.profiler is None:
            self.end(run, request)
            return body
        return _Body(body, self, run, request)

    def unprofiled(self, thread: int, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The path of nearly all requests, so it is short. The route of some of them is determined for the budget."""
        budget = self.budget
        request = None
        if budget.max_overhead is not None and budget.samples_kind():
            request = _Request(environ, start_response, thread)
        begin = time.perf_counter()
        try:
            return self.app(environ, start_response if request is None else request.start)
        finally:
            seconds = time.perf_counter() - begin
            profiler.leave_thread(thread)
            budget.worked(seconds, None if request is None else self.label(request))

    def end(self, run: Run, request: "_Request") -> None:
        profiler.leave_thread(request.thread)
        run.end(self.label(request) if run.profiler is not None else "")

    def label(self, request: "_Request") -> str:
        return self.routes.labels(request, str(request.environ.get("PATH_INFO", "")))


class _Request:
    """Reads the route when the response starts: Flask and Werkzeug forget it at the end of the request."""

    __slots__ = ("environ", "start_response", "thread", "route")

    def __init__(self, environ: Dict[str, Any], start_response: Callable[..., Any], thread: int) -> None:
        self.environ, self.start_response, self.thread = environ, start_response, thread
        self.route: Optional[str] = None

    def start(self, *args: Any, **kwargs: Any) -> Any:
        self.route = _werkzeug_route(self.environ)
        return self.start_response(*args, **kwargs)


class _Body:
    """A response that is generated while the server reads it. The server calls close()."""

    def __init__(self, body: Iterable[bytes], middleware: WSGIMiddleware, run: Run, request: _Request) -> None:
        self.body = body
        self.pieces: Optional[Iterator[bytes]] = None
        self.middleware, self.run, self.request = middleware, run, request
        self.ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self.ended:
            raise StopIteration
        self.run.resume()
        try:
            if self.pieces is None:
                self.pieces = iter(self.body)
            return next(self.pieces)
        finally:
            self.run.pause()

    def close(self) -> None:
        if self.ended:
            return
        self.ended = True
        close = getattr(self.body, "close", None)
        try:
            if close is not None:
                self.run.resume()
                try:
                    close()
                finally:
                    self.run.pause()
        finally:
            self.middleware.end(self.run, self.request)

    def __del__(self) -> None:  # for servers that do not call close()
        if not self.ended:
            self.ended = True
            self.middleware.end(self.run, self.request)


class ASGIMiddleware:
    def __init__(self, sink: Sink, app: ASGI, budget: Budget, route: Optional[Route]) -> None:
        self.sink, self.app, self.budget = sink, app, budget
        self.routes = _Routes(sink, route, _asgi_route)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]],
                       send: Callable[[Any], Awaitable[None]]) -> None:
        if scope.get("type") != "http":
            await self.app(scope, receive, send)
            return
        # With a budget, unprofiled requests run in steps too: only the time of the steps is the request's own.
        run = Run.within(self.sink, self.budget)
        if run.profiler is None and self.budget.max_overhead is None:
            await self.app(scope, receive, send)
            return

        def labels() -> str:
            return self.routes.labels(scope, str(scope.get("path", "")))
        await Steps(self.app(scope, receive, send), run, labels)


def _of_environ(route: Route) -> Route:
    return lambda request: route(request.environ)


def _seen_route(request: _Request) -> Optional[str]:
    return request.route


def _werkzeug_route(environ: Any) -> Optional[str]:
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    name = getattr(rule, "rule", None)
    return name if isinstance(name, str) else None


def _asgi_route(scope: Any) -> Optional[str]:
    """Set by Starlette and frameworks built on it."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None
