"""Options that several verbs of dlctl have, in the words that most of them use.

A verb whose words differ takes the option with others; the verbs' tables are `archive_options` and
`stream_options`.
"""

from functools import partial

from daemonlogger_py.config import units
from daemonlogger_py.config.option import (
    LIST_TYPES,
    NUMBER_TYPES,
    TEXT_TYPES,
    Option,
    parse_prefix,
)

SOURCE = "Source"
OUTPUT = "Output"
INDEX = "Index"
RESOURCES = "Resources"
MESSAGES = "Messages"

MAX_JOBS = 1024

RINGS = Option(
    long="ring",
    metavar="DIR",
    types=LIST_TYPES,
    repeatable=True,
    help="the savefiles that daemonlogger keeps in DIR; may be repeated",
    man="The savefiles that daemonlogger(8) keeps in DIR, and no other files that are there. The"
    " option may be repeated.",
    group=SOURCE,
)
RING = RINGS._replace(
    types=TEXT_TYPES,
    repeatable=False,
    help="the ring that daemonlogger keeps in DIR",
    man="The ring that daemonlogger(8) keeps in DIR; the same as the word DIR.",
)
PREFIX = Option(
    long="prefix",
    metavar="NAME",
    parse=parse_prefix,
    types=TEXT_TYPES,
    help="of the ring, only savefiles NAME.EPOCH",
    man="Of the ring, only the savefiles with the prefix NAME, which must be given where DIR holds"
    " more than one ring.",
    group=SOURCE,
)
FROM = Option(
    long="from",
    metavar="TIME",
    parse=units.parse_time,
    types=TEXT_TYPES,
    help="leave out packets before TIME",
    man="Leave out packets before TIME.",
    group=SOURCE,
)
TO = Option(
    long="to",
    metavar="TIME",
    parse=units.parse_time,
    types=TEXT_TYPES,
    help="leave out packets at TIME and later",
    man="Leave out packets at TIME and later.",
    group=SOURCE,
)
SAVEFILES_FROM = FROM._replace(
    help="leave out savefiles that end before TIME",
    man="Leave out savefiles all of whose packets are before TIME.",
)
SAVEFILES_TO = TO._replace(
    help="leave out savefiles that begin at TIME or later",
    man="Leave out savefiles all of whose packets are at TIME or later.",
)
JSON = Option(
    long="json",
    help="one JSON object a line",
    man="Print one JSON object a line. Times are in nanoseconds since 1970, sizes in bytes, and"
    " what is not known is null.",
    group=OUTPUT,
)
INDEX_DIR = Option(
    long="index-dir",
    metavar="DIR",
    types=TEXT_TYPES,
    default="PREFIX.index beside the savefiles",
    help="directory of the index",
    man="The directory of the index, where dlctl index was given another one than its own.",
    group=INDEX,
)
JOBS = Option(
    long="jobs",
    short="j",
    metavar="N",
    parse=partial(units.parse_count, at_most=MAX_JOBS),
    types=NUMBER_TYPES,
    default="as many as there are processors",
    help="work on N savefiles at a time",
    man="Work on N savefiles at a time.",
    group=RESOURCES,
)
NO_PROGRESS = Option(
    long="no-progress",
    help="no progress bar",
    man="Show no progress bar, which is otherwise there if standard error is a terminal.",
    group=MESSAGES,
)
HELP = Option(
    long="help",
    short="h",
    help="show this help, and exit",
    man="Show the options, and exit.",
    group=MESSAGES,
    command=True,
)
