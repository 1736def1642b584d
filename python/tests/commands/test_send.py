"""python -m timesliced send: dumps and exit codes."""
import cProfile
import os
import pty
import unittest

from helpers import Case, free_port, many_functions, measured, run_python
from messages import accept
from receivers import Acked


class Send(Case):
    def setUp(self):
        super().setUp()
        self.server = self.receiver(Acked())

    def dumps(self, count):
        paths, profiles = [], []
        for n in range(count):
            profile = many_functions(n + 1)
            paths.append(self.path(f"{n}.prof"))
            profile.dump_stats(paths[-1])
            os.utime(paths[-1], (1000 + n, 1000 + n))
            profiles.append(profile)
        return paths, profiles

    def send(self, *arguments, **more):
        return run_python("-m", "timesliced", "send", *arguments, **more)

    def test_sent(self):
        paths, profiles = self.dumps(5)
        done = self.send("--address", self.server.address, "--label", "a=b", *paths)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertEqual(done.stderr, f"5 of 5 dumps sent to {self.server.address}\n")
        for n, (line, profile) in enumerate(zip(self.server.lines, profiles)):
            message = accept(line)
            self.assertEqual(message["timestamp"], 1000 + n)
            self.assertEqual(dict(message["rows"]), measured(profile))
        self.assertEqual(self.send("--address", self.server.address, "--timestamp", "77.5", paths[0]).returncode, 0)
        self.assertEqual(float(accept(self.server.lines[-1])["timestamp"]), 77.5)

    def test_files_that_are_not_dumps(self):
        paths, _ = self.dumps(2)
        profile = cProfile.Profile()
        profile.runcall(len, [])
        done = self.send("--address", self.server.address, paths[0], __file__, self.path("none"), self.folder, paths[1])
        self.assertEqual(done.returncode, 1)
        self.assertIn("2 of 5 dumps", done.stderr)
        for path in (__file__, self.path("none"), self.folder):
            self.assertIn(f"timesliced: {path}: ", done.stderr)
        self.assertEqual(len(self.server.lines), 2)

    def test_rejected(self):
        paths, _ = self.dumps(2)
        self.server.rejecting = {2: "too_old"}
        done = self.send("--address", self.server.address, *paths)
        self.assertEqual(done.returncode, 1)
        self.assertIn("1 of them rejected", done.stderr)
        self.assertIn("too_old", done.stderr)

    def test_missing_daemon(self):
        paths, _ = self.dumps(2)
        done = self.send("--timeout", "200ms", "--address", f"tcp://127.0.0.1:{free_port()}", *paths)
        self.assertEqual(done.returncode, 3)
        self.assertIn("refused", done.stderr)

    def test_wrong_usage(self):
        for arguments in ([], ["--address", "x", "f"], ["--timestamp", "1e12", "f"], ["--label", "x", "f"]):
            self.assertEqual(self.send(*arguments).returncode, 2, arguments)

    def test_progress_bar_on_a_terminal(self):
        paths, _ = self.dumps(3)
        above, below = pty.openpty()
        try:
            done = self.send("--address", self.server.address, *paths, stderr=below)
            os.close(below)
            seen = os.read(above, 65536).decode()
        finally:
            os.close(above)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(seen, r"\[#+\] 3/3 dumps")
        self.assertIn("3 of 3 dumps sent", seen)


if __name__ == "__main__":
    unittest.main()
