"""The soft tap: sends recorded packets out of an interface, as they stand in a Buffer.

Frames leave without the GIL, ordinary ones in batches through a transmit ring (transmit.pxd),
larger ones as single messages from where they are. A virtio-net header (vnet.pxd) before each has
the kernel segment super-frames and complete checksums. What does not leave is counted by why.
When to give up, to look again and what to tell is the caller's; that the recorder does not listen
to what its tap sends, too.
"""
from typing import NamedTuple

from libc.errno cimport (
    EAGAIN,
    EINTR,
    EINVAL,
    EMSGSIZE,
    ENETDOWN,
    ENOBUFS,
    ENODEV,
    ENOMEM,
    ENXIO,
    errno,
)
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset, strerror

from daemonlogger_py.engine.buffer cimport Buffer
from daemonlogger_py.engine.pace cimport Pace, advance
from daemonlogger_py.engine.packet cimport MSG_DONTWAIT, POLLOUT, iovec, msghdr, send_to, sendmsg
from daemonlogger_py.engine.tap_sockets cimport DOWN, GONE, UP, TapSockets
from daemonlogger_py.engine.transmit cimport SLOT_FRAME_BYTES, place, taken, withdraw
from daemonlogger_py.engine.vnet cimport (
    ETHERNET_BYTES,
    NOT_TAKEN,
    READY,
    Outgoing,
    Verdict,
    prepare_frame,
    virtio_net_hdr,
)
from daemonlogger_py.engine.wait cimport (
    POLLIN,
    monotonic_ns,
    pollfd,
    ppoll,
    timespec,
    wait_readable,
)
from daemonlogger_py.savefile.records cimport RECORD_HEADER_BYTES, RecordHeader, timestamp_ns

from daemonlogger_py.engine.prepared import PROBLEMS as _PROBLEMS

cdef enum:
    # Most frames of one system call; twice as many gain 1 %.
    BATCH = 64
    PARTS = 4  # virtio-net header, frame up to its checksum, the checksum, the rest
    # Paced: frames due within this time leave together; a timer is no more exact.
    TOGETHER_NS = 50000
    # The caller has other things to look after than a packet that is due much later.
    LONGEST_PACED_NS = 200000000
    # The kernel does not tell when a queue behind the socket's own has room again.
    SHORTEST_PAUSE_NS = 20000
    LONGEST_PAUSE_NS = 1000000

cdef enum Route:
    NOWHERE  # the interface is down
    BY_RING
    BY_MESSAGE  # too long for the ring, or so short that the kernel will refuse it
    NO_SLOT  # for the ring, which is full
    TOO_LARGE

cdef enum Step:
    AGAIN  # try the same frame once more
    NEXT  # this frame is counted
    PREPARE  # something has changed: look at the frame anew
    WOKEN


class TapCounters(NamedTuple):
    """What became of the frames a tap was given; 64-bit, never wrapping."""

    sent: int  # accepted by the kernel; a super-frame is one, whatever became of it
    sent_bytes: int  # as captured
    too_large: int  # larger than the MTU, and nothing the kernel could segment
    refused: int  # by the kernel, for what they are; see `Tap.refusal`
    dropped: int  # by us: the transmit queue stayed full
    missed: int  # the interface was down or gone
    cut: int  # of those sent: the snaplen had left only a part of them


cdef struct Frame:
    # One frame of a batch, and what is known when it has left.
    Outgoing out
    Verdict verdict
    Route route
    const uint8_t *start
    uint32_t caplen
    bint cut
    size_t next  # byte offset of the record behind it
    Pace pace


cdef class Tap(TapSockets):
    """Sends packets of `linktype` out of `interface`. Opening needs CAP_NET_RAW, sending nothing.

    `wake_fd` ends a wait when it becomes readable. With `pace`, frames leave with the recorded
    timing (whose fractions of a second are ns with `nanosecond`, else us), `pace` times as fast.
    A `patient` tap waits for an interface that is down, as a savefile can.
    Raises UsageError where the interface does not exist or carries other packets, SourceError
    where it is down or may not be opened. Belongs to one thread; `counters` may be read by any.
    """

    cdef Frame frames[BATCH]
    cdef int error
    cdef bint full  # in this call a frame was dropped
    cdef int wake_fd
    cdef bint patient  # what cannot be sent for now is kept, and not missed
    cdef uint64_t back_by_ns  # CLOCK_MONOTONIC: a paced wait goes no further
    cdef uint32_t fraction_ns
    cdef bint broken  # the records in the buffer do not follow one another
    cdef Pace pace  # as of the last frame that left
    cdef uint64_t due_ns  # CLOCK_MONOTONIC when the next one may leave
    cdef uint64_t wait_left_ns
    cdef uint64_t pause_ns
    cdef uint64_t sent, sent_bytes, too_large, refused, dropped, missed, cut
    cdef uint32_t large_caplen
    cdef uint32_t large_mtu
    cdef Verdict large_verdict
    cdef uint32_t refused_caplen
    cdef int refused_error

    def __init__(
        self,
        str interface,
        *,
        int linktype,
        int wake_fd,
        bint nanosecond=False,
        pace=None,
        bint patient=False,
    ):
        if pace is not None and not 0 < pace < float("inf"):
            raise ValueError(f"pace {pace}: a number above 0")
        self.wake_fd = wake_fd
        self.patient = patient
        self.fraction_ns = 1 if nanosecond else 1000
        self.pace.factor = pace or 0
        self.pause_ns = SHORTEST_PAUSE_NS
        TapSockets.__init__(self, interface, linktype)

    def send(self, Buffer buffer not None, size_t from_offset, uint64_t wait_ns):
        """Send the records in `buffer` from this byte offset on; the offset that was reached.

        That is the end of the buffer, or less when `wake_fd` ended a wait (empty it and call
        again), when the pace has kept it for LONGEST_PACED_NS, and, for a patient tap, while the
        interface is down. For a full transmit queue it waits at most `wait_ns` in all, then drops
        what does not fit. While the interface is down, frames are missed by a tap that is not
        patient, until `revive` finds it up.
        Raises ValueError where no record begins at the offset.
        """
        cdef size_t reached
        if self.fd < 0:
            raise ValueError("the tap is closed")
        if from_offset > buffer.used:
            raise ValueError(f"offset {from_offset} in a buffer of {buffer.used} bytes")
        self.wait_left_ns = wait_ns
        self.back_by_ns = monotonic_ns() + LONGEST_PACED_NS
        self.full = self.broken = False
        with nogil:
            self.look()
            reached = self.send_records(buffer.data, from_offset, buffer.used)
        if self.broken:
            raise ValueError(f"no record at byte offset {reached} of the buffer")
        return reached

    cdef size_t send_records(self, const uint8_t *data, size_t offset, size_t end) noexcept nogil:
        cdef unsigned int count, done
        cdef bint woken = False
        cdef uint64_t now_ns
        while offset < end and not woken:
            count = self.gather(data, offset, end)
            if self.broken:
                break
            if count == 0:
                now_ns = monotonic_ns()
                if now_ns >= self.back_by_ns:
                    break
                if self.due_ns > now_ns + TOGETHER_NS:
                    # Woken a little early, the timer's own delay brings it to the time.
                    woken = wait_readable(
                        -1,
                        self.wake_fd,
                        min(self.due_ns - TOGETHER_NS, self.back_by_ns) - now_ns,
                    ) < 0
                    self.look()
                continue
            done = 0
            woken = self.flush(count, &done)
            if done:
                offset = self.frames[done - 1].next
                if self.pace.factor:
                    self.pace = self.frames[done - 1].pace
        return offset

    cdef unsigned int gather(
        self, const uint8_t *data, size_t offset, size_t end
    ) noexcept nogil:
        """Make a batch of the records from `offset` on that are due; how many there are.

        Only what leaves by the ring has company.
        """
        cdef const RecordHeader *record
        cdef Frame *frame
        cdef unsigned int count = 0
        # Where the queue is full to the end, each frame decides for itself whether it fits.
        cdef unsigned int most = 1 if self.full else BATCH
        cdef Pace ahead = self.pace
        cdef uint64_t now_ns = monotonic_ns() if ahead.factor else 0
        while count < most and offset < end:
            record = <const RecordHeader *>(data + offset)
            if (
                end - offset < RECORD_HEADER_BYTES
                or record.caplen > end - offset - RECORD_HEADER_BYTES
            ):
                self.broken = count == 0
                break
            frame = &self.frames[count]
            if ahead.factor:
                self.due_ns = advance(&ahead, timestamp_ns(record, self.fraction_ns), now_ns)
                if self.due_ns > now_ns + TOGETHER_NS:
                    break
                frame.pace = ahead
            frame.start = data + offset + RECORD_HEADER_BYTES
            frame.caplen = record.caplen
            frame.cut = record.caplen < record.origlen
            frame.next = offset + RECORD_HEADER_BYTES + record.caplen
            frame.route = self.route_of(frame)
            if count and frame.route != self.frames[0].route:
                break
            if frame.route == BY_RING and not place(
                &self.ring, count, &frame.out.header, frame.start, frame.caplen
            ):
                if count:
                    break
                frame.route = NO_SLOT
            count += 1
            if frame.route != BY_RING and frame.route != NOWHERE:
                break
            offset = frame.next
        return count

    cdef Route route_of(self, Frame *frame) noexcept nogil:
        """Prepare the frame, and decide how it leaves."""
        if self.state != UP:
            return NOWHERE
        frame.verdict = prepare_frame(
            frame.start, frame.caplen, frame.cut, self.ethernet, self.mtu, &frame.out
        )
        if frame.verdict != READY:
            return TOO_LARGE
        if frame.out.header.gso_type or frame.caplen > SLOT_FRAME_BYTES:
            return BY_MESSAGE
        # The ring stops at a frame that the kernel refuses.
        if frame.caplen < (ETHERNET_BYTES if self.ethernet else 1):
            return BY_MESSAGE
        return BY_RING

    cdef bint flush(self, unsigned int count, unsigned int *done) noexcept nogil:
        """Send a batch; `done` frames of it are counted. True when woken up before its end."""
        cdef Route route = self.frames[0].route
        cdef Step step = AGAIN
        cdef unsigned int sent
        while done[0] < count and step == AGAIN:
            if self.state != UP and self.patient:
                step = WOKEN
                break
            if self.state != UP:
                self.missed += count - done[0]
                break
            if route == TOO_LARGE:
                self.count_too_large(&self.frames[0])
                step = NEXT
                break
            sent = self.hand_over(route, count - done[0])
            if sent:
                self.count_sent(done[0], sent)
                done[0] += sent
                continue
            step = self.take_error(self.error, &self.frames[done[0]])
            if step == AGAIN and route == NO_SLOT:
                step = PREPARE
        if route == BY_RING:
            withdraw(&self.ring, count - done[0])
        if step == NEXT:
            done[0] += 1
        elif step == AGAIN:
            done[0] = count
        return step == WOKEN

    cdef unsigned int hand_over(self, Route route, unsigned int count) noexcept nogil:
        """How many of the next `count` frames the kernel has taken now; 0: see `error`."""
        cdef ssize_t result
        if route == NO_SLOT:
            self.error = ENOBUFS
            return 0
        if route == BY_MESSAGE:
            result = self.send_message(&self.frames[0])
            self.error = errno
            return result >= 0
        result = send_to(self.fd, NULL, 0, MSG_DONTWAIT)
        self.error = EINVAL if result >= 0 else errno
        return taken(&self.ring, count)

    cdef ssize_t send_message(self, Frame *frame) noexcept nogil:
        """Send a frame from where it is, but for a checksum field that is replaced."""
        cdef iovec parts[PARTS]
        cdef msghdr message
        cdef uint32_t sum_at = frame.out.sum_at
        memset(&message, 0, sizeof(message))
        message.msg_iov = parts
        message.msg_iovlen = 2
        parts[0].iov_base = &frame.out.header
        parts[0].iov_len = sizeof(virtio_net_hdr)
        parts[1].iov_base = <void *>frame.start
        parts[1].iov_len = frame.caplen
        if sum_at:
            message.msg_iovlen = 4
            parts[1].iov_len = sum_at
            parts[2].iov_base = &frame.out.sum[0]
            parts[2].iov_len = 2
            parts[3].iov_base = <void *>(frame.start + sum_at + 2)
            parts[3].iov_len = frame.caplen - sum_at - 2
        return sendmsg(self.message_fd, &message, MSG_DONTWAIT)

    cdef void count_sent(self, unsigned int first, unsigned int count) noexcept nogil:
        cdef unsigned int i
        for i in range(first, first + count):
            self.sent_bytes += self.frames[i].caplen
            self.cut += self.frames[i].cut
        self.sent += count
        self.pause_ns = SHORTEST_PAUSE_NS

    cdef void count_too_large(self, Frame *frame) noexcept nogil:
        if self.too_large == 0:
            self.large_caplen = frame.caplen
            self.large_mtu = self.mtu
            self.large_verdict = frame.verdict
        self.too_large += 1

    cdef Step take_error(self, int error, Frame *frame) noexcept nogil:
        """What to do about the frame that was next when sending stopped."""
        cdef uint32_t mtu = self.mtu
        if error == EINTR:
            return AGAIN
        if error == EAGAIN or error == ENOBUFS or error == ENOMEM:
            if self.wait_left_ns == 0:
                self.full = True
                self.dropped += 1
                return NEXT
            if self.wait_for_room(frame.route, error == EAGAIN):
                return WOKEN
            return AGAIN if self.mtu == mtu else PREPARE
        if error == ENETDOWN:
            self.state = DOWN
            return AGAIN
        if error == ENXIO or error == ENODEV:
            self.state = GONE
            return AGAIN
        if error == EMSGSIZE:
            self.look()
            if self.mtu != mtu or self.state != UP:
                return PREPARE
            frame.verdict = NOT_TAKEN
            self.count_too_large(frame)
            return NEXT
        if self.refused == 0:
            self.refused_caplen = frame.caplen
            self.refused_error = error
        self.refused += 1
        return NEXT

    cdef bint wait_for_room(self, Route route, bint own_queue) noexcept nogil:
        """Wait for the socket's own queue, or a growing while for one behind it.

        True when woken up.
        """
        cdef pollfd fds[2]
        cdef timespec timeout
        cdef uint64_t begin_ns = monotonic_ns(), spent_ns
        cdef uint64_t most_ns = self.wait_left_ns
        if not own_queue:
            most_ns = min(most_ns, self.pause_ns)
            self.pause_ns = min(2 * self.pause_ns, <uint64_t>LONGEST_PAUSE_NS)
        fds[0].fd = -1
        if own_queue:
            fds[0].fd = self.message_fd if route == BY_MESSAGE else self.fd
        fds[0].events = POLLOUT
        fds[1].fd = self.wake_fd
        fds[1].events = POLLIN
        fds[0].revents = fds[1].revents = 0
        timeout.tv_sec = most_ns // 1000000000
        timeout.tv_nsec = most_ns % 1000000000
        ppoll(fds, 2, &timeout, NULL)
        spent_ns = monotonic_ns() - begin_ns
        self.wait_left_ns -= min(spent_ns, self.wait_left_ns)
        self.look()
        return fds[1].revents != 0

    @property
    def remark(self):
        """The first frame that was too large, in words, or None."""
        if self.too_large == 0:
            return None
        return (
            f"frame of {self.large_caplen} bytes, MTU {self.large_mtu}, "
            f"{_PROBLEMS[self.large_verdict]}: cannot be segmented"
        )

    @property
    def refusal(self):
        """The first frame that the kernel refused, in words, or None."""
        if self.refused == 0:
            return None
        reason = strerror(self.refused_error).decode()
        return f"frame of {self.refused_caplen} bytes: {reason}"

    def counters(self):
        """Totals since the tap was opened."""
        return TapCounters(
            self.sent,
            self.sent_bytes,
            self.too_large,
            self.refused,
            self.dropped,
            self.missed,
            self.cut,
        )
