"""The options of a client: validated arguments, completed from the environment.

Bad arguments raise. Bad values in the environment are logged: a bad TIMESLICED_ADDRESS disables the client, bad labels
are ignored.
"""
import logging
from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Tuple

from timesliced.base import address as addresses
from timesliced.base import limits

DATAGRAM_MAX = 65507  # bytes: the longest over UDP and IPv4; loopback carries it without fragmentation
DATAGRAM_REMOTE = 1400  # not fragmented: fits into Ethernet's 1,500 with the headers of IPv6, UDP and a tunnel
DATAGRAM_MIN = 512
LINE_MAX = 8 << 20  # bytes: half of the daemon's default limit
MAX_QUEUE = 16 << 20  # bytes

_log = logging.getLogger("timesliced")


@dataclass(frozen=True)
class Options:
    address: Optional[addresses.Address]  # None: nothing is sent
    why_off: Optional[str]  # why address is None, if that is an error
    labels: Dict[str, str]
    labels_json: str  # "" if there are none
    spool: Optional[str]  # a folder
    max_message: int  # bytes
    max_queue: int  # bytes


def make_options(address: Optional[str], labels: Optional[Mapping[str, str]], *, spool: Optional[str] = None,
                 max_datagram: Optional[int] = None, max_queue: int = MAX_QUEUE) -> Options:
    """Raises TypeError, ValueError."""
    own_labels = limits.check_labels(labels)
    where, why_off = _address(address)
    all_labels = _with_environment(own_labels)
    if isinstance(max_queue, bool) or not isinstance(max_queue, int):
        raise TypeError(f"max_queue must be an int, not {type(max_queue).__name__}")
    if max_queue < 1:
        raise ValueError(f"max_queue {max_queue}: at least 1 byte")
    max_message = _max_message(where, max_datagram)
    folder = _spool(spool, where, address is not None)
    return Options(where, why_off, all_labels, limits.labels_text(all_labels), folder, max_message, max_queue)


def _address(given: Optional[str]) -> Tuple[Optional[addresses.Address], Optional[str]]:
    """The address, or None and the error, if there is one."""
    text = given if given is not None else addresses.from_environment() or addresses.DEFAULT
    if text == addresses.OFF:
        return None, None
    try:
        return addresses.parse(text), None
    except ValueError as error:
        if given is not None:
            raise
        _log.warning("nothing is sent: TIMESLICED_ADDRESS: %s", error)
        return None, f"TIMESLICED_ADDRESS: {error}"


def _with_environment(labels: Dict[str, str]) -> Dict[str, str]:
    try:
        return limits.check_labels({**addresses.labels_from_environment(), **labels})
    except ValueError as error:
        _log.warning("ignoring the labels of the environment: %s", error)
        return labels


def _spool(folder: Optional[str], address: Optional[addresses.Address], strict: bool) -> Optional[str]:
    """strict: raise if the address does not support a spool; otherwise that is logged."""
    if folder is None or address is None:
        return None
    if not isinstance(folder, str):
        raise TypeError(f"spool must be a str, not {type(folder).__name__}")
    if address.is_datagram:
        why = f"spool: {address.scheme} is not acknowledged; use tcp:// or unix://"
        if strict:
            raise ValueError(why)
        _log.warning("no spool is used: %s", why)
        return None
    return folder


def _max_message(address: Optional[addresses.Address], max_datagram: Optional[int]) -> int:
    if max_datagram is not None:
        if isinstance(max_datagram, bool) or not isinstance(max_datagram, int):
            raise TypeError(f"max_datagram must be an int, not {type(max_datagram).__name__}")
        if not DATAGRAM_MIN <= max_datagram <= DATAGRAM_MAX:
            raise ValueError(f"max_datagram {max_datagram}: {DATAGRAM_MIN} to {DATAGRAM_MAX} bytes")
    if address is None or not address.is_datagram:
        return LINE_MAX
    if max_datagram is not None:
        return max_datagram
    return DATAGRAM_MAX if address.scheme == "unixgram" or address.is_loopback else DATAGRAM_REMOTE
