"""Memory for records laid out as they stand in a savefile.

A source appends; the writer takes the bytes as they are, through the buffer protocol. The memory
is page-aligned so that it may be written past the page cache, and pages never touched cost
nothing. A buffer belongs to one thread at a time: whoever holds it.
"""
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport uint8_t
from libc.stdlib cimport free
from libc.string cimport memcpy

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **memory, size_t alignment, size_t size)

cdef enum:
    PAGE_BYTES = 4096


cdef class Buffer:
    """Up to `capacity` bytes of records. Raises MemoryError.

    `bytes(buffer)` and `memoryview(buffer)` are the bytes in use.
    """

    def __cinit__(self, size_t capacity):
        self.reserve(capacity, 0)

    def __dealloc__(self):
        free(self.data)

    def __len__(self):
        return self.used

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.used, 1, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.exports -= 1

    @property
    def capacity(self):
        """Bytes allocated."""
        return self._capacity

    @property
    def packets(self):
        """Records begun and ended in this buffer."""
        return self._packets

    @property
    def first_ns(self):
        """Time of the first record, ns since 1970; 0 without records."""
        return self._first_ns

    @property
    def last_ns(self):
        """Time of the last record, ns since 1970; 0 without records."""
        return self._last_ns

    @property
    def waiting_since_ns(self):
        """CLOCK_MONOTONIC when the first record came in; 0 without records."""
        return self.since_ns

    def clear(self, const uint8_t[::1] lead=b""):
        """Empty the buffer, but for `lead`: bytes of the file that go before the first record.

        Raises ValueError if the lead is longer than the buffer, BufferError while a view of
        the buffer is alive.
        """
        if self.exports:
            raise BufferError("the buffer is being written")
        if lead.shape[0] > <Py_ssize_t>self._capacity:
            raise ValueError(f"lead of {lead.shape[0]} bytes in a buffer of {self._capacity}")
        if lead.shape[0]:
            memcpy(self.data, &lead[0], lead.shape[0])
        self.used = lead.shape[0]
        self._packets = self._first_ns = self._last_ns = self.since_ns = 0

    cdef int reserve(self, size_t capacity, size_t kept) except -1 nogil:
        """Make room for `capacity` bytes in all; the first `kept` bytes are kept."""
        cdef void *memory = NULL
        if capacity <= self._capacity:
            return 0
        if self.exports:
            with gil:
                raise BufferError("the buffer is being written")
        capacity = (capacity + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES
        if posix_memalign(&memory, PAGE_BYTES, capacity) != 0:
            with gil:
                raise MemoryError(f"no memory for a buffer of {capacity} bytes")
        if kept:
            memcpy(memory, self.data, kept)
        free(self.data)
        self.data = <uint8_t *>memory
        self._capacity = capacity
        return 0
