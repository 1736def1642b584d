"""Steps of script/test that check what `meson install` writes: the list of files with their modes, the configuration,
the systemd units, and the system user.
"""
import re
import shutil

from runner import StepFailed, text_of

# Every file that `meson install` writes, with its mode.
INSTALLED = {
    "etc/timesliced/timesliced.conf": 0o644,
    "usr/bin/timeslicectl": 0o755,
    "usr/bin/timesliced": 0o755,
    "usr/lib/systemd/system/timesliced.service": 0o644,
    **{f"usr/lib/systemd/system/timesliced-{name}.socket": 0o644
       for name in ("control", "http", "tcp", "udp", "unix-datagram", "unix-stream")},
    "usr/lib/sysusers.d/timesliced.conf": 0o644,
    "usr/share/bash-completion/completions/timesliced": 0o644,
    "usr/share/bash-completion/completions/timeslicectl": 0o644,
    "usr/share/man/man1/timeslicectl.1": 0o644,
    "usr/share/man/man5/timesliced.conf.5": 0o644,
    "usr/share/man/man7/timesliced.7": 0o644,
    "usr/share/man/man8/timesliced.8": 0o644,
    "usr/share/zsh/vendor-completions/_timesliced": 0o644,
    "usr/share/zsh/vendor-completions/_timeslicectl": 0o644,
    **{f"usr/share/doc/timesliced/examples/{name}.conf": 0o644
       for name in ("beyond-loopback", "credential", "database-elsewhere", "sealed", "threads")},
}


def installed_files(runner, meson, build, tree):
    """Installs into the folder `tree`, compares the files with INSTALLED, and checks the installed configuration."""
    def run(log):
        code = runner.command([meson, "install", "-C", build, "--no-rebuild", "--destdir", tree], log)
        if code:
            return code
        found = {str(path.relative_to(tree)): path.stat().st_mode & 0o7777
                 for path in tree.rglob("*") if not path.is_dir()}
        for path in sorted(INSTALLED.keys() | found.keys()):
            if found.get(path) != INSTALLED.get(path):
                modes = [f"{files[path]:04o}" if path in files else "absent" for files in (INSTALLED, found)]
                log.write("{}: expected {}, found {}\n".format(path, *modes))
                code = 1
        daemon = tree / "usr/bin/timesliced"
        code |= runner.command([daemon, "--check-config", "--config", tree / "etc/timesliced/timesliced.conf"], log)
        return code
    return run


def systemd_units(runner, tree):
    """Runs systemd-analyze verify, which must print nothing. It requires the program named by the unit to exist, so it
    gets copies of the units in which only the path of the program differs."""
    def run(log):
        units = tree / "usr/lib/systemd/system"
        text = (units / "timesliced.service").read_text()
        if text.count("ExecStart=/usr/bin/timesliced\n") != 1:
            raise StepFailed(f"{units}/timesliced.service: no line ExecStart=/usr/bin/timesliced")
        copies = runner.folder / "verify"
        shutil.copytree(units, copies)
        (copies / "timesliced.service").write_text(text.replace("=/usr/bin/timesliced",
                                                                f"={tree}/usr/bin/timesliced"))
        code = runner.command(["systemd-analyze", "--man=no", "verify", *sorted(copies.iterdir())], log)
        return code or len(text_of(log).splitlines()) > 1  # the first line is the command itself
    return run


def system_user(runner, tree):
    """Checks that systemd-sysusers would create the user and the group."""
    def run(log):
        code = runner.command(["systemd-sysusers", "--dry-run", f"--root={tree}", "timesliced.conf"], log)
        text = text_of(log)
        for kind in ("group", "user"):
            if not re.search(rf"{kind}\W+timesliced\b", text, re.I):
                raise StepFailed(f"systemd-sysusers would create no {kind} timesliced")
        return code
    return run
