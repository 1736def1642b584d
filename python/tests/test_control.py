"""Control and its types against a server of recorded answers; the plot command's ends."""
import datetime
import http.server
import json
import os
import socketserver
import subprocess
import sys
import threading
import unittest
from urllib.parse import parse_qsl, urlsplit

import timesliced
from helpers import PATIENCE
from test_client import Case
from timesliced.base import units
from timesliced.reading import control, results

BUCKETS = {
    "start_time": 1732272000, "time_slice": 10, "metric": "cumtime", "unit": "seconds", "from": 1732272000,
    "to": 1732272020, "buckets": [1732272000, 1732272010], "profiles": [3, 4], "exact_profiles": [0, 4],
    "total_tt": [1.1, 2.2], "parts_missing": [0, 1],
    "functions": [{"function": "sleep1", "total": 4.2, "values": [1.1, 3.1]},
                  {"function": "init__", "total": 1.0, "values": [1.0, 0]}],
    "other": {"functions": 3, "total": 0.5, "values": [0.25, 0.25]}}
SUMS = {"cumtime": 4.2, "tottime": 0.1, "ncalls": 12, "pcalls": 11}
TOP = {
    "from": None, "to": None, "from_resolution": 10, "to_resolution": None, "profiles": 7, "total_tt": 3.3,
    "metric": "cumtime",
    "functions": [{"function": "sleep1", "file_name": "/app/a.py", "line_number": 3, "raw_name": "_sleep1", **SUMS,
                   "percall_cumtime": 0.35, "percall_tottime": None}],
    "other": {"functions": 31, **SUMS, "percall_cumtime": 1, "percall_tottime": 1}}
ZERO = {"cumtime": 0, "tottime": 0, "ncalls": 0, "pcalls": 0}
SIDE = {"from": 0, "to": 10, "from_resolution": 10, "to_resolution": 10, "profiles": 7, "total_tt": 3.3}
DIFF = {
    "before": SIDE, "after": {**SIDE, "from": 10, "to": None, "profiles": 0}, "metric": "cumtime", "unit": "seconds",
    "calls": "pcalls",
    "functions": [
        {"function": "sleep1", "before": SUMS, "after": {**SUMS, "cumtime": 6.3},
         "per_profile": {"before": 0.6, "after": 0.9, "change": 0.3, "ratio": 1.5},
         "per_call": {"before": 0.35, "after": 0.5, "change": 0.15, "ratio": 1.43},
         "called_more": 0.1, "slower_per_call": 0.2},
        {"function": "new", "before": ZERO, "after": SUMS,
         "per_profile": {"before": 0, "after": None, "change": None, "ratio": None}, "per_call": None,
         "called_more": None, "slower_per_call": None}],
    "other": {"functions": 31, "before": SUMS, "after": SUMS,
              "per_profile": {"before": 1.0, "after": 1.0, "change": 0, "ratio": 1.0}, "called_more": 0,
              "slower_per_call": 0}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        self.server.asked.append((self.command, url.path, parse_qsl(url.query, strict_parsing=bool(url.query))))
        status, body = self.server.answers.get(url.path, (404, {"error": {"code": "not_found", "message": "no"}}))
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET

    def log_message(self, *_):
        pass

    def address_string(self):
        return "peer"


class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Server(Case):
    def setUp(self):
        super().setUp()
        self.answers = {"/v1/buckets": (200, BUCKETS), "/v1/top": (200, TOP), "/v1/diff": (200, DIFF),
                        "/v1/flush": (200, {}), "/v1/status": (200, {"version": "1"}),
                        "/v1/labels": (200, {"labels": [{"labels": {"a": "b"}, "first_bucket": 0, "last_bucket": None,
                                                         "profiles": 3}]})}
        self.asked = []
        self.unix = self.serve(Unix(self.path("c.sock"), Handler))
        self.tcp = self.serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))

    def serve(self, server):
        server.answers, server.asked = self.answers, self.asked
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return server

    def controls(self):
        return [timesliced.Control(self.path("c.sock")),
                timesliced.Control("http://127.0.0.1:%d" % self.tcp.server_address[1])]


class Questions(Server):
    def asks(self, path, expected, call):
        for one in self.controls():
            self.asked.clear()
            call(one)
            self.assertEqual(self.asked, [("GET", path, expected)])

    def test_parameters(self):
        self.asks("/v1/buckets", [], lambda one: one.buckets())
        self.asks("/v1/buckets", [("last", "1h"), ("function", "a*"), ("function", "b&="), ("label.service", "wéb x"),
                                  ("metric", "tottime"), ("by", "location"), ("top", "10"), ("fresh", "false"),
                                  ("time_slice", "60"), ("fill", "true")],
                  lambda one: one.buckets(last="1h", function=["a*", "b&="], labels={"service": "wéb x"}, top=10,
                                          metric="tottime", by="location", fresh=False, time_slice=60, fill=True))
        zone = datetime.timezone(datetime.timedelta(hours=2))
        self.asks("/v1/top", [("from", "2026-01-31T10:00:00.250000Z"), ("to", "1732272000.5"), ("function", "x")],
                  lambda one: one.top(from_=datetime.datetime(2026, 1, 31, 12, 0, 0, 250_000, zone), to=1732272000.5,
                                      function="x"))
        self.asks("/v1/top", [("from", "2026-01-31"), ("to", "-15m")],
                  lambda one: one.top(from_=datetime.date(2026, 1, 31), to="-15m"))
        self.asks("/v1/top", [("last", "5400")], lambda one: one.top(last=datetime.timedelta(hours=1.5)))
        self.asks("/v1/diff", [("metric", "tottime"), ("before", "2h..1h"), ("before.label.v", "1"),
                               ("after", "..1732272000"), ("after.label.v", "2"), ("after.label.w", "3")],
                  lambda one: one.diff(before="2h..1h", after=(None, 1732272000), before_labels={"v": "1"},
                                       after_labels={"v": "2", "w": "3"}, metric="tottime"))
        self.asks("/v1/diff", [("after", "last:1h")], lambda one: one.diff(after="last:1h"))

    def test_flush_is_a_post(self):
        self.controls()[0].flush()
        self.assertEqual(self.asked, [("POST", "/v1/flush", [])])

    def test_what_cannot_be_asked(self):
        one = self.controls()[0]
        for more in ({"last": True}, {"from_": [1]}, {"to": None, "last": {}}):
            with self.assertRaises(TypeError):
                one.top(**more)
        for where in ("https://x:1", "http://", "http://x:1/path", "ftp://x"):
            with self.assertRaises(ValueError):
                timesliced.Control(where)

    def test_where(self):
        before = os.environ.pop("TIMESLICED_SOCKET", None)
        try:
            self.assertEqual(timesliced.Control().where, "/run/timesliced/control.sock")
            os.environ["TIMESLICED_SOCKET"] = self.path("c.sock")
            self.assertEqual(timesliced.Control().status(), {"version": "1"})
        finally:
            os.environ.pop("TIMESLICED_SOCKET")
            if before is not None:
                os.environ["TIMESLICED_SOCKET"] = before


class Answers(Server):
    def test_buckets(self):
        found = self.controls()[0].buckets()
        self.assertEqual((found.start_time, found.time_slice, found.metric, found.unit), (1732272000, 10, "cumtime", "seconds"))
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
        self.answers["/v1/top"] = (200, {**TOP, "functions": [{"label": None, **SUMS, "percall_cumtime": 1,
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

    def test_refused(self):
        self.answers["/v1/top"] = (400, {"error": {"code": "bad_parameter", "parameter": "top", "message": "no such"}})
        for one in self.controls():
            with self.assertRaises(control.Refused) as caught:
                one.top(top=0)
            error = caught.exception
            self.assertEqual((error.status, error.code, error.parameter, str(error)),
                             (400, "bad_parameter", "top", "bad_parameter: no such"))
        self.answers.pop("/v1/diff")
        with self.assertRaises(timesliced.ControlError):
            self.controls()[0].diff(after="last:1h")
        for body in (b"<html>", b"[]", b"\xff"):
            self.answers["/v1/top"] = (200, body)
            with self.assertRaises(control.Refused):
                self.controls()[0].top()

    def test_unreachable(self):
        for one in (timesliced.Control(self.path("none.sock")), timesliced.Control("http://127.0.0.1:9", timeout=1)):
            with self.assertRaises(control.Unreachable) as caught:
                one.status()
            self.assertIsInstance(caught.exception, OSError)
            self.assertIn(one.where, str(caught.exception))


class PlotCommand(Server):
    def plot(self, *words):
        return subprocess.run([sys.executable, "-m", "timesliced", "plot", *words], check=False, text=True,
                              env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=3 * PATIENCE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_without_matplotlib(self):
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            done = self.plot("--control", self.path("c.sock"), "-o", self.path("p.png"))
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, r"\Atimesliced: plots need matplotlib.*\n\Z")
        else:
            self.skipTest("it is there")

    def test_wrong_usage(self):
        for words in ([], ["-o", "x.png", "--metric", "x"], ["-o", "x.png", "--top", "0"]):
            self.assertEqual(self.plot(*words).returncode, 2, words)


class Units(unittest.TestCase):
    def test_durations(self):
        for text, seconds in (("10", 10), ("250ms", 0.25), ("1.5h", 5400), ("2d", 172800), ("1w", 604800), ("1y", 31536000)):
            self.assertEqual(units.seconds(text), seconds)
        for text in ("", "x", "-1s", "1 s", "1e3", "10sec"):
            with self.assertRaises(ValueError):
                units.seconds(text)


if __name__ == "__main__":
    unittest.main()
