"""The man pages: as committed, complete, and clean to the formatters that are installed."""

import shutil
import subprocess
from pathlib import Path

import pytest

import daemonlogger_py
from daemonlogger_py.cli import man
from daemonlogger_py.cli.dlctl import VERBS
from daemonlogger_py.config.options import OPTIONS

MAN = Path(__file__).parent.parent.parent / "man"
PAGES = [
    ("daemonlogger.8", man.recorder_page, []),
    ("dlctl.1", man.reader_page, ["dlctl"]),
    *[(f"{name}.1", man.PAGES[name], [name]) for name in man.PAGES if name.startswith("dlctl-")],
]
LINTERS = [
    ["mandoc", "-T", "lint", "-W", "style"],
    ["groff", "-man", "-ww", "-T", "utf8", "-z"],
]


@pytest.mark.parametrize(("name", "page", "argv"), PAGES)
def test_the_file_is_what_the_tables_say(name: str, page, argv: list[str], capsys) -> None:
    assert (MAN / name).read_text() == page(), "run make man"
    assert man.main(argv) == 0
    assert capsys.readouterr().out == page()


def test_every_option_and_verb_is_in() -> None:
    page = man.recorder_page()
    for option in OPTIONS:
        assert rf"\fB\-\-{option.long.replace('-', chr(92) + '-')}\fR" in page
        assert option.short is None or rf"\fB\-{option.short}\fR" in page
    for verb in VERBS:
        assert f".B {verb.name}\n" in man.reader_page()
        assert f"dlctl-{verb.name}" in man.PAGES


def test_names_of_the_pages_are_listed(capsys) -> None:
    assert man.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(man.PAGES)
    assert {path.stem for path in MAN.iterdir()} == set(man.PAGES)


def test_sections() -> None:
    found = [line for line in man.recorder_page().splitlines() if line.startswith(".SH ")]
    assert [line.removeprefix(".SH ").strip('"') for line in found] == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SIGNALS", "FILES", "ENVIRONMENT",
        "EXIT STATUS", "EXAMPLES", "DIFFERENCES FROM THE ORIGINAL", "SEE ALSO",
    ]  # fmt: skip
    assert f"daemonlogger-py {daemonlogger_py.__version__}" in man.recorder_page()


@pytest.mark.parametrize("argv", [["tcpflow"], ["dlctl", "dlctl"], [""]])
def test_a_page_that_is_not_there_is_refused(argv: list[str], capsys) -> None:
    assert man.main(argv) == 2
    assert "one of daemonlogger, dlctl, dlctl-streams, " in capsys.readouterr().err


@pytest.mark.parametrize(("name", "page", "argv"), PAGES)
def test_text_is_not_taken_for_a_request(name: str, page, argv: list[str]) -> None:
    requests = {".TH", ".SH", ".SS", ".TP", ".PP", ".IP", ".B", ".I", ".BR", ".RB", ".RI", ".IR"}
    requests |= {".RS", ".RE", ".nf", ".fi", '.\\"'}
    lines = page().splitlines()
    assert {line.split()[0] for line in lines if line.startswith((".", "'"))} <= requests
    assert "" not in lines


@pytest.mark.parametrize("linter", LINTERS, ids=[linter[0] for linter in LINTERS])
@pytest.mark.parametrize("name", [name for name, _, _ in PAGES])
def test_formatters_have_nothing_to_say(name: str, linter: list[str]) -> None:
    if shutil.which(linter[0]) is None:
        pytest.skip(f"{linter[0]} is not installed")
    done = subprocess.run([*linter, str(MAN / name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
