"""dlctl-ls(1), dlctl-status(1) and the pages of pins: what they promise is what is there."""

import shlex

import pytest

from daemonlogger_py.cli import man_archive
from daemonlogger_py.cli.arguments import Table, told_apart
from daemonlogger_py.cli.man_pages import Page
from daemonlogger_py.config.archive_options import VERB_OPTIONS
from daemonlogger_py.config.archive_rules import RULES, Given
from daemonlogger_py.readers.ls_rows import FOR_PROGRAMS
from daemonlogger_py.savefile.catalog_rows import GAP_KINDS

PAGES = (
    man_archive.LS, man_archive.STATUS, man_archive.PIN, man_archive.UNPIN, man_archive.PINS,
)  # fmt: skip


def spoken(command: str) -> str:
    """The command as a shell gives it to dlctl."""
    command = command.replace("$(date -d +5min +%s)", "9999999999")
    return command.partition("|")[0].replace("\\\n", " ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.verb)
def test_examples_are_accepted(page: Page) -> None:
    for _, command in page.examples:
        words = shlex.split(spoken(command))
        assert words[:2] == ["dlctl", page.verb]
        options = VERB_OPTIONS[page.verb]
        table = Table(
            {one.long: one for one in options}, {one.short or "": one for one in options}, ""
        )
        assert RULES[page.verb](Given(page.verb, *told_apart(words[2:], table)))


def test_every_column_and_every_kind_of_gap_is_explained() -> None:
    columns, gaps = man_archive.LS.sections
    explained = {name for names, _ in columns.definitions for name in names.split(", ")}
    assert explained == {column.heading for column in FOR_PROGRAMS} - {"note"}
    assert [kind for kind, _ in gaps.definitions] == list(GAP_KINDS)


def test_the_column_of_drops_in_the_example_is_that_of_drops() -> None:
    _, command = man_archive.LS.examples[-1]
    at = [column.heading for column in FOR_PROGRAMS].index("drops") + 1
    # What stands there in the heading and in the totals is a word, which is greater than 0.
    assert f"${at} + 0 > 0" in command
