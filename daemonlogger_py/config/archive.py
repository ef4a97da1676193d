"""What the verbs of the archive were asked to do: frozen, validated, and all their readers get.

`config.archive_options` has the options, `config.archive_rules` makes one of these of what was
given on the command line. Nothing here is opened, looked up or compiled. Times are capture time in
nanoseconds since 1970.
"""

from typing import NamedTuple

EXTRACT_MEMORY_BYTES = 256 << 20
"""What `extract` holds of packets that are not in order yet, before it spills to files."""
INDEX_SMALLEST_BYTES = 128 << 10
"""Smaller savefiles get no sidecar: it has 5 KiB at least, and two blocks are read as quickly."""
WATCH_S = 2.0


class Where(NamedTuple):
    """Which savefiles a verb looks at; `paths` and `rings` together, in this order."""

    paths: tuple[str, ...] = ()
    """Savefiles, and directories that stand for every ring and every capture in them."""
    rings: tuple[str, ...] = ()
    """Directories of which only the savefiles PREFIX.EPOCH[.SERIAL] are meant."""
    prefix: str | None = None
    """With `rings`: only savefiles of this prefix; None: of the only one that is there."""
    from_ns: int | None = None
    """Packets before are left out."""
    to_ns: int | None = None
    """So are those at this time and later."""


class ExtractConfig(NamedTuple):
    """One run of ``dlctl extract``."""

    where: Where
    filter_text: str = ""  # pcap-filter(7); "" everything
    output: str = "-"  # file; "-" is standard output
    pcapng: bool = False
    max_packets: int | None = None  # -c: packets given out at most, 1 or more; None: all
    reverse: bool = False  # newest first; never with `follow`
    follow: bool = False  # go on as the ring grows
    stats: bool = False  # what was read and skipped, on standard error
    use_index: bool = True
    index_dir: str | None = None  # where sidecars are; None: PREFIX.index beside the savefiles
    jobs: int | None = None  # threads, 1 or more; None: as many as there are processors for us
    memory_bytes: int = EXTRACT_MEMORY_BYTES


class IndexConfig(NamedTuple):
    """One run of ``dlctl index``."""

    where: Where
    index_dir: str | None = None  # None: PREFIX.index beside the savefiles
    follow: bool = False  # go on as savefiles are sealed, until a signal
    rebuild: bool = False  # also where there is a good one
    jobs: int | None = None  # processes or threads, 1 or more; None: as many as processors
    progress: bool = True  # where standard error is a terminal
    verbose: bool = False  # say what was built, passed over and removed
    smallest_bytes: int = INDEX_SMALLEST_BYTES


class VerifyConfig(NamedTuple):
    """One run of ``dlctl verify``; never both `rebuild` and `repair`."""

    where: Where
    json: bool = False  # a JSON object a savefile
    rebuild: bool = False  # make the catalog anew from the savefiles
    repair: bool = False  # keep the whole records of damaged savefiles
    jobs: int | None = None
    hashes: bool = True  # compare SHA-256 and the chain with the catalog
    indexes: bool = True  # compare the sidecars with their savefiles
    index_dir: str | None = None
    progress: bool = True


class LsConfig(NamedTuple):
    """One run of ``dlctl ls``."""

    where: Where
    json: bool = False  # a JSON object a savefile, and a gap
    gaps: bool = True  # what was not recorded, between the savefiles


class StatusConfig(NamedTuple):
    """One run of ``dlctl status``."""

    ring: str
    prefix: str | None = None  # None: of the only ring that is there
    json: bool = False
    watch_s: float | None = None  # seconds between two looks; None: once


class PinConfig(NamedTuple):
    """One run of ``dlctl pin``; without a span only the quota is set."""

    ring: str
    prefix: str | None = None
    from_ns: int | None = None  # both ends or none
    to_ns: int | None = None
    reason: str = ""
    quota_bytes: int | None = None  # None: as it is; 0: no quota any more


class UnpinConfig(NamedTuple):
    """One run of ``dlctl unpin``."""

    ring: str
    numbers: tuple[int, ...]  # of pins as ``dlctl pins`` shows them; () every pin
    prefix: str | None = None


class PinsConfig(NamedTuple):
    """One run of ``dlctl pins``."""

    ring: str
    prefix: str | None = None
    json: bool = False
