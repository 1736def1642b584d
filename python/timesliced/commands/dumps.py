"""python -m timesliced send: dumps of cProfile that are there already, each with the time it was written at."""
import os
import time
from typing import List, Mapping, Optional, TextIO

from timesliced.client import Client
from timesliced.sending.encode import load
from timesliced.taking.capture import size_of

EXIT_OK, EXIT_NOT_ALL, EXIT_UNREACHABLE = 0, 1, 3  # as timeslicectl has them
_MANY = 2  # files from which on there is a bar
_REDRAW = 0.1  # seconds


class Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, total: int, out: TextIO) -> None:
        self.total, self.out = total, out
        self.shown = total >= _MANY and out.isatty()
        self.last = 0.0

    def update(self, done: int) -> None:
        now = time.monotonic()
        if not self.shown or (now - self.last < _REDRAW and done < self.total):
            return
        self.last = now
        try:
            columns = os.get_terminal_size(self.out.fileno()).columns
        except (OSError, ValueError):
            columns = 80
        words = f" {done}/{self.total} dumps"
        width = max(4, min(50, columns - len(words) - 3))
        full = width * done // self.total
        self.out.write(f"\r[{'#' * full}{'.' * (width - full)}]{words}")
        self.out.flush()

    def say(self, line: str) -> None:
        self.out.write(f"\r\x1b[K{line}\n" if self.shown else f"{line}\n")

    def end(self) -> None:
        if self.shown:
            self.out.write("\n")


def send(paths: List[str], address: str, labels: Mapping[str, str], timestamp: Optional[float], timeout: float,
         err: TextIO) -> int:
    """timeout: seconds without progress after which the daemon is taken for unreachable. Gives the exit code."""
    client = Client(address, labels)
    progress = Progress(len(paths), err)
    unread = 0
    reached = True
    for path in paths:
        try:
            captured = load(path)
            stamp = os.stat(path).st_mtime if timestamp is None else timestamp
        except (OSError, ValueError, TypeError) as error:
            unread += 1
            progress.say(f"timesliced: {path}: {error.strerror if isinstance(error, OSError) else error}")
            continue
        while client._sender.room() < size_of(captured) and reached and client.stats.queued:
            reached = _wait(client, timeout, unread, progress)
        if not reached:
            break
        client._sender.put(captured, stamp)
        progress.update(client.stats.sent + unread)
    while reached and client.stats.queued:
        reached = _wait(client, timeout, unread, progress)
    progress.end()
    client.close(timeout if reached else 0.0)
    stats = client.stats
    refused = f", {stats.rejected} of them rejected" if stats.rejected else ""
    print(f"{stats.sent} of {len(paths)} dumps sent to {address}{refused}", file=err)
    if stats.last_error and (not reached or stats.rejected or stats.dropped):
        print(f"timesliced: {stats.last_error}", file=err)
    if not reached:
        return EXIT_UNREACHABLE
    return EXIT_OK if stats.sent == len(paths) and not stats.rejected else EXIT_NOT_ALL


def _wait(client: Client, timeout: float, unread: int, progress: Progress) -> bool:
    """Until another one is sent. False where none is for so long."""
    before = client.stats.sent
    end = time.monotonic() + timeout
    while client.stats.sent == before:
        left = end - time.monotonic()
        if left <= 0:
            return False
        if client.flush(min(left, _REDRAW)):
            break
    progress.update(client.stats.sent + unread)
    return True
