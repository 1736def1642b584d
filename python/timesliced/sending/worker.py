"""The background thread of one client: takes what was put, makes messages of it, and delivers them.

    run -> [leftovers of the spool, each a session of its own] -> the own session, or datagrams -> ended
    intake: task -> Encoder -> messages -> the session (and with it the spool), or the outbox of datagrams
    wait: poll on the socket and on the pipe by which others wake it; takes in whatever arrived meanwhile, so that
          encoding and spooling go on where the daemon is away; runs the tickers that are due

    OSError: close, pause (growing), begin again with what is not acknowledged         possible failures
    a profile that cannot be encoded, or never be sent, is lost; the next one goes on
    _Stopped: the time that close() gave is over                                       on close
"""
import os
import random
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Optional, Protocol, Tuple

from timesliced.base.limits import check_timestamp
from timesliced.sending import spool, stream, transport
from timesliced.sending.encode import Encoder
from timesliced.sending.session import Session
from timesliced.taking.capture import Capture, Dump, modified

if TYPE_CHECKING:
    from timesliced.sending.sender import Sender

PAUSE_MIN = 0.05  # seconds between attempts to reach the daemon, doubled each time
PAUSE_MAX = 5.0


class Stopped(Exception):
    """The time that close() gave is over."""


class Task:
    """One profile on its way."""

    __slots__ = ("captured", "timestamp", "labels", "size", "spent", "number", "refused", "left", "spooled", "failed",
                 "told")

    def __init__(self, captured: Capture, timestamp: Optional[float], labels: str, size: int,
                 spent: Optional[Callable[[float], None]]) -> None:
        self.captured: Optional[Capture] = captured
        self.timestamp, self.labels, self.size, self.spent = timestamp, labels, size, spent
        self.number = 0
        self.refused = False
        self.left = 0  # messages that are not sent
        self.spooled = False
        self.failed = False
        self.told = 0  # dropped profiles that it tells of


class Ticker(Protocol):
    """What is to be done every now and then (profiling.Every)."""

    due: float  # monotonic

    def tick(self) -> None: ...

    def stop(self) -> None: ...

    def after_fork(self) -> None: ...


class Worker:
    def __init__(self, sender: "Sender") -> None:
        """Raises OSError where there are no descriptors."""
        self.sender = sender
        self.encoder = Encoder()
        self.outbox: Deque[Tuple[Task, bytes]] = deque()
        self.session: "Optional[Session[Task]]" = None
        self.held: "Optional[spool.Spool]" = None  # of a process that is gone
        self.link: Any = None
        self.ticking = False
        self.poll = select.poll()
        self.polled: Optional[Tuple[int, int]] = None  # the socket and the events that it looks for
        self.pipe: Optional[Tuple[int, int]] = os.pipe()
        os.set_blocking(self.pipe[0], False)
        os.set_blocking(self.pipe[1], False)
        self.poll.register(self.pipe[0], select.POLLIN)

    def wake(self) -> None:
        """From any thread, the sender's lock held."""
        if self.pipe is not None:
            try:
                os.write(self.pipe[1], b"\0")
            except BlockingIOError:
                pass  # full: it will wake

    def abandon(self) -> None:
        """In a forked child: everything of it is the parent's."""
        self._close_pipe()
        if self.link is not None:
            self.link.close()
        for one in (self.held, self.session and self.session.spool):
            if one:
                one.close()

    def run(self) -> None:
        try:
            assert self.sender.address is not None
            if self.sender.address.is_datagram:
                self._datagrams()
            else:
                self._streams()
        except Stopped:
            pass
        except Exception as error:  # a mistake of ours must not show in the application
            self.failed(f"{type(error).__name__}: {error}")
        finally:
            if self.link is not None:
                self.link.close()
            own = self.session
            if own is not None and own.spool is not None:
                if own.waiting:
                    own.spool.close()
                else:
                    own.forget_spool()
            if self.held is not None:
                self.held.close()
            with self.sender.changed:
                self.sender.ended(self)
                self._close_pipe()

    def _close_pipe(self) -> None:
        pipe, self.pipe = self.pipe, None  # first: a child forked meanwhile must not close them again
        if pipe is not None:
            os.close(pipe[0])
            os.close(pipe[1])

    # Datagrams.

    def _datagrams(self) -> None:
        assert self.sender.address is not None
        link = self.link = transport.make_datagrams(self.sender.address, self)
        pause = PAUSE_MIN
        while True:
            self.intake()
            try:
                if self.outbox:
                    self._send_first(link)
                    pause = PAUSE_MIN
                elif self.sender.stopping():
                    return
                elif self.wait(link.sock, 0, None):
                    link.attend()
            except OSError as error:
                link.close()
                self.failed(transport.text_of(error))
                if self.outbox:
                    self.pause(pause)
                    pause = min(pause * 2, PAUSE_MAX)

    def _send_first(self, link: transport.Datagrams) -> None:
        task, message = self.outbox[0]
        if not task.failed:
            if link.sock is None:
                link.open()
                if self.sender.out_of_time():  # a name's lookup takes its time
                    raise Stopped
            try:
                link.send(message)
            except transport.Unsendable as error:
                task.failed = True
                self.sender.done(task, str(error))
        self.outbox.popleft()
        self._sent(task)

    def _sent(self, task: Task) -> None:
        task.left -= 1
        if task.left == 0 and not task.failed:
            self.sender.done(task)

    # Streams.

    def _streams(self) -> None:
        own = self.session = Session(self.sender.labels, self._sent, self.failed)
        folder = self.sender.spool
        if folder is not None:
            try:
                os.makedirs(folder, 0o700, exist_ok=True)
                for left in spool.adopt(folder):
                    self._recover(left)
            except OSError as error:
                self.failed(f"spool: {transport.text_of(error)}")
        self._deliver(own, False)

    def _recover(self, left: spool.Leftover) -> None:
        def recovered(_owner: None) -> None:
            self.sender.count("recovered")

        self.held = left.spool
        session: "Session[None]" = Session(left.labels, recovered, self.failed)
        session.resume(left, None)
        self._deliver(session, True)
        self.held = None
        session.forget_spool()

    def _deliver(self, session: "Session[Any]", leftover: bool) -> None:
        """Until the client is closed, or nothing is left of a leftover; with a bye at the end."""
        pause = PAUSE_MIN
        while True:
            self.intake()
            if not session.waiting:
                if leftover or self.sender.stopping():
                    return  # without a connection there is no bye: the daemon forgets the client in its own time
                self.wait(None, 0, None)
                continue
            assert self.sender.address is not None
            link = self.link = stream.Connection(self.sender.address, session, self)
            try:
                link.open()
                pause = PAUSE_MIN
                while session.waiting or not (leftover or self.sender.stopping()):
                    link.step(None)
                    self.intake()
                link.bye()
                return
            except stream.Renamed:
                continue
            except OSError as error:
                self.failed(transport.text_of(error))
                link.close()
                if session.waiting:
                    self.pause(pause)
                    pause = min(pause * 2, PAUSE_MAX)
            finally:
                link.close()

    # Both.

    def intake(self) -> None:
        """Makes messages of all that has arrived."""
        now = time.monotonic()
        for ticker in list(self.sender.tickers):
            if ticker.due <= now and not self.ticking:
                self.ticking = True
                try:
                    ticker.tick()
                except Exception as error:  # as below
                    self.failed(f"{type(error).__name__}: {error}")
                finally:
                    self.ticking = False
        while True:
            task = self.sender.next_task()
            if task is None:
                return
            begin = time.thread_time() if task.spent is not None else 0.0
            try:
                self._encode(task)
            except Exception as error:  # what one profile holds may cost that profile, not the application its client
                task.failed = True
                self.sender.done(task, f"{type(error).__name__}: {error}")
            if task.spent is not None:
                task.spent(time.thread_time() - begin)

    def _encode(self, task: Task) -> None:
        captured, task.captured = task.captured, None
        assert captured is not None
        datagrams = self.session is None
        when = task.timestamp
        if when is None and isinstance(captured, Dump):
            when = modified(captured.path)
        stamp = check_timestamp(time.time() if when is None else when)
        labels = task.labels or (self.sender.labels if datagrams else "")
        messages, altered = self.encoder.encode(captured, stamp, labels, self.sender.limit, task.told)
        task.left = len(messages)
        self.sender.resized(task, sum(map(len, messages)))
        if altered:
            self.sender.count("altered", altered)
        if self.session is None:
            self.outbox.extend((task, message) for message in messages)
            return
        if self.session.spool is None and self.sender.spool is not None:
            self._open_spool(self.session)
        safe = [self.session.add(message, task) for message in messages]
        if all(safe):
            task.spooled = True
            self.sender.count("spooled")

    def _open_spool(self, session: "Session[Task]") -> None:
        """Only for messages from here on: earlier ones are under way without it."""
        assert self.sender.spool is not None
        try:
            session.spool = spool.Spool.create(self.sender.spool, session.client, session.labels)
        except OSError as error:
            self.failed(f"spool: {transport.text_of(error)}")

    def pause(self, seconds: float) -> None:
        """Cut short by flush() and close(). Not equally long for all whom one restart cut off."""
        end = time.monotonic() + seconds * random.uniform(0.75, 1.25)
        try:
            while not self.sender.hurried():
                left = end - time.monotonic()
                if left <= 0:
                    return
                self.wait(None, 0, left)
        finally:
            self.sender.pausing = False

    # What sockets ask of their host.

    def wait(self, sock: Optional[socket.socket], events: int, timeout: Optional[float]) -> int:
        """Raises Stopped where the time is over."""
        if self.sender.out_of_time() or self.pipe is None:
            raise Stopped
        end = None if timeout is None else time.monotonic() + timeout
        for ticker in list(self.sender.tickers):
            end = ticker.due if end is None else min(end, ticker.due)
        end = self.sender.sleep_until(end)
        self._look_at(sock, events)
        ready = 0
        try:
            for descriptor, what in self.poll.poll(None if end is None else max(0.0, end - time.monotonic()) * 1000 + 1):
                if descriptor != self.pipe[0]:
                    ready = what
                    continue
                try:
                    os.read(self.pipe[0], 4096)
                except BlockingIOError:
                    pass
        finally:
            self.sender.awake()
        self.intake()
        return ready

    def _look_at(self, sock: Optional[socket.socket], events: int) -> None:
        wanted = None if sock is None else (sock.fileno(), events)
        if wanted == self.polled:
            return
        if self.polled is not None:
            self.poll.unregister(self.polled[0])
        self.polled = wanted
        if wanted is not None:
            self.poll.register(*wanted)

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while seconds > 0:
            self.wait(None, 0, seconds)
            seconds = end - time.monotonic()

    def failed(self, what: str) -> None:
        self.sender.count("errors", why=what)

    def rejected(self, what: str) -> None:
        self.sender.count("rejected", why=what)
