"""Which bytes of a savefile are to be read, and between which times their packets are.

Bounds on time are what lets packets of one savefile be given out before all of another is read. A
sidecar has them for its blocks, a catalog for the whole savefile; where neither does, `survey`
walks the records' headers, which is a small part of the work of filtering.
"""
import os

from libc.errno cimport EINTR, EIO, errno
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from posix.unistd cimport pread

from daemonlogger_py.readers.extract.format cimport Format
from daemonlogger_py.savefile.records cimport (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    RecordHeader,
    swap,
    timestamp_ns,
)

cdef enum:
    # Half of a processor's second level cache: what was read is looked at before it leaves it.
    WINDOW_BYTES = 262144
    # One range of a survey: small beside what may be held, large beside what notes it.
    REGION_BYTES = 4194304


cdef class Window:
    """Memory that parts of savefiles are read into; one for each thread."""

    def __dealloc__(self):
        free(self.data)

    cdef int load(self, int fd, uint64_t at, uint64_t count) noexcept nogil:
        """Have at least `count` bytes from offset `at` on, more if there are; 0, or an errno.

        EIO where the file ends before that.
        """
        cdef size_t wanted = max(count, <uint64_t>WINDOW_BYTES)
        cdef uint8_t *data
        cdef ssize_t got
        if self.data == NULL or wanted > self.room:
            data = <uint8_t *>realloc(self.data, wanted)
            if data == NULL:
                return errno
            self.data = data
            self.room = wanted
        self.begin = at
        self.used = 0
        while self.used < count:
            got = pread(fd, self.data + self.used, self.room - self.used, at + self.used)
            if got == 0:
                return EIO
            if got > 0:
                self.used += got
            elif errno != EINTR:
                return errno
        return 0


cdef class Ranges:
    """Ranges of a savefile, in its order and apart from each other."""

    def __dealloc__(self):
        free(self.items)

    def __len__(self):
        return self.count

    def __iter__(self):
        """Give (begin, end, early_ns, late_ns) of each."""
        cdef size_t i
        for i in range(self.count):
            item = self.items[i]
            yield item.begin, item.end, item.early_ns, item.late_ns

    @property
    def total_bytes(self):
        """Bytes to read."""
        cdef uint64_t total = 0
        cdef size_t i
        for i in range(self.count):
            total += self.items[i].end - self.items[i].begin
        return total

    @property
    def early_ns(self):
        """No packet is earlier; all bits set if there is nothing to read."""
        return self.items[0].early_ns if self.count else LAST_NS

    @property
    def late_ns(self):
        """No packet is later; 0 if there is nothing to read."""
        return self.items[self.count - 1].late_ns if self.count else 0

    @staticmethod
    def whole(
        uint64_t size_bytes,
        *,
        uint64_t early_ns=0,
        uint64_t late_ns=LAST_NS,
        bint ordered=False,
    ):
        """All records of a savefile of that size, of which that much is known beforehand."""
        cdef Ranges ranges = Ranges()
        if size_bytes > FILE_HEADER_BYTES and (
            ranges.append(FILE_HEADER_BYTES, size_bytes, UNCOUNTED, early_ns, late_ns) < 0
        ):
            raise MemoryError
        ranges.ordered = ordered
        return ranges

    def add_rest(self, uint64_t begin, uint64_t size_bytes):
        """Add what is behind `begin`, if anything is, of which nothing is known."""
        if begin < size_bytes:
            self.ordered = False
            if self.append(begin, size_bytes, UNCOUNTED, 0, LAST_NS) < 0:
                raise MemoryError
            self.bound()

    cdef int append(
        self, uint64_t begin, uint64_t end, uint64_t packets, uint64_t early_ns, uint64_t late_ns
    ) noexcept nogil:
        """Add a range behind the others; -1: no memory."""
        cdef Range *items
        cdef size_t room
        if self.count == self.room:
            room = max(<size_t>1, 2 * self.room)
            items = <Range *>realloc(self.items, room * sizeof(Range))
            if items == NULL:
                return -1
            self.items = items
            self.room = room
        self.items[self.count].begin = begin
        self.items[self.count].end = end
        self.items[self.count].packets = packets
        self.items[self.count].early_ns = early_ns
        self.items[self.count].late_ns = late_ns
        self.count += 1
        return 0

    cdef void bound(self) noexcept nogil:
        """Make each range's own bounds those of all behind it, and of all before it."""
        cdef size_t i
        for i in range(1, self.count):
            self.items[i].late_ns = max(self.items[i].late_ns, self.items[i - 1].late_ns)
        i = self.count
        while i > 1:
            i -= 1
            self.items[i - 1].early_ns = min(self.items[i - 1].early_ns, self.items[i].early_ns)


cdef struct Region:
    uint64_t begin
    uint64_t packets
    uint64_t early_ns
    uint64_t late_ns


cdef int walk(
    Ranges ranges, Window window, int fd, Format format, uint64_t begin, uint64_t size
) noexcept nogil:
    """Add the regions from `begin` on; 0, or an errno where reading failed."""
    cdef uint64_t at = begin
    cdef uint64_t at_ns
    cdef uint64_t last_ns = 0
    cdef uint32_t fraction_ns = 1 if format.nanosecond else 1000
    cdef RecordHeader header
    cdef Region region
    cdef int failed = 0
    window.used = 0
    ranges.ordered = True
    region.begin = at
    region.packets = region.late_ns = 0
    region.early_ns = <uint64_t>-1
    while size - at >= RECORD_HEADER_BYTES:
        if at + RECORD_HEADER_BYTES > window.begin + window.used or at < window.begin:
            failed = window.load(fd, at, RECORD_HEADER_BYTES)
            if failed:
                break
        memcpy(&header, window.data + (at - window.begin), RECORD_HEADER_BYTES)
        if format.swapped:
            swap(&header)
        if header.caplen > format.caplen_limit:
            break
        if size - at - RECORD_HEADER_BYTES < header.caplen:
            break
        at_ns = timestamp_ns(&header, fraction_ns)
        if at_ns < last_ns:
            ranges.ordered = False
        last_ns = at_ns
        region.early_ns = min(region.early_ns, at_ns)
        region.late_ns = max(region.late_ns, at_ns)
        region.packets += 1
        at += RECORD_HEADER_BYTES + header.caplen
        if at - region.begin >= REGION_BYTES:
            if ranges.append(
                region.begin, at, region.packets, region.early_ns, region.late_ns
            ) < 0:
                return errno
            region.begin = at
            region.packets = region.late_ns = 0
            region.early_ns = <uint64_t>-1
    # What is damaged, or not whole yet, is left for the scan to tell; no packet is in it.
    if size > region.begin and ranges.append(
        region.begin, size, UNCOUNTED, region.early_ns, region.late_ns
    ) < 0:
        return errno
    ranges.bound()
    return failed


def survey(
    int fd, Format format not None, Window window not None, uint64_t begin, uint64_t size_bytes
):
    """Walk the records in [begin, size_bytes) and return their Ranges, with bounds on time.

    `begin` is where a record begins. Raises OSError.
    """
    cdef Ranges ranges = Ranges()
    cdef int failed = 0
    if begin < size_bytes:
        with nogil:
            failed = walk(ranges, window, fd, format, begin, size_bytes)
    if failed:
        raise OSError(failed, os.strerror(failed))
    return ranges
