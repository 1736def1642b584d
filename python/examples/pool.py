"""A pool of worker processes: one client, made before the fork; each worker sends its own profiles.

    python examples/pool.py [TASKS]

The pool is closed and joined. Leaving a `with Pool()` block calls terminate(), which kills the workers: their unsent
profiles would be lost, or, with a spool, sent at the next start.
"""
import json
import multiprocessing
import sys

import timesliced

client = timesliced.Client(labels={"example": "pool"})


@client.profiled
def task(n):
    records = [{"n": i, "square": i * i} for i in range(n)]
    return len(json.dumps(records, indent=1, sort_keys=True))


def main(tasks):
    context = multiprocessing.get_context("fork")
    pool = context.Pool(4)
    sizes = pool.map(task, range(100, 100 + tasks), 1)
    pool.close()
    pool.join()
    print(f"{len(sizes)} tasks, {sum(sizes)} characters")
    return 0 if client.close() else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
