"""What an application uses: Client."""
import time
import weakref
from types import TracebackType
from typing import Mapping, Optional, Type

from timesliced import address as addresses
from timesliced import encode
from timesliced.encode import Profile
from timesliced.sender import ClientStats, Sender

DATAGRAM_MAX = 65507  # bytes: the longest UDP takes over IPv4; loopback carries it in one piece
DATAGRAM_REMOTE = 1400  # fits Ethernet's 1,500 beside IPv6, UDP and a tunnel's head: no fragments, each a risk to all
DATAGRAM_MIN = 512
LINE_MAX = 8 << 20  # bytes: half of what the daemon takes by default
MAX_QUEUE = 16 << 20  # bytes


class Client:
    """Sends profiles to timesliced, without ever holding up the application.

    address   udp://host:port, tcp://host:port (an IPv6 host in brackets), unix:///path (stream), unixgram:///path.
    labels    where these profiles come from: at most 16; keys [A-Za-z_][A-Za-z0-9_]* up to 64 bytes, values up to 256.
    max_datagram  bytes, 512 to 65507; a profile that does not fit is split over several datagrams and arrives as one.
              By default 65507 where the address is local (unixgram, a loopback address, localhost), 1400 elsewhere.
              Only a single function with very long names (or long labels) may pass it.
    max_queue bytes of messages that may wait; what does not fit is dropped, and counted.

    Raises ValueError or TypeError that says what is wrong with an argument. Connects nowhere: that, names included, is
    done on a background thread that starts with the first send().

    udp may lose data on the way and does not say so, though a port where nobody listens shows in stats.errors where the
    network reports it. The others reconnect for as long as it takes, and keep what fits in the queue. What the kernel
    took counts as sent: a daemon that dies can lose what it had not read.

    Safe to use from several threads, and from signal handlers. After os.fork() the child has an empty queue, counts
    from 0, and a thread and sockets of its own; what the parent had queued the parent sends. What is queued when the
    process ends is given up to 1 s; where that end skips atexit (os._exit, children of multiprocessing), call flush()
    before.
    """

    def __init__(self, address: str = "udp://127.0.0.1:8137", labels: Optional[Mapping[str, str]] = None, *,
                 max_datagram: Optional[int] = None, max_queue: int = MAX_QUEUE) -> None:
        where = addresses.parse(address)
        self._labels = encode.check_labels(labels)
        self._limit = _limit(where, max_datagram)
        if isinstance(max_queue, bool) or not isinstance(max_queue, int):
            raise TypeError(f"max_queue must be an int, not {type(max_queue).__name__}")
        if max_queue < 1:
            raise ValueError(f"max_queue {max_queue}: at least 1 byte")
        self._sender = Sender(where, max_queue)
        self._finalizer = weakref.finalize(self, self._sender.release)
        self._finalizer.atexit = False

    def send(self, profile: Profile, timestamp: Optional[float] = None) -> bool:
        """Queues what the profile holds now. True where it was queued, False where it was dropped (stats says why; in a
        signal handler that interrupts another send(), True says only that it will be one or the other).

        profile    a cProfile.Profile (best: nothing is rounded or left out; it may go on running, and is left as it is:
                   figures are cumulative until its clear()), a pstats.Stats, or a pstats.StatsProfile.
        timestamp  seconds since the Unix epoch, within 9.2e9; now, where it is not given.

        Encodes before it returns, about 4 us a function; never waits for the network. Raises TypeError where profile is
        none of the three or holds what cProfile and pstats never put there, and where timestamp is not an int or a
        float; ValueError where timestamp is not finite or out of bounds. Nothing else.
        """
        stamp = encode.check_timestamp(time.time() if timestamp is None else timestamp)
        encoded = encode.encode(profile, stamp, self._labels, self._limit)
        return self._sender.put(encoded.messages, encoded.altered)

    def flush(self, timeout: Optional[float] = 5.0) -> bool:
        """Waits up to that many seconds (None: without end) until all that send() queued before is handed to the
        kernel. True where it is; False where time ran out, or one queued since the last flush was lost."""
        return self._sender.flush(timeout)

    def close(self, timeout: float = 2.0) -> bool:
        """Sends what is queued, for up to that many seconds, then ends the thread and closes the socket. True where no
        profile that was ever queued is lost. Later ones are dropped and counted. Closing again is harmless."""
        return self._sender.close(timeout)

    @property
    def stats(self) -> ClientStats:
        """A snapshot."""
        return self._sender.stats()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 traceback: Optional[TracebackType]) -> None:
        self.close()


def _limit(where: addresses.Address, max_datagram: Optional[int]) -> int:
    if max_datagram is not None:
        if isinstance(max_datagram, bool) or not isinstance(max_datagram, int):
            raise TypeError(f"max_datagram must be an int, not {type(max_datagram).__name__}")
        if not DATAGRAM_MIN <= max_datagram <= DATAGRAM_MAX:
            raise ValueError(f"max_datagram {max_datagram}: {DATAGRAM_MIN} to {DATAGRAM_MAX} bytes")
    if not where.is_datagram:
        return LINE_MAX
    if max_datagram is not None:
        return max_datagram
    return DATAGRAM_MAX if where.scheme == "unixgram" or where.is_loopback else DATAGRAM_REMOTE
