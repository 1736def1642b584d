"""What the tests share: profiles to send, receivers to send to, and the daemon's judgement of a message."""
import cProfile
import json
import pstats
import re
import socket
import threading
import time
from decimal import ROUND_HALF_EVEN, Decimal

from timesliced.sending.encode import DROPPED, Encoder
from timesliced.taking.capture import capture

PATIENCE = 20  # seconds; only a failing test waits that long


def wait_until(what, why="waited in vain"):
    end = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > end:
            raise AssertionError(why)
        time.sleep(0.002)


def to_ns(value):
    """Half to even, of the exact value."""
    return int((Decimal(value) * 10**9).to_integral_value(ROUND_HALF_EVEN))


def many_functions(count):
    """A finished profile of that many functions, some recursive."""
    names = {}
    source = "".join(f"def made_{i}(n):\n    return n and made_{i}(n - 1)\n" for i in range(count))
    exec(compile(source, "/app/made.py", "exec"), names)
    functions = [names[f"made_{i}"] for i in range(count)]
    profile = cProfile.Profile(builtins=False)
    profile.enable()
    for i, function in enumerate(functions):
        function(i % 3)
    profile.disable()
    return profile


def small(name="work", tottime=0.25):
    """A StatsProfile with one function."""
    one = pstats.FunctionProfile("3/2", tottime, 0.083, 0.5, 0.25, "/app/work.py", 7)
    return pstats.StatsProfile(tottime, {name: one})


def stats_of(entries):
    """A pstats.Stats of {(file, line, name): (primitive, calls, tottime, cumtime)}."""
    stats = pstats.Stats()
    stats.stats = {place: (*row, {}) for place, row in entries.items()}
    return stats


def encode(profile, stamp, labels, limit):
    """labels: JSON text. Gives (messages, altered)."""
    return Encoder().encode(capture(profile), stamp, labels, limit)


def accept(text):
    """Judges a message as the contract does. Gives it parsed: numbers as Decimal, func_profiles as pairs."""
    def constant(name):
        raise AssertionError(f"{name} is not JSON")

    def members(pairs):
        return pairs

    text.decode("utf-8")
    assert b"\n" not in text
    message = known(json.loads(text, parse_float=Decimal, parse_constant=constant, object_pairs_hook=members))
    assert set(message) <= {"seq", "timestamp", "labels", "exact", "part", "profile"}, message.keys()
    assert abs(message["timestamp"]) <= Decimal("9.2e9")
    profile = message["profile"] = known(message["profile"])
    entries = profile["func_profiles"]
    if "labels" in message:
        message["labels"] = known(message["labels"])
    listed = bool(entries) and not isinstance(entries[0], tuple)
    rows = []
    for entry in entries:
        name, entry = (known(entry).pop("func_name"), known(entry)) if listed else (entry[0], known(entry[1]))
        assert "\0" not in name and len(stored(name)) <= 1024, name
        if name == DROPPED:
            message["dropped"] = int(entry["ncalls"])
            continue
        assert "\0" not in entry["file_name"] and len(stored(entry["file_name"])) <= 4096
        assert entry["line_number"] is None or 0 <= entry["line_number"] < 2**31
        match = re.fullmatch(r"([0-9]+)(?:/([0-9]+))?", entry["ncalls"])
        calls, primitive = int(match[1]), int(match[2] or match[1])
        assert 0 <= primitive <= calls <= 2**53
        for key in ("tottime", "cumtime"):
            assert isinstance(entry[key], Decimal) and abs(entry[key]) <= 10**7, entry
        rows.append(((entry["file_name"], entry["line_number"], name),
                     (calls, primitive, to_ns(entry["tottime"]), to_ns(entry["cumtime"]))))
    message["rows"] = rows
    return message


def known(pairs):
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a member twice: {names}"
    return dict(pairs)


def stored(text):
    return "".join("\ufffd" if 0xD800 <= ord(c) <= 0xDFFF else c for c in text).encode()


def measured(profile):
    """What a cProfile.Profile measured, summed by place: {place: (calls, primitive, tottime ns, cumtime ns)}."""
    sums = {}
    for entry in profile.getstats():
        place = ("~", 0, entry.code) if isinstance(entry.code, str) else (
            entry.code.co_filename, entry.code.co_firstlineno, entry.code.co_name)
        row = (entry.callcount, entry.callcount - entry.reccallcount, to_ns(entry.inlinetime), to_ns(entry.totaltime))
        sums[place] = tuple(map(sum, zip(row, sums[place]))) if place in sums else row
    return sums


class Datagrams:
    """A bound datagram socket, with all it received. Reading starts with read()."""

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
    """A listening stream socket. Each connection is read by a thread of its own, into one list of byte strings."""

    def __init__(self, path=None, port=0, answer=None, reading=True):
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
        self.answer = answer  # called with (connection, line), and with (connection, None) at the end of the stream
        self.reading = reading
        self.streams = []  # what each connection brought
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
                while self.answer and data.find(b"\n", seen) >= 0:
                    end = data.index(b"\n", seen) + 1
                    self.answer(connection, bytes(data[seen:end]))
                    seen = end
                if not more:
                    if self.answer:
                        self.answer(connection, None)
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
        """Whole lines of all connections."""
        return [line for data in self.streams for line in bytes(data).split(b"\n")[:-1]]

    def close(self):
        self._shut(self.socket)
        self.thread.join()
        for connection in self.connections:  # all of them, now that no more are accepted
            self._shut(connection)
        for reader in self.readers:
            reader.join()
        for one in [self.socket, *self.connections]:
            one.close()


class Acked(Lines):
    """A daemon's side of acknowledged streams, that keeps the rules and remembers across connections (and, given
    `memory`, across receivers). What it does wrong on purpose, or late, is set by its attributes."""

    def __init__(self, path=None, port=0, memory=None, reading=True):
        self.memory = {} if memory is None else memory  # client: last number taken
        self.taken = []  # (client, seq, line)
        self.hellos, self.byes, self.problems = [], [], []
        self.duplicates = 0
        self.acking = True
        self.rejecting = {}  # seq: code
        self.greeting = None  # called with the client, gives the whole answer to its hello
        self.cut_after = None  # closes the connection after so many messages, once, before the ack
        self.names = {}  # connection: client
        super().__init__(path, port, self._line, reading)

    @property
    def lines(self):
        return [line for _, _, line in self.taken]

    def _say(self, connection, answer):
        connection.sendall(json.dumps(answer).encode() + b"\n")

    def _line(self, connection, line):
        if line is None:
            return
        message = json.loads(line)
        if "hello" in message:
            client = message["hello"]["client"]
            self.names[connection] = client
            self.hellos.append(message["hello"])
            if self.greeting:
                self._say(connection, self.greeting(client))
                return
            self._say(connection, {"hello": {"protocol": 1, "last_seq": self.memory.setdefault(client, 0),
                                             "max_message": 16 << 20}})
            return
        client = self.names[connection]
        if message == {"bye": True}:
            self.byes.append(client)
            self.memory.pop(client, None)
            return
        seq, last = message["seq"], self.memory[client]
        if seq > last + 1:
            self.problems.append(f"a gap: {seq} after {last}")
            self._say(connection, {"reject": {"code": "sequence", "expected": last + 1, "message": "a gap"}})
            self._shut(connection)
            return
        if seq <= last:
            self.duplicates += 1
        else:
            self.memory[client] = seq
            if seq in self.rejecting:
                self._say(connection, {"reject": {"seq": seq, "code": self.rejecting[seq], "message": "no"}})
            else:
                self.taken.append((client, seq, line.rstrip(b"\n")))
        if self.cut_after is not None and len(self.taken) >= self.cut_after:
            self.cut_after = None
            self._shut(connection)
            raise OSError
        if self.acking:
            self._say(connection, {"ack": self.memory[client]})
