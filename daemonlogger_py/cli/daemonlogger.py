"""``daemonlogger``: reads the command line and starts the recorder.

Options come from the table in `config.options`; their values are judged in `config`, never here.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from daemonlogger_py.cli import outcome
from daemonlogger_py.errors import UsageError

if TYPE_CHECKING:
    import argparse

    from daemonlogger_py.config.resolve import Flag

PROGRAM = "daemonlogger"
SEE_HELP = f"see {PROGRAM} --help"

DESCRIPTION = (
    "Record packets from an interface into savefiles: in a row, or in a ring that prunes the"
    " oldest. The filter words are a BPF filter, pcap-filter(7)."
)
EPILOG = (
    "SIZE: bytes, or a number and k, m, g, t (powers of 1024)."
    " TIME: seconds, or a number and m, h, d. Signals: TERM, INT, QUIT finish; HUP rolls over and"
    " reads the filter file again; USR1 prints the statistics. See daemonlogger(8)."
)


def main(argv: list[str] | None = None) -> int:
    """Run the command line `argv` (default: this process's) and return its exit status."""
    return outcome.run(PROGRAM, lambda: _command(sys.argv[1:] if argv is None else argv))


def build_parser() -> "argparse.ArgumentParser":
    """Build the options' parser; `in_getopt_order` takes the filter words out before it."""
    import argparse

    from daemonlogger_py.config.options import GROUPS, OPTIONS

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise UsageError(f"{message.removeprefix('argument ')}; {SEE_HELP}")

    parser = Parser(
        prog=PROGRAM,
        usage="%(prog)s [options] [filter words ...]",
        description=DESCRIPTION,
        epilog=EPILOG,
        allow_abbrev=False,
        add_help=False,
    )
    groups = {title: parser.add_argument_group(title) for title in GROUPS}
    for option in OPTIONS:
        names = [f"-{option.short}"] if option.short else []
        names.append(f"--{option.long}")
        text = option.help.replace("%", "%%")
        if option.default:
            text += f" (default: {option.default})"
        if option.metavar is None:
            groups[option.group].add_argument(
                *names, dest=option.long, help=text, action="store_const", const=True
            )
        else:
            groups[option.group].add_argument(
                *names,
                dest=option.long,
                help=text,
                metavar=option.metavar,
                action="append" if option.repeatable else "store",
                nargs="?" if option.absent else None,
                const=option.absent,
            )
    return parser


def in_getopt_order(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Options and filter words of `argv`, told apart as `cli.arguments` does.

    The options come back as --long or --long=value. Raises UsageError for an unknown option and
    for a value that is missing.
    """
    from daemonlogger_py.cli.arguments import Table, told_apart
    from daemonlogger_py.config.options import BY_LONG, BY_SHORT

    found, words = told_apart(argv, Table(BY_LONG, BY_SHORT, SEE_HELP))
    return [
        f"--{option.long}" if value is None else f"--{option.long}={value}"
        for option, value in found
    ], words


def _command(argv: Sequence[str]) -> int:
    options, words = in_getopt_order(argv)
    parser = build_parser()
    parsed = vars(parser.parse_args(options))
    flags = {name: value for name, value in parsed.items() if value is not None}
    if "help" in flags:
        outcome.write_out(parser.format_help().rstrip())
        return 0
    if "version" in flags:
        outcome.write_out(versions())
        return 0
    if "list-interfaces" in flags:
        from daemonlogger_py.engine import interfaces

        outcome.write_out(interfaces.table())
        return 0
    return _record(flags, words)


def _record(flags: "dict[str, Flag]", words: Sequence[str]) -> int:
    from daemonlogger_py.config.resolve import read_config_file, resolve

    file = read_config_file(str(flags["config"])) if "config" in flags else None
    config = resolve(flags, words, file)
    if config.interface is not None and not config.wait_interface:
        from daemonlogger_py.engine import interfaces

        interfaces.require(config.interface)
    from daemonlogger_py.record import session

    return session.check(config) if "check" in flags else session.run(config)


def versions() -> str:
    """Return what --version shows, a line each: this package, libpcap, Python."""
    import platform

    from daemonlogger_py import __version__
    from daemonlogger_py.engine.bpf import libpcap_version

    return f"daemonlogger-py {__version__}\n{libpcap_version()}\nPython {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
