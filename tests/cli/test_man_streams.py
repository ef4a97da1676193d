"""dlctl-streams(1): everything that can be asked for is in it."""

import re
from pathlib import Path

from daemonlogger_py.cli.man_streams import streams_page
from daemonlogger_py.config.stream_options import STREAM_GROUPS, STREAM_OPTIONS
from daemonlogger_py.config.stream_scanners import PARAMETERS, SCANNERS
from daemonlogger_py.config.stream_template import FORMAT_LETTERS


def escaped(text: str) -> str:
    return text.replace("-", r"\-")


def test_sections() -> None:
    found = [line for line in streams_page().splitlines() if line.startswith(".SH ")]
    assert [line.removeprefix(".SH ").strip('"') for line in found] == [
        "NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "SCANNERS", "PARAMETERS", "FILE NAMES",
        "FILES", "REPORT", "SIGNALS", "EXIT STATUS", "EXAMPLES", "DIFFERENCES FROM TCPFLOW",
        "SEE ALSO",
    ]  # fmt: skip


def test_every_option_is_in_under_its_group() -> None:
    page = streams_page()
    for group in STREAM_GROUPS:
        assert f".SS {escaped(group)}\n" in page
    for option in STREAM_OPTIONS:
        assert rf"\fB{escaped('--' + option.long)}\fR" in page
        assert option.short is None or rf"\fB\-{option.short}\fR" in page


def test_scanners_parameters_and_letters_are_in() -> None:
    page = streams_page()
    for one in (*SCANNERS, *PARAMETERS):
        assert f".TP\n.B {escaped(one.name)}\n" in page
    for letter in FORMAT_LETTERS:
        assert f".TP\n.B \\-F{letter}\n" in page


def test_the_page_of_differences_speaks_of_every_option() -> None:
    text = (Path(__file__).parents[2] / "docs" / "streams.md").read_text()
    for option in STREAM_OPTIONS:
        name = f"-{option.short}" if option.short else f"--{option.long}"
        assert re.search(rf"`{name}[` ]", text), name
    for parameter in PARAMETERS:
        assert f"`{parameter.name}" in text
