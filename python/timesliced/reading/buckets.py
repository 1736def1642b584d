"""Buckets: the matrix of buckets and functions, which can draw itself."""
from dataclasses import dataclass
from typing import Any, Optional

from timesliced.reading import plot
from timesliced.reading.results import Matrix


@dataclass(frozen=True)
class Buckets(Matrix):
    def plot(self, ax: Any = None, *, title: Optional[str] = None, functions: int = plot.FUNCTIONS) -> Any:
        """Draws one stacked bar per bucket on `ax`, or on new matplotlib axes (timesliced[plot]), and returns the axes.
        The largest `functions` have a colour each; the others are drawn as "other"."""
        return plot.draw(self, ax, title, functions)
