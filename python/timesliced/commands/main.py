"""Arguments of python -m timesliced, and what they lead to.

Exit codes: run has the program's own; of the others 0, 1 where something was not sent or the daemon refused, 2 wrong
usage, 3 the daemon cannot be reached.
"""
import argparse
import sys
from typing import Any, Dict, List, Optional

from timesliced.base import address as addresses
from timesliced.base import limits, units
from timesliced.commands import dumps

SEND_TIMEOUT = 10.0  # seconds without progress
RUN_TIMEOUT = 5.0  # seconds that the end of a program may be held up


def main(arguments: List[str]) -> int:
    """Gives the exit code; of run, raises what the program raises."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "run":
        return _run(parser, options)
    if options.command == "send":
        return dumps.send(options.dump, options.address, _labels(options), options.timestamp, options.timeout, sys.stderr)
    return _plot(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m timesliced", description="Profiles for timesliced, which sums them by time slice.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser(
        "run", help="run a program, profiled", usage="%(prog)s [OPTIONS] (SCRIPT | -m MODULE) [ARGUMENT...]",
        description="Runs a program as python does, and sends its profile.")
    _common(run)
    run.add_argument("--every", metavar="DURATION", type=_duration, help="send what came to the profile since the last "
                     "time, at intervals (10s), rather than the whole at the end")
    run.add_argument("--spool", metavar="FOLDER", help="what is not delivered waits there for the next start")
    run.add_argument("-m", dest="module", nargs=argparse.REMAINDER, metavar="MODULE", help="a module in place of a script")
    run.add_argument("script", nargs=argparse.REMAINDER, metavar="SCRIPT", help=argparse.SUPPRESS)

    send = commands.add_parser("send", help="send dumps of cProfile that are there already",
                               description="Sends what Profile.dump_stats() or python -m cProfile -o wrote.")
    _common(send)
    send.add_argument("--timestamp", metavar="SECONDS", type=_timestamp,
                      help="since the epoch, of all of them (when each was written)")
    send.add_argument("--timeout", metavar="DURATION", type=_duration, default=SEND_TIMEOUT,
                      help="without progress, after which the daemon counts as unreachable (10s)")
    send.add_argument("dump", nargs="+", metavar="DUMP")

    plot = commands.add_parser("plot", help="draw what the daemon has summed",
                               description="Draws a stacked bar for each bucket, one colour a function.")
    plot.add_argument("-o", "--output", metavar="FILE", required=True, help="its ending says the format: png, svg, pdf")
    plot.add_argument("--from", dest="from_", metavar="TIME", help="as 2026-01-31T10:00:00Z, -15m, or epoch seconds")
    plot.add_argument("--to", metavar="TIME")
    plot.add_argument("--last", metavar="DURATION", help="from that long ago to now: 15m, 1h, 7d")
    plot.add_argument("--time-slice", metavar="DURATION", help="wider buckets")
    plot.add_argument("--metric", choices=("cumtime", "tottime", "ncalls", "pcalls"))
    plot.add_argument("--function", metavar="GLOB", action="append", default=[], help="only these; may be repeated")
    plot.add_argument("--label", metavar="KEY=VALUE", action="append", default=[], help="only profiles with this label")
    plot.add_argument("--by", metavar="WHAT", help="function, location, or label.KEY")
    plot.add_argument("--top", metavar="N", type=int, default=10, help="functions with a colour of their own (10)")
    plot.add_argument("--title")
    plot.add_argument("--control", metavar="WHERE", help="path of the control socket, or http://host:port "
                      "($TIMESLICED_SOCKET, else /run/timesliced/control.sock)")
    return parser


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--address", metavar="ADDRESS", type=_address, help="of the daemon ($TIMESLICED_ADDRESS, else "
                        f"{addresses.DEFAULT_STREAM})", default=addresses.from_environment() or addresses.DEFAULT_STREAM)
    parser.add_argument("--label", metavar="KEY=VALUE", action="append", default=[],
                        help="where it comes from; may be repeated")


def _run(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    from timesliced.commands import run
    if options.module is not None and not options.module or not (options.module or options.script):
        parser.error("run: a script, or -m and a module, is needed")
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
    from timesliced.reading import control, plot
    if options.top < 1:
        print("timesliced: --top: at least 1", file=sys.stderr)
        return 2
    asked: Dict[str, Any] = {
        "last": options.last, "from_": options.from_, "to": options.to, "time_slice": options.time_slice,
        "metric": options.metric, "function": options.function, "labels": _labels(options), "by": options.by,
        "top": options.top}
    try:
        plot.import_matplotlib()
        buckets = control.Control(options.control).buckets(**asked)
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
