"""The background thread is not visible in profiles."""
import cProfile
import sys
import threading
import time
import unittest

from helpers import PATIENCE, Case
from receivers import Acked
from taking.cases import SHARED
from timesliced.sending import unprofiled


class Unprofiled(Case):
    def test_background_thread_is_not_profiled(self):
        """Although it works while another thread is profiled."""
        server = self.receiver(Acked())
        sender = self.client(server.address)
        self.assertTrue(sender._sender.start())
        profile = cProfile.Profile()
        deadline = time.monotonic() + 0.3

        def outer():
            while time.monotonic() < deadline:
                inner()
                sender.send("/no/such/dump")

        def inner():
            time.sleep(0.0005)
        profile.runcall(outer)
        self.assertGreater(sender.stats.dropped, 5)
        names = [getattr(entry.code, "co_name", entry.code) for entry in profile.getstats()]
        self.assertEqual(names.count("outer"), 1)
        self.assertFalse({"intake", "_encode", "load", "poll", "_datagrams", "_streams"} & set(names))
        by_name = {getattr(entry.code, "co_name", entry.code): entry for entry in profile.getstats()}
        self.assertEqual(by_name["outer"].callcount, 1)
        slept = by_name["<built-in method time.sleep>"]
        self.assertEqual(slept.callcount, by_name["inner"].callcount)
        self.assertGreaterEqual(by_name["inner"].totaltime, slept.totaltime)
        self.assertGreaterEqual(by_name["outer"].totaltime, by_name["inner"].totaltime)

    def test_several_start_at_once(self):
        ran = []
        start = threading.Barrier(8)

        def one(n):
            start.wait(PATIENCE)
            unprofiled.run_unprofiled(lambda: (time.sleep(0.01), ran.append((n, threading.get_ident()))))
        threads = [threading.Thread(target=one, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        idents = {n: thread.ident for n, thread in enumerate(threads)}
        for thread in threads:
            thread.join()
        self.assertEqual(dict(ran), idents)
        self.assertEqual(len(ran), 8)
        if SHARED:
            self.assertEqual([sys.monitoring.get_tool(tool) for tool in unprofiled._IDS], [None, None])


if __name__ == "__main__":
    unittest.main()
