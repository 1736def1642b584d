"""What Control gives: the daemon's answers as types. Times are seconds; moments are seconds since the Unix epoch.

Seconds are floats here: they tell nanoseconds apart up to 104 days in one sum.
"""
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

if TYPE_CHECKING:
    from timesliced.reading.control import Time

Range = Union[str, Tuple["Optional[Time]", "Optional[Time]"]]
Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Location:
    """Of `by="location"`; each is None where the sender gave none."""

    file_name: Optional[str]
    line_number: Optional[int]
    raw_name: Optional[str]

    @classmethod
    def of(cls, row: Answer) -> "Optional[Location]":
        if "file_name" not in row:
            return None
        return cls(row["file_name"], row["line_number"], row["raw_name"])

    def __str__(self) -> str:
        return f"{self.file_name}:{self.line_number}({self.raw_name})"


@dataclass(frozen=True)
class Series:
    """One function's values, a value for each bucket."""

    function: Optional[str]  # `by="label.KEY"`: the label's value, None for profiles without it
    location: Optional[Location]
    total: float
    values: List[float]


@dataclass(frozen=True)
class Rest:
    """All that `top` left out, summed."""

    functions: int
    total: float
    values: List[float]


@dataclass(frozen=True)
class Buckets:
    """Buckets ascend; functions descend by total. profiles, exact_profiles, total_tt (the sum of the profiles' own total)
    and parts_missing have a value for each bucket. from_ and to are None where that end is not known."""

    start_time: float
    time_slice: float
    metric: str
    unit: str
    from_: Optional[float]
    to: Optional[float]
    from_resolution: Optional[float]
    to_resolution: Optional[float]
    buckets: List[float]
    profiles: List[int]
    exact_profiles: List[int]
    total_tt: List[float]
    parts_missing: List[int]
    functions: List[Series]
    other: Rest

    @classmethod
    def of(cls, answer: Answer) -> "Buckets":
        return cls(
            answer["start_time"], answer["time_slice"], answer["metric"], answer["unit"], answer["from"], answer["to"],
            answer.get("from_resolution"), answer.get("to_resolution"), answer["buckets"], answer["profiles"],
            answer["exact_profiles"], answer["total_tt"], answer["parts_missing"],
            [Series(_name(row), Location.of(row), row["total"], row["values"]) for row in answer["functions"]],
            Rest(answer["other"]["functions"], answer["other"]["total"], answer["other"]["values"]))

    def plot(self, ax: Any = None, *, title: Optional[str] = None, functions: int = 10) -> Any:
        """Draws a stacked bar for each bucket, one colour a function, the `functions` largest and the rest as "other", on
        `ax` or on new axes of matplotlib (timesliced[plot]). Gives the axes."""
        from timesliced.reading import plot
        return plot.draw(self, ax, title, functions)


@dataclass(frozen=True)
class Sums:
    cumtime: float
    tottime: float
    ncalls: int
    pcalls: int

    @classmethod
    def of(cls, row: Answer) -> "Sums":
        return cls(row["cumtime"], row["tottime"], row["ncalls"], row["pcalls"])


@dataclass(frozen=True)
class TopRow(Sums):
    function: Optional[str]
    location: Optional[Location]
    percall_cumtime: Optional[float]  # cumtime / pcalls; None at no calls
    percall_tottime: Optional[float]  # tottime / ncalls


@dataclass(frozen=True)
class TopRest(Sums):
    functions: int


@dataclass(frozen=True)
class Top:
    """Functions descend by the metric."""

    metric: str
    from_: Optional[float]
    to: Optional[float]
    from_resolution: Optional[float]
    to_resolution: Optional[float]
    profiles: int
    total_tt: float
    functions: List[TopRow]
    other: TopRest

    @classmethod
    def of(cls, answer: Answer) -> "Top":
        other = answer["other"]
        return cls(
            answer["metric"], answer["from"], answer["to"], answer.get("from_resolution"), answer.get("to_resolution"),
            answer["profiles"], answer["total_tt"],
            [TopRow(**_sums(row), function=_name(row), location=Location.of(row),
                    percall_cumtime=row["percall_cumtime"], percall_tottime=row["percall_tottime"])
             for row in answer["functions"]],
            TopRest(**_sums(other), functions=other["functions"]))


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    from_: Optional[float]
    to: Optional[float]
    from_resolution: Optional[float]
    to_resolution: Optional[float]
    profiles: int
    total_tt: float

    @classmethod
    def of(cls, answer: Answer) -> "Side":
        return cls(answer["from"], answer["to"], answer.get("from_resolution"), answer.get("to_resolution"),
                   answer["profiles"], answer["total_tt"])


@dataclass(frozen=True)
class Change:
    """Before and after are None where there is nothing to divide by; change where one of them is, ratio also where before
    is 0."""

    before: Optional[float]
    after: Optional[float]
    change: Optional[float]
    ratio: Optional[float]

    @classmethod
    def of(cls, answer: "Optional[Answer]") -> "Optional[Change]":
        if answer is None:
            return None
        return cls(answer["before"], answer["after"], answer["change"], answer["ratio"])


@dataclass(frozen=True)
class DiffRow:
    """per_profile.change = called_more + slower_per_call. per_call is None for metrics that count calls."""

    function: Optional[str]
    location: Optional[Location]
    before: Sums
    after: Sums
    per_profile: Change
    per_call: Optional[Change]
    called_more: Optional[float]
    slower_per_call: Optional[float]


@dataclass(frozen=True)
class DiffRest:
    functions: int
    before: Sums
    after: Sums
    per_profile: Change
    called_more: Optional[float]
    slower_per_call: Optional[float]


@dataclass(frozen=True)
class Diff:
    """Functions by the size of their change, either way. `calls` is the count that goes with the metric."""

    before: Side
    after: Side
    metric: str
    unit: str
    calls: str
    functions: List[DiffRow]
    other: DiffRest

    @classmethod
    def of(cls, answer: Answer) -> "Diff":
        other = answer["other"]
        return cls(
            Side.of(answer["before"]), Side.of(answer["after"]), answer["metric"], answer["unit"], answer["calls"],
            [DiffRow(_name(row), Location.of(row), Sums.of(row["before"]), Sums.of(row["after"]),
                     _change(row["per_profile"]), Change.of(row.get("per_call")), row["called_more"],
                     row["slower_per_call"]) for row in answer["functions"]],
            DiffRest(other["functions"], Sums.of(other["before"]), Sums.of(other["after"]),
                     _change(other["per_profile"]), other["called_more"], other["slower_per_call"]))


@dataclass(frozen=True)
class LabelSet:
    labels: Dict[str, str]
    first_bucket: Optional[float]
    last_bucket: Optional[float]
    profiles: int

    @classmethod
    def of(cls, row: Answer) -> "LabelSet":
        return cls(row["labels"], row["first_bucket"], row["last_bucket"], row["profiles"])


def _name(row: Answer) -> Optional[str]:
    name: Optional[str] = row["function"] if "function" in row else row["label"]
    return name


def _sums(row: Answer) -> Dict[str, Any]:
    return {key: row[key] for key in ("cumtime", "tottime", "ncalls", "pcalls")}


def _change(answer: Answer) -> Change:
    return Change(answer["before"], answer["after"], answer["change"], answer["ratio"])
