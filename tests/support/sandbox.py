"""Runs a program under a unit's SystemCallFilter=, without systemd: expands the groups as systemd does, loads the filter
with libseccomp (which systemd brings), and becomes the program.

    sandbox.py UNIT PROGRAM ARGUMENT...

Unlike the service, where a refused call is an error, here it ends the process with SIGSYS: no test can pass over it.
But not chown: SQLite tries that where it runs as root, as the service never does.
"""
import ctypes
import os
import subprocess
import sys

KILL, ALLOW, EPERM = 0x80000000, 0x7FFF0000, 0x00050001
AS_ROOT_ONLY = ("chown", "fchown")


def words_of(unit, key):
    """The words of all lines of a key, in order; an empty value takes back those before."""
    words = []
    with open(unit, encoding="utf-8") as lines:
        for line in lines:
            name, _, value = line.strip().partition("=")
            if name == key:
                words = words + value.split() if value else []
    return words


def expand(words):
    names = set()
    for word in words:
        if not word.startswith("@"):
            names.add(word)
            continue
        text = subprocess.run(["systemd-analyze", "--no-pager", "syscall-filter", word], check=True, text=True,
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
            if number >= 0:  # those of other architectures have none here
                assert library.seccomp_rule_add(context, ctypes.c_uint32(action), number, 0) == 0, name
    assert library.seccomp_load(context) == 0  # sets no_new_privs itself


if __name__ == "__main__":
    load(expand(["@default", *words_of(sys.argv[1], "SystemCallFilter")]))
    os.execv(sys.argv[2], sys.argv[2:])
