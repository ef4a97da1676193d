"""``dlctl streams``: what it shows, what it refuses, and what the reader is called with."""

import subprocess
import sys
import types

import pytest

from daemonlogger_py import __version__
from daemonlogger_py.cli import streams
from daemonlogger_py.config.stream_options import STREAM_OPTIONS
from daemonlogger_py.config.stream_scanners import PARAMETERS, SCANNERS
from daemonlogger_py.config.streams import Console, StreamsConfig
from daemonlogger_py.errors import SourceError

from .command import TESTED


@pytest.fixture
def called(monkeypatch) -> list[StreamsConfig]:
    """What the reader was called with, instead of its doing anything."""
    calls: list[StreamsConfig] = []

    def run(config: StreamsConfig) -> int:
        calls.append(config)
        return 7

    module = types.ModuleType("daemonlogger_py.readers.streams.run")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


@pytest.mark.parametrize("argv", [["-h"], ["--help"], ["-r", "gone", "-h", "-m", "abc"]])
def test_help(argv: list[str], capsys) -> None:
    assert streams.main(argv) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: dlctl streams [options] [filter words ...]\n")
    for option in STREAM_OPTIONS:
        assert f"--{option.long}" in shown
        assert option.short is None or f"  -{option.short}, --{option.long}" in shown
    assert "tcp_timeout" not in shown
    assert max(map(len, shown.splitlines())) < 80


@pytest.mark.parametrize("argv", [["-hh"], ["-H"], ["-h", "-h"], ["-hhh"], ["-h", "--help"]])
def test_more_help(argv: list[str], capsys) -> None:
    assert streams.main(argv) == 0
    shown = capsys.readouterr().out
    for one in (*PARAMETERS, *SCANNERS):
        assert f"\n  {one.name} " in shown
    assert "\n  %A %a  " in shown
    assert "\n  k  " in shown
    assert max(map(len, shown.splitlines())) < 80


@pytest.mark.parametrize("argv", [["-V"], ["--version"], ["-aV", "-r", "gone"]])
def test_version(argv: list[str], capsys) -> None:
    assert streams.main(argv) == 0
    assert capsys.readouterr().out.startswith(f"daemonlogger-py {__version__}\nlibpcap ")


def test_the_reader_is_called_with_what_was_asked_for(called) -> None:
    argv = ["-cBrone", "-Fkt", "-F", "c", "-b1000", "--read=two", "port", "80", "-o", "out", "tcp"]
    assert streams.main(argv) == 7
    assert called == [
        StreamsConfig(
            files=("one", "two"),
            filter_text="port 80 tcp",
            max_bytes=1000,
            outdir="out",
            bins="kt",
            always_count=True,
            store=False,
            report=None,
            console=Console(raw=True),
            command_line=("dlctl", "streams", *argv),
        )
    ]


def test_words_behind_the_end_of_the_options(called) -> None:
    assert streams.main(["-r", "one", "--", "-", "tcp"]) == 7
    assert called[0].filter_text == "- tcp"


def test_what_the_reader_raises_is_one_line(monkeypatch, capsys, called) -> None:
    def fail(config: StreamsConfig) -> int:
        raise SourceError("gone: No such file or directory")

    monkeypatch.setattr(sys.modules["daemonlogger_py.readers.streams.run"], "run", fail)
    assert streams.main(["-r", "gone"]) == 1
    assert capsys.readouterr().err == "dlctl: gone: No such file or directory\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--al"], "unknown option --al; see dlctl streams --help"),
        (["-ay"], "unknown option -y; see dlctl streams --help"),
        (["-r"], "-r/--read: FILE is missing; see dlctl streams --help"),
        (["--all=yes"], "-a/--all: takes no value; see dlctl streams --help"),
        (["-FZ"], "-F/--format: 'Z' is not accepted; accepted: letters of ctTXMkmg, see -hh"),
        (["-Sx"], "-S/--set: 'x' is not accepted; accepted: NAME=VALUE, "),
    ],
)
def test_what_is_refused(argv: list[str], message: str, capsys, called) -> None:
    assert streams.main(argv) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"dlctl: {message}")
    assert told.count("\n") == 1
    assert called == []


def test_start_imports_little() -> None:
    code = (
        "import sys; from daemonlogger_py.cli import streams\n"
        "streams.main(['-m', 'abc'])\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTED, capture_output=True, text=True, check=True
    )
    heavy = {"argparse", "xml", "subprocess", "logging", "asyncio", "psutil", "rich", "tempfile"}
    assert not heavy & set(done.stdout.split())
