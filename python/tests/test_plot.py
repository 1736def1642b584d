"""The picture's data: that each bar is as high as its bucket, and each piece where it belongs. Needs matplotlib."""
import datetime
import os
import random
import struct
import subprocess
import sys
import unittest
import xml.etree.ElementTree

from helpers import PATIENCE
from test_control import BUCKETS, Server
from timesliced.reading import plot
from timesliced.reading.buckets import Buckets

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import dates, pyplot
except ImportError:
    matplotlib = None


def made(functions, buckets=24, named=None, **more):
    """As the daemon answers, without top: functions descend by total."""
    rng = random.Random(5)
    rows = []
    for n in range(functions):
        values = [round(rng.random() * 100 / (n + 1), 9) for _ in range(buckets)]
        rows.append({"function": named or f"function_{n}", "total": sum(values), "values": values})
    begins = [1732272000 + 60 * n for n in range(buckets)]
    return Buckets.of({**BUCKETS, "time_slice": 60, "buckets": begins, "from": begins[0] if begins else None,
                       "to": begins[-1] + 60 if begins else None, "profiles": [1] * buckets, "functions": rows,
                       "other": {"functions": 0, "total": 0, "values": [0] * buckets}, **more})


@unittest.skipIf(matplotlib is None, "matplotlib is not there")
class Picture(unittest.TestCase):
    def draw(self, buckets, **more):
        axes = buckets.plot(**more)
        self.addCleanup(pyplot.close, axes.figure)
        return axes

    def test_bars(self):
        for functions, top in ((3, 10), (10, 10), (11, 10), (300, 10), (300, 25), (1, 1)):
            buckets = made(functions)
            axes = self.draw(buckets, functions=top)
            self.assertEqual(len(axes.containers), min(functions, top) + (functions > top))
            for n in range(24):
                bars = [container[n] for container in axes.containers]
                bottom = 0.0
                for bar, row in zip(bars, buckets.functions[:top]):
                    self.assertAlmostEqual(bar.get_height(), row.values[n], 9)
                    self.assertAlmostEqual(bar.get_y(), bottom, 6)
                    bottom += bar.get_height()
                height = sum(bar.get_height() for bar in bars)
                self.assertAlmostEqual(height, sum(row.values[n] for row in buckets.functions), 6)
                middle = bars[0].get_x() + bars[0].get_width() / 2
                self.assertAlmostEqual(middle, dates.date2num(datetime.datetime.fromtimestamp(
                    buckets.buckets[n] + 30, datetime.timezone.utc)), 9)
                self.assertLess(bars[0].get_width(), 60 / 86400)

    def test_colours_and_legend(self):
        axes = self.draw(made(300), functions=12)
        colours = {container[0].get_facecolor() for container in axes.containers}
        self.assertEqual(len(colours), 13)
        for container in axes.containers:
            self.assertEqual(len({bar.get_facecolor() for bar in container}), 1)
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        self.assertEqual(texts, [f"function_{n}" for n in range(12)] + ["other (288 functions)"])
        axes.figure.canvas.draw()
        legend, inner = (one.get_window_extent() for one in (axes.get_legend(), axes))
        self.assertLess(legend.y1, inner.y0)  # below
        self.assertGreater(legend.y0, 0)  # and whole
        self.assertEqual(axes.get_title(), "cumtime by function in buckets of 60 s (24 profiles)")
        self.assertEqual((axes.get_ylabel(), axes.get_xlabel()[:6]), ("cumtime [seconds]", "time ("))

    def test_colours_of_many_are_different(self):
        colours = plot._colours(pyplot)
        self.assertEqual(len(set(colours)), len(colours))
        self.assertGreater(len(colours), 30)

    def test_axes_of_ones_own(self):
        figure, (above, below) = pyplot.subplots(2, sharex=True)
        self.addCleanup(pyplot.close, figure)
        self.assertIs(made(3).plot(ax=below, title="mine"), below)
        self.assertEqual((below.get_title(), len(above.containers)), ("mine", 0))

    def test_what_the_daemon_summed_as_other(self):
        other = {"functions": 7, "total": 24.0, "values": [1.0] * 24}
        axes = self.draw(made(3, other=other), functions=2)
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        self.assertEqual(texts[-1], "other (8 functions)")
        rest = made(3).functions[2].values
        for bar, value in zip(axes.containers[-1], rest):
            self.assertAlmostEqual(bar.get_height(), value + 1.0, 9)

    def test_names(self):
        odd = self.draw(made(1, named="_" + "$x$" + "n" * 100 + "\n"))
        text, = (text.get_text() for text in odd.get_legend().get_texts())
        self.assertLessEqual(len(text), 48)
        same = self.draw(made(3, named="twice"))
        self.assertEqual([text.get_text() for text in same.get_legend().get_texts()],
                         ["twice (1)", "twice (2)", "twice (3)"])
        odd.figure.canvas.draw()

    def test_nothing_there(self):
        axes = self.draw(made(0, buckets=0))
        self.assertEqual([text.get_text() for text in axes.texts], ["no profiles"])
        axes.figure.canvas.draw()

    def test_negative_sums_hang_below(self):
        rows = [{"function": "a", "total": 1, "values": [1.0, -2.0]}, {"function": "b", "total": 0, "values": [3.0, -1.0]}]
        axes = self.draw(Buckets.of({**BUCKETS, "functions": rows}))
        self.assertEqual([(bar.get_y(), bar.get_height()) for bar in axes.containers[1]], [(1.0, 3.0), (-2.0, -1.0)])
        self.assertLessEqual(axes.get_ylim()[0], -3.0)

    def test_calls(self):
        axes = self.draw(made(2, metric="ncalls", unit="calls"))
        self.assertEqual(axes.get_ylabel(), "ncalls")
        with self.assertRaises(ValueError):
            made(2).plot(functions=0)


@unittest.skipIf(matplotlib is None, "matplotlib is not there")
class Files(Server):
    def plot(self, *words):
        return subprocess.run([sys.executable, "-m", "timesliced", "plot", "--control", self.path("c.sock"), *words],
                              check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=3 * PATIENCE)

    def test_png_and_svg(self):
        for name in ("p.png", "p.svg"):
            done = self.plot("--last", "1h", "-o", self.path(name))
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        self.assertEqual(self.asked[0][2], [("last", "1h"), ("top", "10")])
        with open(self.path("p.png"), "rb") as file:
            head = file.read(24)
        self.assertEqual(head[:8], b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", head[16:24])
        self.assertTrue(width >= 1000 and height >= 600, (width, height))
        self.assertTrue(xml.etree.ElementTree.parse(self.path("p.svg")).getroot().tag.endswith("svg"))

    def test_failures(self):
        self.assertEqual(self.plot("-o", self.path("p.xyz")).returncode, 1)
        self.assertEqual(self.plot("-o", self.path("none/p.png")).returncode, 1)
        self.answers["/v1/buckets"] = (400, {"error": {"code": "bad_parameter", "message": "no"}})
        done = self.plot("-o", self.path("p.png"))
        self.assertEqual((done.returncode, done.stderr), (1, "timesliced: bad_parameter: no\n"))
        self.assertEqual(self.plot("-o", self.path("p.png"), "--control", self.path("none")).returncode, 3)


if __name__ == "__main__":
    unittest.main()
