"""Bytes of packets as text for the console: printable, hexadecimal, JSON; see printing.pyx."""
from libc.stdint cimport int64_t, uint8_t, uint32_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.readers.streams.names cimport Template
from daemonlogger_py.readers.streams.outlet cimport Outlet
from daemonlogger_py.readers.streams.text cimport Text

cdef class Printing:
    cdef Outlet outlet
    cdef Template template
    cdef Text text
    cdef char *prefix
    cdef size_t prefix_bytes
    cdef bint names
    cdef bint raw
    cdef bint hex
    cdef bint colour
    cdef bint newline
    cdef bint json
    cdef int64_t max_bytes

    # Print bytes of flow.streams[side], as many as -b leaves behind the `before` that were counted.
    # 0, or -1.
    cdef int add(
        self, const Flow *flow, int side, int64_t before, const uint8_t *data, uint32_t count
    ) noexcept nogil
    # Print that bytes are missing; not among raw bytes. 0, or -1.
    cdef int add_gap(self, const Flow *flow, int side, int64_t count) noexcept nogil
    # Write what is printed to the outlet. 0, or -1.
    cdef int flush(self) noexcept nogil
    # What the last -1 was for: the exception to raise.
    cdef object failure(self)

    cdef void put_name(self, const Flow *flow, int side) noexcept nogil
    cdef void begin(self, const Flow *flow, int side) noexcept nogil
    cdef int end(self) noexcept nogil
