"""Runs a program under the SystemCallFilter= of a unit, without systemd.

    sandbox.py UNIT PROGRAM ARGUMENT...

Expands the groups as systemd does, loads the filter with libseccomp (a dependency of systemd), and executes the
program. A call outside the filter kills the process with SIGSYS, so that no test can miss it; under the service it only
returns an error. chown and fchown return EPERM: SQLite calls them when it runs as root, which the service never does.
"""
import ctypes
import os
import subprocess
import sys

KILL, ALLOW, EPERM = 0x80000000, 0x7FFF0000, 0x00050001
AS_ROOT_ONLY = ("chown", "fchown")


def values_of(unit, key):
    """The values of all lines of a key, in order. An empty value clears the list."""
    values = []
    with open(unit, encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.strip().partition("=")
            if name == key:
                values = values + value.split() if value else []
    return values


def expand(entries):
    """The names of system calls; @group stands for all calls of the group."""
    names = set()
    for entry in entries:
        if not entry.startswith("@"):
            names.add(entry)
            continue
        text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", entry], check=True, text=True,
                              stdout=subprocess.PIPE).stdout
        names |= expand(line.strip() for line in text.splitlines()[1:] if line.strip()[:1] not in ("", "#"))
    return names


def load(names):
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(KILL)))
    assert context
    for action, wanted in ((ALLOW, names), (EPERM, AS_ROOT_ONLY)):
        for name in wanted:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number >= 0:  # negative: a call of another architecture
                assert library.seccomp_rule_add(context, ctypes.c_uint32(action), number, 0) == 0, name
    assert library.seccomp_load(context) == 0  # sets no_new_privs itself


if __name__ == "__main__":
    load(expand(["@default", *values_of(sys.argv[1], "SystemCallFilter")]))
    os.execv(sys.argv[2], sys.argv[2:])
