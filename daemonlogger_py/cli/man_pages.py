"""What one man page of a verb of the archive holds, and how it becomes roff.

The pages themselves are in `cli.man_archive` and `cli.man_extract`; the options of each come from
its table.
"""

from collections.abc import Sequence
from typing import NamedTuple

from daemonlogger_py.cli import roff
from daemonlogger_py.config.archive_options import VERB_OPTIONS, groups_of

TIME = """\
TIME is in seconds since 1970, a date such as 2024-05-01 or 2024-05-01T14:00:00Z, a time of this day
such as 14:00, today, yesterday, now, or a time ago such as -90m (s, m, h, d or w); local time where
no zone is given. Times that are printed are UTC, and
are accepted as they stand; nanoseconds, as --json has them, are not.
"""
SIZE = "SIZE is in bytes, or a number and k, m, g or t (powers of 1024)."

Definitions = Sequence[tuple[str, str]]


class Section(NamedTuple):
    """A section between the options and the exit status: a text, then terms, each with its own."""

    heading: str
    text: str = ""
    definitions: Definitions = ()


class Page(NamedTuple):
    """One page, dlctl-VERB(1)."""

    verb: str
    name: str  # what it is for, as the line under NAME says it
    words: Sequence[str]  # of the synopsis, behind the options, each a line of roff
    description: str
    exit_status: Definitions
    examples: Definitions
    sections: Sequence[Section] = ()
    see_also: Sequence[str] = ()


def rendered(page: Page) -> str:
    """Return the page as roff with man(7) macros."""
    options = VERB_OPTIONS[page.verb]
    metavars = {option.metavar for option in options}
    notes = [text for metavar, text in (("SIZE", SIZE), ("TIME", TIME)) if metavar in metavars]
    description = "\n\n".join([page.description.strip(), *notes])
    lines = [
        *roff.title(f"DLCTL-{page.verb.upper()}", 1, "General Commands Manual"),
        *roff.section("NAME", [rf"dlctl-{page.verb} \- {roff.escaped(page.name)}"]),
        *roff.section("SYNOPSIS", [f".B dlctl {page.verb}", r".RI [ options ]", *page.words]),
        *roff.section("DESCRIPTION", roff.paragraphs(description)),
        ".SH OPTIONS",
        *roff.options(groups_of(options), options),
    ]
    for section in page.sections:
        lines += roff.section(section.heading, roff.paragraphs(section.text))
        lines += roff.definitions(section.definitions)
    lines += roff.section("EXIT STATUS", roff.definitions(page.exit_status))
    lines += roff.section("EXAMPLES", roff.examples(page.examples))
    lines += roff.see_also("dlctl(1)", *page.see_also, "daemonlogger(8)")
    return "\n".join(lines) + "\n"
