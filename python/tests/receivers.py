"""Servers for clients to send to."""
import json
import socket
import threading
import time


class Datagrams:
    """A bound datagram socket, and what it has received. Reading starts with read()."""

    def __init__(self, path=None, where=("127.0.0.1", 0)):
        if path:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.socket.bind(path)
            self.address = f"unixgram://{path}"
        else:
            self.socket = socket.socket(socket.AF_INET6 if ":" in where[0] else socket.AF_INET, socket.SOCK_DGRAM)
            self.socket.bind(where)
            host, port = self.socket.getsockname()[:2]
            self.address = f"udp://[{host}]:{port}" if ":" in host else f"udp://{host}:{port}"
        self.got = []
        self.ended = threading.Event()
        self.thread = None

    def read(self, pause=0.0):
        self.socket.settimeout(0.02)
        self.thread = threading.Thread(target=self._read, args=(pause,))
        self.thread.start()
        return self

    def _read(self, pause):
        while not self.ended.is_set():
            try:
                self.got.append(self.socket.recv(1 << 17))
            except socket.timeout:
                continue
            time.sleep(pause)

    def close(self):
        self.ended.set()
        if self.thread:
            self.thread.join()
        self.socket.close()


class Lines:
    """A listening stream socket. A thread per connection reads it into `streams`."""

    def __init__(self, path=None, port=0, respond=None, reading=True):
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(path)
            self.address = f"unix://{path}"
        else:
            self.socket = socket.socket()
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(("127.0.0.1", port))
            self.address = "tcp://127.0.0.1:%d" % self.socket.getsockname()[1]
        self.port = port or (0 if path else self.socket.getsockname()[1])
        self.respond = respond  # called with (connection, line), and with (connection, None) at the end of the stream
        self.reading = reading
        self.streams = []  # bytes received, per connection
        self.connections = []
        self.readers = []
        self.socket.listen(16)
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            data = bytearray()
            self.connections.append(connection)
            self.streams.append(data)
            if self.reading:
                reader = threading.Thread(target=self._read, args=(connection, data))
                self.readers.append(reader)
                reader.start()

    def _read(self, connection, data):
        seen = 0
        try:
            while True:
                more = connection.recv(65536)
                data += more
                while self.respond and data.find(b"\n", seen) >= 0:
                    end = data.index(b"\n", seen) + 1
                    self.respond(connection, bytes(data[seen:end]))
                    seen = end
                if not more:
                    if self.respond:
                        self.respond(connection, None)
                    connection.close()
                    return
        except OSError:
            return

    @staticmethod
    def _shut(one):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    @property
    def lines(self):
        """Complete lines of all connections."""
        return [line for data in self.streams for line in bytes(data).split(b"\n")[:-1]]

    def close(self):
        self._shut(self.socket)
        self.thread.join()
        for connection in self.connections:  # no more are accepted now
            self._shut(connection)
        for reader in self.readers:
            reader.join()
        for one in [self.socket, *self.connections]:
            one.close()


class Acked(Lines):
    """The daemon's side of acknowledged streams. `memory` can be passed on to another receiver, as if the daemon were
    restarted. The attributes make it misbehave."""

    def __init__(self, path=None, port=0, memory=None, reading=True):
        self.memory = {} if memory is None else memory  # client: last number accepted
        self.accepted = []  # (client, seq, line)
        self.hellos, self.byes, self.problems = [], [], []
        self.duplicates = 0
        self.acking = True
        self.rejecting = {}  # seq: code
        self.greeting = None  # called with the client, returns the response to its hello
        self.cut_after = None  # closes the connection once, after that many messages, before the ack
        self.names = {}  # connection: client
        super().__init__(path, port, self._line, reading)

    @property
    def lines(self):
        return [line for _, _, line in self.accepted]

    def _send(self, connection, response):
        connection.sendall(json.dumps(response).encode() + b"\n")

    def _line(self, connection, line):
        if line is None:
            return
        message = json.loads(line)
        if "hello" in message:
            client = message["hello"]["client"]
            self.names[connection] = client
            self.hellos.append(message["hello"])
            if self.greeting:
                self._send(connection, self.greeting(client))
                return
            self._send(connection, {"hello": {"protocol": 1, "last_seq": self.memory.setdefault(client, 0),
                                             "max_message": 16 << 20}})
            return
        client = self.names[connection]
        if message == {"bye": True}:
            self.byes.append(client)
            self.memory.pop(client, None)
            return
        seq, last = message["seq"], self.memory[client]
        if seq > last + 1:
            self.problems.append(f"gap: {seq} after {last}")
            self._send(connection, {"reject": {"code": "sequence", "expected": last + 1, "message": "a gap"}})
            self._shut(connection)
            return
        if seq <= last:
            self.duplicates += 1
        else:
            self.memory[client] = seq
            if seq in self.rejecting:
                self._send(connection, {"reject": {"seq": seq, "code": self.rejecting[seq], "message": "no"}})
            else:
                self.accepted.append((client, seq, line.rstrip(b"\n")))
        if self.cut_after is not None and len(self.accepted) >= self.cut_after:
            self.cut_after = None
            self._shut(connection)
            raise OSError
        if self.acking:
            self._send(connection, {"ack": self.memory[client]})
