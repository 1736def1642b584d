"""What an application uses: Client."""
import logging
import time
import weakref
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Type, TypeVar, Union, overload

from timesliced.base import address as addresses
from timesliced.base import limits
from timesliced.sending import spool
from timesliced.sending.sender import ClientStats, Sender
from timesliced.taking import blocks as profiling
from timesliced.taking.budget import Budget
from timesliced.taking.capture import Dump, Profile, capture
from timesliced.taking.every import Every

if TYPE_CHECKING:
    from timesliced.taking import web

DATAGRAM_MAX = 65507  # bytes: the longest UDP takes over IPv4; loopback carries it in one piece
DATAGRAM_REMOTE = 1400  # fits Ethernet's 1,500 beside IPv6, UDP and a tunnel's head: no fragments, each a risk to all
DATAGRAM_MIN = 512
LINE_MAX = 8 << 20  # bytes: half of what the daemon takes by default
MAX_QUEUE = 16 << 20  # bytes
FLUSH_TIMEOUT = 5.0  # seconds
CLOSE_TIMEOUT = 2.0  # seconds

Function = TypeVar("Function", bound=Callable[..., Any])

_log = logging.getLogger("timesliced")


class Client:
    """Sends profiles to timesliced, without ever holding up the application.

    address   where the daemon listens: udp://host:port, tcp://host:port (an IPv6 host in brackets), unix:///path
              (stream), unixgram:///path. Not given: $TIMESLICED_ADDRESS, else udp://127.0.0.1:8137. "off": nothing is
              profiled, nothing sent.
    labels    where these profiles come from: at most 16; keys [A-Za-z_][A-Za-z0-9_]* up to 64 bytes, values up to 256.
              Those of $TIMESLICED_LABELS ("key=value,key=value") are added, where a key is not among them.
    spool     a folder for what is not delivered yet (tcp and unix only; made where it is missing). What a process that
              was killed had not delivered is sent by the next Client with that folder, and counts exactly once.
    max_datagram  bytes, 512 to 65507; a profile that does not fit is split over several datagrams and arrives as one.
              By default 65507 where the address is local (unixgram, a loopback address, localhost), 1400 elsewhere.
              Only a single function with very long names (or long labels) may pass it.
    max_queue bytes of memory (and of the spool) that profiles may wait in; what does not fit is dropped, and counted.

    Raises ValueError or TypeError that says what is wrong with an argument, and so do the ways to take profiles, when
    they are set up. At work nothing raises. What is wrong in the environment does not raise either: it is logged (logger
    "timesliced"), and the client is off. Connects nowhere: that, names included, is done on a background thread that
    starts with the first profile.

    tcp and unix are acknowledged: each profile counts exactly once as long as this process lives, through lost
    connections and daemons that are killed; with a spool, through the end of the process too. udp may lose data on the
    way and does not say so, though a port where nobody listens shows in stats.errors where the network reports it.

    Safe to use from several threads, under asyncio, and from signal handlers. After os.fork() the child has an empty
    queue, counts from 0, and a thread, a socket and a name of its own; what the parent had queued the parent sends. What
    is queued when the process ends is given up to 1 s, in children of multiprocessing too; where that end skips atexit
    (os._exit, a signal, Pool.terminate), call flush() before, or have a spool.
    """

    def __init__(self, address: Optional[str] = None, labels: Optional[Mapping[str, str]] = None, *,
                 spool: Optional[str] = None, max_datagram: Optional[int] = None, max_queue: int = MAX_QUEUE) -> None:
        self._labels = limits.check_labels(labels)
        where, why_off = _where(address)
        try:
            self._labels = limits.check_labels({**addresses.labels_from_environment(), **self._labels})
        except ValueError as error:
            _log.warning("labels of the environment are left out: %s", error)
        if isinstance(max_queue, bool) or not isinstance(max_queue, int):
            raise TypeError(f"max_queue must be an int, not {type(max_queue).__name__}")
        if max_queue < 1:
            raise ValueError(f"max_queue {max_queue}: at least 1 byte")
        self._limit = _limit(where, max_datagram)
        folder = _spool(spool, where, address is not None)
        self._sender = Sender(where, max_queue, self._limit, limits.labels_text(self._labels), folder, why_off)
        self._budgets: List[Budget] = []
        self._blocks: Dict[Optional[float], Budget] = {}
        self._finalizer = weakref.finalize(self, self._sender.release)
        self._finalizer.atexit = False
        if folder is not None and _has_orphans(folder):
            self._sender.start()

    # Sending.

    def send(self, profile: Profile, timestamp: Optional[float] = None, *,
             labels: Optional[Mapping[str, str]] = None) -> bool:
        """Queues what the profile holds now. True where it was queued, False where it was dropped (stats says why; in a
        signal handler that interrupts another send(), True says only that it will be one or the other).

        profile    a cProfile.Profile (best: nothing is rounded or left out; it may go on running, and is left as it is:
                   figures are cumulative until its clear()), a pstats.Stats, a pstats.StatsProfile (whose source,
                   get_stats_profile(), rounds to 1 ms and keeps one function a name), or the path of a dump, which is
                   read on the background thread.
        timestamp  seconds since the Unix epoch, within 9.2e9. Where it is not given: now; of a dump, when it was written.
        labels     of this profile, beside those of the client.

        Copies what getstats() gives, about 0.4 us a function, and returns: encoding and sending are the background
        thread's. Never waits, never raises.
        """
        try:
            captured = capture(profile)
            if timestamp is not None:
                limits.check_timestamp(timestamp)
            elif not isinstance(captured, Dump):
                timestamp = time.time()
            return self._sender.put(captured, timestamp, self._text(labels) if labels else "")
        except Exception as error:  # the application's work matters more than its profile
            self._sender.refuse(f"{type(error).__name__}: {error}")
            return False

    def flush(self, timeout: Optional[float] = FLUSH_TIMEOUT) -> bool:
        """Waits up to that many seconds (None: without end) until all that was queued before is sent: acknowledged by
        the daemon (tcp, unix), handed to the kernel (udp, unixgram). True where it is; False where time ran out, or one
        queued since the last flush was lost."""
        return self._sender.flush(timeout)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Sends what is queued, for up to that many seconds, takes leave of the daemon, ends the thread and closes the
        socket. True where all that was ever queued is sent. Later profiles are dropped and counted. Closing again is
        harmless."""
        for ticker in list(self._sender.tickers):
            ticker.stop()
        return self._sender.close(timeout)

    @property
    def stats(self) -> ClientStats:
        """A snapshot."""
        return replace(self._sender.stats(), skipped=sum(budget.skipped for budget in self._budgets))

    # Taking profiles.

    def profile(self, *, labels: Optional[Mapping[str, str]] = None,
                max_overhead: Optional[float] = None) -> profiling.Block:
        """A block that is profiled, and sent at its end:

            with client.profile():
                work()

        labels        of this profile, beside those of the client.
        max_overhead  0.05 holds what profiling costs under 5% of the time of such blocks by itself, by profiling only
                      some of them (stats.skipped counts the others). Blocks with the same max_overhead share it.

        A profile with labels that are wrong is dropped and counted. Where another profiler is active, it steps back, and
        stats.stepped_back counts it. What other tasks of asyncio do
        during an await of the block is in it; profiled() on a coroutine function leaves that out.
        """
        budget = self._blocks.get(max_overhead)
        if budget is None:
            budget = self._blocks[max_overhead] = self._budget(1.0, max_overhead)
        try:
            return profiling.Block(self, budget, self._text(labels))
        except (TypeError, ValueError) as error:  # their values may come from anywhere
            self._sender.refuse(f"{error}")
            return profiling.Block(self, None, "")

    @overload
    def profiled(self, function: Function) -> Function: ...

    @overload
    def profiled(self, *, labels: Optional[Mapping[str, str]] = None, rate: float = 1.0,
                 max_overhead: Optional[float] = None) -> Callable[[Function], Function]: ...

    def profiled(self, function: Optional[Function] = None, *, labels: Optional[Mapping[str, str]] = None,
                 rate: float = 1.0, max_overhead: Optional[float] = None,
                 ) -> Union[Function, Callable[[Function], Function]]:
        """A decorator, bare or with arguments: each call is profiled, and sent at its end.

        rate          the fraction of calls that is profiled.
        labels, max_overhead  as of profile(), for what this decorator decorates.

        Of a coroutine function the steps between awaits are profiled, and not what other tasks do meanwhile. cProfile
        counts each resumption as a call, and sees no time of waiting. Generator functions raise TypeError.
        """
        text, budget = self._text(labels), self._budget(rate, max_overhead)

        def decorate(one: Function) -> Function:
            return profiling.profiled(self, one, budget, text)
        return decorate if function is None else decorate(function)

    def every(self, seconds: float = 10.0, *, labels: Optional[Mapping[str, str]] = None) -> Every:
        """Profiles this thread from now on, for processes that run long, and sends every so many seconds what came to it
        since the last time: deltas, whose sum is the whole. stop() of what it gives sends the rest; close() and the end
        of the process do so too. A function counts when it returns: one that runs for ever (a main loop) never does.

        Until Python 3.11 it sees this thread alone; from 3.12 on cProfile mixes all threads into one, so there this is
        for processes whose work is done by one thread. Where another profiler is active it steps back: `running` is
        False then. A forked child goes on with figures of its own.
        """
        every = Every(self, seconds, self._text(labels))
        every.start()
        return every

    def wsgi(self, app: "web.WSGI", *, rate: float = 1.0, max_overhead: Optional[float] = 0.05,
             route: "Optional[web.Route]" = None) -> "web.WSGI":
        """Middleware: app.wsgi_app = client.wsgi(app.wsgi_app) of Flask; application = client.wsgi(application).

        Requests are profiled with a label `route`, one profile each.
        rate          the fraction of requests that may be profiled.
        max_overhead  holds what profiling costs under that fraction of the time of all requests; None: no limit.
        route         called with the environ after the request, gives the route's name (None: as without it). Without it
                      what Flask or Werkzeug matched, else the path with "*" for each part that has a digit in it; past
                      500 different ones "(other)".
        """
        from timesliced.taking import web
        return web.WSGIMiddleware(self, app, self._budget(rate, max_overhead), route)

    def asgi(self, app: "web.ASGI", *, rate: float = 1.0, max_overhead: Optional[float] = 0.05,
             route: "Optional[web.Route]" = None) -> "web.ASGI":
        """The same for ASGI (Starlette, FastAPI, Django): app = client.asgi(app). `route` is called with the scope. What a
        request does between its awaits is profiled. Lifespan and websocket scopes pass through."""
        from timesliced.taking import web
        return web.ASGIMiddleware(self, app, self._budget(rate, max_overhead), route)

    def _budget(self, rate: float, max_overhead: Optional[float]) -> Budget:
        budget = Budget(rate, max_overhead)
        self._budgets.append(budget)
        return budget

    def _text(self, labels: Optional[Mapping[str, str]]) -> str:
        """JSON, with the client's own; "" where there are none but these."""
        if not labels:
            return ""
        return limits.labels_text(limits.check_labels({**self._labels, **limits.check_labels(labels)}))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()


def _where(given: Optional[str]) -> "tuple[Optional[addresses.Address], Optional[str]]":
    """And why there is none, where that is a mistake."""
    text = given if given is not None else addresses.from_environment() or addresses.DEFAULT
    if text == addresses.OFF:
        return None, None
    try:
        return addresses.parse(text), None
    except ValueError as error:
        if given is not None:
            raise
        _log.warning("nothing is sent: TIMESLICED_ADDRESS: %s", error)
        return None, f"TIMESLICED_ADDRESS: {error}"


def _spool(folder: Optional[str], where: Optional[addresses.Address], insist: bool) -> Optional[str]:
    if folder is None or where is None:
        return None
    if not isinstance(folder, str):
        raise TypeError(f"spool must be a str, not {type(folder).__name__}")
    if where.is_datagram:
        why = f"spool: {where.scheme} is not acknowledged; use tcp:// or unix://"
        if insist:
            raise ValueError(why)
        _log.warning("there is no spool: %s", why)
        return None
    return folder


def _has_orphans(folder: str) -> bool:
    return spool.orphans(folder)


def _limit(where: Optional[addresses.Address], max_datagram: Optional[int]) -> int:
    if max_datagram is not None:
        if isinstance(max_datagram, bool) or not isinstance(max_datagram, int):
            raise TypeError(f"max_datagram must be an int, not {type(max_datagram).__name__}")
        if not DATAGRAM_MIN <= max_datagram <= DATAGRAM_MAX:
            raise ValueError(f"max_datagram {max_datagram}: {DATAGRAM_MIN} to {DATAGRAM_MAX} bytes")
    if where is None or not where.is_datagram:
        return LINE_MAX
    if max_datagram is not None:
        return max_datagram
    return DATAGRAM_MAX if where.scheme == "unixgram" or where.is_loopback else DATAGRAM_REMOTE
