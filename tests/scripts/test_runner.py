"""Tests of script/runner.py: what counts as passed, failed and skipped, and that no process is left running."""
import contextlib
import io
import pathlib
import sys
import tempfile
import time
import unittest
from unittest import mock

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "script"))
import runner


def is_running(pid):
    """A killed process that init has not yet collected does not count."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class RunnerTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="timesliced-runner-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.runner = runner.Runner(self.folder)

    def step(self, run):
        """((passed, failed, skipped), output) of one step."""
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.runner.step("name of step", run)
        total = self.runner.total
        return (total.passed, total.failed, total.skipped), output.getvalue()

    def junit(self, text, code=0):
        path = self.folder / "junit.xml"
        path.write_text(text, encoding="utf-8")
        counts = runner.count_junit(path, code)
        return counts.passed, counts.failed, counts.skipped

    def unittest(self, text, code=0):
        with open(self.folder / "log", "w+", encoding="utf-8") as log:
            log.write(text)
            counts = runner.count_unittest(log, code)
        return counts.passed, counts.failed, counts.skipped


class Steps(RunnerTest):
    def test_exit_code_counts_as_one_case(self):
        self.assertEqual(self.step(lambda log: self.runner.command(["true"], log))[0], (1, 0, 0))
        self.assertEqual(self.step(lambda log: self.runner.command(["false"], log))[0], (1, 1, 0))
        self.assertEqual(self.runner.failed_steps, ["name of step"])

    def test_output_is_printed_if_the_step_fails(self):
        counts, output = self.step(lambda log: self.runner.command(["sh", "-c", "echo reason >&2; exit 3"], log))
        self.assertEqual(counts, (0, 1, 0))
        self.assertIn("$ sh -c echo reason >&2; exit 3\nreason\n", output)

    def test_output_is_not_printed_if_the_step_passes(self):
        self.assertNotIn("noise", self.step(lambda log: self.runner.command(["echo", "noise"], log))[1])

    def test_skipped_cases_are_printed_with_their_reason(self):
        def run(log):
            log.write("SKIPPED [1] a.py:1: no zsh\n")
            return runner.Counts(passed=1, skipped=1)
        self.assertIn("SKIPPED [1] a.py:1: no zsh", self.step(run)[1])

    def test_program_that_cannot_be_started(self):
        self.assertEqual(self.step(lambda log: self.runner.command(["./absent"], log))[0], (0, 1, 0))

    def test_process_left_behind_is_killed_and_is_a_failure(self):
        pid_file = self.folder / "pid"
        with mock.patch.object(runner, "LEFTOVER_PATIENCE", 0.1):
            counts, output = self.step(lambda log: self.runner.command(
                ["sh", "-c", f"sleep 600 & echo $! >{pid_file}"], log))
        self.assertEqual(counts, (0, 1, 0))
        self.assertIn("left processes running", output)
        end = time.monotonic() + 10
        while is_running(pid_file.read_text().strip()):
            self.assertLess(time.monotonic(), end, "the process is still running")
            time.sleep(0.01)
        self.assertEqual(self.runner.groups, set())

    def test_command_that_hangs_is_killed(self):
        with mock.patch.object(runner, "STEP_LIMIT", 0.1):
            counts, output = self.step(lambda log: self.runner.command(["sleep", "600"], log))
        self.assertEqual(counts, (0, 1, 0))
        self.assertIn("killed after 0.1 s", output)

    def test_parallel_steps_are_reported_in_their_order(self):
        steps = [(name, lambda log, name=name: self.runner.command(["sh", "-c", f"exit {name}"], log)) for name in "01"]
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.runner.parallel_steps(steps)
        self.assertEqual((self.runner.total.passed, self.runner.total.failed), (1, 1))
        self.assertEqual([line.split()[0] for line in output.getvalue().splitlines()[:2]], ["ok", "FAILED"])


class JUnit(RunnerTest):
    def test_cases(self):
        self.assertEqual(self.junit("<testsuites><testsuite failures='1' errors='1'><testcase/><testcase/>"
                                    "<testcase><failure/></testcase><testcase><error/></testcase>"
                                    "<testcase><skipped/></testcase></testsuite></testsuites>", 1), (2, 2, 1))

    def test_one_suite_without_a_list_of_suites(self):
        self.assertEqual(self.junit("<testsuite><testcase/></testsuite>"), (1, 0, 0))

    def test_crash_without_a_failed_case(self):
        self.assertEqual(self.junit("<testsuite errors='1'><testcase/></testsuite>"), (1, 1, 0))

    def test_exit_code_although_all_cases_passed(self):
        self.assertEqual(self.junit("<testsuite><testcase/></testsuite>", 1), (1, 1, 0))

    def test_no_case(self):
        self.assertEqual(self.junit("<testsuites/>"), (0, 1, 0))
        self.assertEqual(self.junit("<testsuite><testcase><skipped/></testcase></testsuite>"), (0, 1, 1))

    def test_file_that_is_missing_or_cut_off(self):
        self.assertEqual(self.step(lambda log: runner.count_junit(self.folder / "absent", 0))[0], (0, 1, 0))
        (self.folder / "cut").write_text("<testsuite><testcase/>")
        self.assertEqual(self.step(lambda log: runner.count_junit(self.folder / "cut", 0))[0], (0, 2, 0))


class Unittest(RunnerTest):
    def test_summaries(self):
        for text, code, expected in (
                ("Ran 3 tests in 0.1s\n\nOK\n", 0, (3, 0, 0)),
                ("Ran 1 test in 0.1s\n\nOK (skipped=1)\n", 0, (0, 1, 1)),
                ("Ran 9 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=3)\n", 1, (3, 3, 3)),
                ("Ran 4 tests in 0.1s\n\nFAILED (unexpected successes=1)\n", 1, (3, 1, 0)),
                ("Ran 4 tests in 0.1s\n\nOK (expected failures=1)\n", 0, (3, 0, 1)),
                ("Ran 0 tests in 0.0s\n\nOK\n", 0, (0, 1, 0)),
                ("Ran 3 tests in 0.1s\n\nOK\n", 1, (3, 1, 0)),
                ("Traceback (most recent call last):\n", 1, (0, 1, 0)),
                ("", 0, (0, 1, 0))):
            with self.subTest(text):
                self.assertEqual(self.unittest(text, code), expected)


if __name__ == "__main__":
    unittest.main()
