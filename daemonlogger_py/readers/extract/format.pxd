"""What the 24 bytes at the start of a savefile say about its records; see format.pyx."""
from libc.stdint cimport uint32_t

from daemonlogger_py.engine.bpf cimport Filter

cdef class Format:
    cdef readonly Filter filter
    cdef readonly bint accepts_all  # there is no filter
    cdef readonly bytes header
    cdef readonly bytes written
    cdef readonly uint32_t linktype
    cdef readonly uint32_t snaplen
    cdef readonly bint nanosecond
    cdef readonly bint swapped
    cdef uint32_t caplen_limit
