"""Options of ``dlctl streams`` for what it prints, what follows the reading, and what it says.

A part of the table in stream_options.py, which has the whole of it.
"""

from functools import partial

from daemonlogger_py.config import stream_scanners, units
from daemonlogger_py.config.option import LIST_TYPES, NUMBER_TYPES, TEXT_TYPES, Option

CONSOLE = "Console"
POST = "Post-processing"
MESSAGES = "Messages"
OUTPUT_GROUPS = (CONSOLE, POST, MESSAGES)


def parse_semaphore(text: str) -> str:
    """Accept the name of a POSIX semaphore, sem_overview(7): one slash at most, in front."""
    name = text.removeprefix("/")
    if not name.isprintable() or "/" in name or not 0 < len(name.encode()) <= 251:
        raise ValueError(
            f"{text[:80]!r} is not accepted; accepted: a name without slashes, at most 251 bytes"
        )
    return f"/{name}"


OUTPUT_OPTIONS: tuple[Option, ...] = (
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
        " arrive. What is missing is passed over, and what comes too late is left out; the end of"
        " the run says how much that was.",
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
        man="How much is told on standard error: 0 nothing but why it failed; 1 warnings and, at"
        " the end, how much was missing or left out; from 2 on also where the report goes, what was"
        " wrong with each stream and body, how many streams and packets there were, and how many"
        " packets were odd in which way; from 5 on each stream as it is closed.",
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
        man="Show no progress bar. There is none in any case where standard error is no terminal,"
        " or where packets or streams are printed on one.",
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
        long="help-all",
        short="H",
        help="the same as -hh",
        man="The same as -hh.",
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
