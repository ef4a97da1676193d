"""The tables of options of dlctl's verbs of the archive: ls, status, extract, verify, index, pins.

The parser and ``--help`` (`cli.archive`), the man pages (`cli.man_archive`) and completion come
from `VERB_OPTIONS`; `config.archive_rules` turns what was given of them into the verb's
configuration. What several verbs have is in `verb_options`. Letters are tcpdump(1)'s where it has
the option.
"""

from collections.abc import Mapping
from functools import partial

from daemonlogger_py.config import units
from daemonlogger_py.config.archive import WATCH_S
from daemonlogger_py.config.option import LIST_TYPES, NUMBER_TYPES, TEXT_TYPES, Option
from daemonlogger_py.config.verb_options import (
    FROM,
    HELP,
    INDEX,
    INDEX_DIR,
    JOBS,
    JSON,
    MESSAGES,
    NO_PROGRESS,
    OUTPUT,
    PREFIX,
    RESOURCES,
    RING,
    RINGS,
    SAVEFILES_FROM,
    SAVEFILES_TO,
    SOURCE,
    TO,
)

PACKETS = "Packets"
CHECKS = "Checks"
PINS = "Pins"

MAX_REASON = 1000  # characters: a line that people read
MIN_MEMORY_BYTES = 1 << 20


def parse_reason(text: str) -> str:
    """Accept one line of text that a terminal may show."""
    if not text.strip() or not text.isprintable() or len(text) > MAX_REASON:
        raise ValueError(
            f"{text[:80]!r} is not accepted; accepted: a line of printable text, at most"
            f" {MAX_REASON} characters"
        )
    return text.strip()


LS_OPTIONS: tuple[Option, ...] = (
    RINGS,
    PREFIX,
    SAVEFILES_FROM,
    SAVEFILES_TO,
    JSON,
    Option(
        long="no-gaps",
        help="no lines about what was not recorded",
        man="Leave out the lines about times in which nothing, or not everything, was recorded.",
        group=OUTPUT,
    ),
    HELP,
)

STATUS_OPTIONS: tuple[Option, ...] = (
    RING,
    PREFIX,
    Option(
        long="watch",
        metavar="SECONDS",
        absent=f"{WATCH_S:g}",
        parse=units.parse_interval,
        types=NUMBER_TYPES,
        help=f"look again every SECONDS ({WATCH_S:g} if left out), until Ctrl-C",
        man=f"Look again every SECONDS, or every {WATCH_S:g} without a number, until Ctrl-C.",
        group=OUTPUT,
    ),
    JSON._replace(
        man="Print the recorder's own account as one JSON object a line: times in nanoseconds since"
        " 1970, sizes in bytes; what is not known is null."
    ),
    HELP,
)

EXTRACT_OPTIONS: tuple[Option, ...] = (
    Option(
        long="read",
        short="r",
        metavar="PATH",
        types=LIST_TYPES,
        repeatable=True,
        help="read savefile PATH, or all in directory PATH; may be repeated",
        man="Read the savefile PATH, of any format that libpcap opens; a directory stands for every"
        " ring and every savefile in it, not for those in directories below. The option may be"
        " repeated: the packets of all are merged by time.",
        group=SOURCE,
    ),
    RINGS._replace(
        help="read the savefiles that daemonlogger keeps in DIR; may be repeated",
        man="Read the savefiles that daemonlogger(8) keeps in DIR, and no other files that are"
        " there. The option may be repeated, and go together with -r.",
    ),
    PREFIX,
    FROM._replace(group=PACKETS),
    TO._replace(group=PACKETS),
    Option(
        long="filter-file",
        short="F",
        metavar="FILE",
        types=TEXT_TYPES,
        help="take the BPF filter from FILE instead of the command line",
        man="Take the filter from FILE. Comments run from # to the end of the line.",
        group=PACKETS,
    ),
    Option(
        long="count",
        short="c",
        metavar="N",
        parse=units.parse_count,
        types=NUMBER_TYPES,
        help="end after N packets",
        man="End after N packets: the oldest, or with --reverse the newest that match.",
        group=PACKETS,
    ),
    Option(
        long="reverse",
        help="newest packets first",
        man="Give the newest packets first.",
        group=PACKETS,
    ),
    Option(
        long="follow",
        help="go on as packets are recorded, until Ctrl-C or --to",
        man="Go on as packets are recorded into the rings of --ring, until a signal or --to. What"
        " matches is written within a second.",
        group=PACKETS,
    ),
    Option(
        long="write",
        short="w",
        metavar="FILE",
        types=TEXT_TYPES,
        default="-",
        help="write packets to FILE ('-': standard output)",
        man="Write the packets to FILE, which is replaced; - is standard output, which must not be"
        " a terminal. A savefile that is read is never written to.",
        group=OUTPUT,
    ),
    Option(
        long="pcapng",
        help="write pcapng instead of pcap",
        man="Write pcapng, which alone holds packets of several linktypes, instead of pcap.",
        group=OUTPUT,
    ),
    Option(
        long="no-index",
        help="scan every savefile, whatever its index says",
        man="Scan every savefile of the span, whatever the index says. The result is the same."
        " Without a catalog, none is left out for its name and times either.",
        group=INDEX,
    ),
    INDEX_DIR,
    JOBS._replace(
        help="read N savefiles at a time",
        man="Read N savefiles at a time.",
    ),
    Option(
        long="memory",
        metavar="SIZE",
        parse=partial(units.parse_size, at_least=MIN_MEMORY_BYTES),
        types=NUMBER_TYPES,
        default="256m",
        help="memory for packets that still have to be put in order",
        man="Memory for packets that still have to be put in order; beyond it they go to temporary"
        " files, in the directory that TMPDIR names, else in /var/tmp or, where that cannot be"
        " written, in /tmp.",
        group=RESOURCES,
    ),
    Option(
        long="stats",
        help="say on standard error what was read and skipped",
        man="Say on standard error how many savefiles, blocks and bytes were read and how many the"
        " index spared, and why a savefile was scanned.",
        group=MESSAGES,
    ),
    HELP,
)

VERIFY_OPTIONS: tuple[Option, ...] = (
    RINGS,
    PREFIX,
    SAVEFILES_FROM,
    SAVEFILES_TO,
    Option(
        long="no-hashes",
        help="do not compare contents with the SHA-256 in the catalog",
        man="Do not compare what is in the savefiles with the SHA-256 that the catalog holds.",
        group=CHECKS,
    ),
    Option(
        long="no-indexes",
        help="do not compare the index with its savefiles",
        man="Do not compare the index with the savefiles that it was made from.",
        group=CHECKS,
    ),
    INDEX_DIR._replace(group=CHECKS),
    Option(
        long="rebuild",
        help="make the catalog anew, from the savefiles alone",
        man="Make the catalog anew from the savefiles alone. Pins and the ledger of gaps are kept"
        " where they can still be read. Savefiles that are damaged, are not what the catalog before"
        " says of them, or are gone and were not pruned, are named, and the status is 1.",
        group=CHECKS,
    ),
    Option(
        long="repair",
        help="keep the whole records of damaged savefiles, and the original too",
        man="Cut what is left of a record off the end of a savefile that nobody writes to. Where"
        " there is damage in the middle, write all whole records to a new file, and keep the"
        " damaged one as NAME.damaged. A ring counts that as the savefile's own and prunes both"
        " together: move it out of the directory to keep it. No whole record is lost, whenever"
        " the program is killed. The index of a savefile that was repaired is removed, and what a"
        " killed repair left.",
        group=CHECKS,
    ),
    JSON._replace(
        help="one JSON object a savefile",
        man="Print one JSON object a savefile: times in nanoseconds since 1970, sizes in bytes;"
        " what is not known is null.",
    ),
    JOBS,
    NO_PROGRESS,
    HELP,
)

INDEX_OPTIONS: tuple[Option, ...] = (
    RINGS,
    PREFIX,
    INDEX_DIR._replace(
        help="keep the index in DIR",
        man="Keep the index in DIR, where the directory of the savefiles must not be written to;"
        " dlctl extract and dlctl verify are then given the same option.",
    ),
    Option(
        long="rebuild",
        help="index savefiles anew that have an index",
        man="Index savefiles anew also if they have an index that fits them.",
        group=INDEX,
    ),
    Option(
        long="follow",
        help="go on as savefiles are sealed, until a signal",
        man="Go on as savefiles are sealed, until a signal; for a service.",
        group=INDEX,
    ),
    Option(
        long="smallest",
        metavar="SIZE",
        parse=partial(units.parse_size, at_least=0),
        types=NUMBER_TYPES,
        default="128k",
        help="no index for savefiles smaller than SIZE; 0: for all",
        man="Make no index of savefiles that are smaller than SIZE, and remove one of before. They"
        " are read about as quickly as their index would be, which takes up 5 KiB at least. 0 means"
        " an index for every savefile.",
        group=INDEX,
    ),
    JOBS._replace(
        help="index N savefiles at a time",
        man="Index N savefiles at a time.",
    ),
    Option(
        long="verbose",
        short="v",
        help="name savefiles that are indexed, passed over or gone",
        man="Name each savefile that is indexed, that is passed over and why, and each index that"
        " is removed because its savefile is gone.",
        group=MESSAGES,
    ),
    NO_PROGRESS,
    HELP,
)

PIN_OPTIONS: tuple[Option, ...] = (
    RING,
    PREFIX,
    FROM._replace(
        help="pin what was recorded from TIME on",
        man="Pin what was recorded from TIME on.",
        group=PINS,
    ),
    TO._replace(
        default="now",
        help="and before TIME, which may be still to come",
        man="Pin what was recorded before TIME, which may be still to come.",
        group=PINS,
    ),
    Option(
        long="reason",
        metavar="TEXT",
        parse=parse_reason,
        types=TEXT_TYPES,
        help="why, for those who find the pin",
        man="Why the span is pinned, for those who find the pin.",
        group=PINS,
    ),
    Option(
        long="quota",
        metavar="SIZE",
        parse=partial(units.parse_size, at_least=0),
        types=NUMBER_TYPES,
        help="let pins hold at most SIZE of this ring; 0: no quota",
        man="Let all pins together hold at most SIZE of this ring, from now on: a pin that would"
        " hold more is refused. 0 means no quota. Without --from, only the quota is set.",
        group=PINS,
    ),
    HELP,
)

UNPIN_OPTIONS: tuple[Option, ...] = (
    RING,
    PREFIX,
    Option(
        long="all",
        help="remove every pin of the ring",
        man="Remove every pin of the ring.",
        group=PINS,
    ),
    HELP,
)

PINS_OPTIONS: tuple[Option, ...] = (RING, PREFIX, JSON, HELP)

VERB_OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "ls": LS_OPTIONS,
    "status": STATUS_OPTIONS,
    "extract": EXTRACT_OPTIONS,
    "verify": VERIFY_OPTIONS,
    "index": INDEX_OPTIONS,
    "pin": PIN_OPTIONS,
    "unpin": UNPIN_OPTIONS,
    "pins": PINS_OPTIONS,
}


def groups_of(options: tuple[Option, ...]) -> tuple[str, ...]:
    """The groups that `options` are in, each once, in the order of their first option."""
    return tuple(dict.fromkeys(option.group for option in options))
