"""Middleware for WSGI and ASGI: requests profiled within a budget, labelled by route. Client.wsgi() and .asgi() make it.

The application's answers and exceptions pass through as they are. A response that is made while it is read (a generator)
is profiled piece by piece, each with the request's own profile.

The name of a route must come from a small set, because the daemon keeps sums for each: the path of a request will not do
as it is, with its numbers and names.
"""
import re
import time
from typing import TYPE_CHECKING, Any, Awaitable, Callable, Dict, Iterable, Iterator, MutableMapping, Optional, Set

from timesliced.base import limits
from timesliced.taking import profiler as taking
from timesliced.taking.blocks import Run, Steps
from timesliced.taking.budget import Budget

if TYPE_CHECKING:
    from timesliced.client import Client

WSGI = Callable[[Dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ASGI = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]],
                Awaitable[None]]
Route = Callable[[Any], Optional[str]]

ROUTES_MAX = 500  # half of the label sets the daemon keeps apart by default
OTHER = "(other)"
_VARIABLE = re.compile(r"[^/]*[0-9%@][^/]*")


class _Routes:
    """The label of a request; a bounded number of different ones."""

    def __init__(self, client: "Client", own: Optional[Route], framework: Route) -> None:
        self.client, self.own, self.framework = client, own, framework
        self.seen: Set[str] = set()
        self.texts: Dict[str, str] = {}

    def labels(self, request: Any, path: str) -> str:
        """JSON. Never raises."""
        name: Optional[str] = None
        for ask in (self.own, self.framework):
            try:
                name = name or (ask(request) if ask is not None else None)
            except Exception as error:
                self.client._sender.count("errors", why=f"route: {type(error).__name__}: {error}")
        if not isinstance(name, str):
            name = _VARIABLE.sub("*", path)
        text = self.texts.get(name)
        if text is None:
            if len(self.texts) >= ROUTES_MAX:
                name = OTHER
            text = self.client._text({"route": limits.label_value(name)})
            self.texts[name] = text
        return text


class WSGIMiddleware:
    def __init__(self, client: "Client", app: WSGI, budget: Budget, route: Optional[Route]) -> None:
        self.client, self.app, self.budget = client, app, budget
        self.routes = _Routes(client, _of_environ(route) if route is not None else None, _werkzeug_of)

    def __call__(self, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        thread = taking.enter_thread()
        if not self.budget.allows():
            return self.plain(thread, environ, start_response)
        request = _Request(environ, start_response, thread)
        run = Run(self.client, self.budget)
        run.resume()
        try:
            body = self.app(environ, request.start)
        except BaseException:
            run.pause()
            self.end(run, request)
            raise
        run.pause()
        if isinstance(body, (list, tuple)) or run.taking is None:
            self.end(run, request)
            return body
        return _Body(body, self, run, request)

    def plain(self, thread: int, environ: Dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Nearly all requests go this way: it is short. Of some of them the route is looked at, for the budget."""
        budget = self.budget
        request = _Request(environ, start_response, thread) if budget.max_overhead is not None and budget.curious() else None
        begin = time.perf_counter()
        try:
            return self.app(environ, start_response if request is None else request.start)
        finally:
            seconds = time.perf_counter() - begin
            taking.leave_thread(thread)
            budget.worked(seconds, None if request is None else self.label(request))

    def end(self, run: Run, request: "_Request") -> None:
        taking.leave_thread(request.thread)
        run.end(self.label(request) if run.taking is not None else "")

    def label(self, request: "_Request") -> str:
        return self.routes.labels(request, str(request.environ.get("PATH_INFO", "")))


class _Request:
    """Flask and Werkzeug know the route while the response begins, and forget it at the end of the request."""

    __slots__ = ("environ", "start_response", "thread", "route")

    def __init__(self, environ: Dict[str, Any], start_response: Callable[..., Any], thread: int) -> None:
        self.environ, self.start_response, self.thread = environ, start_response, thread
        self.route: Optional[str] = None

    def start(self, *args: Any, **kwargs: Any) -> Any:
        self.route = _werkzeug_route(self.environ)
        return self.start_response(*args, **kwargs)


class _Body:
    """A response that is still being made. The server closes it."""

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

    def __del__(self) -> None:  # a server that does not close it, as it should
        if not self.ended:
            self.ended = True
            self.middleware.end(self.run, self.request)


class ASGIMiddleware:
    def __init__(self, client: "Client", app: ASGI, budget: Budget, route: Optional[Route]) -> None:
        self.client, self.app, self.budget = client, app, budget
        self.routes = _Routes(client, route, _asgi_route)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Callable[[], Awaitable[Any]],
                       send: Callable[[Any], Awaitable[None]]) -> None:
        if scope.get("type") != "http":
            await self.app(scope, receive, send)
            return
        # A request that is not profiled is stepped too where there is a budget: only its own time is work.
        run = Run.within(self.client, self.budget)
        if run.taking is None and self.budget.max_overhead is None:
            await self.app(scope, receive, send)
            return

        def labels() -> str:
            return self.routes.labels(scope, str(scope.get("path", "")))
        await Steps(self.app(scope, receive, send), run, labels)


def _of_environ(route: Route) -> Route:
    return lambda request: route(request.environ)


def _werkzeug_of(request: _Request) -> Optional[str]:
    return request.route


def _werkzeug_route(environ: Any) -> Optional[str]:
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    name = getattr(rule, "rule", None)
    return name if isinstance(name, str) else None


def _asgi_route(scope: Any) -> Optional[str]:
    """Starlette's, and what is built on it."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None
