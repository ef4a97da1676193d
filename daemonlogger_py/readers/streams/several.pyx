"""One sink for the engine that is several: each of them is told everything it wants."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from daemonlogger_py.flow.flow cimport Flow, Stream
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.sink cimport Sink

cdef struct Both:  # what each of the two keeps of a stream: its `kept`, as the engine sees it
    void *first
    void *second


cdef class Several(Sink):
    """Tells each of two or more `sinks` in turn, until one fails.

    A sink finds its own in the `kept` of the stream that a call is about, and in no other's.
    """

    cdef Sink first
    cdef Sink second
    cdef bint second_failed

    def __init__(self, sinks):
        if len(sinks) < 2 or None in sinks:
            raise ValueError(f"{sinks!r} are not several sinks")
        self.first, *others = sinks
        self.second = Several(others) if len(others) > 1 else others[0]
        self.wants_packets = self.first.wants_packets or self.second.wants_packets
        self.wants_unprocessed = self.first.wants_unprocessed or self.second.wants_unprocessed

    cdef int opened(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Both *both = begin(&flow.streams[side])
        cdef void *first
        cdef int outcome = self.first.opened(flow, side, packet)
        first = turn(&flow.streams[side], both)
        self.second_failed = False
        if outcome == 0:
            outcome = self.second_result(self.second.opened(flow, side, packet))
        return settle(&flow.streams[side], both, first) or outcome

    cdef int packet(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Both *both = begin(&flow.streams[side])
        cdef void *first
        cdef int outcome = 0
        if self.first.wants_packets:
            outcome = self.first.packet(flow, side, packet)
        first = turn(&flow.streams[side], both)
        self.second_failed = False
        if outcome == 0 and self.second.wants_packets:
            outcome = self.second_result(self.second.packet(flow, side, packet))
        return settle(&flow.streams[side], both, first) or outcome

    cdef int data(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Both *both = begin(&flow.streams[side])
        cdef void *first
        cdef int outcome = self.first.data(flow, side, offset, data, count, packet)
        first = turn(&flow.streams[side], both)
        self.second_failed = False
        if outcome == 0:
            outcome = self.second_result(
                self.second.data(flow, side, offset, data, count, packet)
            )
        return settle(&flow.streams[side], both, first) or outcome

    cdef int repeated(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Both *both = begin(&flow.streams[side])
        cdef void *first
        cdef int outcome = self.first.repeated(flow, side, offset, data, count, packet)
        first = turn(&flow.streams[side], both)
        self.second_failed = False
        if outcome == 0:
            outcome = self.second_result(
                self.second.repeated(flow, side, offset, data, count, packet)
            )
        return settle(&flow.streams[side], both, first) or outcome

    cdef int event(
        self, Flow *flow, int side, int what, int64_t offset, uint64_t count, const Packet *packet
    ) noexcept nogil:
        cdef Both *both = begin(&flow.streams[side])
        cdef void *first
        cdef int outcome = self.first.event(flow, side, what, offset, count, packet)
        first = turn(&flow.streams[side], both)
        self.second_failed = False
        if outcome == 0:
            outcome = self.second_result(
                self.second.event(flow, side, what, offset, count, packet)
            )
        return settle(&flow.streams[side], both, first) or outcome

    cdef int closed(self, Flow *flow, int side) noexcept nogil:
        cdef Both *both = begin(&flow.streams[side])
        cdef void *first
        cdef int outcome = self.first.closed(flow, side)
        first = turn(&flow.streams[side], both)
        self.second_failed = False
        # It has to free what it keeps, whatever became of the other.
        if self.second.closed(flow, side) != 0 and outcome == 0:
            outcome = self.second_result(-1)
        return settle(&flow.streams[side], both, first) or outcome

    cdef int datagram(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Both *both = begin(&flow.streams[side])
        cdef void *first
        cdef int outcome = self.first.datagram(flow, side, packet)
        first = turn(&flow.streams[side], both)
        self.second_failed = False
        if outcome == 0:
            outcome = self.second_result(self.second.datagram(flow, side, packet))
        return settle(&flow.streams[side], both, first) or outcome

    cdef int unprocessed(self, const Packet *packet) noexcept nogil:
        if self.first.wants_unprocessed and self.first.unprocessed(packet) != 0:
            self.second_failed = False
            return -1
        if self.second.wants_unprocessed:
            return self.second_result(self.second.unprocessed(packet))
        return 0

    cdef int fed(self) noexcept nogil:
        if self.first.fed() != 0:
            self.second_failed = False
            return -1
        return self.second_result(self.second.fed())

    cdef object failure(self):
        return self.second.failure() if self.second_failed else self.first.failure()

    cdef int second_result(self, int outcome) noexcept nogil:
        self.second_failed = outcome != 0
        return outcome


cdef inline Both *begin(Stream *stream) noexcept nogil:
    """What both keep, or NULL; the stream then shows what the first does."""
    cdef Both *both = <Both *>stream.kept
    if both != NULL:
        stream.kept = both.first
    return both


cdef inline void *turn(Stream *stream, Both *both) noexcept nogil:
    """What the first keeps now; the stream then shows what the second does."""
    cdef void *first = stream.kept
    stream.kept = NULL if both == NULL else both.second
    return first


cdef inline int settle(Stream *stream, Both *both, void *first) noexcept nogil:
    """Put away what both keep; -1: no memory."""
    cdef void *second = stream.kept
    stream.kept = NULL
    if first == NULL and second == NULL:
        free(both)
        return 0
    if both == NULL:
        both = <Both *>malloc(sizeof(Both))
        if both == NULL:
            return -1
    both.first = first
    both.second = second
    stream.kept = both
    return 0
