"""Row 1: SIGKILL at random times under acknowledged load. The clients resume, and every message counts once."""
import random
import time

import pytest

import acked
import checker

VERIFY_EVERY = 25  # kills; reading the growing database takes time
READY_WITHIN = 2  # seconds


@pytest.mark.parametrize("threads", [1, 2])
def test_acknowledged_messages_count_once_despite_kills(start_daemon, scale, report, threads):
    daemon = start_daemon(ingest__threads=threads, store__ack_interval="10ms" if threads == 1 else "50ms")
    clients = [acked.Client(acked.connector(daemon, ("tcp", "unix")[n % 2]), n + 1, window=48, bad=n > 1, again=2 * n)
               for n in range(4)]
    sent = [client.sent for client in clients]
    rng = random.Random(threads)
    kills = max(1, (scale.kills + 2 - threads) // 2)
    problems, ready = [], []
    with acked.running(clients, problems):
        for n in range(kills):
            time.sleep(rng.uniform(0.01, 0.25))  # until a random time
            daemon.kill()
            ready.append(daemon.ready_seconds())
            if not scale.has_time():
                break
            if n % VERIFY_EVERY == VERIFY_EVERY - 1:
                problems += checker.verify(daemon.db, sent)
    problems += checker.verify(daemon.db, sent)
    for client in sent:
        if not client.last > len(ready):
            problems.append(f"client {client.client} sent {client.last} messages only")
    problems += checker.verify_counters(daemon.wait_idle())
    stored = sum(len(client.good(client.last)) for client in sent)
    if (profiles := daemon.get_json("/v1/top")["profiles"]) != stored:
        problems.append(f"{profiles} profiles are stored, {stored} were sent")
    if max(ready) > READY_WITHIN:
        problems.append(f"ready after {max(ready):.2f} s")
    report(f"1 SIGKILL, {threads} ingest threads", len(ready), problems,
           f"{stored} messages exactly once, {sum(client.resent for client in clients)} sent again, "
           f"ready within {max(ready):.2f} s")
