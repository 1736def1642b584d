"""A chart of a matrix: one stacked bar per bucket, time on the x axis, the metric on the y axis, one colour per
function.

The largest functions have a colour each, in the order of their totals from the bottom; all others are one grey segment
on top. The height of a bar is therefore the sum of all functions. The legend is below the axes. Times are local.

Needs matplotlib (timesliced[plot]), which is imported on the first draw.
"""
from datetime import datetime, timezone
from typing import Any, List, NamedTuple, Optional, Tuple

from timesliced.reading.results import Matrix, Series

FUNCTIONS = 10
OTHER_COLOUR = "0.78"
_NAME_MAX = 48  # characters of a legend entry
_BAR_WIDTH = 0.92  # of the width of a bucket


class NoMatplotlib(ImportError):
    """The message explains how to install it."""


class Layer(NamedTuple):
    name: str
    colour: Any
    values: List[float]  # one per bucket


def layers(matrix: Matrix, functions: int, colours: List[Any]) -> List[Layer]:
    """From bottom to top. Raises ValueError."""
    if functions < 1:
        raise ValueError(f"functions {functions}: at least 1")
    chosen, rest = matrix.functions[:functions], matrix.functions[functions:]
    names = [_name(one) for one in chosen]
    drawn = [Layer(name if names.count(name) == 1 else f"{name} ({n + 1})", colours[n % len(colours)], one.values)
             for n, (name, one) in enumerate(zip(names, chosen))]
    left = len(rest) + matrix.other.functions
    if left:
        other = list(matrix.other.values)
        for one in rest:
            other = [a + b for a, b in zip(other, one.values)]
        drawn.append(Layer(f"other ({left} function{'s' if left > 1 else ''})", OTHER_COLOUR, other))
    return drawn


def draw(matrix: Matrix, ax: Any, title: Optional[str], functions: int) -> Any:
    """ax: None creates new axes. Returns the axes. Raises NoMatplotlib, ValueError."""
    pyplot, dates = _matplotlib()
    if ax is None:
        rows = min(functions, len(matrix.functions)) // 2 + 1  # of the legend
        _, ax = pyplot.subplots(figsize=(11, 5 + 0.25 * rows), layout="constrained")
    width = matrix.time_slice / 86400 * _BAR_WIDTH
    middles = [dates.date2num(datetime.fromtimestamp(begin + matrix.time_slice / 2, timezone.utc))
               for begin in matrix.buckets]
    bottom = [0.0] * len(middles)
    below = [0.0] * len(middles)  # negative sums: the clock ran backwards
    drawn = layers(matrix, functions, _colours(pyplot))
    for layer in drawn:
        bases = [up if value >= 0 else down for value, up, down in zip(layer.values, bottom, below)]
        ax.bar(middles, layer.values, width, bottom=bases, color=[layer.colour], label=layer.name, linewidth=0)
        bottom = [up + max(value, 0.0) for value, up in zip(layer.values, bottom)]
        below = [down + min(value, 0.0) for value, down in zip(layer.values, below)]
    begin, end = _ends(matrix)
    zone = datetime.now().astimezone().tzinfo
    if begin is not None and end is not None:
        ax.set_xlim(*(dates.date2num(datetime.fromtimestamp(one, timezone.utc)) for one in (begin, end)))
    locator = dates.AutoDateLocator(tz=zone)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))
    ax.set_ylim(bottom=min([0.0, *below]))
    ax.set_title(title if title is not None else _title(matrix))
    ax.set_xlabel(f"time ({_zone_name(begin)})")
    ax.set_ylabel(f"{matrix.metric} [{matrix.unit}]" if matrix.unit == "seconds" else matrix.metric)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", linewidth=0.5, alpha=0.5)
    ax.set_axisbelow(True)
    if drawn:
        longest = max(len(layer.name) for layer in drawn)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=max(1, min(4, 130 // (longest + 6))),
                  frameon=False, fontsize="small")
    else:
        ax.text(0.5, 0.5, "no profiles", transform=ax.transAxes, ha="center", va="center", color="0.5")
    return ax


def save(matrix: Matrix, path: str, title: Optional[str], functions: int) -> None:
    """The suffix of `path` selects the format: png, svg, pdf. Raises NoMatplotlib, ValueError, OSError."""
    import_matplotlib().use("Agg")
    pyplot, _ = _matplotlib()
    ax = draw(matrix, None, title, functions)
    try:
        ax.figure.savefig(path, dpi=150)
    finally:
        pyplot.close(ax.figure)


def import_matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError as error:
        raise NoMatplotlib("plots need matplotlib: pip install 'timesliced[plot]', or Debian's python3-matplotlib"
                           ) from error
    return matplotlib


def _matplotlib() -> Tuple[Any, Any]:
    import_matplotlib()
    from matplotlib import dates, pyplot
    return pyplot, dates


def _colours(pyplot: Any) -> List[Any]:
    """Saturated colours first, then pale ones, then those of another map. No grey: that is `other`."""
    pairs = [pyplot.get_cmap("tab20")(n) for n in range(20) if n not in (14, 15)]
    return pairs[0::2] + pairs[1::2] + [pyplot.get_cmap("tab20b")(n) for n in range(20)]


def _name(one: Series) -> str:
    name = one.function if one.function is not None else "(none)"
    if one.location is not None and one.location.file_name not in (None, "~"):
        file_name = str(one.location.file_name).rsplit("/", 1)[-1]
        name = f"{name} {file_name}:{one.location.line_number}"
    name = "".join(c if c.isprintable() else "?" for c in name).replace("$", r"\$")
    if name.startswith("_"):
        name = " " + name  # matplotlib leaves such labels out of a legend
    return name if len(name) <= _NAME_MAX else name[:_NAME_MAX - 1] + "…"


def _ends(matrix: Matrix) -> Tuple[Optional[float], Optional[float]]:
    begin, end = matrix.from_, matrix.to
    if matrix.buckets:
        begin = matrix.buckets[0] if begin is None else begin
        end = matrix.buckets[-1] + matrix.time_slice if end is None else end
    return begin, end


def _title(matrix: Matrix) -> str:
    profiles = sum(matrix.profiles)
    return f"{matrix.metric} by function in buckets of {matrix.time_slice:g} s ({profiles:,} profiles)"


def _zone_name(moment: Optional[float]) -> str:
    when = datetime.now() if moment is None else datetime.fromtimestamp(moment)
    return when.astimezone().strftime("%Z")
