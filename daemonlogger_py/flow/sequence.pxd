"""Sequence arithmetic (RFC 9293, 3.4), all of it: numbers wrap at 32 bits, offsets do not."""
from libc.stdint cimport int32_t, int64_t, uint32_t

from daemonlogger_py.flow.flow cimport Stream


cdef inline int32_t distance(uint32_t start, uint32_t sequence) noexcept nogil:
    """How far `sequence` lies behind `start`; negative: before it. At most 2 GiB either way."""
    return <int32_t>(sequence - start)


cdef inline int64_t offset_of(const Stream *stream, uint32_t sequence) noexcept nogil:
    """The offset in the stream that is nearest to what is expected next."""
    return stream.expected + distance(stream.sequence + <uint32_t>stream.expected, sequence)
