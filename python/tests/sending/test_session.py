"""Sequence numbers: a session against all combinations of sent, acknowledged and last_seq."""
import itertools
import unittest

from timesliced.sending import session


class Greetings(unittest.TestCase):
    def test_all_combinations(self):
        for sent, confirmed, last_seq in itertools.product(range(4), range(4), range(6)):
            if confirmed > sent:
                continue
            done = []
            one = session.Session("", done.append, self.fail)
            for n in range(1, sent + 1):
                one.add(b'{"n": %d}' % n, n)
            one.acknowledged(confirmed)
            client = one.client
            continues = one.greeted(last_seq)
            known = confirmed <= last_seq <= sent
            self.assertEqual(continues, known)
            self.assertEqual(one.client == client, known)
            left = list(range((last_seq if known else confirmed) + 1, sent + 1))
            self.assertEqual([message.owner for message in one.waiting], left)
            self.assertEqual([message.seq for message in one.waiting], left if known else list(range(1, len(left) + 1)))
            self.assertEqual(done, list(range(1, (last_seq if known else confirmed) + 1)))


if __name__ == "__main__":
    unittest.main()
