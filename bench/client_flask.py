"""A request loop in Flask with and without the middleware, alternating in one process.

Short requests are the worst case: a template with a few rows, JSON. They are made with werkzeug's test client, so the
sockets of a server are not measured. Blocks of a few requests alternate between the applications, in changing order;
the sums are compared, which include all profiled requests. The CPU time of the process, which includes the background
thread, is less disturbed by other programs than the wall time. A third application without middleware shows the random
error.
"""
import time

import daemon
import timesliced

PAIRS = 1500
REQUESTS = 4  # per block
WARM_UP = 50  # blocks
OVERHEAD = 0.05


def application():
    import flask
    app = flask.Flask("bench")
    page = "<ul>{% for row in rows %}<li>{{ row.name }}: {{ '%.2f' % row.price }}</li>{% endfor %}</ul>"

    @app.route("/items/<int:count>")
    def items(count):
        rows = [{"name": f"item {n}", "price": n * 1.25} for n in range(count)]
        return flask.render_template_string(page, rows=rows)

    @app.route("/data/<int:count>")
    def data(count):
        return flask.jsonify(sorted(({"n": n, "square": n * n} for n in range(count)), key=lambda row: -row["n"]))
    return app


def block(client, n):
    """Returns the seconds of wall time and of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    for k in range(REQUESTS // 2):
        client.get(f"/items/{20 + (n + k) % 30}").get_data()
        client.get(f"/data/{20 + (n + k) % 30}").get_data()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(build):
    try:
        applications = [application() for _ in range(3)]
    except ImportError:
        return [("a request loop in Flask", "not measured: this Python has no Flask", "<= 5% slower", False)]
    with daemon.Daemon(build) as one:
        sender = timesliced.Client(f"tcp://{one.listeners['tcp']}")
        applications[1].wsgi_app = sender.wsgi(applications[1].wsgi_app, max_overhead=OVERHEAD)
        clients = [app.test_client() for app in applications]
        for client in clients:
            for n in range(WARM_UP):
                block(client, n)
        sums = [[0.0, 0.0] for _ in clients]
        for n in range(PAIRS):
            for k in range(3):
                which = (n + k) % 3 if n % 2 else (n - k) % 3
                for what, seconds in enumerate(block(clients[which], n)):
                    sums[which][what] += seconds
        sender.flush(10)
        stats = sender.stats
        routes = {row["labels"].get("route") for row in one.request("GET", "/v1/labels")["labels"]}
        sender.close()
    requests = PAIRS * REQUESTS
    (wall, cpu), with_middleware, without = sums
    slower = [a / b - 1 for a, b in zip(with_middleware, (wall, cpu))]
    chance = [a / b - 1 for a, b in zip(without, (wall, cpu))]
    return [
        (f"{requests:,} requests of {1e3 * wall / requests:.2f} ms: slower with the middleware, wall time",
         f"{100 * slower[0]:.1f}% (without it again: {100 * chance[0]:.1f}%)", "<= 5%", slower[0] <= OVERHEAD),
        ("the same, CPU time of the process", f"{100 * slower[1]:.1f}% (without it again: {100 * chance[1]:.1f}%)",
         "<= 5%", slower[1] <= OVERHEAD),
        ("requests profiled", f"{stats.sent:,} ({stats.skipped:,} skipped)", "> 0", stats.sent > 0),
        ("routes", ", ".join(f"`{route}`" for route in sorted(routes)), "2",
         routes == {"/items/<int:count>", "/data/<int:count>"})]
