"""A daemon with injected faults, and its memory and CPU usage.

FaultyDaemon is the Daemon of tests/support with preloaded libraries. Each library is controlled by a small file of
64-bit numbers (fault_slots.h), which it maps; Slots reads and writes that file.
"""
import functools
import http.client
import os
import pathlib
import re
import struct
import subprocess
import time

from support import daemon as support

HELPERS = pathlib.Path(support.BINARY).resolve().parents[1] / "tests" / "faults"
SLOTS = 16


class Slots:
    """Named 64-bit numbers in a file. Each access is one system call."""

    def __init__(self, path, names):
        object.__setattr__(self, "at", {name: 8 * n for n, name in enumerate(names)})
        object.__setattr__(self, "path", path)
        path.write_bytes(bytes(8 * SLOTS))
        object.__setattr__(self, "fd", os.open(path, os.O_RDWR | os.O_CLOEXEC))

    def __getattr__(self, name):
        try:
            at = self.at[name]
        except KeyError:
            raise AttributeError(name) from None
        return struct.unpack("q", os.pread(self.fd, 8, at))[0]

    def __setattr__(self, name, value):
        os.pwrite(self.fd, struct.pack("q", value), self.at[name])

    def close(self):
        os.close(self.fd)


@functools.cache
def sanitizer():
    """The path of the AddressSanitizer library if the program uses it. It must be preloaded first."""
    libraries = subprocess.run(["ldd", support.BINARY], capture_output=True, text=True, check=True).stdout
    found = re.search(r"libasan\S* => (\S+)", libraries)
    return found.group(1) if found else None


class FaultyDaemon(support.Daemon):
    LIBRARIES = {
        "io_fault": ("fail_write", "fail_sync", "fail_count", "fail_errno", "seen_writes", "seen_syncs", "failed"),
        "clock_fault": ("offset",),
        "malloc_fault": ("fail_call", "fail_count", "own_only", "seen_calls", "failed"),
    }

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.environment = {}
        self.slots = {}

    def preload(self, name):
        """Preloads a library from the next start on. Returns its slots."""
        library = HELPERS / f"lib{name}.so"
        assert library.exists(), f"{library} is not built"
        self.slots[name] = Slots(self.folder / name, self.LIBRARIES[name])
        before = self.environment.get("LD_PRELOAD") or sanitizer() or ""
        self.environment["LD_PRELOAD"] = f"{before} {library}".strip()
        self.environment[name.upper()] = str(self.slots[name].path)
        return self.slots[name]

    def spawn(self, **how):
        return super().spawn(env={**os.environ, **self.environment}, **how)

    def try_start(self):
        """Starts the daemon. Returns whether it responds; False if it exits instead."""
        self.spawn()
        self.checked = False

        def settled():
            if self.process.poll() is not None:
                return True
            try:
                return self.get("/healthz", timeout=5)
            except (OSError, http.client.HTTPException):
                return False
        support.wait_until(settled, self.log_text)
        return self.process.poll() is None

    def ready_seconds(self):
        """Starts the daemon and returns the time until it responds."""
        begun = time.monotonic()
        self.start()
        return time.monotonic() - begun

    def discard(self, quiet=False):
        for slots in self.slots.values():
            slots.close()
        self.slots = {}
        if quiet:
            for log in self.folder.glob("log.*"):
                log.unlink()
        super().discard()

    # Resources, read from /proc.

    def memory(self, what="VmRSS"):
        """Bytes. VmRSS: current memory; VmHWM: maximum."""
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{what}:\s+(\d+) kB", text).group(1)) * 1024

    def cpu_seconds(self):
        """The CPU time of all threads."""
        threads = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def healthy(self):
        return self.get("/healthz").status == 200


def each_call(scale, attempt, at_least):
    """Calls attempt(n), which makes the n-th call fail and returns (problems, whether there was an n-th call), with
    increasing n until there is none: every n in the long form, with growing steps in the short form. Returns
    (tries, problems, text) for `report`."""
    problems, tries, n, hit = [], 0, 1, True
    while scale.has_time():
        more, hit = attempt(n)
        problems += more
        if not hit:
            break
        tries += 1
        n += 1 if scale.long else max(1, n // 3)
    if tries < at_least:
        problems.append(f"only {tries} calls were made to fail")
    return (tries, problems,
            f"{'every n' if scale.long else 'n'} of 1 to {n - 1}{' when time was up' if hit else ''}")
