"""The one table of options.

The parser and ``--help`` (`cli.daemonlogger`), the man page (`cli.man`) and the accepted TOML keys
(`config.resolve`) all come from `OPTIONS`; nothing else knows an option's name, letter or help. The
field of RecorderConfig is the long name with ``_`` for ``-``, save for the few in `config.resolve`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from daemonlogger_py.config import units

MAX_SNAPLEN = 262_144  # libpcap's MAXIMUM_SNAPLEN, beyond which readers call a record damaged
MAX_KERNEL_BUFFER = (1 << 31) - 1  # pcap_set_buffer_size() takes an int
MAX_PREFIX_BYTES = 200  # leaves room for .EPOCH.SERIAL and for an archive's .part in 255

# pcap_tstamp_type_name_to_val(3); whether the interface has it is known when it is opened.
TSTAMP_TYPES = (
    "host",
    "host_lowprec",
    "host_hiprec",
    "adapter",
    "adapter_unsynced",
    "host_hiprec_unsynced",
)

NUMBER_TYPES = (int, str)
DECIMAL_TYPES = (int, float, str)
TEXT_TYPES = (str,)
LIST_TYPES = (str, list)
SWITCH_TYPES = (bool,)


class Option(NamedTuple):
    """One option of the command line; all but the commands are keys of the TOML file too.

    A named tuple, as what else a start defines: a dataclass takes six times as long for that.
    """

    long: str  # without the dashes
    help: str
    man: str  # paragraphs for the man page, empty lines between them
    group: str
    short: str | None = None  # the letter
    metavar: str | None = None  # None: a switch, which takes no value
    absent: str | None = None  # what it means without its value, where that may be left out
    repeatable: bool = False  # may be given several times; a list in TOML
    parse: Callable[[str], object] = units.parse_name
    types: tuple[type, ...] = SWITCH_TYPES  # what TOML may hold for it
    default: str | None = None  # as a person would write it
    command: bool = False  # does something else instead of recording; not a TOML key
    needs_ring: bool = False
    live_only: bool = False
    savefiles_only: bool = False  # refused for a soft tap that writes none

    @property
    def label(self) -> str:
        """The option as messages name it: -M/--max-percent."""
        return f"-{self.short}/--{self.long}" if self.short else f"--{self.long}"


def parse_prefix(text: str) -> str:
    """Accept a savefile prefix: what may stand before ``.EPOCH`` in a file name."""
    # What is printable can be encoded: a name that is not UTF-8 ends here too.
    named = text not in ("", ".", "..") and "/" not in text and text.isprintable()
    if not named or len(text.encode()) > MAX_PREFIX_BYTES:
        raise ValueError(
            f"{text[:80]!r} is not accepted; accepted: a printable file name without slashes,"
            f" at most {MAX_PREFIX_BYTES} bytes, not '.' or '..'"
        )
    return text


def parse_file_name(text: str) -> str:
    """Accept the name of a file, without a directory."""
    if not text.isprintable() or "/" in text or text in ("", ".", "..") or len(text) > 255:
        raise ValueError(f"{text[:80]!r} is not accepted; accepted: a file name without slashes")
    return text


SOURCE = "Source"
FILES = "Savefiles"
ROLL = "Roll-over"
RING = "Ring buffer"
MEMORY = "Memory and disk"
TAP = "Soft tap"
SERVICE = "Service"
MESSAGES = "Messages and configuration"
GROUPS = (SOURCE, FILES, ROLL, RING, MEMORY, TAP, SERVICE, MESSAGES)

OPTIONS: tuple[Option, ...] = (
    Option(
        long="interface",
        short="i",
        metavar="IFACE",
        types=TEXT_TYPES,
        default="the first that is up and not loopback",
        help="record from this interface; 'any' is all of them",
        man="Record from the interface IFACE. The name any stands for all interfaces at once.",
        group=SOURCE,
    ),
    Option(
        long="read",
        short="R",
        metavar="FILE",
        types=TEXT_TYPES,
        help="take packets from a savefile ('-': standard input) instead of an interface",
        man="Take packets from the savefile FILE instead of an interface; - is standard input."
        " Any format that libpcap opens will do. Time is then the packets' own: it names the"
        " savefiles and drives -t.",
        group=SOURCE,
    ),
    Option(
        long="filter-file",
        short="f",
        metavar="FILE",
        types=TEXT_TYPES,
        help="take the BPF filter from FILE instead of the command line",
        man="Take the filter from FILE. Comments run from # to the end of the line; blank lines"
        " and DOS line ends are fine. The file is read again on SIGHUP.",
        group=SOURCE,
    ),
    Option(
        long="snaplen",
        short="S",
        metavar="N",
        parse=partial(units.parse_count, at_most=MAX_SNAPLEN),
        types=NUMBER_TYPES,
        default="65535; with -o, 262144; with -R, all",
        help="keep at most N bytes of each packet",
        man="Keep at most N bytes of each packet. Its original length is kept in any case.",
        group=SOURCE,
    ),
    Option(
        long="count",
        short="c",
        metavar="N",
        parse=units.parse_count,
        types=NUMBER_TYPES,
        help="exit after N packets",
        man="Exit after N packets have been recorded.",
        group=SOURCE,
    ),
    Option(
        long="buffer-size",
        short="B",
        metavar="SIZE",
        parse=partial(units.parse_size, at_least=4096, at_most=MAX_KERNEL_BUFFER),
        types=NUMBER_TYPES,
        default="64m",
        help="size of the kernel's capture buffer",
        man="Size of the kernel's capture buffer, which bridges the time until this process is"
        " scheduled again.",
        group=SOURCE,
        live_only=True,
    ),
    Option(
        long="nanosecond",
        help="record times in nanoseconds (magic a1b23c4d)",
        man="Ask the source for times in nanoseconds and write savefiles that hold them (magic"
        " number a1b23c4d).",
        group=SOURCE,
    ),
    Option(
        long="tstamp-type",
        metavar="NAME",
        parse=partial(units.parse_choice, choices=TSTAMP_TYPES),
        types=TEXT_TYPES,
        help="which clock stamps the packets, such as host or adapter",
        man=f"Which clock stamps the packets: {', '.join(TSTAMP_TYPES)}. An interface that lacks"
        " the one asked for is an error.",
        group=SOURCE,
        live_only=True,
    ),
    Option(
        long="no-promiscuous",
        help="do not put the interface into promiscuous mode",
        man="Do not put the interface into promiscuous mode.",
        group=SOURCE,
        live_only=True,
    ),
    Option(
        long="direction",
        metavar="in|out|inout",
        parse=partial(units.parse_choice, choices=("in", "out", "inout")),
        types=TEXT_TYPES,
        default="inout",
        help="record only what is received, or only what is sent",
        man="Record only what the interface receives (in), only what it sends (out), or both.",
        group=SOURCE,
        live_only=True,
    ),
    Option(
        long="immediate",
        help="have each packet handed over as it arrives, at the cost of CPU",
        man="Have the kernel hand over each packet as it arrives instead of a block of them.",
        group=SOURCE,
        live_only=True,
    ),
    Option(
        long="wait-interface",
        help="wait at the start for an interface that is missing or down",
        man="Wait at the start for an interface that is missing or down, instead of failing. One"
        " that goes away while recording is always waited for: this is said, and so is for how long"
        " nothing was recorded.",
        group=SOURCE,
        live_only=True,
    ),
    Option(
        long="log-dir",
        short="l",
        metavar="DIR",
        types=TEXT_TYPES,
        default=".",
        help="the directory savefiles go to",
        man="The directory savefiles go to. It must exist and be writable.",
        group=FILES,
    ),
    Option(
        long="prefix",
        short="n",
        metavar="NAME",
        parse=parse_prefix,
        types=TEXT_TYPES,
        default="daemonlogger.pcap",
        help="what the names of savefiles begin with",
        man="What the names of savefiles begin with; see FILES.",
        group=FILES,
    ),
    Option(
        long="flush",
        short="F",
        help="packet-buffered: each packet is in the file as soon as it was seen",
        man="Packet-buffered: each packet is in the file as soon as it was seen. Without it, a"
        " packet on a quiet link is in the file within one second.",
        group=FILES,
    ),
    Option(
        long="roll-size",
        short="s",
        metavar="SIZE",
        parse=units.parse_size,
        types=NUMBER_TYPES,
        default="2g",
        help="roll over after SIZE bytes",
        man="Roll over after SIZE bytes, the file's header included: the packet that passes the"
        " limit is the file's last, so the file is larger than SIZE by less than one record."
        " With -r the default is lowered so that at least eight savefiles fit into what the ring"
        " may use; a SIZE that is given and cannot fit is refused. A ring whose open savefile fills"
        " the volume alone rolls over early.",
        group=ROLL,
        savefiles_only=True,
    ),
    Option(
        long="roll-time",
        short="t",
        metavar="TIME",
        parse=partial(units.parse_duration, units="mhd"),
        types=NUMBER_TYPES,
        help="roll over after N seconds; Nm, Nh, Nd: at the full minute, hour, day",
        man="Roll over every N seconds, whether packets arrive or not. Nm, Nh and Nd are aligned"
        " to the minute, the hour and the day of local time: -t 2h started at 13:38 rolls over at"
        " 15:00, then at 17:00. A savefile without packets is not rolled over; its end moves on.",
        group=ROLL,
        savefiles_only=True,
    ),
    Option(
        long="roll-packets",
        metavar="N",
        parse=units.parse_count,
        types=NUMBER_TYPES,
        help="roll over after N packets",
        man="Roll over after N packets. Size, time and packets may be combined: whichever comes"
        " first.",
        group=ROLL,
        savefiles_only=True,
    ),
    Option(
        long="max-files",
        short="m",
        metavar="N",
        parse=units.parse_count,
        types=NUMBER_TYPES,
        help="without -r: write N files, then exit; with -r: keep N files",
        man="Without -r: write N files, then exit. With -r: at most N files exist, the one being"
        " written included.",
        group=RING,
        savefiles_only=True,
    ),
    Option(
        long="ring",
        short="r",
        help="ring buffer: prune the oldest savefiles instead of stopping",
        man="Ring buffer: the oldest savefiles are pruned as the limits below demand, as many as"
        " needed and not one more. The limits may be combined: whichever bites first. They are"
        " held before each new file and on a timer. A full volume prunes the oldest as well.",
        group=RING,
        savefiles_only=True,
    ),
    Option(
        long="max-percent",
        short="M",
        metavar="PCT",
        parse=units.parse_percent,
        types=DECIMAL_TYPES,
        help="with -r: keep the volume, one more file included, at or under PCT used",
        man="With -r: prune until the volume, with one more file of the roll size on it, stays at"
        " or under PCT percent used; 1 to 100.",
        group=RING,
        needs_ring=True,
        savefiles_only=True,
    ),
    Option(
        long="max-bytes",
        metavar="SIZE",
        parse=units.parse_size,
        types=NUMBER_TYPES,
        help="with -r: keep all savefiles together at or under SIZE",
        man="With -r: all savefiles together, the one being written at its full size included,"
        " hold at most SIZE bytes. It cannot be less than a -s that is given.",
        group=RING,
        needs_ring=True,
        savefiles_only=True,
    ),
    Option(
        long="min-free",
        metavar="SIZE|PCT%",
        parse=units.parse_min_free,
        types=NUMBER_TYPES,
        help="with -r: leave this much of the volume free",
        man="With -r: leave SIZE bytes, or PCT percent of the volume, free.",
        group=RING,
        needs_ring=True,
        savefiles_only=True,
    ),
    Option(
        long="max-age",
        metavar="TIME",
        parse=units.parse_age,
        types=NUMBER_TYPES,
        help="with -r: prune what is older than N seconds, Nm, Nh, Nd or Nw",
        man="With -r: prune savefiles last written to more than N seconds ago; Nm, Nh, Nd and Nw"
        " are minutes, hours, days and weeks.",
        group=RING,
        needs_ring=True,
        savefiles_only=True,
    ),
    Option(
        long="prune-run",
        short="z",
        help="prune only savefiles that this run wrote",
        man="Prune only savefiles that this run wrote, not those of earlier runs with the same"
        " prefix.",
        group=RING,
        savefiles_only=True,
    ),
    Option(
        long="archive",
        short="a",
        metavar="DIR",
        types=TEXT_TYPES,
        help="with -r: move pruned savefiles to DIR instead of deleting them",
        man="With -r: move pruned savefiles to the directory DIR, which may be on another file"
        " system, instead of deleting them. Nothing there is ever overwritten. On a full volume"
        " recording goes first: where archiving fails, or frees nothing because DIR is on the same"
        " volume, the oldest savefile is deleted, and that is said.",
        group=RING,
        needs_ring=True,
        savefiles_only=True,
    ),
    Option(
        long="catalog",
        metavar="on|off",
        parse=partial(units.parse_choice, choices=("on", "off")),
        types=TEXT_TYPES,
        default="on with -r",
        help="keep a catalog of the savefiles beside them, for dlctl",
        man="Whether a catalog of the savefiles is kept beside them (PREFIX.catalog, an SQLite"
        " database): what each holds and its SHA-256, what was not recorded and why, and which"
        " spans of time are pinned, which dlctl pin does: their savefiles are not pruned. It is"
        " kept by a process of its own, at the lowest priority; that it is missing, damaged or"
        " locked is said, and recording goes on. dlctl verify --rebuild makes it anew."
        " PREFIX.[0-9]* matches savefiles alone, PREFIX.* the catalog as well.",
        group=RING,
        live_only=True,
        savefiles_only=True,
    ),
    Option(
        long="buffer-memory",
        metavar="SIZE",
        parse=partial(units.parse_size, at_least=1 << 20),
        types=NUMBER_TYPES,
        default="256m",
        help="bytes that may wait for a stalled disk before packets are lost",
        man="How many bytes may wait for the disk. They are allocated as needed. Only when all are"
        " in use are packets lost, and then they are counted and reported.",
        group=MEMORY,
        savefiles_only=True,
    ),
    Option(
        long="direct",
        help="bypass the page cache where the file system can",
        man="Write past the page cache (O_DIRECT). Where the file system refuses, this is said and"
        " writing is buffered.",
        group=MEMORY,
        savefiles_only=True,
    ),
    Option(
        long="tap",
        short="o",
        metavar="IFACE",
        types=LIST_TYPES,
        repeatable=True,
        help="soft tap: send every accepted packet out of IFACE; no savefiles without --tee",
        man="Soft tap: send every packet that the filter accepts out of the interface IFACE. It may"
        " be given several times. No savefiles are written unless --tee is given. What is larger"
        " than the interface's MTU is segmented by the kernel where that is possible; what could"
        " not be sent is counted, by reason. A packet is sent as far as it was captured. Where"
        " offloaded traffic comes at many gigabits a second, -B 256m leaves more time to send it.",
        group=TAP,
    ),
    Option(
        long="tee",
        help="with -o: record into savefiles as well",
        man="With -o: record into savefiles as well.",
        group=TAP,
    ),
    Option(
        long="pace",
        metavar="FACTOR",
        parse=units.parse_factor,
        types=DECIMAL_TYPES,
        absent="1",
        help="with -R and -o: keep the recorded timing, FACTOR times as fast",
        man="With -R and -o: send packets with the timing they were recorded with, or FACTOR times"
        " as fast; without it, as fast as possible.",
        group=TAP,
    ),
    Option(
        long="daemon",
        short="d",
        help="detach once recording has begun; messages go to syslog",
        man="Detach and go on in the background; messages go to syslog, facility daemon. What is"
        " wrong is said before that, with the exit status: the command returns when recording has"
        " begun.",
        group=SERVICE,
    ),
    Option(
        long="pidfile",
        short="p",
        metavar="NAME",
        parse=parse_file_name,
        types=TEXT_TYPES,
        default="daemonlogger.pid",
        help="the name of the PID file, which is written with -d, or when named",
        man="The name of the PID file. It is written with -d, and without it when -p or -P is"
        " given. It is locked: a second instance is refused. At the"
        " end it is removed, or emptied where the user that records may not remove it.",
        group=SERVICE,
    ),
    Option(
        long="pid-dir",
        short="P",
        metavar="DIR",
        types=TEXT_TYPES,
        default="/run",
        help="the directory of the PID file",
        man="The directory of the PID file.",
        group=SERVICE,
    ),
    Option(
        long="user",
        short="u",
        metavar="USER",
        types=NUMBER_TYPES,
        help="run as USER once everything is open; -u alone takes its groups as well",
        man="Run as USER, a name or a number, once everything is open. Without -g, with the login"
        " group of USER and its supplementary groups.",
        group=SERVICE,
    ),
    Option(
        long="group",
        short="g",
        metavar="GROUP",
        types=NUMBER_TYPES,
        help="run as GROUP once everything is open, without any other group",
        man="Run as GROUP, a name or a number, once everything is open, without any other group.",
        group=SERVICE,
    ),
    Option(
        long="chroot",
        short="T",
        metavar="DIR",
        types=TEXT_TYPES,
        help="change the root directory to DIR once everything is open; -l and -a are inside it",
        man="Change the root directory to DIR once everything is open. The directories of -l and"
        " -a, and the filter file when SIGHUP has it read again, are looked for inside DIR.",
        group=SERVICE,
    ),
    Option(
        long="sandbox",
        metavar="on|off",
        parse=partial(units.parse_choice, choices=("on", "off")),
        types=TEXT_TYPES,
        default="on, once privileges are dropped",
        help="have the kernel confine the recorder to its own files (Landlock)",
        man="Whether the kernel confines the recorder to its own directories and sockets"
        " (Landlock). It is on once privileges are dropped; a kernel that cannot do it is"
        " reported, and is an error where it is asked for.",
        group=SERVICE,
    ),
    Option(
        long="on-roll",
        metavar="CMD",
        types=TEXT_TYPES,
        help="run CMD after every sealed savefile, the last one too",
        man="Run CMD after every savefile that is complete, the last one too. CMD is split into"
        " words as a shell would, but no shell runs it. Its environment tells DAEMONLOGGER_FILE,"
        " DAEMONLOGGER_FIRST and DAEMONLOGGER_LAST (times of packets, seconds since 1970),"
        " DAEMONLOGGER_PACKETS, DAEMONLOGGER_BYTES, DAEMONLOGGER_DROPS, DAEMONLOGGER_INTERFACE and"
        " DAEMONLOGGER_WHY. It runs as the user that records, at most 4 at once and each for at"
        " most five minutes, and at the end of the recording for another 30 seconds; its failure is"
        " reported and stops nothing.",
        group=SERVICE,
        savefiles_only=True,
    ),
    Option(
        long="metrics",
        metavar="[ADDR:]PORT",
        parse=units.parse_endpoint,
        types=NUMBER_TYPES,
        help="serve Prometheus metrics there; on loopback unless ADDR is given",
        man="Serve metrics for Prometheus at http://ADDR:PORT/metrics; ADDR is 127.0.0.1 unless"
        " given, an IPv6 address stands in brackets.",
        group=SERVICE,
    ),
    Option(
        long="stats-interval",
        metavar="SECONDS",
        parse=units.parse_interval,
        types=DECIMAL_TYPES,
        help="print the statistics every so often",
        man="Print the statistics every SECONDS seconds, as SIGUSR1 does once.",
        group=MESSAGES,
    ),
    Option(
        long="log-format",
        metavar="text|json",
        parse=partial(units.parse_choice, choices=("text", "json")),
        types=TEXT_TYPES,
        default="text",
        help="messages as lines for people, or one JSON object a line",
        man="Messages as lines for people (text), or one JSON object a line (json).",
        group=MESSAGES,
    ),
    Option(
        long="config",
        metavar="FILE.toml",
        types=TEXT_TYPES,
        help="take options from a TOML file; the command line wins",
        man="Take options from the TOML file FILE.toml. Its keys are the long option names without"
        " dashes in front, besides filter for the filter words; its values are strings, numbers,"
        " or true and false for options that take no value. What the command line says wins,"
        " also where the two exclude each other, as -R and interface do.",
        group=MESSAGES,
        command=True,
    ),
    Option(
        long="list-interfaces",
        help="list the interfaces one can record from, and exit",
        man="List the interfaces one can record from, and exit.",
        group=MESSAGES,
        command=True,
    ),
    Option(
        long="check",
        help="check everything, say what would be done and pruned, and exit",
        man="Check everything: parse, compile the filter, probe the directories and the disk. Say"
        " what would be done and what would be pruned now, and exit.",
        group=MESSAGES,
        command=True,
    ),
    Option(
        long="help",
        short="h",
        help="show this help, and exit",
        man="Show a summary of the options, and exit.",
        group=MESSAGES,
        command=True,
    ),
    Option(
        long="version",
        short="v",
        help="show the versions of daemonlogger, libpcap and Python, and exit",
        man="Show the versions of daemonlogger, libpcap and Python, and exit.",
        group=MESSAGES,
        command=True,
    ),
)

BY_LONG = {option.long: option for option in OPTIONS}
BY_SHORT = {option.short: option for option in OPTIONS if option.short}
