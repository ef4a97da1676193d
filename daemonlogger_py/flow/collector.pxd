"""Streams turned into Python events; see collector.pyx."""
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.order cimport Order
from daemonlogger_py.flow.ordered cimport OrderedSink
from daemonlogger_py.flow.packet cimport Packet

cdef struct Collected:  # of a stream; alive until the event of its end was taken
    uint64_t number
    uint64_t session
    uint64_t first_ns
    uint8_t family
    uint8_t protocol
    bint to_server
    bint guessed
    bint syn
    uint8_t vlan_count
    uint16_t vlans[4]
    uint8_t source[16]
    uint8_t destination[16]
    uint16_t source_port
    uint16_t destination_port
    Order *order  # NULL: the stream is closed
    PyObject *info  # its StreamInfo, once one was needed
    uint64_t taken_bytes  # of its data, for the limit
    uint8_t *block  # bytes in order that are no event yet
    uint32_t used
    uint32_t capacity
    int64_t offset  # of the block
    uint64_t time_ns  # of the block's first byte
    Collected *newer  # of all
    Collected *older
    Collected *later  # of those with a block, by when it was begun
    Collected *earlier

cdef struct Entry:  # what becomes an event once it is taken
    uint8_t kind
    uint8_t detail  # Why or What
    Collected *stream
    int64_t offset
    int64_t count
    uint64_t time_ns
    uint8_t *block
    uint32_t block_bytes

cdef class Collector(OrderedSink):
    cdef object wanted
    cdef object error
    cdef bint wants_all
    cdef bint prompt
    cdef bint notes
    cdef uint32_t event_bytes
    cdef uint64_t max_bytes
    cdef uint64_t blocks_limit_bytes
    cdef uint64_t blocks_bytes  # in blocks that are no events yet
    cdef Entry *entries
    cdef size_t entry_count
    cdef size_t entry_capacity
    cdef Collected *newest_stream
    cdef Collected *first_begun
    cdef Collected *last_begun

    cdef Collected *begin(self, const Flow *flow, int side) noexcept nogil
    cdef int ask(self, Collected *stream) noexcept with gil
    cdef int collect(
        self, Collected *stream, int64_t offset, const uint8_t *data, uint32_t count,
        uint64_t time_ns,
    ) noexcept nogil
    cdef bint has_room(self, Collected *stream, uint32_t count) noexcept nogil
    cdef int flush(self, Collected *stream) noexcept nogil
    cdef int note(
        self, Flow *flow, int side, int what, int64_t offset, uint64_t count, const Packet *packet
    ) noexcept nogil
    cdef Entry *append(self, int kind, Collected *stream) noexcept nogil
    cdef void link_block(self, Collected *stream) noexcept nogil
    cdef void unlink_block(self, Collected *stream) noexcept nogil
    cdef void forget(self, Collected *stream) noexcept
    cdef object event_of(self, const Entry *entry)
