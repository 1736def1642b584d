"""python3 drip.py N SECONDS ADDRESS...: N connections in the middle of a line or of a request, a byte each SECONDS.

A program of its own, so that it takes nothing from the senders that are measured. Prints "ready", then at the end of
its input how many connections are still open.
"""
import select
import socket
import sys
import time


def main():
    number, pause, addresses = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    ways = []
    for n in range(number):
        address = addresses[n % len(addresses)]
        if address.startswith("/"):
            way = socket.socket(socket.AF_UNIX)
            way.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            way = socket.create_connection((host, int(port)))
        # Of a line and of a request alike only the beginning.
        way.sendall(b"GET /v1/status HTTP/1.1\r\nX: " if address.endswith("c.sock") else b'{"timestamp": 1, "x": "')
        way.setblocking(False)
        ways.append(way)
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        begun = time.monotonic()
        for way in ways[:]:
            try:
                way.send(b"y")
                if way.recv(4096) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                way.close()
                ways.remove(way)
        select.select([sys.stdin], [], [], max(0, pause - (time.monotonic() - begun)))
    print(len(ways), flush=True)


main()
