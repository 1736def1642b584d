"""What systemd does for a daemon, done by a test: sockets that are held for it, and the socket that it tells its state."""
import functools
import os
import socket
import sys
import threading
import time

from support.daemon import wait_until

# Puts the descriptors where systemd would, and is the process that LISTEN_PID names.
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
    made = {}
    for name, (family, kind, where) in kinds.items():
        made[name] = socket.socket(family, kind)
        if family == socket.AF_INET:
            made[name].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as systemd does
        made[name].bind(where)
        if kind == socket.SOCK_STREAM:
            made[name].listen(64)
    return made


def activate(daemon, sockets):
    fds = [each.fileno() for each in sockets.values()]
    command = daemon.command
    how = [sys.executable, "-c", ACTIVATE, ":".join(sockets), ",".join(map(str, fds))]
    daemon.command = lambda *more: [*how, *command(*more)]
    daemon.spawn = functools.partial(daemon.spawn, pass_fds=fds)
    return daemon


class Notified:
    """$NOTIFY_SOCKET. messages: (monotonic time, {name: value}), as they came."""

    def __init__(self, folder):
        self.path = str(folder / "notify.sock")
        self.messages = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.thread = threading.Thread(target=self._reads)
        self.thread.start()

    def _reads(self):
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

    def wait(self, name, wanted=lambda value: True, after=0):
        """The first such value, past the first `after` messages."""
        def look():
            return next(([fields[name]] for _, fields in list(self.messages)[after:]
                         if name in fields and wanted(fields[name])), None)
        return wait_until(look, lambda: f"{name}; told so far: {self.messages[-20:]}")[0]

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"", self.path)
        self.thread.join()
        self.socket.close()
