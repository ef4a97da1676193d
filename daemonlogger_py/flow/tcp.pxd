"""Streams of TCP, segment by segment; see tcp.pyx."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow, Stream
from daemonlogger_py.flow.lifetimes cimport Lifetimes
from daemonlogger_py.flow.packet cimport Packet


cdef class Segments(Lifetimes):
    cdef int64_t skip_bytes
    cdef uint64_t before_ns  # when the stream at hand had its last packet before this one
    cdef uint64_t sessions

    # Open the stream that begins with `packet`. All that return an int give 0, or -1.
    cdef int open_stream(self, Flow *flow, int side, const Packet *packet) noexcept nogil
    # Take a packet of a stream that is open.
    cdef int follow(self, Flow *flow, int side, Packet *packet) noexcept nogil
    # Bytes up to `sequence` were sent, by the sender's own account or the other side's.
    cdef void learn_end(self, Stream *stream, uint32_t sequence) noexcept nogil
    # Whether a segment that follows the stream's close is more than a repetition.
    cdef bint is_new_after_close(self, Stream *stream, const Packet *packet) noexcept nogil

    cdef int take_syn(
        self, Flow *flow, int side, Packet *packet, uint32_t sequence
    ) noexcept nogil
    cdef int payload(self, Flow *flow, int side, Packet *packet) noexcept nogil
    cdef int pieces(
        self, Flow *flow, int side, int64_t begin, int64_t end, const uint8_t *data,
        const Packet *packet,
    ) noexcept nogil
    cdef int begin_again(
        self, Flow *flow, int side, const Packet *packet, int why
    ) noexcept nogil
