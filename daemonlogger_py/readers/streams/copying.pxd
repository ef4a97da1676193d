"""Records copied from one savefile to another, pcap-savefile(5), in this machine's byte order."""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.savefile.records cimport (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    RecordHeader,
    max_caplen,
)

cdef enum:
    MAGIC_US = 0xA1B2C3D4U
    MAGIC_NS = 0xA1B23C4DU
    SNAPLEN_AT = 16  # in a file header

cdef packed struct FileHeader:
    uint32_t magic
    uint16_t major
    uint16_t minor
    int32_t zone
    uint32_t accuracy
    uint32_t snaplen
    uint32_t linktype  # FCS bits and all


cdef inline bint read_header(FileHeader *header, const uint8_t *data) noexcept nogil:
    """Take the 24 bytes at `data`; whether they begin a savefile in this byte order.

    A snaplen of 0 stands for the largest.
    """
    memcpy(header, data, FILE_HEADER_BYTES)
    if header.snaplen == 0:
        header.snaplen = max_caplen(header.linktype & 0xFFFF)
    return header.magic == MAGIC_US or header.magic == MAGIC_NS


cdef inline void put_record(
    uint8_t *target, const Packet *packet, const FileHeader *header
) noexcept nogil:
    """Copy a packet, with its record header, into a savefile that begins with `header`."""
    cdef RecordHeader record
    cdef uint32_t fraction_ns = 1 if header.magic == MAGIC_NS else 1000
    record.seconds = <uint32_t>(packet.time_ns // 1000000000)
    record.fraction = <uint32_t>(packet.time_ns % 1000000000) // fraction_ns
    record.caplen = packet.caplen
    record.origlen = packet.origlen
    memcpy(target, &record, RECORD_HEADER_BYTES)
    memcpy(target + RECORD_HEADER_BYTES, packet.data, packet.caplen)
