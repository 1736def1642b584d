"""A fake control socket for tests of timeslicectl, and helpers that run timeslicectl against it.

The fake serves canned responses over HTTP on a Unix socket, complete or interrupted, in every form of transfer.
$TIMESLICECTL names the binary; by default it is build/ctl/timeslicectl.
"""
import http.server
import json
import os
import pathlib
import pty
import re
import signal
import socket
import socketserver
import struct
import subprocess
import threading
import unicodedata
from urllib.parse import parse_qsl, urlsplit

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("TIMESLICECTL", str(ROOT / "build" / "ctl" / "timeslicectl"))

# length: with Content-Length; chunked: in chunks; open: neither, ends with the connection
# cut: closed before the announced length; cut chunked: closed before the last chunk; reset: RST in the middle
FORMS = ("length", "chunked", "open", "cut", "cut chunked", "reset")
CUT_FORMS = ("cut", "cut chunked", "reset")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        url = urlsplit(self.path)
        query = parse_qsl(url.query, keep_blank_values=True)
        self.server.requests.append((self.command, url.path, query))
        name = url.path.rsplit("/", 1)[1]
        keys = [f"{name}?{key}={value}" for key, value in query] + [name]
        status, body, form = next((self.server.canned[key] for key in keys if key in self.server.canned),
                                  (404, b"nothing here", "length"))
        self.send_response(status)
        if form in ("length", "cut", "reset"):
            self.send_header("Content-Length", str(len(body) + (form != "length") * 1000))
        elif "chunked" in form:
            self.send_header("Transfer-Encoding", "chunked")
        if form != "length":
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.write(body, form)

    do_GET = do_POST = respond

    def write(self, body, form):
        """body: bytes, or an iterable of bytes."""
        pieces = [body[at:at + 50_000] for at in range(0, len(body), 50_000)] if isinstance(body, bytes) else body
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if "chunked" in form else piece[:-1])
                if "chunked" not in form:
                    self.server.may_end.wait()
                    self.wfile.write(piece[-1:])
            self.server.may_end.wait()
            if form == "chunked":
                self.wfile.write(b"0\r\n\r\n")
            if form == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *args):
        pass

    def address_string(self):
        return "unix"


class FakeControl(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """requests: the received (method, path, [(parameter, value)]). Responses are named by the last part of the path
    ("top"), or by that with one parameter ("top?format=csv"), which has precedence. While the event `may_end` is
    cleared, no response is completed."""

    daemon_threads = True

    def __init__(self, path, responses):
        super().__init__(str(path), Handler)
        self.path = str(path)
        self.requests = []
        self.canned = {}
        self.connections = []
        self.may_end = threading.Event()
        self.may_end.set()
        for name, body in responses.items():
            self.put(name, body)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def put(self, name, body, status=200, form="length"):
        assert form in FORMS
        body = body.encode() if isinstance(body, str) else body
        body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        self.canned[name] = (status, body, form)

    def process_request(self, request, client_address):
        self.connections.append(request)
        super().process_request(request, client_address)

    def stop(self):
        self.may_end.set()
        self.shutdown()
        self.server_close()
        for connection in self.connections:  # also those kept alive
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # already closed
        os.unlink(self.path)


def serving(folder, responses):
    """The body of a fixture: yields a FakeControl and stops it."""
    server = FakeControl(folder / "control.sock", responses)
    yield server
    if os.path.exists(server.path):
        server.stop()


def environment(**variables):
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR", "TIMESLICED_SOCKET")}
    return dict(env, **variables)


def ctl(*args, daemon=None, env=None, **options):
    command = [BINARY] + (["--socket", daemon.path] if daemon else []) + list(map(str, args))
    return subprocess.run(command, stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, timeout=20,
                          env=env or environment(), **options)


def start_ctl(*args, daemon):
    """Starts timeslicectl without waiting for it. It must not ignore SIGINT and SIGQUIT as background jobs of a shell
    do."""
    def restore_signals():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    return subprocess.Popen([BINARY, "--socket", daemon.path, *map(str, args)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment(),
                            preexec_fn=restore_signals)


def columns(text):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def check_text(text, width):
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    for line in text.splitlines():
        assert columns(line) <= width, line
        assert line == line.rstrip()
    return text


def table(*args, daemon, width=80, env=None, code=0):
    """Runs timeslicectl with --format table and returns its standard output. Standard error must be empty exactly if
    the expected exit code is 0."""
    done = ctl(*args, "--format", "table", daemon=daemon, env=env or environment(COLUMNS=str(width)))
    assert done.returncode == code, done.stderr.decode()
    assert (done.stderr == b"") == (code == 0)
    return check_text(done.stdout.decode(), width)


def on_terminal(args, seconds=10, **env):
    """Runs timeslicectl on a new terminal. Returns its output and its exit code; None if it still ran and was ended."""
    master, slave = pty.openpty()
    child = subprocess.Popen([BINARY] + args, stdout=slave, stderr=slave, env=environment(COLUMNS="80", **env))
    os.close(slave)
    chunks = []

    def read():
        try:
            while chunk := os.read(master, 65536):
                chunks.append(chunk)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        code = child.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
        child.terminate()
        child.wait()
    reader.join(5)
    os.close(master)
    return b"".join(chunks).decode(), code
