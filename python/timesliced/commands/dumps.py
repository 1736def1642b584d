"""python -m timesliced send: sends existing cProfile dumps, each with the time at which it was written."""
import os
import time
from typing import List, Mapping, Optional, TextIO

from timesliced.sending.encode import load
from timesliced.sending.options import make_options
from timesliced.sending.sender import Sender
from timesliced.taking.capture import size_of

EXIT_OK, EXIT_NOT_ALL, EXIT_UNREACHABLE = 0, 1, 3  # as in timeslicectl
_BAR_MIN = 2  # files from which on a progress bar is shown
_REDRAW = 0.1  # seconds


class Progress:
    """A progress bar, only on a terminal."""

    def __init__(self, total: int, out: TextIO) -> None:
        self.total, self.out = total, out
        self.shown = total >= _BAR_MIN and out.isatty()
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
        text = f" {done}/{self.total} dumps"
        width = max(4, min(50, columns - len(text) - 3))
        full = width * done // self.total
        self.out.write(f"\r[{'#' * full}{'.' * (width - full)}]{text}")
        self.out.flush()

    def print(self, line: str) -> None:
        self.out.write(f"\r\x1b[K{line}\n" if self.shown else f"{line}\n")

    def end(self) -> None:
        if self.shown:
            self.out.write("\n")


def send(paths: List[str], address: str, labels: Mapping[str, str], timestamp: Optional[float], timeout: float,
         err: TextIO) -> int:
    """timeout: seconds without progress until the daemon is considered unreachable. Returns the exit code."""
    sender = Sender(make_options(address, labels))
    progress = Progress(len(paths), err)
    unread = 0
    reached = True
    for path in paths:
        try:
            captured = load(path)
            stamp = os.stat(path).st_mtime if timestamp is None else timestamp
        except (OSError, ValueError, TypeError) as error:
            unread += 1
            progress.print(f"timesliced: {path}: {error.strerror if isinstance(error, OSError) else error}")
            continue
        while sender.room() < size_of(captured) and reached and sender.stats().queued:
            reached = _wait(sender, timeout, unread, progress)
        if not reached:
            break
        sender.put(captured, stamp)
        progress.update(sender.stats().sent + unread)
    while reached and sender.stats().queued:
        reached = _wait(sender, timeout, unread, progress)
    progress.end()
    sender.close(timeout if reached else 0.0)
    stats = sender.stats()
    rejected = f", {stats.rejected} of them rejected" if stats.rejected else ""
    print(f"{stats.sent} of {len(paths)} dumps sent to {address}{rejected}", file=err)
    if stats.last_error and (not reached or stats.rejected or stats.dropped):
        print(f"timesliced: {stats.last_error}", file=err)
    if not reached:
        return EXIT_UNREACHABLE
    return EXIT_OK if stats.sent == len(paths) and not stats.rejected else EXIT_NOT_ALL


def _wait(sender: Sender, timeout: float, unread: int, progress: Progress) -> bool:
    """Waits until another profile is sent. False if that takes longer than `timeout`."""
    previous = sender.stats().sent
    end = time.monotonic() + timeout
    while sender.stats().sent == previous:
        left = end - time.monotonic()
        if left <= 0:
            return False
        if sender.flush(min(left, _REDRAW)):
            break
    progress.update(sender.stats().sent + unread)
    return True
