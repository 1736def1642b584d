"""The arguments of python -m timesliced.

Exit codes of run: those of the program. Of the other commands: 0 success, 1 not everything was sent or the daemon
responded with an error, 2 wrong usage, 3 the daemon cannot be reached.
"""
import argparse
import sys
from typing import Any, Dict, List, Optional

from timesliced.base import address as addresses
from timesliced.base import limits, units
from timesliced.commands import dumps, run

SEND_TIMEOUT = 10.0  # seconds without progress
RUN_TIMEOUT = 5.0  # seconds that sending may delay the exit of a program


def main(arguments: List[str]) -> int:
    """Returns the exit code. `run` raises what the program raises."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "run":
        return _run(parser, options)
    if options.command == "send":
        return dumps.send(options.dump, options.address, _labels(options), options.timestamp, options.timeout,
                          sys.stderr)
    return _plot(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m timesliced", description="Sends profiles to timesliced, and plots what it has summed.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser(
        "run", help="run a program and send its profile", usage="%(prog)s [OPTIONS] (SCRIPT | -m MODULE) [ARGUMENT...]",
        description="Runs a program like python does, and sends its profile."))
    _add_send(commands.add_parser("send", help="send existing cProfile dumps",
                                  description="Sends what Profile.dump_stats() or python -m cProfile -o wrote."))
    _add_plot(commands.add_parser("plot", help="plot what the daemon has summed",
                                  description="Draws one stacked bar per bucket, one colour per function."))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    add = parser.add_argument
    add("--every", metavar="DURATION", type=_duration, help="send the difference to the previous profile at this "
        "interval (such as 10s), instead of one profile at the end")
    add("--spool", metavar="FOLDER", help="keep undelivered profiles there for the next start")
    add("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="run a module instead of a script")
    add("script", nargs=argparse.REMAINDER, metavar="SCRIPT", help=argparse.SUPPRESS)


def _add_send(parser: argparse.ArgumentParser) -> None:
    _add_common(parser)
    add = parser.add_argument
    add("--timestamp", metavar="SECONDS", type=_timestamp,
        help="since the epoch, for all dumps (default: when each was written)")
    add("--timeout", metavar="DURATION", type=_duration, default=SEND_TIMEOUT,
        help="without progress until the daemon is considered unreachable (default: 10s)")
    add("dump", nargs="+", metavar="DUMP")


def _add_plot(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("-o", "--output", metavar="FILE", required=True, help="the suffix selects the format: png, svg, pdf")
    add("--from", dest="from_", metavar="TIME", help="such as 2026-01-31T10:00:00Z, -15m, or epoch seconds")
    add("--to", metavar="TIME")
    add("--last", metavar="DURATION", help="up to now: 15m, 1h, 7d")
    add("--time-slice", metavar="DURATION", help="wider buckets")
    add("--metric", choices=("cumtime", "tottime", "ncalls", "pcalls"))
    add("--function", metavar="GLOB", action="append", default=[], help="only matching functions; may be repeated")
    add("--label", metavar="KEY=VALUE", action="append", default=[], help="only profiles with this label")
    add("--by", metavar="WHAT", help="function, location, or label.KEY")
    add("--top", metavar="N", type=int, default=10, help="number of functions with a colour each (default: 10)")
    add("--title")
    add("--control", metavar="WHERE", help="path of the control socket, or http://host:port (default: "
        "$TIMESLICED_SOCKET, else /run/timesliced/control.sock)")


def _add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--address", metavar="ADDRESS", type=_address,
        default=addresses.from_environment() or addresses.DEFAULT_STREAM,
        help=f"of the daemon (default: $TIMESLICED_ADDRESS, else {addresses.DEFAULT_STREAM})")
    add("--label", metavar="KEY=VALUE", action="append", default=[], help="a label of the profiles; may be repeated")


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    if options.module is not None and not options.module or not (options.module or options.script):
        parser.error("run: expected a script, or -m and a module")
    labels = _labels(options)
    try:
        if options.module:
            program = run.module(options.module[0], options.module[1:])
        else:
            program = run.script(options.script[0], options.script[1:])
    except run.NoProgram as problem:
        print(f"{sys.executable}: {problem}", file=sys.stderr)
        return problem.code
    run.run(program, options.address, labels, options.every, options.spool, RUN_TIMEOUT)
    return 0


def _plot(options: argparse.Namespace) -> int:
    from timesliced.reading import control, plot  # not for `run`: the program should see few additional modules
    if options.top < 1:
        print("timesliced: --top: at least 1", file=sys.stderr)
        return 2
    query: Dict[str, Any] = {
        "last": options.last, "from_": options.from_, "to": options.to, "time_slice": options.time_slice,
        "metric": options.metric, "function": options.function, "labels": _labels(options), "by": options.by,
        "top": options.top}
    try:
        plot.import_matplotlib()
        buckets = control.Control(options.control).buckets(**query)
        plot.save(buckets, options.output, options.title, options.top)
    except control.Unreachable as error:
        print(f"timesliced: {error}", file=sys.stderr)
        return 3
    except (control.ControlError, plot.NoMatplotlib, OSError, ValueError) as error:
        print(f"timesliced: {error}", file=sys.stderr)
        return 1
    return 0


def _labels(options: argparse.Namespace) -> Dict[str, str]:
    try:
        return limits.check_labels(addresses.parse_labels(options.label, "--label"))
    except ValueError as error:
        print(f"timesliced: {error}", file=sys.stderr)
        sys.exit(2)


def _checked(check: Any, text: Any) -> Any:
    try:
        return check(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _address(text: str) -> str:
    _checked(addresses.parse, text)
    return text


def _duration(text: str) -> float:
    value: float = _checked(units.seconds, text)
    return value


def _timestamp(text: str) -> float:
    value: Optional[float] = _checked(float, text)
    assert value is not None
    _checked(limits.check_timestamp, value)
    return value
