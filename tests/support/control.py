"""HTTP requests over a Unix socket or TCP. Numbers in responses stay exact (Decimal)."""
import contextlib
import http.client
import json
import re
import socket
from decimal import Decimal
from urllib.parse import urlencode

from support.wait import TIMEOUT


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def unique_members(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"repeated member in a response: {keys}"
    return dict(pairs)


def loads(body):
    """Parses strictly: UTF-8, no NaN, no repeated member. Fractions become Decimal."""
    def constant(name):
        raise ValueError(f"{name} is not JSON")
    return json.loads(body.decode("utf-8"), parse_float=Decimal, parse_constant=constant,
                      object_pairs_hook=unique_members)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def type(self):
        return (self.headers.get("Content-Type") or "").split(";")[0].strip()

    @property
    def json(self):
        assert self.type == "application/json", (self.status, self.headers, self.body[:300])
        return loads(self.body)

    @property
    def error(self):
        assert self.status >= 400, self.body[:300]
        error = self.json["error"]
        assert error["code"] and error["message"]
        return error

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r}>"


def request(address, method, path, params=(), headers=None, timeout=30):
    """address: the path of a Unix socket, or (host, port). params: a dict, or pairs if a name repeats."""
    if params:
        path += "?" + urlencode(params)
    if isinstance(address, tuple):
        connection = http.client.HTTPConnection(*address, timeout=timeout)
    else:
        connection = UnixConnection(str(address), timeout)
    try:
        connection.request(method, path, headers=headers or {})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read())
    finally:
        connection.close()


def connect(address):
    sock = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
    sock.settimeout(3 * TIMEOUT)
    sock.connect(address if isinstance(address, tuple) else str(address))
    return sock


def read_all(sock):
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def send_raw(address, request):
    """Sends these bytes and returns everything up to the end of the connection."""
    with contextlib.closing(connect(address)) as sock:
        sock.sendall(request)
        return read_all(sock)


def raw_request(address, target, method=b"GET", host=b"localhost", headers=b""):
    """Sends a request without checking its parts. Returns (status, body)."""
    host_line = b"" if host is None else b"Host: " + host + b"\r\n"
    response = send_raw(address, method + b" " + target + b" HTTP/1.1\r\n" + host_line + b"Connection: close\r\n" +
                        headers + b"\r\n")
    head, body = response.split(b"\r\n\r\n", 1)
    return int(head.split(b" ")[1]), body


def parse_metrics(text):
    """Parses the Prometheus text format 0.0.4 strictly. Returns ({(name, labels): value}, {name: type})."""
    series, types, helps = {}, {}, {}
    sample = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?$')
    label = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
    current = None
    assert text.endswith("\n"), "the last line does not end in a line feed"
    for line in text.split("\n"):
        if not line:
            continue
        if line.startswith("# HELP "):
            _, _, name, what = line.split(" ", 3)
            assert name not in helps, f"second HELP of {name}"
            assert what.strip(), line
            helps[name] = what
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"second TYPE of {name}"
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped"), line
            types[name] = kind
            current = name
        elif not line.startswith("#"):
            match = sample.match(line)
            assert match, f"not a sample: {line!r}"
            name, labels, value = match.groups()
            family = next((name[:-len(s)] for s in ("_bucket", "_sum", "_count") if name.endswith(s)
                           and types.get(name[:-len(s)]) in ("histogram", "summary")), name)
            assert family == current, f"{name} outside its group (TYPE {current})"
            pairs = label.findall(labels[1:-1]) if labels else []
            if labels and labels != "{}":
                assert "".join(f'{k}="{v}",' for k, v in pairs).rstrip(",") == labels[1:-1].rstrip(","), line
            assert len({k for k, _ in pairs}) == len(pairs), f"repeated label: {line}"
            key = (name, tuple(sorted(pairs)))
            assert key not in series, f"repeated series: {line}"
            series[key] = float(value)
    for name in types:
        assert name in helps, f"no HELP for {name}"
    return series, types
