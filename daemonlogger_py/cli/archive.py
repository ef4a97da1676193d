"""The verbs of the archive: reads the command line of one, and starts its reader.

Options come from the tables in `config.archive_options`; their values, and what they mean to each
other, are judged in `config.archive_rules`. Only the chosen verb's reader is imported.
"""

from collections.abc import Sequence
from typing import NamedTuple

from daemonlogger_py.cli import outcome
from daemonlogger_py.cli.arguments import Table, refuse_values_of_switches, told_apart
from daemonlogger_py.config.archive import (
    ExtractConfig,
    IndexConfig,
    LsConfig,
    StatusConfig,
    VerifyConfig,
)
from daemonlogger_py.config.archive_options import VERB_OPTIONS, groups_of
from daemonlogger_py.config.archive_rules import RULES, AnyConfig, Given


class Usage(NamedTuple):
    """How a verb is called, and what it is for."""

    words: str  # what follows the options
    text: str


USAGES = {
    "ls": Usage(
        "[PATH ...]",
        "List savefiles, oldest first, with what the catalog knows of each, and what was not"
        " recorded between them. A PATH is a savefile, or a directory with all that is in it.",
    ),
    "status": Usage(
        "[DIR]",
        "Show how the recorder of the ring in DIR is doing: rates, drops, memory, disk, and how"
        " long it will be until the oldest savefile is pruned.",
    ),
    "extract": Usage(
        "[filter words ...]",
        "Write the packets of savefiles that match a filter, in the order of time: exactly those"
        " that scanning all of them would give. The filter words are a BPF filter,"
        " pcap-filter(7).",
    ),
    "verify": Usage(
        "[PATH ...]",
        "Walk every record of savefiles, and compare them with catalog and index. A PATH is a"
        " savefile, or a directory with all that is in it.",
    ),
    "index": Usage(
        "[PATH ...]",
        "Make the index that dlctl extract is fast by. A PATH is a savefile, or a directory with"
        " all that is in it.",
    ),
    "pin": Usage(
        "[DIR]",
        "Keep the recorder of the ring in DIR from pruning the savefiles of a span of time.",
    ),
    "unpin": Usage(
        "[DIR] [NUMBER ...]",
        "Remove pins of the ring in DIR, by the numbers that dlctl pins shows.",
    ),
    "pins": Usage(
        "[DIR]",
        "Show the pins of the ring in DIR, what each of them holds, and their quota.",
    ),
}
_TIME = "TIME: 1700000000, 2024-05-01T14:00:00Z, 14:00, yesterday, now, or a time ago such as -90m."
_SIZE = "SIZE: bytes, or a number and k, m, g, t (powers of 1024)."


def command(verb: str, argv: Sequence[str]) -> int:
    """Run ``dlctl VERB`` with the arguments `argv` and return its exit status."""
    options = VERB_OPTIONS[verb]
    see_help = f"see dlctl {verb} --help"
    table = Table(
        {option.long: option for option in options},
        {option.short: option for option in options if option.short},
        see_help,
    )
    found, words = told_apart(argv, table)
    refuse_values_of_switches(found, see_help)
    if any(option.long == "help" for option, _ in found):
        outcome.write_out(help_text(verb))
        return 0
    return _run(RULES[verb](Given(verb, found, words)))


def help_text(verb: str) -> str:
    """Return what ``dlctl VERB --help`` shows."""
    from daemonlogger_py.cli.usage import option_rows, wrapped

    options = VERB_OPTIONS[verb]
    metavars = {option.metavar for option in options}
    notes = [note for metavar, note in (("SIZE", _SIZE), ("TIME", _TIME)) if metavar in metavars]
    lines = [
        f"usage: dlctl {verb} [options] {USAGES[verb].words}",
        "",
        *wrapped(USAGES[verb].text),
        *option_rows(groups_of(options), options),
        "",
        *wrapped(" ".join([*notes, f"See dlctl-{verb}(1)."])),
    ]
    return "\n".join(lines)


def _run(config: AnyConfig) -> int:
    if isinstance(config, ExtractConfig):
        from daemonlogger_py.readers.extract.run import run as extract

        return extract(config)
    if isinstance(config, IndexConfig):
        from daemonlogger_py.readers.index.indexing import run as index

        return index(config)
    if isinstance(config, VerifyConfig):
        from daemonlogger_py.readers.verify import run as verify

        return verify(config)
    if isinstance(config, LsConfig):
        from daemonlogger_py.readers.ls import run as ls

        return ls(config)
    if isinstance(config, StatusConfig):
        from daemonlogger_py.readers.status import run as status

        return status(config)
    from daemonlogger_py.readers.pins import run as pins

    return pins(config)
