"""Streams on the console as their packets come: tcpflow's -c and -C; nothing is stored.

`Console` prints the payload of each packet as it arrives, repeated and out of order as that may
be. `OrderedConsole` prints each stream's bytes in order and once. The form is printing.pyx's.

For the limit of -b each byte of a stream counts once, when it is new. Offsets would not do: those
of a stream whose first packets came late, or not at all, begin anywhere.
"""
from libc.stdint cimport int64_t, intptr_t, uint8_t, uint32_t

from daemonlogger_py.flow.flow cimport Flow, Stream
from daemonlogger_py.flow.order cimport Order
from daemonlogger_py.flow.ordered cimport OrderedSink
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.sink cimport Sink
from daemonlogger_py.readers.streams.printing cimport Printing


cdef class Console(Sink):
    """Prints the payload of each packet of TCP as it arrives.

    A stream's `kept` is no pointer here, but how many of its bytes have been new.
    """

    cdef Printing printing

    def __init__(self, Printing printing not None):
        self.printing = printing
        self.wants_packets = True

    cdef int packet(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef int64_t before = <intptr_t>stream.kept
        if packet.payload_captured == 0:
            return 0
        if stream.closed:  # nothing is kept of it any more
            before = stream.end - stream.received_begin
        return self.printing.add(flow, side, before, packet.payload, packet.payload_captured)

    cdef int data(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        stream.kept = <void *>(<intptr_t>stream.kept + <intptr_t>count)
        return 0

    cdef int closed(self, Flow *flow, int side) noexcept nogil:
        flow.streams[side].kept = NULL
        return 0

    cdef int fed(self) noexcept nogil:
        return self.printing.flush()

    cdef object failure(self):
        return self.printing.failure()


cdef class OrderedConsole(OrderedSink):
    """Prints the bytes of each stream in order, each once.

    `gaps`: where bytes are missing, that is printed, but not among raw bytes. The other parameters
    are those of OrderedSink. A stream's `own` is no pointer here, but how many bytes it has had.
    """

    cdef Printing printing
    cdef bint gaps

    def __init__(self, Printing printing not None, *, bint gaps=False, **limits):
        OrderedSink.__init__(self, **limits)
        self.printing = printing
        self.gaps = gaps

    cdef int deliver(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Order *order = self.order_of(flow, side)
        cdef int64_t before
        if order == NULL:
            return -1
        before = <intptr_t>order.own
        order.own = <void *>(<intptr_t>before + <intptr_t>count)
        return self.printing.add(flow, side, before, data, count)

    cdef int missing(self, Flow *flow, int side, int64_t offset, int64_t count) noexcept nogil:
        cdef Order *order = self.order_of(flow, side)
        if order == NULL:
            return -1
        if not self.gaps or <intptr_t>order.own >= self.printing.max_bytes:
            return 0
        return self.printing.add_gap(flow, side, count)

    cdef int fed(self) noexcept nogil:
        return self.printing.flush()

    cdef object failure(self):
        return self.printing.failure()
