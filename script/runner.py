"""Runs the steps of script/test, counts passed, failed and skipped test cases, and prints one line per step, plus the
complete output of a step that failed.

A step is a function run(log) that returns Counts, or an exit code, which counts as one passed or failed case. A step
without any test case, or with a non-zero exit code although all its cases passed, counts as one failure, so that no
failure goes unnoticed.

Each command runs in its own process group. Processes of the group that are still alive shortly after the command ended
are killed and reported as a failure, because tests must clean up.
"""
import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
CORES = os.cpu_count() or 1
STEP_LIMIT = 1200  # seconds; a command that takes longer is considered hung
LEFTOVER_PATIENCE = 3  # seconds after the end of a command for processes it started to end, too


class StepFailed(Exception):
    """A failure other than an exit code; its message is appended to the log of the step."""


class Counts:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


class Runner:
    """`folder` receives the logs. `total` and `failed_steps` are the results so far."""

    def __init__(self, folder):
        self.folder = folder
        self.total = Counts()
        self.failed_steps = []
        self.groups = set()  # process groups of the running commands

    def command(self, arguments, log, env=None, cwd=ROOT):
        """Runs a command with its output appended to the log. Returns the exit code."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        log.write(f"$ {' '.join(map(str, arguments))}\n")
        log.flush()
        process = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, cwd=cwd, env=environment, start_new_session=True)
        self.groups.add(process.pid)
        try:
            code = process.wait(STEP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.groups.discard(process.pid)
            raise StepFailed(f"killed after {STEP_LIMIT} s") from None
        if self.kill_leftovers(process.pid):
            raise StepFailed("the command left processes running")
        return code

    def kill_leftovers(self, group):
        """Waits until the process group is empty. True if some of it had to be killed."""
        end = time.monotonic() + LEFTOVER_PATIENCE
        while time.monotonic() < end:
            try:
                os.killpg(group, 0)
            except ProcessLookupError:
                self.groups.discard(group)
                return False
            time.sleep(0.02)
        os.killpg(group, signal.SIGKILL)
        self.groups.discard(group)
        return True

    def interrupt(self):
        for group in list(self.groups):
            os.killpg(group, signal.SIGKILL)

    def measure(self, name, run):
        """Returns (Counts, seconds, path of the log). A failure is counted, never raised."""
        begin = time.monotonic()
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.log"
        with open(path, "a", encoding="utf-8") as log:  # append mode, because the commands write to the same file
            try:
                result = run(log)
                if not isinstance(result, Counts):
                    result = Counts(passed=int(result == 0), failed=int(result != 0))
            except (StepFailed, OSError, xml.etree.ElementTree.ParseError) as problem:
                log.write(f"{problem}\n")
                result = Counts(failed=1)
        return result, time.monotonic() - begin, path

    def step(self, name, run):
        """True if the step passed."""
        show_progress(name)
        return self.report(name, *self.measure(name, run))

    def parallel_steps(self, steps):
        """Runs [(name, run)], as many at a time as there are cores; for steps that mostly wait."""
        show_progress(", ".join(name for name, _ in steps))
        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            for (name, _), done in zip(steps, [pool.submit(self.measure, *step) for step in steps]):
                self.report(name, *done.result())

    def report(self, name, result, seconds, path):
        self.total.add(result)
        clear_progress()
        counts = [f"{result.passed} passed", *([f"{result.failed} failed"] if result.failed else []),
                  *([f"{result.skipped} skipped"] if result.skipped else [])]
        verdict = "FAILED" if result.failed else "ok"
        print(f"{verdict:<6}  {name:<33}  {', '.join(counts):<25}  {seconds:5.1f} s", flush=True)
        text = path.read_text(encoding="utf-8", errors="replace")
        if result.failed:
            self.failed_steps.append(name)
            print(f"{'-' * 30} output of: {name}\n{text.rstrip()}\n{'-' * 30} end of: {name}", flush=True)
        elif result.skipped:
            for line in re.findall(r"^(?:SKIPPED.*|.*\.\.\. skipped.*)$", text, re.M):
                print(f"        {line}", flush=True)
        return not result.failed


def text_of(log):
    log.flush()
    return pathlib.Path(log.name).read_text(encoding="utf-8", errors="replace")


def show_progress(name):
    if sys.stdout.isatty():
        print(f"...     {name}", end="", flush=True)


def clear_progress():
    if sys.stdout.isatty():
        print("\r\x1b[K", end="")


def count_junit(path, code):
    """Counts of a JUnit file, as meson and pytest write it; `code` is the exit code of the run."""
    counts = Counts()
    root = xml.etree.ElementTree.parse(path).getroot()
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    for suite in suites:
        failed = 0
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is not None:
                counts.skipped += 1
            else:
                counts.passed += 1
        # A test program that crashes is a failure of its suite without a failed case.
        reported = int(suite.get("failures") or 0) + int(suite.get("errors") or 0)
        counts.failed += max(failed, 1 if reported else 0)
    return require_cases(counts, code)


def count_unittest(log, code):
    """Counts of the summary that Python's unittest prints."""
    text = text_of(log)
    ran = re.findall(r"^Ran (\d+) tests? in ", text, re.M)
    if not ran:
        return Counts(failed=1)
    verdict = re.findall(r"^(?:OK|FAILED)(?: \((.*)\))?$", text, re.M)
    pairs = re.findall(r"([a-z ]+)=(\d+)", verdict[-1] if verdict else "")
    number = {name.strip(): int(n) for name, n in pairs}
    failed = number.get("failures", 0) + number.get("errors", 0) + number.get("unexpected successes", 0)
    skipped = number.get("skipped", 0) + number.get("expected failures", 0)
    return require_cases(Counts(max(0, int(ran[-1]) - failed - skipped), failed, skipped), code)


def require_cases(counts, code):
    """Counts a failure if the run failed although no case did, or if no case passed."""
    if not counts.failed and (code != 0 or not counts.passed):
        counts.failed = 1
    return counts
