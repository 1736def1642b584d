"""GET /metrics: the format, promtool, the alert rules, and a real Prometheus that scrapes control.http.

promtool simulates the rules: each must fire on its own problem, and none for a healthy daemon.
"""
import json
import pathlib
import re
import socket
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from support import control
from support.daemon import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "config" / "prometheus-rules.yml"
MESSAGE = (b'{"timestamp": 1732272000, "profile": {"total_tt": 0.5, '
           b'"func_profiles": {"f": {"ncalls": "1", "cumtime": 0.5}}}}')


def send(daemon, *messages):
    before = daemon.status()["received"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for message in messages:
            sock.sendto(message, daemon.address("udp"))
    daemon.wait_received(before + len(messages))
    daemon.wait_idle()


def scrape(daemon):
    return daemon.get("/metrics").body.decode()


def promtool(*arguments, text=None):
    done = subprocess.run(["promtool", *map(str, arguments)], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def families(text):
    return set(re.findall(r"^# TYPE (\S+) ", text, re.M))


# The format.


def test_commit_duration_is_a_histogram(start_daemon):
    daemon = start_daemon(store__flush_interval="10s")
    for _ in range(5):
        send(daemon, MESSAGE)
    series, types = control.parse_metrics(scrape(daemon))
    assert types["timesliced_commit_duration_seconds"] == "histogram"
    buckets = [(dict(labels)["le"], n) for (name, labels), n in series.items()
               if name == "timesliced_commit_duration_seconds_bucket"]
    assert [float(le) for le, _ in buckets] == [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
                                                float("inf")]
    counts = [n for _, n in buckets]
    assert counts == sorted(counts) and counts[-1] == series["timesliced_commits_total", ()] >= 5
    assert series["timesliced_commit_duration_seconds_count", ()] == counts[-1]
    assert 0 < series["timesliced_commit_duration_seconds_sum", ()] < 10 * counts[-1]


def test_metrics_are_documented(start_daemon):
    """docs/metrics.md lists exactly the served metrics with their types. Metrics of levels appear with the levels."""
    text = scrape(start_daemon())
    rows = re.findall(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (\w+) \|", (ROOT / "docs" / "metrics.md").read_text(), re.M)
    documented = {name: kind for name, _, kind in rows}
    served = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    assert {name: documented.get(name) for name in served} == served
    assert all(name.startswith("timesliced_level_") for name in documented.keys() - served.keys())
    for name, labels, _ in rows:
        shown = re.search(rf"^{name}\{{(.*)\}} ", text, re.M)
        if name in served:
            keys = re.findall(r'(\w+)="', shown[1]) if shown else []
            assert sorted(keys) == sorted(filter(None, labels.split(",")))


def test_rules_use_existing_metrics(start_daemon):
    text = RULES.read_text()
    known = families(scrape(start_daemon()))
    known |= {"timesliced_commit_duration_seconds_bucket"}
    expressions = re.findall(r"expr: (.*(?:\n {10}.*)*)", text)
    used = {name for expression in expressions for name in re.findall(r"timesliced_\w+", expression)}
    assert len(used) >= 7 and used <= known


# promtool.


def test_promtool_accepts_the_metrics(start_daemon):
    daemon = start_daemon(control__http="127.0.0.1:0")
    assert promtool("check", "metrics", text=scrape(daemon)) == (0, "")
    send(daemon, MESSAGE, MESSAGE, b"[", b"{}")
    assert promtool("check", "metrics", text=scrape(daemon)) == (0, "")


def steady(start, step):
    return f"{start}+{step}x60"


# {alert: the series that must raise it}; all other series are those of a healthy daemon
PROBLEMS = {
    "TimeslicedDown": {'up{job="timesliced",instance="a"}': "1x10 0x50"},
    "TimeslicedStoreDown": {'timesliced_store_up{job="timesliced",instance="a"}': "1x10 0x50"},
    "TimeslicedDatagramsDropped": {'timesliced_datagrams_dropped_total{job="timesliced",instance="a"}': steady(0, 3)},
    "TimeslicedOverMemory": {'timesliced_datagrams_over_memory_total{job="timesliced",instance="a"}': steady(0, 3)},
    "TimeslicedCommitsSlow": {
        'timesliced_commit_duration_seconds_bucket{job="timesliced",instance="a",le="0.01"}': steady(0, 20),
        'timesliced_commit_duration_seconds_bucket{job="timesliced",instance="a",le="1"}': steady(0, 40),
        'timesliced_commit_duration_seconds_bucket{job="timesliced",instance="a",le="2.5"}': steady(0, 60)},
    "TimeslicedRejects": {
        'timesliced_messages_rejected_total{job="timesliced",instance="a",code="bad_json"}': steady(0, 6)},
    "TimeslicedPendingGrows": {'timesliced_messages_pending{job="timesliced",instance="a"}': "100 300x10 1000x4 4000x4 "
                               "16000x4 64000x4 256000x4 1024000x4 4096000x40"},
    "TimeslicedSumsSaturated": {'timesliced_saturated_total{job="timesliced",instance="a"}': steady(0, 1)},
}
HEALTHY = {
    'up{job="timesliced",instance="a"}': "1x60",
    'timesliced_store_up{job="timesliced",instance="a"}': "1x60",
    'timesliced_datagrams_dropped_total{job="timesliced",instance="a"}': "7x60",
    'timesliced_datagrams_over_memory_total{job="timesliced",instance="a"}': "0x60",
    'timesliced_commit_duration_seconds_bucket{job="timesliced",instance="a",le="0.01"}': steady(0, 59),
    'timesliced_commit_duration_seconds_bucket{job="timesliced",instance="a",le="1"}': steady(0, 60),
    'timesliced_commit_duration_seconds_bucket{job="timesliced",instance="a",le="2.5"}': steady(0, 60),
    'timesliced_commit_duration_seconds_bucket{job="timesliced",instance="a",le="+Inf"}': steady(0, 60),
    'timesliced_messages_rejected_total{job="timesliced",instance="a",code="bad_json"}': "12x60",
    'timesliced_messages_pending{job="timesliced",instance="a"}': "0 5000 20000 300 0 40000x3 0x10 9000 0x40",
    'timesliced_saturated_total{job="timesliced",instance="a"}': "0x60",
}


def simulate(tmp_path, problem, alert, expected):
    """Lets promtool check whether the alert fires as expected half an hour after the problem began."""
    series = {**HEALTHY, **problem}
    test = {
        "rule_files": [str(RULES)], "evaluation_interval": "30s",
        "tests": [{"interval": "1m", "input_series": [{"series": s, "values": v} for s, v in series.items()],
                   "alert_rule_test": [{"eval_time": "32m", "alertname": alert, "exp_alerts": expected}]}],
    }
    path = tmp_path / "test.yml"
    path.write_text(json.dumps(test))  # JSON is YAML
    return promtool("test", "rules", path)


def test_promtool_accepts_the_rules():
    code, text = promtool("check", "rules", RULES)
    assert code == 0, text
    names = re.findall(r"- alert: (\w+)", RULES.read_text())
    assert sorted(names) == sorted(PROBLEMS) and f"{len(names)} rules found" in text


@pytest.mark.parametrize("alert", sorted(PROBLEMS))
def test_rule_fires_on_its_problem_only(tmp_path, alert):
    code, text = simulate(tmp_path, {}, alert, [])
    assert code == 0, text
    # Expects no alert, so that the output lists those that fired.
    code, text = simulate(tmp_path, PROBLEMS[alert], alert, [])
    assert code == 1 and f'alertname="{alert}"' in text and 'instance="a"' in text, text
    if alert == "TimeslicedRejects":
        assert 'code="bad_json"' in text


# A real Prometheus.


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    """Runs with its own configuration, data and port. Retries if another process binds the port first."""

    def __init__(self, folder, target):
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "500ms"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "timesliced", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        self.log = folder / "prometheus.log"
        for _ in range(3):
            self.port = free_port()
            with open(self.log, "wb") as log:
                self.process = subprocess.Popen(
                    ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                     f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
            if wait_until(lambda: self.process.poll() is not None or self.is_ready(), self.log.read_text, 60) \
                    and self.process.poll() is None:
                return
        raise AssertionError(f"prometheus did not start:\n{self.log.read_text()}")

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5) as response:
                return response.status == 200
        except OSError:
            return False

    def get(self, path, **params):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(params)}"
        with urllib.request.urlopen(url, timeout=30) as response:
            body = json.load(response)
        assert body["status"] == "success", body
        return body["data"]

    def query(self, expression):
        """{labels without __name__, instance and job: value}"""
        found = {}
        for row in self.get("query", query=expression)["result"]:
            labels = {k: v for k, v in row["metric"].items() if k not in ("__name__", "instance", "job")}
            found[tuple(sorted(labels.items()))] = float(row["value"][1])
        return found

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def prometheus(tmp_path):
    servers = []

    def start(target):
        servers.append(Prometheus(tmp_path, target))
        return servers[-1]
    yield start
    for server in servers:
        server.stop()


def test_prometheus_scrapes_all_series(start_daemon, prometheus):
    daemon = start_daemon(control__http="127.0.0.1:0")
    send(daemon, MESSAGE, MESSAGE, MESSAGE, b"[", b"{}", b"\xff")
    server = prometheus(daemon.status()["listeners"]["http"])
    wait_until(lambda: server.query("timesliced_messages_received_total") == {(): 6}, server.log.read_text, 30)
    [target] = server.get("targets")["activeTargets"]
    assert target["health"] == "up" and target["lastError"] == ""
    assert server.query('up{job="timesliced"}') == {(): 1}

    # Prometheus has every series of a scrape with its value.
    def same():
        series, _ = control.parse_metrics(scrape(daemon))
        stored = {}
        for row in server.get("query", query='{__name__=~"timesliced_.+"}')["result"]:
            labels = {k: v for k, v in row["metric"].items() if k not in ("__name__", "instance", "job")}
            labels = {k: f"{float(v):g}" if k == "le" else v for k, v in labels.items()}
            stored[row["metric"]["__name__"], tuple(sorted(labels.items()))] = float(row["value"][1])
        series = {(name, tuple(sorted((k, f"{float(v):g}" if k == "le" else v) for k, v in labels))): n
                  for (name, labels), n in series.items()}
        return stored == series
    wait_until(same, "Prometheus has other series than /metrics", 30)
    rejected = server.query("timesliced_messages_rejected_total > 0")
    assert rejected == {(("code", "bad_json"),): 1, (("code", "bad_shape"),): 1, (("code", "bad_utf8"),): 1}
    assert 0 < server.query("histogram_quantile(0.5, timesliced_commit_duration_seconds_bucket)")[()] <= 10

    # The rules are evaluated without errors, and a stopped daemon raises an alert.
    groups = wait_until(lambda: [g for g in server.get("rules")["groups"] if g.get("lastEvaluation", "0") > "0002"],
                        "the rules were not evaluated", 30)
    assert all(rule["health"] in ("ok", "unknown") and not rule.get("lastError") for g in groups for rule in g["rules"])
    daemon.check()
    wait_until(lambda: server.query('up{job="timesliced"}') == {(): 0}, "a stopped daemon counts as up", 30)
    wait_until(lambda: server.query('ALERTS{alertname="TimeslicedDown"}'), "no alert is pending", 30)


def test_scrapes_succeed_under_load(start_daemon, prometheus):
    """No scrape fails while messages arrive, and no counter decreases."""
    daemon = start_daemon(control__http="127.0.0.1:0")
    server = prometheus(daemon.status()["listeners"]["http"])
    end = time.monotonic() + 4
    while time.monotonic() < end:
        send(daemon, *[MESSAGE] * 50)
    wait_until(lambda: server.query("timesliced_messages_received_total"), "no scrape", 30)
    assert server.query("min_over_time(up[10s])") == {(): 1}
    assert server.query("resets(timesliced_messages_received_total[10s])") == {(): 0}
    assert server.query("timesliced_messages_received_total")[()] > 0
