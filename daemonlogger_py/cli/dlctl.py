"""``dlctl``: everything about what was recorded, one verb each.

Parses, calls the verb's reader and prints; what a verb finds out is the reader's. `VERBS` is the
one table of verbs, from which the parser, ``--help`` and the man page come.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from daemonlogger_py.cli import outcome
from daemonlogger_py.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from daemonlogger_py.readers.verify import Verdict

PROGRAM = "dlctl"
SEE_HELP = f"see {PROGRAM} --help"
DESCRIPTION = "Answer questions about what daemonlogger recorded."


class Verb(NamedTuple):
    """One verb; it takes PATH arguments and --json, unless it has a command line of its own."""

    name: str
    help: str
    man: str
    own_command_line: bool = False


VERBS = (
    Verb(
        "verify",
        "walk savefiles and say whether they are whole",
        "Walk every record of the savefiles PATH and print one line a savefile: its name, packets,"
        " first and last time (UTC), and whether it is whole or at which byte offset the damage"
        " begins. A PATH that is a directory stands for the savefiles in it, not for those in"
        " directories below. Only the classic pcap format is verified; any other counts as a"
        " failure. With --json, each line is a JSON object.\n\n"
        "A savefile that is being written may end within a record, and is then reported so.",
    ),
    Verb(
        "streams",
        "store what TCP connections carried, as tcpflow does",
        "Store what each direction of the TCP connections in savefiles carried in a file of its"
        " own, with the options of tcpflow(1); see dlctl-streams(1).",
        own_command_line=True,
    ),
)


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return its exit status."""
    return outcome.run(PROGRAM, lambda: _command(sys.argv[1:] if argv is None else argv))


def build_parser() -> "argparse.ArgumentParser":
    """Build the parser of all verbs; one with its own command line is only listed in it."""
    import argparse

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UsageError(f"{message.removeprefix('argument ')}; {SEE_HELP}")

    parser = Parser(prog=PROGRAM, description=DESCRIPTION, allow_abbrev=False, add_help=False)
    _add_help(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for verb in VERBS:
        one = verbs.add_parser(
            verb.name, help=verb.help, description=verb.help, allow_abbrev=False, add_help=False
        )
        if verb.own_command_line:
            continue
        _add_help(one)
        one.add_argument("paths", metavar="PATH", nargs="*", help="a savefile, or a directory")
        one.add_argument("--json", action="store_true", help="one JSON object a line")
        one.set_defaults(parser=one)
    return parser


def _add_help(parser: "argparse.ArgumentParser") -> None:
    # Not argparse's own -h: that prints past write_out, and a closed pipe would be a traceback.
    parser.add_argument(
        "-h", "--help", dest="help", action="store_true", help="show this help, and exit"
    )


def _command(argv: Sequence[str]) -> int:
    if argv[:1] == ["streams"]:
        from daemonlogger_py.cli import streams

        return streams.command(argv[1:])
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.help:
        outcome.write_out(getattr(arguments, "parser", parser).format_help().rstrip())
        return 0
    if arguments.verb is None:
        names = ", ".join(verb.name for verb in VERBS)
        raise UsageError(f"a verb is missing; accepted: {names}; {SEE_HELP}")
    if not arguments.paths:
        raise UsageError(f"{arguments.verb}: PATH is missing; {SEE_HELP}")
    return _verify(arguments.paths, as_json=arguments.json)


def _verify(paths: Sequence[str], *, as_json: bool) -> int:
    from daemonlogger_py.readers.verify import verify

    all_whole = True
    for verdict in verify(paths):
        outcome.write_out(_json_line(verdict) if as_json else _text_line(verdict))
        all_whole = all_whole and verdict.whole
    return 0 if all_whole else 1


def _json_line(verdict: "Verdict") -> str:
    import json
    from dataclasses import asdict

    return json.dumps(asdict(verdict) | {"whole": verdict.whole})


def _text_line(verdict: "Verdict") -> str:
    # A name is whatever the disk holds: a terminal must not obey what is in it.
    path = verdict.path if verdict.path.isprintable() else repr(verdict.path)
    parts = [f"{verdict.packets} packet{'' if verdict.packets == 1 else 's'}"]
    if verdict.first_ns is not None and verdict.last_ns is not None:
        parts.append(f"{_utc(verdict.first_ns)} to {_utc(verdict.last_ns)}")
    parts.append(verdict.damage or "whole")
    return f"{path}: {', '.join(parts)}"


def _utc(time_ns: int) -> str:
    import time

    seconds, fraction_ns = divmod(time_ns, 1_000_000_000)
    fraction = f"{fraction_ns:09d}" if fraction_ns % 1000 else f"{fraction_ns // 1000:06d}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction}Z"


if __name__ == "__main__":
    sys.exit(main())
