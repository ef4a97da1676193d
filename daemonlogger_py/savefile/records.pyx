"""Walks the records of a classic pcap file and tells where they stop being whole.

Reads headers in large blocks without the GIL; never reads what is inside a packet. It opens and
changes nothing: cutting, reporting and repairing are the caller's.
"""
import os
import struct
from typing import NamedTuple

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.unistd cimport pread

cdef enum:
    BLOCK_BYTES = 1048576
    VERSION_OFFSET = 4
    MODIFIED_HEADER_BYTES = 24  # Kuznetzov's format: 8 more bytes in each record's header

MAGIC_MICROSECONDS = 0xA1B2C3D4
MAGIC_NANOSECONDS = 0xA1B23C4D
MAGIC_MODIFIED = 0xA1B2CD34


class FileHeader(NamedTuple):
    """The 24 bytes at the start of a classic pcap file, pcap-savefile(5)."""

    byte_order: str  # "<" or ">", as for struct
    nanosecond: bool
    modified: bool
    major: int
    minor: int
    snaplen: int
    linktype: int  # as written: FCS bits and all

    @property
    def native(self):
        """Whether records can be passed on as they are on this machine."""
        little = struct.pack("=H", 1) == b"\x01\x00"
        return (
            self.byte_order == ("<" if little else ">")
            and not self.modified
            and (self.major, self.minor) == (2, 4)
        )

    @property
    def refused(self):
        """Whether libpcap refuses the version: it reads 2.0 to 2.4, and the 543.0 of DG/UX."""
        version = self.major, self.minor
        return not ((2, 0) <= version <= (2, 4) or version == (543, 0))


class Walk(NamedTuple):
    """What a walk found: whole records up to `end_offset`, and why it ended there."""

    packets: int
    end_offset: int  # byte offset behind the last whole record
    size_bytes: int  # of the file when the walk began
    damage: str | None  # None: the file ends with a whole record
    torn: bool  # the damage is an unfinished tail: behind `end_offset` is no whole record
    first_ns: int  # time of the first record; 0 in a file without records
    last_ns: int
    earliest_ns: int = 0  # least time of any record; 0 in a file without records
    latest_ns: int = 0
    ordered: bool = True  # times never go back from one record to the next


def parse_file_header(data):
    """The header in the first 24 bytes of `data`, or None if it is not the classic format's."""
    if len(data) < FILE_HEADER_BYTES:
        return None
    for byte_order in "<>":
        magic, major, minor, _, _, snaplen, linktype = struct.unpack_from(
            f"{byte_order}IHHiIII", data
        )
        if magic in (MAGIC_MICROSECONDS, MAGIC_NANOSECONDS, MAGIC_MODIFIED):
            return FileHeader(
                byte_order,
                magic == MAGIC_NANOSECONDS,
                magic == MAGIC_MODIFIED,
                major,
                minor,
                snaplen,
                linktype,
            )
    return None


cdef struct Position:
    uint64_t packets
    int64_t offset
    uint64_t first_ns
    uint64_t last_ns
    uint64_t earliest_ns
    uint64_t latest_ns
    int verdict
    bint torn
    bint ordered


cdef enum Verdict:
    WHOLE
    CUT_HEADER
    CUT_PACKET
    BAD_CAPLEN
    ZEROS
    READ_FAILED


cdef ssize_t read_at(int fd, uint8_t *block, int64_t offset) noexcept nogil:
    cdef ssize_t got = pread(fd, block, BLOCK_BYTES, offset)
    while got < 0 and errno == EINTR:
        got = pread(fd, block, BLOCK_BYTES, offset)
    return got


cdef bint all_zeros(int fd, int64_t offset, uint8_t *block) noexcept nogil:
    cdef ssize_t got = read_at(fd, block, offset)
    cdef ssize_t i
    while got > 0:
        for i in range(got):
            if block[i]:
                return False
        offset += got
        got = read_at(fd, block, offset)
    return got == 0


cdef inline void note_time(Position *at, uint64_t time_ns) noexcept nogil:
    if at.packets == 0:
        at.first_ns = at.earliest_ns = at.latest_ns = time_ns
    elif time_ns < at.last_ns:
        at.ordered = False
    if time_ns < at.earliest_ns:
        at.earliest_ns = time_ns
    if time_ns > at.latest_ns:
        at.latest_ns = time_ns
    at.last_ns = time_ns


cdef void walk_records(
    int fd,
    int64_t size,
    bint swapped,
    Lengths lengths,
    int header_bytes,
    uint32_t caplen_limit,
    uint32_t fraction_ns,
    uint8_t *block,
    Position *at,
) noexcept nogil:
    cdef int64_t block_start = 0
    cdef ssize_t block_bytes = 0
    cdef RecordHeader header
    cdef uint32_t caplen
    while True:
        if at.offset == size:
            at.verdict = WHOLE
            return
        if size - at.offset < header_bytes:
            at.verdict = CUT_HEADER
            at.torn = True
            return
        if at.offset + header_bytes > block_start + block_bytes:
            block_start = at.offset
            block_bytes = read_at(fd, block, block_start)
            if block_bytes < header_bytes:
                # The file shrank under us, or its disk failed.
                at.verdict = READ_FAILED
                return
        memcpy(&header, block + (at.offset - block_start), sizeof(RecordHeader))
        if swapped:
            swap(&header)
        put_lengths_in_order(&header, lengths)
        caplen = header.caplen
        if caplen > caplen_limit:
            at.verdict = BAD_CAPLEN
            return
        if not (header.seconds or header.fraction or caplen or header.origlen):
            # A machine that lost power leaves zeros where the data had not reached the disk.
            at.verdict = ZEROS
            at.torn = all_zeros(fd, at.offset, block)
            return
        if size - at.offset - header_bytes < caplen:
            at.verdict = CUT_PACKET
            at.torn = True
            return
        note_time(at, timestamp_ns(&header, fraction_ns))
        at.packets += 1
        at.offset += header_bytes + caplen


cdef str describe(Position *at, int64_t size, int header_bytes):
    if at.verdict == WHOLE:
        return None
    cdef int64_t rest = size - at.offset
    if at.verdict == CUT_HEADER:
        what = f"record header cut short ({rest} of {header_bytes} bytes)"
    elif at.verdict == CUT_PACKET:
        what = f"record cut short ({rest} bytes are left of it)"
    elif at.verdict == BAD_CAPLEN:
        what = "record with an impossible captured length"
    elif at.verdict == ZEROS:
        what = "zeros instead of a record"
    else:
        what = "read failed"
    return f"{what} at byte offset {at.offset}"


def walk(int fd):
    """Walk every record of the classic pcap file open as `fd`; its file position is not used.

    Returns a `Walk`. A file whose first 24 bytes are not a classic pcap header, or one of a version
    that libpcap refuses, has no whole record: `end_offset` is 0 and `damage` says so. Never raises
    for what a file holds; raises OSError if the file cannot be read at all and MemoryError.
    """
    cdef Position at
    cdef int64_t size = os.fstat(fd).st_size
    raw = os.pread(fd, FILE_HEADER_BYTES, 0)
    header = parse_file_header(raw)
    if header is None:
        what = "file header cut short" if len(raw) < FILE_HEADER_BYTES else "not a classic pcap"
        return Walk(0, 0, size, f"{what} at byte offset 0", False, 0, 0)
    if header.refused:
        what = f"file header of unknown version {header.major}.{header.minor}"
        return Walk(0, 0, size, f"{what} at byte offset {VERSION_OFFSET}", False, 0, 0)
    cdef bint swapped = (header.byte_order == "<") != (struct.pack("=H", 1) == b"\x01\x00")
    cdef Lengths lengths = lengths_of(header.major, header.minor)
    cdef int header_bytes = MODIFIED_HEADER_BYTES if header.modified else RECORD_HEADER_BYTES
    cdef uint32_t caplen_limit = max_caplen(header.linktype & 0xFFFF)
    cdef uint32_t fraction_ns = 1 if header.nanosecond else 1000
    cdef uint8_t *block = <uint8_t *>malloc(BLOCK_BYTES)
    if block == NULL:
        raise MemoryError
    at.packets = at.first_ns = at.last_ns = at.earliest_ns = at.latest_ns = 0
    at.ordered = True
    at.offset = FILE_HEADER_BYTES
    at.verdict = WHOLE
    at.torn = False
    with nogil:
        walk_records(
            fd, size, swapped, lengths, header_bytes, caplen_limit, fraction_ns, block, &at
        )
    free(block)
    return Walk(
        at.packets,
        at.offset,
        size,
        describe(&at, size, header_bytes),
        at.torn,
        at.first_ns,
        at.last_ns,
        at.earliest_ns,
        at.latest_ns,
        at.ordered,
    )
