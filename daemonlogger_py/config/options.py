"""The one table of daemonlogger's options.

The parser and ``--help`` (`cli.daemonlogger`), the man page (`cli.man`) and the accepted TOML keys
(`config.resolve`) all come from `OPTIONS`; nothing else knows an option's name, letter or help. The
field of RecorderConfig is the long name with ``_`` for ``-``, save for the few in `config.resolve`.
"""

from functools import partial

from daemonlogger_py.config import units
from daemonlogger_py.config.option import (
    DECIMAL_TYPES,
    NUMBER_TYPES,
    TEXT_TYPES,
    Option,
    parse_prefix,
)
from daemonlogger_py.config.service_options import SERVICE_GROUPS, SERVICE_OPTIONS

MAX_SNAPLEN = 262_144  # libpcap's MAXIMUM_SNAPLEN, beyond which readers call a record damaged
MAX_KERNEL_BUFFER = (1 << 31) - 1  # pcap_set_buffer_size() takes an int

# pcap_tstamp_type_name_to_val(3); whether the interface has it is known when it is opened.
TSTAMP_TYPES = (
    "host",
    "host_lowprec",
    "host_hiprec",
    "adapter",
    "adapter_unsynced",
    "host_hiprec_unsynced",
)

SOURCE = "Source"
FILES = "Savefiles"
ROLL = "Roll-over"
RING = "Ring buffer"
MEMORY = "Memory and disk"
GROUPS = (SOURCE, FILES, ROLL, RING, MEMORY, *SERVICE_GROUPS)

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
        " the volume alone rolls over early, until there is room again.",
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
        default="on with -r, of an interface",
        help="keep a catalog of the savefiles beside them, for dlctl",
        man="Whether a catalog of the savefiles is kept beside them (PREFIX.catalog, an SQLite"
        " database): what each holds and its SHA-256, what was not recorded and why, and which"
        " spans of time are pinned, which dlctl pin does: their savefiles are not pruned. It is"
        " kept by a process of its own, at the lowest priority; that it is missing, damaged or"
        " locked is said, and recording goes on. A recorder that keeps none heeds the pins of an"
        " earlier PREFIX.catalog as they are at its start; those made while it runs are not seen."
        " dlctl verify --rebuild makes it anew. PREFIX.[0-9]* matches savefiles, and what a repair"
        " keeps beside them, PREFIX.* the catalog as well.",
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
    *SERVICE_OPTIONS,
)

BY_LONG = {option.long: option for option in OPTIONS}
BY_SHORT = {option.short: option for option in OPTIONS if option.short}
