"""``dlctl``: its verbs, what they print, and the status they end with."""

import json
import struct
from pathlib import Path

import pytest

from daemonlogger_py import __version__
from daemonlogger_py.cli import dlctl
from daemonlogger_py.cli.dlctl import main
from daemonlogger_py.config.archive_options import VERB_OPTIONS

from .command import run_command

HEADER = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def record(seconds: int, microseconds: int, caplen: int = 60) -> bytes:
    return struct.pack("=IIII", seconds, microseconds, caplen, caplen) + bytes(caplen)


@pytest.fixture
def place(tmp_path) -> Path:
    whole = HEADER + record(1228873098, 123456) + record(1228873099, 5)
    (tmp_path / "a.1228873098").write_bytes(whole)
    (tmp_path / "a.1228873100").write_bytes(whole[:-10])
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "a.1228873098").write_bytes(whole)
    (tmp_path / "empty").mkdir()
    return tmp_path


FIRST = "2008-12-10T01:38:18.123456Z"
DAMAGE = "record cut short (66 bytes are left of it) at byte offset 100"


def test_verify_prints_a_line_a_savefile(place) -> None:
    done = run_command("dlctl", "verify", "a.1228873098", "a.1228873100", cwd=place)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        f"a.1228873098: 2 packets, {FIRST} to 2008-12-10T01:38:19.000005Z, whole",
        f"a.1228873100: 1 packet, {FIRST} to {FIRST}, {DAMAGE}",
    ]


def test_verify_whole_is_status_0(place) -> None:
    assert run_command("dlctl", "verify", "good", cwd=place).returncode == 0


def test_verify_as_json(place) -> None:
    done = run_command("dlctl", "verify", "--json", "good", "gone", cwd=place)
    whole, gone = map(json.loads, done.stdout.splitlines())
    assert (done.returncode, done.stderr) == (1, "")
    assert whole == {
        "path": "good/a.1228873098",
        "packets": 2,
        "size_bytes": 176,
        "end_offset": 176,
        "first_ns": 1228873098_123456000,
        "last_ns": 1228873099_000005000,
        "damage": None,
        "whole": True,
    }
    assert (gone["path"], gone["whole"]) == ("gone", False)
    assert gone["damage"] == "No such file or directory"


def test_a_name_cannot_command_the_terminal(place) -> None:
    (place / "a\x1b[2J\n.1").write_bytes(HEADER)
    done = run_command("dlctl", "verify", "a\x1b[2J\n.1", cwd=place)
    assert done.stdout == "'a\\x1b[2J\\n.1': 0 packets, whole\n"


def test_nanoseconds_are_shown_where_there_are_any(place) -> None:
    header = struct.pack("=IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1)
    (place / "ns.pcap").write_bytes(header + record(0, 123456789))
    done = run_command("dlctl", "verify", "ns.pcap", cwd=place)
    assert "1970-01-01T00:00:00.123456789Z" in done.stdout


VERBS = "ls, status, extract, streams, verify, index, pin, unpin, pins"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", f"a verb is missing; accepted: {VERBS}; see dlctl --help"),
        ("verify", "verify: PATH or --ring DIR is missing; see dlctl verify --help"),
        ("verify --json", "verify: PATH or --ring DIR is missing; see dlctl verify --help"),
        ("frobnicate a", f"unknown verb 'frobnicate'; accepted: {VERBS}; see dlctl --help"),
        ("verify --frob a.1228873098", "unknown option --frob; see dlctl verify --help"),
        ("--frob", f"unknown option '--frob'; accepted: {VERBS}; see dlctl --help"),
        ("streams --frob", "unknown option --frob; see dlctl streams --help"),
        ("streams -m abc", "-m/--skip: 'abc' is not accepted; accepted: "),
        ("verify --js a.1228873098", "unknown option --js; see dlctl verify --help"),
    ],
)
def test_wrong_command_line(place, line: str, message: str) -> None:
    done = run_command("dlctl", *line.split(), cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"dlctl: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("argv", [["-h"], ["--help"], ["--help", "ls"]])
def test_help(argv: list[str], capsys) -> None:
    assert main(argv) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("usage: dlctl VERB ")
    for verb in dlctl.VERBS:
        assert f"\n  {verb.name} " in shown
        assert verb.help in shown
    assert max(map(len, shown.splitlines())) < 80


@pytest.mark.parametrize("argv", [["-V"], ["--version"]])
def test_version(argv: list[str], capsys) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith(f"daemonlogger-py {__version__}\nlibpcap ")


def test_verbs_are_those_that_have_options() -> None:
    assert {verb.name for verb in dlctl.VERBS} == {*VERB_OPTIONS, "streams"}


@pytest.mark.parametrize("name", [verb.name for verb in dlctl.VERBS])
def test_every_verb_shows_its_help(name: str, capsys) -> None:
    assert main([name, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: dlctl {name} [options]")
