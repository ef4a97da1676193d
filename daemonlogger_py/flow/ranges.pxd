"""Which bytes of a stream were received: ranges, ascending and apart; see ranges.pyx."""
from libc.stdint cimport int64_t, uint32_t

from daemonlogger_py.flow.flow cimport Range, Stream

# Where the piece of [begin, end) that starts at `begin` ends, it being wholly received or not.
cdef int64_t piece_end(
    const Stream *stream, int64_t begin, int64_t end, bint *received
) noexcept nogil
# Note [begin, end) as received; it may touch ranges, but not overlap them. Whether memory sufficed.
cdef bint receive(Stream *stream, int64_t begin, int64_t end) noexcept nogil
# Say that the stream begins at `begin`, before all that was received. Whether memory sufficed.
cdef bint begin_at(Stream *stream, int64_t begin) noexcept nogil
# Write up to `most` gaps between the stream's begin and `end` to `gaps`; how many there are in all.
cdef uint32_t gaps_of(
    const Stream *stream, int64_t end, Range *gaps, uint32_t most
) noexcept nogil
cdef void forget(Stream *stream) noexcept nogil
