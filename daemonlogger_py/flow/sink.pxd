"""What the engine tells of flows: a sink overrides what it wants; see sink.pyx.

All are called without the GIL, from `Engine.feed` or `Engine.finish`, in the order of the packets.
Each returns 0, or -1 to end the feed: the sink keeps the reason, and raises it afterwards.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.packet cimport Packet


cdef class Sink:
    cdef bint wants_packets  # `packet` is called
    cdef bint wants_unprocessed  # `unprocessed` is called

    # The first packet of flow.streams[side] came; also when one stream follows another.
    cdef int opened(self, Flow *flow, int side, const Packet *packet) noexcept nogil
    # Every packet of a TCP flow (before `data` of the same packet), whether it holds data or not.
    cdef int packet(self, Flow *flow, int side, const Packet *packet) noexcept nogil
    # Bytes never received before, where they belong, as they arrive: not in order.
    cdef int data(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil
    # Bytes received before, again: perhaps with other content.
    cdef int repeated(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil
    # An `Event` of flow.streams[side]; count in bytes.
    cdef int event(
        self, Flow *flow, int side, int what, int64_t offset, uint64_t count, const Packet *packet
    ) noexcept nogil
    # flow.streams[side] is over; the last call for it. `kept` is to be freed here.
    cdef int closed(self, Flow *flow, int side) noexcept nogil
    # A datagram of UDP, ICMP, SCTP or another protocol that the engine was asked to track.
    cdef int datagram(self, Flow *flow, int side, const Packet *packet) noexcept nogil
    # An IP packet that belongs to no stream: not TCP, a cut header, a fragment.
    cdef int unprocessed(self, const Packet *packet) noexcept nogil
    # The packets of one feed are over, and their bytes are about to go.
    cdef int fed(self) noexcept nogil

    # Why a call returned -1: the exception to raise; called with the GIL.
    cdef object failure(self)
