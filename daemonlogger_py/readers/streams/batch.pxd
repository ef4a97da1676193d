"""What is to be done with the bytes of one buffer; see batch.pyx."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.readers.streams.closed cimport Closed
from daemonlogger_py.readers.streams.files cimport OutFile

cdef enum Task:
    WRITE
    COMPARE
    CLOSE
    ROWS  # of a .findx file are to be put away

cdef struct Row:  # of a .findx file
    int64_t offset
    uint64_t time_ns
    uint32_t count
    uint32_t number  # of those held together, in the order of their arrival

cdef struct Run:  # rows that were put away, ascending
    int64_t at
    uint32_t count
    int64_t first  # offset of the first

cdef struct Kept:  # of a stream with data; a line apart, what its writer alone may touch
    OutFile file
    int64_t base  # where in the file offset 0 is: what is in front of it has negative offsets
    uint64_t differing
    Run *runs
    uint64_t run_count
    uint64_t run_capacity
    Flow *identity  # of the flow when it began: what names are made of; NULL once there is a file

    int side
    int writer
    bint begun  # there is an operation that makes the file
    uint64_t batch  # in which `operation` is
    uint64_t operation  # the last one of this stream
    Row *rows
    uint32_t row_count
    uint32_t row_capacity

cdef struct Piece:
    const uint8_t *data
    uint32_t count
    uint32_t next  # index of the next piece of the operation; 0: none

cdef struct Operation:
    Kept *kept
    int64_t offset
    int64_t end
    uint32_t first
    uint32_t last
    uint8_t task
    uint8_t writer
    Closed *closed  # CLOSE
    Row *rows  # ROWS; theirs who executes it, who sets it to NULL
    uint32_t row_count
    char *created  # name of the file that was made for it, if that is to be told; malloc'ed

# Make room for `wanted` items; whether memory sufficed.
cdef bint grown(
    void **array, uint64_t *capacity, uint64_t wanted, size_t item
) noexcept nogil

# How many of `count` bytes at `offset` are within the first `max_bytes` of a stream.
cdef inline uint32_t clipped(int64_t max_bytes, int64_t offset, uint32_t count) noexcept nogil:
    if offset >= max_bytes:
        return 0
    if offset + count > max_bytes:
        return <uint32_t>(max_bytes - offset)
    return count

cdef class Batch:
    cdef Operation *operations
    cdef uint64_t operation_count
    cdef uint64_t operation_capacity
    cdef Piece *pieces
    cdef uint64_t piece_count
    cdef uint64_t piece_capacity
    cdef void **copies  # bytes that are not in the buffer: of datagrams put together
    cdef uint64_t copy_count
    cdef uint64_t copy_capacity
    cdef Closed **closed
    cdef uint64_t closed_count
    cdef uint64_t closed_capacity
    cdef public bint at_end

    # A new last operation, or NULL.
    cdef Operation *operation(self, Kept *kept, int task, int64_t offset) noexcept nogil
    # Bytes for an operation, by its index; they must stay until the batch is executed.
    cdef bint append(
        self, uint64_t operation, const uint8_t *data, uint32_t count
    ) noexcept nogil
    # Bytes that live as long as the batch, or NULL.
    cdef const uint8_t *copied(self, const uint8_t *data, uint32_t count) noexcept nogil
    # A new record of a closed stream, zeroed, or NULL.
    cdef Closed *add_closed(self) noexcept nogil
