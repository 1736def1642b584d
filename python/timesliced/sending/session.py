"""Session: the sequence numbers of an acknowledged stream, and its messages that are not acknowledged yet. No sockets.

    add(message)        assigns the next number, writes the message to the spool
    greeted(last_seq)   the hello response: removes messages up to last_seq; True if the stream can continue from there
    acknowledged(n)     removes messages up to n
    before_bye()        empties the spool

Invariant: the numbers in `waiting` ascend by 1, so a message is found by its distance from the first.

The client gets a new id, and its messages are numbered from 1 again, if the daemon's last_seq is lower than what it
acknowledged (its database was lost, or the client expired), higher than what was sent, or if a number is missing (a
message was not written to a full spool, and the process ended).
"""
import uuid
from collections import deque
from itertools import islice
from typing import Callable, Deque, Generic, Iterator, Optional, TypeVar

from timesliced.sending.spool import DEAD_MAX, Leftover, Spool, hello_line, message_line

Owner = TypeVar("Owner")


class Message(Generic[Owner]):
    __slots__ = ("seq", "text", "owner")

    def __init__(self, seq: int, text: bytes, owner: Owner) -> None:
        self.seq, self.text, self.owner = seq, text, owner

    @property
    def line(self) -> bytes:
        return message_line(self.seq, self.text)


class Session(Generic[Owner]):
    """done(owner) is called for each acknowledged message, in order; failed(reason) if the spool cannot be written."""

    def __init__(self, labels: str, done: Callable[[Owner], None], failed: Callable[[str], None]) -> None:
        self.client = str(uuid.uuid4())
        self.labels = labels
        self.last = 0  # the last number assigned
        self.confirmed = 0  # the last number acknowledged
        self.waiting: Deque[Message[Owner]] = deque()
        self.spool: Optional[Spool] = None
        self.resumed = False
        self.done, self.failed = done, failed

    def resume(self, left: Leftover, owner: Owner) -> None:
        self.client, self.labels, self.confirmed, self.spool = left.client, left.labels, left.confirmed, left.spool
        self.waiting.extend(Message(seq, text, owner) for seq, text in left.messages)
        self.last = self.waiting[-1].seq
        self.resumed = True

    @property
    def hello(self) -> bytes:
        return hello_line(self.client, self.labels)

    def add(self, text: bytes, owner: Owner) -> bool:
        """True if it is in the spool."""
        self.last += 1
        message = Message(self.last, text, owner)
        self.waiting.append(message)
        return self.spool is not None and self._write(message.line)

    def following(self, seq: int) -> Iterator[Message[Owner]]:
        """The messages after that number."""
        if not self.waiting:
            return iter(())
        return islice(self.waiting, max(0, seq + 1 - self.waiting[0].seq), None)

    def greeted(self, last_seq: int) -> bool:
        """False if the client has a new id now, so another hello is needed."""
        if self.resumed and last_seq > self.last:
            # The ended process also sent what the spool had no room for. All that is in the spool came before.
            self.last = last_seq
        if not self.confirmed <= last_seq <= self.last:
            return self._renew()
        self.acknowledged(last_seq)
        if self.waiting and self.waiting[0].seq != last_seq + 1:
            return self._renew()
        for one, following in zip(self.waiting, islice(self.waiting, 1, None)):
            if following.seq != one.seq + 1:
                return self._renew()
        return True

    def acknowledged(self, seq: int) -> None:
        if seq <= self.confirmed:
            return
        self.confirmed = seq
        self._note(seq)
        while self.waiting and self.waiting[0].seq <= seq:
            message = self.waiting.popleft()
            if self.spool is not None:
                self.spool.dead += len(message.text) + 16
            self.done(message.owner)
        if self.spool is not None and self.spool.dead > DEAD_MAX:
            self._compact()

    def before_bye(self) -> None:
        """After a bye the daemon would accept every message again, so none may be left in the spool. Raises OSError."""
        if self.spool is not None:
            self.spool.empty()

    def remove_spool(self) -> None:
        """When everything is delivered."""
        spool, self.spool = self.spool, None
        if spool is not None:
            try:
                spool.remove()
            except OSError as error:
                self.failed(f"spool: {error}")

    def _note(self, seq: int) -> None:
        if self.spool is not None:
            self._write(b'{"ack": %d}\n' % seq)

    def _write(self, line: bytes) -> bool:
        assert self.spool is not None
        try:
            self.spool.append(line)
            return True
        except OSError as error:
            self.failed(f"spool: {error.strerror or error}")
            return False

    def _renew(self) -> bool:
        """Raises OSError if the spool cannot be rewritten; nothing has changed then."""
        client = str(uuid.uuid4())
        if self.spool is not None:
            self.spool.rewrite(client, self.labels,
                               [message_line(n, message.text) for n, message in enumerate(self.waiting, 1)])
        self.client = client
        for n, message in enumerate(self.waiting, 1):
            message.seq = n
        self.last, self.confirmed = len(self.waiting), 0
        return False

    def _compact(self) -> None:
        assert self.spool is not None
        self.spool.dead = 0
        try:
            self.spool.rewrite(self.client, self.labels,
                               [b'{"ack": %d}\n' % self.confirmed, *(message.line for message in self.waiting)])
        except OSError as error:  # the existing file stays valid
            self.failed(f"spool: {error.strerror or error}")
