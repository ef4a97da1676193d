"""The base of sinks that want each stream's bytes in order; see ordered.pyx."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.order cimport Held, Order
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.sink cimport Sink

cdef struct OrderCounts:
    uint64_t held_bytes
    uint64_t peak_bytes
    uint64_t holes
    uint64_t missing_bytes
    uint64_t given_up
    uint64_t late_bytes
    uint64_t differing_bytes

cdef class OrderedSink(Sink):
    cdef uint64_t stream_bytes
    cdef uint64_t memory_bytes
    cdef bint last_wins
    cdef OrderCounts order_counts
    cdef Order *newest  # of all
    cdef Order *first_waiting
    cdef Order *last_waiting

    # For subclasses to override; each returns 0, or -1 to end the feed, as those of Sink.

    # The next bytes of a stream. `packet` made them deliverable; NULL: a limit or the end did.
    cdef int deliver(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil
    # The next bytes of a stream are not there, and not waited for any more.
    cdef int missing(self, Flow *flow, int side, int64_t offset, int64_t count) noexcept nogil
    # Bytes that were told as missing before, or are before the first byte delivered.
    cdef int late(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil
    # Bytes that were held came again, and are others. Which ones stay, the policy says.
    cdef int differs(
        self, Flow *flow, int side, int64_t offset, uint32_t count, const Packet *packet
    ) noexcept nogil
    # The stream is over: nothing more comes. `own` is to be freed here.
    cdef int over(self, Flow *flow, int side) noexcept nogil

    # For subclasses to call: what is kept of a stream, made at need; NULL: there is no memory.
    cdef Order *order_of(self, Flow *flow, int side) noexcept nogil
    # Take no more of a stream, and forget what is held of it.
    cdef void ignore(self, Order *order) noexcept nogil

    cdef int hold(
        self, Order *order, int64_t offset, const uint8_t *data, uint32_t count, uint32_t cut
    ) noexcept nogil
    cdef int keep_limits(self, Order *order, const Packet *packet) noexcept nogil
    cdef int give_up(self, Order *order, const Packet *packet) noexcept nogil
    cdef int drain(self, Order *order, const Packet *packet) noexcept nogil
    cdef int tell_missing(self, Order *order, int64_t until) noexcept nogil
    cdef void wait(self, Order *order) noexcept nogil
    cdef void wait_no_more(self, Order *order) noexcept nogil
    cdef int compare(
        self, Order *order, Held *piece, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil
    cdef void forget_pieces(self, Order *order) noexcept nogil
    cdef void forget_order(self, Order *order) noexcept nogil
