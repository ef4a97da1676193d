"""The rows of a ring's catalog: what they hold, and how they become columns and links of a chain.

Pure: nothing here knows of SQLite or of files. What is done with rows is `catalog`'s, the tables
they stand in are `catalog_schema`'s.
"""

from typing import Any, NamedTuple, Self

GENESIS = bytes(32)
"""What the first link of a chain has in the place of the one before it."""
END_NS = (1 << 63) - 1
"""Latest time a column holds; a pin up to here has no end."""
LARGEST = END_NS
"""Largest epoch and serial a column holds; savefiles beyond all share it."""

OPEN, SEALED, RECOVERED, ARCHIVED = "open", "sealed", "recovered", "archived"
STATES = (OPEN, SEALED, RECOVERED, ARCHIVED)

GAP_KINDS = (
    "stopped",
    "crashed",
    "dropped",
    "lost",
    "disk_stalled",
    "disk_full",
    "interface_down",
    "clock_stepped",
    "unknown",
)

Columns = tuple[int | str | bytes | None, ...]


class Entry(NamedTuple):
    """One savefile. Times are ns since 1970; None: not known, or there is none."""

    name: str
    epoch: int
    serial: int
    state: str  # one of STATES
    size_bytes: int  # as stat(2) said when the row was written, as
    modified_ns: int  # is this: a row is believed as long as both are still so
    packets: int = 0  # if it was not `walked`, those before what is no record
    first_ns: int | None = None  # of its EARLIEST packet
    last_ns: int | None = None  # of its LATEST one
    ordered: bool = True  # times never go back from one record to the next
    opened_ns: int | None = None
    sealed_ns: int | None = None
    dropped: int = 0  # by the kernel while it was open
    lost: int = 0  # by the recorder
    why: str | None = None  # it was closed
    sha256: bytes | None = None  # of the whole file
    position: int | None = None  # in the chain, from 1
    previous_chain: bytes | None = None
    chain: bytes | None = None
    run: int | None = None  # number of the Run that wrote it
    linktype: int = 0  # as in the file's header
    snaplen: int = 0
    nanosecond: bool = False

    @property
    def walked(self) -> bool:
        """Whether its records were, to the end of the file.

        Of one that is damaged, or not the classic format, no packet's time is known, as readers
        may find more packets in it: it may hold any.
        """
        return self.ordered or self.first_ns is not None

    def with_counts_of(self, known: Self) -> Self:
        """The entry with what only the recorder knew of the savefile, and no survey tells."""
        return self._replace(
            opened_ns=known.opened_ns,
            sealed_ns=self.sealed_ns if known.sealed_ns is None else known.sealed_ns,
            dropped=known.dropped,
            lost=known.lost,
            why=known.why,
            run=known.run,
        )


def _plan(**letters: str) -> bytes:
    return "".join(letters.get(field, ".") for field in Entry._fields).encode()


ENTRY = _plan(ordered="?", nanosecond="?")
"""How an entry is made of its columns, for `catalog_columns.believed`."""
UNLINKED = _plan(
    ordered="?", nanosecond="?", previous_chain="-", chain="-",
    state="=", why="=", run="=", linktype="=", snaplen="=",
)  # fmt: skip
"""The same for who holds many: without its links, and what most have in common is there once."""


class Run(NamedTuple):
    """One run of a recorder on the ring."""

    number: int = 0  # 0: the catalog numbers it
    started_ns: int = 0
    ended_ns: int | None = None  # None: it goes on, or it was killed
    seen_ns: int = 0  # its last sign of life
    why: str | None = None  # it ended
    interface: str | None = None
    filter_text: str = ""
    snaplen: int = 0
    linktype: int = 0
    host: str = ""
    version: str = ""  # of the recorder
    pid: int = 0
    boot_id: str = ""


class Gap(NamedTuple):
    """A span in which packets were, or may have been, missed."""

    number: int = 0  # 0: the catalog numbers it
    kind: str = "unknown"  # one of GAP_KINDS
    from_ns: int = 0
    to_ns: int | None = None  # None: it lasts
    packets: int | None = None  # missed ones, where they were counted
    savefile: str | None = None  # the one that was open
    run: int | None = None
    detail: str = ""  # one line: the signal, the error, how far the clock went


class Pin(NamedTuple):
    """A span whose savefiles are not pruned: packets of [from_ns, to_ns)."""

    number: int
    from_ns: int
    to_ns: int  # END_NS: no end
    reason: str
    created_ns: int


class Link(NamedTuple):
    """What the chain needs of a savefile that is no longer in the ring, or was altered since."""

    position: int
    name: str
    size_bytes: int
    sha256: bytes
    previous_chain: bytes
    chain: bytes
    pruned_ns: int


class Meta(NamedTuple):
    """One fact about the catalog itself."""

    key: str
    value: str


def chain_of(previous_chain: bytes, name: str, size_bytes: int, sha256: bytes) -> bytes:
    """SHA-256 (FIPS 180-4) over the link before, the name, NUL, the size (8 bytes, big-endian)
    and the savefile's SHA-256.
    """  # noqa: D205
    import hashlib

    name_bytes = name.encode("utf-8", "surrogateescape")
    size = size_bytes.to_bytes(8, "big")
    return hashlib.sha256(previous_chain + name_bytes + b"\0" + size + sha256).digest()


def to_columns(row: tuple[Any, ...]) -> Columns:
    """What is stored of a row: truth values as 0 and 1, epochs and serials that fit."""
    return tuple(
        int(value) if isinstance(value, bool)
        else min(value, LARGEST) if isinstance(value, int)
        else value
        for value in row
    )  # fmt: skip
