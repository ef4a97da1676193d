"""The archive's verbs: what they show, what they refuse, and what their readers are called with."""

import subprocess
import sys
import types
from pathlib import Path

import pytest

from daemonlogger_py.cli import archive, dlctl
from daemonlogger_py.config.archive import (
    ExtractConfig,
    IndexConfig,
    LsConfig,
    PinConfig,
    PinsConfig,
    StatusConfig,
    UnpinConfig,
    VerifyConfig,
    Where,
)
from daemonlogger_py.config.archive_options import VERB_OPTIONS
from daemonlogger_py.errors import SourceError

from .command import TESTED, run_command

READERS = ("ls", "status", "pins", "verify", "index.indexing", "extract.run")


@pytest.fixture
def called(monkeypatch) -> list[tuple[str, object]]:
    """Which reader was called with what, instead of its doing anything."""
    calls: list[tuple[str, object]] = []
    for name in READERS:
        module = types.ModuleType(f"daemonlogger_py.readers.{name}")

        def run(config: object, name: str = name) -> int:
            calls.append((name, config))
            return 7

        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


@pytest.mark.parametrize("verb", VERB_OPTIONS)
@pytest.mark.parametrize("argv", [["-h"], ["--help"], ["no", "such", "-h", "file"]])
def test_help(verb: str, argv: list[str], capsys) -> None:
    assert dlctl.main([verb, *argv]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: dlctl {verb} [options] ")
    for option in VERB_OPTIONS[verb]:
        assert f"--{option.long}" in shown
        assert option.short is None or f"  -{option.short}, --{option.long}" in shown
    assert max(map(len, shown.splitlines())) < 80
    assert shown.endswith(f"dlctl-{verb}(1).\n")


def test_every_verb_says_how_it_is_called() -> None:
    assert list(archive.USAGES) == list(VERB_OPTIONS)


def test_help_explains_the_values_that_a_verb_takes() -> None:
    assert "TIME: " in archive.help_text("ls")
    assert "SIZE: " not in archive.help_text("ls")
    assert "SIZE: " in archive.help_text("extract")
    assert "--watch [SECONDS]" in archive.help_text("status")


@pytest.mark.parametrize(
    ("argv", "reader", "config"),
    [
        (["ls", "a", "--json", "b"], "ls", LsConfig(Where(("a", "b")), json=True)),
        (["status", "--ring", "r", "--watch"], "status", StatusConfig("r", watch_s=2.0)),
        (["status", "--watch", "5", "r"], "status", StatusConfig("r", watch_s=5.0)),
        (["status", "--watch", ".3", "r"], "status", StatusConfig("r", watch_s=0.3)),
        (["status", "--watch", "./r"], "status", StatusConfig("./r", watch_s=2.0)),
        (["status", "--watch", "."], "status", StatusConfig(".", watch_s=2.0)),
        (["verify", "a", "--json"], "verify", VerifyConfig(Where(("a",)), json=True)),
        (
            ["index", "-vj2", "a"],
            "index.indexing",
            IndexConfig(Where(("a",)), jobs=2, verbose=True),
        ),
        (
            ["extract", "-r", "a", "-c5", "-wout", "port", "80", "-j", "1", "or", "icmp"],
            "extract.run",
            ExtractConfig(Where(("a",)), "port 80 or icmp", "out", max_packets=5, jobs=1),
        ),
        (
            ["extract", "--ring=r", "--", "-", "tcp"],
            "extract.run",
            ExtractConfig(Where(rings=("r",)), "- tcp"),
        ),
        (
            ["pin", "r", "--from", "1", "--to", "2", "--reason", "why"],
            "pins",
            PinConfig("r", None, 1_000_000_000, 2_000_000_000, "why"),
        ),
        (["unpin", "r", "1", "2"], "pins", UnpinConfig("r", (1, 2))),
        (["pins", "r"], "pins", PinsConfig("r")),
    ],
)
def test_the_reader_is_called_with_what_was_asked_for(
    called, argv: list[str], reader: str, config: object
) -> None:
    assert dlctl.main(argv) == 7
    assert called == [(reader, config)]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["ls", "--al"], "unknown option --al; see dlctl ls --help"),
        (["extract", "-q"], "unknown option -q; see dlctl extract --help"),
        (["ls", "--ring"], "--ring: DIR is missing; see dlctl ls --help"),
        (["ls", "--json=yes", "a"], "--json: takes no value; see dlctl ls --help"),
        (["ls"], "ls: PATH or --ring DIR is missing; see dlctl ls --help"),
        (["extract", "-r", "a", "-c", "0"], "-c/--count: '0' is not accepted; accepted: "),
        (["ls", "a", "--from", "soon"], "--from: 'soon' is no time; accepted: "),
        (["pin", "a", "--from", "-1h"], "pin: --reason TEXT is missing; see dlctl pin --help"),
    ],
)
def test_what_is_refused(argv: list[str], message: str, capsys, called) -> None:
    assert dlctl.main(argv) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"dlctl: {message}")
    assert told.count("\n") == 1
    assert called == []


def test_what_the_reader_raises_is_one_line(monkeypatch, capsys, called) -> None:
    def fail(config: object) -> int:
        raise SourceError("gone: No such file or directory")

    monkeypatch.setattr(sys.modules["daemonlogger_py.readers.ls"], "run", fail)
    assert dlctl.main(["ls", "gone"]) == 1
    assert capsys.readouterr().err == "dlctl: gone: No such file or directory\n"


@pytest.mark.parametrize("verb", ["ls", "status", "pins", "verify", "index"])
def test_a_directory_that_is_not_there(verb: str, tmp_path: Path) -> None:
    done = run_command("dlctl", verb, "--ring", "gone", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "dlctl: --ring gone: No such file or directory\n"


def test_start_imports_little() -> None:
    code = (
        "import sys; from daemonlogger_py.cli import dlctl\n"
        "dlctl.main(['extract', '--ring', 'gone', '-c', 'abc'])\n"
        "print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TESTED, capture_output=True, text=True, check=True
    )
    heavy = {"argparse", "sqlite3", "subprocess", "logging", "json", "rich", "tempfile", "textwrap"}
    assert not heavy & set(done.stdout.split())
