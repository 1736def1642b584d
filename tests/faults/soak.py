"""script/soak: runs the fault tests in their long form and prints a table of the results.

A row of the table is a test's report, or its failure. Tests that CI expects to fail because of known defects count as
violations here.
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
SPARE_MINUTES = 20  # a row hangs if it takes this much longer than --minutes
WIDTHS = (44, 8, 11)


def rows():
    """{number: file}."""
    return {int(path.name.split("_")[2]): path for path in sorted(FOLDER.glob("test_row_*.py"))}


def parse(argv):
    known = rows()
    parser = argparse.ArgumentParser(prog="script/soak", description="Runs the fault tests in their long form. Exit "
                                     "code 1 if there are violations. See tests/faults/README.md.")
    parser.add_argument("--rows", default=",".join(map(str, known)), help="rows of the README's table, e.g. 1,3 (all)")
    parser.add_argument("--kills", type=int, default=1000, help="number of kills in row 1 (1000)")
    parser.add_argument("--minutes", type=float, default=5, help="time limit of tests that repeat a fault (5)")
    options = parser.parse_args(argv)
    try:
        options.rows = [int(number) for number in options.rows.split(",")]
    except ValueError:
        parser.error(f"--rows must be numbers separated by commas, not {options.rows}")
    if missing := [row for row in options.rows if row not in known]:
        parser.error(f"there is no row {missing[0]}; the rows are {', '.join(map(str, known))}")
    if options.kills < 1 or options.minutes <= 0:
        parser.error("--kills and --minutes must be positive")
    return options, known


def line(*cells):
    head = " ".join(str(cell).ljust(width) for cell, width in zip(cells, WIDTHS))
    print(f"{head} {cells[-1]}", flush=True)


def run(path, options, folder):
    """Runs one file. Returns rows of the table, as (fault, tries, violations, result)."""
    report, junit, log = (folder / f"{path.stem}.{end}" for end in ("jsonl", "xml", "log"))
    environment = {**os.environ, "TIMESLICED_SOAK": "1", "TIMESLICED_SOAK_KILLS": str(options.kills),
                   "TIMESLICED_SOAK_MINUTES": str(options.minutes), "TIMESLICED_SOAK_REPORT": str(report),
                   "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--runxfail", "--tb=short",
             f"--junitxml={junit}", str(path)]
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output,
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
    reports = [json.loads(text) for text in report.read_text().splitlines()] if report.exists() else []
    table = [(row["fault"], row["tries"], row["violations"], row["result"]) for row in reports]
    # Tests that failed without a report or after it, when their daemons were checked.
    failed = list(failures(junit)) if junit.exists() else []
    violated = {row["test"].rsplit("::", 1)[-1] for row in reports if row["violations"]}
    table += [(name, "", 1, message) for name, message in failed if name not in violated]
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
