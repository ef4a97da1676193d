"""Finds the whole records of a damaged classic pcap file, also those behind the damage.

A record has no mark of its own. What is taken for one behind damage is therefore the beginning of
a chain: headers that each could be one, at times close to each other, each where the one before
ends, until past the damage or to the end of the file. A walk trusts the length in every header; so
damage may lie before the place where it noticed: back to the last record that fits the one before
it, the chain may begin anywhere.

Reads in large blocks without the GIL; writes nothing. What is done with the records is the
caller's.
"""
import os
import struct
from typing import NamedTuple

from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, strerror
from posix.unistd cimport pread

from daemonlogger_py.savefile.records cimport (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    Lengths,
    RecordHeader,
    lengths_of,
    max_caplen,
    put_lengths_in_order,
    swap,
)

from daemonlogger_py.savefile.records import parse_file_header

cdef enum:
    BLOCK_BYTES = 1048576
    CHAIN_RECORDS = 5  # a header by chance is common, five that lead to each other are not
    LONGEST_CHAIN = 256  # bounds the work that a hostile file can make of each byte
    NEAR_S = 86400  # of neighbouring records; a recorder may have slept, but in one savefile?
    MAX_RANGES = 65536
    RANGE_PACKETS_MAX = 0x7FFFFFFF


class Range(NamedTuple):
    """Bytes of whole records that follow each other."""

    begin: int
    end: int
    packets: int


class Salvage(NamedTuple):
    """All whole records that were found, in the order of the file."""

    ranges: list
    size_bytes: int
    complete: bool  # False: there is so much damage that what follows was not looked at


cdef enum Chain:
    NO_CHAIN = 0
    SHORT_CHAIN = 1  # it ends with the file, in a record, after few: a header by chance may do so
    WHOLE_CHAIN = 2


cdef struct File:
    int fd
    int64_t size
    bint swapped
    Lengths lengths
    uint32_t caplen_limit
    uint32_t fraction_limit
    uint32_t snaplen
    int64_t block_start
    ssize_t block_bytes
    uint8_t *block
    int failure  # errno


cdef struct Run:
    int64_t begin
    int64_t end  # behind the last record whose header could be one
    int64_t sure  # begin of the last record that fits the one before it, or of the first
    uint32_t sure_seconds
    uint32_t packets
    uint32_t sure_packets  # of them before `sure`
    bint torn  # as it seems, it ends with the file, in the middle of a record


cdef inline void put_in_order(const File *file, RecordHeader *header) noexcept nogil:
    if file.swapped:
        swap(header)
    put_lengths_in_order(header, file.lengths)


cdef ssize_t read_at(File *file, void *to, size_t count, int64_t offset) noexcept nogil:
    cdef ssize_t got = pread(file.fd, to, count, offset)
    while got < 0 and errno == EINTR:
        got = pread(file.fd, to, count, offset)
    if got < 0:
        file.failure = errno
    return got


cdef inline bint is_in_block(const File *file, int64_t offset) noexcept nogil:
    return offset >= file.block_start and (
        offset + RECORD_HEADER_BYTES <= file.block_start + file.block_bytes
    )


cdef bint header_at(File *file, int64_t offset, RecordHeader *header) noexcept nogil:
    """Read the header at `offset`; False where the file is too short for one, or unreadable."""
    if offset + RECORD_HEADER_BYTES > file.size:
        return False
    if not is_in_block(file, offset):
        file.block_start = offset
        file.block_bytes = read_at(file, file.block, BLOCK_BYTES, offset)
        if file.block_bytes < RECORD_HEADER_BYTES:
            return False
    memcpy(header, file.block + (offset - file.block_start), sizeof(RecordHeader))
    put_in_order(file, header)
    return True


cdef bint far_header_at(File *file, int64_t offset, RecordHeader *header) noexcept nogil:
    """The same for one that lies ahead of what is read next: the block stays where it is."""
    if offset + RECORD_HEADER_BYTES > file.size:
        return False
    if is_in_block(file, offset):
        return header_at(file, offset, header)
    if read_at(file, header, sizeof(RecordHeader), offset) < RECORD_HEADER_BYTES:
        return False
    put_in_order(file, header)
    return True


cdef inline bint could_be(const File *file, const RecordHeader *header) noexcept nogil:
    """What a walk asks of a header."""
    return header.caplen <= file.caplen_limit and (
        header.seconds != 0 or header.fraction != 0 or header.caplen != 0 or header.origlen != 0
    )


cdef inline bint is_near(uint32_t seconds, uint32_t other) noexcept nogil:
    return (seconds - other if seconds > other else other - seconds) <= NEAR_S


cdef inline bint has_lengths(const File *file, const RecordHeader *header) noexcept nogil:
    return header.caplen <= header.origlen <= file.caplen_limit


cdef inline bint is_plausible(
    const File *file, const RecordHeader *header, uint32_t near_seconds
) noexcept nogil:
    """What records have that recorders write."""
    return (
        could_be(file, header)
        and has_lengths(file, header)
        and header.fraction < file.fraction_limit
        and is_near(header.seconds, near_seconds)
    )


cdef void walk_run(File *file, int64_t offset, Run *run) noexcept nogil:
    """Follow records from `offset` for as long as headers could be ones."""
    cdef RecordHeader header
    cdef uint32_t streak = 0  # records that each fit the one before
    cdef uint32_t last_seconds = 0
    run.begin = run.end = run.sure = offset
    run.packets = run.sure_packets = 0
    run.sure_seconds = 0
    run.torn = False
    while header_at(file, run.end, &header) and could_be(file, &header):
        if header.caplen > file.size - run.end - RECORD_HEADER_BYTES:
            run.torn = is_torn(file, &header, run.sure_seconds if run.packets else header.seconds)
            return
        streak = streak + 1 if is_plausible(file, &header, last_seconds) else 0
        last_seconds = header.seconds
        # Many in a row that fit each other are no chance, whatever was before: a clock was set.
        if (
            run.packets == 0
            or is_plausible(file, &header, run.sure_seconds)
            or streak >= CHAIN_RECORDS
        ):
            run.sure = run.end
            run.sure_seconds = header.seconds
            run.sure_packets = run.packets
        run.end += RECORD_HEADER_BYTES + header.caplen
        run.packets += 1
        if run.packets == RANGE_PACKETS_MAX:
            return


cdef inline bint is_torn(
    const File *file, const RecordHeader *header, uint32_t near_seconds
) noexcept nogil:
    """Whether a record that ends behind the file may have been cut with it."""
    return is_plausible(file, header, near_seconds) and header.caplen <= file.snaplen


cdef Chain chain_at(
    File *file, int64_t offset, int64_t past, uint32_t near_seconds, bint anytime, bint doubted
) noexcept nogil:
    """Whether a chain of records begins at `offset`; `doubted`: likely none, so no short one."""
    cdef RecordHeader header
    cdef uint32_t records = 0
    cdef int64_t at = offset
    if not far_header_at(file, at, &header):
        return NO_CHAIN
    if anytime:
        near_seconds = header.seconds
    while is_plausible(file, &header, near_seconds):
        if header.caplen > file.size - at - RECORD_HEADER_BYTES:
            if records >= 1 and not doubted and at >= past and is_torn(file, &header, near_seconds):
                return SHORT_CHAIN
            return NO_CHAIN
        at += RECORD_HEADER_BYTES + header.caplen
        records += 1
        near_seconds = header.seconds
        if records >= LONGEST_CHAIN:
            return WHOLE_CHAIN
        if at == file.size:
            # A few bytes of a packet may be an empty record, if it may be of any time.
            return NO_CHAIN if doubted and anytime and records < CHAIN_RECORDS else WHOLE_CHAIN
        if records >= CHAIN_RECORDS and at > past:
            return WHOLE_CHAIN
        if not far_header_at(file, at, &header):
            # Less than a header is left: the file was cut there.
            return SHORT_CHAIN if file.failure == 0 and records >= 2 and not doubted else NO_CHAIN
    return NO_CHAIN


cdef int64_t next_chain(
    File *file,
    int64_t offset,
    int64_t until,
    int64_t past,
    uint32_t near_seconds,
    bint anytime,
    bint doubted,
) noexcept nogil:
    """The first offset in [`offset`, `until`) at which a chain begins; -1: there is none.

    A short one only where no whole one follows: that one would be part of it. `doubted`: there is
    likely none, so no short one is taken.
    """
    cdef RecordHeader header
    cdef Chain chain
    cdef int64_t of_short = -1
    until = min(until, file.size - RECORD_HEADER_BYTES + 1)
    while offset < until and file.failure == 0:
        if not header_at(file, offset, &header):
            break
        # Asked here first: most bytes begin no header, and a chain moves the block.
        if is_plausible(file, &header, header.seconds if anytime else near_seconds):
            chain = chain_at(file, offset, past, near_seconds, anytime, doubted)
            if chain == WHOLE_CHAIN:
                return offset
            if chain == SHORT_CHAIN and of_short < 0:
                of_short = offset
        offset += 1
    return of_short


cdef int64_t doubtful_length(File *file, const Run *run) noexcept nogil:
    """Where the record at which a run got lost has its data, if its lengths are no recorder's; -1.

    It is the one behind `sure`, or that one itself, as the first of a run is taken as it is.
    """
    cdef RecordHeader header
    cdef int64_t at = run.sure
    while at < run.end and far_header_at(file, at, &header):
        if not has_lengths(file, &header):
            return at + RECORD_HEADER_BYTES
        if at != run.sure:
            break
        at += RECORD_HEADER_BYTES + header.caplen
    return -1


cdef int64_t resume(File *file, const Run *run) noexcept nogil:
    """Where records go on behind the end of a run; -1: nowhere."""
    cdef int64_t begin = run.sure + RECORD_HEADER_BYTES if run.packets else run.begin + 1
    cdef int64_t behind = run.end + 1
    cdef int64_t at = -1
    cdef int64_t doubtful
    if run.packets:
        doubtful = doubtful_length(file, run)
        if doubtful >= 0:
            # Up to the end of the run are perhaps the records that this length jumped over, and
            # then there may be more damage among them, so that none of them leads past the end.
            at = next_chain(file, begin, run.end, doubtful, run.sure_seconds, False, True)
            if at >= 0:
                return at
    if run.torn:
        # Most were cut: there is nothing but what the packet carries, maybe the beginning of a
        # capture. But its length may be the damage, and what follows would be lost with it.
        if run.packets:
            return next_chain(file, behind, file.size, run.end, run.sure_seconds, False, True)
        return next_chain(file, behind, file.size, run.end, 0, True, True)
    if run.packets:
        at = next_chain(file, begin, file.size, run.end, run.sure_seconds, False, False)
    if at < 0:
        at = next_chain(file, behind, file.size, run.end, 0, True, False)
    return at


cdef object of_run(File *file, const Run *run, int64_t following):
    """The records of a run that end before the following one begins."""
    cdef int64_t end = run.sure
    cdef uint32_t packets = run.sure_packets
    cdef RecordHeader header
    if following < 0 or following >= run.end:
        return Range(run.begin, run.end, run.packets)
    while header_at(file, end, &header) and could_be(file, &header):
        if end + RECORD_HEADER_BYTES + header.caplen > following:
            break
        end += RECORD_HEADER_BYTES + header.caplen
        packets += 1
    return Range(run.begin, end, packets)


def salvage(int fd, file_header=None):
    """Find the whole records of the classic pcap file open as `fd`; its position is not used.

    `file_header`: 24 bytes to read it by instead of its own, which are damaged. Returns a
    `Salvage`; None for what has no header of the classic format, a modified one, or one that
    libpcap refuses. Raises OSError where the file cannot be read, and MemoryError.
    """
    cdef File file
    cdef Run run
    cdef int64_t at = FILE_HEADER_BYTES
    header = parse_file_header(file_header or os.pread(fd, FILE_HEADER_BYTES, 0))
    if header is None or header.modified or header.refused:
        return None
    file.fd = fd
    file.size = os.fstat(fd).st_size
    file.swapped = (header.byte_order == "<") != (struct.pack("=H", 1) == b"\x01\x00")
    file.lengths = lengths_of(header.major, header.minor)
    file.caplen_limit = max_caplen(header.linktype & 0xFFFF)
    # tcpdump writes 0 where any length is meant.
    file.snaplen = (header.snaplen & 0xFFFFFFFF) or file.caplen_limit
    file.fraction_limit = 1000000000 if header.nanosecond else 1000000
    file.block_start = file.block_bytes = 0
    file.failure = 0
    file.block = <uint8_t *>malloc(BLOCK_BYTES)
    if file.block == NULL:
        raise MemoryError
    ranges = []
    try:
        while 0 <= at < file.size and len(ranges) < MAX_RANGES:
            with nogil:
                walk_run(&file, at, &run)
                at = resume(&file, &run) if run.end < file.size else -1
            found = of_run(&file, &run, at)
            if found.end > found.begin:
                ranges.append(found)
            if file.failure:
                raise OSError(file.failure, strerror(file.failure).decode())
    finally:
        free(file.block)
    return Salvage(ranges, file.size, len(ranges) < MAX_RANGES)
