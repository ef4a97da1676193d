"""Packets from a savefile or a pipe, in any format that libpcap reads.

Classic pcap in this machine's byte order is read in large blocks straight into the buffer that
will be written: headers are walked in place and runs of accepted records stay where they are.
Every other format goes through libpcap, record by record, still without the GIL. Both tell the
byte offset at which a capture stops being whole.
"""
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport ftell
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, strerror
from posix.unistd cimport read

from pylibpcap.pcap cimport bpf_insn, pcap_geterr, pcap_pkthdr, u_char

from daemonlogger_py.engine cimport stop
from daemonlogger_py.engine.buffer cimport Buffer
from daemonlogger_py.engine.libpcap cimport next_ex, run_filter
from daemonlogger_py.engine.offline_handle cimport OfflineHandle, raise_pending
from daemonlogger_py.engine.wait cimport monotonic_ns, wait_readable
from daemonlogger_py.savefile.records cimport (
    RECORD_HEADER_BYTES,
    RecordHeader,
    max_caplen,
    timestamp_ns,
)

from daemonlogger_py.engine.protocol import Counters

cdef enum:
    # Less room than this in a buffer is not worth a read.
    LEAST_READ_BYTES = 65536
    # A filter may refuse millions in a row: how often libpcap's path looks for a wake-up.
    RECORDS_BETWEEN_LOOKS = 4096


cdef struct Budget:
    size_t budget_at  # at or beyond this much in the buffer the byte budget is used up
    int64_t packets_left
    uint64_t until_ns
    uint64_t hold_ns
    uint64_t deadline_ns


cdef class FileSource(OfflineHandle):
    """Packets of the savefile or pipe open as `fd`, which stays the caller's.

    `name` is for messages. `snaplen` in bytes cuts longer packets, 0 cuts none. `nanosecond`
    asks for nanosecond stamps whatever the file has; else its own resolution is kept. `wake_fd`
    ends a wait for more of a pipe. Raises SourceError for what is no savefile, FilterError.
    """

    cdef uint8_t *carried  # read, not yet looked at
    cdef size_t carried_bytes
    cdef size_t carried_at
    cdef size_t carried_room
    cdef uint64_t reads  # in this fill: of blocks, or of records by libpcap
    cdef pcap_pkthdr *pending_header  # a record of libpcap's that did not fit the last budget
    cdef const u_char *pending_packet
    cdef uint64_t kept_ns
    cdef uint64_t received
    cdef readonly str failure
    cdef readonly bint live

    def __cinit__(self):
        self.carried = NULL
        self.live = False

    def __dealloc__(self):
        free(self.carried)

    @property
    def record_bytes(self):
        """Most bytes that one record takes in a buffer, header included."""
        # A buffer grows for the rare record that is longer than an ordinary snaplen.
        return RECORD_HEADER_BYTES + max_caplen(1)

    @property
    def next_ns(self):
        """Time of the record that Stop.TIME kept back, or None."""
        return self.kept_ns or None

    def fill(
        self,
        Buffer buffer not None,
        int64_t bytes_left,
        int64_t packets_left,
        uint64_t until_ns,
        uint64_t hold_ns,
        uint64_t deadline_ns,
    ):
        """See `protocol.Source.fill`. Raises MemoryError."""
        cdef Budget budget
        cdef int reason
        cdef uint64_t before = buffer._packets
        if self.handle == NULL:
            raise ValueError("the source is closed")
        budget.budget_at = buffer.used + bytes_left
        budget.packets_left = packets_left
        budget.until_ns = until_ns
        budget.hold_ns = hold_ns
        budget.deadline_ns = deadline_ns
        self.kept_ns = 0
        self.reads = 0
        with nogil:
            if self.native:
                reason = self.fill_native(buffer, &budget)
            else:
                reason = self.fill_by_libpcap(buffer, &budget)
        self.received += buffer._packets - before
        if self.stream.interrupted:
            self.stream.interrupted = False
            raise_pending()
        return reason

    cdef int wait_for_input(self, Buffer buffer, Budget *budget) noexcept nogil:
        """GOING when a read will not block; else why the fill ends here."""
        cdef uint64_t now_ns = monotonic_ns()
        cdef uint64_t wait_until_ns = budget.deadline_ns
        cdef int ready
        if buffer._packets:
            if buffer.since_ns == 0:
                buffer.since_ns = now_ns
            wait_until_ns = min(wait_until_ns, buffer.since_ns + budget.hold_ns)
        if now_ns >= wait_until_ns and self.reads:
            return stop.DEADLINE
        ready = wait_readable(
            self.stream.fd,
            self.stream.wake_fd,
            wait_until_ns - now_ns if wait_until_ns > now_ns else 0,
        )
        if ready < 0:
            return stop.WAKE
        return stop.GOING if ready else stop.DEADLINE

    cdef int fill_native(self, Buffer buffer, Budget *budget) except -1 nogil:
        """Read behind the records in use, walk them there, and close the gaps of refused ones."""
        cdef size_t out = buffer.used  # end of what is kept
        cdef size_t begin = out  # of what was read and not looked at
        cdef size_t end = out
        cdef int reason = stop.GOING
        cdef ssize_t got
        while True:
            if begin != out:
                memmove(buffer.data + out, buffer.data + begin, end - begin)
                end -= begin - out
                begin = out
            if buffer._capacity - end < LEAST_READ_BYTES:
                if buffer._packets:
                    reason = stop.FULL
                    break
                # Not one record came of a whole buffer: this one is longer.
                buffer.reserve(max(2 * buffer._capacity, end + LEAST_READ_BYTES), end)
            got = self.read_more(buffer, end, budget, &reason)
            if got > 0:
                end += got
                reason = self.walk(buffer, &out, &begin, end, budget)
            elif reason == stop.END and end > begin and not self.stream.finishing:
                self.note_cut(buffer.data + begin, end - begin)
                reason = stop.DAMAGED
            if reason != stop.GOING:
                break
        buffer.used = out
        if buffer._packets and buffer.since_ns == 0:
            buffer.since_ns = monotonic_ns()
        self.keep(buffer.data + begin, end - begin)
        return reason

    cdef ssize_t read_more(
        self, Buffer buffer, size_t end, Budget *budget, int *reason
    ) noexcept nogil:
        """Bytes put at `end`, from what was carried or from the file; 0: see `reason`."""
        cdef ssize_t got
        if self.carried_at < self.carried_bytes:
            got = min(LEAST_READ_BYTES, self.carried_bytes - self.carried_at)
            memcpy(buffer.data + end, self.carried + self.carried_at, got)
            self.carried_at += got
            return got
        if self.stream.finishing:
            reason[0] = stop.END
            return 0
        reason[0] = self.wait_for_input(buffer, budget)
        if reason[0] != stop.GOING:
            return 0
        got = read(self.stream.fd, buffer.data + end, buffer._capacity - end)
        if got > 0:
            self.reads += 1
            return got
        if got == 0:
            reason[0] = stop.END
        elif errno != EINTR and errno != EAGAIN:
            self.note_failed_read()
            reason[0] = stop.FAILED
        return 0

    cdef int keep(self, const uint8_t *data, size_t count) except -1 nogil:
        """Carry what was read and not looked at over to the next fill."""
        cdef uint8_t *room
        if self.reads == 0:
            # All of it came from what is carried: many small savefiles cost one copy, not many.
            self.carried_at -= count
            return 0
        if count > self.carried_room:
            room = <uint8_t *>realloc(self.carried, count)
            if room == NULL:
                with gil:
                    raise MemoryError(f"no memory to keep {count} bytes of {self.name}")
            self.carried = room
            self.carried_room = count
        if count:
            memcpy(self.carried, data, count)
        self.carried_bytes = count
        self.carried_at = 0
        return 0

    cdef int walk(
        self, Buffer buffer, size_t *kept, size_t *looked_at, size_t end, Budget *budget
    ) except -1 nogil:
        """Accept or refuse each whole record in [looked_at, end); GOING: more input is needed."""
        cdef uint8_t *data = buffer.data
        cdef size_t out = kept[0]
        cdef size_t begin = looked_at[0]
        cdef size_t run = begin  # of accepted records not moved yet
        cdef RecordHeader *header
        cdef size_t record_bytes
        cdef uint32_t caplen
        cdef uint64_t at_ns
        cdef bpf_insn *instructions = self.filter.compiled.bf_insns if self.filtered() else NULL
        cdef bint rewritten = self.cut != 0 or self.fraction_scale != 1
        cdef int reason = stop.GOING
        while end - begin >= RECORD_HEADER_BYTES:
            header = <RecordHeader *>(data + begin)
            if header.caplen > self.caplen_limit:
                self.note_caplen(header.caplen)
                reason = stop.DAMAGED
                break
            record_bytes = RECORD_HEADER_BYTES + header.caplen
            if end - begin < record_bytes:
                break
            at_ns = timestamp_ns(header, self.fraction_ns)
            # What is behind the file's own snaplen is no part of the packet: libpcap leaves it out
            # before the filter looks.
            caplen = min(header.caplen, self.own_snaplen)
            if instructions != NULL and not run_filter(
                instructions, data + begin + RECORD_HEADER_BYTES, header.origlen, caplen
            ):
                if begin != run:
                    memmove(data + out, data + run, begin - run)
                    out += begin - run
                begin += record_bytes
                self.offset += record_bytes
                run = begin
                continue
            if at_ns >= budget.until_ns:
                self.kept_ns = at_ns
                reason = stop.TIME
                break
            if rewritten or caplen < header.caplen:
                if begin != run:
                    memmove(data + out, data + run, begin - run)
                    out += begin - run
                out += self.rewrite(data + out, header)
                run = begin + record_bytes
            begin += record_bytes
            self.offset += record_bytes
            if buffer._packets == 0:
                buffer._first_ns = at_ns
            buffer._last_ns = at_ns
            buffer._packets += 1
            budget.packets_left -= 1
            if out + (begin - run) >= budget.budget_at:
                reason = stop.SIZE
                break
            if budget.packets_left <= 0:
                reason = stop.PACKETS
                break
        if begin != run:
            if out != run:
                memmove(data + out, data + run, begin - run)
            out += begin - run
        kept[0] = out
        looked_at[0] = begin
        return reason

    cdef bint filtered(self) noexcept nogil:
        return self.filter is not None

    cdef size_t rewrite(self, uint8_t *target, RecordHeader *header) noexcept nogil:
        """Put the record at `header` to `target`, cut and rescaled; returns its new length."""
        cdef uint32_t caplen = min(header.caplen, <uint32_t>self.snaplen)
        header.caplen = caplen
        header.fraction *= self.fraction_scale
        memmove(target, header, RECORD_HEADER_BYTES + caplen)
        return RECORD_HEADER_BYTES + caplen

    cdef int fill_by_libpcap(self, Buffer buffer, Budget *budget) except -1 nogil:
        cdef int reason = stop.GOING
        cdef int got
        cdef int64_t in_memory
        while reason == stop.GOING:
            if self.pending_header == NULL:
                in_memory = self.unread() + self.ahead()
                if self.stream.finishing and in_memory == 0:
                    return stop.END
                if self.stream.waits and in_memory == 0:
                    reason = self.wait_for_input(buffer, budget)
                    if reason != stop.GOING:
                        break
                self.reads += 1
                if self.reads % RECORDS_BETWEEN_LOOKS == 0:
                    if wait_readable(self.stream.fd, self.stream.wake_fd, 0) < 0:
                        return stop.WAKE
                    if monotonic_ns() >= budget.deadline_ns:
                        return stop.DEADLINE
                self.offset = self.stream.given - self.unread()
                got = next_ex(self.handle, &self.pending_header, &self.pending_packet)
                if got != 1:
                    self.pending_header = NULL
                    if got == -2 or self.stream.finishing:
                        return stop.END
                    self.note_libpcap_error()
                    return stop.DAMAGED
            reason = self.take_pending(buffer, budget)
        return reason

    cdef int64_t unread(self) noexcept nogil:
        """Bytes that stdio has read ahead of libpcap."""
        return self.stream.given - ftell(self.file)

    cdef int64_t ahead(self) noexcept nogil:
        """Bytes that were read to recognise the format and that stdio has not taken yet."""
        return max(0, <int64_t>self.stream.prefix_bytes - self.stream.given)

    cdef int take_pending(self, Buffer buffer, Budget *budget) except -1 nogil:
        cdef pcap_pkthdr *header = self.pending_header
        cdef uint32_t caplen = header.caplen
        cdef size_t record_bytes
        cdef RecordHeader *record
        cdef uint64_t at_ns = (
            <uint64_t><uint32_t>header.ts.tv_sec * 1000000000
            + <uint64_t><uint32_t>header.ts.tv_usec * (1 if self.nanosecond else 1000)
        )
        if self.filtered() and not run_filter(
            self.filter.compiled.bf_insns, self.pending_packet, header.len, caplen
        ):
            self.pending_header = NULL
            return stop.GOING
        if at_ns >= budget.until_ns:
            self.kept_ns = at_ns
            return stop.TIME
        if self.cut:
            caplen = min(caplen, self.cut)
        record_bytes = RECORD_HEADER_BYTES + caplen
        if buffer._capacity - buffer.used < record_bytes:
            if buffer._packets:
                return stop.FULL
            buffer.reserve(buffer.used + record_bytes, buffer.used)
        record = <RecordHeader *>(buffer.data + buffer.used)
        record.seconds = <uint32_t>header.ts.tv_sec
        record.fraction = <uint32_t>header.ts.tv_usec
        record.caplen = caplen
        record.origlen = header.len
        memcpy(buffer.data + buffer.used + RECORD_HEADER_BYTES, self.pending_packet, caplen)
        self.pending_header = NULL
        buffer.used += record_bytes
        if buffer._packets == 0:
            buffer._first_ns = at_ns
        if buffer.since_ns == 0:
            buffer.since_ns = monotonic_ns()
        buffer._last_ns = at_ns
        buffer._packets += 1
        budget.packets_left -= 1
        if buffer.used >= budget.budget_at:
            return stop.SIZE
        if budget.packets_left <= 0:
            return stop.PACKETS
        return stop.GOING

    cdef void note_cut(self, const uint8_t *rest, size_t rest_bytes) noexcept nogil:
        with gil:
            if rest_bytes < RECORD_HEADER_BYTES:
                wanted = f"a record header of {RECORD_HEADER_BYTES} bytes"
            else:
                caplen = (<const RecordHeader *>rest).caplen
                wanted = f"a record of {RECORD_HEADER_BYTES + caplen} bytes"
            self.note_damage(f"{wanted} is cut short after {rest_bytes}")

    cdef void note_caplen(self, uint32_t caplen) noexcept nogil:
        with gil:
            self.note_damage(
                f"captured length {caplen} of a record, more than the format's {self.caplen_limit}"
            )

    cdef void note_libpcap_error(self) noexcept nogil:
        with gil:
            self.note_damage(pcap_geterr(self.handle).decode(errors="replace"))

    cdef void note_failed_read(self) noexcept nogil:
        with gil:
            self.failure = f"{self.name}: {strerror(errno).decode()}"

    cdef int note_damage(self, str what) except -1:
        self.failure = f"{self.name} is damaged at byte offset {self.offset}: {what}"
        return 0

    def counters(self):
        """Totals since the file was opened; nothing is dropped on the way from a file."""
        return Counters(self.received, 0, 0)

    def finish(self):
        """Read no further; the next `fill` that has nothing left in memory is Stop.END."""
        self.stream.finishing = True

    def close(self):
        """Free everything; may be called twice. The descriptor stays open."""
        self.close_handle()
        free(self.carried)
        self.carried = NULL
        self.carried_bytes = self.carried_room = self.carried_at = 0
