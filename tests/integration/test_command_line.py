"""The options of timesliced."""
import subprocess

import pytest

from support.daemon import BINARY, EX_CONFIG, TIMEOUT


def run(*arguments, **options):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT, **options)


def test_version_and_help_are_printed():
    version = run("--version")
    assert version.returncode == 0 and version.stderr == ""
    assert any(part[0].isdigit() and "." in part for part in version.stdout.split()), version.stdout
    text = run("--help")
    assert text.returncode == 0 and text.stderr == ""
    for option in ("--config", "--set", "--check-config", "--version", "--help"):
        assert option in text.stdout


@pytest.mark.parametrize("arguments", [["--nonsense"], ["-x"], ["word"], ["--config"], ["--set"], ["--set="],
                                       ["--check-config", "more"]])
def test_wrong_options_are_an_error(arguments, tmp_path):
    """The error goes to standard error, and no daemon is started."""
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode > 0
    assert done.stderr.strip() and done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("setting", ["ingest.threads=0", "ingest.threads", "nonsense.key=1", "ingest.nonsense=1", "=",
                                     "ingest.udp=here", "aggregation.time_slice=0s",
                                     "aggregation.retention=7s:1d", "log.level=loud"])
def test_invalid_set_is_a_configuration_error(new_daemon, setting):
    daemon = new_daemon()
    key, _, value = setting.partition("=")
    command = [*daemon.command(), "--set", setting]
    for more in ([], ["--check-config"]):
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == EX_CONFIG, done
        assert key in done.stderr + done.stdout
    assert not daemon.db.exists()


def test_check_config_reports_errors_and_creates_nothing(new_daemon):
    daemon = new_daemon(config_text="[ingest]\nthreads = 2\n")

    def check():
        return subprocess.run(daemon.command("--check-config"), capture_output=True, text=True, timeout=TIMEOUT)

    assert check().returncode == 0, check()
    daemon.config.write_text("[ingest]\nthreads = 2\n\n[store]\nflush_interval = soon\n")
    done = check()
    assert done.returncode == EX_CONFIG
    output = done.stderr + done.stdout
    assert f"{daemon.config}:5" in output and "flush_interval" in output, output
    code, log = daemon.run_to_exit()
    assert code == EX_CONFIG and "flush_interval" in log
    daemon.config.unlink()
    assert check().returncode == EX_CONFIG  # the named file is missing
    assert sorted(path.name for path in daemon.folder.iterdir()) == ["log.1"]  # nothing was created
