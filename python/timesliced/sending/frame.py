"""Frame: the part of a message around the entries, and splitting a profile into several messages.

A profile longer than `limit` is split: entries stay in order, and each message has as many as fit. Only a message with
a single entry (with long names or long labels) may exceed `limit`. With names and labels at their maximum it has less
than 60,000 bytes, which fits into a UDP datagram (65,507).
"""
from typing import Iterable, List, Optional, Tuple


class Frame:
    def __init__(self, timestamp: str, labels: str, exact: bool, total: str, brackets: str) -> None:
        """timestamp, labels ("" for none) and total are JSON; brackets: "[]" or "{}", around the entries."""
        self.head = (f'{{"timestamp": {timestamp}, ' + (f'"labels": {labels}, ' if labels else "")
                     + ('"exact": true, ' if exact else ""))
        self.total = total
        self.open, self.close = brackets[0], brackets[1]

    def around(self, part: Optional[Tuple[int, int]]) -> Tuple[str, str]:
        index, count = part or (0, 0)
        return (self.head + (f'"part": [{index}, {count}], ' if part else "") + '"profile": {'
                + (f'"total_tt": {self.total}, ' if index == 0 else "") + f'"func_profiles": {self.open}',
                f"{self.close}}}}}")

    def messages(self, entries: List[str], limit: int) -> List[bytes]:
        groups = [entries]
        if self._size(entries, None) > limit:
            groups = self._split(entries, limit)
        parts: Iterable[Optional[Tuple[int, int]]] = [None]
        if len(groups) > 1:
            parts = [(i, len(groups)) for i in range(len(groups))]
        texts = []
        for group, part in zip(groups, parts):
            before, after = self.around(part)
            texts.append((before + ", ".join(group) + after).encode("ascii"))
        return texts

    def _size(self, entries: List[str], part: Optional[Tuple[int, int]]) -> int:
        return sum(map(len, self.around(part))) + sum(map(len, entries)) + 2 * max(len(entries) - 1, 0)

    def _split(self, entries: List[str], limit: int) -> List[List[str]]:
        """Greedy; reserves space for the longest possible `part`. No group is empty."""
        most = len(entries)
        first, later = self._size([], (0, most)), self._size([], (most, most))
        groups: List[List[str]] = []
        size = 0
        for entry in entries:
            size += 2 + len(entry)
            if groups and size <= limit:
                groups[-1].append(entry)
            else:
                size = len(entry) + (later if groups else first)
                groups.append([entry])
        return groups
