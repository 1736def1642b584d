"""--help, man pages, sample configuration and completions agree on options and keys.

tests/unit/daemon/config/test_keys.c checks that the sample, docs/configuration.md and the table of keys agree.
"""
import os
import pty
import re
import select
import subprocess
import time

import pytest

from support import daemon as daemon_support
from support import fake_control
from support.daemon import TIMEOUT, ROOT

DAEMON = daemon_support.BINARY
CTL = fake_control.BINARY
COMPLETION = ROOT / "ctl" / "completion"
OPTION = re.compile(r"^  --([a-z-]+)(?: ([A-Z][A-Z.=]*))?(?:  | *$)", re.M)


def help_of(*command):
    done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True, timeout=TIMEOUT)
    assert done.stderr == ""
    return done.stdout


def options_of(text):
    """{option: name of its value, or None}"""
    return {name: value or None for name, value in OPTION.findall(text)}


def commands_of(text):
    return re.findall(r"^  ([a-z]+) ", re.search(r"^Commands:\n(.*?)\n\n", text, re.M | re.S)[1], re.M)


@pytest.fixture(scope="module")
def ctl():
    """{command: its options}, read from --help."""
    return {name: options_of(help_of(CTL, name)) for name in commands_of(help_of(CTL))}


def page(name):
    return (ROOT / "docs" / "man" / f"{name}.scd").read_text()


def section(text, title):
    return re.search(rf"^# {title}\n(.*?)(?=^# |\Z)", text, re.M | re.S)[1]


def entries(text):
    """The definitions of a man page, [(head, body)]: a line without indentation, followed by indented lines."""
    found = re.findall(r"^(\*.*)\n((?:\t.*\n|\n(?=\t))+)", text, re.M)
    return [(head, " ".join(body.split())) for head, body in found]


def page_options(text):
    """{name: (value or None, body)} of heads such as *--from* _TIME_, *--to* _TIME_."""
    options = {}
    for head, body in entries(text):
        assert re.fullmatch(r"(?:\*--[a-z-]+\*(?: _[A-Z.=]+_)?(?:, |$))+", head), head
        for name, value in re.findall(r"\*--([a-z-]+)\*(?: _([A-Z.=]+)_)?", head):
            assert name not in options, name
            options[name] = (value or None, body)
    return options


# timeslicectl.


def test_help_of_the_tool_lists_the_options_of_all_commands(ctl):
    together = options_of(help_of(CTL))
    assert len(ctl) >= 8 and len(together) >= 20
    assert {name: value for options in ctl.values() for name, value in options.items()} == together


def test_man_page_of_the_tool_equals_its_help(ctl):
    text = page("timeslicectl.1")
    heads = [head for head, _ in entries(section(text, "COMMANDS"))]
    expected = []
    for name in ctl:
        operand = re.match(rf"Usage: .* {name} ([A-Z]+) \[OPTIONS\]", help_of(CTL, name))
        expected.append(f"*{name}*" + (f" _{operand[1]}_" if operand else ""))
    assert heads == expected

    documented = page_options(section(text, "OPTIONS"))
    assert {name: value for name, (value, _) in documented.items()} == options_of(help_of(CTL))
    for name, (_, body) in documented.items():
        accepted = {command for command, options in ctl.items() if name in options}
        listed, excepted = (re.search(rf"(?:^|\. ){words} ([a-z, ]+)\.$", body)
                            for words in ("Commands:", "All commands except"))
        commands = set(listed[1].split(", ")) if listed else \
            set(ctl) - set(excepted[1].split(", ")) if excepted else set(ctl)
        assert commands == accepted, f"--{name}: documented for {sorted(commands)}, accepted by {sorted(accepted)}"


def test_exit_codes_of_the_tool_are_documented():
    documented = [head.strip("*") for head, _ in entries(section(page("timeslicectl.1"), "EXIT STATUS"))]
    exit_codes = re.sub(r"\s+", " ", help_of(CTL)).split("Exit codes: ")[1]
    assert documented == re.findall(r"(?:^|; )(\d+)", exit_codes) == ["0", "1", "2", "3"]


def test_man_page_of_the_tool_has_the_examples_of_its_help():
    documented = section(page("timeslicectl.1"), "EXAMPLES").replace("\\\\\n    ", "").replace("\\\n    ", "")
    examples = re.findall(r"^  (timeslicectl [a-z]+ .*)$", help_of(CTL).split("Examples:")[1], re.M)
    assert re.findall(r"^timeslicectl .*$", documented, re.M) == examples and examples


# timesliced.


def test_man_page_of_the_daemon_equals_its_help():
    text = page("timesliced.8")
    documented = page_options(section(text, "OPTIONS"))
    shown = options_of(help_of(DAEMON))
    assert all(len(line) <= 80 for line in help_of(DAEMON).splitlines())
    assert len(shown) == 6
    assert {name: value for name, (value, _) in documented.items()} == shown
    synopsis = section(text, "SYNOPSIS")
    assert set(re.findall(r"--([a-z-]+)", synopsis)) == set(shown)
    codes = [head.strip("*") for head, _ in entries(section(text, "EXIT STATUS"))]
    exit_codes = re.sub(r"\s+", " ", help_of(DAEMON)).split("Exit codes: ")[1]
    assert codes == re.findall(r"(?:^|, )(\d+)", exit_codes) == ["0", "1", "2", "78"]


def sample_keys():
    """{section.key: (default, reloadable)} in the order of the sample."""
    keys, within, comment = {}, None, ""
    for line in (ROOT / "config" / "timesliced.conf").read_text().splitlines():
        header = re.fullmatch(r"\[(\w+)\]", line)
        key = re.fullmatch(r"#(\w+) = ?(.*)", line)
        if header:
            within = header[1]
        elif key:
            keys[f"{within}.{key[1]}"] = (key[2], "[reload]" in comment)
        if not line or header:
            comment = ""
        elif line.startswith("# "):
            comment += line[1:]
    return keys


def documented_defaults():
    rows = re.findall(r"^\| (.*?) \| (.*?) \| .* \|$", (ROOT / "docs" / "configuration.md").read_text(), re.M)
    return {name: default.replace("`", "") for names, default in rows
            for name in re.findall(r"`(\w+\.\w+)`", names)}


def test_man_page_of_the_configuration_lists_all_keys():
    """The page lists every key in order, with its default and whether a reload applies it."""
    text = page("timesliced.conf.5")
    documented = {}
    for name in dict.fromkeys(key.split(".")[0] for key in sample_keys()):
        for head, body in entries(section(text, name.upper())):
            key = head.strip("*").replace("\\", "")
            assert key.startswith(f"{name}."), key
            default = re.search(r" Default: (.*?)(; _reload_)?\.$", body)
            assert default, f"{key}: no default"
            documented[key] = (default[1].replace("\\", ""), bool(default[2]))
    sample, defaults = sample_keys(), documented_defaults()
    assert len(sample) >= 25
    assert list(documented) == list(sample) == list(defaults)
    assert {key: default for key, (default, _) in documented.items()} == defaults
    assert [reload for _, reload in documented.values()] == [reload for _, reload in sample.values()]


def test_man_page_for_senders_lists_all_reject_codes():
    """The page lists the codes of docs/interfaces.md."""
    text = (ROOT / "docs" / "interfaces.md").read_text()
    table = text[text.index("### Rejection"):text.index("### Streams")]
    known = re.findall(r"^\| `(\w+)` \|", table, re.M)
    documented = [code for head, _ in entries(section(page("timesliced.7"), "REJECTION"))
            for code in re.findall(r"\*(\w+)\*", head)]
    assert sorted(documented) == sorted(known) and len(known) >= 12


@pytest.mark.parametrize("name", ["timesliced.8", "timeslicectl.1", "timesliced.conf.5", "timesliced.7"])
def test_pages_are_well_formed(name):
    """scdoc accepts the pages, names and sections are correct, and lines fit a terminal of 80 columns."""
    done = subprocess.run(["scdoc"], input=page(name), capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    title, number = name.rsplit(".", 1)
    assert page(name).startswith(f"{title}({number})\n\n# NAME\n\n{title} - ")
    literal = False
    for line in page(name).splitlines():
        literal ^= line.startswith("```")
        assert len(line.expandtabs(4)) <= (69 if literal else 120), line


# Completion.


def bash(script, command, *words, cwd=None, **env):
    """The completions of the last word."""
    program = f"""
source {COMPLETION / script}
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_{script.split('.')[0]}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", program, "bash", command, *words], capture_output=True, text=True, cwd=cwd,
                          timeout=TIMEOUT, check=False, env={**os.environ, **env})
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_the_tool(ctl, tmp_path):
    (tmp_path / "some.db").touch()

    def offered(*words):
        return bash("timeslicectl.bash", CTL, *words, cwd=tmp_path)
    assert offered("") == list(ctl)
    assert offered("d") == ["diff", "delete"]
    assert offered("--socket", "some.db", "to") == offered("--socket", "=", "some.db", "to") == ["top"]
    assert offered("-") == [f"--{name}" for name in options_of(help_of(CTL))]
    for command, options in ctl.items():
        assert offered(command, "-") == [f"--{name}" for name in options], command
        assert offered("--socket", "top", command, "--h") == ["--help"]
    assert offered("top", "--format", "") == offered("top", "--format", "=") == ["table", "json", "csv"]
    assert offered("top", "--format", "=", "j") == ["json"]
    assert offered("top", "--last", "1h", "--m") == ["--metric"]
    assert offered("top", "--from", "") == [] and offered("top", "") == []
    assert offered("backup", "s") == offered("--socket", "s") == ["some.db"]


def test_bash_completes_the_daemon(tmp_path):
    sample = str(ROOT / "config" / "timesliced.conf")

    def offered(*words):
        return bash("timesliced.bash", DAEMON, *words, cwd=tmp_path, TIMESLICED_SAMPLE=sample)
    (tmp_path / "my.conf").touch()
    assert offered("") == [f"--{name}" for name in options_of(help_of(DAEMON))]
    assert offered("--c") == ["--config", "--check-config"]
    assert offered("--config", "m") == ["my.conf"]
    assert sorted(offered("--set", "")) == sorted(f"{key}=" for key in sample_keys())
    assert offered("--set", "log.") == ["log.level="]


ZSH = """
zstyle ':completion:*' verbose no
zstyle ':completion:*' list-grouped no
fpath=({completion} $fpath)
path=({folders} $path)
autoload -U compinit && compinit -u -D
PS1='ready> '
LISTMAX=1000
compadd() {{
    local -a offered
    builtin compadd -O offered "$@"
    print -rl -- $offered >>{output}
    builtin compadd "$@"
}}
"""


@pytest.fixture
def zsh(tmp_path):
    """offered(line) -> the completions that zsh offers at the end of the line."""
    output, files = tmp_path / "offered", tmp_path / "files"
    files.mkdir()
    (files / "some.db").touch()
    folders = " ".join({os.path.dirname(os.path.abspath(program)) for program in (CTL, DAEMON)})
    (tmp_path / ".zshrc").write_text(ZSH.format(completion=COMPLETION, folders=folders, output=output))

    def offered(line):
        output.unlink(missing_ok=True)
        child, master = pty.fork()
        if child == 0:
            os.chdir(files)
            os.execvpe("zsh", ["zsh", "-d", "-i"], {
                **os.environ, "ZDOTDIR": str(tmp_path), "TERM": "dumb",
                "TIMESLICED_SAMPLE": str(ROOT / "config" / "timesliced.conf")})
        seen, end = b"", time.monotonic() + TIMEOUT

        def until(what):
            nonlocal seen
            while what not in seen:
                assert time.monotonic() < end, seen
                if select.select([master], [], [], 0.1)[0]:
                    seen += os.read(master, 4096)
        try:
            until(b"ready> ")
            os.write(master, line.encode() + b"\t")
            # ^U and another command, which the shell reads when the completion is done.
            os.write(master, b"\x15echo do''ne\r")
            until(b"done")
        finally:
            os.close(master)
            os.kill(child, 9)
            os.waitpid(child, 0)
        return set(output.read_text().split()) if output.exists() else set()
    return offered


def test_zsh_completes_the_tool(ctl, zsh):
    assert zsh("timeslicectl ") >= set(ctl)
    assert "top" in zsh("timeslicectl to")
    for command in ("buckets", "diff", "backup", "delete"):
        offered = {word.rstrip("=") for word in zsh(f"timeslicectl {command} --") if word.startswith("--")}
        assert offered == {f"--{name}" for name in ctl[command]}, command
    assert {"table", "json", "csv"} <= zsh("timeslicectl top --format ")
    assert "some.db" in zsh("timeslicectl backup s")


def test_zsh_completes_the_daemon(zsh):
    offered = {word.rstrip("=") for word in zsh("timesliced --") if word.startswith("--")}
    assert offered == {f"--{name}" for name in options_of(help_of(DAEMON))}
    assert zsh("timesliced --set ") >= set(sample_keys())
