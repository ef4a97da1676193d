"""Pages of the archive's verbs: everything that can be asked for is in them, in one order."""

import pytest

from daemonlogger_py.cli import man
from daemonlogger_py.cli.man_pages import Page, Section, rendered
from daemonlogger_py.config.archive_options import VERB_OPTIONS, groups_of

SMALL = Page(
    verb="unpin",
    name="forget",
    words=[r".RI [ DIR ]"],
    description="One thing.\n\nAnother.\n",
    exit_status=(("0", "Done."),),
    examples=(("All:", "dlctl unpin --all"),),
    sections=(Section("NOTES", "Two of them:", (("first", "This one."),)),),
    see_also=("dlctl-pin(1)",),
)


def escaped(text: str) -> str:
    return text.replace("-", r"\-")


def test_a_page() -> None:
    lines = rendered(SMALL).splitlines()
    assert lines[1].startswith(".TH DLCTL-UNPIN 1 ")
    assert lines[2:7] == [".SH NAME", r"dlctl-unpin \- forget", ".SH SYNOPSIS",
                          ".B dlctl unpin", ".RI [ options ]"]  # fmt: skip
    at = lines.index(".SH NOTES")
    assert lines[at : at + 4] == [".SH NOTES", "Two of them:", ".TP", ".B first"]
    assert lines[-3:] == [r".BR dlctl (1),", r".BR dlctl\-pin (1),", ".BR daemonlogger (8)"]


@pytest.mark.parametrize("page", man.VERB_PAGES, ids=lambda page: page.verb)
def test_every_option_is_in_under_its_group(page: Page) -> None:
    text = rendered(page)
    options = VERB_OPTIONS[page.verb]
    for group in groups_of(options):
        assert f".SS {group}\n" in text
    for option in options:
        assert rf"\fB{escaped('--' + option.long)}\fR" in text
    assert ("TIME is in" in text) is any(option.metavar == "TIME" for option in options)
    assert ("SIZE is in" in text) is any(option.metavar == "SIZE" for option in options)


@pytest.mark.parametrize("page", man.VERB_PAGES, ids=lambda page: page.verb)
def test_sections(page: Page) -> None:
    found = [line[4:].strip('"') for line in rendered(page).splitlines() if line[:4] == ".SH "]
    own = [section.heading for section in page.sections]
    assert found == ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", *own, "EXIT STATUS", "EXAMPLES",
                     "SEE ALSO"]  # fmt: skip
