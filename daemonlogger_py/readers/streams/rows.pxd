"""Rows of .findx files; see rows.pyx."""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Range
from daemonlogger_py.readers.streams.batch cimport Kept, Operation, Row
from daemonlogger_py.readers.streams.closed cimport Closed
from daemonlogger_py.readers.streams.directories cimport Directories
from daemonlogger_py.readers.streams.text cimport Text

cdef struct Source:  # rows in the order of their offsets, of memory or of the file
    Row *rows
    uint32_t at
    uint32_t count  # of them in `rows`
    int64_t next  # where in the file those behind them are
    uint64_t left  # of them there
    int64_t first  # offset of the first of all
    uint64_t number  # of the stream's, in the order of their arrival
    bint owned  # `rows` was allocated for it


cdef class Rows:
    cdef Directories directories
    cdef int fd  # of the file without a name, -1: none yet
    cdef int64_t end  # behind its last byte in use
    cdef uint64_t runs  # in it that are still wanted
    cdef int64_t max_bytes
    cdef bint gaps
    cdef Text text
    cdef int64_t written  # of the .findx file at hand
    cdef uint32_t gap  # the next one to be told of

    # Take the rows of an operation off its hands, into the file. 0, or an errno.
    cdef int put_away(self, Operation *operation) noexcept nogil
    # Write all rows of a stream to its .findx file; its first byte is at `begin`. 0, or an errno.
    cdef int write(self, int fd, Kept *kept, const Closed *closed, int64_t begin) noexcept nogil
    # Forget what is in the file of a stream.
    cdef void release(self, Kept *kept) noexcept nogil

    cdef int merge(
        self, int fd, Source *sources, uint64_t count, const Closed *closed, int64_t begin
    ) noexcept nogil
    cdef int merged(
        self, int fd, Source *sources, uint64_t count, Source **heap, const Closed *closed,
        int64_t begin,
    ) noexcept nogil
    cdef int load(self, Source *source) noexcept nogil
    cdef int put_row(
        self, int fd, const Row *row, const Closed *closed, int64_t begin
    ) noexcept nogil
    cdef int flush(self, int fd) noexcept nogil
