"""The Python package with the daemon: kills, forked and spawned workers, commands, examples, Control."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "bench")]

import client_kills  # noqa: E402
import timesliced  # noqa: E402
from support.daemon import TIMEOUT, wait_until  # noqa: E402

STAMP = 1732272009.25


def python(daemon, *arguments, transport="tcp", **environment):
    """Runs Python with $TIMESLICED_ADDRESS set to the daemon."""
    address = "{}://{}:{}".format(transport, *daemon.address(transport))
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT / "python", check=False, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=10 * TIMEOUT,
                          env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "TIMESLICED_ADDRESS": address,
                               "PYTHONDONTWRITEBYTECODE": "1", **environment})
    assert done.returncode == 0, (done.stdout, done.stderr)
    return done


def calls(daemon, **params):
    daemon.wait_idle()
    return daemon.calls(metric="ncalls", **params)


@pytest.mark.parametrize("transport", ["tcp", "unix"])
def test_profiles_count_once_despite_kills(new_daemon, transport):
    """bench/client.py has the long form."""
    found = client_kills.run(lambda: new_daemon({}, ""), 9, transport=transport)
    assert found["spooled"] > 0 and found["drained"], found
    assert (found["lost"], found["twice"], found["parts"]) == (0, 0, 0), found
    assert found["stored"] == found["profiles"], found


SENDS_BEYOND_ITS_SPOOL = """
import os, signal, sys, time, timesliced
def small(name):
    import cProfile
    with cProfile.Profile() as profile:
        eval(f"({name} := lambda: 1)()")
    return profile
client = timesliced.Client(spool=sys.argv[1])
for n in range(8):
    if n == 4:
        while client.stats.spooled < 4:
            time.sleep(0.01)
        with open(sys.argv[1] + "/filler", "wb", buffering=0) as filler:
            try:
                while filler.write(bytes(4096)):
                    pass
            except OSError:
                pass
    client.send(small("f"), 1732272009)
while open(sys.argv[2]).read() != "received":
    time.sleep(0.01)
assert client.stats.spooled == 4
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_messages_sent_beyond_a_full_spool_count_once(start_daemon, tmp_path):
    """Four of eight messages are in the spool, all are sent, none is acknowledged when the process is killed."""
    folder, received = tmp_path / "spool", tmp_path / "received"
    folder.mkdir()
    received.write_text("")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], check=False,
                      capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs")
    try:
        daemon = start_daemon(store__ack_interval="2s", store__flush_interval="1h")
        address = "tcp://{}:{}".format(*daemon.address("tcp"))
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "TIMESLICED_ADDRESS": address}
        process = subprocess.Popen([sys.executable, "-c", SENDS_BEYOND_ITS_SPOOL, folder, received], env=environment)
        wait_until(lambda: daemon.status()["received"] == 8)
        received.write_text("received")
        assert process.wait(TIMEOUT) == -9
        (folder / "filler").unlink()
        python(daemon, "-c", "import cProfile, timesliced\nclient = timesliced.Client(spool={!r})\n"
               "with client.profile():\n    pass\nassert client.close(60)".format(str(folder)))
        assert daemon.get_json("/v1/top", {"from": "1732272000"})["profiles"] == 9
        assert [name.name for name in folder.iterdir()] == []
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def test_example_article(start_daemon):
    daemon = start_daemon()
    python(daemon, "examples/article.py", "1")
    found = calls(daemon, label__example="article")
    assert found["sleep1"] >= found["sleep2"] >= found["sleep3"] > 0


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_example_pool_counts_every_task(start_daemon, transport):
    """Every profile of every worker counts exactly once."""
    daemon = start_daemon()
    python(daemon, "examples/pool.py", "40", transport=transport)
    found = calls(daemon, label__example="pool")
    assert (found["task"], found["dumps"]) == (40, 40)
    assert daemon.get_json("/v1/top")["profiles"] == 40


def test_spawned_workers_send_their_profiles(start_daemon, tmp_path):
    daemon = start_daemon()
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
    python(daemon, tmp_path / "spawned.py")
    assert calls(daemon)["counted"] == 3


def test_every_sends_in_forked_workers(start_daemon, tmp_path):
    """The workers end before the first interval ends."""
    daemon = start_daemon()
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
    python(daemon, tmp_path / "every.py")
    assert calls(daemon)["counted"] == 100 + sum(range(1, 9)) + 7


def test_example_tasks(start_daemon):
    daemon = start_daemon()
    python(daemon, "examples/tasks.py", "20")
    found = calls(daemon, label__example="asyncio")
    assert (found["parse"], found["handle"]) == (60, 20 * 4)  # each await that suspends adds a call of the coroutine
    assert daemon.get_json("/v1/top")["profiles"] == 20


def test_example_flask_app(start_daemon):
    pytest.importorskip("flask")
    daemon = start_daemon()
    python(daemon, "examples/flask_app.py", "150")
    daemon.wait_idle()
    routes = {row["labels"]["route"]: row["profiles"] for row in daemon.get_json("/v1/labels")["labels"]}
    assert routes and set(routes) <= {"/items/<int:count>", "/data"}  # depends on the overhead budget
    for route, function in (("/items/<int:count>", "items"), ("/data", "data")):
        assert calls(daemon, **{"label.route": route}).get(function, 0) == routes.get(route, 0)


def test_commands_run_and_send(start_daemon, tmp_path):
    daemon = start_daemon()
    (tmp_path / "prog.py").write_text("def counted(n):\n    return n and counted(n - 1)\ncounted(9)\n")
    python(daemon, "-m", "timesliced", "run", "--label", "how=run", tmp_path / "prog.py")
    assert calls(daemon, label__how="run")["counted"] == 10
    python(daemon, "-m", "cProfile", "-o", tmp_path / "x.prof", tmp_path / "prog.py")
    for transport in ("tcp", "udp"):
        python(daemon, "-m", "timesliced", "send", "--label", f"how={transport}", tmp_path / "x.prof",
               transport=transport)
        wait_until(lambda transport=transport: calls(daemon, **{"label.how": transport}))
        assert calls(daemon, **{"label.how": transport})["counted"] == 10
    written = os.stat(tmp_path / "x.prof").st_mtime
    found = daemon.get_json("/v1/buckets", {"label.how": "tcp"})["buckets"]
    assert found == [written // 10 * 10]


def test_control_queries(start_daemon):
    daemon = start_daemon(control__http="127.0.0.1:0")
    with timesliced.Client("tcp://{}:{}".format(*daemon.address("tcp")), {"service": "web"}) as client:
        import pstats
        for n in range(3):
            stats = pstats.Stats()
            stats.stats = {("/app/a.py", 3, "_one"): (1, 2, 0.25, 0.5, {}),
                           ("/app/a.py", 9, "two"): (1, 1, 1.0, 1.5, {})}
            client.send(stats, STAMP + 10 * n)
        assert client.flush(TIMEOUT)
    for endpoint in (str(daemon.control), "http://{}:{}".format(*daemon.address("http"))):
        control = timesliced.Control(endpoint)
        found = control.buckets(from_=STAMP, to=STAMP + 30, labels={"service": "web"}, top=1)
        assert found.buckets == [1732272000, 1732272010, 1732272020]
        assert [(row.function, row.values) for row in found.functions] == [("two", [1.5] * 3)]
        assert (found.other.functions, found.other.total, found.exact_profiles) == (1, 1.5, [1, 1, 1])
        top = control.top(by="location", function="o*")
        assert [(row.location.raw_name, row.ncalls, row.pcalls) for row in top.functions] == [("_one", 6, 3)]
        assert [row.labels for row in control.labels()] == [{"service": "web"}]
        with pytest.raises(timesliced.ControlError, match="bad_parameter"):
            control.buckets(time_slice="7s")
    timesliced.Control(str(daemon.control)).flush()


def test_control_diff(start_daemon):
    daemon = start_daemon()
    import pstats
    with timesliced.Client("tcp://{}:{}".format(*daemon.address("tcp"))) as client:
        for stamp, seconds in ((STAMP, 0.5), (STAMP + 10, 0.75)):
            stats = pstats.Stats()
            stats.stats = {("/app/a.py", 3, "one"): (1, 1, 0.25, seconds, {})}
            client.send(stats, stamp)
        assert client.flush(TIMEOUT)
    found = timesliced.Control(str(daemon.control)).diff(before=(None, 1732272010), after=(1732272010, None))
    row, = found.functions
    assert (row.before.cumtime, row.after.cumtime, row.per_profile.change) == (0.5, 0.75, 0.25)
    assert (row.called_more, row.slower_per_call) == (0, 0.25)
