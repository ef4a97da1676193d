"""Packets from an interface, through libpcap's memory-mapped capture buffer.

The kernel filters and stamps; this copies what it hands over into a Buffer as savefile records,
without the GIL. It never discards a packet: when the recorder has no buffer to fill, packets stay
in the kernel's capture buffer, and when that is full the kernel drops and counts them.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.unistd cimport usleep

from pylibpcap.pcap cimport pcap_pkthdr, pcap_t, u_char

from daemonlogger_py.engine cimport stop
from daemonlogger_py.engine.buffer cimport Buffer
from daemonlogger_py.engine.libpcap cimport PCAP_ERROR_BREAK, breakloop, dispatch
from daemonlogger_py.engine.live_handle cimport LiveHandle
from daemonlogger_py.engine.wait cimport monotonic_ns, wait_readable
from daemonlogger_py.savefile.records cimport RECORD_HEADER_BYTES, RecordHeader

from daemonlogger_py.engine.protocol import Counters


cdef struct Filling:
    # What the per-packet callback reads and writes: one buffer and what may still go into it.
    pcap_t *handle
    uint8_t *data
    size_t used
    size_t full_at  # beyond this the next record may not fit
    size_t budget_at  # at or beyond this the byte budget is used up
    int64_t packets_left
    uint64_t until_ns
    uint64_t packets
    uint64_t added  # packets of this fill
    uint64_t first_ns
    uint64_t last_ns
    uint32_t snaplen
    uint32_t fraction_ns
    uint8_t *held  # room for the one record that came at or after until_ns
    size_t held_bytes
    uint64_t held_ns
    int reason


cdef inline void account(Filling *to, size_t record_bytes, uint64_t at_ns) noexcept nogil:
    # Size is judged first: of two budgets used up by one record, the original names the size.
    to.used += record_bytes
    if to.packets == 0:
        to.first_ns = at_ns
    to.last_ns = at_ns
    to.packets += 1
    to.added += 1
    to.packets_left -= 1
    if to.used >= to.budget_at:
        to.reason = stop.SIZE
    elif to.packets_left <= 0:
        to.reason = stop.PACKETS
    elif to.used > to.full_at:
        to.reason = stop.FULL


cdef void on_packet(
    u_char *user, const pcap_pkthdr *header, const u_char *packet
) noexcept nogil:
    cdef Filling *to = <Filling *>user
    cdef uint32_t caplen = min(<uint32_t>header.caplen, to.snaplen)
    cdef uint64_t at_ns = (
        <uint64_t><uint32_t>header.ts.tv_sec * 1000000000
        + <uint64_t>header.ts.tv_usec * to.fraction_ns
    )
    cdef uint8_t *target = to.data + to.used
    cdef bint early = at_ns < to.until_ns
    if not early:
        target = to.held
    cdef RecordHeader *record = <RecordHeader *>target
    record.seconds = <uint32_t>header.ts.tv_sec
    record.fraction = <uint32_t>header.ts.tv_usec
    record.caplen = caplen
    record.origlen = header.len
    memcpy(target + RECORD_HEADER_BYTES, packet, caplen)
    if early:
        account(to, RECORD_HEADER_BYTES + caplen, at_ns)
    else:
        to.held_bytes = RECORD_HEADER_BYTES + caplen
        to.held_ns = at_ns
        to.reason = stop.TIME
    if to.reason != stop.GOING:
        breakloop(to.handle)


cdef class LiveSource(LiveHandle):
    """Packets of `interface`, opened as `LiveHandle` says, which takes `opening`.

    With `prompt`, `fill` comes back as soon as it has added something; `wake_fd` ends a wait when
    it becomes readable.
    """

    cdef Filling to
    cdef int wake_fd
    cdef bint prompt
    cdef bint finishing
    cdef uint64_t finish_by_ns
    cdef uint64_t fail_by_ns  # once it has failed: when what the kernel held has come
    cdef uint64_t received
    cdef readonly str failure
    cdef readonly bint live

    def __cinit__(self):
        self.live = True

    def __init__(self, str interface, *, int wake_fd, bint prompt=False, **opening):
        self.wake_fd = wake_fd
        self.prompt = prompt
        LiveHandle.__init__(self, interface, **opening)
        self.to.handle = self.handle
        self.to.snaplen = self.snaplen
        self.to.fraction_ns = 1 if self.nanosecond else 1000
        self.to.held = <uint8_t *>malloc(self.record_bytes)
        if self.to.held == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.to.held)

    @property
    def record_bytes(self):
        """Most bytes that one record takes in a buffer, header included."""
        return RECORD_HEADER_BYTES + self.snaplen

    @property
    def next_ns(self):
        """Time of the record that Stop.TIME kept back, or None."""
        return self.to.held_ns if self.to.held_bytes else None

    def fill(
        self,
        Buffer buffer not None,
        int64_t bytes_left,
        int64_t packets_left,
        uint64_t until_ns,
        uint64_t hold_ns,
        uint64_t deadline_ns,
    ):
        """See `protocol.Source.fill`. Raises ValueError for a buffer of less than a record."""
        cdef Filling *to = &self.to
        if self.handle == NULL:
            raise ValueError("the source is closed")
        if buffer._capacity < buffer.used + self.record_bytes:
            raise ValueError("the buffer may not hold one record")
        to.data = buffer.data
        to.used = buffer.used
        to.full_at = buffer._capacity - self.record_bytes
        to.budget_at = buffer.used + bytes_left
        to.packets_left = packets_left
        to.until_ns = until_ns
        to.packets = buffer._packets
        to.first_ns = buffer._first_ns
        to.last_ns = buffer._last_ns
        to.reason = stop.GOING
        to.added = 0
        with nogil:
            self.fill_buffer(buffer, hold_ns, deadline_ns)
        self.received += to.added
        buffer.used = to.used
        buffer._packets = to.packets
        buffer._first_ns = to.first_ns
        buffer._last_ns = to.last_ns
        return to.reason

    cdef void fill_buffer(
        self, Buffer buffer, uint64_t hold_ns, uint64_t deadline_ns
    ) noexcept nogil:
        cdef Filling *to = &self.to
        cdef uint64_t now_ns, wait_until_ns
        cdef int got
        if to.held_bytes:
            if to.held_ns >= to.until_ns:
                to.reason = stop.TIME
                return
            memcpy(to.data + to.used, to.held, to.held_bytes)
            account(to, to.held_bytes, to.held_ns)
            to.held_bytes = 0
        while to.reason == stop.GOING:
            got = dispatch(self.handle, -1, on_packet, <u_char *>to)
            if to.reason != stop.GOING:
                break
            if got == PCAP_ERROR_BREAK:
                continue  # asked for by the fill before this one
            if self.prompt and to.added:
                to.reason = stop.DEADLINE
                break
            now_ns = monotonic_ns()
            if got < 0 and self.fail_by_ns == 0:
                self.note_failure()
                self.fail_by_ns = now_ns + 2 * <uint64_t>self.block_timeout_ms * 1000000
            if self.fail_by_ns:
                # An interface that is gone leaves its last packets in a block of the kernel's.
                if now_ns >= self.fail_by_ns:
                    to.reason = stop.FAILED
                    break
                usleep(1000)
                continue
            if buffer.since_ns == 0 and to.packets:
                buffer.since_ns = now_ns
            wait_until_ns = deadline_ns
            if to.packets:
                wait_until_ns = min(wait_until_ns, buffer.since_ns + hold_ns)
            if self.finishing:
                if self.drained(now_ns):
                    to.reason = stop.END
                    break
                wait_until_ns = min(wait_until_ns, self.finish_by_ns)
            if now_ns >= wait_until_ns:
                to.reason = stop.DEADLINE
                break
            if wait_readable(self.capture_fd, self.wake_fd, wait_until_ns - now_ns) < 0:
                to.reason = stop.WAKE
        if buffer.since_ns == 0 and to.packets:
            buffer.since_ns = monotonic_ns()

    cdef void note_failure(self) noexcept nogil:
        with gil:
            self.failure = f"interface {self.interface}: {self.error()}"

    def revive(self):
        """Go on with the interface of this name, once it was made again; False until then.

        Takes the socket that is open to the new one, for which no privilege is needed.
        """
        if not self.rebind():
            return False
        self.fail_by_ns = 0
        self.failure = None
        return True

    cdef bint drained(self, uint64_t now_ns) noexcept nogil:
        # A block that is not full stays with the kernel until its time-out. The kernel counts
        # what it accepted, so an idle link needs no wait; where libpcap discards packets itself
        # (a direction, the second copy on loopback), the counts differ and the time-out decides.
        if now_ns >= self.finish_by_ns:
            return True
        self.read_statistics()
        return self.received + self.to.added >= self.kernel_received - self.kernel_dropped

    def counters(self):
        """Totals since the interface was opened; call it more often than 2^32 packets arrive."""
        if self.handle != NULL:
            self.read_statistics()
        return Counters(self.received, self.kernel_dropped, self.interface_dropped)

    def finish(self):
        """Take no new packet; `fill` hands out what the kernel has accepted, then Stop.END."""
        if self.finishing or self.handle == NULL:
            return
        # Past libpcap: its own call would apply the new filter to packets already accepted.
        self.refuse_all()
        self.finish_by_ns = monotonic_ns() + 3 * <uint64_t>self.block_timeout_ms * 1000000
        self.finishing = True

    def close(self):
        """Close the interface and free everything; may be called twice."""
        self.close_handle()
        free(self.to.held)
        self.to.held = NULL
