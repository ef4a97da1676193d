"""Streams on the console as their packets come: tcpflow's -c and -C; nothing is stored.

`Console` prints the payload of each packet as it arrives, repeated and out of order as that may
be. `OrderedConsole` prints each stream's bytes in order and once. The form is printing.pyx's.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from daemonlogger_py.flow.flow cimport Flow, Stream
from daemonlogger_py.flow.ordered cimport OrderedSink
from daemonlogger_py.flow.packet cimport TCP_SYN, Packet
from daemonlogger_py.flow.sequence cimport offset_of
from daemonlogger_py.flow.sink cimport Sink
from daemonlogger_py.readers.streams.printing cimport Printing


cdef class Console(Sink):
    """Prints the payload of each packet of TCP as it arrives."""

    cdef Printing printing

    def __init__(self, Printing printing not None):
        self.printing = printing
        self.wants_packets = True

    cdef int packet(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef uint32_t sequence = packet.sequence + (1 if packet.flags & TCP_SYN else 0)
        if packet.payload_captured == 0:
            return 0
        return self.printing.add(
            flow, side, offset_of(stream, sequence), packet.payload, packet.payload_captured
        )

    cdef int fed(self) noexcept nogil:
        return self.printing.flush()

    cdef object failure(self):
        return self.printing.failure()


cdef class OrderedConsole(OrderedSink):
    """Prints the bytes of each stream in order, each once.

    `gaps`: where bytes are missing, that is printed, but not among raw bytes. The other parameters
    are those of OrderedSink.
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
        return self.printing.add(flow, side, offset, data, count)

    cdef int missing(self, Flow *flow, int side, int64_t offset, int64_t count) noexcept nogil:
        if not self.gaps or offset >= self.printing.max_bytes:
            return 0
        return self.printing.add_gap(flow, side, count)

    cdef int fed(self) noexcept nogil:
        return self.printing.flush()

    cdef object failure(self):
        return self.printing.failure()
