"""``dlctl``: everything about what was recorded, one verb each.

Finds the verb and leaves the rest of the command line to it. `VERBS` is the one table of verbs,
from which ``--help``, the man page and completion come.
"""

import gc
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from daemonlogger_py.cli import outcome
from daemonlogger_py.errors import UsageError

PROGRAM = "dlctl"
SEE_HELP = f"see {PROGRAM} --help"
USAGE = f"usage: {PROGRAM} VERB [options] ..."
DESCRIPTION = "Answer questions about what daemonlogger recorded."
HELP = ("-h", "--help")
VERSION = ("-V", "--version")
_OBJECTS_A_COLLECTION = 50_000


class Verb(NamedTuple):
    """One verb; its options are in `config.archive_options` or `config.stream_options`."""

    name: str
    help: str
    man: str


VERBS = (
    Verb(
        "ls",
        "list savefiles, and what was not recorded",
        "List savefiles with their state, times, packets, bytes, drops and pins, and what was not"
        " recorded between them.",
    ),
    Verb(
        "status",
        "show how a recorder is doing",
        "Show the rates, drops, memory and disk of a running recorder, and how long it will be"
        " until it prunes its oldest savefile.",
    ),
    Verb(
        "extract",
        "write the packets that match a filter",
        "Write the packets of any BPF filter and any span of time, from all savefiles of rings and"
        " directories, in the order of time.",
    ),
    Verb(
        "streams",
        "store what TCP connections carried, as tcpflow does",
        "Store what each direction of the TCP connections in savefiles carried in a file of its"
        " own, with the options of tcpflow(1).",
    ),
    Verb(
        "verify",
        "check savefiles, catalog and index; rebuild, repair",
        "Walk every record of savefiles and say whether they are whole, and whether they are what"
        " the catalog and the index say; make the catalog anew; repair savefiles.",
    ),
    Verb(
        "index",
        "make the index that extract is fast by",
        "Make the index that dlctl extract is fast by, once or as savefiles are sealed.",
    ),
    Verb(
        "pin",
        "keep a span of time from being pruned",
        "Keep the savefiles of a span of time from being pruned, for a reason, within a quota.",
    ),
    Verb("unpin", "remove pins", "Remove pins."),
    Verb("pins", "show pins", "Show the pins of a ring, and what each of them holds."),
)


def program() -> NoReturn:
    """Be the command ``dlctl``: `main`, for the length of a process."""
    # To start makes thousands of objects, and to look at a ring thousands more; few are garbage.
    gc.set_threshold(_OBJECTS_A_COLLECTION)
    outcome.leave(main())


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return its exit status."""
    return outcome.run(PROGRAM, lambda: _command(sys.argv[1:] if argv is None else argv))


def help_text() -> str:
    """Return what ``dlctl --help`` shows."""
    from daemonlogger_py.cli.usage import row, wrapped

    lines = [USAGE, "", *wrapped(DESCRIPTION), "", "verbs:"]
    for verb in VERBS:
        lines += row(verb.name, verb.help)
    lines += ["", "options:"]
    lines += row(", ".join(HELP), "show this help, and exit")
    lines += row(", ".join(VERSION), "show the versions of dlctl and libpcap, and exit")
    return "\n".join([*lines, "", *wrapped("See dlctl VERB --help, dlctl-VERB(1) and dlctl(1).")])


def _command(argv: Sequence[str]) -> int:
    first = argv[0] if argv else None
    if first == "streams":
        from daemonlogger_py.cli import streams

        return streams.command(argv[1:])
    if first in [verb.name for verb in VERBS]:
        from daemonlogger_py.cli import archive

        return archive.command(str(first), argv[1:])
    if first in HELP:
        outcome.write_out(help_text())
        return 0
    if first in VERSION:
        from daemonlogger_py.cli.daemonlogger import versions

        outcome.write_out(versions())
        return 0
    names = ", ".join(verb.name for verb in VERBS)
    if first is None:
        raise UsageError(f"a verb is missing; accepted: {names}; {SEE_HELP}")
    what = "option" if first.startswith("-") else "verb"
    raise UsageError(f"unknown {what} {first[:80]!r}; accepted: {names}; {SEE_HELP}")


if __name__ == "__main__":
    program()
