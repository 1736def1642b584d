"""The picture of the notebook: a stacked bar for each bucket, x the time, y the seconds, one colour a function.

However many functions there are, the largest have a colour of their own, in the order of their totals from the bottom,
and all others are one grey piece on top: so a bar is as high as all of its functions together. The legend stands below
the axes, in as many columns as fit. Times are local.

Needs matplotlib (timesliced[plot]), which is loaded when something is drawn.
"""
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from timesliced.reading.results import Buckets, Series

FUNCTIONS = 10
OTHER_COLOUR = "0.78"
_NAME_MAX = 48  # characters of a legend's entry
_GAP = 0.92  # of a bucket's width that its bar takes


class NoMatplotlib(ImportError):
    """With what to do about it."""


class Layer(NamedTuple):
    name: str
    colour: Any
    values: List[float]  # one for each bucket


def layers(buckets: "Buckets", functions: int, colours: List[Any]) -> List[Layer]:
    """From the bottom up. Not empty where there is anything at all."""
    if functions < 1:
        raise ValueError(f"functions {functions}: at least 1")
    chosen, rest = buckets.functions[:functions], buckets.functions[functions:]
    names = [_name(one) for one in chosen]
    drawn = [Layer(name if names.count(name) == 1 else f"{name} ({n + 1})", colours[n % len(colours)], one.values)
             for n, (name, one) in enumerate(zip(names, chosen))]
    left = len(rest) + buckets.other.functions
    if left:
        other = list(buckets.other.values)
        for one in rest:
            other = [a + b for a, b in zip(other, one.values)]
        drawn.append(Layer(f"other ({left} function{'s' if left > 1 else ''})", OTHER_COLOUR, other))
    return drawn


def draw(buckets: "Buckets", ax: Any, title: Optional[str], functions: int) -> Any:
    """On the axes given, or on new ones. Gives them. Raises NoMatplotlib."""
    pyplot, dates = _matplotlib()
    if ax is None:
        rows = min(functions, len(buckets.functions)) // 2 + 1  # of the legend
        _, ax = pyplot.subplots(figsize=(11, 5 + 0.25 * rows), layout="constrained")
    width = buckets.time_slice / 86400 * _GAP
    middles = [dates.date2num(datetime.fromtimestamp(begin + buckets.time_slice / 2, timezone.utc))
               for begin in buckets.buckets]
    bottom = [0.0] * len(middles)
    below = [0.0] * len(middles)  # negative sums: a clock that ran backwards
    drawn = layers(buckets, functions, _colours(pyplot))
    for layer in drawn:
        bases = [up if value >= 0 else down for value, up, down in zip(layer.values, bottom, below)]
        ax.bar(middles, layer.values, width, bottom=bases, color=[layer.colour], label=layer.name, linewidth=0)
        bottom = [up + max(value, 0.0) for value, up in zip(layer.values, bottom)]
        below = [down + min(value, 0.0) for value, down in zip(layer.values, below)]
    begin, end = _ends(buckets)
    zone = datetime.now().astimezone().tzinfo
    if begin is not None and end is not None:
        ax.set_xlim(*(dates.date2num(datetime.fromtimestamp(one, timezone.utc)) for one in (begin, end)))
    locator = dates.AutoDateLocator(tz=zone)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))
    ax.set_ylim(bottom=min([0.0, *below]))
    ax.set_title(title if title is not None else _title(buckets))
    ax.set_xlabel(f"time ({_zone_name(begin)})")
    ax.set_ylabel(f"{buckets.metric} [{buckets.unit}]" if buckets.unit == "seconds" else buckets.metric)
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


def save(buckets: "Buckets", path: str, title: Optional[str], functions: int) -> None:
    """The ending says the format: png, svg, pdf. Raises NoMatplotlib, ValueError, OSError."""
    import_matplotlib().use("Agg")
    pyplot, _ = _matplotlib()
    ax = draw(buckets, None, title, functions)
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
    """Neighbours differ: strong ones, then pale ones, then those of another map; no grey, which is `other`."""
    pairs = [pyplot.get_cmap("tab20")(n) for n in range(20) if n not in (14, 15)]
    return pairs[0::2] + pairs[1::2] + [pyplot.get_cmap("tab20b")(n) for n in range(20)]


def _name(one: "Series") -> str:
    name = one.function if one.function is not None else "(none)"
    if one.location is not None and one.location.file_name not in (None, "~"):
        file_name = str(one.location.file_name).rsplit("/", 1)[-1]
        name = f"{name} {file_name}:{one.location.line_number}"
    name = "".join(c if c.isprintable() else "?" for c in name).replace("$", r"\$")
    if name.startswith("_"):
        name = " " + name  # matplotlib leaves such labels out of a legend
    return name if len(name) <= _NAME_MAX else name[:_NAME_MAX - 1] + "…"


def _ends(buckets: "Buckets") -> Tuple[Optional[float], Optional[float]]:
    begin, end = buckets.from_, buckets.to
    if buckets.buckets:
        begin = buckets.buckets[0] if begin is None else begin
        end = buckets.buckets[-1] + buckets.time_slice if end is None else end
    return begin, end


def _title(buckets: "Buckets") -> str:
    profiles = sum(buckets.profiles)
    return f"{buckets.metric} by function in buckets of {buckets.time_slice:g} s ({profiles:,} profiles)"


def _zone_name(moment: Optional[float]) -> str:
    when = datetime.now() if moment is None else datetime.fromtimestamp(moment)
    return when.astimezone().strftime("%Z")
