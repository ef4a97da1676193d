"""Rows of .findx files: when which bytes of a stream came, sorted by their offset.

A stream is open for as long as it likes, and every segment is a row. So the rows of a stream are
only held up to a limit; beyond that they are put away, sorted, in a file without a name that the
streams of a writer share. When the stream is closed, its runs there and what is still held are
merged: bytes may have come in any order, and what turned up in front has moved all offsets.
"""
cimport cython
from libc.errno cimport EIO, ENOMEM, errno
from libc.stdint cimport INT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from posix.unistd cimport close as close_fd, ftruncate, pread

from daemonlogger_py.flow.flow cimport Range
from daemonlogger_py.readers.streams.batch cimport Kept, Operation, Row, Run, clipped, grown
from daemonlogger_py.readers.streams.closed cimport Closed
from daemonlogger_py.readers.streams.directories cimport Directories
from daemonlogger_py.readers.streams.gathered cimport iovec, write_pieces
from daemonlogger_py.readers.streams.text cimport Text, free_text, put_char, put_decimal

cdef extern from "<fcntl.h>" nogil:
    enum:
        FALLOC_FL_KEEP_SIZE
        FALLOC_FL_PUNCH_HOLE
    int fallocate(int fd, int mode, int64_t offset, int64_t count)

cdef enum:
    LOADED_ROWS = 512  # of a run at a time
    FLUSHED_BYTES = 65536  # of text


@cython.final
cdef class Rows:
    """Rows of one writer's streams, the file without a name being below `directories`.

    `max_bytes`: of a stream that are stored; `gaps`: a row for each gap too, without a time.
    """

    def __cinit__(self, Directories directories not None, max_bytes, bint gaps):
        self.directories = directories
        self.max_bytes = INT64_MAX if max_bytes is None else max_bytes
        self.gaps = gaps
        self.fd = -1

    def __dealloc__(self):
        free_text(&self.text)
        if self.fd >= 0:
            close_fd(self.fd)

    cdef int put_away(self, Operation *operation) noexcept nogil:
        cdef Kept *kept = operation.kept
        cdef Run *run
        cdef iovec vector
        cdef int64_t at = self.end
        if self.fd < 0:
            self.fd = self.directories.unnamed()
            if self.fd < 0:
                return errno
        if not grown(<void **>&kept.runs, &kept.run_capacity, kept.run_count + 1, sizeof(Run)):
            return ENOMEM
        qsort(operation.rows, operation.row_count, sizeof(Row), by_offset)
        vector.iov_base = operation.rows
        vector.iov_len = operation.row_count * sizeof(Row)
        if write_pieces(self.fd, &vector, 1, &at) != 0:
            return errno
        run = kept.runs + kept.run_count
        run.at = self.end
        run.count = operation.row_count
        run.first = operation.rows[0].offset
        kept.run_count += 1
        self.end = at
        self.runs += 1
        free(operation.rows)
        operation.rows = NULL
        return 0

    cdef void release(self, Kept *kept) noexcept nogil:
        cdef uint64_t at
        if kept.run_count == 0:
            return
        self.runs -= kept.run_count
        if self.runs == 0 and ftruncate(self.fd, 0) == 0:
            self.end = 0
        else:
            for at in range(kept.run_count):  # where it is not to be had, room is kept for longer
                fallocate(
                    self.fd,
                    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    kept.runs[at].at,
                    kept.runs[at].count * sizeof(Row),
                )
        kept.run_count = 0

    cdef int write(self, int fd, Kept *kept, const Closed *closed, int64_t begin) noexcept nogil:
        cdef uint64_t count = kept.run_count
        cdef uint64_t at
        cdef int outcome
        cdef Source *sources = <Source *>calloc(count + 1, sizeof(Source))
        if sources == NULL:
            return ENOMEM
        for at in range(count):
            sources[at].next = kept.runs[at].at
            sources[at].left = kept.runs[at].count
            sources[at].first = kept.runs[at].first
            sources[at].number = at
        if kept.row_count:
            qsort(kept.rows, kept.row_count, sizeof(Row), by_offset)
            sources[count].rows = kept.rows
            sources[count].count = <uint32_t>kept.row_count
            sources[count].first = kept.rows[0].offset
            sources[count].number = count
            count += 1
        qsort(sources, count, sizeof(Source), by_first)
        outcome = self.merge(fd, sources, count, closed, begin)
        for at in range(count):
            if sources[at].owned:
                free(sources[at].rows)
        free(sources)
        self.release(kept)
        return outcome

    cdef int merge(
        self, int fd, Source *sources, uint64_t count, const Closed *closed, int64_t begin
    ) noexcept nogil:
        cdef int outcome
        cdef Row none
        cdef Source **heap = <Source **>malloc((count + 1) * sizeof(Source *))
        if heap == NULL:
            return ENOMEM
        self.written = 0
        self.gap = 0
        self.text.used = 0
        outcome = self.merged(fd, sources, count, heap, closed, begin)
        free(heap)
        none.offset = INT64_MAX
        none.time_ns = none.count = 0
        if outcome == 0:
            outcome = self.put_row(fd, &none, closed, 0)  # the gaps behind all rows
        if outcome == 0:
            outcome = self.flush(fd)
        return outcome

    cdef int merged(
        self, int fd, Source *sources, uint64_t count, Source **heap, const Closed *closed,
        int64_t begin,
    ) noexcept nogil:
        """Put all rows, the sources being ascending by their first; `heap` has room for them.

        In the heap are those that were begun, the one whose row is next in front.
        """
        cdef uint64_t begun = 0
        cdef uint64_t size = 0
        cdef Source *source
        cdef int outcome
        while begun < count or size:
            while begun < count and (size == 0 or sources[begun].first <= head_of(heap[0])):
                source = sources + begun
                begun += 1
                outcome = self.load(source)
                if outcome != 0:
                    return outcome
                push(heap, size, source)
                size += 1
            source = heap[0]
            outcome = self.put_row(fd, source.rows + source.at, closed, begin)
            if outcome != 0:
                return outcome
            source.at += 1
            if source.at == source.count:
                outcome = self.load(source)
                if outcome != 0:
                    return outcome
                if source.at == source.count:
                    size -= 1
                    heap[0] = heap[size]
            sink(heap, size)
        return 0

    cdef int load(self, Source *source) noexcept nogil:
        """Have the next rows of a source in memory, if there are any."""
        cdef uint32_t count = <uint32_t>min(source.left, <uint64_t>LOADED_ROWS)
        cdef ssize_t size = count * sizeof(Row)
        cdef ssize_t got
        if count == 0:
            if source.owned:  # of thousands of runs only those at hand are to be in memory
                free(source.rows)
                source.rows = NULL
                source.owned = False
            return 0
        if not source.owned:
            source.rows = <Row *>malloc(LOADED_ROWS * sizeof(Row))
            if source.rows == NULL:
                return ENOMEM
            source.owned = True
        got = pread(self.fd, source.rows, size, source.next)
        if got != size:
            return errno if got < 0 else EIO
        source.next += size
        source.left -= count
        source.count = count
        source.at = 0
        return 0

    cdef int put_row(
        self, int fd, const Row *row, const Closed *closed, int64_t begin
    ) noexcept nogil:
        """Put a row, which is none with a count of 0, behind the gaps before it."""
        cdef uint32_t gap_count = closed.gap_count if self.gaps else 0
        while self.gap < gap_count and closed.gaps[self.gap].begin < row.offset - begin:
            put_gap(&self.text, closed.gaps + self.gap)
            self.gap += 1
        if row.count:
            put_data(
                &self.text,
                row.offset - begin,
                row.time_ns,
                clipped(self.max_bytes, row.offset - begin, row.count),
            )
        return self.flush(fd) if self.text.used >= FLUSHED_BYTES else 0

    cdef int flush(self, int fd) noexcept nogil:
        cdef iovec vector
        if self.text.failed:
            return ENOMEM
        vector.iov_base = self.text.data
        vector.iov_len = self.text.used
        if self.text.used and write_pieces(fd, &vector, 1, &self.written) != 0:
            return errno
        self.text.used = 0
        return 0


cdef inline int64_t head_of(const Source *source) noexcept nogil:
    return source.rows[source.at].offset


cdef inline bint is_before(const Source *one, const Source *other) noexcept nogil:
    """Whether the next row of `one` comes first: of rows at one offset, the one that arrived."""
    cdef int64_t a = head_of(one)
    cdef int64_t b = head_of(other)
    return a < b or (a == b and one.number < other.number)


cdef void push(Source **heap, uint64_t at, Source *source) noexcept nogil:
    """Add a source to a heap of so many."""
    cdef uint64_t parent
    while at:
        parent = (at - 1) // 2
        if is_before(heap[parent], source):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = source


cdef void sink(Source **heap, uint64_t size) noexcept nogil:
    """Put the first source of a heap where it belongs, after its head has grown."""
    cdef Source *source
    cdef uint64_t at = 0
    cdef uint64_t child
    if size == 0:
        return
    source = heap[0]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and is_before(heap[child + 1], heap[child]):
            child += 1
        if is_before(source, heap[child]):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = source


cdef int by_offset(const void *one, const void *other) noexcept nogil:
    cdef int64_t a = (<const Row *>one).offset
    cdef int64_t b = (<const Row *>other).offset
    cdef uint32_t c, d
    if a != b:
        return 1 if a > b else -1
    c = (<const Row *>one).number
    d = (<const Row *>other).number
    return (c > d) - (c < d)


cdef int by_first(const void *one, const void *other) noexcept nogil:
    cdef int64_t a = (<const Source *>one).first
    cdef int64_t b = (<const Source *>other).first
    return (a > b) - (a < b)


cdef void put_data(Text *text, uint64_t offset, uint64_t time_ns, uint64_t count) noexcept nogil:
    cdef uint64_t microseconds = time_ns // 1000
    put_decimal(text, offset, 1)
    put_char(text, c"|")
    put_decimal(text, microseconds // 1000000, 1)
    put_char(text, c".")
    put_decimal(text, microseconds % 1000000, 6)
    put_char(text, c"|")
    put_decimal(text, count, 1)
    put_char(text, c"\n")


cdef void put_gap(Text *text, const Range *gap) noexcept nogil:
    put_decimal(text, gap.begin, 1)
    put_char(text, c"|")
    put_char(text, c"|")
    put_decimal(text, gap.end - gap.begin, 1)
    put_char(text, c"\n")
