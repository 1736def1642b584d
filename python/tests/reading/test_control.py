"""Control: the requests that it sends, and the results and errors that it makes of responses."""
import datetime
import os
import unittest

import timesliced
from reading.server import SUMS, TOP, Server
from timesliced.reading import control, results


class Queries(Server):
    def sends(self, path, expected, call):
        for one in self.controls():
            self.requests.clear()
            call(one)
            self.assertEqual(self.requests, [("GET", path, expected)])

    def test_parameters(self):
        self.sends("/v1/buckets", [], lambda one: one.buckets())
        self.sends("/v1/buckets", [("last", "1h"), ("function", "a*"), ("function", "b&="), ("label.service", "wéb x"),
                                  ("metric", "tottime"), ("by", "location"), ("top", "10"), ("fresh", "false"),
                                  ("time_slice", "60"), ("fill", "true")],
                  lambda one: one.buckets(last="1h", function=["a*", "b&="], labels={"service": "wéb x"}, top=10,
                                          metric="tottime", by="location", fresh=False, time_slice=60, fill=True))
        zone = datetime.timezone(datetime.timedelta(hours=2))
        self.sends("/v1/top", [("from", "2026-01-31T10:00:00.250000Z"), ("to", "1732272000.5"), ("function", "x")],
                  lambda one: one.top(from_=datetime.datetime(2026, 1, 31, 12, 0, 0, 250_000, zone), to=1732272000.5,
                                      function="x"))
        self.sends("/v1/top", [("from", "2026-01-31"), ("to", "-15m")],
                  lambda one: one.top(from_=datetime.date(2026, 1, 31), to="-15m"))
        self.sends("/v1/top", [("last", "5400")], lambda one: one.top(last=datetime.timedelta(hours=1.5)))
        self.sends("/v1/diff", [("metric", "tottime"), ("before", "2h..1h"), ("before.label.v", "1"),
                               ("after", "..1732272000"), ("after.label.v", "2"), ("after.label.w", "3")],
                  lambda one: one.diff(before="2h..1h", after=(None, 1732272000), before_labels={"v": "1"},
                                       after_labels={"v": "2", "w": "3"}, metric="tottime"))
        self.sends("/v1/diff", [("after", "last:1h")], lambda one: one.diff(after="last:1h"))

    def test_flush_is_a_post(self):
        self.controls()[0].flush()
        self.assertEqual(self.requests, [("POST", "/v1/flush", [])])

    def test_bad_arguments_raise(self):
        one = self.controls()[0]
        for more in ({"last": True}, {"from_": [1]}, {"to": None, "last": {}}):
            with self.assertRaises(TypeError):
                one.top(**more)
        for where in ("https://x:1", "http://", "http://x:1/path", "ftp://x"):
            with self.assertRaises(ValueError):
                timesliced.Control(where)

    def test_default_socket(self):
        before = os.environ.pop("TIMESLICED_SOCKET", None)
        try:
            self.assertEqual(timesliced.Control().where, "/run/timesliced/control.sock")
            os.environ["TIMESLICED_SOCKET"] = self.path("c.sock")
            self.assertEqual(timesliced.Control().status(), {"version": "1"})
        finally:
            os.environ.pop("TIMESLICED_SOCKET")
            if before is not None:
                os.environ["TIMESLICED_SOCKET"] = before


class Results(Server):
    def test_buckets(self):
        found = self.controls()[0].buckets()
        self.assertEqual((found.start_time, found.time_slice, found.metric, found.unit),
                         (1732272000, 10, "cumtime", "seconds"))
        self.assertEqual((found.from_, found.to, found.from_resolution), (1732272000, 1732272020, None))
        self.assertEqual(found.functions[0], results.Series("sleep1", None, 4.2, [1.1, 3.1]))
        self.assertEqual(found.other, results.Rest(3, 0.5, [0.25, 0.25]))
        self.assertEqual((found.profiles, found.exact_profiles, found.total_tt, found.parts_missing),
                         ([3, 4], [0, 4], [1.1, 2.2], [0, 1]))

    def test_top(self):
        found = self.controls()[1].top(by="location")
        self.assertEqual((found.from_, found.from_resolution, found.profiles), (None, 10, 7))
        row, = found.functions
        self.assertEqual(row.location, results.Location("/app/a.py", 3, "_sleep1"))
        self.assertEqual(str(row.location), "/app/a.py:3(_sleep1)")
        self.assertEqual((row.function, row.cumtime, row.ncalls, row.pcalls, row.percall_cumtime, row.percall_tottime),
                         ("sleep1", 4.2, 12, 11, 0.35, None))
        self.assertEqual((found.other.functions, found.other.tottime), (31, 0.1))

    def test_by_label(self):
        self.responses["/v1/top"] = (200, {**TOP, "functions": [{"label": None, **SUMS, "percall_cumtime": 1,
                                                               "percall_tottime": 1}]})
        self.assertEqual([row.function for row in self.controls()[0].top(by="label.service").functions], [None])

    def test_diff(self):
        found = self.controls()[0].diff(before="2h..1h", after="last:1h")
        self.assertEqual((found.before.profiles, found.after.to, found.calls), (7, None, "pcalls"))
        first, second = found.functions
        self.assertEqual(first.per_profile, results.Change(0.6, 0.9, 0.3, 1.5))
        self.assertEqual((first.per_call.change, first.called_more, first.slower_per_call), (0.15, 0.1, 0.2))
        self.assertEqual(first.after.cumtime, 6.3)
        self.assertEqual(second.before, results.Sums(0, 0, 0, 0))
        self.assertEqual((second.per_call, second.per_profile.change, second.called_more), (None, None, None))
        self.assertEqual((found.other.functions, found.other.per_profile.ratio), (31, 1.0))

    def test_labels(self):
        self.assertEqual(self.controls()[0].labels(), [results.LabelSet({"a": "b"}, 0, None, 3)])

    def test_error_responses(self):
        self.responses["/v1/top"] = (400, {"error": {"code": "bad_parameter", "parameter": "top",
                                                     "message": "no such"}})
        for one in self.controls():
            with self.assertRaises(control.Refused) as caught:
                one.top(top=0)
            error = caught.exception
            self.assertEqual((error.status, error.code, error.parameter, str(error)),
                             (400, "bad_parameter", "top", "bad_parameter: no such"))
        self.responses.pop("/v1/diff")
        with self.assertRaises(timesliced.ControlError):
            self.controls()[0].diff(after="last:1h")
        for body in (b"<html>", b"[]", b"\xff"):
            self.responses["/v1/top"] = (200, body)
            with self.assertRaises(control.Refused):
                self.controls()[0].top()

    def test_unreachable(self):
        for one in (timesliced.Control(self.path("none.sock")), timesliced.Control("http://127.0.0.1:9", timeout=1)):
            with self.assertRaises(control.Unreachable) as caught:
                one.status()
            self.assertIsInstance(caught.exception, OSError)
            self.assertIn(one.where, str(caught.exception))


if __name__ == "__main__":
    unittest.main()
