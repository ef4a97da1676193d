"""dlctl-ls(1), dlctl-status(1), dlctl-pin(1) and those beside it: what no table knows of them."""

from daemonlogger_py.cli.man_pages import Page, Section

PATHS = [r'.RI [ PATH " ...]"']
DIR = [r".RI [ DIR ]"]
USAGE_STATUS = ("2", "The command line is wrong, or there is no such ring.")

LS = Page(
    verb="ls",
    name="list savefiles, and what was not recorded",
    words=PATHS,
    description="""\
dlctl ls prints one line a savefile, oldest first, with what the catalog of its ring knows, and one
line for each time in which nothing, or not everything, was recorded, at its place between them. The
last line has the totals. On a terminal it is a table in colours; otherwise columns are aligned by
blanks, numbers are plain, and "-" stands for what is not known or is not there.

A PATH is a savefile, or a directory, which stands for every ring and every savefile in it, not for
those in directories below. What has another name there than PREFIX.EPOCH[.SERIAL], as
compressed savefiles, comes behind the rings. No savefile is walked: of one that the catalog does
not know, or that was changed since, there is no more than its name and its size. dlctl verify
--rebuild makes the catalog know it.

Names that a terminal might obey are quoted and escaped.
""",
    sections=(
        Section(
            "COLUMNS",
            "Of a savefile:",
            (
                ("savefile", "Its name; its path where several directories are listed."),
                (
                    "state",
                    (
                        "sealed: complete. open: being written. recovered: a recorder was killed"
                        " while it wrote it, and the next one cut an unfinished record off."
                        " unknown: the catalog does not know it."
                    ),
                ),
                (
                    "from, to",
                    (
                        "When its earliest and its latest packet were received. Of one that is"
                        " damaged, or of another format, that is not known, as note says: there may"
                        " be more packets in it than those that are counted."
                    ),
                ),
                ("packets, bytes", "How many packets are in it, and how large the file is."),
                (
                    "drops",
                    (
                        "Packets that the kernel dropped and that the recorder lost while it was"
                        " open."
                    ),
                ),
                ("pinned", "Numbers of the pins that hold it; see dlctl-pins(1)."),
            ),
        ),
        Section(
            "GAPS",
            """\
A line with the state gap is about a time; in the first column is its kind in parentheses, under
drops how many packets were missed where they were counted, and under note what is known besides.
""",
            (
                ("stopped", "No recorder ran; note says what ended the last one."),
                ("crashed", "No recorder ran, and the last one had no time to say why."),
                ("dropped", "The kernel dropped packets."),
                ("lost", "The recorder lost packets that it had been given."),
                ("disk_stalled", "The disk did not take what was written."),
                ("disk_full", "The volume was full."),
                ("interface_down", "The interface was down or gone."),
                (
                    "clock_stepped",
                    "The clock was set: times before and after do not go together.",
                ),
                ("unknown", "Why is not known."),
            ),
        ),
    ),
    exit_status=(
        ("0", "Done."),
        ("1", "A PATH is not there, or cannot be read."),
        USAGE_STATUS,
    ),
    examples=(
        ("What is in a ring, and what is missing:", "dlctl ls /var/pcap"),
        ("Of the last hour, for another program:", "dlctl ls --json --ring /var/pcap --from -1h"),
        (
            "Savefiles in which packets were dropped:",
            "dlctl ls --no-gaps /var/pcap | awk '$7 + 0 > 0'",
        ),
    ),
    see_also=("dlctl-status(1)", "dlctl-verify(1)", "dlctl-extract(1)"),
)

STATUS = Page(
    verb="status",
    name="show how a recorder is doing",
    words=DIR,
    description="""\
dlctl status asks the recorder of the ring in DIR how it is doing and prints its answer: since when
it runs, what it received, dropped and lost, the rates of the last seconds, how much of its buffers
is in use, the savefile being written, the ring, the volume and its limits. Time left is how long it
will be, at the present rate, until the oldest savefile is pruned.

The recorder answers through a socket in DIR, for which the right to write to that socket is
needed. Without a recorder, or with one that was started with --catalog off, there is nobody to ask:
what savefiles and catalog still tell is shown, when the last recorder ended and why.
""",
    exit_status=(
        ("0", "A recorder answered; with --watch, ended by Ctrl-C."),
        ("1", "No recorder answered."),
        USAGE_STATUS,
    ),
    examples=(
        ("Once:", "dlctl status /var/pcap"),
        ("Again every five seconds:", "dlctl status --watch 5 /var/pcap"),
        ("Packets dropped so far:", "dlctl status --json /var/pcap | jq .dropped"),
    ),
    sections=(
        Section(
            "FILES",
            "",
            (("PREFIX.socket", "The socket by which the recorder is asked, in DIR."),),
        ),
    ),
    see_also=("dlctl-ls(1)",),
)

PIN = Page(
    verb="pin",
    name="keep a span of time from being pruned",
    words=DIR,
    description="""\
dlctl pin notes in the catalog of the ring in DIR that the savefiles of a span of time are to be
kept: the recorder, which learns of it within seconds, prunes others in their place. When pins alone
fill its limits, it says so, and goes on over them while the volume has room.

A pin holds each savefile whole that may have packets of the span. Which savefiles these are is
told, and what all pins hold together; a pin by which they would hold more than the quota is
refused. What a pin comes to hold later, as the time that it is for comes, is not cut back. The
right to write to the catalog is needed, and no recorder has to run.
""",
    exit_status=(
        ("0", "Pinned, or the quota is set."),
        ("1", "The catalog is missing, damaged, locked or not writable."),
        ("2", "The command line is wrong, or the quota would be exceeded; nothing was pinned."),
    ),
    examples=(
        (
            "What was recorded around an alert:",
            (
                "dlctl pin /var/pcap --from 2026-11-21T14:00:00Z --to 2026-11-21T14:10:00Z \\\n"
                "    --reason 'alert 4711'"
            ),
        ),
        (
            "The last ten minutes and the next five:",
            "dlctl pin /var/pcap --from -10m --to \"$(date -d +5min +%s)\" --reason 'port scan'",
        ),
        ("At most 50 GiB for all pins:", "dlctl pin /var/pcap --quota 50g"),
    ),
    see_also=("dlctl-pins(1)", "dlctl-unpin(1)", "dlctl-ls(1)"),
)

UNPIN = Page(
    verb="unpin",
    name="remove pins",
    words=[r".RI [ DIR ]", r'.RI [ NUMBER " ...]"'],
    description="""\
dlctl unpin removes pins of the ring in DIR, by the numbers that dlctl pins shows, all of them or,
if one is not there, none. Savefiles that no other pin holds are pruned again as limits demand.
""",
    exit_status=(
        ("0", "Removed."),
        ("1", "The catalog is missing, damaged, locked or not writable."),
        ("2", "The command line is wrong, or there is no such pin; nothing was removed."),
    ),
    examples=(
        ("Two of them:", "dlctl unpin /var/pcap 3 4"),
        ("Every one:", "dlctl unpin /var/pcap --all"),
    ),
    see_also=("dlctl-pin(1)", "dlctl-pins(1)"),
)

PINS = Page(
    verb="pins",
    name="show pins",
    words=DIR,
    description="""\
dlctl pins prints one line a pin of the ring in DIR: its number, the span, how many savefiles it
holds and their size, when it was made, and its reason. The last line says what all pins hold
together, each savefile counted once, and the quota.
""",
    exit_status=(
        ("0", "Done."),
        ("1", "The catalog is missing or damaged."),
        USAGE_STATUS,
    ),
    examples=(("The pins of a ring:", "dlctl pins /var/pcap"),),
    see_also=("dlctl-pin(1)", "dlctl-unpin(1)"),
)
