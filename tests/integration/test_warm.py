"""After a warm-up the ingest path calls no malloc per message, for any transport and form of message."""
import json
import pathlib
import socket
import struct
import subprocess

import pytest
from support import daemon as support

COUNTER = pathlib.Path(support.BINARY).parents[1] / "tests" / "libmalloc_count.so"
FEW, MANY = 50, 1050
SPARE = 200  # calls; enough for a few status requests, not for a thousand messages


def message(n, shuffled=False):
    entries = {}
    for i in range(120):
        entry = {"ncalls": f"{n + i}/{i}", "tottime": 0.001 * n, "percall_tottime": 0.0, "cumtime": 0.125 * i,
                 "percall_cumtime": 1e-05, "file_name": f"/app/module_{i % 7}.py", "line_number": i}
        entries[f"_function_{i}é" if i % 10 == 0 else f"_function_{i}"] = (
            dict(reversed(entry.items())) if shuffled else entry)
    if shuffled:
        return json.dumps({"labels": {"service": "web"}, "timestamp": 1732272000.5 + n % 50, "part": [0, 1],
                           "profile": {"func_profiles": entries, "total_tt": 1}}).encode()
    return json.dumps([1732272000.5 + n % 50, {"total_tt": 1.5, "func_profiles": entries}]).encode()


def stream(daemon, messages):
    """Sends in pieces that end within lines. Waits until the daemon closes the connection, so it has counted all."""
    data = b"".join(message + b"\n" for message in messages)
    with socket.create_connection(daemon.address("tcp")) as sock:
        for at in range(0, len(data), 200_003):
            sock.sendall(data[at:at + 200_003])
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""


def datagrams(daemon, messages):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sock.settimeout(15)
        for message in messages:
            sock.sendto(message, str(daemon.settings["ingest.unix_datagram"]))


@pytest.mark.parametrize("send", [stream, datagrams])
@pytest.mark.parametrize("shuffled", [False, True])
def test_ingest_calls_no_malloc_after_warm_up(new_daemon, tmp_path, send, shuffled):
    loaded = subprocess.run(["ldd", support.BINARY], capture_output=True, check=True).stdout
    if b"libasan" in loaded or b"libtsan" in loaded:
        pytest.skip("a sanitizer has its own malloc")
    counter = tmp_path / "count"
    counter.write_bytes(bytes(8))
    daemon = new_daemon({"store.flush_interval": "1h"})
    daemon.spawn(env={"LD_PRELOAD": str(COUNTER), "MALLOC_COUNT": str(counter), "PATH": "/usr/bin"})
    daemon.wait_ready()

    def count(n):
        """The number of malloc calls for n messages and a status request."""
        before = struct.unpack("Q", counter.read_bytes())[0]
        messages = [message(k, shuffled) for k in range(n)]
        received = daemon.status()["received"]
        start = struct.unpack("Q", counter.read_bytes())[0]
        send(daemon, messages)
        if send is datagrams:  # may take more than one status request
            support.wait_until(lambda: daemon.status()["received"] == received + n)
        assert daemon.status()["received"] == received + n
        assert start >= before > 0
        return struct.unpack("Q", counter.read_bytes())[0] - start

    count(FEW)
    count(MANY)
    few = min(count(FEW) for _ in range(3))
    many = min(count(MANY) for _ in range(3))
    print(f"malloc calls: {few} with {FEW} messages, {many} with {MANY}")
    assert many - few <= SPARE
