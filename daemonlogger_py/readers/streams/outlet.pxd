"""A descriptor that text is written to without the GIL; see outlet.pyx."""
from daemonlogger_py.readers.streams.text cimport Text

cdef extern from "<semaphore.h>" nogil:
    ctypedef struct sem_t:
        pass

cdef class Outlet:
    cdef readonly int fd
    cdef int written_fd  # instead, if that of `taker`
    cdef int stop_fd  # readable once stopping is requested, or -1
    cdef object taker  # who waits for the reader, if stopping may be requested
    cdef bint blocks
    cdef size_t most_bytes  # at once
    cdef readonly str semaphore
    cdef sem_t *shared  # NULL: nobody else is waited for
    cdef double patience_s
    cdef int failed_errno
    cdef bint held_by_another
    cdef object raised  # by a signal handler

    # Write all of it, as one among those that share the semaphore, and empty it. 0, or -1.
    cdef int write(self, Text *text) noexcept nogil
    # What the last -1 was for: the exception to raise.
    cdef object failure(self)

    cdef join(self)
    cdef int write_all(self, const char *data, size_t count) noexcept nogil
    cdef int wait_writable(self) noexcept nogil
    cdef int wait_for_taker(self) noexcept nogil
    cdef int take_turn(self) noexcept nogil
    cdef bint interrupted(self) noexcept nogil
