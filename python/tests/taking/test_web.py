"""The middleware: transparent to application and server; routes, streamed responses, budget."""
import asyncio
import sys
import unittest
from types import SimpleNamespace

from helpers import PATIENCE, Case, rows_by_name
from messages import accept
from receivers import Acked
from taking.cases import step, work
from timesliced.taking import profiler, web


def environ(path="/", **more):
    return {"REQUEST_METHOD": "GET", "PATH_INFO": path, **more}


class Wsgi(Case):
    def setUp(self):
        super().setUp()
        self.server = self.receiver(Acked())
        self.sender = self.client(self.server.address)
        self.started = []

    def get(self, app, path="/", close=True, **more):
        body = app(environ(path, **more), lambda *args: self.started.append(args))
        try:
            return b"".join(body)
        finally:
            if close and hasattr(body, "close"):
                body.close()

    def sent(self):
        self.assertTrue(self.sender.flush(PATIENCE))
        self.assertIsNone(sys.getprofile())
        self.assertEqual(profiler._busy, {})
        return [(accept(line)["labels"]["route"], rows_by_name(line).get("step", (0,))[0])
                for line in self.server.lines]

    def test_plain(self):
        def app(env, start_response):
            work(5)
            start_response("200 OK", [])
            return [b"a", b"b"]
        wrapped = self.sender.wsgi(app, max_overhead=None)
        for path in ("/items/17/edit", "/", "/v2", "/über/x%20y"):
            self.assertEqual(self.get(wrapped, path), b"ab")
        self.assertEqual(self.started, [("200 OK", [])] * 4)
        self.assertEqual(self.sent(), [("/items/*/edit", 5), ("/", 5), ("/*", 5), ("/über/*", 5)])

    def test_streamed(self):
        closed = []

        class Body:
            def __iter__(self):
                for n in (1, 2, 3):
                    work(n)
                    yield b"x"

            def close(self):
                work(10)
                closed.append(True)
        wrapped = self.sender.wsgi(lambda env, start: Body(), max_overhead=None)
        self.assertEqual(self.get(wrapped), b"xxx")
        self.assertEqual(closed, [True])
        self.assertEqual(self.sent(), [("/", 16)])

    def test_response_not_closed_by_the_server(self):
        def app(env, start):
            yield b"x"
            work(3)
        wrapped = self.sender.wsgi(app, max_overhead=None)
        self.assertEqual(self.get(wrapped, close=False), b"x")
        self.assertEqual(self.sent(), [("/", 3)])

    def test_exceptions_pass_through(self):
        def app(env, start):
            work(2)
            raise KeyError("x")

        def later(env, start):
            yield b"x"
            raise KeyError("y")
        for one in (app, later):
            with self.assertRaises(KeyError):
                self.get(self.sender.wsgi(one, max_overhead=None))
        self.assertEqual(self.sent(), [("/", 2), ("/", 0)])

    def test_routes(self):
        def app(env, start):
            start("200 OK", [])
            env.pop("werkzeug.request", None)  # as Flask does at the end
            return []
        found = {"/flask": "/flask/<int:id>", "/own": "mine", "/odd": 5, "/bad": ZeroDivisionError}

        def route(env):
            name = found.get(env["PATH_INFO"])
            if name is ZeroDivisionError:
                raise name
            return None if name == "/flask/<int:id>" else name
        wrapped = self.sender.wsgi(app, max_overhead=None, route=route)
        request = SimpleNamespace(url_rule=SimpleNamespace(rule="/flask/<int:id>"))
        for path in found:
            self.get(wrapped, path, **({"werkzeug.request": request} if path == "/flask" else {}))
        self.get(wrapped, "/flask", **{"werkzeug.request": SimpleNamespace(url_rule=None)})
        self.get(wrapped, "/" + "é" * 400 + "\0")
        names = [name for name, _ in self.sent()]
        self.assertEqual(names[:5], ["/flask/<int:id>", "mine", "/odd", "/bad", "/flask"])
        self.assertEqual(names[5], "/" + "é" * 127)
        self.assertIn("ZeroDivisionError", self.sender.stats.last_error)

    def test_number_of_routes_is_bounded(self):
        def app(env, start):
            return []
        wrapped = self.sender.wsgi(app, max_overhead=None)
        letters = "abcdefghijklmnopqrstuvwxyz"
        for a in letters:
            for b in letters:
                self.get(wrapped, f"/{a}{b}")
        names = {name for name, _ in self.sent()}
        self.assertEqual(len(names), web.ROUTES_MAX + 1)
        self.assertIn(web.OTHER, names)

    def test_budget_and_rate(self):
        def app(env, start):
            work(300)
            return []
        for more, least, most in (({}, 1, 60), ({"max_overhead": None, "rate": 0.5}, 60, 140),
                                  ({"max_overhead": 1.0}, 1, 200)):
            wrapped = self.sender.wsgi(app, **more)
            before = len(self.server.lines)
            for _ in range(200):
                self.get(wrapped)
            self.sent()
            self.assertTrue(least <= len(self.server.lines) - before <= most, (more, len(self.server.lines) - before))
        self.assertGreater(self.sender.stats.skipped, 0)

    def test_arguments(self):
        for more in ({"rate": 2}, {"max_overhead": "x"}):
            with self.assertRaises((TypeError, ValueError)):
                self.sender.wsgi(lambda *_: [], **more)


class Asgi(Case):
    def test_requests(self):
        server = self.receiver(Acked())
        sender = self.client(server.address)
        others = []

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                others.append("lifespan")
                return
            scope["route"] = SimpleNamespace(path="/items/{id}") if scope["path"].startswith("/items") else None
            work(2)
            await asyncio.sleep(0.01)
            work(3)
            await send({"type": "http.response.start", "status": 200})
            if scope["path"] == "/fail":
                raise KeyError("x")

        async def main():
            sent = []

            async def send(message):
                sent.append(message)
                await asyncio.sleep(0)
                step(5)

            async def get(path):
                await wrapped({"type": "http", "path": path}, None, send)
            await wrapped({"type": "lifespan"}, None, send)
            await asyncio.gather(*(get(f"/items/{n}") for n in range(5)))
            with self.assertRaises(KeyError):
                await get("/fail")
            self.assertEqual(len(sent), 6)
        wrapped = sender.asgi(app, max_overhead=None)
        asyncio.run(main())
        self.assertTrue(sender.flush(PATIENCE))
        found = [(accept(line)["labels"]["route"], rows_by_name(line)["step"][0]) for line in server.lines]
        self.assertEqual(sorted(found), [("/fail", 6)] + [("/items/{id}", 6)] * 5)
        self.assertEqual(others, ["lifespan"])
        self.assertEqual(sender.stats.stepped_back, 0)


if __name__ == "__main__":
    unittest.main()
