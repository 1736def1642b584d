"""The sockets that the daemon opens, and those that systemd passes to it."""
import contextlib
import functools
import os
import socket
import stat

import pytest

from support import control, senders
from support.activation import activate, passed_sockets
from support.messages import message
from support.wait import wait_until

UNIX = ("unix_stream", "unix_datagram")


def test_stale_socket_is_replaced_and_live_socket_is_an_error(new_daemon):
    daemon = new_daemon()
    paths = {key: daemon.settings[key] for key in ("control.socket", "ingest.unix_stream", "ingest.unix_datagram")}
    for key, path in paths.items():
        kind = socket.SOCK_DGRAM if key.endswith("datagram") else socket.SOCK_STREAM
        with socket.socket(socket.AF_UNIX, kind) as stale:
            stale.bind(str(path))
    daemon.start()
    for kind in UNIX:
        senders.TRANSPORTS[kind](daemon, [message()])
    assert daemon.calls() == {"f": 2}
    for key, path in paths.items():
        code, log = new_daemon({key: path}).run_to_exit()
        assert code > 0, log
        assert str(path) in log
    for kind in UNIX:
        senders.TRANSPORTS[kind](daemon, [message()])
    assert daemon.calls() == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4


@pytest.mark.parametrize("key", ["control.socket", "ingest.unix_stream", "ingest.unix_datagram"])
def test_file_that_is_not_a_socket_is_kept(new_daemon, key):
    daemon = new_daemon()
    path = daemon.folder / "precious"
    path.write_text("somebody needs this")
    daemon.settings[key] = path
    code, log = daemon.run_to_exit()
    assert code > 0, log
    assert "precious" in log
    assert path.read_text() == "somebody needs this"


def test_sockets_have_the_configured_modes(start_daemon):
    def modes(daemon):
        paths = (daemon.control, daemon.folder / "s.sock", daemon.folder / "d.sock")
        return [stat.S_IMODE(path.stat().st_mode) for path in paths]

    for umask in (0o022, 0o077):
        old = os.umask(umask)
        try:
            plain = start_daemon()
            chosen = start_daemon(control__socket_mode="0600", ingest__socket_mode="0620")
        finally:
            os.umask(old)
        assert modes(plain) == [0o660, 0o666, 0o666]
        assert modes(chosen) == [0o600, 0o620, 0o620]
        assert not plain.db.stat().st_mode & 0o007  # accessible to owner and group only


def test_control_socket_has_the_configured_group(start_daemon, new_daemon):
    import grp
    mine = [grp.getgrgid(gid) for gid in {*os.getgroups(), os.getgid()}]
    groups = mine if os.geteuid() else [grp.getgrnam("daemon"), *mine]
    daemon = start_daemon(control__socket_group=groups[0].gr_name)
    assert daemon.control.stat().st_gid == groups[0].gr_gid
    code, log = new_daemon({"control.socket_group": "no-such-group-here"}).run_to_exit()
    assert code > 0 and "no-such-group-here" in log, log


@pytest.mark.parametrize("kind, key", [("tcp", "ingest.tcp"), ("udp", "ingest.udp"), ("tcp", "control.http")])
@pytest.mark.parametrize("threads", [1, 2])
def test_port_in_use_is_an_error(new_daemon, kind, key, threads):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == "tcp":
            taken.listen()
        where = "127.0.0.1:%d" % taken.getsockname()[1]
        daemon = new_daemon({key: where, "ingest.threads": threads})
        code, log = daemon.run_to_exit()
        assert code > 0, log
        assert where in log and "in use" in log
    assert daemon.start().get("/healthz").status == 200  # starts once the port is free


def test_port_cannot_be_bound_by_others(start_daemon):
    """If other sockets could bind the port too, they would receive datagrams meant for the daemon."""
    daemon = start_daemon()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):
            other.bind(daemon.address("udp"))
    senders.TRANSPORTS["udp"](daemon, [message()])
    assert daemon.wait_idle()["accepted"] == 1


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return True
    return False


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("host", ["*", "", "[::]"])
def test_all_interfaces_are_ipv6_and_ipv4(start_daemon, host, threads):
    """One socket receives both. A peer with IPv4 is shown with its IPv4 address."""
    if host == "[::]" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    daemon = start_daemon(ingest__udp=host + ":0", ingest__tcp=host + ":0", control__http=host + ":0",
                          ingest__threads=threads)
    listeners = daemon.status()["listeners"]
    families = [(socket.AF_INET, "127.0.0.1")]
    if has_ipv6():
        assert listeners["tcp"].startswith("[::]:")
        families.append((socket.AF_INET6, "::1"))
    for family, address in families:
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.sendto(b"?", (address, daemon.address("udp")[1]))
            peer = "%s:%d" % (address if family == socket.AF_INET else f"[{address}]", udp.getsockname()[1])
            wait_until(lambda: peer in str(daemon.rejects()), daemon.rejects)
            udp.sendto(message(), (address, daemon.address("udp")[1]))
        with socket.create_connection((address, daemon.address("tcp")[1])) as tcp:
            tcp.sendall(message() + b"\n")
        assert control.request((address, daemon.address("http")[1]), "GET", "/healthz").body == b"ok\n"
    wait_until(lambda: daemon.status()["accepted"] == 2 * len(families), daemon.status)


def test_ready_daemon_accepts_messages(new_daemon):
    """As soon as the control socket responds, every ingest socket accepts messages."""
    for _ in range(5):
        daemon = new_daemon({"ingest.threads": 2}).start()
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message()])
        assert daemon.calls() == {"f": 4}
        assert daemon.wait_idle()["accepted"] == 4


# Sockets passed by systemd.


@pytest.mark.parametrize("threads", [1, 2])
def test_passed_sockets_are_used_and_stay_open(new_daemon, threads):
    """Passed sockets replace the configured ones. Messages sent before the start count, and the sockets stay open when
    the daemon exits."""
    def unix_paths(name):
        daemon.settings.update({f"ingest.{kind}": daemon.folder / f"{name}.{kind[5]}" for kind in UNIX})

    daemon = new_daemon({"ingest.threads": threads, "ingest.udp": "off"})
    daemon.settings["control.socket"] = daemon.folder / "other.c"
    sockets = passed_sockets(daemon.folder)
    try:
        daemon.control = daemon.folder / "passed.c"
        unix_paths("other")
        activate(daemon, sockets)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_connection(
                sockets["tcp"].getsockname()) as tcp:
            udp.sendto(message(name="early"), sockets["udp"].getsockname())
            tcp.sendall(message(name="early") + b"\n")
            daemon.start()
            assert daemon.calls() == {"early": 2}
        listeners = daemon.status()["listeners"]
        for name, each in sockets.items():
            where = each.getsockname()
            assert listeners[name] == (where if isinstance(where, str) else "%s:%d" % where)
        assert not [path.name for path in daemon.folder.iterdir() if path.name.startswith("other.")]
        unix_paths("passed")
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message(name=kind)])
        assert daemon.calls() == {"early": 2, **dict.fromkeys(senders.TRANSPORTS, 1)}
        response = control.request(sockets["http"].getsockname(), "GET", "/v1/status")
        assert response.status == 200 and response.json["pid"] == daemon.process.pid
        assert daemon.wait_idle()["accepted"] == 6
        unix_paths("other")

        # The kernel queues while the daemon is down.
        assert daemon.stop() == 0, daemon.log_text()
        assert {"passed.c", "passed.s", "passed.d"} <= {path.name for path in daemon.folder.iterdir()}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.create_connection(
                sockets["tcp"].getsockname()) as tcp:
            for _ in range(20):
                udp.sendto(message(name="between"), sockets["udp"].getsockname())
            tcp.sendall((message(name="between") + b"\n") * 20)
            daemon.start()
            assert daemon.calls()["between"] == 40
        assert daemon.wait_idle()["accepted"] == 40
    finally:
        for each in sockets.values():
            each.close()


@pytest.mark.parametrize("name", ["udp", "tcp", "unix_stream", "unix_datagram", "http"])
def test_single_passed_socket_is_used(new_daemon, name):
    """The other listeners use their configured addresses."""
    daemon = new_daemon()
    sockets = passed_sockets(daemon.folder)
    try:
        activate(daemon, {name: sockets[name]}).start()
        listeners = daemon.status()["listeners"]
        where = sockets[name].getsockname()
        assert listeners[name] == (where if isinstance(where, str) else "%s:%d" % where)
        if name in UNIX:
            daemon.settings[f"ingest.{name}"] = where
        for kind in sorted(senders.TRANSPORTS):
            senders.TRANSPORTS[kind](daemon, [message()])
        assert daemon.calls() == {"f": 4}
        assert daemon.wait_idle()["accepted"] == 4
    finally:
        for each in sockets.values():
            each.close()


def test_sockets_for_another_process_or_of_a_wrong_kind(new_daemon):
    """Sockets with the LISTEN_PID of another process are ignored. A socket of the wrong kind is an error."""
    daemon = new_daemon()
    daemon.spawn = functools.partial(daemon.spawn, env={**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1",
                                                        "LISTEN_FDNAMES": "udp"})
    daemon.start()
    for kind in sorted(senders.TRANSPORTS):
        senders.TRANSPORTS[kind](daemon, [message()])
    assert daemon.calls() == {"f": 4}
    assert daemon.wait_idle()["accepted"] == 4
    for name, wrong in (("udp", "tcp"), ("tcp", "udp"), ("unix_stream", "unix_datagram")):
        other = new_daemon()
        sockets = passed_sockets(other.folder)
        try:
            code, log = activate(other, {name: sockets[wrong]}).run_to_exit()
            assert code > 0, (name, wrong, log)
            assert name in log
        finally:
            for each in sockets.values():
                each.close()
