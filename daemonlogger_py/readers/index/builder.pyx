"""One pass over a savefile: which classes of packets there are, and in which blocks of it.

Reads the heads of all records without the GIL, with `flow/layers.pyx` for what is known of a
frame. A packet whose headers say nothing, or for which a table is full, is of the opaque class,
about which nothing is known. Only classic pcap of version 2.4 is indexed, in both byte orders; the
pass ends in front of the first record that is not whole, as a reader does.

What a sidecar looks like on the disk is sidecar.pyx's; which savefiles get one, indexing.py's.
"""
import os
import struct

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset
from posix.unistd cimport pread

from daemonlogger_py.flow.layers cimport Layers, find_layers
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.readers.index.arranging cimport Sorted, fill, free_sorted, sort_tables
from daemonlogger_py.readers.index.sidecar cimport (
    Columns,
    Facts,
    Memory,
    Piece,
    Sidecar,
    fingerprint,
)
from daemonlogger_py.readers.index.tables cimport (
    Build,
    Span,
    begin,
    class_of,
    end,
    log_class,
    span_for,
)
from daemonlogger_py.savefile.records cimport (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    RecordHeader,
    max_caplen,
    swap,
    timestamp_ns,
)

from daemonlogger_py.readers.index.sidecar import FORMAT, SidecarError
from daemonlogger_py.savefile.records import parse_file_header

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void *iov_base
        size_t iov_len
    ssize_t preadv2(int fd, const iovec *parts, int count, int64_t offset, int flags)
    int RWF_NOWAIT

cdef extern from "<fcntl.h>" nogil:
    int posix_fadvise(int fd, int64_t offset, int64_t count, int advice)
    int POSIX_FADV_RANDOM, POSIX_FADV_DONTNEED

cdef enum:
    WINDOW_BYTES = 1048576
    HEAD_BYTES = 512  # of a frame: behind all headers that are looked at
    BLOCK_BYTES = 65536
    MOST_BLOCKS = 65536  # where there would be more, blocks are larger
    SNAPLEN_LIMIT = 0x7FFFFFFF  # libpcap takes what is above, and 0, for none

LINKTYPE_RESERVED = 0x03FF0000
"""Bits of a savefile's linktype that libpcap takes for part of it."""

cdef struct Source:
    int fd
    uint64_t size_bytes
    bint swapped
    uint32_t fraction_ns
    uint32_t linktype
    uint32_t snaplen
    uint32_t caplen_limit
    uint8_t *window
    uint64_t window_at
    size_t window_bytes
    bint window_cold  # it was not in memory before it was read


class UnindexableError(Exception):
    """This kind of savefile has no sidecars; the message is what kind it is."""


cdef void leave_window(Source *source) noexcept nogil:
    """A ring must not push everything else out of memory: what was not in it does not stay."""
    if source.window_cold:
        posix_fadvise(source.fd, source.window_at, source.window_bytes, POSIX_FADV_DONTNEED)
        source.window_cold = False


cdef void read_window(Source *source, uint64_t offset) noexcept nogil:
    """Fill the window from `offset` on with what there is."""
    cdef iovec part
    cdef size_t wanted = min(<uint64_t>WINDOW_BYTES, source.size_bytes - offset)
    cdef size_t done = 0
    cdef ssize_t got
    part.iov_base = source.window
    part.iov_len = wanted
    got = preadv2(source.fd, &part, 1, offset, RWF_NOWAIT)
    if got > 0:
        done = got
    # File systems that do not know say so in another way, and keep what they have.
    source.window_cold = done < wanted and (got >= 0 or errno == EAGAIN)
    while done < wanted:
        got = pread(source.fd, source.window + done, wanted - done, offset + done)
        if got < 0 and errno == EINTR:
            continue
        if got <= 0:
            break
        done += got
    source.window_at = offset
    source.window_bytes = done


cdef const uint8_t *window_at(Source *source, uint64_t offset, size_t count) noexcept nogil:
    """`count` bytes of the savefile, at most WINDOW_BYTES; NULL where it does not have them."""
    if offset < source.window_at or offset + count > source.window_at + source.window_bytes:
        leave_window(source)
        read_window(source, offset)
        if count > source.window_bytes:
            return NULL
    return source.window + (offset - source.window_at)


cdef bint read_header(Source *source, uint64_t offset, RecordHeader *header) noexcept nogil:
    """Read a record's header; False where no whole record is."""
    cdef const uint8_t *at
    if source.size_bytes - offset < RECORD_HEADER_BYTES:
        return False
    at = window_at(source, offset, RECORD_HEADER_BYTES)
    if at == NULL:
        return False
    memcpy(header, at, sizeof(RecordHeader))
    if source.swapped:
        swap(header)
    if not (header.seconds or header.fraction or header.caplen or header.origlen):
        return False  # left by a machine that lost power
    return (
        header.caplen <= source.caplen_limit
        and header.caplen <= source.size_bytes - offset - RECORD_HEADER_BYTES
    )


cdef void pass_over(Build *build, Source *source) noexcept nogil:
    """Look at every record up to the first that is not whole."""
    cdef RecordHeader header
    cdef Packet packet
    cdef Layers layers
    cdef Span *span
    cdef uint64_t time_ns, next_offset
    cdef uint64_t block_bytes = max(
        <uint64_t>BLOCK_BYTES, source.size_bytes // MOST_BLOCKS
    )
    build.end_offset = FILE_HEADER_BYTES
    while not build.failed and read_header(source, build.end_offset, &header):
        packet.caplen = min(header.caplen, source.snaplen, <uint32_t>HEAD_BYTES)
        packet.origlen = header.origlen
        packet.data = window_at(source, build.end_offset + RECORD_HEADER_BYTES, packet.caplen)
        if packet.data == NULL:
            return
        time_ns = timestamp_ns(&header, source.fraction_ns)
        next_offset = build.end_offset + RECORD_HEADER_BYTES + header.caplen
        span = span_for(build, build.end_offset, next_offset, time_ns, block_bytes)
        if span == NULL:
            return
        find_layers(source.linktype, &packet, &layers)
        log_class(
            build,
            class_of(build, packet.data, &layers),
            <uint32_t>(build.spans.used // sizeof(Span)) - 1,
        )
        span.log_end = <uint32_t>(build.log.used // sizeof(uint32_t))
        build.unordered = build.unordered or time_ns < build.last_ns
        build.last_ns = time_ns
        build.packets += 1
        build.end_offset = next_offset
        build.failed = build.failed or build.log.failed


cdef bint make(
    Source *source, const uint64_t *seed, Columns *columns, Facts *facts, Piece *memory
) noexcept nogil:
    """The whole work of `build`; False without memory."""
    cdef Build build
    cdef Sorted tables
    cdef bint made
    memset(&build, 0, sizeof(build))
    memset(&tables, 0, sizeof(tables))
    made = begin(&build, source.size_bytes, seed)
    if made:
        pass_over(&build, source)
        made = (
            not build.failed
            and sort_tables(&build, &tables)
            and fill(&build, &tables, columns, memory)
        )
    facts.end_offset = build.end_offset
    facts.packets = build.packets
    facts.ordered = not build.unordered
    free_sorted(&tables)
    end(&build)
    return made


def build(int fd, str name not None):
    """Index the savefile `name`, open as `fd`, whose file position is not used; a Sidecar.

    Raises UnindexableError for a kind of file that has no sidecars, SidecarError when it changed
    meanwhile, OSError and MemoryError.
    """
    cdef Sidecar sidecar = Sidecar.__new__(Sidecar)
    cdef Memory memory = Memory.__new__(Memory)
    cdef Source source
    cdef uint64_t seed[2]
    cdef bytes drawn = os.urandom(16)
    cdef bint made
    cdef uint32_t head_crc = 0
    cdef uint32_t tail_crc = 0
    # The kernel would read ahead what is then found in memory, as if others needed it.
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM)
    status = os.fstat(fd)
    header = indexable(os.pread(fd, FILE_HEADER_BYTES, 0))
    memset(&source, 0, sizeof(source))
    source.fd = fd
    source.size_bytes = status.st_size
    source.swapped = (header.byte_order == "<") != (struct.pack("=H", 1) == b"\x01\x00")
    source.fraction_ns = 1 if header.nanosecond else 1000
    source.linktype = header.linktype & 0xFFFF
    source.snaplen = header.snaplen if 0 < header.snaplen <= SNAPLEN_LIMIT else SNAPLEN_LIMIT
    source.caplen_limit = max_caplen(source.linktype)
    memcpy(seed, <const char *>drawn, sizeof(seed))
    sidecar.facts.format = FORMAT
    sidecar.facts.linktype = header.linktype
    sidecar.facts.snaplen = header.snaplen
    sidecar.facts.size_bytes = source.size_bytes
    sidecar.facts.modified_ns = status.st_mtime_ns
    sidecar.columns.linktype = source.linktype
    sidecar.columns.snaplen = header.snaplen
    source.window = <uint8_t *>malloc(WINDOW_BYTES)
    if source.window == NULL:
        raise MemoryError
    with nogil:
        made = make(&source, seed, &sidecar.columns, &sidecar.facts, &memory.first)
        leave_window(&source)
        free(source.window)
    if not made:
        raise MemoryError
    with nogil:
        made = fingerprint(fd, source.size_bytes, &head_crc, &tail_crc)
    sidecar.facts.head_crc = head_crc
    sidecar.facts.tail_crc = tail_crc
    after = os.fstat(fd)
    if not made or (after.st_size, after.st_mtime_ns) != (status.st_size, status.st_mtime_ns):
        raise SidecarError(f"{name!r}: changed while it was read")
    sidecar._held = memory
    sidecar._savefile = os.fsencode(name)
    return sidecar


def indexable(head):
    """The FileHeader of a savefile that begins with these bytes; raises UnindexableError."""
    header = parse_file_header(head)
    if header is None:
        raise UnindexableError("not a classic pcap")
    if header.modified:
        raise UnindexableError("of the modified pcap format")
    if (header.major, header.minor) != (2, 4):
        raise UnindexableError(f"pcap of version {header.major}.{header.minor}")
    if header.linktype & LINKTYPE_RESERVED:
        raise UnindexableError(f"of linktype {header.linktype:#x}")
    return header
