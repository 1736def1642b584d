"""Worker: the background thread of one client. It encodes what is in the queue, and delivers it.

    run       [spool files of ended processes, with a session for each] -> own session, or datagrams -> end
    intake    runs the tickers that are due; task -> Encoder -> messages -> the session (which writes the spool), or the
              outbox of datagrams
    wait      poll on the socket, interrupted by wake(); then intake, so that encoding and spooling continue while the
              daemon is unreachable

    failures  OSError: close, pause (doubled each time), reconnect, continue with what is not acknowledged.
              A profile that cannot be encoded or sent is lost; the next one is sent.
    shutdown  Stopped: the timeout of close() is over.
"""
import os
import random
import socket
import time
from collections import deque
from typing import Any, Deque, Optional, Tuple

from timesliced.base.address import Address
from timesliced.base.limits import check_timestamp
from timesliced.sending import spool, stream, transport
from timesliced.sending.encode import Encoder
from timesliced.sending.options import Options
from timesliced.sending.poller import Poller
from timesliced.sending.queue import Queue, Task
from timesliced.sending.session import Session
from timesliced.taking.capture import Dump, modified

PAUSE_MIN = 0.05  # seconds between attempts to reach the daemon, doubled each time
PAUSE_MAX = 5.0


class Stopped(Exception):
    """The timeout of close() is over."""


class Worker:
    def __init__(self, queue: Queue, options: Options) -> None:
        """Raises OSError if there are no file descriptors left."""
        assert options.address is not None
        self.queue = queue
        self.options = options
        self.address: Address = options.address
        self.encoder = Encoder()
        self.outbox: Deque[Tuple[Task, bytes]] = deque()
        self.session: "Optional[Session[Task]]" = None  # the own one
        self.adopted: "Optional[spool.Spool]" = None  # of an ended process, while its messages are sent
        self.link: Any = None  # Datagrams or Connection
        self.ticking = False
        self.poller = Poller()

    def abandon(self) -> None:
        """Closes the descriptors without shutting anything down: in a forked child they are copies of the parent's."""
        self.poller.close()
        if self.link is not None:
            self.link.close()
        for one in (self.adopted, self.session and self.session.spool):
            if one:
                one.close()

    def run(self) -> None:
        try:
            if self.address.is_datagram:
                self._datagrams()
            else:
                self._streams()
        except Stopped:
            pass
        except Exception as error:  # a bug of this package must not appear in the application
            self.failed(f"{type(error).__name__}: {error}")
        finally:
            if self.link is not None:
                self.link.close()
            own = self.session
            if own is not None and own.spool is not None:
                if own.waiting:
                    own.spool.close()
                else:
                    own.remove_spool()
            if self.adopted is not None:
                self.adopted.close()
            with self.queue.changed:
                self.queue.ended()
                self.poller.close()

    # Datagrams.

    def _datagrams(self) -> None:
        link = self.link = transport.make_datagrams(self.address, self)
        pause = PAUSE_MIN
        while True:
            self.intake()
            try:
                if self.outbox:
                    self._send_first(link)
                    pause = PAUSE_MIN
                elif self.queue.stopping():
                    return
                elif self.wait(link.sock, 0, None):
                    link.check()
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
                if self.queue.out_of_time():  # a name lookup may take long
                    raise Stopped
            try:
                link.send(message)
            except transport.Unsendable as error:
                task.failed = True
                self.queue.done(task, str(error))
        self.outbox.popleft()
        self._sent(task)

    def _sent(self, task: Task) -> None:
        task.left -= 1
        if task.left == 0 and not task.failed:
            self.queue.done(task)

    # Streams.

    def _streams(self) -> None:
        own = self.session = Session(self.options.labels_json, self._sent, self.failed)
        folder = self.options.spool
        if folder is not None:
            try:
                os.makedirs(folder, 0o700, exist_ok=True)
                for leftover in spool.adopt(folder, self.failed):
                    self._recover(leftover)
            except OSError as error:
                self.failed(f"spool: {transport.text_of(error)}")
        self._deliver(own, False)

    def _recover(self, leftover: spool.Leftover) -> None:
        def recovered(_owner: None) -> None:
            self.queue.count("recovered")

        self.adopted = leftover.spool
        session: "Session[None]" = Session(leftover.labels, recovered, self.failed)
        session.resume(leftover, None)
        try:
            self._deliver(session, True)
            session.remove_spool()
        except stream.Refused as error:  # labels that this daemon does not accept: left for the next start
            self.failed(f"spool: {os.path.basename(leftover.spool.path)}: {error}")
            leftover.spool.close()
        self.adopted = None

    def _deliver(self, session: "Session[Any]", leftover: bool) -> None:
        """Returns when the client is closed or, of a leftover, when all of it is sent. Ends with a bye. Raises Refused
        if the daemon will never accept a leftover."""
        pause = PAUSE_MIN
        renamed = False
        while True:
            self.intake()
            if not session.waiting:
                if leftover or self.queue.stopping():
                    return  # not connected, so no bye: the daemon removes the client after store.client_expiry
                self.wait(None, 0, None)
                continue
            link = self.link = stream.Connection(self.address, session, self)
            try:
                link.open()
                pause, renamed = PAUSE_MIN, False
                while session.waiting or not (leftover or self.queue.stopping()):
                    link.step(None)
                    self.intake()
                link.bye()
                return
            except stream.Renamed:
                link.close()
                if renamed:  # a server that accepts no name
                    self.failed("the daemon does not know a new client either")
                    self.pause(pause)
                    pause = min(pause * 2, PAUSE_MAX)
                renamed = True
            except OSError as error:
                if leftover and isinstance(error, stream.Refused) and not error.temporary:
                    raise
                self.failed(transport.text_of(error))
                link.close()
                if session.waiting:
                    self.pause(pause)
                    pause = min(pause * 2, PAUSE_MAX)
            finally:
                link.close()

    # Both.

    def intake(self) -> None:
        """Runs the tickers that are due, and encodes all tasks."""
        now = time.monotonic()
        for ticker in list(self.queue.tickers):
            if ticker.due <= now and not self.ticking:
                self.ticking = True
                try:
                    ticker.tick()
                except Exception as error:  # as in run()
                    self.failed(f"{type(error).__name__}: {error}")
                finally:
                    self.ticking = False
        while True:
            task = self.queue.next_task()
            if task is None:
                return
            begin = time.thread_time() if task.spent is not None else 0.0
            try:
                self._encode(task)
            except Exception as error:  # a bad profile costs only that profile
                task.failed = True
                self.queue.done(task, f"{type(error).__name__}: {error}")
            if task.spent is not None:
                task.spent(time.thread_time() - begin)

    def _encode(self, task: Task) -> None:
        captured, task.captured = task.captured, None
        assert captured is not None
        when = task.timestamp
        if when is None and isinstance(captured, Dump):
            when = modified(captured.path)
        stamp = check_timestamp(time.time() if when is None else when)
        # The labels of a stream are in its hello.
        labels = task.labels or (self.options.labels_json if self.session is None else "")
        messages, altered = self.encoder.encode(captured, stamp, labels, self.options.max_message, task.dropped)
        task.left = len(messages)
        self.queue.resized(task, sum(map(len, messages)))
        if altered:
            self.queue.count("altered", altered)
        if self.session is None:
            self.outbox.extend((task, message) for message in messages)
            return
        if self.session.spool is None and self.options.spool is not None:
            self._open_spool(self.session, self.options.spool)
        safe = [self.session.add(message, task) for message in messages]
        if all(safe):
            task.spooled = True
            self.queue.count("spooled")

    def _open_spool(self, session: "Session[Task]", folder: str) -> None:
        """For messages from now on. Earlier ones may have been sent already."""
        try:
            session.spool = spool.Spool.create(folder, session.client, session.labels)
        except OSError as error:
            self.failed(f"spool: {transport.text_of(error)}")

    def pause(self, seconds: float) -> None:
        """Ended early by flush() and close(). Randomised, so that clients do not all reconnect at once after a restart
        of the daemon."""
        end = time.monotonic() + seconds * random.uniform(0.75, 1.25)
        try:
            while not self.queue.hurried():
                left = end - time.monotonic()
                if left <= 0:
                    return
                self.wait(None, 0, left)
        finally:
            self.queue.pausing = False

    # transport.Host

    def wait(self, sock: Optional[socket.socket], events: int, timeout: Optional[float]) -> int:
        """Raises Stopped."""
        if self.queue.out_of_time() or self.poller.closed:
            raise Stopped
        end = None if timeout is None else time.monotonic() + timeout
        for ticker in list(self.queue.tickers):
            end = ticker.due if end is None else min(end, ticker.due)
        end = self.queue.before_sleep(end)
        try:
            ready = self.poller.wait(sock, events, None if end is None else end - time.monotonic())
        finally:
            self.queue.after_sleep()
        self.intake()
        return ready

    def sleep(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while seconds > 0:
            self.wait(None, 0, seconds)
            seconds = end - time.monotonic()

    def failed(self, what: str) -> None:
        self.queue.count("errors", why=what)

    def rejected(self, what: str) -> None:
        self.queue.count("rejected", why=what)
