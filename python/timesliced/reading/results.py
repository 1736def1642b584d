"""Results of queries.

Durations are seconds, as floats: a sum is exact to the nanosecond up to 104 days. Times are seconds since the Unix
epoch.
"""
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Type, TypeVar

Response = Mapping[str, Any]
AnyMatrix = TypeVar("AnyMatrix", bound="Matrix")


@dataclass(frozen=True)
class Location:
    """With by="location". Each member is None if the sender gave none."""

    file_name: Optional[str]
    line_number: Optional[int]
    raw_name: Optional[str]

    @classmethod
    def of(cls, row: Response) -> "Optional[Location]":
        if "file_name" not in row:
            return None
        return cls(row["file_name"], row["line_number"], row["raw_name"])

    def __str__(self) -> str:
        return f"{self.file_name}:{self.line_number}({self.raw_name})"


@dataclass(frozen=True)
class Series:
    """The values of one function, one per bucket."""

    function: Optional[str]  # with by="label.KEY": the value of the label; None: profiles without it
    location: Optional[Location]
    total: float
    values: List[float]


@dataclass(frozen=True)
class Rest:
    """The sum of the functions beyond `top`."""

    functions: int
    total: float
    values: List[float]


@dataclass(frozen=True)
class Matrix:
    """Buckets in ascending order, functions in descending order of their total. profiles, exact_profiles, total_tt (the
    sum of the profiles' own totals) and parts_missing have one value per bucket. from_ and to are None if unknown."""

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
    def of(cls: Type[AnyMatrix], response: Response) -> AnyMatrix:
        return cls(
            response["start_time"], response["time_slice"], response["metric"], response["unit"], response["from"],
            response["to"], response.get("from_resolution"), response.get("to_resolution"), response["buckets"],
            response["profiles"], response["exact_profiles"], response["total_tt"], response["parts_missing"],
            [Series(_name(row), Location.of(row), row["total"], row["values"]) for row in response["functions"]],
            Rest(response["other"]["functions"], response["other"]["total"], response["other"]["values"]))


@dataclass(frozen=True)
class Sums:
    cumtime: float
    tottime: float
    ncalls: int
    pcalls: int

    @classmethod
    def of(cls, row: Response) -> "Sums":
        return cls(row["cumtime"], row["tottime"], row["ncalls"], row["pcalls"])


@dataclass(frozen=True)
class TopRow(Sums):
    function: Optional[str]
    location: Optional[Location]
    percall_cumtime: Optional[float]  # cumtime / pcalls; None without calls
    percall_tottime: Optional[float]  # tottime / ncalls


@dataclass(frozen=True)
class TopRest(Sums):
    functions: int


@dataclass(frozen=True)
class Top:
    """Functions in descending order of the metric."""

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
    def of(cls, response: Response) -> "Top":
        other = response["other"]
        return cls(
            response["metric"], response["from"], response["to"], response.get("from_resolution"),
            response.get("to_resolution"), response["profiles"], response["total_tt"],
            [TopRow(**_sums(row), function=_name(row), location=Location.of(row),
                    percall_cumtime=row["percall_cumtime"], percall_tottime=row["percall_tottime"])
             for row in response["functions"]],
            TopRest(**_sums(other), functions=other["functions"]))


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    from_: Optional[float]
    to: Optional[float]
    from_resolution: Optional[float]
    to_resolution: Optional[float]
    profiles: int
    total_tt: float

    @classmethod
    def of(cls, response: Response) -> "Side":
        return cls(response["from"], response["to"], response.get("from_resolution"), response.get("to_resolution"),
                   response["profiles"], response["total_tt"])


@dataclass(frozen=True)
class Change:
    """before and after are None if there is nothing to divide by; change is None if either is, ratio also if before is
    0."""

    before: Optional[float]
    after: Optional[float]
    change: Optional[float]
    ratio: Optional[float]

    @classmethod
    def of(cls, response: Optional[Response]) -> "Optional[Change]":
        if response is None:
            return None
        return cls(response["before"], response["after"], response["change"], response["ratio"])


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
    """Functions in descending order of the absolute change. calls: the count of calls that the metric is divided by."""

    before: Side
    after: Side
    metric: str
    unit: str
    calls: str
    functions: List[DiffRow]
    other: DiffRest

    @classmethod
    def of(cls, response: Response) -> "Diff":
        other = response["other"]
        return cls(
            Side.of(response["before"]), Side.of(response["after"]), response["metric"], response["unit"],
            response["calls"],
            [DiffRow(_name(row), Location.of(row), Sums.of(row["before"]), Sums.of(row["after"]),
                     _change(row["per_profile"]), Change.of(row.get("per_call")), row["called_more"],
                     row["slower_per_call"]) for row in response["functions"]],
            DiffRest(other["functions"], Sums.of(other["before"]), Sums.of(other["after"]),
                     _change(other["per_profile"]), other["called_more"], other["slower_per_call"]))


@dataclass(frozen=True)
class LabelSet:
    labels: Dict[str, str]
    first_bucket: Optional[float]
    last_bucket: Optional[float]
    profiles: int

    @classmethod
    def of(cls, row: Response) -> "LabelSet":
        return cls(row["labels"], row["first_bucket"], row["last_bucket"], row["profiles"])


def _name(row: Response) -> Optional[str]:
    name: Optional[str] = row["function"] if "function" in row else row["label"]
    return name


def _sums(row: Response) -> Dict[str, Any]:
    return {key: row[key] for key in ("cumtime", "tottime", "ncalls", "pcalls")}


def _change(response: Response) -> Change:
    return Change(response["before"], response["after"], response["change"], response["ratio"])
