"""Flask with two lines for timesliced: requests are profiled within 5% overhead, with a label per route.

    FLASK_APP=examples/flask_app.py flask run         (or any WSGI server: examples.flask_app:app)
    python examples/flask_app.py [REQUESTS]           makes requests without a server
"""
import sys

import flask

import timesliced

app = flask.Flask(__name__)
client = timesliced.Client(labels={"example": "flask"})
app.wsgi_app = client.wsgi(app.wsgi_app, max_overhead=0.05)

PAGE = "<ul>{% for row in rows %}<li>{{ row.name }}: {{ '%.2f' % row.price }}</li>{% endfor %}</ul>"


@app.route("/items/<int:count>")
def items(count):
    rows = [{"name": f"item {n}", "price": n * 1.25} for n in range(count)]
    return flask.render_template_string(PAGE, rows=rows)


@app.route("/data")
def data():
    return flask.jsonify([{"n": n, "square": n * n} for n in range(200)])


def main(requests):
    browser = app.test_client()
    for n in range(requests):
        browser.get(f"/items/{n % 50}")
        browser.get("/data")
    complete = client.flush()
    print(f"{2 * requests} requests, {client.stats.sent} of them profiled")
    return 0 if client.close() and complete else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
