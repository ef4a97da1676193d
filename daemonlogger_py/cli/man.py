"""The man pages, from the tables the parsers come from: daemonlogger(8), dlctl(1) and its verbs'.

``python -m daemonlogger_py.cli.man`` prints the first, with ``dlctl``, ``dlctl-ls`` and so on
behind it another, and with ``--list`` the names of all; a test holds the files in ``man/`` to what
is printed. What no table knows (signals, files, examples) is written here, and for dlctl's verbs in
`cli.man_streams`, `cli.man_archive` and `cli.man_extract`.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from daemonlogger_py.cli import man_archive, man_extract, man_pages, man_streams, outcome, roff
from daemonlogger_py.cli.dlctl import VERBS
from daemonlogger_py.config.options import GROUPS, OPTIONS
from daemonlogger_py.errors import UsageError

DESCRIPTION = """\
daemonlogger records packets from a network interface into savefiles (pcap files). It rolls over
to the next file by size, time or number of packets, and with -r keeps a ring of them: the oldest
are pruned as limits on files, bytes, age or the volume demand.

The filter words, joined by blanks, are a BPF filter as in pcap-filter(7); without them every
packet is recorded. Options may stand before and after them; -- ends the options.

SIZE is in bytes, or a number and k, m, g or t (powers of 1024). TIME is in seconds, or a number
and m, h or d.

The disk is never waited for: packets are kept in memory (see --buffer-memory) while it is busy.
What was received, dropped and lost is counted and told at the end.
"""

SIGNALS = (
    (
        "TERM, INT, QUIT",
        "Finish: write what was captured, close the savefile, print the statistics, exit.",
    ),
    ("HUP", "Roll over now, and read the filter file again."),
    ("USR1", "Print the statistics."),
)

FILES = (
    (
        "PREFIX.EPOCH",
        (
            "A savefile. EPOCH is the second, since 1970, in which it was opened, or with -R that"
            " of its first packet. It is created with mode 0640, less what umask takes away."
        ),
    ),
    (
        "/run/daemonlogger.pid",
        "The PID file of -d; see -p and -P.",
    ),
    (
        "PREFIX.EPOCH.SERIAL",
        (
            "A further savefile of the same second: .001, .002 and so on. No file is ever"
            " overwritten. The order of savefiles is that of EPOCH and SERIAL as numbers."
        ),
    ),
    (
        "PREFIX.catalog",
        (
            "The catalog of a ring, an SQLite database with PREFIX.catalog-wal and"
            " PREFIX.catalog-shm, PREFIX.catalog-pages and PREFIX.catalog-end, see dlctl(1): what"
            " is in each savefile, what was not recorded, and what is pinned. It is kept by a"
            " process of its own; recording does not depend on it."
        ),
    ),
    (
        "PREFIX.socket",
        "The socket by which dlctl-status(1) asks how the recording goes.",
    ),
)

FILES_NOTE = """\
Only regular files in the log directory that are named exactly so are counted and pruned, those of
earlier runs included, with what dlctl-verify(1) keeps beside one that it repaired
(SAVEFILE.damaged, .SAVEFILE.repairing); links and directories are left alone.
"""

EXIT_STATUS = (
    ("0", "Done, or finished by a signal."),
    (
        "1",
        "Failed while running: the source could not be opened or is damaged, the volume is full.",
    ),
    ("2", "The command line, the configuration file or the filter is wrong; nothing was opened."),
)

EXAMPLES = (
    (
        "A ring of five files of a million bytes:",
        "daemonlogger -i eth0 -S 1515 -s 1000000 -m 5 -r -l /var/pcap -n uplink",
    ),
    (
        "All DNS traffic, a file each full hour, at most 65 percent of the volume used:",
        "daemonlogger -i eth0 -t 1h -M 65 -r -l /var/pcap port 53",
    ),
    (
        "Keep a week, but leave 15 percent free in any case; pruned files go elsewhere:",
        "daemonlogger -i eth0 -r --max-age 7d --min-free 15% -l /var/pcap -a /mnt/old",
    ),
    (
        "Pick the packets of one host out of a savefile, in pieces of 100 MiB:",
        "daemonlogger -R big.pcap -s 100m -n web host 192.0.2.1",
    ),
    (
        "The first as a service that gives its privileges up, with metrics for Prometheus:",
        (
            "daemonlogger -d -u nobody -g nogroup -i eth0 -r -m 5 -s 1000000 -l /var/pcap"
            " --metrics 9100"
        ),
    ),
    (
        "Only ICMP, sent on to an interface where a sensor listens, each packet at once:",
        "daemonlogger -F -i eth0 -o eth1 icmp",
    ),
    (
        "A savefile sent out again with the timing it was recorded with, twice as fast:",
        "daemonlogger -R incident.pcap -o eth1 --pace 2",
    ),
    (
        "Compress each savefile once it is complete:",
        "daemonlogger -i eth0 -t 1h -l /var/pcap --on-roll 'sh -c \"gzip $DAEMONLOGGER_FILE\"'",
    ),
    (
        "The first of these as a configuration file, used with --config uplink.toml:",
        (
            'interface = "eth0"\nsnaplen = 1515\nroll-size = 1000000\nmax-files = 5\nring = true\n'
            'log-dir = "/var/pcap"\nprefix = "uplink"'
        ),
    ),
)

ENVIRONMENT = (
    (
        "NOTIFY_SOCKET, WATCHDOG_USEC",
        (
            "Set by systemd: it is told when recording has begun, how it goes, and when it ends;"
            " the watchdog is fed only while what was captured reaches the disk."
        ),
    ),
)

DIFFERENCES = """\
Every option here that daemonlogger 1.2.1 has keeps its letter and meaning. These differ:

A name is never used twice, also not while what it was given to is there as NAME.gz, .bz2, .xz,
.lzma, .zst or .zip. Two roll-overs in one second of the original overwrote the first file.

Roll-over by time and all signals act at once, also when no packet arrives.

Only files named exactly PREFIX.EPOCH or PREFIX.EPOCH.SERIAL are pruned, where the original took
any file whose name contains the prefix, and as many as needed, where it took one.

-m with -r counts the file being written.

-a moves pruned files, where the original ignored it. HUP rolls over, where it restarted, and
works after privileges were dropped.

-o counts what could not be sent, by reason; larger frames than the interface takes are segmented.

-d returns once recording has begun; what is wrong is said before, with the exit status. -T: the
log directory is looked for inside the new root, as in the original.

A full volume is an error (exit status 1) without -r, and prunes with it.

Nonsense on the command line is refused before anything is opened, with exit status 2.
"""

VERB_PAGES = (
    man_archive.LS,
    man_archive.STATUS,
    man_archive.PIN,
    man_archive.UNPIN,
    man_archive.PINS,
    man_extract.EXTRACT,
    man_extract.INDEX,
    man_extract.VERIFY,
)

READER_DESCRIPTION = """\
dlctl reads what daemonlogger(8) recorded, one verb a question. It reads savefiles as they are,
plain pcap, and a ring also while it is being written; it needs no privilege but to read them.

What dlctl needs to be quick is beside the savefiles: the catalog that the recorder keeps, and the
index that dlctl index makes. Both are conveniences: missing or damaged, every answer is the same,
it only takes longer, and both can be made again from the savefiles.

Without --json, lines and tables are for people. Times that are printed are UTC.
"""

READER_FILES = (
    ("PREFIX.EPOCH, PREFIX.EPOCH.SERIAL", "The savefiles of a ring."),
    (
        "PREFIX.catalog",
        (
            "The catalog of the ring, an SQLite database: savefiles with times, counts and SHA-256,"
            " runs of the recorder, what was not recorded, and pins. PREFIX.catalog-wal,"
            " PREFIX.catalog-shm and PREFIX.catalog-pages belong to it; PREFIX.catalog-end says how"
            " a recording ended whose catalog was not kept to the end."
        ),
    ),
    ("PREFIX.socket", "The socket by which a recorder is asked for its status."),
    ("PREFIX.index", "The directory of the index."),
)

READER_STATUS = (
    ("0", "Done; of verify: everything is as it should be."),
    ("1", "Failed while running, or something that was looked at is damaged or not there."),
    ("2", "The command line is wrong, or there is no such ring."),
    ("130", "Ended by Ctrl-C."),
)

READER_EXAMPLES = (
    ("What is in a ring, and what is missing:", "dlctl ls /var/pcap"),
    ("How long until its oldest savefile is pruned:", "dlctl status /var/pcap"),
    (
        "One conversation of the last hour:",
        (
            "dlctl extract --ring /var/pcap --from -1h -w out.pcap \\\n"
            "    host 192.0.2.1 and port 443"
        ),
    ),
    ("Whether all of it is still what was recorded:", "dlctl verify /var/pcap"),
)


def recorder_page() -> str:
    """Return daemonlogger(8) as roff with man(7) macros."""
    lines = [
        *roff.title("DAEMONLOGGER", 8, "System Manager's Manual"),
        *roff.section(
            "NAME", [r"daemonlogger \- record packets into a row or a ring of savefiles"]
        ),
        *roff.section(
            "SYNOPSIS", [r".B daemonlogger", r".RI [ options ]", r'.RI [ "filter words" " ...]"']
        ),
        *roff.section("DESCRIPTION", roff.paragraphs(DESCRIPTION)),
        ".SH OPTIONS",
    ]
    lines += roff.options(GROUPS, OPTIONS)
    lines += roff.section("SIGNALS", roff.definitions(SIGNALS))
    lines += roff.section("FILES", [*roff.definitions(FILES), ".PP", *roff.filled(FILES_NOTE)])
    lines += roff.section("ENVIRONMENT", roff.definitions(ENVIRONMENT))
    lines += roff.section("EXIT STATUS", roff.definitions(EXIT_STATUS))
    lines += roff.section("EXAMPLES", roff.examples(EXAMPLES))
    lines += roff.section("DIFFERENCES FROM THE ORIGINAL", roff.paragraphs(DIFFERENCES))
    lines += roff.see_also("dlctl(1)", "tcpdump(1)", "pcap-savefile(5)", "pcap-filter(7)")
    return "\n".join(lines) + "\n"


def reader_page() -> str:
    """Return dlctl(1) as roff with man(7) macros."""
    pages = [f"dlctl-{verb.name}(1)" for verb in VERBS]
    lines = [
        *roff.title("DLCTL", 1, "General Commands Manual"),
        *roff.section("NAME", [r"dlctl \- answer questions about what daemonlogger recorded"]),
        *roff.section("SYNOPSIS", [r".B dlctl", r".I verb", r".RI [ options ]", ".RI ..."]),
        *roff.section("DESCRIPTION", roff.paragraphs(READER_DESCRIPTION)),
        ".SH VERBS",
    ]
    for verb in VERBS:
        text = f"{verb.man} See dlctl-{verb.name}(1)."
        lines += [".TP", f".B {verb.name}", *roff.paragraphs(text, between=".IP")]
    lines += roff.section("FILES", roff.definitions(READER_FILES))
    lines += roff.section("EXIT STATUS", roff.definitions(READER_STATUS))
    lines += roff.section("EXAMPLES", roff.examples(READER_EXAMPLES))
    lines += roff.see_also(*pages, "pcap-savefile(5)", "pcap-filter(7)", "daemonlogger(8)")
    return "\n".join(lines) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "daemonlogger": recorder_page,
    "dlctl": reader_page,
    "dlctl-streams": man_streams.streams_page,
    **{f"dlctl-{page.verb}": partial(man_pages.rendered, page) for page in VERB_PAGES},
}


def main(argv: list[str] | None = None) -> int:
    """Print the page that `argv` names, or daemonlogger(8)."""
    names = sys.argv[1:] if argv is None else argv
    return outcome.run("man", lambda: _print(names or ["daemonlogger"]))


def _print(names: Sequence[str]) -> int:
    if list(names) == ["--list"]:
        outcome.write_out("\n".join(PAGES))
        return 0
    if len(names) != 1 or names[0] not in PAGES:
        raise UsageError(
            f"{' '.join(names)!r} is not accepted; accepted: nothing or one of {', '.join(PAGES)}"
        )
    outcome.write_out(PAGES[names[0]]().removesuffix("\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
