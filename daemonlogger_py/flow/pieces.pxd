"""A datagram some of whose fragments have come, and what its pieces hold; see defrag.pyx."""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from daemonlogger_py.flow.packet cimport Packet

cdef struct Piece:  # bytes [begin, end) of a datagram; pieces never overlap
    uint16_t begin
    uint16_t end
    uint16_t captured  # of its leading bytes, and kept
    uint32_t at  # where in the arena

cdef struct Pending:  # a datagram some of whose fragments have come
    uint64_t hash
    uint64_t first_ns  # time of the fragment that came first
    uint8_t source[16]
    uint8_t destination[16]
    uint32_t identification
    uint32_t datagram_bytes  # 0: the last fragment has not come yet
    uint32_t received_bytes
    uint8_t family
    uint8_t protocol  # IPv4: part of the key; IPv6: what the fragment at offset 0 says
    bint over  # was put together, or refused: only remembered
    bint refused  # fragments overlapped: nothing of it is taken any more (RFC 5722)
    uint8_t *arena  # bytes, in the order of arrival
    uint32_t arena_used
    uint32_t arena_capacity
    Piece *pieces  # by offset
    uint32_t piece_count
    uint32_t piece_capacity
    Pending *chained  # same bucket of the table
    Pending *newer  # by the fragment that came first; those that are over by when they were
    Pending *older


cdef inline uint32_t first_behind(const Pending *pending, uint32_t offset) noexcept nogil:
    """Index of the first piece that ends behind `offset`; the number of pieces: none does."""
    cdef uint32_t low = 0
    cdef uint32_t high = pending.piece_count
    cdef uint32_t middle
    if high == 0 or pending.pieces[high - 1].end <= offset:
        return high  # in order, as nearly always
    while low < high:
        middle = (low + high) // 2
        if pending.pieces[middle].end > offset:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline bint overlaps(
    const Pending *pending, uint32_t index, const Packet *packet
) noexcept nogil:
    """Whether a fragment has bytes of others without being the copy of one."""
    cdef uint32_t begin = packet.fragment_offset
    cdef uint32_t end = begin + packet.payload_bytes
    if index >= pending.piece_count or pending.pieces[index].begin >= end:
        return False
    if pending.pieces[index].begin != begin or pending.pieces[index].end != end:
        return True
    return differs(pending, index, packet, begin, end)


cdef inline bint differs(
    const Pending *pending, uint32_t index, const Packet *packet, uint32_t begin, uint32_t end
) noexcept nogil:
    """Whether bytes [begin, end) are others than that piece's, as far as both were captured."""
    cdef const Piece *piece = pending.pieces + index
    cdef uint32_t here = begin - packet.fragment_offset
    cdef uint32_t there = begin - piece.begin
    cdef uint32_t count = end - begin
    if here >= packet.payload_captured or there >= piece.captured:
        return False
    count = min(count, min(packet.payload_captured - here, <uint32_t>piece.captured - there))
    return memcmp(packet.payload + here, pending.arena + piece.at + there, count) != 0
