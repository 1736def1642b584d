"""python -m timesliced plot: files, and exit codes."""
import struct
import unittest
import xml.etree.ElementTree

from helpers import run_python
from reading.server import Server

try:
    import matplotlib
except ImportError:
    matplotlib = None


class PlotCommand(Server):
    def plot(self, *arguments):
        return run_python("-m", "timesliced", "plot", *arguments)

    @unittest.skipIf(matplotlib is not None, "matplotlib is installed")
    def test_without_matplotlib(self):
        done = self.plot("--control", self.path("c.sock"), "-o", self.path("p.png"))
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"\Atimesliced: plots need matplotlib.*\n\Z")

    def test_wrong_usage(self):
        for arguments in ([], ["-o", "x.png", "--metric", "x"], ["-o", "x.png", "--top", "0"]):
            self.assertEqual(self.plot(*arguments).returncode, 2, arguments)


@unittest.skipIf(matplotlib is None, "matplotlib is missing")
class Files(Server):
    def plot(self, *arguments):
        return run_python("-m", "timesliced", "plot", "--control", self.path("c.sock"), *arguments)

    def test_png_and_svg(self):
        for name in ("p.png", "p.svg"):
            done = self.plot("--last", "1h", "-o", self.path(name))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(self.requests[0][2], [("last", "1h"), ("top", "10")])
        with open(self.path("p.png"), "rb") as file:
            head = file.read(24)
        self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", head[16:24])
        self.assertTrue(width >= 1000 and height >= 600, (width, height))
        self.assertTrue(xml.etree.ElementTree.parse(self.path("p.svg")).getroot().tag.endswith("svg"))

    def test_failures(self):
        self.assertEqual(self.plot("-o", self.path("p.xyz")).returncode, 1)
        self.assertEqual(self.plot("-o", self.path("none/p.png")).returncode, 1)
        self.responses["/v1/buckets"] = (400, {"error": {"code": "bad_parameter", "message": "no"}})
        done = self.plot("-o", self.path("p.png"))
        self.assertEqual((done.returncode, done.stderr), (1, "timesliced: bad_parameter: no\n"))
        self.assertEqual(self.plot("-o", self.path("p.png"), "--control", self.path("none")).returncode, 3)


if __name__ == "__main__":
    unittest.main()
