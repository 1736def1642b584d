"""python -m timesliced run: runs a program with a profile, transparently.

The program sees what it would see under python: sys.argv, sys.path[0], __main__ with its __file__ and __spec__, and
only its own frames in a traceback. The process ends as the program does: with its exit code, exception or signal.

The complete run is one profile, with the begin of the run as timestamp; with --every, the differences are sent at
intervals. Forked children send profiles of their own. The profile is sent when the program has ended, before atexit. If
it cannot be delivered, that is printed to standard error, and the exit code is not changed.
"""
import errno
import importlib.machinery
import importlib.util
import io
import os
import sys
from types import CodeType, ModuleType, TracebackType
from typing import Any, List, Mapping, Optional, Type

from timesliced.client import Client
from timesliced.taking.every import MAX_SECONDS
from timesliced.taking.rows import PACKAGE


class NoProgram(Exception):
    """The message and exit code that python would give."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class Program:
    """Code, and the module that it runs as."""

    def __init__(self, code: CodeType, first_path: Optional[str], argv: List[str], **attributes: Any) -> None:
        self.code = code
        self.first_path = first_path
        self.argv = argv
        self.module = ModuleType("__main__")
        vars(self.module).update({"__builtins__": __builtins__, "__spec__": None, "__package__": None, **attributes})


def script(path: str, arguments: List[str]) -> Program:
    """A file, or a folder or zip archive with a __main__. Raises NoProgram, SyntaxError."""
    argv = [path, *arguments]
    where = os.path.abspath(path)
    if not os.path.isfile(where) or _is_zip(where):
        spec = _spec_within(where)
        if spec is None:
            if os.path.exists(where):
                raise NoProgram(f"can't find '__main__' module in {path!r}", 1)
            raise NoProgram(f"can't open file {path!r}: {os.strerror(errno.ENOENT)}", 2)
        return _of_spec(spec, where, argv)
    try:
        with io.open_code(where) as file:
            source = file.read()
    except OSError as error:
        raise NoProgram(f"can't open file {path!r}: {error.strerror}", 2) from None
    code = compile(source, where, "exec", dont_inherit=True)
    loader = importlib.machinery.SourceFileLoader("__main__", where)
    return Program(code, os.path.dirname(os.path.realpath(where)), argv, __file__=where, __loader__=loader,
                   __cached__=None)


def module(name: str, arguments: List[str]) -> Program:
    """Raises NoProgram, and what importing the module's package raises."""
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            name += ".__main__"
            spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise NoProgram(f"Error while finding module specification for {name!r} ({error})", 1) from None
    if spec is None:
        raise NoProgram(f"No module named {name}", 1)
    return _of_spec(spec, None, [spec.origin or name, *arguments])


def run(program: Program, address: str, labels: Mapping[str, str], seconds: Optional[float], spool: Optional[str],
        timeout: float) -> None:
    """Raises whatever the program raises."""
    client = Client(address, labels, spool=spool)
    sys.modules["__main__"] = program.module
    sys.argv[:] = program.argv
    if program.first_path is not None:
        sys.path[0] = program.first_path
    every = client.every(seconds or MAX_SECONDS)
    try:
        exec(program.code, vars(program.module))
    except SystemExit:
        raise
    except BaseException:
        previous = sys.excepthook

        def hook(kind: Type[BaseException], value: BaseException, trace: Optional[TracebackType]) -> Any:
            trace = _own_frames(trace)
            return previous(kind, value.with_traceback(trace), trace)
        sys.excepthook = hook
        raise
    finally:
        every.stop()
        if not client.close(timeout):
            stats = client.stats
            left = f"{stats.kept} kept in {spool}" if stats.kept else f"{stats.dropped} lost"
            print(f"timesliced: not all of the profile was delivered to {address}: {left}; {stats.last_error}",
                  file=sys.stderr)


def _own_frames(trace: Optional[TracebackType]) -> Optional[TracebackType]:
    """The traceback without the frames before the program's own."""
    own = trace
    while own is not None and not own.tb_frame.f_code.co_filename.startswith(PACKAGE):
        own = own.tb_next  # runpy
    while own is not None and own.tb_frame.f_code.co_filename.startswith(PACKAGE):
        own = own.tb_next
    return own or trace


def _is_zip(path: str) -> bool:
    import zipfile
    return zipfile.is_zipfile(path)


def _spec_within(path: str) -> Optional[importlib.machinery.ModuleSpec]:
    return importlib.machinery.PathFinder.find_spec("__main__", [path])


def _of_spec(spec: importlib.machinery.ModuleSpec, first_path: Optional[str], argv: List[str]) -> Program:
    get_code = getattr(spec.loader, "get_code", None)
    code = get_code(spec.name) if get_code is not None else None
    if code is None:
        raise NoProgram(f"No code object available for {spec.name}", 1)
    return Program(code, first_path, argv, __spec__=spec, __file__=spec.origin, __loader__=spec.loader,
                   __package__=spec.parent, __cached__=spec.cached)
