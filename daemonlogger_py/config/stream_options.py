"""The one table of options of ``dlctl streams``.

The parser and ``--help`` (`cli.streams`), the man page (`cli.man`) and completion come from
`STREAM_OPTIONS`; `config.stream_rules` turns what was given of them into a StreamsConfig. Letters
are tcpflow(1)'s, 1.6.1; long names are ours, save for help, relinquish-privileges, version, verbose
and chroot.
"""

from functools import partial

from daemonlogger_py.config import units
from daemonlogger_py.config.option import LIST_TYPES, NUMBER_TYPES, TEXT_TYPES, Option
from daemonlogger_py.config.stream_output_options import OUTPUT_GROUPS, OUTPUT_OPTIONS
from daemonlogger_py.config.stream_template import FORMAT_LETTERS, parse_format, parse_template
from daemonlogger_py.config.verb_options import FROM, SOURCE, TO

MAX_SKIP = (1 << 31) - 1  # half of TCP's sequence numbers: beyond, ahead is behind
MAX_FILES = 1 << 20  # the kernel's own default for fs.nr_open
UNLIMITED = "-1"


def parse_max_bytes(text: str) -> int | None:
    """Bytes of each stream; -1 is no limit, as tcpflow has it."""
    return None if text == UNLIMITED else units.parse_size(text, at_least=0)


STREAMS = "Streams"
FILES = "Files"
STREAM_GROUPS = (SOURCE, STREAMS, FILES, *OUTPUT_GROUPS)

STREAM_OPTIONS: tuple[Option, ...] = (
    Option(
        long="read",
        short="r",
        metavar="FILE",
        types=LIST_TYPES,
        repeatable=True,
        help="read packets from FILE ('-': standard input); may be repeated",
        man="Read packets from FILE, a savefile of any format that libpcap opens, also compressed;"
        " - is standard input. A directory stands for the savefiles in it. The option may be"
        " repeated: a connection that goes on in a later file is one stream.",
        group=SOURCE,
    ),
    Option(
        long="complete",
        short="R",
        metavar="FILE",
        types=LIST_TYPES,
        repeatable=True,
        help="read FILE last, only to complete streams that are open",
        man="Read FILE behind all others, only to complete the streams that are still open then; no"
        " stream begins in it. The option may be repeated.",
        group=SOURCE,
    ),
    Option(
        long="files",
        short="l",
        help="the words that are no options are files to read, not a filter",
        man="Take the words that are no options for files to read, as after -r, instead of a"
        " filter.",
        group=SOURCE,
    ),
    Option(
        long="interface",
        short="i",
        metavar="IFACE",
        types=TEXT_TYPES,
        default="with no other source, the first that libpcap has",
        help="capture from this interface; 'any' is all of them",
        man="Capture from the interface IFACE; any stands for all interfaces at once.",
        group=SOURCE,
    ),
    Option(
        long="no-promiscuous",
        short="p",
        help="do not put the interface into promiscuous mode",
        man="Do not put the interface into promiscuous mode.",
        group=SOURCE,
    ),
    Option(
        long="ring",
        metavar="DIR",
        types=TEXT_TYPES,
        help="read the savefiles that daemonlogger keeps in DIR, oldest first",
        man="Read the savefiles that daemonlogger(8) keeps in DIR, from the oldest to the newest,"
        " as one recording. One that is pruned meanwhile is passed over, and that is said.",
        group=SOURCE,
    ),
    Option(
        long="prefix",
        metavar="NAME",
        types=TEXT_TYPES,
        help="with --ring: only savefiles NAME.EPOCH",
        man="With --ring: only the savefiles with the prefix NAME, which must be given where DIR"
        " holds more than one.",
        group=SOURCE,
    ),
    FROM,
    TO,
    Option(
        long="follow",
        help="with --ring: go on as packets are recorded, until a signal",
        man="With --ring: go on as packets are recorded, until a signal or --to.",
        group=SOURCE,
    ),
    Option(
        long="relinquish-privileges",
        short="U",
        metavar="USER",
        types=TEXT_TYPES,
        help="become USER before the first packet is looked at",
        man="Become USER, with that user's groups, once the sources are open and before the first"
        " packet is looked at. Files are written as USER: an output directory that is missing is"
        " made for USER, and one that is there has to let USER write to it.",
        group=SOURCE,
    ),
    Option(
        long="chroot",
        short="z",
        metavar="DIR",
        types=TEXT_TYPES,
        help="with -U: make DIR the root directory",
        man="With -U: make DIR the root directory once the sources are open. The output directory,"
        " the report and the file of -w are named as seen from inside.",
        group=SOURCE,
    ),
    Option(
        long="max-bytes",
        short="b",
        metavar="SIZE",
        parse=parse_max_bytes,
        types=NUMBER_TYPES,
        help="keep at most the first SIZE bytes of each stream",
        man="Keep at most the first SIZE bytes of each stream; the report tells its full length."
        " On the console, bytes count when they are new. -1 is no limit.",
        group=STREAMS,
    ),
    Option(
        long="skip",
        short="m",
        metavar="SIZE",
        parse=partial(units.parse_size, at_least=0, at_most=MAX_SKIP),
        types=NUMBER_TYPES,
        default="16m",
        help="a jump of more than SIZE bytes begins another stream",
        man="A jump of more than SIZE bytes within a connection, to either side, begins another"
        " stream.",
        group=STREAMS,
    ),
    Option(
        long="no-purge",
        short="P",
        help="keep what is known of connections that ended, for late packets",
        man="Keep what is known of connections that ended instead of the last few alone, so that"
        " late packets of them begin no stream.",
        group=STREAMS,
    ),
    Option(
        long="policy",
        metavar="first|last",
        parse=partial(units.parse_choice, choices=("first", "last")),
        types=TEXT_TYPES,
        default="last",
        help="which bytes win where a repetition differs",
        man="Which bytes are kept where something was sent again with other content: the first, or"
        " the last. The report tells how many differed.",
        group=STREAMS,
    ),
    Option(
        long="tunnels",
        help="look into GRE, IP in IP, VXLAN, Geneve and GTP-U",
        man="Look for connections inside GRE, IP in IP, VXLAN, Geneve and GTP-U as well.",
        group=STREAMS,
    ),
    Option(
        long="max-flows",
        metavar="N",
        parse=units.parse_count,
        types=NUMBER_TYPES,
        default="1000000",
        help="connections followed at a time; the idlest is closed for one more",
        man="Follow at most N connections at a time; the one idle for longest is closed for one"
        " more, which is counted and told.",
        group=STREAMS,
    ),
    Option(
        long="memory",
        metavar="SIZE",
        parse=partial(units.parse_size, at_least=1 << 20),
        types=NUMBER_TYPES,
        default="1g",
        help="memory that connections and fragments may take",
        man="Memory that connections and fragments may take together; what does not fit is closed"
        " early, which is counted and told.",
        group=STREAMS,
    ),
    Option(
        long="outdir",
        short="o",
        metavar="DIR",
        types=TEXT_TYPES,
        default=".",
        help="directory for all files; made if missing",
        man="The directory for all files. It is made if only itself is missing.",
        group=FILES,
    ),
    Option(
        long="template",
        short="T",
        metavar="TEMPLATE",
        parse=parse_template,
        types=TEXT_TYPES,
        default="%A.%a-%B.%b%V%v%C%c",
        help="name files after TEMPLATE; see -hh",
        man="Name stream files after TEMPLATE; see FILE NAMES. Prefixes of an earlier -F are"
        " dropped.",
        group=FILES,
    ),
    Option(
        long="format",
        short="F",
        metavar="LETTERS",
        parse=parse_format,
        types=TEXT_TYPES,
        help=f"change what is written, and its names: letters of {FORMAT_LETTERS}, see -hh",
        man="Change what is written and how it is named, by LETTERS: c appends the connection"
        " counter to all names. t and T put the time of the first packet before the name, in"
        " seconds since 1970 or as ISO 8601. k, m and g bin streams into directories of a thousand,"
        " in one, two or three levels. X writes no stream files. M puts the MD5 of each stream into"
        " the report.\n\n"
        "Letters act from the left to the right: each prefix goes before what is there.",
        group=FILES,
    ),
    Option(
        long="findx",
        short="I",
        help="write STREAM.findx: which bytes arrived when",
        man="Write a file NAME.findx beside each stream file, with one line for what was stored of"
        " a segment: offset|seconds|bytes, in order of the offsets, then of the arrival. What was"
        " sent again has a line of its own, as it was written over what was there; with --policy"
        " first it has none, but for what it added.",
        group=FILES,
    ),
    Option(
        long="flow-pcaps",
        short="K",
        help="write each stream's packets to NAME.pcap instead of its bytes",
        man="Write the packets of each stream, those without data included, to NAME.pcap instead of"
        " its bytes to NAME. The report lists no streams then.",
        group=FILES,
    ),
    Option(
        long="unprocessed",
        short="w",
        metavar="FILE",
        types=TEXT_TYPES,
        help="write IP packets that belong to no stream to FILE",
        man="Write the IP packets that belong to no stream, such as those of UDP, to FILE in the"
        " pcap format. What is there is overwritten. Packets of another linktype or time"
        " resolution go to new files, FILE.1, FILE.2 and so on, under the next free number.",
        group=FILES,
    ),
    Option(
        long="report",
        short="X",
        metavar="FILE",
        types=TEXT_TYPES,
        default="report.xml in the output directory; none with -c and -C",
        help="write the DFXML report to FILE",
        man="Write the report to FILE.",
        group=FILES,
    ),
    Option(
        long="gaps",
        help="list the holes of each stream in the report and in findx",
        man="List the holes of each stream, the bytes that were never captured and read as zeros,"
        " in the report and, as lines whose time is empty, in findx.",
        group=FILES,
    ),
    Option(
        long="max-fds",
        short="f",
        metavar="N",
        parse=partial(units.parse_count, at_most=MAX_FILES),
        types=NUMBER_TYPES,
        default="what the system allows",
        help="hold at most N stream files open at once",
        man="Hold at most N files of streams open at once. The result does not depend on it.",
        group=FILES,
    ),
    *OUTPUT_OPTIONS,
)

BY_LONG = {option.long: option for option in STREAM_OPTIONS}
BY_SHORT = {option.short: option for option in STREAM_OPTIONS if option.short}
