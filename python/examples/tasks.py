"""asyncio: each call of a coroutine function is one profile of its own steps, without those of concurrent tasks.

    python examples/tasks.py [TASKS]
"""
import asyncio
import json
import random
import sys

import timesliced

client = timesliced.Client(labels={"example": "asyncio"})


def parse(text):
    return json.loads(text)


async def fetch(n):
    await asyncio.sleep(random.uniform(0.01, 0.05))  # time spent waiting is in no function
    return json.dumps(list(range(n)))


@client.profiled
async def handle(n):
    total = 0
    for _ in range(3):
        total += sum(parse(await fetch(n)))
    return total


async def main(tasks):
    totals = await asyncio.gather(*(handle(100 + n) for n in range(tasks)))
    print(f"{len(totals)} tasks, sum {sum(totals)}")
    # close() may block, so it is not called in the thread of the event loop.
    return 0 if await asyncio.get_running_loop().run_in_executor(None, client.close) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)))
