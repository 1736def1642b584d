"""The Python package and the daemon through kills, forks and commands; the examples; Control's questions."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "bench")]

import client_kills  # noqa: E402
import timesliced  # noqa: E402
from support.daemon import PATIENCE, wait_until  # noqa: E402

STAMP = 1732272009.25


def python(one, *words, way="tcp", **environment):
    address = "{}://{}:{}".format(way, *one.address(way))
    done = subprocess.run([sys.executable, *map(str, words)], cwd=ROOT / "python", check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=10 * PATIENCE,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "TIMESLICED_ADDRESS": address,
                               "PYTHONDONTWRITEBYTECODE": "1", **environment})
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done


def calls(one, **params):
    one.idle()
    params = {key.replace("__", "."): value for key, value in params.items()}
    return {row["function"]: row["ncalls"] for row in one.ask("/v1/top", {"metric": "ncalls", **params})["functions"]}


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_exactly_once_through_kills(prepare, way):
    """The long form is bench/client.py's kills."""
    found = client_kills.run(lambda: prepare({}, ""), 9, way=way)
    assert found["taken"] > 0 and found["drained"], found
    assert (found["lost"], found["twice"], found["parts"]) == (0, 0, 0), found
    assert found["stored"] == found["profiles"], found


def test_article(daemon):
    one = daemon()
    python(one, "examples/article.py", "1")
    found = calls(one, label__example="article")
    assert found["sleep1"] >= found["sleep2"] >= found["sleep3"] > 0


@pytest.mark.parametrize("way", ["tcp", "udp"])
def test_pool(daemon, way):
    """Nothing of any worker is lost at its end, and nothing is counted twice."""
    one = daemon()
    python(one, "examples/pool.py", "40", way=way)
    found = calls(one, label__example="pool")
    assert (found["task"], found["dumps"]) == (40, 40)
    assert one.ask("/v1/top")["profiles"] == 40


def test_spawned_workers_too(daemon, tmp_path):
    one = daemon()
    (tmp_path / "spawned.py").write_text("""
import multiprocessing, timesliced
client = timesliced.Client()
def counted(n):
    return n
def work(n):
    with client.profile():
        counted(n)
if __name__ == "__main__":
    workers = [multiprocessing.get_context("spawn").Process(target=work, args=(n,)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
""")
    python(one, tmp_path / "spawned.py")
    assert calls(one)["counted"] == 3


def test_every_in_forked_workers(daemon, tmp_path):
    """They end before an interval does."""
    one = daemon()
    (tmp_path / "every.py").write_text("""
import multiprocessing, timesliced
def counted(n):
    return n
def work(n):
    for i in range(n):
        counted(i)
client = timesliced.Client()
client.every(3600)
work(100)
workers = [multiprocessing.get_context("fork").Process(target=work, args=(n,)) for n in range(1, 9)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
work(7)
""")
    python(one, tmp_path / "every.py")
    assert calls(one)["counted"] == 100 + sum(range(1, 9)) + 7


def test_tasks(daemon):
    one = daemon()
    python(one, "examples/tasks.py", "20")
    found = calls(one, label__example="asyncio")
    assert (found["parse"], found["handle"]) == (60, 20 * 4)  # a coroutine is called once more for each await that waits
    assert one.ask("/v1/top")["profiles"] == 20


def test_flask(daemon):
    pytest.importorskip("flask")
    one = daemon()
    python(one, "examples/flask_app.py", "150")
    one.idle()
    routes = {row["labels"]["route"]: row["profiles"] for row in one.ask("/v1/labels")["labels"]}
    assert routes and set(routes) <= {"/items/<int:count>", "/data"}  # which ones, the budget decides
    for route, function in (("/items/<int:count>", "items"), ("/data", "data")):
        assert calls(one, **{"label.route": route}).get(function, 0) == routes.get(route, 0)


def test_run_and_send(daemon, tmp_path):
    one = daemon()
    (tmp_path / "prog.py").write_text("def counted(n):\n    return n and counted(n - 1)\ncounted(9)\n")
    python(one, "-m", "timesliced", "run", "--label", "how=run", tmp_path / "prog.py")
    assert calls(one, label__how="run")["counted"] == 10
    python(one, "-m", "cProfile", "-o", tmp_path / "x.prof", tmp_path / "prog.py")
    for way in ("tcp", "udp"):
        python(one, "-m", "timesliced", "send", "--label", f"how={way}", tmp_path / "x.prof", way=way)
        wait_until(lambda way=way: calls(one, **{"label.how": way}))
        assert calls(one, **{"label.how": way})["counted"] == 10
    written = os.stat(tmp_path / "x.prof").st_mtime
    found = one.ask("/v1/buckets", {"label.how": "tcp"})["buckets"]
    assert found == [written // 10 * 10]


def test_control(daemon):
    one = daemon(control__http="127.0.0.1:0")
    with timesliced.Client("tcp://{}:{}".format(*one.address("tcp")), {"service": "web"}) as client:
        import pstats
        for n in range(3):
            stats = pstats.Stats()
            stats.stats = {("/app/a.py", 3, "_one"): (1, 2, 0.25, 0.5, {}), ("/app/a.py", 9, "two"): (1, 1, 1.0, 1.5, {})}
            client.send(stats, STAMP + 10 * n)
        assert client.flush(PATIENCE)
    for where in (str(one.control), "http://{}:{}".format(*one.address("http"))):
        control = timesliced.Control(where)
        found = control.buckets(from_=STAMP, to=STAMP + 30, labels={"service": "web"}, top=1)
        assert found.buckets == [1732272000, 1732272010, 1732272020]
        assert [(row.function, row.values) for row in found.functions] == [("two", [1.5] * 3)]
        assert (found.other.functions, found.other.total, found.exact_profiles) == (1, 1.5, [1, 1, 1])
        top = control.top(by="location", function="o*")
        assert [(row.location.raw_name, row.ncalls, row.pcalls) for row in top.functions] == [("_one", 6, 3)]
        assert [row.labels for row in control.labels()] == [{"service": "web"}]
        with pytest.raises(timesliced.ControlError, match="bad_parameter"):
            control.buckets(time_slice="7s")
    timesliced.Control(str(one.control)).flush()


def test_diff(daemon):
    one = daemon()
    if one.get("/v1/diff", {"before": "..1732272010"}).status == 404:
        pytest.skip("this daemon has no /v1/diff")
    import pstats
    with timesliced.Client("tcp://{}:{}".format(*one.address("tcp"))) as client:
        for stamp, seconds in ((STAMP, 0.5), (STAMP + 10, 0.75)):
            stats = pstats.Stats()
            stats.stats = {("/app/a.py", 3, "one"): (1, 1, 0.25, seconds, {})}
            client.send(stats, stamp)
        assert client.flush(PATIENCE)
    found = timesliced.Control(str(one.control)).diff(before=(None, 1732272010), after=(1732272010, None))
    row, = found.functions
    assert (row.before.cumtime, row.after.cumtime, row.per_profile.change) == (0.5, 0.75, 0.25)
    assert (row.called_more, row.slower_per_call) == (0, 0.25)
