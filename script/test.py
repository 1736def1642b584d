"""The steps of script/test. One line each; of a failed one the whole output.

What is counted: the test cases of unit tests (meson), of integration tests (pytest), of the Python package and of
script/ (unittest); every other step counts as one. A step that says nothing of its cases, or ends badly though all of them
passed, counts as one failure: nothing fails unseen.

Every step's command runs in a process group of its own. What is left of the group when the command ends is ended, and
is a failure: tests clean up. Files go into a temporary folder and into build*/, so other clones may run beside this.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3"
MESON = "/usr/bin/meson"
CORES = os.cpu_count() or 1
STEP_LIMIT = 1200  # seconds; a step that takes longer hangs
LEFTOVER_PATIENCE = 3  # seconds that what a step started may take to be gone after it

# What `meson install` puts where, no more and no less.
INSTALLED = {
    "etc/timesliced/timesliced.conf": 0o644,
    "usr/bin/timeslicectl": 0o755,
    "usr/bin/timesliced": 0o755,
    "usr/lib/systemd/system/timesliced.service": 0o644,
    **{f"usr/lib/systemd/system/timesliced-{name}.socket": 0o644
       for name in ("control", "http", "tcp", "udp", "unix-datagram", "unix-stream")},
    "usr/lib/sysusers.d/timesliced.conf": 0o644,
    "usr/share/bash-completion/completions/timesliced": 0o644,
    "usr/share/bash-completion/completions/timeslicectl": 0o644,
    "usr/share/man/man1/timeslicectl.1": 0o644,
    "usr/share/man/man5/timesliced.conf.5": 0o644,
    "usr/share/man/man7/timesliced.7": 0o644,
    "usr/share/man/man8/timesliced.8": 0o644,
    "usr/share/zsh/vendor-completions/_timesliced": 0o644,
    "usr/share/zsh/vendor-completions/_timeslicectl": 0o644,
    **{f"usr/share/doc/timesliced/examples/{name}.conf": 0o644
       for name in ("beyond-loopback", "credential", "database-elsewhere", "sealed", "threads")},
}

THREAD_SANITIZER = {"TSAN_OPTIONS": "halt_on_error=1:exitcode=66"}  # a daemon that ends so fails its test
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


class StepFailed(Exception):
    """In words, after what the log has."""


class Counts:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


class Runner:
    def __init__(self, folder):
        self.folder = folder
        self.total = Counts()
        self.failed_steps = []
        self.groups = set()  # of the commands that run now

    def command(self, words, log, env=None, cwd=ROOT):
        """Runs it, its output into log. Gives the exit code."""
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        log.write(f"$ {' '.join(map(str, words))}\n")
        log.flush()
        process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, cwd=cwd, env=environment, start_new_session=True)
        self.groups.add(process.pid)
        try:
            code = process.wait(STEP_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.groups.discard(process.pid)
            raise StepFailed(f"not done after {STEP_LIMIT} s") from None
        left = self.end_group(process.pid)
        if left:
            raise StepFailed("it left processes behind")
        return code

    def end_group(self, group):
        """True where some of the group had to be killed."""
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
        """run(log) gives Counts, or an exit code; its failure is counted, not raised. Gives Counts, seconds, the log."""
        begin = time.monotonic()
        path = self.folder / f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}.log"
        with open(path, "a", encoding="utf-8") as log:  # appending, as the commands do to the same file
            try:
                result = run(log)
                if not isinstance(result, Counts):
                    result = Counts(passed=int(result == 0), failed=int(result != 0))
            except (StepFailed, OSError, xml.etree.ElementTree.ParseError) as problem:
                log.write(f"{problem}\n")
                result = Counts(failed=1)
        return result, time.monotonic() - begin, path

    def step(self, name, run):
        show_progress(name)
        return self.report(name, *self.measure(name, run))

    def together(self, steps):
        """[(name, run)], as many at once as there are cores: for what waits more than it computes."""
        show_progress(", ".join(name for name, _ in steps))
        with concurrent.futures.ThreadPoolExecutor(CORES) as pool:
            for (name, _), done in zip(steps, [pool.submit(self.measure, *step) for step in steps]):
                self.report(name, *done.result())

    def report(self, name, result, took, path):
        self.total.add(result)
        clear_progress()
        words = [f"{result.passed} passed", *([f"{result.failed} failed"] if result.failed else []),
                 *([f"{result.skipped} skipped"] if result.skipped else [])]
        verdict = "FAILED" if result.failed else "ok"
        print(f"{verdict:<6}  {name:<33}  {', '.join(words):<25}  {took:5.1f} s", flush=True)
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


# Counting. Each gives Counts with at least one case.

def count_junit(path, code):
    counts = Counts()
    root = xml.etree.ElementTree.parse(path).getroot()
    suites = [root] if root.tag == "testsuite" else root.findall("testsuite")
    for suite in suites:
        bad = 0
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                bad += 1
            elif case.find("skipped") is not None:
                counts.skipped += 1
            else:
                counts.passed += 1
        said = int(suite.get("failures") or 0) + int(suite.get("errors") or 0)
        counts.failed += max(bad, 1 if said else 0)
    return at_least(counts, code)


def count_unittest(log, code):
    text = text_of(log)
    ran = re.findall(r"^Ran (\d+) tests? in ", text, re.M)
    if not ran:
        return Counts(failed=1)
    verdict = re.findall(r"^(?:OK|FAILED)(?: \((.*)\))?$", text, re.M)
    words = dict(re.findall(r"([a-z ]+)=(\d+)", verdict[-1] if verdict else ""))
    number = {name.strip(): int(n) for name, n in words.items()}
    failed = number.get("failures", 0) + number.get("errors", 0) + number.get("unexpected successes", 0)
    skipped = number.get("skipped", 0) + number.get("expected failures", 0)
    return at_least(Counts(max(0, int(ran[-1]) - failed - skipped), failed, skipped), code)


def at_least(counts, code):
    """A run that ended badly, or ran nothing, has failed."""
    if not counts.failed and (code != 0 or not counts.passed):
        counts.failed = 1
    return counts


# The steps.

class Build:
    def __init__(self, runner, name, options=(), compiler="gcc", env=None):
        self.runner = runner
        self.name = name
        self.folder = ROOT / name
        self.options = ["-Dwerror=true", *options]
        self.env = {"CC": compiler, **(env or {})}

    def run(self, log):
        if (self.folder / "meson-private" / "coredata.dat").exists():
            # Fails where the folder was made by another meson, or at another place: then anew.
            if self.runner.command([MESON, "setup", "--reconfigure", self.folder, *self.options], log, self.env):
                shutil.rmtree(self.folder)
        if not self.folder.exists():
            code = self.runner.command([MESON, "setup", self.folder, *self.options], log, self.env)
            if code:
                return code
        code = self.runner.command([MESON, "compile", "-C", self.folder], log, self.env)
        # meson's own warnings, and the linker's, are no errors to -Werror.
        return code or bool(re.search(r"\bwarning:", text_of(log), re.I))

    def unit(self, multiplier):
        def run(log):
            code = self.runner.command([MESON, "test", "-C", self.folder, "--no-rebuild", "--print-errorlogs",
                                        "--timeout-multiplier", multiplier], log, self.env)
            return count_junit(self.folder / "meson-logs" / "testlog.junit.xml", code)
        return run

    def integration(self, patience, select=None, folder="integration", workers=min(2 * CORES, 8)):
        def run(log):
            binaries = {"TIMESLICED": self.folder / "daemon" / "timesliced",
                        "TIMESLICECTL": self.folder / "ctl" / "timeslicectl",
                        "TIMESLICED_DECODE": self.folder / "tests" / "decode",
                        "TIMESLICED_STORE": self.folder / "tests" / "store"}
            for binary in binaries.values():
                if not os.access(binary, os.X_OK):
                    raise StepFailed(f"{binary} is not built")
            report = self.runner.folder / f"{self.name}-{folder}.xml"
            words = [PYTHON, "-m", "pytest", "-n", workers, "-q", "-rs", "-p", "no:cacheprovider",
                     f"--junitxml={report}", f"tests/{folder}"]
            code = self.runner.command(words + (["-k", select] if select else []), log,
                                       {**self.env, **{name: str(path) for name, path in binaries.items()},
                                        "TIMESLICED_PATIENCE": str(patience)})
            return count_junit(report, code)
        return run


def unittests(runner, python, folder):
    def run(log):
        code = runner.command([python, "-m", "unittest", "discover", "-v", "-s", folder], log,
                              {"PYTHONPATH": str(ROOT / "python")})
        return count_unittest(log, code)
    return run


def find_pythons():
    """One of each version from 3.9 on: [("3.11", path)]. Debian's stands for its version."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv")
    candidates = [PYTHON, *sorted(map(str, pathlib.Path("/usr/bin").glob("python3.*[0-9]"))), shutil.which("python3"),
                  *sorted(map(str, pyenv.glob("versions/3.*/bin/python3")))]
    found = {}
    for path in filter(None, candidates):
        asked = subprocess.run([path, "-c", "import sys; print(*sys.version_info[:2])"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, check=False)
        words = asked.stdout.split()
        if asked.returncode == 0 and len(words) == 2 and (int(words[0]), int(words[1])) >= (3, 9):
            found.setdefault((int(words[0]), int(words[1])), path)
    return [(f"{major}.{minor}", path) for (major, minor), path in sorted(found.items())]


def installation(runner, build):
    """What `meson install` leaves in an empty folder, and what the installed pieces say of themselves."""
    tree = runner.folder / "tree"

    def run(log):
        code = runner.command([MESON, "install", "-C", build.folder, "--no-rebuild", "--destdir", tree], log)
        if code:
            return code
        found = {str(path.relative_to(tree)): path.stat().st_mode & 0o7777
                 for path in tree.rglob("*") if not path.is_dir()}
        for path in sorted(INSTALLED.keys() | found.keys()):
            if found.get(path) != INSTALLED.get(path):
                modes = [f"{where[path]:04o}" if path in where else "absent" for where in (INSTALLED, found)]
                log.write("{}: should be {}, is {}\n".format(path, *modes))
                code = 1
        daemon = tree / "usr/bin/timesliced"
        code |= runner.command([daemon, "--check-config", "--config", tree / "etc/timesliced/timesliced.conf"], log)
        return code
    return run, tree


def systemd_unit(runner, tree):
    """systemd-analyze wants the program that the unit names to be there: a copy names the one in the folder, where its
    neighbours are, so that nothing else of the unit differs from the installed one. Any word it says is a failure."""
    def run(log):
        units = tree / "usr/lib/systemd/system"
        text = (units / "timesliced.service").read_text()
        if text.count("ExecStart=/usr/bin/timesliced\n") != 1:
            raise StepFailed(f"{units}/timesliced.service: no line ExecStart=/usr/bin/timesliced")
        copies = runner.folder / "verify"
        shutil.copytree(units, copies)
        (copies / "timesliced.service").write_text(text.replace("=/usr/bin/timesliced",
                                                                f"={tree}/usr/bin/timesliced"))
        code = runner.command(["systemd-analyze", "--man=no", "verify", *sorted(copies.iterdir())], log)
        return code or len(text_of(log).splitlines()) > 1  # more than the command itself
    return run


def sysusers(runner, tree):
    def run(log):
        code = runner.command(["systemd-sysusers", "--dry-run", f"--root={tree}", "timesliced.conf"], log)
        text = text_of(log)
        for kind in ("group", "user"):
            if not re.search(rf"{kind}\W+timesliced\b", text, re.I):
                raise StepFailed(f"systemd-sysusers would create no {kind} timesliced")
        return code
    return run


def main():
    parser = argparse.ArgumentParser(prog="script/test", description="Builds, and runs all checks and tests.")
    parser.add_argument("--quick", action="store_true", help="one build, one Python, no sanitizers")
    parser.add_argument("-k", metavar="EXPR", dest="select", help="only integration tests that pytest selects by EXPR")
    options = parser.parse_args()

    folder = pathlib.Path(tempfile.mkdtemp(prefix="timesliced-test-"))
    runner = Runner(folder)

    def interrupted(number, _frame):
        runner.interrupt()
        sys.exit(128 + number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    begin = time.monotonic()
    try:
        run_all(runner, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if runner.failed_steps:
        print(f"failed: {', '.join(runner.failed_steps)}")
    minutes, seconds = divmod(int(time.monotonic() - begin), 60)
    skipped = f"; {runner.total.skipped} skipped, see above" if runner.total.skipped else ""
    print(f"took {minutes} min {seconds:02} s{skipped}")
    print(f"{runner.total.passed} passed, {runner.total.failed} failed", flush=True)
    return 1 if runner.total.failed else 0


def run_all(runner, options):
    plain = Build(runner, "build")
    if options.select:
        if runner.step("build", plain.run):
            runner.step("integration tests", plain.integration(30, options.select))
        return

    names = subprocess.run(["script/lint", "--list"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for name in names.stdout.split():
        runner.step(f"lint: {name}", lambda log, name=name: runner.command(["script/lint", name], log))
    runner.step("script/", unittests(runner, PYTHON, "tests/scripts"))

    if runner.step("build", plain.run):
        runner.step("unit tests", plain.unit(1))
        install, tree = installation(runner, plain)
        if runner.step("installation", install):
            runner.step("systemd unit", systemd_unit(runner, tree))
            runner.step("systemd user and group", sysusers(runner, tree))
        runner.step("integration tests", plain.integration(30))
    runner.step("python/, types", lambda log: runner.command(
        ["mypy", "--cache-dir=/dev/null", "--config-file=pyproject.toml", "timesliced"], log, cwd=ROOT / "python"))
    pythons = [("3", PYTHON)] if options.quick else find_pythons()
    print(f"        Pythons found: {', '.join(f'{version} ({python})' for version, python in pythons)}", flush=True)
    runner.together([(f"python/, Python {version}", unittests(runner, python, "python/tests")) for version, python in pythons])
    if options.quick:
        return

    runner.step("faults, in short", plain.integration(30, folder="faults", workers=CORES))
    clang = Build(runner, "build-clang", compiler="clang")
    runner.step("build with clang", clang.run)
    # -O3 beside a sanitizer makes gcc see null pointers that are none.
    sanitized = ["-Db_lundef=false", "-Doptimization=2"]
    checked = Build(runner, "build-asan", ["-Db_sanitize=address,undefined", *sanitized], env=SANITIZERS)
    if runner.step("build with sanitizers", checked.run):
        runner.step("unit tests with sanitizers", checked.unit(5))
        runner.step("integration tests with sanitizers", checked.integration(90))
    threads = Build(runner, "build-tsan", ["-Db_sanitize=thread", *sanitized], env=THREAD_SANITIZER)
    if runner.step("build with the thread sanitizer", threads.run):
        runner.step("integration tests with the thread sanitizer", threads.integration(90))


if __name__ == "__main__":
    sys.exit(main())
