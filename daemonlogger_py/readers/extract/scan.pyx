"""The records of some ranges of a savefile, each decided by the filter itself.

A scan is done in steps, so that what is held stays small and its caller can look around. It reads
into a Chunk, where what matches stays, and says in words where the savefile stops being whole; what
that means, and what happens to the chunk, is the caller's. As libpcap does, it cuts packets that
are longer than their own savefile's snaplen before the filter sees them.
"""
import os

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from pylibpcap.pcap cimport bpf_insn

from daemonlogger_py.engine.libpcap cimport run_filter
from daemonlogger_py.readers.extract.chunk cimport Chunk
from daemonlogger_py.readers.extract.format cimport Format
from daemonlogger_py.readers.extract.ranges cimport LAST_NS, UNCOUNTED, Range, Ranges
from daemonlogger_py.savefile.records cimport (
    RECORD_HEADER_BYTES,
    RecordHeader,
    bswap_32,
    swap,
    timestamp_ns,
)

cdef enum:
    # A step ends when this much matches, which leaves room in a block for what is read last,
    CHUNK_BYTES = 3670016
    # or when this much was looked at: about 20 ms of work.
    STEP_BYTES = 33554432

cdef enum Verdict:
    GOING
    FULL
    PASSED  # what is left is later than asked for
    CUT_HEADER
    CUT_PACKET
    BAD_CAPLEN
    DISAGREES
    READ_FAILED
    NO_MEMORY


cdef class Scan:
    """Packets of `ranges` of the savefile open as `fd` with times in [from_ns, to_ns).

    The descriptor stays the caller's. With `reverse` the ranges are read from the last one on, and
    so are the records of each; ranges should then be small.
    """

    cdef int fd
    cdef readonly Format format
    cdef Ranges ranges
    cdef uint64_t from_ns
    cdef uint64_t to_ns
    cdef bint reverse
    cdef size_t taken  # ranges done with
    cdef uint64_t at  # byte offset of the next record
    cdef uint64_t counted  # records of the current range
    cdef uint64_t last_ns
    cdef uint64_t looked_at  # bytes, in this step
    cdef uint64_t loaded_at  # byte offset of what the chunk has loaded
    cdef int verdict
    cdef int kept_verdict  # with `reverse`: of the earliest damage so far, for the end
    cdef uint64_t kept_at
    cdef int kept_failed
    cdef int failed
    cdef readonly uint64_t packets  # looked at
    cdef readonly uint64_t bytes_read
    cdef readonly uint64_t broken  # that matched and were outside of the bounds on time

    def __init__(
        self,
        int fd,
        Format format not None,
        Ranges ranges not None,
        *,
        uint64_t from_ns=0,
        uint64_t to_ns=LAST_NS,
        bint reverse=False,
    ):
        self.fd = fd
        self.format = format
        self.from_ns = from_ns
        self.to_ns = to_ns
        self.reverse = reverse
        self.replace(ranges)

    def replace(self, Ranges ranges not None):
        """Go on with these instead of what is left."""
        self.ranges = ranges
        self.taken = 0
        self.verdict = self.kept_verdict = GOING
        self.begin_range()

    def extend(self, uint64_t size_bytes):
        """The savefile has grown: go on where its last record was not whole yet."""
        cdef Range *last
        if self.ranges.count == 0:
            return
        last = &self.ranges.items[self.ranges.count - 1]
        if size_bytes <= last.end:
            return
        if self.taken == self.ranges.count:
            self.taken -= 1
            self.at = last.end
        last.end = size_bytes
        last.packets = UNCOUNTED
        if self.verdict in (CUT_HEADER, CUT_PACKET):
            self.verdict = GOING

    @property
    def done(self):
        """Whether there is nothing left to do."""
        return self.verdict > PASSED or self.taken == self.ranges.count

    @property
    def front_ns(self):
        """No packet to come is earlier, or with `reverse` later."""
        if self.done:
            return 0 if self.reverse else LAST_NS
        if self.reverse:
            return self.ranges.items[self.ranges.count - 1 - self.taken].late_ns
        front_ns = self.ranges.items[self.taken].early_ns
        return max(front_ns, self.last_ns) if self.ranges.ordered else front_ns

    @property
    def offset(self):
        """Byte offset behind the last record that was looked at."""
        return self.at

    @property
    def torn(self):
        """Whether the savefile ends within a record."""
        return self.verdict in (CUT_HEADER, CUT_PACKET)

    @property
    def disagrees(self):
        """Whether the savefile is not what the ranges say it is."""
        return self.verdict == DISAGREES

    @property
    def damage(self):
        """What ended the scan early, and where; None: nothing did."""
        if self.verdict == CUT_HEADER or self.verdict == CUT_PACKET:
            what = "a record is cut short"
        elif self.verdict == BAD_CAPLEN:
            limit = self.format.caplen_limit
            what = f"a record's captured length is more than the format's {limit}"
        elif self.verdict == DISAGREES:
            what = "the records are not those that its index was made of"
        elif self.verdict == READ_FAILED:
            what = os.strerror(self.failed)
        else:
            return None
        return f"{what} at byte offset {self.at}"

    def chunk(self):
        """An empty Chunk for packets of this savefile."""
        return Chunk(nanosecond=self.format.nanosecond)

    def step(self, Chunk chunk not None):
        """Append what matches to `chunk`, until that has a good size or enough was looked at.

        Raises MemoryError.
        """
        chunk.loaded = 0
        self.looked_at = 0
        if self.verdict == FULL:
            self.verdict = GOING
        with nogil:
            while self.verdict == GOING and self.taken < self.ranges.count:
                if self.reverse:
                    self.take_backwards(chunk)
                else:
                    self.take(chunk)
        if self.verdict == NO_MEMORY:
            raise MemoryError("no memory for the packets that match")

    cdef void begin_range(self) noexcept nogil:
        cdef size_t number = self.taken
        if number < self.ranges.count:
            if self.reverse:
                number = self.ranges.count - 1 - number
            self.at = self.ranges.items[number].begin
        self.counted = 0

    cdef void take(self, Chunk chunk) noexcept nogil:
        cdef Range *part = &self.ranges.items[self.taken]
        self.verdict = self.walk(part, chunk)
        if self.verdict == PASSED:
            self.taken = self.ranges.count
            self.verdict = GOING
        elif self.verdict == GOING:
            self.end_range(part)
            if chunk.used >= CHUNK_BYTES or self.looked_at >= STEP_BYTES:
                self.pause()

    cdef void take_backwards(self, Chunk chunk) noexcept nogil:
        cdef Range *part = &self.ranges.items[self.ranges.count - 1 - self.taken]
        cdef size_t begin = chunk.used
        cdef int verdict = self.walk(part, chunk)
        while verdict == FULL:
            verdict = self.walk(part, chunk)
        if chunk.flip(begin) < 0:
            verdict = NO_MEMORY
        self.verdict = verdict
        if verdict == GOING:
            self.end_range(part)
        elif CUT_HEADER <= verdict <= READ_FAILED and verdict != DISAGREES:
            # The ranges before are what a scan forwards would have come to first.
            self.kept_verdict = verdict
            self.kept_at = self.at
            self.kept_failed = self.failed
            self.verdict = GOING
            self.taken += 1
            self.begin_range()
        if self.kept_verdict != GOING and self.taken == self.ranges.count:
            self.verdict = self.kept_verdict
            self.at = self.kept_at
            self.failed = self.kept_failed
        elif chunk.used >= CHUNK_BYTES or self.looked_at >= STEP_BYTES:
            self.pause()

    cdef void end_range(self, const Range *part) noexcept nogil:
        if part.packets != UNCOUNTED and part.packets != self.counted:
            self.verdict = DISAGREES
            return
        self.taken += 1
        self.begin_range()

    cdef void pause(self) noexcept nogil:
        if self.verdict == GOING and self.taken < self.ranges.count:
            self.verdict = FULL

    cdef int walk(self, const Range *part, Chunk chunk) noexcept nogil:
        """Look at the records of a range from `self.at` on; GOING at its end."""
        cdef int verdict = GOING
        cdef uint64_t wanted
        while verdict == GOING and self.at < part.end:
            verdict = self.need(part, chunk, &wanted)
            if verdict != GOING:
                break
            if wanted:
                self.loaded_at = self.at
                self.failed = chunk.load(self.fd, self.at, wanted, part.end - self.at)
                if self.failed:
                    return READ_FAILED
            verdict = self.look(part, chunk)
        if part.packets != UNCOUNTED and CUT_HEADER <= verdict <= BAD_CAPLEN:
            return DISAGREES
        return verdict

    cdef int need(self, const Range *part, Chunk chunk, uint64_t *wanted) noexcept nogil:
        """How many bytes have to be loaded for the next record; 0: they are."""
        cdef uint64_t left = part.end - self.at
        cdef uint64_t there = 0
        cdef uint32_t caplen
        if self.loaded_at == self.at:
            there = chunk.loaded
        wanted[0] = RECORD_HEADER_BYTES
        if left < RECORD_HEADER_BYTES:
            return CUT_HEADER
        if there < RECORD_HEADER_BYTES:
            return GOING
        memcpy(&caplen, chunk.data + chunk.used + 8, sizeof(caplen))
        if self.format.swapped:
            caplen = bswap_32(caplen)
        if caplen > self.format.caplen_limit:
            return BAD_CAPLEN
        if left - RECORD_HEADER_BYTES < caplen:
            return CUT_PACKET
        wanted[0] += caplen
        if there >= wanted[0]:
            wanted[0] = 0
        return GOING

    cdef int look(self, const Range *part, Chunk chunk) noexcept nogil:
        """Decide about the whole records that are loaded; runs of those that match are kept."""
        cdef const uint8_t *data = chunk.data + chunk.used
        cdef const uint8_t *begin = data
        cdef const uint8_t *end = data + min(<uint64_t>chunk.loaded, part.end - self.at)
        cdef const uint8_t *run = data  # of records that match and are not kept yet
        cdef const bpf_insn *instructions = NULL
        cdef uint32_t fraction_ns = 1 if self.format.nanosecond else 1000
        cdef bint ordered = self.ranges.ordered and not self.reverse
        cdef uint64_t bound_ns = part.late_ns if self.reverse else part.early_ns
        cdef uint64_t at_ns
        cdef RecordHeader header
        cdef uint32_t caplen
        cdef int verdict = GOING
        cdef bint failed = False
        if ordered:
            bound_ns = max(bound_ns, self.last_ns)
        if not self.format.accepts_all:
            instructions = self.format.filter.compiled.bf_insns
        while end - data >= RECORD_HEADER_BYTES:
            memcpy(&header, data, RECORD_HEADER_BYTES)
            if self.format.swapped:
                swap(&header)
            caplen = header.caplen
            if caplen > self.format.caplen_limit:
                verdict = BAD_CAPLEN
                break
            if <size_t>(end - data) - RECORD_HEADER_BYTES < caplen:
                break
            self.counted += 1
            self.packets += 1
            at_ns = timestamp_ns(&header, fraction_ns)
            if ordered and at_ns > bound_ns:
                bound_ns = at_ns
                if at_ns >= self.to_ns:
                    verdict = PASSED
            header.caplen = min(caplen, self.format.snaplen)
            if self.from_ns <= at_ns < self.to_ns and (
                instructions == NULL
                or run_filter(
                    instructions, data + RECORD_HEADER_BYTES, header.origlen, header.caplen
                )
            ):
                if at_ns > bound_ns if self.reverse else at_ns < bound_ns:
                    self.broken += 1
                chunk.note(at_ns)
                if self.format.swapped or header.caplen != caplen:
                    failed |= chunk.copy(run, data - run) < 0
                    failed |= chunk.copy(<const uint8_t *>&header, RECORD_HEADER_BYTES) < 0
                    failed |= chunk.copy(data + RECORD_HEADER_BYTES, header.caplen) < 0
                    run = data + RECORD_HEADER_BYTES + caplen
            else:
                if run != data:
                    failed |= chunk.copy(run, data - run) < 0
                run = data + RECORD_HEADER_BYTES + caplen
            data += RECORD_HEADER_BYTES + caplen
            if verdict == PASSED:
                break
            if chunk.used + <size_t>(data - run) >= CHUNK_BYTES and not self.reverse:
                verdict = FULL
                break
        if run < data:
            failed |= chunk.copy(run, data - run) < 0
        self.at += data - begin
        self.loaded_at = self.at
        chunk.loaded = end - data if verdict == GOING else 0
        # What is not whole yet is looked at next, from where it would be kept.
        memmove(chunk.data + chunk.used, data, chunk.loaded)
        self.looked_at += data - begin
        self.bytes_read += data - begin
        if ordered:
            self.last_ns = bound_ns
        if verdict == GOING and self.looked_at >= STEP_BYTES:
            verdict = FULL
        return NO_MEMORY if failed else verdict
