"""IP fragments put together; see defrag.pyx."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.pieces cimport Pending

cdef struct Counts:  # see `Fragments` in defrag.pyx
    uint64_t fragments
    uint64_t completed
    uint64_t atomic
    uint64_t cut
    uint64_t duplicate
    uint64_t overlapping
    uint64_t contradictory
    uint64_t disputed
    uint64_t oversize
    uint64_t empty
    uint64_t misaligned
    uint64_t refused
    uint64_t overlapped
    uint64_t timed_out
    uint64_t evicted

cdef struct Listed:  # datagrams, the oldest first
    Pending *oldest
    Pending *newest
    uint32_t count

cdef class Defragmenter:
    # The datagram that `add` completed; good until the next `add`.
    cdef const uint8_t *datagram
    cdef uint32_t datagram_captured  # leading bytes that were captured
    cdef uint32_t datagram_bytes
    # What it carries: for IPv6, the fragment at offset 0 says that alone (RFC 8200, 4.5).
    cdef uint8_t datagram_protocol

    cdef uint8_t *whole
    cdef Pending **buckets
    cdef uint64_t bucket_mask
    cdef uint64_t seeds[2]
    cdef Listed pending
    cdef Listed over
    cdef size_t memory_bytes
    cdef size_t held_bytes
    cdef size_t peak_bytes
    cdef uint32_t max_datagrams
    cdef uint64_t timeout_ns[2]  # of IPv4, IPv6
    cdef Counts counts

    # Take a TRANSPORT_FRAGMENT packet: 1 it completed a datagram, 0 it is kept or was dropped
    # (and counted), -1 there is no memory.
    cdef int add(self, const Packet *packet) noexcept nogil

    cdef bint acceptable(self, const Packet *packet) noexcept nogil
    cdef uint64_t hash_of(self, const Packet *packet) noexcept nogil
    cdef bint expired(self, const Pending *pending, uint64_t time_ns) noexcept nogil
    cdef void expire(self, uint64_t time_ns) noexcept nogil
    cdef Pending *find(self, const Packet *packet) noexcept nogil
    cdef bint repeats(self, const Pending *over, const Packet *packet) noexcept nogil
    cdef Pending *begin(self, const Packet *packet) noexcept nogil
    cdef void drop(self, Pending *pending) noexcept nogil
    cdef void finish(self, Pending *pending) noexcept nogil
    cdef void keep_memory(self) noexcept nogil
    cdef void refuse(self, Pending *pending) noexcept nogil
    cdef void empty_out(self, Pending *pending) noexcept nogil
    cdef void hold(self, size_t count) noexcept nogil
    cdef bint fits_end(self, const Pending *pending, const Packet *packet) noexcept nogil
    cdef int store(self, Pending *pending, const Packet *packet) noexcept nogil
    cdef int keep(
        self, Pending *pending, uint32_t index, const Packet *packet, uint32_t begin, uint32_t end
    ) noexcept nogil
    cdef void assemble(self, Pending *pending) noexcept nogil
