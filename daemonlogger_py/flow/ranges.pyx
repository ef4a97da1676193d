"""Which bytes of a stream were received.

The first range stands in the stream itself, and is the only one of nearly every stream; the others
stand in an array behind it. The complement is the stream's gaps. How many ranges a stream may have
is the engine's to limit.
"""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove, memset

from daemonlogger_py.flow.flow cimport Range, Stream


cdef uint32_t first_ending_from(const Stream *stream, int64_t offset) noexcept nogil:
    """Index of the first range of the array that ends at `offset` or behind it."""
    cdef uint32_t low = 0
    cdef uint32_t high = stream.range_count
    cdef uint32_t middle
    # Nearly always it is the last one, or none.
    if high == 0 or stream.ranges[high - 1].end < offset:
        return high
    while low < high:
        middle = (low + high) // 2
        if stream.ranges[middle].end < offset:
            low = middle + 1
        else:
            high = middle
    return low


cdef int64_t piece_end(
    const Stream *stream, int64_t begin, int64_t end, bint *received
) noexcept nogil:
    cdef uint32_t at
    received[0] = False
    if begin < stream.received_begin:
        return min(end, stream.received_begin)
    if begin < stream.received_end:
        received[0] = True
        return min(end, stream.received_end)
    at = first_ending_from(stream, begin + 1)
    if at == stream.range_count:
        return end
    if begin < stream.ranges[at].begin:
        return min(end, stream.ranges[at].begin)
    received[0] = True
    return min(end, stream.ranges[at].end)


cdef bint insert(Stream *stream, uint32_t at, int64_t begin, int64_t end) noexcept nogil:
    cdef uint32_t capacity
    cdef Range *grown
    if stream.range_count == stream.range_capacity:
        capacity = stream.range_capacity * 2 if stream.range_capacity else 4
        grown = <Range *>realloc(stream.ranges, capacity * sizeof(Range))
        if grown == NULL:
            return False
        stream.ranges = grown
        stream.range_capacity = capacity
    memmove(
        stream.ranges + at + 1, stream.ranges + at, (stream.range_count - at) * sizeof(Range)
    )
    stream.ranges[at].begin = begin
    stream.ranges[at].end = end
    stream.range_count += 1
    return True


cdef void remove(Stream *stream, uint32_t at) noexcept nogil:
    stream.range_count -= 1
    memmove(
        stream.ranges + at, stream.ranges + at + 1, (stream.range_count - at) * sizeof(Range)
    )


cdef bint receive(Stream *stream, int64_t begin, int64_t end) noexcept nogil:
    cdef uint32_t at
    cdef Range *next_range
    if begin == stream.received_end:
        stream.received_end = end
        if stream.range_count and stream.ranges[0].begin == end:
            stream.received_end = stream.ranges[0].end
            remove(stream, 0)
        return True
    if end == stream.received_begin:
        stream.received_begin = begin
        return True
    if end < stream.received_begin:
        if not insert(stream, 0, stream.received_begin, stream.received_end):
            return False
        stream.received_begin = begin
        stream.received_end = end
        return True
    at = first_ending_from(stream, begin)
    if at < stream.range_count and stream.ranges[at].end == begin:
        next_range = stream.ranges + at
        next_range.end = end
        if at + 1 < stream.range_count and stream.ranges[at + 1].begin == end:
            next_range.end = stream.ranges[at + 1].end
            remove(stream, at + 1)
        return True
    if at < stream.range_count and stream.ranges[at].begin == end:
        stream.ranges[at].begin = begin
        return True
    return insert(stream, at, begin, end)


cdef bint begin_at(Stream *stream, int64_t begin) noexcept nogil:
    if begin >= stream.received_begin:
        return True
    if not insert(stream, 0, stream.received_begin, stream.received_end):
        return False
    stream.received_begin = stream.received_end = begin
    return True


cdef uint32_t gaps_of(
    const Stream *stream, int64_t end, Range *gaps, uint32_t most
) noexcept nogil:
    cdef uint32_t found = 0
    cdef uint32_t at
    cdef int64_t behind = stream.received_end
    cdef int64_t until
    for at in range(stream.range_count + 1):
        until = stream.ranges[at].begin if at < stream.range_count else end
        if until > behind:
            if found < most:
                gaps[found].begin = behind
                gaps[found].end = until
            found += 1
        if at < stream.range_count:
            behind = stream.ranges[at].end
    return found


cdef void forget(Stream *stream) noexcept nogil:
    free(stream.ranges)
    stream.ranges = NULL
    stream.range_count = stream.range_capacity = 0


def gaps_after(segments, int64_t end, begin=None):
    """Gaps up to `end` once `segments`, (begin, end) pairs, were received, for tests and tools.

    Bytes received before are passed over, as the engine does it; `begin` is where the stream is
    said to begin afterwards. Returns (gaps, how many bytes were new).
    """
    cdef Stream stream
    cdef Range gaps[256]
    cdef int64_t at, until, piece
    cdef int64_t fresh = 0
    cdef bint received = False
    cdef uint32_t count, i
    memset(&stream, 0, sizeof(stream))
    try:
        for at, until in segments:
            while at < until:
                piece = piece_end(&stream, at, until, &received)
                if not received:
                    fresh += piece - at
                    if not receive(&stream, at, piece):
                        raise MemoryError
                at = piece
        if begin is not None and not begin_at(&stream, begin):
            raise MemoryError
        count = gaps_of(&stream, end, gaps, 256)
        return [(gaps[i].begin, gaps[i].end) for i in range(min(count, 256))], fresh
    finally:
        forget(&stream)
