"""Charts: the position, height and colour of bars, and the legend. Needs matplotlib."""
import datetime
import random
import unittest

from reading.server import BUCKETS
from timesliced.reading import plot
from timesliced.reading.buckets import Buckets

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import dates, pyplot
except ImportError:
    matplotlib = None


def made(functions, buckets=24, named=None, **more):
    """Buckets as in a response without top."""
    rng = random.Random(5)
    rows = []
    for n in range(functions):
        values = [round(rng.random() * 100 / (n + 1), 9) for _ in range(buckets)]
        rows.append({"function": named or f"function_{n}", "total": sum(values), "values": values})
    begins = [1732272000 + 60 * n for n in range(buckets)]
    return Buckets.of({**BUCKETS, "time_slice": 60, "buckets": begins, "from": begins[0] if begins else None,
                       "to": begins[-1] + 60 if begins else None, "profiles": [1] * buckets, "functions": rows,
                       "other": {"functions": 0, "total": 0, "values": [0] * buckets}, **more})


@unittest.skipIf(matplotlib is None, "matplotlib is missing")
class Chart(unittest.TestCase):
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
        self.assertGreater(legend.y0, 0)  # and complete
        self.assertEqual(axes.get_title(), "cumtime by function in buckets of 60 s (24 profiles)")
        self.assertEqual((axes.get_ylabel(), axes.get_xlabel()[:6]), ("cumtime [seconds]", "time ("))

    def test_colours_are_different(self):
        colours = plot._colours(pyplot)
        self.assertEqual(len(set(colours)), len(colours))
        self.assertGreater(len(colours), 30)

    def test_on_given_axes(self):
        figure, (above, below) = pyplot.subplots(2, sharex=True)
        self.addCleanup(pyplot.close, figure)
        self.assertIs(made(3).plot(ax=below, title="mine"), below)
        self.assertEqual((below.get_title(), len(above.containers)), ("mine", 0))

    def test_other_of_the_daemon_is_added(self):
        other = {"functions": 7, "total": 24.0, "values": [1.0] * 24}
        axes = self.draw(made(3, other=other), functions=2)
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        self.assertEqual(texts[-1], "other (8 functions)")
        rest = made(3).functions[2].values
        for bar, value in zip(axes.containers[-1], rest):
            self.assertAlmostEqual(bar.get_height(), value + 1.0, 9)

    def test_names_in_the_legend(self):
        odd = self.draw(made(1, named="_" + "$x$" + "n" * 100 + "\n"))
        text, = (text.get_text() for text in odd.get_legend().get_texts())
        self.assertLessEqual(len(text), 48)
        same = self.draw(made(3, named="twice"))
        self.assertEqual([text.get_text() for text in same.get_legend().get_texts()],
                         ["twice (1)", "twice (2)", "twice (3)"])
        odd.figure.canvas.draw()

    def test_no_buckets(self):
        axes = self.draw(made(0, buckets=0))
        self.assertEqual([text.get_text() for text in axes.texts], ["no profiles"])
        axes.figure.canvas.draw()

    def test_negative_sums_are_below_the_axis(self):
        rows = [{"function": "a", "total": 1, "values": [1.0, -2.0]},
                {"function": "b", "total": 0, "values": [3.0, -1.0]}]
        axes = self.draw(Buckets.of({**BUCKETS, "functions": rows}))
        self.assertEqual([(bar.get_y(), bar.get_height()) for bar in axes.containers[1]], [(1.0, 3.0), (-2.0, -1.0)])
        self.assertLessEqual(axes.get_ylim()[0], -3.0)

    def test_calls(self):
        axes = self.draw(made(2, metric="ncalls", unit="calls"))
        self.assertEqual(axes.get_ylabel(), "ncalls")
        with self.assertRaises(ValueError):
            made(2).plot(functions=0)


if __name__ == "__main__":
    unittest.main()
