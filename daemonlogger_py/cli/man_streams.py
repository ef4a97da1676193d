"""dlctl-streams(1), from the tables that the parser comes from and what no table knows."""

from daemonlogger_py.cli import roff
from daemonlogger_py.config.stream_options import STREAM_GROUPS, STREAM_OPTIONS
from daemonlogger_py.config.stream_scanners import PARAMETERS, SCANNERS
from daemonlogger_py.config.stream_template import LETTERS, TOKENS

DESCRIPTION = """\
dlctl streams reads packets from savefiles, from the ring of daemonlogger(8) or from an interface,
follows the TCP connections in them, and stores what each direction carried in a file of its own,
in the order of the sender. It takes the options of tcpflow(1), by the same letters, and says in a
report what it found and what is missing.

The filter words, joined by blanks, are a BPF filter as in pcap-filter(7); without them every packet
is taken. Options may stand before and after them; -- ends the options. Where no source is named,
packets are captured from the first interface that libpcap has.

Fragments of IP are put together, VLAN tags and MPLS labels are passed over, and bytes that were not
captured are holes: they read as zeros, and --gaps lists them. A connection is known by its
addresses and ports; a SYN with another sequence number begins the next one of the same addresses.

SIZE is in bytes, or a number and k, m, g or t (powers of 1024). TIME is in seconds since 1970, a
date such as 2024-05-01 or 2024-05-01T14:00:00Z, a time of this day such as 14:00, today, yesterday,
now, or a time ago such as -90m (s, m, h, d or w); local time where no zone is given.
"""

SCANNERS_NOTE = """\
Scanners work on each stream once it is closed. tcpdemux, which stores them, is on in any case: the
others work on what was stored, and are refused where nothing is (-c, -C, -K, -FX, -x tcpdemux, and
-E with another scanner).
"""

HTTP_NOTE = """\
The bodies of HTTP/1 messages, requests and responses alike, go to NAME-HTTPBODY-001.html and so on:
numbered in their order within the stream, with the extension of their content type. They are
decoded unless -Z is given; where that fails, or would take too much, the encoded bytes are kept.
"""

PLUGIN_NOTE = """\
The function of -e python is called in a process of its own, once a stream, with its bytes; what
text it returns goes into the report. A call that fails or takes longer than py_timeout costs its
result alone.
"""

NAMES_NOTE = """\
A name that is taken, also by an earlier run, is counted on: c1, c2 and so on are appended where
%C%c stands, or at the end. Nothing is made outside the output directory, and no stream, capture or
body is ever written over; report.xml and NAME.findx replace what has their name. A slash in the
template begins a directory.
"""

FILES = (
    ("report.xml", "The report, in the words of tcpflow's DFXML; see REPORT."),
    (
        "NAME.findx",
        (
            "A line a segment of a stream: its offset, when it arrived (seconds since 1970) and its"
            " length, with | between; see -I."
        ),
    ),
    ("NAME.pcap", "The packets of a stream; see -K."),
    ("NAME-HTTPBODY-001.html", "What -e http extracted from a stream."),
)

REPORT = """\
The report is XML. It names the program, the machine and the command line, and has an element
fileobject for each stream, with its file, its size and, in the element tcpflow, its addresses,
ports, times, packets and bytes. The attributes are those of tcpflow(1): startime (spelled so) and
endtime, mac_daddr and mac_saddr, family, src_ipn, dst_ipn, srcport, dstport, packets,
out_of_order_count, violations, len and caplen; those in the middle and at the end only where they
say something. Behind them, where they are not zero: gaps and gap_bytes, which were never captured,
and differing_bytes, which were sent twice with different content.

It is a whole document at any time, also while it grows: outcome says running until the end, and
then finished, interrupted (by a signal) or failed: something could not be written. An input that
could not be read to its end changes the exit status alone. What XML cannot hold is written as
\\xHH. Times are cut to microseconds.
"""

SIGNALS = (
    (
        "TERM, INT, HUP",
        (
            "Finish: close all streams, write the report, and exit with status 0. -e http, md5 and"
            " python then have 60 seconds for what is left, and after them the commands of -S"
            " tcp_cmd and http_cmd have 60: those that still run are ended, those that wait are"
            " not run, which is told and makes the status 1. Without a signal all of them are"
            " waited for."
        ),
    ),
)

EXIT_STATUS = (
    ("0", "Done, or finished by a signal."),
    ("1", "A source could not be opened or is damaged, or a file could not be written."),
    ("2", "The command line or the filter is wrong; nothing was opened."),
    (
        "129, 130, 143",
        (
            "Finished by HUP, INT or TERM while whoever reads a pipe took nothing for 5 seconds, or"
            " nobody opened it: what was to go there may end anywhere."
        ),
    ),
)

EXAMPLES = (
    (
        "All streams of a savefile, bodies of HTTP and MD5 too, a thousand a directory:",
        "dlctl streams -a -o out -Fk -r packets.pcap",
    ),
    (
        "What one host sent and received in the last hour, from the ring that a recorder keeps:",
        "dlctl streams -o out --ring /var/pcap --from -1h host 192.0.2.1",
    ),
    (
        "Print what goes over port 25 as it is recorded, in order:",
        "dlctl streams -c --ordered --ring /var/pcap --follow port 25",
    ),
    (
        "Only the report, with every hole:",
        "dlctl streams -FX --gaps -o out -l day1.pcap.gz day2.pcap.gz",
    ),
    (
        "Capture as another user:",
        "dlctl streams -i eth0 -U nobody -o out tcp",
    ),
    (
        "Give each stream to a function of Python:",
        (
            "dlctl streams -r packets.pcap -o out -e python -S py_path=plugins \\\n"
            "    -S py_module=mine -S py_function=look"
        ),
    ),
)

DIFFERENCES = """\
Every option of tcpflow 1.6.1 keeps its letter and meaning, and names, stream files, findx and
report are the same where tcpflow is right. What differs:

Stream files hold what TCP carried: neither the padding of short frames nor bytes of other packets,
and what IP fragments hold. A connection that reuses addresses has files of its own.

-F with an unknown letter, -S with an unknown name, and numbers that are none (-m abc) are refused,
with exit status 2, as are options that would have no effect, such as -e without stored streams.

-Fc numbers all names, c0 being the first, where tcpflow did not end at the third. -T cannot leave
the output directory.

-e python is there, as in tcpflow's man page; netviz and wifiviz are not.

-S tcp_cmd and http_cmd start the command itself; no shell reads it, nor names of files.

-c and -C write a report only with -X. -J tells what was in the packet, and -L works.

-w, -K and -U work with every kind of source. Files are decompressed here, by what is in them.
"""


def streams_page() -> str:
    """Return dlctl-streams(1) as roff with man(7) macros."""
    parameters = [
        (one.name, f"{_sentence(one.help)} (Default: {one.default})") for one in PARAMETERS
    ]
    scanners = [(one.name, _sentence(one.help)) for one in SCANNERS]
    tokens = [(names, _sentence(text)) for names, text in TOKENS]
    letters = [(f"-F{letter}", _sentence(text)) for letter, text in LETTERS]
    lines = [
        *roff.title("DLCTL-STREAMS", 1, "General Commands Manual"),
        *roff.section("NAME", [r"dlctl-streams \- store what TCP connections carried"]),
        *roff.section(
            "SYNOPSIS", [r".B dlctl streams", r".RI [ options ]", r'.RI [ "filter words" " ...]"']
        ),
        *roff.section("DESCRIPTION", roff.paragraphs(DESCRIPTION)),
        ".SH OPTIONS",
        *roff.options(STREAM_GROUPS, STREAM_OPTIONS),
        *roff.section("SCANNERS", roff.paragraphs(SCANNERS_NOTE)),
        *roff.definitions(scanners),
        *[".PP", *roff.filled(HTTP_NOTE), ".PP", *roff.filled(PLUGIN_NOTE)],
        *roff.section("PARAMETERS", [*roff.filled("Of -S NAME=VALUE:")]),
        *roff.definitions(parameters),
        *roff.section("FILE NAMES", [*roff.filled("Of -T, for each stream:")]),
        *roff.definitions(tokens),
        *[".PP", *roff.filled("Of -F:")],
        *roff.definitions(letters),
        *[".PP", *roff.filled(NAMES_NOTE)],
        *roff.section("FILES", roff.definitions(FILES)),
        *roff.section("REPORT", roff.paragraphs(REPORT)),
        *roff.section("SIGNALS", roff.definitions(SIGNALS)),
        *roff.section("EXIT STATUS", roff.definitions(EXIT_STATUS)),
        *roff.section("EXAMPLES", roff.examples(EXAMPLES)),
        *roff.section("DIFFERENCES FROM TCPFLOW", roff.paragraphs(DIFFERENCES)),
        *roff.see_also("dlctl(1)", "daemonlogger(8)", "pcap-savefile(5)", "pcap-filter(7)"),
    ]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
