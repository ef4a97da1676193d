"""The one table of options of ``dlctl streams``.

The parser and ``--help`` (`cli.streams`), the man page (`cli.man`) and completion come from
`STREAM_OPTIONS`; `config.stream_rules` turns what was given of them into a StreamsConfig. Letters
are tcpflow(1)'s, 1.6.1; long names are ours, save for help, relinquish-privileges, version, verbose
and chroot.
"""

from functools import partial

from daemonlogger_py.config import stream_scanners, units
from daemonlogger_py.config.options import LIST_TYPES, NUMBER_TYPES, TEXT_TYPES, Option
from daemonlogger_py.config.stream_template import FORMAT_LETTERS, parse_format, parse_template
from daemonlogger_py.errors import UsageError

MAX_SKIP = (1 << 31) - 1  # half of TCP's sequence numbers: beyond, ahead is behind
MAX_FILES = 1 << 20  # the kernel's own default for fs.nr_open
UNLIMITED = "-1"


def parse_max_bytes(text: str) -> int | None:
    """Bytes of each stream; -1 is no limit, as tcpflow has it."""
    return None if text == UNLIMITED else units.parse_size(text, at_least=0)


def parse_time(text: str) -> int:
    """Nanoseconds since 1970 of a time as people write it."""
    import time

    from daemonlogger_py.config.times import parse_time as parsed  # needed by two options only

    try:
        return parsed(text, time.time_ns())
    except UsageError as error:
        raise ValueError(str(error)) from None


def parse_semaphore(text: str) -> str:
    """Accept the name of a POSIX semaphore, sem_overview(7): one slash at most, in front."""
    name = text.removeprefix("/")
    if not name.isprintable() or "/" in name or not 0 < len(name.encode()) <= 251:
        raise ValueError(
            f"{text[:80]!r} is not accepted; accepted: a name without slashes, at most 251 bytes"
        )
    return f"/{name}"


SOURCE = "Source"
STREAMS = "Streams"
FILES = "Files"
CONSOLE = "Console"
POST = "Post-processing"
MESSAGES = "Messages"
STREAM_GROUPS = (SOURCE, STREAMS, FILES, CONSOLE, POST, MESSAGES)

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
    Option(
        long="from",
        metavar="TIME",
        parse=parse_time,
        types=TEXT_TYPES,
        help="leave out packets before TIME",
        man="Leave out packets before TIME.",
        group=SOURCE,
    ),
    Option(
        long="to",
        metavar="TIME",
        parse=parse_time,
        types=TEXT_TYPES,
        help="leave out packets at TIME and later",
        man="Leave out packets at TIME and later.",
        group=SOURCE,
    ),
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
        " packet is looked at. Files are written as USER.",
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
        " -1 is no limit.",
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
        man="Write a file NAME.findx beside each stream file, with one line a stored piece:"
        " offset|seconds|bytes, in order of the offsets.",
        group=FILES,
    ),
    Option(
        long="flow-pcaps",
        short="K",
        help="write each stream's packets to NAME.pcap instead of its bytes",
        man="Write the packets of each stream, those without data included, to NAME.pcap instead of"
        " its bytes to NAME.",
        group=FILES,
    ),
    Option(
        long="unprocessed",
        short="w",
        metavar="FILE",
        types=TEXT_TYPES,
        help="write IP packets that belong to no stream to FILE",
        man="Write the IP packets that belong to no stream, such as those of UDP, to FILE in the"
        " pcap format.",
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
    Option(
        long="console",
        short="c",
        help="print packets with their stream's name, and store nothing",
        man="Print the data of each packet as it arrives, after its stream's name, and store"
        " nothing.",
        group=CONSOLE,
    ),
    Option(
        long="console-data",
        short="C",
        help="the same without the names",
        man="The same without the names.",
        group=CONSOLE,
    ),
    Option(
        long="binary",
        short="B",
        help="print bytes as they are",
        man="Print bytes as they are; without it, what is not printable is printed as a dot, line"
        " ends aside.",
        group=CONSOLE,
    ),
    Option(
        long="strip",
        short="s",
        help="print what is not printable as a dot, as is done anyway",
        man="Print what is not printable as a dot, as is done without it as well. What is stored is"
        " never changed.",
        group=CONSOLE,
    ),
    Option(
        long="hex",
        short="D",
        help="print in hexadecimal",
        man="Print a hexadecimal dump.",
        group=CONSOLE,
    ),
    Option(
        long="colour",
        short="g",
        help="print client to server in blue, server to client in red",
        man="Print what goes to the server in blue, and all else in red.",
        group=CONSOLE,
    ),
    Option(
        long="packet-json",
        short="J",
        help="print a JSON object a packet",
        man="Print a JSON object a packet.",
        group=CONSOLE,
    ),
    Option(
        long="no-newline",
        short="0",
        help="print no line end behind a packet",
        man="Print no line end behind a packet.",
        group=CONSOLE,
    ),
    Option(
        long="ordered",
        help="print each stream in order, every byte once",
        man="Print the bytes of each stream in their order and once, instead of packets as they"
        " arrive.",
        group=CONSOLE,
    ),
    Option(
        long="semaphore",
        short="L",
        metavar="NAME",
        parse=parse_semaphore,
        types=TEXT_TYPES,
        help="hold the semaphore NAME while a packet is printed",
        man="Hold the POSIX semaphore NAME while a packet is printed, so that several processes"
        " share an output. It is made if missing.",
        group=CONSOLE,
    ),
    Option(
        long="json",
        help="print a JSON object a closed stream; with -c or -C, a packet",
        man="Print a JSON object for each stream as it is closed; with -c or -C, the same as -J.",
        group=CONSOLE,
    ),
    Option(
        long="all",
        short="a",
        help="all post-processing, as -e all",
        man="All post-processing: the same as -e all.",
        group=POST,
    ),
    Option(
        long="enable",
        short="e",
        metavar="SCANNER",
        parse=stream_scanners.parse_scanner,
        types=LIST_TYPES,
        repeatable=True,
        help="enable a scanner: http, md5, python, or all",
        man="Enable a scanner; see SCANNERS. all enables each of them, python only if py_module is"
        " set.",
        group=POST,
    ),
    Option(
        long="only",
        short="E",
        metavar="SCANNER",
        parse=stream_scanners.parse_scanner,
        types=LIST_TYPES,
        repeatable=True,
        help="disable all scanners, then enable this one",
        man="Disable all scanners, tcpdemux included, then enable this one.",
        group=POST,
    ),
    Option(
        long="disable",
        short="x",
        metavar="SCANNER",
        parse=stream_scanners.parse_disabled,
        types=LIST_TYPES,
        repeatable=True,
        help="disable a scanner",
        man="Disable a scanner. -a, -e, -E and -x act in the order in which they are given.",
        group=POST,
    ),
    Option(
        long="set",
        short="S",
        metavar="NAME=VALUE",
        parse=stream_scanners.parse_assignment,
        types=LIST_TYPES,
        repeatable=True,
        help="set a parameter; -hh lists them",
        man="Set a parameter; see PARAMETERS.",
        group=POST,
    ),
    Option(
        long="no-decompress",
        short="Z",
        help="leave HTTP bodies compressed",
        man="Leave the bodies of HTTP messages compressed.",
        group=POST,
    ),
    Option(
        long="man-names",
        help="write -HTTP, -HTTPBODY and -HTTPBODY-GZIP, as tcpflow's page says",
        man="Write the head of each HTTP message to NAME-HTTP, its body as it was sent to"
        " NAME-HTTPBODY and, if that is compressed, decoded to NAME-HTTPBODY-GZIP, as tcpflow's"
        " page says, instead of NAME-HTTPBODY-001.html. From the second message of a stream on,"
        " -002 and so on are appended.",
        group=POST,
    ),
    Option(
        long="debug",
        short="d",
        metavar="N",
        parse=partial(units.parse_count, at_least=0, at_most=1000),
        types=NUMBER_TYPES,
        default="1",
        help="how much is told on standard error; 0: nothing",
        man="How much is told on standard error: 0 nothing but why it failed, 1 warnings and a"
        " summary of what was odd, 10 what is done.",
        group=MESSAGES,
    ),
    Option(
        long="verbose",
        short="v",
        help="the same as -d 10",
        man="The same as -d 10.",
        group=MESSAGES,
    ),
    Option(
        long="quiet",
        short="q",
        help="no warnings",
        man="Do not warn.",
        group=MESSAGES,
    ),
    Option(
        long="no-progress",
        help="no progress bar",
        man="Show no progress bar; there is none in any case where standard error is no terminal.",
        group=MESSAGES,
    ),
    Option(
        long="help",
        short="h",
        help="show this help, and exit; -hh: more of it",
        man="Show a summary of the options, and exit. -hh: scanners, parameters and templates too.",
        group=MESSAGES,
        command=True,
    ),
    Option(
        long="version",
        short="V",
        help="show the versions of daemonlogger-py, libpcap and Python, and exit",
        man="Show the versions of daemonlogger-py, libpcap and Python, and exit.",
        group=MESSAGES,
        command=True,
    ),
)

BY_LONG = {option.long: option for option in STREAM_OPTIONS}
BY_SHORT = {option.short: option for option in STREAM_OPTIONS if option.short}
