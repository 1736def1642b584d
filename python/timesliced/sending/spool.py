"""Spool: files with the messages that a process has not delivered. If it is killed, its next start sends them.

The folder has one file per sending process, NAME.spool. A file contains the stream as it is sent, one JSON text per
line, each after its CRC-32 in hexadecimal: the hello, the numbered messages, and the acknowledgements received.

    5b7c2f10 {"hello": {"client": "5d0f6f2e-...", "labels": {"service": "web"}}}
    0a91d3e4 {"seq": 1, "timestamp": ..., "profile": ...}
    c44e07b2 {"seq": 2, "timestamp": ..., "profile": ...}
    9f3350aa {"ack": 1}

A message is written before it is sent, with the number that it is sent with. The next process sends what it finds with
the same client id and number, and the daemon counts each number once, no matter when which side was killed. The file is
emptied before a bye, after which the daemon forgets the numbers.

Numbers may be missing: messages that were sent although the spool had no room for them. If the daemon's last number is
one of those, or greater than all that are in the file, it has stored every message of the file up to there.

A line whose CRC does not match is damaged and skipped; a file without a valid hello is left alone.

A file belongs to the process that has locked it (flock); the kernel releases the lock when the process ends. The file
is created under another name, locked and then renamed, so no file is visible without a lock or a hello. A last line
without a line feed is incomplete and ignored.

The file is not synced to disk, except before a bye: it protects from the end of the process, not of the machine.

Failures are OSError. A message that cannot be written to the spool is sent nevertheless.
"""
import binascii
import errno
import fcntl
import os
import re
import uuid
from dataclasses import dataclass
from typing import Callable, Iterable, Iterator, List, Optional, Tuple

SUFFIX = ".spool"
_NEW = ".new"  # being created; abandoned if not locked
_SEQ = re.compile(rb'\{"seq": ([0-9]{1,18}), ')
_ACK = re.compile(rb'\{"ack": ([0-9]{1,18})\}')
_HELLO = re.compile(rb'\{"hello": \{"client": "([A-Za-z0-9-]{1,64})"(?:, "labels": (\{.*\}))?\}\}')
DEAD_MAX = 4 << 20  # bytes of acknowledged messages in a file before it is rewritten
_CRC = re.compile(rb"([0-9a-f]{8}) ")
_READ_MAX = 1 << 20


def _checked(line: bytes) -> bytes:
    """A line of a file: `line` after its CRC."""
    return b"%08x " % binascii.crc32(line[:-1]) + line


def _content(line: bytes) -> bytes:
    """The argument of _checked(), without the line feed; b"" if the line is damaged."""
    crc = _CRC.match(line)
    if crc is None:
        return b""
    content = line[crc.end():]
    return content if int(crc[1], 16) == binascii.crc32(content) else b""


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
        self.dead = 0  # approximate bytes of acknowledged messages

    @classmethod
    def create(cls, folder: str, client: str, labels: str) -> "Spool":
        path = os.path.join(folder, uuid.uuid4().hex + SUFFIX)
        head = _checked(hello_line(client, labels))
        return cls(path, _write_new(path, [head]), len(head))

    def append(self, line: bytes) -> None:
        line = _checked(line)
        try:
            written = os.write(self.descriptor, line)
            if written != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self.descriptor, self.size)  # remove the incomplete line
            raise
        self.size += len(line)

    def rewrite(self, client: str, labels: str, lines: Iterable[bytes]) -> None:
        """Replaces the file atomically."""
        texts = [_checked(line) for line in (hello_line(client, labels), *lines)]
        descriptor = _write_new(self.path, texts)
        os.close(self.descriptor)
        self.descriptor = descriptor
        self.size, self.dead = sum(map(len, texts)), 0

    def empty(self) -> None:
        """Nothing in it will be sent again, even after a crash of the machine."""
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
    """The undelivered messages of an ended process. Its file is locked by this process now."""

    spool: Spool
    client: str
    labels: str
    confirmed: int
    messages: List[Tuple[int, bytes]]  # number, and the message without number and line feed


def adopt(folder: str, failed: Callable[[str], None] = lambda _reason: None) -> Iterator[Leftover]:
    """Locks and reads the files of ended processes, one after the other. failed(reason) is called for damaged ones.
    Raises OSError if the folder cannot be read."""
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
                found = _read(path, descriptor, failed)
        except OSError as error:  # the other files may be readable
            failed(f"spool: {name}: {error.strerror or error}")
        finally:
            if found is None:
                os.close(descriptor)
        if found is not None:
            yield found


def has_files(folder: str) -> bool:
    """True if adopt() may find any."""
    try:
        return any(name.endswith(SUFFIX) for name in os.listdir(folder))
    except OSError:
        return False


def _lock(path: str) -> Optional[int]:
    """None if another process has locked or removed it."""
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
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.rename(fresh, path)
    except BaseException:
        os.unlink(fresh)
        os.close(descriptor)
        raise
    return descriptor


def _read_lines(descriptor: int) -> Tuple[List[bytes], int, bool]:
    """The complete lines, their size, and whether an incomplete one follows."""
    data = bytearray()
    while True:
        more = os.read(descriptor, _READ_MAX)
        if not more:
            break
        data += more
    lines = bytes(data).split(b"\n")
    torn = lines.pop()
    return lines, len(data) - len(torn), bool(torn)


def _read(path: str, descriptor: int, failed: Callable[[str], None]) -> Optional[Leftover]:
    """None if it is not a spool file, or if everything is acknowledged; then it is deleted."""
    lines, size, torn = _read_lines(descriptor)
    head = _HELLO.fullmatch(_content(lines[0])) if lines else None
    if head is None:
        if lines:
            failed(f"spool: {os.path.basename(path)} is not a spool file, or its first line is damaged")
        return None
    confirmed = damaged = 0
    messages: List[Tuple[int, bytes]] = []
    for line in map(_content, lines[1:]):
        numbered, ack = _SEQ.match(line), _ACK.fullmatch(line)
        if numbered:
            messages.append((int(numbered[1]), b"{" + line[numbered.end():]))
        elif ack:
            confirmed = max(confirmed, int(ack[1]))
        else:
            damaged += 1
    if damaged:
        failed(f"spool: {os.path.basename(path)}: {damaged} damaged lines were skipped")
    messages = [(seq, message) for seq, message in messages if seq > confirmed]
    if not messages:
        os.unlink(path)
        return None
    if torn:
        os.ftruncate(descriptor, size)
    return Leftover(Spool(path, descriptor, size), head[1].decode("ascii"), (head[2] or b"").decode("ascii"), confirmed,
                    messages)
