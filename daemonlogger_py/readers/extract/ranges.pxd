"""The parts of a savefile that have to be read; see ranges.pyx."""
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef extern from "<stdint.h>":
    uint64_t LAST_NS "UINT64_MAX"  # no time is later, and no key is greater

cdef enum:
    UNCOUNTED = 0xFFFFFFFFFFFFFFFF

cdef struct Range:
    uint64_t begin  # byte offset of its first record
    uint64_t end
    uint64_t packets  # how many there are, or UNCOUNTED
    uint64_t early_ns  # no packet here or in a later range is earlier
    uint64_t late_ns  # no packet here or in a range before is later

cdef class Ranges:
    cdef Range *items
    cdef size_t count
    cdef size_t room
    cdef readonly bint ordered  # times of the savefile's packets never go back

    cdef int append(
        self, uint64_t begin, uint64_t end, uint64_t packets, uint64_t early_ns, uint64_t late_ns
    ) noexcept nogil
    cdef void bound(self) noexcept nogil

cdef class Window:
    cdef uint8_t *data
    cdef size_t room
    cdef uint64_t begin  # byte offset in the file of the first byte
    cdef size_t used

    cdef int load(self, int fd, uint64_t at, uint64_t count) noexcept nogil
