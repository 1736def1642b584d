"""Measures the Python package: the tables of docs/python.md. Exit code 1 if a goal is missed.

    /usr/bin/python3 bench/client.py BUILD [WHAT...]

    fidelity   60 real profiles: each function in the daemon compared with Profile.getstats()
    cost       CPU time of send() on the application's thread and on all threads, relative to CPython's conversion
    flask      slowdown of a request loop by the middleware with max_overhead=0.05 (needs Flask)
    kills      exactly once, with the spool: application, daemon or both are killed 200 times
    fork       8 workers forked from a profiled parent: the daemon's sums are equal to their calls
    absent     an application without a daemon

BUILD is the build folder. Any Python from 3.9 on can run it; `flask` needs one with Flask. Uses the package in python/,
and starts daemons in temporary folders on free ports.
"""
import pathlib
import platform
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
for folder in ("python", "tests", "bench"):
    sys.path.insert(0, str(ROOT / folder))

import client_cost  # noqa: E402
import client_fidelity  # noqa: E402
import client_flask  # noqa: E402
import client_kills  # noqa: E402
import client_life  # noqa: E402

MEASURES = {"fidelity": client_fidelity.measure, "cost": client_cost.measure, "flask": client_flask.measure,
            "kills": client_kills.measure, "fork": client_life.fork, "absent": client_life.absent}


def table(name, rows):
    """rows: (what, measured, goal, True if it is met). Returns True if all are met."""
    print(f"\n**{name}**, Python {platform.python_version()}\n\n| what | measured | goal |\n| --- | --- | --- |")
    for what, measured, goal, met in rows:
        print(f"| {what} | {measured}{'' if met else ' **missed**'} | {goal} |")
    sys.stdout.flush()
    return all(met for *_, met in rows)


def main():
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(MEASURES):
        raise SystemExit(__doc__)
    build = pathlib.Path(sys.argv[1]).resolve()
    return 0 if all([table(name, MEASURES[name](build)) for name in sys.argv[2:] or MEASURES]) else 1


if __name__ == "__main__":
    sys.exit(main())
