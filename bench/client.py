"""The Python package's figures, those of docs/python.md. Each is a program of its own, and fails where a goal is missed.

    /usr/bin/python3 bench/client.py BUILD [WHAT...]

    fidelity   60 real profiles, each function's figures in the daemon against those of Profile.getstats()
    cost       what send() costs the application's thread, and the whole process, against CPython's own way
    flask      how much slower a request loop is with the middleware at max_overhead=0.05 (needs Flask)
    kills      exactly once: application, daemon, or both killed, 200 times, with the spool
    fork       8 workers forked from a profiled parent: what the daemon has is what they did
    absent     an application whose daemon is not there

BUILD is the build folder. Any Python from 3.9 on will do, but for flask one that has it. The package is the one beside
this folder; the daemon is the real program, in a folder and on ports of its own.
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
    """rows: (what, measured, goal, whether it is met). Gives whether all are."""
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
