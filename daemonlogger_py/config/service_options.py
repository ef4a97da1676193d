"""Options of ``daemonlogger`` for its soft tap, for its life as a service, and for what it says.

A part of the table in options.py, which has the whole of it.
"""

from functools import partial

from daemonlogger_py.config import units
from daemonlogger_py.config.option import (
    DECIMAL_TYPES,
    LIST_TYPES,
    NUMBER_TYPES,
    TEXT_TYPES,
    Option,
    parse_file_name,
)

TAP = "Soft tap"
SERVICE = "Service"
MESSAGES = "Messages and configuration"
SERVICE_GROUPS = (TAP, SERVICE, MESSAGES)

SERVICE_OPTIONS: tuple[Option, ...] = (
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
