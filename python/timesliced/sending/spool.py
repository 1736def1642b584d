"""Files that outlive the process: what it had not delivered when it was killed goes out at its next start.

A folder has one file for each process that sends, NAME.spool, and each is a stream as it is spoken, one JSON text a
line: the hello, the numbered messages, and the acknowledgements that came back.

    {"hello": {"client": "5d0f6f2e-...", "labels": {"service": "web"}}}
    {"seq": 1, "timestamp": ..., "profile": ...}
    {"seq": 2, "timestamp": ..., "profile": ...}
    {"ack": 1}

A message is written before it is sent, under the number that it is sent with. What the next process finds it sends again
under the same client and number, and the daemon counts each number once: so it does not matter at which moment which
side was killed. Before a bye, by which the daemon forgets the numbers, the file is emptied.

A file belongs to the process that has it locked (flock); the lock goes with the process, however it ends. It is made
under another name, locked, and then renamed, so nobody finds one that is not locked or has no hello. A last line
without its line feed was being written when the process ended: it does not count.

Not synced to the disk, except before a bye: this is against the end of a process, not of the machine.

What fails is an OSError: a message that the spool did not take is sent all the same, it is only not safe.
"""
import fcntl
import os
import re
import uuid
from dataclasses import dataclass
from typing import Iterable, Iterator, List, Optional, Tuple

SUFFIX = ".spool"
_NEW = ".new"  # not ready: nobody's, where it is not locked
_SEQ = re.compile(rb'\{"seq": ([0-9]{1,18}), ')
_ACK = re.compile(rb'\{"ack": ([0-9]{1,18})\}')
_HELLO = re.compile(rb'\{"hello": \{"client": "([A-Za-z0-9-]{1,64})"(?:, "labels": (\{.*\}))?\}\}')
DEAD_MAX = 4 << 20  # bytes of acknowledged messages that a file may hold before it is written anew
_READ_MAX = 1 << 20


def hello_line(client: str, labels: str) -> bytes:
    """labels: JSON text, "" for none."""
    return (f'{{"hello": {{"client": "{client}"' + (f', "labels": {labels}' if labels else "") + "}}\n").encode("ascii")


def message_line(seq: int, message: bytes) -> bytes:
    return b'{"seq": %d, ' % seq + message[1:] + b"\n"


class Spool:
    """One file, locked by this process."""

    def __init__(self, path: str, descriptor: int, size: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = size
        self.dead = 0  # bytes of it that are acknowledged, about

    @classmethod
    def create(cls, folder: str, client: str, labels: str) -> "Spool":
        path = os.path.join(folder, uuid.uuid4().hex + SUFFIX)
        head = hello_line(client, labels)
        return cls(path, _write_new(path, [head]), len(head))

    def append(self, line: bytes) -> None:
        try:
            written = os.write(self.descriptor, line)
            if written != len(line):
                raise OSError(28, "no room in the spool")
        except OSError:
            os.ftruncate(self.descriptor, self.size)  # no half line before the next one
            raise
        self.size += len(line)

    def rewrite(self, client: str, labels: str, lines: Iterable[bytes]) -> None:
        """All at once: whoever finds the file finds the old or the new one."""
        texts = [hello_line(client, labels), *lines]
        descriptor = _write_new(self.path, texts)
        os.close(self.descriptor)
        self.descriptor = descriptor
        self.size, self.dead = sum(map(len, texts)), 0

    def empty(self) -> None:
        """It owes nothing: whatever happens to the process or the machine, nobody sends it again."""
        os.ftruncate(self.descriptor, 0)
        os.fdatasync(self.descriptor)
        self.size = self.dead = 0

    def remove(self) -> None:
        try:
            os.unlink(self.path)
        finally:
            self.close()

    def close(self) -> None:
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@dataclass
class Leftover:
    """What a process that is gone had not delivered; its file is ours now."""

    spool: Spool
    client: str
    labels: str
    confirmed: int
    messages: List[Tuple[int, bytes]]  # as they were sent, without number and line feed


def adopt(folder: str) -> Iterator[Leftover]:
    """Those of processes that are gone, one after the other. Raises OSError where the folder cannot be read."""
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if not name.endswith((SUFFIX, _NEW)):
            continue
        descriptor = _lock(path)
        if descriptor is None:
            continue
        found = None
        try:
            if name.endswith(_NEW) or os.fstat(descriptor).st_size == 0:
                os.unlink(path)
            else:
                found = _read(path, descriptor)
        finally:
            if found is None:
                os.close(descriptor)
        if found is not None:
            yield found


def orphans(folder: str) -> bool:
    """Whether there may be any."""
    try:
        return any(name.endswith(SUFFIX) for name in os.listdir(folder))
    except OSError:
        return False


def _lock(path: str) -> Optional[int]:
    """None where another process has it, or had it and is done with it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _write_new(path: str, texts: List[bytes]) -> int:
    fresh = f"{path}.{uuid.uuid4().hex}{_NEW}"
    descriptor = os.open(fresh, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for text in texts:
            if os.write(descriptor, text) != len(text):
                raise OSError(28, "no room in the spool")
        os.rename(fresh, path)
    except BaseException:
        os.unlink(fresh)
        os.close(descriptor)
        raise
    return descriptor


def _read(path: str, descriptor: int) -> Optional[Leftover]:
    """None where it owes nothing, and is gone."""
    data = bytearray()
    while True:
        more = os.read(descriptor, _READ_MAX)
        if not more:
            break
        data += more
    lines = bytes(data).split(b"\n")
    torn = lines.pop()
    head = _HELLO.fullmatch(lines[0]) if lines else None
    if head is None:
        return None  # not a file of ours
    confirmed = 0
    messages: List[Tuple[int, bytes]] = []
    for line in lines[1:]:
        numbered, ack = _SEQ.match(line), _ACK.fullmatch(line)
        if numbered:
            messages.append((int(numbered[1]), b"{" + line[numbered.end():]))
        elif ack:
            confirmed = max(confirmed, int(ack[1]))
    messages = [(seq, message) for seq, message in messages if seq > confirmed]
    if not messages:
        os.unlink(path)
        return None
    if torn:
        os.ftruncate(descriptor, len(data) - len(torn))
    return Leftover(Spool(path, descriptor, len(data) - len(torn)), head[1].decode(), (head[2] or b"").decode(),
                    confirmed, messages)
