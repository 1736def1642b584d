"""A request loop in Flask, with the middleware and without, in turns in one process.

The application is small and its requests short, which is the hard case: a template, a few rows, JSON. Requests go through
werkzeug's test client, so that what is measured is the application and the middleware, no sockets of a server. A pair is
a block of requests without and one with, their order changing; the figure is the median of the pairs' ratios, of wall
time, in which the background thread's work shows too.
"""
import statistics
import time

import daemon
import timesliced

PAIRS = 60
REQUESTS = 120  # of a block
WARM_UP = 200
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


def block(client):
    begin = time.perf_counter()
    for n in range(REQUESTS // 2):
        client.get(f"/items/{20 + n % 30}").get_data()
        client.get(f"/data/{20 + n % 30}").get_data()
    return time.perf_counter() - begin


def measure(build):
    try:
        plain, ours = application(), application()
    except ImportError:
        return [("a request loop in Flask", "not measured: this Python has no Flask", "<= 5% slower", False)]
    with daemon.Daemon(build) as one:
        sender = timesliced.Client(f"tcp://{one.listeners['tcp']}")
        ours.wsgi_app = sender.wsgi(ours.wsgi_app, max_overhead=OVERHEAD)
        clients = [plain.test_client(), ours.test_client()]
        for client in clients:
            for _ in range(WARM_UP // REQUESTS + 1):
                block(client)
        ratios, seconds = [], [0.0, 0.0]
        for n in range(PAIRS):
            times = [0.0, 0.0]
            for which in ((0, 1) if n % 2 else (1, 0)):
                times[which] = block(clients[which])
                seconds[which] += times[which]
            ratios.append(times[1] / times[0])
        sender.flush(10)
        stats = sender.stats
        routes = {row["labels"].get("route") for row in one.ask("GET", "/v1/labels")["labels"]}
        sender.close()
    requests = PAIRS * REQUESTS
    slower = statistics.median(ratios) - 1
    return [
        (f"{requests:,} requests of {1e3 * seconds[0] / requests:.2f} ms: slower with the middleware, median of "
         f"{PAIRS} pairs", f"{100 * slower:.1f}% (all together {100 * (seconds[1] / seconds[0] - 1):.1f}%)",
         "<= 5%", slower <= OVERHEAD),
        ("requests profiled", f"{stats.sent:,} ({stats.skipped:,} skipped)", "> 0", stats.sent > 0),
        ("routes", ", ".join(f"`{route}`" for route in sorted(routes)), "2",
         routes == {"/items/<int:count>", "/data/<int:count>"})]
