"""Row 16: reload of an invalid configuration under load. No connection is closed, and nothing is lost.

tests/integration/test_lifecycle.py checks that such a reload changes no setting.
"""
import signal
import socket

import checker
from support.daemon import wait_until

BAD = ["[log]\nlevel = loud\n", "[ingest]\nmax_message = -1\n", "[nonsense]\nkey = 1\n", "store\n", "\0\xff\n" * 1000,
       "[store]\nflush_interval = 1h\nflush_interval = x\n", None]


def test_invalid_reload_under_load_changes_nothing(new_daemon, scale, report):
    daemon = new_daemon(None, "[log]\nlevel = info\n").start()
    good = daemon.config.read_text()
    clients = [checker.Sent(n + 1) for n in range(4)]
    problems, tries = [], 0
    socks = []
    for n in range(4):
        sock = socket.socket(socket.AF_UNIX) if n % 2 else socket.create_connection(daemon.address("tcp"))
        if n % 2:
            sock.connect(str(daemon.settings["ingest.unix_stream"]))
        socks.append(sock)
    listeners = daemon.status()["listeners"]

    def send():
        for sock, client in zip(socks, clients):
            for _ in range(20):
                client.last += 1
                sock.sendall(checker.message(client.client, client.last) + b"\n")

    for text in BAD * scale.choose(1, 20):
        tries += 1
        logged = len(daemon.log_text())
        send()
        if text is None:
            daemon.config.unlink()
        else:
            daemon.config.write_text(text)
        daemon.process.send_signal(signal.SIGHUP)
        send()
        wait_until(lambda: "timesliced.conf" in daemon.log_text()[logged:],
                   lambda: f"{text!r}: {daemon.log_text()[logged:]}")
        daemon.config.write_text(good)
    send()
    daemon.flush()
    for client in clients:
        client.confirmed = client.last
    status = daemon.status()
    if status["listeners"] != listeners or status["connections"]["open"] != len(socks):
        problems.append(f"connections or listeners are gone: {status}")
    for sock in socks:
        sock.shutdown(socket.SHUT_WR)
        if responses := sock.recv(1000):
            problems.append(f"responses {responses}")
        sock.close()
    problems += checker.verify(daemon.db, clients) + checker.verify_counters(daemon.wait_idle())
    report("16 reload of an invalid configuration", tries, problems,
           f"{sum(client.last for client in clients)} messages over 4 connections, all open")
