"""Completion: as committed, complete, and what each shell that is installed makes of it."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from daemonlogger_py.cli import completion, dlctl
from daemonlogger_py.cli.completion import KINDS, PROGRAMS, SHELLS, Flag, Kind, Program
from daemonlogger_py.config.archive_options import VERB_OPTIONS
from daemonlogger_py.config.options import OPTIONS
from daemonlogger_py.config.stream_options import STREAM_OPTIONS

COMPLETION = Path(__file__).parent.parent.parent / "packaging" / "completion"
EVERY = [(shell, program) for shell in SHELLS for program in PROGRAMS]

# What stands for something that no shell could list; a new one is put here or into KINDS.
TYPED = {
    "N", "NAME", "PCT", "SECONDS", "SIZE", "SIZE|PCT%", "TIME", "FACTOR", "[ADDR:]PORT",
    "TEMPLATE", "LETTERS", "NAME=VALUE", "TEXT",
}  # fmt: skip

KEY = "\x14"  # Ctrl-T, bound in each shell to telling what stands in the line


def script(shell: str, program: str) -> str:
    return SHELLS[shell](PROGRAMS[program]())


def needs(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


@pytest.mark.parametrize(("shell", "program"), EVERY)
def test_the_file_is_what_the_tables_say(shell: str, program: str, capsys) -> None:
    committed = (COMPLETION / f"{program}.{shell}").read_text()

    assert committed == script(shell, program), "run make completion"
    assert completion.main([shell, program]) == 0
    assert capsys.readouterr().out == committed


@pytest.mark.parametrize(
    "argv", [[], ["tcsh"], ["bash", "tcpdump"], ["bash", "dlctl", "more"], ["dlctl"]]
)
def test_what_is_not_there_is_refused(argv: list[str], capsys) -> None:
    assert completion.main(argv) == 2
    assert "accepted: one of bash, zsh, fish" in capsys.readouterr().err


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_is_in(shell: str) -> None:
    text = script(shell, "daemonlogger")
    for option in OPTIONS:
        assert (f"-l {option.long} " if shell == "fish" else f"--{option.long}") in text
        if shell != "bash":  # which has nowhere to show it
            assert option.help.split("'")[0].split(":")[0] in text


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_value_is_listed_or_known_to_be_typed(program: str) -> None:
    whole = PROGRAMS[program]()
    flags = [flag for one in (whole, *whole.verbs) for flag in one.flags]
    unknown = [
        flag.names
        for flag in flags
        if flag.metavar and not flag.choices and flag.metavar not in {*KINDS, *TYPED}
    ]
    assert unknown == []


def test_choices_are_those_the_value_is_judged_by() -> None:
    flags = {flag.names[-1]: flag for flag in completion.recorder().flags}
    assert flags["--direction"].choices == ("in", "out", "inout")
    assert flags["--log-format"].choices == ("text", "json")
    assert flags["--interface"].kind is Kind.SOURCE
    assert flags["--flush"] == Flag(("-F", "--flush"), flags["--flush"].help)


def test_verbs_are_those_of_the_table() -> None:
    verbs = completion.reader().verbs
    assert [verb.name for verb in verbs] == [verb.name for verb in dlctl.VERBS]
    for verb in verbs:
        if verb.name in VERB_OPTIONS:
            assert [flag.names[-1] for flag in verb.flags] == [
                f"--{option.long}" for option in VERB_OPTIONS[verb.name]
            ]


def test_words_of_verbs_are_what_they_take() -> None:
    kinds = {verb.name: verb.operand_kind for verb in completion.reader().verbs}
    assert kinds["ls"] is kinds["verify"] is kinds["index"] is Kind.FILE
    assert kinds["status"] is kinds["pin"] is Kind.DIRECTORY
    assert kinds["extract"] is Kind.NOTHING


def test_streams_has_what_its_table_has() -> None:
    (streams,) = [verb for verb in completion.reader().verbs if verb.name == "streams"]
    assert len(streams.flags) == len(STREAM_OPTIONS)
    flags = {flag.names[0]: flag for flag in streams.flags}
    assert flags["-e"].choices == ("all", "http", "md5", "python", "tcpdemux")
    assert flags["--policy"].choices == ("first", "last")
    assert flags["-r"].repeatable
    assert streams.operand_kind is Kind.FILE


# A program that has one of everything, so that each shell is tried with what the tables may hold.
EVERYTHING = Program(
    "everything",
    "",
    (
        Flag(("-q", "--quick"), "takes nothing"),
        Flag(("-i", "--interface"), "an interface, or 'any'", "IFACE", Kind.SOURCE),
        Flag(("-o", "--out"), "an interface [another]: this one", "IFACE", Kind.INTERFACE),
        Flag(("-f", "--file"), "a file; 100% of it", "FILE", Kind.FILE),
        Flag(("-l", "--log-dir"), r"a directory, not a\b", "DIR", Kind.DIRECTORY),
        Flag(("-u", "--user"), "a $(user)", "USER", Kind.USER),
        Flag(("-g", "--group"), 'a "group"', "GROUP", Kind.GROUP),
        Flag(("--run",), "a command", "CMD", Kind.COMMAND),
        Flag(("--way",), "a choice", "in|out", Kind.NOTHING, ("inwards", "outwards")),
        Flag(("-s", "--size"), "a number", "SIZE"),
        Flag(("--pace",), "a number, or none", "FACTOR", optional=True),
        Flag(("-t", "--tap"), "as often as wanted", "IFACE", Kind.INTERFACE, repeatable=True),
    ),
    "word",
)

VERBS = Program(
    "verbs",
    "",
    (Flag(("-h", "--help"), "this"),),
    "",
    verbs=(
        Program("first", "one: of them", EVERYTHING.flags, "PATH", Kind.FILE),
        Program("second", "another", (Flag(("--other",), "of the second"),), "word"),
    ),
)

# What is typed, and what stands in the line after the key was pressed. A blank follows a word that
# is complete.
LINES = [
    ("everything --qui", "everything --quick "),
    ("everything --interface an", "everything --interface any "),
    ("everything -i lo", "everything -i lo "),
    ("everything -qqi an", "everything -qqi any "),
    ("everything -o an", "everything -o an"),
    ("everything -f here/a", "everything -f here/a\\ file "),
    ("everything -l her", "everything -l here/"),
    ("everything -l here/a", "everything -l here/a"),
    ("everything --way outw", "everything --way outwards "),
    ("everything --way=outw", "everything --way=outwards "),
    ("everything --log-dir=her", "everything --log-dir=here/"),
    ("everything -u roo", "everything -u root "),
    ("everything -g roo", "everything -g root "),
    ("everything --run everyth", "everything --run everything_here "),
    ("everything -s her", "everything -s her"),
    ("everything her", "everything her"),
    ("everything -- --qui", "everything -- --qui"),
    ("everything tcp --qui", "everything tcp --quick "),
    ("everything --pace --qui", "everything --pace --quick "),
    ("everything -t lo --tap l", "everything -t lo --tap lo "),
    ("verbs --he", "verbs --help "),
    ("verbs fi", "verbs first "),
    ("verbs first -i an", "verbs first -i any "),
    ("verbs first -l her", "verbs first -l here/"),
    ("verbs first here/a", "verbs first here/a\\ file "),
    ("verbs second --ot", "verbs second --other "),
    ("verbs second her", "verbs second her"),
    ("dlctl ver", "dlctl verify "),
    ("dlctl verify --js", "dlctl verify --json "),
    ("dlctl verify here/a", "dlctl verify here/a\\ file "),
    ("dlctl streams --tunn", "dlctl streams --tunnels "),
    ("dlctl streams -e ht", "dlctl streams -e http "),
    ("dlctl streams -aIr here/a", "dlctl streams -aIr here/a\\ file "),
    ("dlctl streams -o her", "dlctl streams -o here/"),
    ("dlctl streams -l here/a", "dlctl streams -l here/a\\ file "),
    ("dlctl streams -cBr here/a", "dlctl streams -cBr here/a\\ file "),
    ("dlctl extract --rev", "dlctl extract --reverse "),
    ("dlctl extract -r here/a", "dlctl extract -r here/a\\ file "),
    ("dlctl extract --ring her", "dlctl extract --ring here/"),
    ("dlctl status her", "dlctl status here/"),
    ("dlctl unp", "dlctl unpin "),
    ("daemonlogger --tstamp-type=adapter_", "daemonlogger --tstamp-type=adapter_unsynced "),
]

STARTS = {
    "bash": ".bashrc",
    "zsh": ".zshrc",
}
SETTINGS = {
    "bash": r"""
for one in {scripts}; do source "$one"; done
tell() {{ printf '%s\n' "$READLINE_LINE" >>{told}; READLINE_LINE=; }}
bind -x '"\C-t": tell'
bind 'set bell-style none'
PS1='ready '
""",
    "zsh": r"""
fpath=({directory} $fpath)
autoload -Uz compinit && compinit -D -u
unsetopt beep
tell() {{ print -r -- "$BUFFER" >>{told}; BUFFER=; }}
zle -N tell
bindkey '^T' tell
PS1='ready '
""",
}
COMMANDS = {
    "bash": ["--noprofile", "--rcfile", ".bashrc", "-i"],
    "zsh": ["--no-globalrcs", "-i"],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with something to complete: a directory, a file with a blank, a program."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a file").touch()
    program = tmp_path / "bin" / "everything_here"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    return tmp_path


def write_scripts(shell: str, directory: Path) -> list[Path]:
    programs = {"everything": EVERYTHING, "verbs": VERBS} | {
        name: make() for name, make in PROGRAMS.items()
    }
    paths = []
    for name, program in programs.items():
        path = directory / (f"_{name}" if shell == "zsh" else f"{name}.{shell}")
        path.write_text(SHELLS[shell](program))
        paths.append(path)
    return paths


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_keys_pressed_in_the_shell(shell: str, place: Path) -> None:
    path = needs(shell)
    scripts = write_scripts(shell, place / "scripts")
    told = place / "told"
    told.touch()
    (place / STARTS[shell]).write_text(
        SETTINGS[shell].format(
            scripts=shlex.join(map(str, scripts)), directory=place / "scripts", told=told
        )
    )
    with Terminal([path, *COMMANDS[shell]], place) as terminal:
        terminal.wait(lambda: b"ready " in terminal.shown)
        for count, (line, _) in enumerate(LINES, start=1):
            terminal.type(f"{line}\t{KEY}")
            terminal.wait(lambda: told.read_text().count("\n") >= count)  # noqa: B023

    answers = told.read_text().splitlines()
    assert dict(zip([line for line, _ in LINES], answers, strict=True)) == dict(LINES)


class Terminal:
    """A shell on a terminal of its own, and all that it showed."""

    def __init__(self, command: list[str], place: Path) -> None:
        self.shown = bytearray()
        self._ours, theirs = pty.openpty()
        environment = {
            "HOME": str(place),
            "TERM": "vt100",
            "LC_ALL": "C",
            "PATH": f"{place / 'bin'}:/usr/bin:/bin",
        }
        self._process = subprocess.Popen(
            command,
            cwd=place,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        os.close(self._ours)

    def type(self, text: str) -> None:
        """Press the keys of `text`."""
        os.write(self._ours, text.encode())

    def wait(self, seen: Callable[[], bool], *, seconds: float = 20) -> None:
        """Take in what is shown until `seen` says so."""
        end = time.monotonic() + seconds
        while not seen():
            assert time.monotonic() < end, self.shown.decode(errors="replace")
            if select.select([self._ours], [], [], 0.01)[0]:
                self.shown += os.read(self._ours, 65536)


# fish tells what it would offer without a terminal.
OFFERS = [
    ("everything --qui", ["--quick"]),
    ("everything --interface an", ["any"]),
    ("everything -i lo", ["lo"]),
    ("everything -o an", []),
    ("everything -f here/a", ["here/a file"]),
    ("everything -l her", ["here/"]),
    ("everything -l here/a", []),
    ("everything --way o", ["outwards"]),
    ("everything --way=o", ["--way=outwards"]),
    ("everything -u roo", ["root"]),
    ("everything -g roo", ["root"]),
    ("everything --run everything_", ["everything_here"]),
    ("everything -s her", []),
    ("everything her", []),
    ("everything --pace --qui", ["--quick"]),
    ("everything -t lo --tap l", ["lo"]),
    ("verbs fi", ["first"]),
    ("verbs first -i an", ["any"]),
    ("verbs first here/a", ["here/a file"]),
    ("verbs second --ot", ["--other"]),
    ("verbs second her", []),
    ("dlctl ver", ["verify"]),
    ("dlctl verify --js", ["--json"]),
    ("dlctl verify here/a", ["here/a file"]),
    ("dlctl streams -e ht", ["http"]),
    ("dlctl streams -r here/a", ["here/a file"]),
    ("dlctl streams -l here/a", ["here/a file"]),
    ("dlctl extract --rev", ["--reverse"]),
    ("dlctl extract -r here/a", ["here/a file"]),
    ("dlctl status here/a", []),
    ("dlctl status her", ["here/"]),
]


def test_offers_of_fish(place: Path) -> None:
    path = needs("fish")
    scripts = write_scripts("fish", place / "scripts")
    asked = "; ".join(f"echo :; complete -C {shlex.quote(line)}" for line, _ in OFFERS)
    sourced = "; ".join(f"source {shlex.quote(str(one))}" for one in scripts)
    done = subprocess.run(
        [path, "--no-config", "-c", f"{sourced}; {asked}"],
        cwd=place,
        env={"HOME": str(place), "PATH": f"{place / 'bin'}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    answers = [block.split("\n") for block in done.stdout.rstrip("\n").split(":\n")[1:]]
    offered = [[row.partition("\t")[0] for row in block if row] for block in answers]
    assert dict(zip([line for line, _ in OFFERS], offered, strict=True)) == dict(OFFERS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_shellcheck_has_nothing_to_say(program: str) -> None:
    path = needs("shellcheck")
    done = subprocess.run(
        [path, "--shell=bash", str(COMPLETION / f"{program}.bash")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
