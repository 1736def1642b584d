"""The parts of systemd that a test plays itself: sockets passed to the daemon, and the notification socket."""
import functools
import os
import socket
import sys
import threading
import time

from support.daemon import wait_until

# Moves the descriptors to 3, 4, ... as systemd does, then executes the command, so that LISTEN_PID is its own pid.
ACTIVATE = """
import fcntl, os, sys
names, fds, command = sys.argv[1], [int(fd) for fd in sys.argv[2].split(",")], sys.argv[3:]
high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in fds]
for at, fd in enumerate(high):
    os.dup2(fd, 3 + at)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names)
os.execv(command[0], command)
"""


def passed_sockets(folder):
    kinds = {"udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
             "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
             "unix_stream": (socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "passed.s")),
             "unix_datagram": (socket.AF_UNIX, socket.SOCK_DGRAM, str(folder / "passed.d")),
             "control": (socket.AF_UNIX, socket.SOCK_STREAM, str(folder / "passed.c")),
             "http": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))}
    sockets = {}
    for name, (family, kind, address) in kinds.items():
        sockets[name] = socket.socket(family, kind)
        if family == socket.AF_INET:
            sockets[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as systemd does
        sockets[name].bind(address)
        if kind == socket.SOCK_STREAM:
            sockets[name].listen(64)
    return sockets


def activate(daemon, sockets):
    """Passes the sockets, {name: socket}, to the daemon at each of its starts."""
    fds = [sock.fileno() for sock in sockets.values()]
    command = daemon.command
    wrapper = [sys.executable, "-c", ACTIVATE, ":".join(sockets), ",".join(map(str, fds))]
    daemon.command = lambda *arguments: [*wrapper, *command(*arguments)]
    daemon.spawn = functools.partial(daemon.spawn, pass_fds=fds)
    return daemon


class NotifySocket:
    """Receives what the daemon sends to $NOTIFY_SOCKET. messages: [(monotonic time, {name: value})]."""

    def __init__(self, folder):
        self.path = str(folder / "notify.sock")
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.thread = threading.Thread(target=self._receive)
        self.thread.start()

    def _receive(self):
        while True:
            text = self.socket.recv(65536).decode()
            if not text:
                return
            fields = dict(line.split("=", 1) for line in text.splitlines() if line)
            self.messages.append((time.monotonic(), fields))

    def environment(self, watchdog=None):
        env = {name: value for name, value in os.environ.items() if not name.startswith("WATCHDOG_")}
        env["NOTIFY_SOCKET"] = self.path
        if watchdog:
            env["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        return env

    def all(self, name):
        return [fields[name] for _, fields in list(self.messages) if name in fields]

    def times(self, name):
        return [when for when, fields in list(self.messages) if name in fields]

    def wait(self, name, predicate=lambda value: True, after=0):
        """Waits for a value that matches and returns it; skips the first `after` messages."""
        def find():
            return next(([fields[name]] for _, fields in list(self.messages)[after:]
                         if name in fields and predicate(fields[name])), None)
        return wait_until(find, lambda: f"{name}; messages so far: {self.messages[-20:]}")[0]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.path)
        self.thread.join()
        self.socket.close()
