"""The base of all sinks: it takes everything and keeps nothing."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.packet cimport Packet


cdef class Sink:
    """Takes what `Engine` tells; native subclasses override the calls they want (sink.pxd)."""

    cdef int opened(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        return 0

    cdef int packet(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        return 0

    cdef int data(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        return 0

    cdef int repeated(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        return 0

    cdef int event(
        self, Flow *flow, int side, int what, int64_t offset, uint64_t count, const Packet *packet
    ) noexcept nogil:
        return 0

    cdef int closed(self, Flow *flow, int side) noexcept nogil:
        return 0

    cdef int datagram(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        return 0

    cdef int unprocessed(self, const Packet *packet) noexcept nogil:
        return 0

    cdef int fed(self) noexcept nogil:
        return 0

    cdef object failure(self):
        return MemoryError("no memory for a stream")
