"""The numbers of one client of an acknowledged stream, and what of it is not acknowledged. No sockets.

    add(message)        gives it the next number, writes it to the spool
    greeted(last_seq)   what the daemon has: forgets up to there; True where the stream can go on from it
    acknowledged(n)     forgets up to n
    farewell()          before a bye

Numbers in `waiting` ascend without holes, so each is found by its distance from the first. Where the daemon knows less
than it had acknowledged (its database was lost, or the client expired), knows more than was sent, or a hole shows (the
spool had no room for one), the client takes a new name, and what is left is numbered from 1.
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
    """done(owner) is called for each message that is acknowledged, in order; failed(words) where the spool refuses."""

    def __init__(self, labels: str, done: Callable[[Owner], None], failed: Callable[[str], None]) -> None:
        self.client = str(uuid.uuid4())
        self.labels = labels
        self.last = 0  # number given last
        self.confirmed = 0
        self.waiting: Deque[Message[Owner]] = deque()
        self.spool: Optional[Spool] = None
        self.done, self.failed = done, failed

    def resume(self, left: Leftover, owner: Owner) -> None:
        self.client, self.labels, self.confirmed, self.spool = left.client, left.labels, left.confirmed, left.spool
        self.waiting.extend(Message(seq, text, owner) for seq, text in left.messages)
        self.last = self.waiting[-1].seq

    @property
    def hello(self) -> bytes:
        return hello_line(self.client, self.labels)

    def add(self, text: bytes, owner: Owner) -> bool:
        """True where the spool has it."""
        self.last += 1
        message = Message(self.last, text, owner)
        self.waiting.append(message)
        return self.spool is not None and self._write(message.line)

    def following(self, seq: int) -> Iterator[Message[Owner]]:
        """Those after that number."""
        if not self.waiting:
            return iter(())
        return islice(self.waiting, max(0, seq + 1 - self.waiting[0].seq), None)

    def greeted(self, last_seq: int) -> bool:
        """False: another name, so another hello."""
        if not self.confirmed <= last_seq <= self.last:
            return self._rename()
        self.acknowledged(last_seq)
        if self.waiting and self.waiting[0].seq != last_seq + 1:
            return self._rename()
        for before, after in zip(self.waiting, islice(self.waiting, 1, None)):
            if after.seq != before.seq + 1:
                return self._rename()
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

    def farewell(self) -> None:
        """Before a bye: from then on the daemon would count everything again. Raises OSError."""
        if self.spool is not None:
            self.spool.empty()

    def forget_spool(self) -> None:
        """Nothing is owed any more."""
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

    def _rename(self) -> bool:
        """Raises OSError where the spool cannot follow: then nothing has changed."""
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
        except OSError as error:  # the one there is stays good
            self.failed(f"spool: {error.strerror or error}")
