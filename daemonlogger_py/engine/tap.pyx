"""The soft tap: sends recorded packets out of an interface, as they stand in a Buffer.

Frames leave without the GIL, ordinary ones in batches through a transmit ring (transmit.pxd),
larger ones as single messages from where they are. A virtio-net header (vnet.pxd) before each has
the kernel segment super-frames and complete checksums. What does not leave is counted by why.
When to give up, to look again and what to tell is the caller's; that the recorder does not listen
to what its tap sends, too.
"""
from typing import NamedTuple

from libc.errno cimport (
    EACCES,
    EAGAIN,
    EINTR,
    EINVAL,
    EMSGSIZE,
    ENETDOWN,
    ENOBUFS,
    ENODEV,
    ENOMEM,
    ENXIO,
    EPERM,
    errno,
)
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset, strerror

from daemonlogger_py.engine.buffer cimport Buffer
from daemonlogger_py.engine.pace cimport Pace, advance
from daemonlogger_py.engine.packet cimport (
    AF_PACKET,
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    ARPHRD_NONE,
    ARPHRD_RAWIP,
    ARPHRD_SIT,
    ARPHRD_TUNNEL,
    ARPHRD_TUNNEL6,
    IFF_RUNNING,
    IFF_UP,
    IFNAMSIZ,
    MAP_FAILED,
    MAP_SHARED,
    MSG_DONTWAIT,
    PACKET_TX_RING,
    PACKET_VERSION,
    PACKET_VNET_HDR,
    POLLOUT,
    PROT_READ,
    PROT_WRITE,
    SIOCGIFFLAGS,
    SIOCGIFINDEX,
    SIOCGIFMTU,
    SOCK_CLOEXEC,
    SOCK_RAW,
    SOL_PACKET,
    bind,
    close_fd,
    getsockname,
    if_nametoindex,
    ifreq,
    ioctl,
    iovec,
    mmap,
    msghdr,
    munmap,
    new_socket,
    send_to,
    sendmsg,
    setsockopt,
    sockaddr,
    sockaddr_ll,
)
from daemonlogger_py.engine.transmit cimport (
    BLOCK_BYTES,
    SLOT_BYTES,
    SLOT_FRAME_BYTES,
    SLOTS,
    TPACKET_V2,
    Ring,
    place,
    taken,
    tpacket_req,
    withdraw,
)
from daemonlogger_py.engine.vnet cimport (
    BAD_LENGTH,
    CUT,
    ETHERNET_BYTES,
    FRAGMENT,
    NO_ROOM,
    NOT_CERTAIN,
    NOT_IP,
    NOT_TAKEN,
    NOT_TCP,
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

from daemonlogger_py.errors import SourceError, UsageError

cdef enum:
    DLT_EN10MB = 1
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

cdef enum State:
    UP
    DOWN
    NO_CARRIER
    GONE
    OTHER_KIND
    NOT_BOUND

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


cdef tuple RAW_IP = (ARPHRD_NONE, ARPHRD_RAWIP, ARPHRD_SIT, ARPHRD_TUNNEL, ARPHRD_TUNNEL6)

# Which interfaces carry the packets of a linktype, as they are in a savefile.
cdef dict KINDS = {
    DLT_EN10MB: ("Ethernet", (ARPHRD_ETHER, ARPHRD_LOOPBACK)),
    12: ("raw IP", RAW_IP),
    228: ("raw IPv4", RAW_IP),
    229: ("raw IPv6", RAW_IP),
}

cdef dict STATES = {
    DOWN: "is down",
    NO_CARRIER: "has no carrier",
    GONE: "is gone",
    OTHER_KIND: "came back with another link-layer type",
    NOT_BOUND: "cannot be bound to",
}

cdef dict PROBLEMS = {
    CUT: "cut by the snaplen",
    NOT_IP: "not IP",
    FRAGMENT: "an IP fragment",
    NOT_TCP: "not TCP",
    BAD_LENGTH: "with lengths that do not agree",
    NOT_CERTAIN: "with IP options and a checksum not of its addresses",
    NO_ROOM: "with headers too long",
    NOT_TAKEN: "refused by the interface",
}


class TapCounters(NamedTuple):
    """What became of the frames a tap was given; 64-bit, never wrapping."""

    sent: int  # accepted by the kernel; a super-frame is one, whatever became of it
    sent_bytes: int  # as captured
    too_large: int  # larger than the MTU, and nothing the kernel could segment
    refused: int  # by the kernel, for what they are; see `Tap.refusal`
    dropped: int  # by us: the transmit queue stayed full
    missed: int  # the interface was down or gone
    cut: int  # of those sent: the snaplen had left only a part of them


class Prepared(NamedTuple):
    """A frame as it is handed to the kernel."""

    header: bytes  # virtio-net header, in this machine's byte order
    frame: bytes  # with the checksum field that the header promises
    problem: str | None  # why it cannot be sent


def prepare(const uint8_t[::1] frame not None, uint32_t mtu, *, int linktype=1, bint cut=False):
    """Show what `Tap.send` hands to the kernel for a frame of Ethernet (1) or raw IP."""
    cdef Outgoing out
    cdef Verdict verdict
    cdef uint8_t nothing = 0
    cdef const uint8_t *data = &frame[0] if frame.shape[0] else &nothing
    verdict = prepare_frame(data, frame.shape[0], cut, linktype == DLT_EN10MB, mtu, &out)
    raw = bytearray(frame)
    if out.sum_at:
        raw[out.sum_at : out.sum_at + 2] = (out.sum[0], out.sum[1])
    header = (<char *>&out.header)[: sizeof(virtio_net_hdr)]
    return Prepared(header, bytes(raw), PROBLEMS.get(verdict))


def due_times(times_ns, double pace):
    """Show when frames recorded at these times (ns) leave, in ns after the first."""
    cdef Pace state
    memset(&state, 0, sizeof(state))
    state.factor = pace
    return [advance(&state, time_ns, 0) for time_ns in times_ns]


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


cdef int packet_socket() noexcept:
    """A socket that sends with virtio-net headers; -1: see errno."""
    cdef int on = 1
    # Protocol 0: it never receives anything.
    cdef int fd = new_socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)
    if fd >= 0 and setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0:
        close_fd(fd)
        return -1
    return fd


cdef class Tap:
    """Sends packets of `linktype` out of `interface`. Opening needs CAP_NET_RAW, sending nothing.

    `wake_fd` ends a wait when it becomes readable. With `pace`, frames leave with the recorded
    timing (whose fractions of a second are ns with `nanosecond`, else us), `pace` times as fast.
    A `patient` tap waits for an interface that is down, as a savefile can.
    Raises UsageError where the interface does not exist or carries other packets, SourceError
    where it is down or may not be opened. Belongs to one thread; `counters` may be read by any.
    """

    cdef Frame frames[BATCH]
    cdef Ring ring
    cdef ifreq request
    cdef int fd  # of the socket with the ring
    cdef int message_fd
    cdef int error
    cdef bint full  # in this call a frame was dropped
    cdef int wake_fd
    cdef bint patient  # what cannot be sent for now is kept, and not missed
    cdef uint64_t back_by_ns  # CLOCK_MONOTONIC: a paced wait goes no further
    cdef State state
    cdef int bind_error
    cdef bint ethernet
    cdef tuple hardware
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
    cdef readonly str interface
    cdef readonly unsigned int mtu

    def __cinit__(self):
        self.fd = self.message_fd = -1
        self.ring.memory = NULL

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
        if linktype not in KINDS:
            raise UsageError(
                f"-o/--tap {interface}: packets of linktype {linktype} cannot be sent; "
                f"accepted: {', '.join(f'{name} ({k})' for k, (name, _) in KINDS.items())}"
            )
        self.close()
        self.interface = interface
        self.wake_fd = wake_fd
        self.patient = patient
        self.fraction_ns = 1 if nanosecond else 1000
        self.pace.factor = pace or 0
        self.pause_ns = SHORTEST_PAUSE_NS
        self.ethernet = linktype == DLT_EN10MB
        self.hardware = KINDS[linktype][1]
        raw_name = interface.encode(errors="surrogateescape")
        if len(raw_name) >= IFNAMSIZ or b"\0" in raw_name or not if_nametoindex(raw_name):
            raise self.unknown()
        memset(&self.request, 0, sizeof(self.request))
        memcpy(self.request.ifr_name, <const char *>raw_name, len(raw_name))
        self.open_sockets()
        try:
            self.open_interface(KINDS[linktype][0])
        except BaseException:
            self.close()
            raise

    def __dealloc__(self):
        self.close()

    cdef unknown(self):
        return UsageError(f"-o/--tap {self.interface!r}: no such interface")

    cdef int open_sockets(self) except -1:
        if self.open_ring() == 0:
            return 0
        reason, refused = strerror(errno).decode(), errno in (EPERM, EACCES)
        self.close()
        if refused:
            reason = "no permission to send: root or CAP_NET_RAW is needed"
        raise SourceError(f"tap {self.interface}: {reason}")

    cdef int open_ring(self) noexcept:
        cdef int version = TPACKET_V2
        cdef tpacket_req asked
        cdef void *memory
        self.fd = packet_socket()
        self.message_fd = packet_socket()
        if self.fd < 0 or self.message_fd < 0:
            return -1
        asked.tp_block_size = BLOCK_BYTES
        asked.tp_frame_size = SLOT_BYTES
        asked.tp_frame_nr = SLOTS
        asked.tp_block_nr = SLOTS * SLOT_BYTES // BLOCK_BYTES
        if setsockopt(self.fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) != 0:
            return -1
        if setsockopt(self.fd, SOL_PACKET, PACKET_TX_RING, &asked, sizeof(asked)) != 0:
            return -1
        memory = mmap(
            NULL, SLOTS * SLOT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self.fd, 0
        )
        if memory == MAP_FAILED:
            return -1
        self.ring.memory = <uint8_t *>memory
        self.ring.head = 0
        return 0

    cdef int open_interface(self, str kind) except -1:
        self.state = self.attach()
        if self.state == GONE:
            raise self.unknown()
        if self.state == OTHER_KIND:
            raise UsageError(
                f"-o/--tap {self.interface}: not an interface for {kind}, as the packets are"
            )
        if self.state in (DOWN, NOT_BOUND):
            raise SourceError(f"tap {self.failure}")
        return 0

    cdef State attach(self) noexcept:
        """Bind to the interface that now has the name, and say how it is."""
        cdef ifreq request = self.request
        cdef sockaddr_ll address
        cdef unsigned int size = sizeof(address)
        if ioctl(self.fd, SIOCGIFINDEX, &request) != 0:
            return GONE
        memset(&address, 0, sizeof(address))
        address.sll_family = AF_PACKET
        address.sll_ifindex = request.ifr_ifindex
        if (
            bind(self.fd, <sockaddr *>&address, sizeof(address)) != 0
            or bind(self.message_fd, <sockaddr *>&address, sizeof(address)) != 0
            or getsockname(self.fd, <sockaddr *>&address, &size) != 0
        ):
            self.bind_error = errno
            return GONE if errno == ENODEV else NOT_BOUND
        if address.sll_hatype not in self.hardware:
            return OTHER_KIND
        self.state = UP
        self.look()
        return self.state

    cdef void look(self) noexcept nogil:
        """See what may have changed under a bound interface: its MTU, whether it is up."""
        cdef ifreq request = self.request
        if self.state != UP or ioctl(self.fd, SIOCGIFMTU, &request) != 0:
            return  # sending will tell
        self.mtu = request.ifr_mtu
        if ioctl(self.fd, SIOCGIFFLAGS, &request) != 0:
            return
        if not request.ifr_flags & IFF_UP:
            self.state = DOWN
        elif not request.ifr_flags & IFF_RUNNING:
            # The kernel swallows what is sent now and calls it sent.
            self.state = NO_CARRIER

    def revive(self):
        """Look whether a tap that is down has its interface again; True when it can send.

        Needs no capability. The interface may be another one that has the name now.
        """
        if self.fd < 0:
            raise ValueError("the tap is closed")
        if self.state != UP:
            self.state = self.attach()
        return self.state == UP

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
    def down(self):
        """Whether the interface is down, without carrier or gone: frames are missed."""
        return self.state != UP

    @property
    def failure(self):
        """Why the tap is down, or None."""
        if self.state == UP:
            return None
        what = STATES[self.state]
        if self.state == NOT_BOUND:
            what = f"{what}: {strerror(self.bind_error).decode()}"
        return f"interface {self.interface} {what}"

    @property
    def remark(self):
        """The first frame that was too large, in words, or None."""
        if self.too_large == 0:
            return None
        return (
            f"frame of {self.large_caplen} bytes, MTU {self.large_mtu}, "
            f"{PROBLEMS[self.large_verdict]}: cannot be segmented"
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

    def close(self):
        """Close the sockets; may be called twice. The counters stay."""
        if self.ring.memory != NULL:
            munmap(self.ring.memory, SLOTS * SLOT_BYTES)
            self.ring.memory = NULL
        if self.fd >= 0:
            close_fd(self.fd)
        if self.message_fd >= 0:
            close_fd(self.message_fd)
        self.fd = self.message_fd = -1
