"""Does what batches say: writes the bytes of streams to their files, and completes them.

One `Writer` to a thread. It alone touches the files of the streams that are its own, so nothing
is locked; the order of the batches is the order of the packets.
"""
cimport cython
from libc.errno cimport EINVAL, EIO, ENOMEM, ENXIO, errno
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memset, strdup
from posix.unistd cimport SEEK_END, close as close_fd, ftruncate, lseek, pread, pwrite

from daemonlogger_py.flow.flow cimport Range
from daemonlogger_py.readers.streams.batch cimport (
    COMPARE,
    ROWS,
    WRITE,
    Batch,
    Kept,
    Operation,
    grown,
)
from daemonlogger_py.readers.streams.closed cimport Closed
from daemonlogger_py.readers.streams.files cimport Files
from daemonlogger_py.readers.streams.gathered cimport iovec, write_pieces
from daemonlogger_py.readers.streams.rows cimport Rows

import os

from daemonlogger_py.errors import StorageError

cdef extern from "<fcntl.h>" nogil:
    enum:
        FALLOC_FL_KEEP_SIZE
        FALLOC_FL_PUNCH_HOLE
    int fallocate(int fd, int mode, int64_t offset, int64_t count)

cdef extern from "<unistd.h>" nogil:
    enum:
        SEEK_DATA
        SEEK_HOLE

cdef enum:
    MOST_PIECES = 1024  # of one write: Linux's IOV_MAX
    COMPARED_BYTES = 65536
    MOVED_BYTES = 1048576
    LEAST_ROOM_BYTES = 65536  # made in front at a time


@cython.final
cdef class Writer:
    """The writer numbered `number`, creating its files by `files`.

    `max_bytes`, `last_wins`, `findx`: as of the `Store` whose batches it is given. `gaps`: a .findx
    file has a row for each gap too, without a time. `tell_created`: batches tell of each new file.
    `open_files`: how many were open behind the batch that said it was the last before the end.
    """
    cdef Files files
    cdef readonly int open_files
    cdef int number
    cdef int64_t max_bytes
    cdef bint last_wins
    cdef bint findx
    cdef bint tell_created
    cdef bint at_index  # what is being written is no stream, but its .findx file
    cdef Rows rows

    def __init__(
        self,
        Files files not None,
        int number=0,
        *,
        max_bytes=None,
        bint last_wins=True,
        bint findx=False,
        bint gaps=False,
        bint tell_created=False,
    ):
        self.files = files
        self.number = number
        self.max_bytes = INT64_MAX if max_bytes is None else max_bytes
        self.last_wins = last_wins
        self.findx = findx
        self.tell_created = tell_created
        self.rows = Rows(files.directories, max_bytes, gaps)

    def execute(self, Batch batch not None):
        """Do what `batch` says of this writer's streams, without the GIL.

        Raises StorageError, naming the file; nothing further may be executed then.
        """
        cdef uint64_t at = 0
        cdef int outcome
        with nogil:
            outcome = self.execute_all(batch, &at)
        if batch.at_end:
            self.open_files = self.files.open_files
        if outcome != 0:
            name = batch.operations[at].kept.file.name
            what = os.fsdecode(<bytes>name) if name != NULL else self.files.named
            suffix = ".findx" if self.at_index else ""
            raise StorageError(f"{what}{suffix}: {os.strerror(outcome)}")

    cdef int execute_all(self, Batch batch, uint64_t *at) noexcept nogil:
        cdef Operation *operation
        cdef int outcome
        while at[0] < batch.operation_count:
            operation = batch.operations + at[0]
            if operation.writer == self.number:
                if operation.task == WRITE:
                    outcome = self.write(batch, operation)
                elif operation.task == COMPARE:
                    outcome = self.compare(batch, operation)
                elif operation.task == ROWS:
                    outcome = self.rows.put_away(operation)
                else:
                    outcome = self.complete(operation)
                if outcome != 0:
                    return outcome
            at[0] += 1
        return 0

    cdef int opened_file(self, Kept *kept) noexcept nogil:
        """The descriptor of the stream's file, or -1."""
        cdef int fd
        if kept.identity == NULL:
            return self.files.reach(&kept.file)
        fd = self.files.create(&kept.file, kept.identity, kept.side, NULL)
        if fd >= 0:
            free(kept.identity)
            kept.identity = NULL
        return fd

    cdef int write(self, Batch batch, Operation *operation) noexcept nogil:
        cdef iovec vector[MOST_PIECES]
        cdef int64_t offset = operation.offset
        cdef uint32_t at = operation.first
        cdef int count
        cdef int outcome
        cdef bint new = operation.kept.identity != NULL
        cdef int fd = self.opened_file(operation.kept)
        if fd < 0:
            return self.files.failed_errno
        if new and self.tell_created:
            operation.created = strdup(operation.kept.file.name)
        if offset + operation.kept.base < 0:
            outcome = make_room(fd, operation.kept, offset)
            if outcome != 0:
                return outcome
        offset += operation.kept.base
        while at:
            count = 0
            while at and count < MOST_PIECES:
                vector[count].iov_base = <void *>batch.pieces[at].data
                vector[count].iov_len = batch.pieces[at].count
                count += 1
                at = batch.pieces[at].next
            if write_pieces(fd, vector, count, &offset) != 0:
                return errno
        return 0

    cdef int compare(self, Batch batch, Operation *operation) noexcept nogil:
        cdef uint8_t stored[COMPARED_BYTES]
        cdef int64_t offset = operation.offset + operation.kept.base
        cdef uint32_t at = operation.first
        cdef const uint8_t *data
        cdef uint32_t left, part, i
        cdef ssize_t got
        cdef uint64_t differing
        cdef int fd = self.opened_file(operation.kept)
        if fd < 0:
            return self.files.failed_errno
        while at:
            data = batch.pieces[at].data
            left = batch.pieces[at].count
            while left:
                part = min(left, <uint32_t>COMPARED_BYTES)
                got = pread(fd, stored, part, offset)
                if got <= 0:
                    return errno if got < 0 else EIO
                part = <uint32_t>got
                if memcmp(stored, data, part) != 0:
                    differing = 0
                    for i in range(part):
                        differing += stored[i] != data[i]
                    operation.kept.differing += differing
                    if self.last_wins:
                        got = pwrite(fd, data, part, offset)
                        if got != <ssize_t>part:
                            return errno if got < 0 else EIO
                offset += part
                data += part
                left -= part
            at = batch.pieces[at].next
        return 0

    cdef int complete(self, Operation *operation) noexcept nogil:
        cdef Kept *kept = operation.kept
        cdef Closed *closed = operation.closed
        cdef int outcome = 0
        if kept.identity == NULL:
            if operation.offset < 0:
                outcome = self.begin_at(kept, operation.offset)
            if outcome == 0 and self.findx:
                outcome = self.write_rows(kept, closed, operation.offset)
            closed.differing_bytes = kept.differing
            closed.name = strdup(kept.file.name)
            if self.files.finish(&kept.file, closed.first_ns) != 0 and outcome == 0:
                outcome = self.files.failed_errno
        if outcome == 0:
            free_kept(kept)
            operation.kept = NULL
        return outcome

    cdef int begin_at(self, Kept *kept, int64_t begin) noexcept nogil:
        """Have the file begin with the offset `begin`, which is negative."""
        cdef int fd = self.files.reach(&kept.file)
        cdef int outcome
        if fd < 0:
            return self.files.failed_errno
        outcome = move(fd, -begin - kept.base)
        if outcome == 0 and self.max_bytes != INT64_MAX and file_size(fd) > self.max_bytes:
            outcome = errno if ftruncate(fd, self.max_bytes) != 0 else 0
        return outcome

    cdef int write_rows(self, Kept *kept, const Closed *closed, int64_t begin) noexcept nogil:
        cdef int fd
        cdef int outcome
        self.at_index = True
        fd = self.files.beside(kept.file.name, b".findx")
        if fd < 0:
            return self.files.failed_errno
        outcome = self.rows.write(fd, kept, closed, min(begin, <int64_t>0))
        if close_fd(fd) != 0 and outcome == 0:
            outcome = errno
        self.at_index = outcome != 0
        return outcome


cdef void free_kept(Kept *kept) noexcept nogil:
    free(kept.identity)
    free(kept.rows)
    free(kept.runs)
    free(kept)


cdef int write_all(int fd, const uint8_t *data, size_t count, int64_t offset) noexcept nogil:
    cdef iovec vector
    vector.iov_base = <void *>data
    vector.iov_len = count
    return errno if write_pieces(fd, &vector, 1, &offset) != 0 else 0


cdef int make_room(int fd, Kept *kept, int64_t offset) noexcept nogil:
    """Move a file's bytes up so that `offset`, which is negative, has a place in it.

    At least as much room is made as the file is long: however many bytes come one in front of the
    other, each is moved a few times only.
    """
    cdef int64_t by = max(-offset - kept.base, max(file_size(fd), <int64_t>LEAST_ROOM_BYTES))
    cdef int outcome = move(fd, by)
    if outcome == 0:
        kept.base += by
    return outcome


cdef int move(int fd, int64_t by) noexcept nogil:
    """Move all bytes of a file up, or down where `by` is negative; holes stay holes.

    A stream of a few packets can be terabytes long: only what was written is touched.
    """
    cdef int64_t size = file_size(fd)
    cdef Range *extents = NULL
    cdef uint64_t count = 0
    cdef uint64_t turn
    cdef int outcome
    cdef uint8_t *block
    if by == 0 or size <= 0:
        return 0
    block = <uint8_t *>malloc(MOVED_BYTES)
    outcome = ENOMEM if block == NULL else written_extents(fd, size, &extents, &count)
    for turn in range(count):
        if outcome == 0:
            outcome = move_extent(
                fd, extents + (count - 1 - turn if by > 0 else turn), by, block
            )
    if outcome == 0 and by < 0 and ftruncate(fd, max(size + by, <int64_t>0)) != 0:
        outcome = errno
    free(extents)
    free(block)
    return outcome


cdef int written_extents(int fd, int64_t size, Range **extents, uint64_t *count) noexcept nogil:
    """What of a file is not a hole, ascending; the caller frees it."""
    cdef uint64_t capacity = 0
    cdef int64_t begin
    cdef int64_t end = 0
    while end < size:
        begin = lseek(fd, end, SEEK_DATA)
        if begin < 0:
            if errno == ENXIO:
                return 0
            if errno != EINVAL:
                return errno
            begin = end  # this file system knows no holes
            end = size
        else:
            end = lseek(fd, begin, SEEK_HOLE)
            if end < 0:
                return errno
        if not grown(<void **>extents, &capacity, count[0] + 1, sizeof(Range)):
            return ENOMEM
        extents[0][count[0]].begin = begin
        extents[0][count[0]].end = end
        count[0] += 1
    return 0


cdef int move_extent(int fd, const Range *extent, int64_t by, uint8_t *block) noexcept nogil:
    """Move bytes within a file, and zero what they leave; `block` is of MOVED_BYTES."""
    # Extents are of whole blocks: what would come before the file's first byte was never written.
    cdef int64_t begin = max(extent.begin, -by)
    cdef int64_t left = extent.end - begin
    cdef int64_t part
    cdef int64_t at
    cdef ssize_t got
    cdef int outcome = 0
    while left > 0 and outcome == 0:
        part = min(left, <int64_t>MOVED_BYTES)
        left -= part
        at = begin + left if by > 0 else extent.end - left - part
        got = pread(fd, block, part, at)
        if got != part:
            return errno if got < 0 else EIO
        outcome = write_all(fd, block, part, at + by)
        if outcome == 0 and by > 0:
            outcome = zero(fd, at, min(part, by), block)
        elif outcome == 0:
            outcome = zero(fd, at + max(<int64_t>0, part + by), min(part, -by), block)
    return outcome


cdef int zero(int fd, int64_t offset, int64_t count, uint8_t *block) noexcept nogil:
    """Zero up to MOVED_BYTES of a file, of which `block` has room for as many."""
    if fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, count) == 0:
        return 0
    memset(block, 0, count)
    return write_all(fd, block, count, offset)


cdef int64_t file_size(int fd) noexcept nogil:
    return lseek(fd, 0, SEEK_END)
