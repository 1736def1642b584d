"""The database is moved, deleted or replaced while the daemon runs: nothing more is acknowledged, and the daemon exits
to be restarted."""
import os
import sqlite3
import subprocess

import pytest

from support.acknowledged import Client, line
from support.daemon import TIMEOUT


def stored_calls(path):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT total(ncalls) FROM sums WHERE level = 0").fetchone()[0]


def send_acked(client, first, last):
    for seq in range(first, last + 1):
        client.send(line(seq)).acked(seq)


def move(daemon):
    os.rename(daemon.db, daemon.folder / "elsewhere.db")


def delete(daemon):
    daemon.db.unlink()


def replace(daemon):
    os.rename(daemon.folder / "backup.db", daemon.db)


def delete_log(daemon):
    (daemon.folder / "t.db-wal").unlink()


def delete_index(daemon):
    (daemon.folder / "t.db-shm").unlink()


def delete_all(daemon):
    for name in daemon.folder.glob("t.db*"):
        name.unlink()


# What is stored under the name after the restart, of 10 acknowledged messages, 4 of them before the backup.
CHANGES = [(move, 0, "moved or deleted"), (delete, 0, "moved or deleted"), (replace, 4, "replaced by another file"),
           (delete_log, 10, "t.db-wal was moved or deleted"), (delete_index, 10, "t.db-shm was moved or deleted"),
           (delete_all, 0, "moved or deleted")]


@pytest.mark.parametrize("change, stored, word", CHANGES, ids=[change.__name__ for change, *_ in CHANGES])
def test_changed_database_files_end_the_daemon(new_daemon, change, stored, word):
    daemon = new_daemon({"store.flush_interval": "50ms"})
    daemon.start()
    client = Client(daemon, "a")
    client.hello()
    send_acked(client, 1, 4)
    (daemon.folder / "backup.db").write_bytes(daemon.post("/v1/backup").body)
    send_acked(client, 5, 10)
    change(daemon)
    client.send(line(11))
    assert client.read() is None, "a message was acknowledged that nobody will find"
    assert daemon.process.wait(TIMEOUT) == 1
    daemon.checked = True  # it did not end by SIGTERM
    assert word in daemon.log_text() and "exiting to restart" in daemon.log_text()
    if change is move:
        assert stored_calls(daemon.folder / "elsewhere.db") >= 10
    daemon.start()
    with Client(daemon, "a") as again:
        assert again.hello() == stored
    assert daemon.calls().get("f", 0) == stored
    assert daemon.stop() == 0
    assert daemon.query_db("PRAGMA integrity_check") == [("ok",)]


def test_idle_daemon_notices(new_daemon):
    """Without messages too, so that queries do not read another file for long."""
    daemon = new_daemon({"store.flush_interval": "50ms"})
    daemon.start()
    move(daemon)
    assert daemon.process.wait(TIMEOUT) == 1
    daemon.checked = True


def test_unmounted_folder(new_daemon, tmp_path):
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64M", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("cannot mount a tmpfs")
    try:
        daemon = new_daemon({"store.path": tmp_path / "t.db", "store.flush_interval": "50ms"})
        daemon.start()
        client = Client(daemon, "a")
        client.hello()
        send_acked(client, 1, 3)
        subprocess.run(["umount", "-l", tmp_path], check=True)
        assert daemon.process.wait(TIMEOUT) == 1
        daemon.checked = True
        assert "t.db was moved or deleted" in daemon.log_text()
    finally:
        subprocess.run(["umount", "-l", tmp_path], capture_output=True)


def test_log_of_a_missing_database_is_not_deleted(new_daemon):
    """After a kill the last commits are in the log. Without its database the daemon does not start."""
    daemon = new_daemon()
    daemon.start()
    with Client(daemon, "a") as client:
        client.hello()
        send_acked(client, 1, 3)
    daemon.kill()
    os.rename(daemon.db, daemon.folder / "elsewhere.db")
    code, log = daemon.run_to_exit()
    assert code == 78 and "its log has data" in log, log
    os.rename(daemon.folder / "elsewhere.db", daemon.db)
    daemon.start()
    assert daemon.calls() == {"f": 3}
