"""Addresses of the daemon: udp://host:port, tcp://host:port, unix:///path, unixgram:///path.

Two environment variables set what the application does not: TIMESLICED_ADDRESS ("off": nothing is profiled or sent) and
TIMESLICED_LABELS, "key=value,key=value".

Host names are not looked up here: the background thread does that each time it opens a socket. Paths are used as they
are, without percent-decoding.
"""
import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Dict, Iterable, Optional

DEFAULT = "udp://127.0.0.1:8137"
DEFAULT_STREAM = "tcp://127.0.0.1:8137"  # default of the commands: acknowledged
OFF = "off"
_PATH_MAX = 107  # bytes: Linux's sun_path without the NUL
_HOST_PORT = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^\[\]:/?#@\s]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Address:
    """host and port of udp and tcp; path of unix and unixgram."""

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_datagram(self) -> bool:
        return self.scheme in ("udp", "unixgram")

    @property
    def is_loopback(self) -> bool:
        """Judged by the text, without a lookup."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


def parse(text: str) -> Address:
    """Raises ValueError, and TypeError if it is not a str."""
    if not isinstance(text, str):
        raise TypeError(f"address must be a str, not {type(text).__name__}")
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("unix", "unixgram"):
        return Address(scheme, path=_path(text, rest))
    if separator and scheme in ("udp", "tcp"):
        return _inet(text, scheme, rest)
    raise ValueError(f"address {text!r}: must be udp://host:port, tcp://host:port, unix:///path or unixgram:///path")


def from_environment() -> Optional[str]:
    return os.environ.get("TIMESLICED_ADDRESS") or None


def labels_from_environment() -> Dict[str, str]:
    """Raises ValueError for bad syntax. check_labels() checks keys and values."""
    return parse_labels(os.environ.get("TIMESLICED_LABELS", "").split(","), "TIMESLICED_LABELS")


def parse_labels(pairs: Iterable[str], where: str) -> Dict[str, str]:
    labels: Dict[str, str] = {}
    for pair in pairs:
        if not pair.strip():
            continue
        key, equals, value = pair.strip().partition("=")
        if not equals:
            raise ValueError(f"{where}: {pair.strip()!r} is not key=value")
        labels[key.strip()] = value.strip()
    return labels


def _path(text: str, path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"address {text!r}: the path must be absolute, as in unix:///run/timesliced/stream.sock")
    if "\0" in path:
        raise ValueError(f"address {text!r}: the path contains a NUL")
    if len(os.fsencode(path)) > _PATH_MAX:
        raise ValueError(f"address {text!r}: the path of a socket has at most {_PATH_MAX} bytes")
    return path


def _inet(text: str, scheme: str, rest: str) -> Address:
    match = _HOST_PORT.fullmatch(rest)
    if match is None:
        raise ValueError(f"address {text!r}: must be {scheme}://host:port, with IPv6 hosts in brackets")
    port = int(match["port"])
    if not 0 < port < 65536:
        raise ValueError(f"address {text!r}: the port must be 1 to 65535")
    if match["v6"] is not None:
        try:
            ipaddress.IPv6Address(match["v6"].partition("%")[0])
        except ValueError:
            raise ValueError(f"address {text!r}: not an IPv6 address in the brackets") from None
        return Address(scheme, match["v6"], port)
    try:
        match["host"].encode("idna")  # getaddrinfo would raise it later, on the background thread
    except UnicodeError as error:
        raise ValueError(f"address {text!r}: not a host name: {error}") from None
    return Address(scheme, match["host"], port)
