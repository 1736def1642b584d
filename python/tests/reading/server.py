"""A control server with recorded responses."""
import http.server
import json
import socketserver
import threading
from urllib.parse import parse_qsl, urlsplit

import timesliced
from helpers import Case


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
        self.server.requests.append((self.command, url.path, parse_qsl(url.query, strict_parsing=bool(url.query))))
        status, body = self.server.responses.get(url.path, (404, {"error": {"code": "not_found", "message": "no"}}))
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
        self.responses = {"/v1/buckets": (200, BUCKETS), "/v1/top": (200, TOP), "/v1/diff": (200, DIFF),
                        "/v1/flush": (200, {}), "/v1/status": (200, {"version": "1"}),
                        "/v1/labels": (200, {"labels": [{"labels": {"a": "b"}, "first_bucket": 0, "last_bucket": None,
                                                         "profiles": 3}]})}
        self.requests = []
        self.unix = self.serve(Unix(self.path("c.sock"), Handler))
        self.tcp = self.serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))

    def serve(self, server):
        server.responses, server.requests = self.responses, self.requests
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return server

    def controls(self):
        return [timesliced.Control(self.path("c.sock")),
                timesliced.Control("http://127.0.0.1:%d" % self.tcp.server_address[1])]
