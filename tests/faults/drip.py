"""Opens connections that send incomplete lines or requests slowly.

    python3 drip.py N SECONDS ADDRESS...    N connections, which send a byte every SECONDS

A separate process, so that it does not slow down the senders that are measured. Prints "ready"; at the end of its input
prints the number of connections that are still open.
"""
import select
import socket
import sys
import time


def main():
    number, pause, addresses = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
    socks = []
    for n in range(number):
        address = addresses[n % len(addresses)]
        if address.startswith("/"):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            sock = socket.create_connection((host, int(port)))
        sock.sendall(b"GET /v1/status HTTP/1.1\r\nX: " if address.endswith("c.sock") else b'{"timestamp": 1, "x": "')
        sock.setblocking(False)
        socks.append(sock)
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        begun = time.monotonic()
        for sock in socks[:]:
            try:
                sock.send(b"y")
                if sock.recv(4096) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                sock.close()
                socks.remove(sock)
        select.select([sys.stdin], [], [], max(0, pause - (time.monotonic() - begun)))
    print(len(socks), flush=True)


main()
