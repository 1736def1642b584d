"""Files of the spool: writing, locking, reading them after a crash or damage."""
import fcntl
import os
import unittest
from unittest import mock

from helpers import Case
from timesliced.sending import spool


class Files(Case):
    def write(self, name, *lines, end=b""):
        with open(self.path(name), "wb") as file:
            file.write(b"".join(spool._checked(line + b"\n") for line in lines) + end)

    HELLO = b'{"hello": {"client": "one", "labels": {"a": "b"}}}'

    def message(self, n):
        return b'{"seq": %d, "timestamp": %d, "profile": {"func_profiles": []}}' % (n, n)

    def adopted(self):
        found = list(spool.adopt(self.folder))
        for left in found:
            self.addCleanup(left.spool.close)
        return found

    def test_adopt_unacknowledged_messages(self):
        self.write("a.spool", self.HELLO, *map(self.message, range(1, 6)), b'{"ack": 2}', self.message(6),
                   end=b'{"seq": 7, "timest')
        left, = self.adopted()
        self.assertEqual((left.client, left.labels, left.confirmed), ("one", '{"a": "b"}', 2))
        self.assertEqual([seq for seq, _ in left.messages], [3, 4, 5, 6])
        self.assertEqual(spool.message_line(3, left.messages[0][1]), self.message(3) + b"\n")
        left.spool.append(b'{"ack": 6}\n')  # replaces the incomplete line
        left.spool.close()
        self.assertEqual(self.adopted(), [])
        self.assertEqual(os.listdir(self.folder), [])

    def test_adopt_deletes_completed_files(self):
        self.write("acked.spool", self.HELLO, self.message(1), b'{"ack": 1}')
        self.write("hello.spool", self.HELLO)
        self.write("empty.spool")
        self.write("x.spool.1.new", self.HELLO, self.message(1))
        self.write("other.spool", b"not a spool file")
        self.write("notes.txt", b"notes")
        self.assertEqual(self.adopted(), [])
        self.assertEqual(sorted(os.listdir(self.folder)), ["notes.txt", "other.spool"])

    def test_adopt_ignores_locked_files(self):
        mine = spool.Spool.create(self.folder, "two", "")
        mine.append(self.message(1) + b"\n")
        self.assertEqual(self.adopted(), [])
        mine.close()
        self.assertEqual(len(self.adopted()), 1)
        self.assertEqual(self.adopted(), [])

    def test_adopt_file_replaced_during_lock(self):
        self.write("a.spool", self.HELLO, self.message(1))
        real = fcntl.flock

        def replaced(descriptor, how):
            real(descriptor, how)
            if os.path.exists(self.path("a.spool")):
                os.unlink(self.path("a.spool"))
        with mock.patch.object(spool.fcntl, "flock", replaced):
            self.assertEqual(self.adopted(), [])

    def test_rewrite(self):
        one = spool.Spool.create(self.folder, "one", "")
        for n in range(1, 4):
            one.append(self.message(n) + b"\n")
        one.rewrite("two", "", [self.message(1) + b"\n"])
        one.append(self.message(2) + b"\n")
        one.close()
        left, = self.adopted()
        self.assertEqual((left.client, [seq for seq, _ in left.messages]), ("two", [1, 2]))

    def test_disk_full(self):
        one = spool.Spool.create(self.folder, "one", "")
        one.append(self.message(1) + b"\n")
        with mock.patch.object(spool.os, "write", lambda fd, data: os.pwrite(fd, data[:10], one.size)):
            with self.assertRaises(OSError):
                one.append(self.message(2) + b"\n")
        one.append(self.message(3) + b"\n")
        one.close()
        left, = self.adopted()
        self.assertEqual([seq for seq, _ in left.messages], [1, 3])

    def test_truncation_at_every_byte(self):
        lines = (self.HELLO, self.message(1), b'{"ack": 1}', self.message(2))
        content = b"".join(spool._checked(line + b"\n") for line in lines)
        for end in range(1, len(content) + 1):
            with open(self.path("t.spool"), "wb") as file:
                file.write(content[:end])
            found = self.adopted()
            lines = content[:end].count(b"\n")
            self.assertEqual([seq for left in found for seq, _ in left.messages], {2: [1], 4: [2]}.get(lines, []), end)
            for left in found:
                left.spool.remove()

    def test_damage_at_every_byte(self):
        """Only the damaged line is lost, and the next file is still read."""
        lines = [spool._checked(line + b"\n") for line in (self.HELLO, *map(self.message, range(1, 4)), b'{"ack": 1}')]
        content = b"".join(lines)
        for n in range(len(content)):
            for value in (content[n] ^ 1, 0xff, 10):
                self.write("b.spool", self.HELLO, self.message(9))
                with open(self.path("a.spool"), "wb") as file:
                    file.write(content[:n] + bytes([value]) + content[n + 1:])
                reasons = []
                found = {left.spool.path[-7:]: left for left in spool.adopt(self.folder, reasons.append)}
                self.assertEqual([seq for seq, _ in found["b.spool"].messages], [9])
                if "a.spool" in found:
                    for seq, message in found["a.spool"].messages:
                        self.assertEqual(spool.message_line(seq, message), self.message(seq) + b"\n", n)
                    lost = {2, 3} - {seq for seq, _ in found["a.spool"].messages}
                    self.assertLessEqual(len(lost), 2 if content[n] == 10 else 1)  # two lines without a line feed between
                if n < len(lines[0]) - 1:
                    self.assertNotIn("a.spool", found)
                if value != content[n]:
                    self.assertEqual(len(reasons), 0 if n == len(content) - 1 else 1, (n, reasons))
                for left in found.values():
                    left.spool.close()


if __name__ == "__main__":
    unittest.main()
