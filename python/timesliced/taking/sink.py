"""Sink: the destination of profiles, as the code that takes them sees it. Implemented by sending.sender.Sender.

No method blocks, and only labels_json() raises. All may be called from any thread.
"""
from typing import Callable, Mapping, Optional, Protocol

from timesliced.taking.capture import Capture


class Ticker(Protocol):
    """A task that the background thread runs at intervals (every.Every)."""

    due: float  # monotonic; when tick() is to be called next

    def tick(self) -> None: ...

    def stop(self) -> None:
        """Sends what is left, and unschedules itself."""

    def after_fork(self) -> None:
        """Called in the child."""


class Sink(Protocol):
    @property
    def enabled(self) -> bool:
        """False: nothing is sent, so there is no point in profiling."""

    def put(self, captured: Capture, timestamp: Optional[float], labels: str = "",
            spent: Optional[Callable[[float], None]] = None) -> bool:
        """Queues a profile; False if it is dropped. labels: JSON, "" for the client's own. spent is called on the
        background thread with the seconds of CPU time that encoding took."""

    def refuse(self, why: str) -> None:
        """Counts a profile as dropped that cannot be queued."""

    def count(self, name: str, more: int = 1, why: Optional[str] = None) -> None:
        """Adds to the counter of that name in ClientStats. why becomes last_error."""

    def labels_json(self, labels: Optional[Mapping[str, str]]) -> str:
        """The client's labels with `labels` added, as JSON; "" if there are none to add. Raises TypeError,
        ValueError."""

    def schedule(self, ticker: Ticker) -> bool:
        """Starts to call ticker.tick() on the background thread whenever it is due. False if that thread cannot run."""

    def unschedule(self, ticker: Ticker) -> None: ...
