"""The part of script/boot-test that runs in the booted machine, as root. Prints one row per check, then the totals.

One database is used through upgrade, restarts and hang, under load. At the end it is compared with everything that was
sent (tests/faults/checker.py). A section that raises is a failed row, and the next section starts.
"""
import os
import pathlib
import re
import signal
import sqlite3
import time
import traceback

import checker
from boot_machine import (CONFIG, DATABASE, SERVICE, SOCKETS, Acknowledged, Datagrams, code_of, counted, install,
                          is_active, journal, message_row, results, row, run, status, sums, unit_property,
                          wait_counted, wait_until)
from boot_sandbox import sandbox, security

RESTARTS = 20
RESTART_INTERVAL = 1  # seconds; short enough to exceed systemd's default start limit, which the unit lifts
INVALID_DURATION = 6  # seconds with an invalid configuration
RETRY_INTERVAL = 5  # seconds; systemd's between two starts with an invalid configuration
RECOVERY_LIMIT = 40  # seconds from the hang to the first response


def readme():
    """Runs the commands of the README. The first, script/package, has already built the packages."""
    text = pathlib.Path("README.md").read_text(encoding="utf-8")
    block = re.search(r"((?:^    .*\n)*^    script/package\b.*\n(?:^    .*\n)*)", text, re.M).group(1)
    commands = [re.sub(r"\s+#.*", "", line).strip().removeprefix("sudo ") for line in block.splitlines()]
    assert len(commands) == 4 and commands[0] == "script/package", commands
    begin = time.monotonic()
    run("sh", "-c", commands[1])
    row(is_active(SERVICE, *SOCKETS), "README: apt install", f"service and {len(SOCKETS)} sockets active after "
        f"{time.monotonic() - begin:.1f} s")
    run("sh", "-c", commands[2])
    table = run("sh", "-c", commands[3])
    functions = sorted(set(re.findall(r"sleep\d", table)))
    row(functions == ["sleep1", "sleep2", "sleep3"], "README: send, query", f"{', '.join(functions)} in `top`")
    enabled = [unit for unit in (SERVICE, *SOCKETS) if run("systemctl", "is-enabled", unit, code=None) == "enabled\n"]
    row(len(enabled) == 1 + len(SOCKETS), "enabled for the next boot", f"{len(enabled)} units")
    row(unit_property("StatusText"), "systemctl status", unit_property("StatusText"))
    failed_units = run("systemctl", "--failed", "--no-legend", "--plain").split("\n")[:-1]
    row(not failed_units, "failed units", len(failed_units))


def operators():
    run("useradd", "member")
    run("useradd", "stranger")
    run("usermod", "-aG", "timesliced", "member")
    codes = [code_of("runuser", "-u", user, "--", "timeslicectl", "status") for user in ("member", "stranger")]
    row(codes == [0, 3], "access to the control socket",
        f"member of the group: exit code {codes[0]}, others: {codes[1]}")


def upgrade(load):
    """Upgrades the package of the previous commit, with an edited configuration."""
    run("apt-get", "purge", "timesliced", "python3-timesliced")
    if not pathlib.Path("previous").is_dir():
        install("build-package")
        print("-       upgrade: skipped, the previous commit has no packages", flush=True)
        return
    install("previous")
    old = run("dpkg-query", "-W", "-f", "${Version}", "timesliced")
    CONFIG.write_text(CONFIG.read_text().replace("#max_connections = 1024", "max_connections = 1000"))
    configuration = CONFIG.read_bytes()
    assert b"\nmax_connections = 1000" in configuration
    run("systemctl", "restart", SERVICE)
    clients = Acknowledged(1)
    wait_until(lambda: clients.clients[0].sent.confirmed >= 2000, patience=60)
    problems = clients.stop()
    run("timeslicectl", "flush")
    before = sums()
    load["acked"] += clients.sent
    install("build-package")
    new = run("dpkg-query", "-W", "-f", "${Version}", "timesliced")
    assert old != new or is_active(SERVICE), "the same version was installed again and does not run"
    status()
    after = sums()
    row(before and after == before and not problems, "upgrade keeps every sum", f"{len(before)} rows of {len(before)}"
        if after == before else f"{len(set(before) - set(after))} of {len(before)} rows differ")
    row(CONFIG.read_bytes() == configuration, "upgrade keeps the configuration", f"{len(configuration)} bytes")


def restarts(load):
    clients, datagrams = Acknowledged(11, 12), Datagrams(10)
    longest = 0
    try:
        for _ in range(RESTARTS):
            begin = time.monotonic()
            run("systemctl", "restart", SERVICE)
            longest = max(longest, time.monotonic() - begin)
            time.sleep(max(0, RESTART_INTERVAL - (time.monotonic() - begin)))
    finally:
        datagrams.stop()
        problems = clients.stop()
    load["udp"].append(datagrams.sent)
    load["acked"] += clients.sent
    row(is_active(SERVICE), f"{RESTARTS} restarts under load", f"the longest took {longest:.2f} s")
    message_row("datagrams", wait_counted([datagrams.sent]))
    message_row("acknowledged messages", counted(clients.sent), problems)


def hang(load):
    """SIGSTOP stops every thread, as a hang of the kernel or of a disk does."""
    clients = Acknowledged(13)
    wait_until(lambda: clients.clients[0].sent.confirmed > 100)
    pid, starts = unit_property("MainPID"), int(unit_property("NRestarts"))
    begin = time.monotonic()
    os.kill(int(pid), signal.SIGSTOP)
    try:
        wait_until(lambda: unit_property("MainPID") not in (pid, "0"), patience=100, pause=0.2)
        wait_until(lambda: is_active(SERVICE) and code_of("timeslicectl", "status") == 0, patience=20)
    finally:
        seconds = time.monotonic() - begin
        time.sleep(1)
        problems = clients.stop()
    load["acked"] += clients.sent
    log = run("journalctl", "-u", SERVICE, "--since", "-3min", "--no-pager")
    row(seconds <= RECOVERY_LIMIT and "atchdog" in log and int(unit_property("NRestarts")) == starts + 1,
        "hang: restart by the watchdog", f"responds again after {seconds:.1f} s (at most {RECOVERY_LIMIT})")
    message_row("acknowledged messages", counted(clients.sent), problems)


def reload(load):
    """An invalid file is reported in the log; configuration, process and connections stay."""
    valid = CONFIG.read_bytes()
    clients = Acknowledged(14)
    wait_until(lambda: clients.clients[0].sent.confirmed > 10)
    pid = unit_property("MainPID")
    try:
        CONFIG.write_bytes(valid + b"\n[store]\nflush_interval = sometimes\n")
        line = CONFIG.read_bytes().count(b"\n")
        reload_failed = code_of("systemctl", "reload", SERVICE)
        run("systemctl", "kill", "-s", "HUP", "--kill-whom=main", SERVICE)
        location = f"timesliced.conf:{line}"
        entries = wait_until(lambda: [entry for entry in journal() if location in entry["MESSAGE"]
                                      and entry.get("_PID") == pid])
        confirmed = clients.clients[0].sent.confirmed
        wait_until(lambda: clients.clients[0].sent.confirmed > confirmed)
    finally:
        CONFIG.write_bytes(valid)
        problems = clients.stop()
    load["acked"] += clients.sent
    row(unit_property("MainPID") == pid and clients.clients[0].connections == 1 and not problems and reload_failed,
        "reload with an invalid file", "systemctl reload fails; configuration and connections stay")
    row(all(int(entry["PRIORITY"]) <= 4 for entry in entries), "  file and line in the log",
        re.search(r"\S+:\d+: \S+:", entries[0]["MESSAGE"]).group().rstrip(":"))
    row(code_of("systemctl", "reload", SERVICE) == 0, "  reload with a valid file", "succeeds")


def start_with_invalid_file(load):
    """The sockets stay, the kernel queues what is sent, and the daemon reads all of it once the file is corrected."""
    valid = CONFIG.read_bytes()
    CONFIG.write_bytes(valid + b"\n[nothing]\n")
    clients, datagrams = Acknowledged(15), Datagrams(16)
    try:
        run("systemctl", "restart", SERVICE, code=1)
        time.sleep(INVALID_DURATION)
        active = [unit for unit in SOCKETS if is_active(unit)]
        tries = sum("[nothing]" in entry["MESSAGE"] for entry in journal())
        CONFIG.write_bytes(valid)
        begin = time.monotonic()
        wait_until(lambda: is_active(SERVICE), patience=20)
        seconds = time.monotonic() - begin
    finally:
        CONFIG.write_bytes(valid)
        datagrams.stop()
        problems = clients.stop()
    load["udp"].append(datagrams.sent)
    load["acked"] += clients.sent
    row(len(active) == len(SOCKETS) and 1 < tries <= 2 + INVALID_DURATION // RETRY_INTERVAL,
        "start with an invalid file", f"{len(active)} of {len(SOCKETS)} sockets active, {tries} tries, "
        f"running {seconds:.1f} s after the correction")
    message_row("messages", wait_counted([datagrams.sent, *clients.sent]), problems)


def journal_lines():
    entries = journal()
    priorities = sorted({int(entry["PRIORITY"]) for entry in entries})
    prefixed = [entry["MESSAGE"] for entry in entries if re.match(r"<\d>", entry["MESSAGE"])]
    row(len(priorities) > 1 and max(priorities) < 7 and not prefixed, "journal",
        f"{len(entries)} lines, priorities {', '.join(map(str, priorities))}")


def all_messages(load):
    message_row("all messages of this test", counted(load["acked"] + load["udp"]))
    connection = sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True, timeout=10)
    findings = connection.execute("PRAGMA integrity_check").fetchall()
    row(findings == [("ok",)], "database", f"integrity_check: {findings[0][0]}")


def removal():
    run("apt-get", "remove", "timesliced")
    running = [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/comm")
               if path.read_text() == "timesliced\n"]
    units = [unit for unit in (SERVICE, *SOCKETS) if is_active(unit)]
    row(not running and not units and DATABASE.exists() and CONFIG.exists(), "removal keeps the data",
        f"{len(running)} processes, {len(units)} units; database and configuration exist")
    run("apt-get", "purge", "timesliced")
    left = [str(path) for path in (DATABASE.parent, CONFIG.parent, pathlib.Path("/run/timesliced")) if path.exists()]
    row(not left, "purge removes them", ", ".join(left) or "nothing left")


def main():
    checker.BEGIN = int(time.time()) // checker.WIDTH * checker.WIDTH - 3600
    load = {"udp": [], "acked": []}
    sections = [(readme,), (operators,), (upgrade, load), (restarts, load), (hang, load), (reload, load),
                (start_with_invalid_file, load), (sandbox,), (journal_lines,), (security,), (all_messages, load),
                (removal,)]
    for section, *arguments in sections:
        try:
            section(*arguments)
        except Exception as problem:
            traceback.print_exc()
            row(False, section.__name__, f"raised: {problem}")
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed", flush=True)


if __name__ == "__main__":
    main()
