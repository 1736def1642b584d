"""Row 16: reload with a bad configuration under load; no connection is closed, nothing is lost.

That all of the old configuration stays and a good one is taken afterwards: tests/integration/test_lifecycle.py,
test_reload_of_a_bad_file_keeps_the_old.
"""
import signal
import socket

import checker
from support.daemon import wait_until

BAD = ["[log]\nlevel = loud\n", "[ingest]\nmax_message = -1\n", "[nonsense]\nkey = 1\n", "store\n", "\0\xff\n" * 1000,
       "[store]\nflush_interval = 1h\nflush_interval = x\n", None]


def test_under_load(prepare, scale, figure):
    one = prepare(None, "[log]\nlevel = info\n").start()
    good = one.config.read_text()
    clients = [checker.Sent(n + 1) for n in range(4)]
    problems, tries = [], 0
    ways = []
    for n in range(4):
        way = socket.socket(socket.AF_UNIX) if n % 2 else socket.create_connection(one.address("tcp"))
        if n % 2:
            way.connect(str(one.settings["ingest.unix_stream"]))
        ways.append(way)
    listeners = one.status()["listeners"]

    def send():
        for way, client in zip(ways, clients):
            for _ in range(20):
                client.last += 1
                way.sendall(checker.text(client.client, client.last) + b"\n")

    for text in BAD * scale.choose(1, 20):
        tries += 1
        said = len(one.log_text())
        send()
        if text is None:
            one.config.unlink()
        else:
            one.config.write_text(text)
        one.process.send_signal(signal.SIGHUP)
        send()
        wait_until(lambda: "timesliced.conf" in one.log_text()[said:], lambda: f"{text!r}: {one.log_text()[said:]}")
        one.config.write_text(good)
    send()
    one.flush()
    for client in clients:
        client.confirmed = client.last
    status = one.status()
    if status["listeners"] != listeners or status["connections"]["open"] != len(ways):
        problems.append(f"connections or listeners are gone: {status}")
    for way in ways:
        way.shutdown(socket.SHUT_WR)
        if answers := way.recv(1000):
            problems.append(f"answered {answers}")
        way.close()
    problems += checker.judge(one.db, clients) + checker.balance(one.idle())
    figure("16 reload of a bad configuration", tries, problems,
           f"{sum(client.last for client in clients)} messages over 4 connections, all open")
