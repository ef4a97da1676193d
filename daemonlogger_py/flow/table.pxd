"""The table of flows; see table.pyx."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.packet cimport Packet

cdef class Table:
    cdef Flow **buckets
    cdef uint32_t mask
    cdef readonly uint64_t count
    cdef uint64_t seed[2]
    cdef Flow *newest  # of the flows that are not ended
    cdef Flow *oldest
    cdef Flow *newest_ended
    cdef Flow *oldest_ended
    cdef readonly uint64_t ended_count

    cdef uint32_t hash_of(self, const Packet *packet, uint8_t protocol) noexcept nogil
    cdef void grow(self) noexcept nogil
    cdef void link(self, Flow *flow) noexcept nogil
    cdef void unlink(self, Flow *flow, bint ended) noexcept nogil
    # The flow of a packet and the side that sent it, or NULL.
    cdef Flow *find(self, const Packet *packet, uint8_t protocol, int *side) noexcept nogil
    # A new flow, its side 0 the sender of `packet`; it must not be there yet. NULL: no memory.
    cdef Flow *add(self, const Packet *packet, uint8_t protocol) noexcept nogil
    # Make it the newest of its list, which is chosen by flow.ended.
    cdef void touch(self, Flow *flow, bint was_ended) noexcept nogil
    # Free it. Its streams' `kept` must be gone.
    cdef void remove(self, Flow *flow) noexcept nogil
