"""Responses of the control socket for tests of timeslicectl, in the form that docs/interfaces.md describes."""
T0 = 1732272000

BUCKETS = {
    "start_time": T0, "time_slice": 10, "metric": "cumtime", "unit": "seconds", "from": T0, "to": T0 + 40,
    "buckets": [T0, T0 + 10, T0 + 30], "profiles": [3, 4, 1], "exact_profiles": [0, 4, 0],
    "total_tt": [1.1, 2.2, 0.1], "parts_missing": [0, 2, 0],
    "functions": [{"function": "sleep1", "total": 4.2, "values": [1.1, 3.1, 0]},
                  {"function": "handle_request", "total": 2.25, "values": [2, 0.25, 0]},
                  {"function": "日本語の関数", "total": 0.5, "values": [0.25, 0.25, 0]},
                  {"function": "negative", "total": -0.1, "values": [-0.1, 0, 0]},
                  {"function": "a_rather_long_function_name_that_goes_on", "total": 0, "values": [0, 0, 0]},
                  {"function": "", "total": 0.003, "values": [0, 0, 0.003]}],
    "other": {"functions": 12, "total": 0.75, "values": [0.5, 0.25, 0]},
}
NO_BUCKETS = dict(BUCKETS, **{"from": None, "to": None, "buckets": [], "profiles": [], "exact_profiles": [],
                              "total_tt": [], "parts_missing": [], "functions": [],
                              "other": {"functions": 0, "total": 0, "values": []}})


def top_row(**name):
    return dict(name, cumtime=4.2, tottime=0.1, ncalls=1234567, pcalls=12, percall_cumtime=0.35,
                percall_tottime=8.3e-3)


TOP = {
    "from": T0, "to": T0 + 3600, "profiles": 7, "total_tt": 3.3, "metric": "cumtime",
    "functions": [top_row(function="sleep1"), top_row(function="x" * 200), top_row(function="日本語" * 30),
                  top_row(function="e\u0301vil\x1b[31m\n\u202e\x9b"), top_row(function=""),
                  dict(top_row(function="never"), ncalls=0, pcalls=0, percall_cumtime=None, percall_tottime=None)],
    "other": {"functions": 31, "cumtime": 200.25, "tottime": 7500, "ncalls": 5, "pcalls": 5,
              "percall_cumtime": 1e-5, "percall_tottime": 1e-8},
}
TOP_PLACES = dict(TOP, functions=[
    top_row(function="send", raw_name="_send", file_name="/usr/lib/python3.11/site-packages/app/net.py",
            line_number=278),
    top_row(function="len", raw_name="len", file_name=None, line_number=None)])
FUNCTIONS = {"functions": [
    {"function": "send", "locations": [
        {"raw_name": "_send", "file_name": "/usr/lib/python3/site-packages/some/deep/folder/net.py",
         "line_number": 278},
        {"raw_name": "send", "file_name": None, "line_number": None}]},
    {"function": "", "locations": []}]}
LABELS = {"labels": [{"labels": {}, "first_bucket": T0, "last_bucket": T0 + 10, "profiles": 3},
                     {"labels": {"service": "web", "host": "h" * 90}, "first_bucket": T0, "last_bucket": T0,
                      "profiles": 1234}]}
STATUS = {"version": "0.1.0", "pid": 12345, "uptime": 7500.5, "time_slice": 10, "start_time": 0,
          "listeners": {"udp": "127.0.0.1:8137", "tcp": "127.0.0.1:8137"}, "received": 1234567, "accepted": 1234560,
          "duplicates": 0, "rejected": {"bad_json": 7}, "datagrams_dropped": 0, "functions": 12, "locations": 15,
          "pending": 0, "commits": 99, "saturated": 0, "store_error": None,
          "store": {"path": "/var/lib/timesliced/timesliced.db", "bytes": 1536,
                    "levels": [{"width": 10, "keep": 172800}]}}
REJECTS = {"rejects": [{"time": T0 + 0.5, "peer": "udp 127.0.0.1:5555", "code": "bad_json",
                        "text": "{\"a\": \x1b[2J" * 20,
                        "message": "a value was expected at byte 41, followed by a text that does not fit on a line"}]}
CSV = "kind,bucket,function,value\r\nfunction,1732272000,sleep1,1.1\r\n"
RESPONSES = {"buckets": BUCKETS, "top": TOP, "functions": FUNCTIONS, "labels": LABELS, "status": STATUS,
           "rejects": REJECTS, "flush": {"flushed": True}}
