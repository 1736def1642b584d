"""Functions that sleep for 1, 2 and 3 units of time and call each other, with one profile per call.

    python examples/article.py [SECONDS]

The address is $TIMESLICED_ADDRESS, else udp://127.0.0.1:8137. Afterwards:

    python -m timesliced plot --last 10m -o profile.png
"""
import random
import sys
import time

import timesliced

UNIT = 0.002, 0.006  # seconds: the shortest and the longest sleep


def sleep1():
    time.sleep(random.uniform(*UNIT))


def sleep2():
    time.sleep(random.uniform(*UNIT))
    sleep1()


def _sleep3():  # stored as "sleep3": the daemon strips leading underscores
    time.sleep(random.uniform(*UNIT))
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
