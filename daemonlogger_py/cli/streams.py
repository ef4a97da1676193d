"""``dlctl streams``: reads the command line and starts the reader of streams.

Options come from the table in `config.stream_options`; their values, and what they mean to each
other, are judged in `config.stream_rules`. The command line is read without argparse, whose import
and parser would take as long as a small savefile.
"""

import sys
from collections.abc import Iterator, Sequence

from daemonlogger_py.cli import outcome
from daemonlogger_py.cli.arguments import Table, refuse_values_of_switches, told_apart
from daemonlogger_py.config.stream_options import (
    BY_LONG,
    BY_SHORT,
    STREAM_GROUPS,
    STREAM_OPTIONS,
)

PROGRAM = "dlctl streams"
SEE_HELP = f"see {PROGRAM} --help"
USAGE = f"usage: {PROGRAM} [options] [filter words ...]"
DESCRIPTION = (
    "Store what TCP connections carried, each direction in a file of its own, as tcpflow does. The"
    " filter words are a BPF filter, pcap-filter(7)."
)
EPILOG = (
    "SIZE: bytes, or a number and k, m, g, t (powers of 1024). TIME: 1700000000,"
    " 2024-05-01T14:00:00Z, 14:00, yesterday, now, or a time ago such as -90m. See -hh for"
    " scanners, parameters and templates, and dlctl-streams(1)."
)
_TABLE = Table(BY_LONG, BY_SHORT, SEE_HELP)


def command(argv: Sequence[str]) -> int:
    """Run ``dlctl streams`` with the arguments `argv` and return its exit status."""
    found, words = told_apart(argv, _TABLE)
    refuse_values_of_switches(found, SEE_HELP)
    helps = sum({"help": 1, "help-all": 2}.get(option.long, 0) for option, _ in found)
    if helps:
        outcome.write_out(help_text(more=helps > 1))
        return 0
    if any(option.long == "version" for option, _ in found):
        from daemonlogger_py.cli.daemonlogger import versions

        outcome.write_out(versions())
        return 0
    from daemonlogger_py.config.stream_rules import resolve

    config = resolve(found, words, (*PROGRAM.split(), *argv))
    from daemonlogger_py.readers.streams.run import run

    return run(config)


def help_text(*, more: bool = False) -> str:
    """Return what -h shows, or with `more` what -hh shows."""
    from daemonlogger_py.cli.usage import option_rows, wrapped

    lines = [USAGE, "", *wrapped(DESCRIPTION), *option_rows(STREAM_GROUPS, STREAM_OPTIONS)]
    if more:
        lines += _more()
    return "\n".join([*lines, "", *wrapped(EPILOG)])


def _more() -> Iterator[str]:
    from daemonlogger_py.cli.usage import row
    from daemonlogger_py.config import stream_scanners, stream_template

    yield from ("", "Scanners, for -e, -E and -x:")
    for scanner in stream_scanners.SCANNERS:
        yield from row(scanner.name, scanner.help + (" (on)" if scanner.on else ""))
    yield from ("", "Parameters, for -S NAME=VALUE:")
    for parameter in stream_scanners.PARAMETERS:
        yield from row(parameter.name, f"{parameter.help} (default: {parameter.default})")
    yield from ("", "Letters of -F:")
    for letter, text in stream_template.LETTERS:
        yield from row(letter, text)
    yield from ("", "Tokens of -T:")
    for tokens, text in stream_template.TOKENS:
        yield from row(tokens, text)


def main(argv: list[str] | None = None) -> int:
    """Run the arguments `argv` (default: this process's), as ``dlctl streams`` does."""
    return outcome.run("dlctl", lambda: command(sys.argv[1:] if argv is None else argv))


if __name__ == "__main__":
    sys.exit(main())
