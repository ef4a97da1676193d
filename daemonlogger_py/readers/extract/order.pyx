"""Records of many chunks in one order: by time, then by savefile, then as they lie in it.

Chunks are sorted themselves; here the heads of all of them are compared, and runs that nobody
interrupts are copied as one. What has to wait and does not fit into memory is spilled: merged into
a file, which then is one more run. For newest first, times are compared the other way around, and
whoever adds chunks numbers savefiles and chunks the other way around.
"""
import os

from libc.errno cimport EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.unistd cimport pwrite

from daemonlogger_py.engine.buffer cimport Buffer
from daemonlogger_py.readers.extract.chunk cimport Chunk
from daemonlogger_py.readers.extract.ranges cimport LAST_NS
from daemonlogger_py.readers.extract.runs cimport (
    Run,
    Tag,
    before,
    look_at_head,
    sink,
    swim,
)
from daemonlogger_py.savefile.records cimport RECORD_HEADER_BYTES, RecordHeader

from daemonlogger_py.errors import StorageError

cdef enum:
    # Less than this is copied: a system call for each few records would cost more.
    WHOLE_BYTES = 65536
    SPILLED_WRITE_BYTES = 4194304
    ENHANCED_PACKET_BLOCK = 6
    BLOCK_HEAD_BYTES = 28
    BLOCK_BYTES = 32  # with the length that ends it

LAST_KEY = LAST_NS

cdef enum Form:
    PLAIN
    PCAPNG
    SPILLED


cdef class Merger:
    """Gives out the records of the chunks added to it, as pcap or, with `pcapng`, as its blocks.

    Pcap records get nanoseconds with `nanosecond`, else microseconds. A key is a record's time, or
    with `reverse` its complement: smaller keys come first. Belongs to one thread.
    """

    cdef Run **heap
    cdef size_t count
    cdef size_t room
    cdef uint64_t mask
    cdef Form form
    cdef uint32_t fraction_ns
    cdef readonly uint64_t held_bytes  # in memory
    cdef set held
    cdef uint32_t *interfaces  # of kinds; those that were not described are their own
    cdef uint32_t kinds

    def __cinit__(self, *, bint reverse=False, bint pcapng=False, bint nanosecond=False):
        self.mask = <uint64_t>-1 if reverse else 0
        self.held = set()
        self.write_as(pcapng=pcapng, nanosecond=nanosecond)

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.count):
            free(self.heap[i].data)
            free(self.heap[i])
        free(self.heap)
        free(self.interfaces)

    def write_as(self, *, bint pcapng, bint nanosecond):
        """Say how records are given out from now on."""
        self.form = PCAPNG if pcapng else PLAIN
        self.fraction_ns = 1 if nanosecond else 1000

    def describe(self, uint32_t kind, uint32_t interface):
        """Say which description in pcapng is that of records of this kind. Raises MemoryError.

        Until records are given out there is time for that, also for what was spilled.
        """
        cdef uint32_t *interfaces
        if kind >= self.kinds:
            interfaces = <uint32_t *>realloc(
                self.interfaces, (<size_t>kind + 1) * sizeof(uint32_t)
            )
            if interfaces == NULL:
                raise MemoryError
            self.interfaces = interfaces
            while self.kinds <= kind:
                interfaces[self.kinds] = self.kinds
                self.kinds += 1
        self.interfaces[kind] = interface

    @property
    def runs(self):
        """Chunks and spilled files that are not given out yet."""
        return self.count

    def add(self, Chunk chunk not None, uint32_t member, int64_t sequence, uint32_t kind):
        """Take a chunk that is settled; see `describe` for its `kind`.

        Among records of one time, those of a smaller `member` come first, and among those the
        ones of a smaller `sequence`. Raises MemoryError.
        """
        cdef Run *run
        if chunk.used == 0:
            return
        self.make_room(1)
        run = <Run *>malloc(sizeof(Run))
        if run == NULL:
            raise MemoryError
        memset(run, 0, sizeof(Run))
        run.head.sequence = sequence
        run.head.member = member
        run.head.kind = kind
        run.head.fraction_ns = chunk.fraction_ns
        run.at = chunk.data
        run.end = chunk.data + chunk.used
        run.records = chunk.records
        run.last_key = (chunk.earliest_ns if self.mask else chunk.latest_ns) ^ self.mask
        run.chunk = <void *>chunk
        run.fd = -1
        chunk.exports += 1  # it must not move
        self.held.add(chunk)
        self.held_bytes += chunk.room
        look_at_head(run, self.mask)
        self.heap[self.count] = run
        self.count += 1
        swim(self.heap, self.count - 1)

    def whole(self, uint64_t key, uint32_t member, uint64_t left):
        """The next chunk, if all of it can be given out as it is, one after the other; or None.

        That is so if its records are within the bound of `merge`, nothing comes in between, and
        none was given out yet. It counts as given out.
        """
        cdef Run *run
        if self.count == 0 or self.form != PLAIN:
            return None
        run = self.heap[0]
        if run.chunk == NULL or run.head.fraction_ns != self.fraction_ns or run.records > left:
            return None
        chunk = <Chunk>run.chunk
        if run.at != chunk.data or chunk.used < WHOLE_BYTES:
            return None
        if run.last_key > key or (run.last_key == key and run.head.member > member):
            return None
        if self.count > 1 and run.last_key >= self.second().head.key:
            return None
        self.drop()
        return chunk

    def merge(self, Buffer out not None, uint64_t key, uint32_t member, uint64_t left):
        """Append to `out` up to `left` records that no later one precedes; return how many.

        Records up to (`key`, `member`) may be given out: all that is still to be added has a
        greater key, or the same and a member that is not smaller. Ends when `out` is full or
        nothing may be given out. Raises MemoryError, and StorageError if a spilled file cannot be
        read.
        """
        cdef uint64_t given = 0
        cdef uint64_t took
        cdef int ended = 1
        while self.count and given < left and ended > 0:
            with nogil:
                took = self.copy_run(out, key, member, left - given, &ended)
            given += took
            if ended == 2:
                self.drop()
            elif ended < 0:
                raise MemoryError("no memory for a packet")
        return given

    def spill(self, int fd):
        """Write what is held in memory to the end of the file `fd`, in order; return its bytes.

        The descriptor has to stay open. Raises StorageError and MemoryError.
        """
        cdef Merger held = Merger()
        cdef Buffer out = Buffer(SPILLED_WRITE_BYTES)
        cdef Run *run
        cdef size_t kept = 0
        cdef size_t i
        cdef int64_t begin = os.fstat(fd).st_size
        cdef int64_t at = begin
        held.mask = self.mask
        held.form = SPILLED
        held.make_room(self.count)  # before any is moved: each run belongs to one of the two
        self.make_room(1)
        for i in range(self.count):
            run = self.heap[i]
            if run.chunk == NULL:
                self.heap[kept] = run
                kept += 1
                continue
            held.heap[held.count] = run
            held.count += 1
            swim(held.heap, held.count - 1)
        self.count = kept
        held.held, self.held = self.held, held.held
        held.held_bytes, self.held_bytes = self.held_bytes, 0
        i = self.count // 2
        while i:
            i -= 1
            sink(self.heap, self.count, i)
        while held.merge(out, LAST_KEY, <uint32_t>-1, LAST_KEY):
            at += write_at(fd, out, at)
            out.clear()
        self.add_spilled(fd, begin, at)
        return at - begin

    cdef int add_spilled(self, int fd, int64_t begin, int64_t end) except -1:
        cdef Run *run
        if begin == end:
            return 0
        self.make_room(1)
        run = <Run *>malloc(sizeof(Run))
        if run == NULL:
            raise MemoryError
        memset(run, 0, sizeof(Run))
        run.fd = fd
        run.file_at = begin
        run.file_end = end
        if not look_at_head(run, self.mask):
            free(run.data)
            free(run)
            raise StorageError("what was spilled to a temporary file cannot be read again")
        self.heap[self.count] = run
        self.count += 1
        swim(self.heap, self.count - 1)
        return 0

    cdef int make_room(self, size_t more) except -1:
        """Have room for so many runs more."""
        cdef size_t room = max(<size_t>64, 2 * self.room, self.count + more)
        cdef Run **heap
        if self.count + more <= self.room:
            return 0
        heap = <Run **>realloc(self.heap, room * sizeof(Run *))
        if heap == NULL:
            raise MemoryError
        self.heap = heap
        self.room = room
        return 0

    cdef Run *second(self) noexcept nogil:
        """The run that comes after the first; there are two at least."""
        if self.count > 2 and before(&self.heap[2].head, &self.heap[1].head):
            return self.heap[2]
        return self.heap[1]

    cdef int drop(self) except -1:
        """Forget the first run, which is given out."""
        cdef Run *run = self.heap[0]
        cdef bint failed = run.failed
        self.count -= 1
        self.heap[0] = self.heap[self.count]
        if self.count:
            sink(self.heap, self.count, 0)
        if run.chunk != NULL:
            chunk = <Chunk>run.chunk
            chunk.exports -= 1
            self.held_bytes -= chunk.room
            self.held.discard(chunk)
        free(run.data)
        free(run)
        if failed:
            raise StorageError("what was spilled to a temporary file cannot be read again")
        return 0

    cdef uint64_t copy_run(
        self, Buffer out, uint64_t key, uint32_t member, uint64_t left, int *ended
    ) noexcept nogil:
        """Copy from the first run as long as it is the first.

        `ended`: 0 nothing more may be given out, 1 another run goes on, 2 the run is at its end,
        -1 there is no memory.
        """
        cdef Run *run = self.heap[0]
        cdef Run *next_run = self.second() if self.count > 1 else NULL
        cdef uint64_t took = 0
        ended[0] = 0
        while True:
            if run.failed:
                ended[0] = 2
                return took
            if run.head.key > key or (run.head.key == key and run.head.member > member):
                break
            if next_run != NULL and before(&next_run.head, &run.head):
                ended[0] = 1
                break
            if took == left:
                break
            if not self.copy_record(out, run):
                if out.used == 0:
                    ended[0] = -1
                break
            took += 1
            if run.records:
                run.records -= 1
            if not look_at_head(run, self.mask):
                ended[0] = 2
                return took
        sink(self.heap, self.count, 0)
        return took

    cdef bint copy_record(self, Buffer out, Run *run) noexcept nogil:
        """Append the record at the head of `run` and go behind it; False: there is no room."""
        cdef const uint8_t *at = run.at
        cdef RecordHeader header
        cdef size_t bytes_before = 0
        cdef size_t count
        cdef size_t padded
        if run.chunk == NULL:
            at += sizeof(Tag)
        memcpy(&header, at, RECORD_HEADER_BYTES)
        count = RECORD_HEADER_BYTES + <size_t>header.caplen
        if self.form == SPILLED:
            bytes_before = sizeof(Tag)
        padded = bytes_before + count + (BLOCK_BYTES if self.form == PCAPNG else 0)
        if not has_room(out, padded + 3):
            return False
        if self.form == PCAPNG:
            put_block(
                out, run, self.interface_of(run.head.kind), &header, at + RECORD_HEADER_BYTES
            )
        else:
            if self.form == SPILLED:
                memcpy(out.data + out.used, &run.head, sizeof(Tag))
            elif run.head.fraction_ns != self.fraction_ns:
                rescale(&header, run.head.fraction_ns, self.fraction_ns)
            memcpy(out.data + out.used + bytes_before, &header, RECORD_HEADER_BYTES)
            memcpy(
                out.data + out.used + bytes_before + RECORD_HEADER_BYTES,
                at + RECORD_HEADER_BYTES,
                header.caplen,
            )
            out.used += bytes_before + count
        out._packets += 1
        run.at = at + count
        return True

    cdef uint32_t interface_of(self, uint32_t kind) noexcept nogil:
        return self.interfaces[kind] if kind < self.kinds else kind


cdef bint has_room(Buffer out, size_t count) noexcept nogil:
    if out._capacity - out.used >= count:
        return True
    if out.used:
        return False
    # One record that is longer than a whole buffer.
    with gil:
        try:
            out.reserve(count, 0)
        except MemoryError:
            return False
    return True


cdef void rescale(RecordHeader *header, uint32_t given, uint32_t wanted) noexcept nogil:
    if given > wanted:
        header.fraction *= given // wanted
    else:
        header.fraction //= wanted // given


cdef void put_block(
    Buffer out,
    const Run *run,
    uint32_t interface,
    const RecordHeader *header,
    const uint8_t *packet,
) noexcept nogil:
    """An Enhanced Packet Block, draft-ietf-opsawg-pcapng section 4.3."""
    cdef uint32_t block[7]
    cdef uint32_t padding = -header.caplen & 3
    cdef uint64_t ticks = (
        <uint64_t>header.seconds * (1000000000 // run.head.fraction_ns) + header.fraction
    )
    cdef uint8_t *to = out.data + out.used
    block[0] = ENHANCED_PACKET_BLOCK
    block[1] = BLOCK_BYTES + header.caplen + padding
    block[2] = interface
    block[3] = <uint32_t>(ticks >> 32)
    block[4] = <uint32_t>ticks
    block[5] = header.caplen
    block[6] = header.origlen
    memcpy(to, block, BLOCK_HEAD_BYTES)
    memcpy(to + BLOCK_HEAD_BYTES, packet, header.caplen)
    memset(to + BLOCK_HEAD_BYTES + header.caplen, 0, padding)
    memcpy(to + BLOCK_HEAD_BYTES + header.caplen + padding, &block[1], 4)
    out.used += block[1]


cdef int64_t write_at(int fd, Buffer out, int64_t at) except -1:
    cdef size_t written = 0
    cdef ssize_t count
    cdef int reason = 0
    with nogil:
        while written < out.used:
            count = pwrite(fd, out.data + written, out.used - written, at + written)
            if count > 0:
                written += count
            elif count == 0 or errno != EINTR:
                reason = errno
                break
    if written < out.used:
        raise StorageError(f"temporary file for packets out of order: {os.strerror(reason)}")
    return written
