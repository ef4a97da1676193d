"""Records that matched, in the order they are given out in; see chunk.pyx."""
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from daemonlogger_py.savefile.records cimport RecordHeader

cdef class Chunk:
    cdef uint8_t *data
    cdef size_t used
    cdef size_t room
    cdef size_t loaded  # bytes of a file behind those used
    cdef uint64_t records
    cdef uint64_t earliest_ns
    cdef uint64_t latest_ns
    cdef uint64_t last_ns  # of the record added last
    cdef bint ascending  # no record is earlier than the one before it
    cdef bint descending
    cdef uint32_t fraction_ns  # what one of the headers' fractions stands for: 1 or 1000
    cdef int exports

    cdef int add(
        self, const RecordHeader *header, const uint8_t *packet, uint64_t at_ns
    ) noexcept nogil
    cdef int load(self, int fd, uint64_t at, uint64_t count, uint64_t most) noexcept nogil
    cdef int copy(self, const uint8_t *records, size_t count) noexcept nogil
    cdef void note(self, uint64_t at_ns) noexcept nogil
    cdef int flip(self, size_t begin) noexcept nogil
    cdef void look_at_order(self) noexcept nogil
    cdef int sort(self, uint64_t mask) noexcept nogil
    cdef int grow(self, size_t needed) noexcept nogil
    cdef int fit(self) noexcept nogil
