"""script/soak: the fault tests in their long form, and one table of what they saw.

A row of the table is what one test reported, or how it failed. Known defects, which CI expects to fail, count here as
the violations that they are.
"""
import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
SPARE_MINUTES = 20  # that a row may take beyond its tests' --minutes before it counts as hanging
WIDTHS = (44, 8, 11)


def rows():
    """{number: file}."""
    return {int(path.name.split("_")[2]): path for path in sorted(FOLDER.glob("test_row_*.py"))}


def parse(argv):
    known = rows()
    parser = argparse.ArgumentParser(prog="script/soak", description="The fault tests in their long form. Exit code 1 "
                                     "where anything was violated. See tests/faults/README.md.")
    parser.add_argument("--rows", default=",".join(map(str, known)), help="of the README's table, for example 1,3; all")
    parser.add_argument("--kills", type=int, default=1000, help="of row 1 (1000)")
    parser.add_argument("--minutes", type=float, default=5, help="after which a test that repeats itself stops (5)")
    options = parser.parse_args(argv)
    try:
        options.rows = [int(word) for word in options.rows.split(",")]
    except ValueError:
        parser.error(f"--rows takes numbers with commas between, not {options.rows}")
    if missing := [row for row in options.rows if row not in known]:
        parser.error(f"there is no row {missing[0]} here; there are {', '.join(map(str, known))}")
    if options.kills < 1 or options.minutes <= 0:
        parser.error("--kills and --minutes are positive")
    return options, known


def line(*cells):
    head = " ".join(str(cell).ljust(width) for cell, width in zip(cells, WIDTHS))
    print(f"{head} {cells[-1]}", flush=True)


def run(path, options, folder):
    """Runs one file. Gives lines of the table, as (fault, tries, violations, figure)."""
    report, junit, log = (folder / f"{path.stem}.{end}" for end in ("jsonl", "xml", "log"))
    environment = {**os.environ, "TIMESLICED_SOAK": "1", "TIMESLICED_SOAK_KILLS": str(options.kills),
                   "TIMESLICED_SOAK_MINUTES": str(options.minutes), "TIMESLICED_SOAK_REPORT": str(report),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--runxfail", "--tb=short",
             f"--junitxml={junit}", str(path)]
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output, start_new_session=True)
        try:
            limit = 60 * (options.minutes + SPARE_MINUTES)
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = f"not done after {limit:.0f} s"
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    told = [json.loads(text) for text in report.read_text().splitlines()] if report.exists() else []
    table = [(row["fault"], row["tries"], row["violations"], row["result"]) for row in told]
    # A test that failed without telling: before it came to its figure, or after it, at the end of a daemon.
    failed = list(failures(junit)) if junit.exists() else []
    violated = {row["test"].rsplit("::", 1)[-1] for row in told if row["violations"]}
    table += [(name, "", 1, words) for name, words in failed if name not in violated]
    if code not in (0, 1) or (code == 1 and not failed):
        table.append((path.stem, "", 1, f"pytest: {code}"))
    if any(violations for _, _, violations, _ in table):
        print(f"    see {log}")
    return table


def failures(junit):
    for case in xml.etree.ElementTree.parse(junit).iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            line(case.get("name"), 0, 0, f"skipped: {skipped.get('message')}")
        for kind in ("failure", "error"):
            found = case.find(kind)
            if found is not None:
                yield case.get("name"), (found.get("message") or kind).split("\n")[0][:200]


def main():
    options, known = parse(sys.argv[1:])
    folder = pathlib.Path(tempfile.mkdtemp(prefix="timesliced-soak-"))
    begun, violations = time.monotonic(), 0
    line("fault", "tries", "violations", "result")
    for row in options.rows:
        for cells in run(known[row], options, folder):
            line(*cells)
            violations += cells[2]
    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
    print(f"{violations} violations; took {minutes} min {seconds:02} s; logs in {folder}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
