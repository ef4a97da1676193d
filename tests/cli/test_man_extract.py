"""dlctl-extract(1), dlctl-index(1) and dlctl-verify(1): their examples are accepted."""

import shlex

import pytest

from daemonlogger_py.cli import man_extract
from daemonlogger_py.cli.arguments import Table, told_apart
from daemonlogger_py.cli.man_pages import Page
from daemonlogger_py.config.archive_options import VERB_OPTIONS
from daemonlogger_py.config.archive_rules import RULES, Given

PAGES = (man_extract.EXTRACT, man_extract.INDEX, man_extract.VERIFY)


def spoken(command: str) -> str:
    """The command as a shell gives it to dlctl."""
    return command.partition("|")[0].replace("\\\n", " ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.verb)
def test_examples_are_accepted(page: Page) -> None:
    tried = 0
    for _, command in page.examples:
        words = shlex.split(spoken(command))
        if words[0] != "dlctl":
            continue
        tried += 1
        assert words[1] == page.verb
        options = VERB_OPTIONS[page.verb]
        table = Table(
            {one.long: one for one in options}, {one.short or "": one for one in options}, ""
        )
        assert RULES[page.verb](Given(page.verb, *told_apart(words[2:], table)))
    assert tried


def test_an_interrupted_extract_has_the_status_of_other_commands() -> None:
    assert "130, 143" in dict(man_extract.EXTRACT.exit_status)
