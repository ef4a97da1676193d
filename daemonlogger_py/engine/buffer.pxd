"""Memory for records laid out as they stand in a savefile; see buffer.pyx."""
from libc.stdint cimport uint8_t, uint64_t

cdef class Buffer:
    cdef uint8_t *data
    cdef size_t _capacity
    cdef size_t used  # bytes in use, the lead included
    cdef uint64_t _packets
    cdef uint64_t _first_ns
    cdef uint64_t _last_ns
    cdef uint64_t since_ns  # CLOCK_MONOTONIC when the first record came in; 0: none yet
    cdef int exports

    cdef int reserve(self, size_t capacity, size_t kept) except -1 nogil
