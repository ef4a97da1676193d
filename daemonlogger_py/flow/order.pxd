"""What ordered.pyx keeps of a stream: how far it was delivered, and the bytes that wait."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memmove

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.packet cimport Packet

cdef struct Held:  # bytes that wait for those before them
    int64_t begin
    uint32_t count
    uint32_t cut  # bytes behind them that were sent, but not captured
    uint8_t data[1]  # `count` of them

cdef struct Order:  # of a stream: its `kept`
    Flow *flow
    int side
    bint ignored  # set by a subclass: nothing more of it is held or delivered
    bint begun  # something was delivered or given up
    int64_t next  # offset of the next byte to deliver
    int64_t cut_end  # bytes from `next` to here were sent, but not captured
    Held **pieces  # ascending; those that wait begin at `first`
    uint32_t first
    uint32_t count
    uint32_t capacity
    uint64_t held_bytes  # memory in pieces
    void *own  # the subclass's, NULL at first
    Order *newer  # of all
    Order *older
    Order *later  # of those with pieces, by their oldest hole
    Order *earlier


cdef inline void settle_start(Order *order) noexcept nogil:
    """Where a stream begins, until something was delivered.

    The engine notes bytes, and a SYN that comes behind bytes, before it tells of them: either
    may be before offset 0.
    """
    if not order.begun:
        order.next = min(<int64_t>0, order.flow.streams[order.side].received_begin)


cdef inline uint32_t cut_behind(
    const uint8_t *data, uint32_t count, const Packet *packet
) noexcept nogil:
    """How many bytes the packet sent behind these, if they are the last that were captured."""
    if data + count != packet.payload + packet.payload_captured:
        return 0
    return packet.payload_bytes - packet.payload_captured


cdef inline uint32_t first_behind(const Order *order, int64_t offset) noexcept nogil:
    """Index of the first piece that ends behind `offset`, or where the next one is to stand."""
    cdef uint32_t low = order.first
    cdef uint32_t high = order.first + order.count
    cdef uint32_t middle
    cdef const Held *piece
    if order.count == 0:
        return low
    piece = order.pieces[high - 1]
    if piece.begin + piece.count <= offset:
        return high  # behind one hole, in order: as nearly always
    while low < high:
        middle = (low + high) // 2
        piece = order.pieces[middle]
        if piece.begin + piece.count > offset:
            high = middle
        else:
            low = middle + 1
    return low


cdef inline bint has_room(Order *order) noexcept nogil:
    """Make room for one more piece behind the others; whether memory sufficed."""
    cdef uint32_t capacity
    cdef Held **grown
    if order.first + order.count < order.capacity:
        return True
    if order.first > order.capacity // 2:
        memmove(order.pieces, order.pieces + order.first, order.count * sizeof(Held *))
        order.first = 0
        return True
    capacity = order.capacity * 2 if order.capacity else 4
    grown = <Held **>realloc(order.pieces, capacity * sizeof(Held *))
    if grown == NULL:
        return False
    order.pieces = grown
    order.capacity = capacity
    return True
