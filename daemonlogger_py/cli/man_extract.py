"""dlctl-extract(1), dlctl-index(1) and dlctl-verify(1): what no table knows."""

from daemonlogger_py.cli.man_archive import PATHS, USAGE_STATUS
from daemonlogger_py.cli.man_pages import Page, Section

EXTRACT = Page(
    verb="extract",
    name="write the packets that match a filter",
    words=[r'.RI [ "filter words" " ...]"'],
    description="""\
dlctl extract writes the packets of savefiles that match a filter, in the order of time: exactly
those that scanning all of the savefiles would give, equal ones each time they were recorded. Of a
savefile that is being written it takes all up to its last whole record.

The filter words, joined by blanks, are a BPF filter as in pcap-filter(7); without them every packet
is taken. Options may stand before and after them; -- ends the options.

Where dlctl index has made an index, only those parts of savefiles are read that may hold a packet
that matches; the filter itself decides about each packet that is read, so the result is the same
with and without. Any filter will do. What asks for something that no index holds, such as a length
or a flag of TCP, is answered by a scan, on all processors.

What is read is also read while a recorder goes on: savefiles that are being read are pruned last,
and one that was pruned meanwhile is named; one that was compressed meanwhile is read as it is.
Where --follow is too slow for a ring, it says that savefiles were pruned before it could read them,
and how many where the catalog knows. Whatever was not recorded of the span is told on standard
error, so that nothing found and nothing recorded are not the same answer.
""",
    sections=(
        Section(
            "OUTPUT",
            """\
pcap, in the byte order of this machine, with microseconds, or nanoseconds where a savefile that is
read has them; pcapng with --pcapng. Savefiles of several linktypes go into pcapng alone.

Packets with the same time come in the order of the savefiles, and of one savefile in its own.
Memory is bounded by --memory, whatever the size of the rings and of the result.

Ended early by a signal, it is a whole file of the packets so far; only where whoever reads a pipe
takes nothing more for 5 seconds, it may end within a packet.
""",
        ),
    ),
    exit_status=(
        ("0", "Done, also where no packet matched."),
        (
            "1",
            (
                "A savefile could not be read, with --follow also because it was pruned before, or"
                " the output could not be written."
            ),
        ),
        ("2", "The command line or the filter is wrong, or there is no such ring."),
        (
            "130, 143",
            (
                "Ended by Ctrl-C, or by TERM: the output is whole, and the first part of all that"
                " matches. With --follow, which only ends so, the status is 0, unless the reader"
                " of a pipe held it up."
            ),
        ),
    ),
    examples=(
        (
            "What two hosts said to each other in the last hour:",
            (
                "dlctl extract --ring /var/pcap --from -1h -w out.pcap \\\n"
                "    host 192.0.2.1 and host 192.0.2.7"
            ),
        ),
        (
            "The newest ten packets of a port, on the terminal:",
            "dlctl extract --ring /var/pcap --reverse -c 10 port 53 | tcpdump -nr -",
        ),
        (
            "DNS of two rings as it is recorded:",
            "dlctl extract --ring /pcap/a --ring /pcap/b --follow udp port 53 | tshark -r -",
        ),
        (
            "What the index spares:",
            "dlctl extract -r /var/pcap --stats -w web.pcap tcp port 80",
        ),
    ),
    see_also=("dlctl-index(1)", "dlctl-ls(1)", "tcpdump(1)", "pcap-filter(7)"),
)

INDEX = Page(
    verb="index",
    name="make the index that dlctl extract is fast by",
    words=PATHS,
    description="""\
dlctl index reads savefiles once and writes a small file for each, which says in which blocks of the
savefile each flow has packets: by addresses, ports, protocol and VLAN, those inside tunnels too.
It takes some percent of the size of a savefile of a few hundred KiB and 1 to 2 percent of a larger
one, less of bulk transfers; small ones have none (see --smallest).

An index is checked before it is believed, and a savefile without one, or with one that is damaged
or of another version, is scanned: no answer depends on it, it can be removed and made again at any
time. Savefiles that have a good one are passed over, as are those still being written; what belongs
to a savefile that was pruned is removed.

A PATH is a savefile, or a directory, which stands for every ring and every savefile in it. Only the
classic pcap format is indexed. No privilege is needed beyond reading the savefiles and writing to
the directory of the index, and it works at the lowest priority; the unit
daemonlogger-index@.service runs it beside a recorder.
""",
    sections=(
        Section(
            "FILES",
            "",
            (
                (
                    "PREFIX.index/SAVEFILE.npz",
                    (
                        "The index of one savefile, beside it unless --index-dir says otherwise: a"
                        " ZIP archive of columns, which numpy.load reads too."
                    ),
                ),
            ),
        ),
    ),
    exit_status=(
        ("0", "Done; with --follow, ended by a signal."),
        ("1", "A savefile could not be read, or an index could not be written."),
        USAGE_STATUS,
    ),
    examples=(
        ("All of a ring, now:", "dlctl index /var/pcap"),
        ("And from now on, as a service:", "systemctl enable --now daemonlogger-index@eth0"),
    ),
    see_also=("dlctl-extract(1)", "dlctl-verify(1)"),
)

VERIFY = Page(
    verb="verify",
    name="check savefiles, catalog and index; rebuild, repair",
    words=PATHS,
    description="""\
dlctl verify walks every record of savefiles and prints one line a savefile: its name, packets,
first and last time, and whether it is whole or what is wrong with it, with the byte offset where
the damage begins. Where the ring has a catalog, the SHA-256 of each sealed savefile is compared
with it, and the chain of these with itself, so that a savefile that was altered, replaced or
removed other than by pruning is found; where there is an index, it is compared with its savefile.
The catalog itself is checked row by row.

A PATH is a savefile, or a directory, which stands for every ring and every savefile in it, not for
those in directories below. Only the classic pcap format is verified; any other counts as a failure.
A savefile that its recorder is writing may end within a record, which is no fault of it.

Nothing is changed without --rebuild or --repair.
""",
    exit_status=(
        ("0", "Every savefile is whole, and nothing else is wrong."),
        ("1", "Something is damaged, unreadable, altered or missing, or not classic pcap."),
        USAGE_STATUS,
    ),
    examples=(
        ("Everything in a ring:", "dlctl verify /var/pcap"),
        (
            "Only whether records are whole, of the last day:",
            "dlctl verify --no-hashes --no-indexes --ring /var/pcap --from -1d",
        ),
        ("A catalog for savefiles that have none:", "dlctl verify --rebuild --ring /var/pcap"),
    ),
    see_also=("dlctl-ls(1)", "pcap-savefile(5)"),
)
