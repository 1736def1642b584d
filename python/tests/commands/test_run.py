"""python -m timesliced run: a program sees what it would see under python; what is sent."""
import os
import re
import signal
import textwrap
import unittest

from helpers import Case, free_port, rows_by_name, run_python
from messages import accept
from receivers import Acked


PROGRAM = """
    import os, sys, threading
    def counted(n):
        return n and counted(n - 1)
    counted(4)
    print(sys.argv, __name__, __file__, __package__, __spec__ and __spec__.name, sys.path[0], __cached__)
    print(sys.modules["__main__"].counted is counted, __builtins__ is not None)
    import helping
    how = sys.argv[1] if len(sys.argv) > 1 else ""
    if how == "exit":
        sys.exit(int(sys.argv[2]))
    elif how == "message":
        sys.exit("bad")
    elif how == "raise":
        helping.fails()
    elif how == "interrupt":
        raise KeyboardInterrupt
    elif how == "kill":
        os.kill(os.getpid(), 15)
    elif how == "fork":
        pid = os.fork()
        counted(2)
        if pid:
            os.waitpid(pid, 0)
    elif how == "hook":
        sys.excepthook = lambda kind, value, trace: print("hooked", kind.__name__, trace.tb_frame.f_code.co_name)
        raise ValueError
    elif how == "atexit":
        import atexit
        atexit.register(print, "at exit")
"""


class Run(Case):
    def setUp(self):
        super().setUp()
        self.server = self.receiver(Acked())
        package = self.path("pack")
        os.makedirs(os.path.join(self.path("sub")))
        os.makedirs(package)
        for name in ("prog.py", "pack/__main__.py", "pack/inner.py", "sub/prog.py"):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(textwrap.dedent(PROGRAM))
        for folder in ("", "sub", "pack"):
            with open(self.path(os.path.join(folder, "helping.py")), "w", encoding="ascii") as file:
                file.write("def fails():\n    raise KeyError('x')\n")
        with open(os.path.join(package, "__init__.py"), "w", encoding="ascii"):
            pass
        os.symlink(self.path("sub/prog.py"), self.path("link.py"))

    def python(self, *arguments, address=None):
        return run_python(*arguments, cwd=self.folder, environment={"PYTHONDONTWRITEBYTECODE": "1",
                                                                "TIMESLICED_ADDRESS": address or self.server.address})

    def same(self, *arguments):
        plain = self.python(*arguments)
        ours = self.python("-m", "timesliced", "run", *arguments)
        self.assertEqual(ours.returncode, plain.returncode, ours.stderr)
        self.assertEqual(ours.stdout, plain.stdout)
        self.assertEqual(ours.stderr, re.sub(r'  File ".*runpy.*\n(?:    .*\n)*', "", plain.stderr))
        return ours

    def test_scripts(self):
        for arguments in ([], ["a", "--every", "-m", "b"], ["exit", "0"], ["exit", "7"], ["message"], ["raise"],
                      ["interrupt"], ["kill"], ["hook"], ["atexit"]):
            with self.subTest(arguments):
                self.same("prog.py", *arguments)
        self.assertEqual(self.same("prog.py", "interrupt").returncode, -signal.SIGINT)
        self.same("sub/prog.py", "raise")
        self.same("link.py")
        self.same(self.path("prog.py"))

    def test_modules(self):
        for arguments in (["pack"], ["pack.inner", "exit", "3"], ["pack", "raise"], ["prog", "-m", "--label"]):
            with self.subTest(arguments):
                self.same("-m", *arguments)

    def same_code(self, *arguments):
        ours = self.python("-m", "timesliced", "run", *arguments)
        self.assertEqual(ours.returncode, self.python(*arguments).returncode)

    def test_missing_or_bad_programs(self):
        with open(self.path("wrong.py"), "w", encoding="ascii") as file:
            file.write("def\n")
        for arguments in (["-m", "no_such_module"], ["no_such.py"], ["wrong.py"], ["sub"], ["-m", "sub"]):
            with self.subTest(arguments):
                self.same_code(*arguments)
        for arguments in ([], ["-m"], ["--every", "x", "prog.py"], ["--label", "x", "prog.py"],
                      ["--address", "x", "prog.py"]):
            self.assertEqual(self.python("-m", "timesliced", "run", *arguments).returncode, 2, arguments)

    def test_folder(self):
        self.same("pack", "raise")

    def profiles(self, *arguments):
        self.python("-m", "timesliced", "run", *arguments)
        return self.server.lines

    def test_profile_and_labels(self):
        line, = self.profiles("--label", "a=b", "--label", "c=d", "prog.py")
        rows = rows_by_name(line)
        self.assertEqual(rows["counted"][:2], (5, 1))
        self.assertEqual(self.server.hellos[0]["labels"], {"a": "b", "c": "d"})
        self.assertFalse([place for place, _ in accept(line)["rows"] if "/timesliced/" in place[0]])
        self.assertEqual(rows["<module>"][0], 1)
        self.assertEqual(len(self.server.byes), 1)

    def test_forked_child(self):
        lines = self.profiles("prog.py", "fork")
        self.assertEqual(sorted(rows_by_name(line)["counted"][0] for line in lines), [3, 8])

    def test_every(self):
        with open(self.path("long.py"), "w", encoding="ascii") as file:
            file.write("import time\ndef f():\n    time.sleep(0.001)\nend = time.time() + 0.8\n"
                       "while time.time() < end: f()\n")
        lines = self.profiles("--every", "200ms", "long.py")
        self.assertGreaterEqual(len(lines), 4)

    def test_missing_daemon(self):
        done = self.python("-m", "timesliced", "run", "--spool", self.path("spool"), "prog.py", "exit", "5",
                           address=f"tcp://127.0.0.1:{free_port()}")
        self.assertEqual(done.returncode, 5)
        self.assertIn("1 kept in", done.stderr)
        self.profiles("--spool", self.path("spool"), "prog.py")
        self.assertEqual([rows_by_name(line)["counted"][0] for line in self.server.lines], [5, 5])


if __name__ == "__main__":
    unittest.main()
