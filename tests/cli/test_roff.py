"""Pieces of man pages: text that stays text, whatever is in it."""

import shutil
import subprocess

import pytest

from daemonlogger_py.cli import roff
from daemonlogger_py.config.option import Option


def option(**fields) -> Option:
    return Option(help="", group="One", **{"long": "a-long", "man": "Do it."} | fields)


def test_headings() -> None:
    assert roff.section("NAME", ["body"]) == [".SH NAME", "body"]
    assert roff.section("SEE ALSO", []) == ['.SH "SEE ALSO"']
    assert roff.title("DLCTL", 1, "Manual")[1].startswith(f".TH DLCTL 1 {roff.DATE} ")


@pytest.mark.parametrize(
    ("one", "header"),
    [
        (option(), r"\fB\-\-a\-long\fR"),
        (option(short="a"), r"\fB\-a\fR, \fB\-\-a\-long\fR"),
        (option(short="a", metavar="N"), r"\fB\-a\fR \fIN\fR, \fB\-\-a\-long\fR \fIN\fR"),
        (option(metavar="N", absent="1"), r"\fB\-\-a\-long\fR [\fIN\fR]"),
    ],
)
def test_options(one: Option, header: str) -> None:
    assert roff.option(one) == [".TP", header, "Do it."]


def test_defaults_and_groups() -> None:
    one, other = option(default="."), option(long="other", man="One.\n\nTwo.")
    assert roff.option(one)[-1] == "Do it. (Default: .)"
    assert roff.options(["None", "One"], [one, other]) == [
        ".SS None", ".SS One", ".TP", r"\fB\-\-a\-long\fR", "Do it. (Default: .)",
        ".TP", r"\fB\-\-other\fR", "One.", ".IP", "Two.",
    ]  # fmt: skip


def test_paragraphs_begin_sentences_on_lines_of_their_own() -> None:
    assert roff.paragraphs("One. Two: -x is\nset.\n\nThree.\n") == [
        "One.",
        "Two:",
        r"\fB\-x\fR is set.",
        ".PP",
        "Three.",
    ]


@pytest.mark.parametrize("text", [".SH no heading", "'no request", r"a \n b", "%A - x-y --z"])
def test_text_is_shown_as_it_stands(text: str) -> None:
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not installed")
    page = "\n".join([*roff.title("X", 1, "M"), *roff.section("NAME", list(roff.filled(text)))])
    done = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=78"], input=page, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    plain = "".join(
        c for at, c in enumerate(done.stdout) if c != "\b" and done.stdout[at + 1 : at + 2] != "\b"
    )
    assert text in plain


def test_examples_and_definitions() -> None:
    assert roff.examples([("Do:", "run -a\nmore"), ("Or:", "x")]) == [
        "Do:", ".PP", ".RS 4", ".nf", r"run \-a", "more", ".fi", ".RE",
        ".PP", "Or:", ".PP", ".RS 4", ".nf", "x", ".fi", ".RE",
    ]  # fmt: skip
    assert roff.definitions([("a-b", "Text.")]) == [".TP", r".B a\-b", "Text."]
    assert roff.see_also("a-b(1)", "c(8)") == ['.SH "SEE ALSO"', r".BR a\-b (1),", ".BR c (8)"]
