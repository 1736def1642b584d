"""Section of boot_test.py: what the sandbox of the service denies."""
import json
import pathlib
import re
import sys

from boot_machine import SERVICE, row, run, unit_property

EXPOSURE_LIMIT = 1.2
# What the daemon needs; everything else that the probe tries must be denied.
ALLOWED = {"write /var/lib/timesliced", "socket AF_INET"}
DENIED_MIN = 8  # fewer mean that the probe itself does not work

# Tries each operation and prints {name: "done" or the errno} as JSON.
PROBE = r'''
import ctypes, errno, json, mmap, os, socket
libc = ctypes.CDLL(None, use_errno=True)
def attempt(operation):
    try:
        operation()
        return "done"
    except OSError as problem:
        return errno.errorcode[problem.errno]
def write(path):
    return lambda: (open(path, "w").close(), os.unlink(path))
def call(name, *arguments):
    def operation():
        if getattr(libc, name)(*arguments) in (-1, 2**64 - 1):
            raise OSError(ctypes.get_errno(), name)
    return operation
found = {
    "write " + folder: attempt(write(folder + "/boot-test-probe"))
    for folder in ("/etc", "/usr", "/var/lib", "/root", "/var/lib/timesliced")}
found |= {
    "socket " + name: attempt(lambda: socket.socket(family, kind).close()) for name, family, kind in (
        ("AF_NETLINK", socket.AF_NETLINK, socket.SOCK_RAW), ("AF_PACKET", socket.AF_PACKET, socket.SOCK_RAW),
        ("AF_ALG", socket.AF_ALG, socket.SOCK_SEQPACKET), ("AF_INET", socket.AF_INET, socket.SOCK_STREAM))}
found |= {
    "mount": attempt(call("mount", b"none", b"/mnt", b"tmpfs", 0, None)),
    "unshare": attempt(call("unshare", 0x10000000)),
    "ptrace": attempt(call("ptrace", 0, 0, 0, 0)),
    "personality": attempt(call("personality", 0x0040000)),
    "writable and executable memory": attempt(lambda: mmap.mmap(-1, 4096, prot=7).close())}
print(json.dumps(found))
'''


def run_probe():
    """Returns the results of the probe (inside, outside of the sandbox). Inside, the installed unit runs it instead of
    the daemon, as root, so that file permissions deny nothing and every denial is caused by the sandbox."""
    pathlib.Path("/usr/local/lib/probe.py").write_text(PROBE)
    probe = ["/usr/bin/python3", "-I", "/usr/local/lib/probe.py"]
    unit = run("systemctl", "cat", SERVICE)
    unit, replaced = re.subn(r"(?m)^ExecStart=.*", f"ExecStart={' '.join(probe)}", unit)
    assert replaced == 1, replaced
    unit = re.sub(r"(?m)^(ExecReload|Type|User|Group|WatchdogSec|Sockets|Restart|Also|WantedBy)=.*\n", "", unit)
    unit += "\n[Service]\nType=oneshot\nStandardOutput=file:/run/probe\n"
    pathlib.Path("/run/systemd/system/probe.service").write_text(unit)
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "probe.service")
    inside = json.loads(pathlib.Path("/run/probe").read_text())
    outside = json.loads(run(*probe))
    print(inside, outside, file=sys.stderr)
    return inside, outside


def sandbox():
    inside, outside = run_probe()
    # An operation that fails outside as well, because this kernel or machine lacks it, shows nothing.
    possible = {name for name in outside if outside[name] == "done"}
    denied = {name for name in possible if inside[name] != "done"}
    row(denied == possible - ALLOWED and ALLOWED <= possible and len(denied) >= DENIED_MIN, "sandbox",
        f"{len(denied)} of {len(possible - ALLOWED)} operations denied, "
        f"{len(ALLOWED & possible - denied)} of {len(ALLOWED)} needed ones possible")
    for kind in ("write", "socket", ""):
        names = [name for name in inside if name in possible - ALLOWED and (
            name.startswith(kind) if kind else not name.startswith(("write", "socket")))]
        row(names and not set(names) - denied, f"  {kind or 'system calls'}",
            ", ".join(f"{name.removeprefix(kind).strip()}: {inside[name]}" for name in names))


def security():
    output = run("systemd-analyze", "security", "--offline=true", unit_property("FragmentPath"), code=None)
    score = float(re.search(r"Overall exposure level for \S+: (\d+\.\d+)", output).group(1))
    row(score <= EXPOSURE_LIMIT, "systemd-analyze security", f"{score} (at most {EXPOSURE_LIMIT})")
