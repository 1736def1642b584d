"""script/test: builds, and runs all checks and tests. runner.py describes how steps run and how cases are counted.

Only build*/ and a temporary folder are written, so several clones can be tested on one machine at the same time.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import installation
from runner import CORES, ROOT, Runner, StepFailed, count_junit, count_unittest, text_of

PYTHON = "/usr/bin/python3"  # Debian's, because it finds Debian's pytest
MESON = "/usr/bin/meson"
TIMEOUT = 30  # seconds that an integration test waits for an event
TIMEOUT_SANITIZED = 90

THREAD_SANITIZER = {"TSAN_OPTIONS": "halt_on_error=1:exitcode=66"}  # tests fail on this exit code of the daemon
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


class Build:
    """A build folder of meson, and the steps that build and test in it."""

    def __init__(self, runner, name, options=(), compiler="gcc", env=None):
        self.runner = runner
        self.name = name
        self.folder = ROOT / name
        self.options = ["-Dwerror=true", *options]
        self.env = {"CC": compiler, **(env or {})}

    def run(self, log):
        if (self.folder / "meson-private" / "coredata.dat").exists():
            # This fails if the folder was created by another version of meson or at another path.
            if self.runner.command([MESON, "setup", "--reconfigure", self.folder, *self.options], log, self.env):
                shutil.rmtree(self.folder)
        if not self.folder.exists():
            code = self.runner.command([MESON, "setup", self.folder, *self.options], log, self.env)
            if code:
                return code
        code = self.runner.command([MESON, "compile", "-C", self.folder], log, self.env)
        # -Werror does not cover warnings of meson and of the linker.
        return code or bool(re.search(r"\bwarning:", text_of(log), re.I))

    def unit(self, multiplier):
        def run(log):
            code = self.runner.command([MESON, "test", "-C", self.folder, "--no-rebuild", "--print-errorlogs",
                                        "--timeout-multiplier", multiplier], log, self.env)
            return count_junit(self.folder / "meson-logs" / "testlog.junit.xml", code)
        return run

    def integration(self, timeout, select=None, folder="integration", workers=min(2 * CORES, 8)):
        def run(log):
            binaries = {"TIMESLICED": self.folder / "daemon" / "timesliced",
                        "TIMESLICECTL": self.folder / "ctl" / "timeslicectl",
                        "TIMESLICED_DECODE": self.folder / "tests" / "decode",
                        "TIMESLICED_STORE": self.folder / "tests" / "store"}
            for binary in binaries.values():
                if not os.access(binary, os.X_OK):
                    raise StepFailed(f"{binary} is not built")
            report = self.runner.folder / f"{self.name}-{folder}.xml"
            arguments = [PYTHON, "-m", "pytest", "-n", workers, "-q", "-rs", "-p", "no:cacheprovider",
                         f"--junitxml={report}", f"tests/{folder}"]
            code = self.runner.command(arguments + (["-k", select] if select else []), log,
                                       {**self.env, **{name: str(path) for name, path in binaries.items()},
                                        "TIMESLICED_TEST_TIMEOUT": str(timeout)})
            return count_junit(report, code)
        return run


def unittests(runner, python, folder):
    def run(log):
        code = runner.command([python, "-m", "unittest", "discover", "-v", "-s", folder], log,
                              {"PYTHONPATH": str(ROOT / "python")})
        return count_unittest(log, code)
    return run


def find_pythons():
    """[("3.11", path)]: one interpreter of each installed version from 3.9 on, Debian's own if it has that version."""
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT") or pathlib.Path.home() / ".pyenv")
    candidates = [PYTHON, *sorted(map(str, pathlib.Path("/usr/bin").glob("python3.*[0-9]"))), shutil.which("python3"),
                  *sorted(map(str, pyenv.glob("versions/3.*/bin/python3")))]
    found = {}
    for path in filter(None, candidates):
        done = subprocess.run([path, "-c", "import sys; print(*sys.version_info[:2])"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode == 0 and re.fullmatch(r"\d+ \d+\n", done.stdout):
            version = tuple(map(int, done.stdout.split()))
            if version >= (3, 9):
                found.setdefault(version, path)
    return [(f"{major}.{minor}", path) for (major, minor), path in sorted(found.items())]


def main():
    parser = argparse.ArgumentParser(prog="script/test", description="Builds and runs all checks and tests.")
    parser.add_argument("--quick", action="store_true", help="one build, one Python, no sanitizers")
    parser.add_argument("-k", metavar="EXPR", dest="select", help="only integration tests that match EXPR (see pytest)")
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
            runner.step("integration tests", plain.integration(TIMEOUT, options.select))
        return
    check_sources(runner)
    test_plain_build(runner, plain)
    test_python(runner, options)
    if not options.quick:
        runner.step("fault tests", plain.integration(TIMEOUT, folder="faults", workers=CORES))
        test_other_builds(runner)


def check_sources(runner):
    names = subprocess.run(["script/lint", "--list"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    for name in names.stdout.split():
        runner.step(f"lint: {name}", lambda log, name=name: runner.command(["script/lint", name], log))
    runner.step("script/", unittests(runner, PYTHON, "tests/scripts"))


def test_plain_build(runner, plain):
    if not runner.step("build", plain.run):
        return
    runner.step("unit tests", plain.unit(1))
    tree = runner.folder / "tree"
    if runner.step("installation", installation.installed_files(runner, MESON, plain.folder, tree)):
        runner.step("systemd unit", installation.systemd_units(runner, tree))
        runner.step("systemd user and group", installation.system_user(runner, tree))
    runner.step("integration tests", plain.integration(TIMEOUT))


def test_python(runner, options):
    runner.step("python/, types", lambda log: runner.command(
        ["mypy", "--cache-dir=/dev/null", "--config-file=pyproject.toml", "timesliced"], log, cwd=ROOT / "python"))
    pythons = [("3", PYTHON)] if options.quick else find_pythons()
    print(f"        Pythons found: {', '.join(f'{version} ({python})' for version, python in pythons)}", flush=True)
    runner.parallel_steps([(f"python/, Python {version}", unittests(runner, python, "python/tests"))
                           for version, python in pythons])


def test_other_builds(runner):
    clang = Build(runner, "build-clang", compiler="clang")
    runner.step("build with clang", clang.run)
    # -O2, because gcc warns of null pointers that cannot occur when -O3 and a sanitizer are combined. b_lundef=false,
    # because the linker would otherwise reject shared libraries whose sanitizer is linked into the program.
    sanitized = ["-Db_lundef=false", "-Doptimization=2"]
    checked = Build(runner, "build-asan", ["-Db_sanitize=address,undefined", *sanitized], env=SANITIZERS)
    if runner.step("build with sanitizers", checked.run):
        runner.step("unit tests with sanitizers", checked.unit(5))
        runner.step("integration tests with sanitizers", checked.integration(TIMEOUT_SANITIZED))
    threads = Build(runner, "build-tsan", ["-Db_sanitize=thread", *sanitized], env=THREAD_SANITIZER)
    if runner.step("build with the thread sanitizer", threads.run):
        runner.step("integration tests with the thread sanitizer", threads.integration(TIMEOUT_SANITIZED))


if __name__ == "__main__":
    sys.exit(main())
