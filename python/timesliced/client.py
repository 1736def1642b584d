"""Client, the interface for applications that send profiles."""
import time
from dataclasses import replace
from types import TracebackType
from typing import Any, Callable, Dict, List, Mapping, Optional, Type, TypeVar, Union, overload

from timesliced.base import limits
from timesliced.sending.options import MAX_QUEUE, make_options
from timesliced.sending.queue import ClientStats
from timesliced.sending.sender import Sender
from timesliced.taking import blocks, web
from timesliced.taking.budget import Budget
from timesliced.taking.capture import Dump, Profile, capture
from timesliced.taking.every import Every

FLUSH_TIMEOUT = 5.0  # seconds
CLOSE_TIMEOUT = 2.0  # seconds

Function = TypeVar("Function", bound=Callable[..., Any])


class Client:
    """Sends profiles to timesliced without blocking the application.

    address   of the daemon: udp://host:port, tcp://host:port (IPv6 hosts in brackets), unix:///path (stream),
              unixgram:///path. Default: $TIMESLICED_ADDRESS, else udp://127.0.0.1:8137. "off": nothing is profiled or
              sent.
    labels    of all profiles of this client: at most 16; keys [A-Za-z_][A-Za-z0-9_]* up to 64 bytes, values up to 256.
              Those of $TIMESLICED_LABELS ("key=value,key=value") are added for keys that are not given here.
    spool     a folder for undelivered profiles (tcp and unix only; created if missing). What a killed process had not
              delivered is sent by the next Client with that folder, and is counted exactly once.
    max_datagram  bytes, 512 to 65507. A longer profile is split into several datagrams, and arrives as one profile.
              Default: 65507 for local addresses (unixgram, loopback, localhost), 1400 for others. Only a single
              function with very long names (or long labels) may exceed it.
    max_queue bytes of memory (and of the spool) for queued profiles. What does not fit is dropped and counted.

    Raises ValueError or TypeError for bad arguments, and so do wsgi(), asgi(), every() and profiled(). While profiling
    and sending, nothing raises. Bad values in the environment do not raise either; they are logged (logger
    "timesliced"): a bad $TIMESLICED_ADDRESS turns the client off, a bad $TIMESLICED_LABELS is ignored. The constructor
    does not connect; a background thread, which starts with the first profile, does that and looks up names.

    tcp and unix are acknowledged: each profile is counted exactly once as long as this process lives, across lost
    connections and crashes of the daemon; with a spool, also across the end of the process. udp may lose profiles
    without an error; if the network reports that nobody listens on the port, that is counted in stats.errors.

    Can be used from several threads, under asyncio, and in signal handlers. After os.fork() the child has an empty
    queue, counts from 0, and uses a thread, a socket and a client id of its own; the parent sends what it had queued.
    At the end of the process, sending continues for up to 1 s, also in children of multiprocessing. If the process ends
    without atexit (os._exit, a signal, Pool.terminate), call flush() before, or use a spool.
    """

    def __init__(self, address: Optional[str] = None, labels: Optional[Mapping[str, str]] = None, *,
                 spool: Optional[str] = None, max_datagram: Optional[int] = None, max_queue: int = MAX_QUEUE) -> None:
        options = make_options(address, labels, spool=spool, max_datagram=max_datagram, max_queue=max_queue)
        self._sender = Sender(options)
        self._budgets: List[Budget] = []
        self._block_budgets: Dict[Optional[float], Budget] = {}  # by max_overhead
        self._sender.recover()

    # Sending.

    def send(self, profile: Profile, timestamp: Optional[float] = None, *,
             labels: Optional[Mapping[str, str]] = None) -> bool:
        """Queues the current content of the profile. True if it was queued, False if it was dropped: stats has the
        reason. (In a signal handler that interrupts another send(), the result is always True.)

        profile    a cProfile.Profile (best: nothing is rounded or left out; it may continue to run, and is not changed:
                   its values are cumulative until its clear()), a pstats.Stats, a pstats.StatsProfile (made by
                   get_stats_profile(), which rounds to 1 ms and keeps one function per name), or the path of a dump,
                   which is read on the background thread.
        timestamp  seconds since the Unix epoch, within 9.2e9. Default: now; for a dump, when it was written.
        labels     of this profile, in addition to those of the client.

        Copies the result of getstats(), about 0.4 us per function. The background thread encodes and sends. Never
        blocks, never raises.
        """
        try:
            captured = capture(profile)
            if timestamp is not None:
                limits.check_timestamp(timestamp)
            elif not isinstance(captured, Dump):
                timestamp = time.time()
            return self._sender.put(captured, timestamp, self._sender.labels_json(labels))
        except Exception as error:  # a bad profile must not fail the application
            self._sender.refuse(f"{type(error).__name__}: {error}")
            return False

    def flush(self, timeout: Optional[float] = FLUSH_TIMEOUT) -> bool:
        """Waits up to `timeout` seconds (None: without limit) until everything queued before is sent: acknowledged by
        the daemon (tcp, unix), passed to the kernel (udp, unixgram). False if the time ran out, or if a profile queued
        since the previous flush was lost."""
        return self._sender.flush(timeout)

    def close(self, timeout: float = CLOSE_TIMEOUT) -> bool:
        """Sends what is queued for up to `timeout` seconds, sends a bye, ends the thread and closes the socket. True if
        everything ever queued was sent. Later profiles are dropped and counted. May be called again."""
        return self._sender.close(timeout)

    @property
    def stats(self) -> ClientStats:
        """A snapshot."""
        return replace(self._sender.stats(), skipped=sum(budget.skipped for budget in self._budgets))

    # Taking profiles.

    def profile(self, *, labels: Optional[Mapping[str, str]] = None,
                max_overhead: Optional[float] = None) -> blocks.Block:
        """Profiles a block, and sends the profile at its end:

            with client.profile():
                work()

        labels        of this profile, in addition to those of the client.
        max_overhead  0.05 keeps the cost of profiling below 5% of the time of such blocks, by profiling only some of
                      them (stats.skipped counts the others). Blocks with the same max_overhead share one budget.

        A profile with bad labels is dropped and counted. If another profiler is active, the block is not profiled, and
        stats.stepped_back counts it. The profile includes what other asyncio tasks do during an await in the block; use
        profiled() on a coroutine function to exclude that.
        """
        budget = self._block_budgets.get(max_overhead)
        if budget is None:
            budget = self._block_budgets[max_overhead] = self._budget(1.0, max_overhead)
        try:
            return blocks.Block(self._sender, budget, self._sender.labels_json(labels))
        except (TypeError, ValueError) as error:  # label values may be input of the application
            self._sender.refuse(f"{error}")
            return blocks.Block(self._sender, None, "")

    @overload
    def profiled(self, function: Function) -> Function: ...

    @overload
    def profiled(self, *, labels: Optional[Mapping[str, str]] = None, rate: float = 1.0,
                 max_overhead: Optional[float] = None) -> Callable[[Function], Function]: ...

    def profiled(self, function: Optional[Function] = None, *, labels: Optional[Mapping[str, str]] = None,
                 rate: float = 1.0, max_overhead: Optional[float] = None,
                 ) -> Union[Function, Callable[[Function], Function]]:
        """A decorator, with or without arguments: profiles each call, and sends the profile at its end.

        rate          the fraction of calls to profile.
        labels, max_overhead  as in profile(). One budget for all functions of this decorator.

        Of a coroutine function, the steps between awaits are profiled, without what other tasks do meanwhile. cProfile
        counts each resumption as a call; time spent waiting is in no function. Raises TypeError for generator
        functions.
        """
        text, budget = self._sender.labels_json(labels), self._budget(rate, max_overhead)

        def decorate(decorated: Function) -> Function:
            return blocks.profiled(self._sender, decorated, budget, text)
        return decorate if function is None else decorate(function)

    def every(self, seconds: float = 10.0, *, labels: Optional[Mapping[str, str]] = None) -> Every:
        """Profiles this thread from now on, for long-running processes, and sends at each interval the difference to
        the previous one. The sum of the differences is the complete profile. stop() of the returned object sends the
        remainder; so do close() and the end of the process. A function is counted when it returns; a function that
        never returns, such as a main loop, is not counted.

        Up to Python 3.11 only this thread is profiled. From 3.12 on cProfile mixes all threads, so use this only if one
        thread does the work. If another profiler is active, nothing is profiled, and `running` is False. A forked child
        continues with a profile of its own.
        """
        every = Every(self._sender, seconds, self._sender.labels_json(labels))
        every.start()
        return every

    def wsgi(self, app: web.WSGI, *, rate: float = 1.0, max_overhead: Optional[float] = 0.05,
             route: Optional[web.Route] = None) -> web.WSGI:
        """Middleware: app.wsgi_app = client.wsgi(app.wsgi_app) for Flask; application = client.wsgi(application).

        Sends one profile per profiled request, with the label `route`.
        rate          the fraction of requests that may be profiled.
        max_overhead  keeps the cost of profiling below this fraction of the time of all requests; None: no limit.
        route         is called with the environ after the request, and returns the name of the route or None. Default:
                      what Flask or Werkzeug matched, else the path with "*" in place of each part that contains a
                      digit. Beyond 500 different routes the label is "(other)".
        """
        return web.WSGIMiddleware(self._sender, app, self._budget(rate, max_overhead), route)

    def asgi(self, app: web.ASGI, *, rate: float = 1.0, max_overhead: Optional[float] = 0.05,
             route: Optional[web.Route] = None) -> web.ASGI:
        """The same for ASGI (Starlette, FastAPI, Django): app = client.asgi(app). `route` is called with the scope. The
        steps of a request between its awaits are profiled. Lifespan and websocket scopes pass through."""
        return web.ASGIMiddleware(self._sender, app, self._budget(rate, max_overhead), route)

    def _budget(self, rate: float, max_overhead: Optional[float]) -> Budget:
        budget = Budget(rate, max_overhead)
        self._budgets.append(budget)
        return budget

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()
