"""What ``dlctl streams`` was asked to do: frozen, validated, and all that its reader is given.

`config.stream_options` has the options, `config.stream_rules` makes a StreamsConfig of what was
given on the command line. Nothing here is opened, looked up or compiled.
"""

from typing import NamedTuple

NAME_TEMPLATE = "%A.%a-%B.%b%V%v%C%c"  # of tcpflow(1)
SKIP_BYTES = 16_777_216  # tcpflow's -m
MAX_FLOWS = 1_000_000
MEMORY_BYTES = 1 << 30
PLUGIN_TIMEOUT_S = 60.0


class Console(NamedTuple):
    """How packets are printed on standard output instead of being stored."""

    names: bool = True  # the stream's name before each; -C: without
    raw: bool = False  # -B: bytes as they are, else "." for what is not printable
    hex: bool = False  # -D; wins over raw
    colour: bool = False  # -g
    newline: bool = True  # -0: no line end behind each packet
    json: bool = False  # -J, --json: a JSON object a packet
    ordered: bool = False  # --ordered: in the order of the stream, once each, not as they arrive
    semaphore: str | None = None  # -L: POSIX semaphore held while one packet is printed


class Plugin(NamedTuple):
    """The Python function that is given each closed stream's bytes (-e python)."""

    path: str  # directory put before sys.path; "" none
    module: str
    function: str
    timeout_s: float = PLUGIN_TIMEOUT_S  # one call; a longer one is ended and costs its result


class StreamsConfig(NamedTuple):
    """One run of ``dlctl streams``. Times are capture time; ``_ns`` counts from 1970 or is a span.

    Exactly one of (`files` or `completing`), `ring` and `interface` says where packets come from.
    """

    # Source
    files: tuple[str, ...] = ()  # -r, -l in the order given; "-" is standard input
    completing: tuple[str, ...] = ()  # -R: read behind `files`; open no flow
    interface: str | None = None  # -i; "" is libpcap's first device
    ring: str | None = None  # directory of a recorder's ring
    prefix: str | None = None  # of the savefiles in it; None: whatever is there
    from_ns: int | None = None  # packets before are not read
    to_ns: int | None = None  # nor those at this time or behind it
    follow: bool = False  # go on as the ring grows
    filter_text: str = ""  # pcap-filter(7); "" everything
    promiscuous: bool = True
    user: str | None = None  # -U: whose privileges to go on with
    chroot: str | None = None

    # Streams
    skip_bytes: int = SKIP_BYTES  # -m: a jump of more begins another stream
    max_bytes: int | None = None  # -b: bytes of each stream that are kept; None: all
    idle_ns: int = 0  # -S tcp_timeout: streams idle for longer are closed; 0: never
    tunnels: bool = False
    policy: str = "last"  # "last" or "first": which bytes win where an overlap differs
    max_flows: int = MAX_FLOWS
    memory_bytes: int = MEMORY_BYTES
    purge: bool = True  # -P: flows that ended stay in the table
    tdelta_ns: int = 0  # -S tdelta: added to all times that are told

    # Output
    outdir: str = "."
    template: str = NAME_TEMPLATE  # -T, tcpflow's tokens
    bins: str = ""  # letters of "tTkmg" of -F, each put before the name in turn, left to right
    always_count: bool = False  # -Fc
    store: bool = True  # stream files are written
    max_open_files: int | None = None  # -f; None: as many as the system lets us
    findx: bool = False  # -I
    report: str | None = "./report.xml"  # None: none is written
    report_streams: bool = True  # it has a row for each stream
    gaps: bool = False  # holes are listed in report and findx
    json: bool = False  # a JSON object a closed stream on standard output
    flow_pcaps: bool = False  # -K
    unprocessed: str | None = None  # -w
    console: Console | None = None

    # Post-processing
    md5: bool = False
    http: bool = False
    decompress: bool = True  # -Z: bodies are left compressed
    man_names: bool = False  # bodies are named as tcpflow's man page says
    plugin: Plugin | None = None
    tcp_command: tuple[str, ...] = ()  # run with each closed stream's file as its last argument
    http_command: tuple[str, ...] = ()  # ... with each body's
    tcp_alert_fd: int | None = None  # open\tFILE and close\tFILE are written to it
    http_alert_fd: int | None = None

    # Messages
    progress: bool = True  # where standard error is a terminal
    verbosity: int = 1  # -d; 0: silent; -v: 10
    quiet: bool = False  # -q: no warnings
    command_line: tuple[str, ...] = ()  # as it was given, for the report
