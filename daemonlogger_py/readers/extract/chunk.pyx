"""Records that matched, out of one part of one savefile, sorted by time.

They lie one after the other as in a savefile of this machine's byte order. Whoever fills a chunk
appends in the order of the savefile (from its end for newest first); `settle` sorts what is not in
order yet, without changing the order of records of the same time.
"""
from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport EINTR, EIO, ENOMEM, errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy, memmove
from posix.unistd cimport pread

from daemonlogger_py.engine.buffer cimport Buffer
from daemonlogger_py.readers.extract.ranges cimport LAST_NS
from daemonlogger_py.savefile.records cimport RECORD_HEADER_BYTES, RecordHeader, timestamp_ns

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)

cdef extern from "<malloc.h>" nogil:
    int M_MMAP_THRESHOLD, M_TRIM_THRESHOLD
    int mallopt(int what, int value)

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void **made, size_t alignment, size_t count)

cdef extern from "<sys/mman.h>" nogil:
    int MADV_HUGEPAGE
    int madvise(void *at, size_t count, int advice)

cdef enum:
    # Half of a processor's second level cache: what was read is looked at before it leaves it.
    LOAD_BYTES = 262144
    FIRST_ROOM_BYTES = 4096
    # A chunk that outgrows this gets a block, within which a scan ends its chunk.
    SMALL_BYTES = 131072
    BLOCK_BYTES = 4194304
    HUGE_PAGE_BYTES = 2097152
    # Blocks that wait for their next use. New memory would cost as much as what is done with it:
    # the kernel clears each page, and takes a fault for it.
    MOST_BLOCKS = 12

cdef pthread_mutex_t blocks_lock
cdef uint8_t *blocks[MOST_BLOCKS]
cdef int block_count = 0
pthread_mutex_init(&blocks_lock, NULL)
# For the same reason smaller chunks are not to be mapped, and unmapped, one by one.
mallopt(M_MMAP_THRESHOLD, BLOCK_BYTES)
mallopt(M_TRIM_THRESHOLD, 8 * BLOCK_BYTES)


cdef uint8_t *take_block() noexcept nogil:
    """BLOCK_BYTES of memory, or NULL."""
    global block_count
    cdef void *made = NULL
    cdef uint8_t *block = NULL
    pthread_mutex_lock(&blocks_lock)
    if block_count:
        block_count -= 1
        block = blocks[block_count]
    pthread_mutex_unlock(&blocks_lock)
    if block == NULL and posix_memalign(&made, HUGE_PAGE_BYTES, BLOCK_BYTES) == 0:
        madvise(made, BLOCK_BYTES, MADV_HUGEPAGE)  # where that cannot be had, it is only slower
        block = <uint8_t *>made
    return block


cdef void give_back(uint8_t *data, size_t room) noexcept nogil:
    """Free memory, unless it is a block that may be used again."""
    global block_count
    if room == BLOCK_BYTES:
        pthread_mutex_lock(&blocks_lock)
        if block_count < MOST_BLOCKS:
            blocks[block_count] = data
            block_count += 1
            data = NULL
        pthread_mutex_unlock(&blocks_lock)
    free(data)


cdef struct Place:
    uint64_t key
    size_t at


cdef int compare_places(const void *left, const void *right) noexcept nogil:
    cdef const Place *a = <const Place *>left
    cdef const Place *b = <const Place *>right
    if a.key != b.key:
        return -1 if a.key < b.key else 1
    return -1 if a.at < b.at else 1


cdef class Chunk:
    """Records with times of microseconds or, with `nanosecond`, nanoseconds.

    `len` and `memoryview` are the records' bytes, which may not change while there is a view.
    """

    def __cinit__(self, *, bint nanosecond=False):
        self.fraction_ns = 1 if nanosecond else 1000
        self.ascending = self.descending = True
        self.earliest_ns = LAST_NS

    def __dealloc__(self):
        give_back(self.data, self.room)

    def __len__(self):
        return self.used

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.used, 1, flags)
        self.exports += 1

    def __releasebuffer__(self, Py_buffer *view):
        self.exports -= 1

    @property
    def packets(self):
        """How many records there are."""
        return self.records

    @property
    def first_ns(self):
        """Time of the earliest record, in ns since 1970; all bits set without records."""
        return self.earliest_ns

    @property
    def last_ns(self):
        """Time of the latest record; 0 without records."""
        return self.latest_ns

    cdef int load(self, int fd, uint64_t at, uint64_t count, uint64_t most) noexcept nogil:
        """Have at least `count` bytes of a file from `at` on behind what is used, at `ahead`.

        More if there are, but not more than `most`: `copy` keeps what of them is to stay, where it
        is or further ahead. Returns 0 or an errno, EIO where the file ends before that.
        """
        cdef size_t wanted = max(count, min(most, <uint64_t>LOAD_BYTES))
        cdef ssize_t got
        self.loaded = 0
        if self.room - self.used < wanted and self.grow(self.used + wanted) < 0:
            return ENOMEM
        while self.loaded < count:
            got = pread(
                fd, self.data + self.used + self.loaded, wanted - self.loaded, at + self.loaded
            )
            if got == 0:
                return EIO
            if got > 0:
                self.loaded += got
            elif errno != EINTR:
                return errno
        return 0

    cdef int copy(self, const uint8_t *records, size_t count) noexcept nogil:
        """Append `count` bytes of whole records; `note` each of them. -1: no memory.

        They may be some that were loaded behind what is used.
        """
        if self.room - self.used < count and self.grow(self.used + count) < 0:
            return -1
        if records != self.data + self.used:
            memmove(self.data + self.used, records, count)
        self.used += count
        return 0

    cdef int grow(self, size_t needed) noexcept nogil:
        """Have room for `needed` bytes. -1: no memory."""
        cdef size_t room = max(2 * self.room, needed, <size_t>FIRST_ROOM_BYTES)
        cdef uint8_t *data
        if SMALL_BYTES < room and needed <= BLOCK_BYTES:
            room = BLOCK_BYTES
            data = take_block()
        else:
            data = <uint8_t *>malloc(room)
        if data == NULL:
            return -1
        if self.used:
            memcpy(data, self.data, self.used)
        give_back(self.data, self.room)
        self.data = data
        self.room = room
        return 0

    cdef int fit(self) noexcept nogil:
        """Give back memory if most of it is not needed. -1: no memory."""
        cdef uint8_t *data
        if self.used == 0 or self.used > self.room // 2:
            return 0
        data = <uint8_t *>malloc(self.used)
        if data == NULL:
            return -1
        memcpy(data, self.data, self.used)
        give_back(self.data, self.room)
        self.data = data
        self.room = self.used
        return 0

    cdef void note(self, uint64_t at_ns) noexcept nogil:
        """Count a record of the time `at_ns` that was or will be copied, in its turn."""
        if self.records:
            if at_ns < self.last_ns:
                self.ascending = False
            elif at_ns > self.last_ns:
                self.descending = False
        self.last_ns = at_ns
        if at_ns < self.earliest_ns:
            self.earliest_ns = at_ns
        if at_ns > self.latest_ns:
            self.latest_ns = at_ns
        self.records += 1

    cdef int add(
        self, const RecordHeader *header, const uint8_t *packet, uint64_t at_ns
    ) noexcept nogil:
        """Append one record of `header.caplen` bytes. -1: no memory."""
        if self.copy(<const uint8_t *>header, RECORD_HEADER_BYTES) < 0:
            return -1
        if self.copy(packet, header.caplen) < 0:
            return -1
        self.note(at_ns)
        return 0

    cdef int flip(self, size_t begin) noexcept nogil:
        """Turn the order of the records from byte `begin` on around. -1: no memory."""
        cdef size_t count = self.used - begin
        cdef size_t at = begin
        cdef size_t end = count
        cdef size_t record_bytes
        cdef RecordHeader header
        cdef uint8_t *turned
        if count == 0:
            return 0
        turned = <uint8_t *>malloc(count)
        if turned == NULL:
            return -1
        while at < self.used:
            memcpy(&header, self.data + at, RECORD_HEADER_BYTES)
            record_bytes = RECORD_HEADER_BYTES + header.caplen
            end -= record_bytes
            memcpy(turned + end, self.data + at, record_bytes)
            at += record_bytes
        memcpy(self.data + begin, turned, count)
        free(turned)
        return 0

    cdef void look_at_order(self) noexcept nogil:
        cdef size_t at = 0
        cdef uint64_t at_ns
        cdef uint64_t before_ns = 0
        cdef RecordHeader header
        self.ascending = self.descending = True
        while at < self.used:
            memcpy(&header, self.data + at, RECORD_HEADER_BYTES)
            at_ns = timestamp_ns(&header, self.fraction_ns)
            if at:
                if at_ns < before_ns:
                    self.ascending = False
                elif at_ns > before_ns:
                    self.descending = False
            before_ns = at_ns
            at += RECORD_HEADER_BYTES + header.caplen

    cdef int sort(self, uint64_t mask) noexcept nogil:
        cdef Place *places = <Place *>malloc(self.records * sizeof(Place))
        cdef uint8_t *sorted_data = <uint8_t *>malloc(self.used)
        cdef RecordHeader header
        cdef size_t at = 0
        cdef size_t end = 0
        cdef size_t record_bytes
        cdef uint64_t number
        if places == NULL or sorted_data == NULL:
            free(places)
            free(sorted_data)
            return -1
        for number in range(self.records):
            memcpy(&header, self.data + at, RECORD_HEADER_BYTES)
            places[number].key = timestamp_ns(&header, self.fraction_ns) ^ mask
            places[number].at = at
            at += RECORD_HEADER_BYTES + header.caplen
        qsort(places, self.records, sizeof(Place), compare_places)
        for number in range(self.records):
            at = places[number].at
            memcpy(&header, self.data + at, RECORD_HEADER_BYTES)
            record_bytes = RECORD_HEADER_BYTES + header.caplen
            memcpy(sorted_data + end, self.data + at, record_bytes)
            end += record_bytes
        free(places)
        give_back(self.data, self.room)
        self.data = sorted_data
        self.room = self.used
        return 0

    def take(
        self,
        Buffer buffer not None,
        *,
        uint64_t from_ns=0,
        uint64_t to_ns=LAST_NS,
        bint reverse=False,
    ):
        """Append those records of `buffer` that are stamped in [from_ns, to_ns); return how many.

        Their fractions are taken for what this chunk's stand for. With `reverse` they are appended
        from the last one on. Raises MemoryError.
        """
        cdef size_t begin = self.used
        cdef size_t at = 0
        cdef uint64_t before = self.records
        cdef uint64_t at_ns
        cdef RecordHeader header
        cdef bint failed = False
        if self.exports:
            raise BufferError("the chunk is being read")
        with nogil:
            while buffer.used - at >= RECORD_HEADER_BYTES:
                memcpy(&header, buffer.data + at, RECORD_HEADER_BYTES)
                if buffer.used - at - RECORD_HEADER_BYTES < header.caplen:
                    break
                at_ns = timestamp_ns(&header, self.fraction_ns)
                if from_ns <= at_ns < to_ns:
                    if self.add(&header, buffer.data + at + RECORD_HEADER_BYTES, at_ns) < 0:
                        failed = True
                        break
                at += RECORD_HEADER_BYTES + header.caplen
            if reverse and not failed:
                failed = self.flip(begin) < 0
        if failed:
            raise MemoryError("no memory for the packets that match")
        return self.records - before

    def settle(self, *, bint reverse=False):
        """Sort by time, or with `reverse` from the latest on; give back memory that is not needed.

        With `reverse` the records were appended from the last one of the savefile on. Raises
        MemoryError.
        """
        cdef int failed = 0
        if self.exports:
            raise BufferError("the chunk is being read")
        with nogil:
            if reverse:
                self.look_at_order()  # they were noted in another order than they lie in
            if not (self.descending if reverse else self.ascending):
                failed = self.sort(<uint64_t>-1 if reverse else 0)
            if not failed:
                failed = self.fit()
        if failed:
            raise MemoryError("no memory to sort the packets that match")
