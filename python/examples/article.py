"""The loop of the article that timesliced comes from: functions that wait and call each other, one profile a turn.

    python examples/article.py [SECONDS]

The address is $TIMESLICED_ADDRESS, else udp://127.0.0.1:8137. Afterwards:

    python -m timesliced plot --last 10m -o profile.png
"""
import random
import sys
import time

import timesliced


def sleep1():
    time.sleep(random.uniform(0.001, 0.01))


def sleep2():
    time.sleep(random.uniform(0.001, 0.02))
    sleep1()


def _sleep3():
    for _ in range(random.randint(1, 3)):
        sleep2()


def main(seconds):
    with timesliced.Client(labels={"example": "article"}) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with client.profile():
                random.choice((sleep1, sleep2, _sleep3))()
        delivered = client.flush()
        print(f"{client.stats.sent} profiles sent")
    return 0 if delivered else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0))
