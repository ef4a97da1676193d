"""What a classic savefile can give, told from pcap-savefile(5) and libpcap's reading of it.

Slow, plain and independent of the code under test, which is compared with it. Of pcapng it says
nothing.
"""

import struct
import sys
from collections.abc import Callable
from typing import NamedTuple

FILE_HEADER_BYTES = 24
RECORD_HEADER_BYTES = 16
MODIFIED_HEADER_BYTES = 24
MICROSECONDS = 0xA1B2C3D4
NANOSECONDS = 0xA1B23C4D
MODIFIED = 0xA1B2CD34
ETHERNET = 1
SHORT = "less 100"
FAR_BYTE = "link[60] != 7"
UINT32 = 0xFFFFFFFF
# sf-pcap.c, pcap_check_header().
VERSIONS = frozenset({(2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (543, 0)})
NATIVE_ORDER = "<" if sys.byteorder == "little" else ">"

MAX_SNAPLEN = 262144
# pcap-common.c, max_snaplen_for_dlt(): D-Bus, Elektrobit's recorder, USBPcap.
MAX_CAPLEN = {231: 128 << 20, 279: 8 << 20, 249: 1 << 20}
# pcap-util.c: libpcap turns these packets' pseudo-headers to this machine's byte order, and may
# correct the original length of memory-mapped USB: BSD pf, Linux cooked, USB, NFLOG.
REWRITTEN_BY_LIBPCAP = frozenset({117, 113, 276, 189, 220, 239})


class Record(NamedTuple):
    """One record, its numbers as they are in a file of this machine's byte order."""

    seconds: int
    fraction: int  # micro- or nanoseconds
    caplen: int
    origlen: int
    packet: bytes

    @property
    def zero(self) -> bool:
        """Whether it looks like what a power failure leaves in place of a record."""
        return not (self.seconds or self.fraction or self.caplen or self.origlen)

    def stamp_ns(self, *, nanosecond: bool) -> int:
        """Its time in ns since 1970."""
        return self.seconds * 1_000_000_000 + self.fraction * (1 if nanosecond else 1000)


class Classic(NamedTuple):
    """A classic savefile: its header, and the whole records up to `end_offset`."""

    native: bool  # the format of this machine, which needs no libpcap
    nanosecond: bool
    version: tuple[int, int]
    linktype: int
    snapshot: int  # bytes that libpcap keeps of each packet
    records: list[Record]
    end_offset: int
    size_bytes: int

    @property
    def whole(self) -> bool:
        """Whether the file ends where a record ends."""
        return self.end_offset == self.size_bytes


def max_caplen(linktype: int) -> int:
    """Most bytes that a record of this linktype may hold."""
    return MAX_CAPLEN.get(linktype & 0xFFFF, MAX_SNAPLEN)


def read_classic(savefile: bytes) -> Classic | None:
    """Read a classic savefile of any byte order, or None if libpcap does not take it for one."""
    if len(savefile) < FILE_HEADER_BYTES:
        return None
    for order in "<>":
        magic, major, minor, _, _, snaplen, linktype = struct.unpack_from(
            f"{order}IHHiIII", savefile
        )
        if magic in (MICROSECONDS, NANOSECONDS, MODIFIED):
            break
    else:
        return None
    version = major, minor
    if version not in VERSIONS:
        return None
    modified = magic == MODIFIED
    records, end = read_records(
        savefile, order, max_caplen(linktype), modified=modified, version=version
    )
    return Classic(
        native=order == NATIVE_ORDER and not modified and not linktype & 0x03FF0000,
        nanosecond=magic == NANOSECONDS,
        version=version,
        linktype=linktype & 0xFFFF,
        snapshot=_snapshot(snaplen, linktype, modified=modified),
        records=records,
        end_offset=end,
        size_bytes=len(savefile),
    )


def read_records(
    savefile: bytes,
    order: str,
    limit: int,
    *,
    modified: bool = False,
    version: tuple[int, int] = (2, 4),
) -> tuple[list[Record], int]:
    """Read whole records behind the file header; also the offset where the last one ends."""
    header_bytes = MODIFIED_HEADER_BYTES if modified else RECORD_HEADER_BYTES
    layout = struct.Struct(f"{order}IIII")
    records = []
    at = FILE_HEADER_BYTES
    while len(savefile) - at >= header_bytes:
        seconds, fraction, *lengths = layout.unpack_from(savefile, at)
        caplen, origlen = in_order(*lengths, version)
        packet = at + header_bytes
        if caplen > limit or caplen > len(savefile) - packet:
            break
        at = packet + caplen
        records.append(Record(seconds, fraction, caplen, origlen, savefile[packet:at]))
    return records, at


def in_order(first: int, second: int, version: tuple[int, int]) -> tuple[int, int]:
    """The captured and the original length of a record. sf-pcap.c, pcap_next_packet()."""
    if version == (2, 3):
        return min(first, second), max(first, second)
    return (first, second) if version == (2, 4) else (second, first)


def _snapshot(snaplen: int, linktype: int, *, modified: bool) -> int:
    # sf-pcap.c, pcap_check_header(); the 14 bytes are for a pseudo Ethernet header.
    if snaplen == 0 or snaplen > 0x7FFFFFFF:
        snaplen = max_caplen(linktype)
    if modified and linktype & 0xFFFF == ETHERNET:
        snaplen += 14
    return snaplen


def as_recorded(
    savefile: Classic,
    *,
    nanosecond: bool,
    snaplen: int,
    passes: Callable[[Record], bool] | None,
) -> list[Record]:
    """What a recording of it holds: `snaplen` (0: none) and nanosecond stamps as asked for.

    `passes` is the filter, which looks at the packets before they are cut; None: all pass.
    """
    cut = snaplen or UINT32
    scale = 1000 if nanosecond and not savefile.nanosecond else 1
    records = [cut_to(record, savefile.snapshot) for record in savefile.records]
    # Of a stamp with more than a second of microseconds only 32 bits are left, as tcpdump has it.
    return [
        cut_to(record, cut)._replace(fraction=record.fraction * scale & UINT32)
        for record in records
        if passes is None or passes(record)
    ]


def cut_to(record: Record, snaplen: int) -> Record:
    """Return the record with at most that many bytes of its packet."""
    if record.caplen <= snaplen:
        return record
    return record._replace(caplen=snaplen, packet=record.packet[:snaplen])


def filter_model(text: str, linktype: int) -> Callable[[Record], bool] | None:
    """What a filter does, as far as it is simple enough to be said twice; else None."""
    if text == "":
        return lambda record: True
    if text == SHORT and linktype not in REWRITTEN_BY_LIBPCAP:
        return lambda record: record.origlen <= 100
    if text == FAR_BYTE and linktype == ETHERNET:
        # What was not captured cannot be looked at, whatever lies behind it in memory.
        return lambda record: record.caplen > 60 and record.packet[60] != 7
    return None
