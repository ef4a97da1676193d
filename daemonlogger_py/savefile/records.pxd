"""Layout of the classic pcap format, pcap-savefile(5), for native readers and writers.

The one place that says how long a record may be and where the next one begins. All functions are
pure and work on memory the caller has already checked to be there.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<byteswap.h>" nogil:
    uint32_t bswap_32(uint32_t value)

cdef enum:
    FILE_HEADER_BYTES = 24
    RECORD_HEADER_BYTES = 16
    # libpcap's MAXIMUM_SNAPLEN: a longer record of an ordinary linktype is damage, not a packet.
    MAX_SNAPLEN = 262144

cdef packed struct RecordHeader:
    uint32_t seconds
    uint32_t fraction  # micro- or nanoseconds, by the file's magic
    uint32_t caplen
    uint32_t origlen


cdef enum Lengths:
    CAPLEN_FIRST
    GREATER_IS_ORIGLEN
    ORIGLEN_FIRST


cdef inline Lengths lengths_of(uint16_t major, uint16_t minor) noexcept nogil:
    """Order of the two lengths in records of a version (libpcap, sf-pcap.c)."""
    if major == 2 and minor == 3:  # which changed it; some wrote the number alone
        return GREATER_IS_ORIGLEN
    return ORIGLEN_FIRST if major == 543 or (major == 2 and minor < 3) else CAPLEN_FIRST


cdef inline void put_lengths_in_order(RecordHeader *header, Lengths lengths) noexcept nogil:
    """Turn the header of a record of any version into one of version 2.4."""
    cdef uint32_t first = header.caplen
    if lengths == CAPLEN_FIRST:
        return
    if lengths == ORIGLEN_FIRST or first > header.origlen:
        header.caplen = header.origlen
        header.origlen = first


cdef inline uint32_t max_caplen(uint32_t linktype) noexcept nogil:
    """Most bytes a packet of `linktype` may have captured (libpcap, pcap-common.c's limits)."""
    if linktype == 231:  # D-Bus messages are up to 128 MiB
        return 128 * 1024 * 1024
    if linktype == 279:  # EBHSCR is up to 8 MiB
        return 8 * 1024 * 1024
    if linktype == 249:  # USBPcap is up to 1 MiB
        return 1024 * 1024
    return MAX_SNAPLEN


cdef inline uint64_t timestamp_ns(
    const RecordHeader *header, uint32_t fraction_ns
) noexcept nogil:
    """Time of a record in ns since 1970; `fraction_ns` is 1000 in a microsecond file, else 1."""
    return <uint64_t>header.seconds * 1000000000 + <uint64_t>header.fraction * fraction_ns


cdef inline void swap(RecordHeader *header) noexcept nogil:
    """Turn the header of a record of the other byte order into this machine's."""
    header.seconds = bswap_32(header.seconds)
    header.fraction = bswap_32(header.fraction)
    header.caplen = bswap_32(header.caplen)
    header.origlen = bswap_32(header.origlen)
