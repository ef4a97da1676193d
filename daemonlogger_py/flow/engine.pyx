"""Packets in, flows and their streams' bytes out.

Decodes, puts fragments together, finds the flow, follows TCP, and tells a `Sink`. Knows no files,
no clock but the packets' own, and prints nothing. State carries over from one `feed` to the next:
a connection that spans savefiles is one flow.

Rules that tcpflow 1.6.1 has too are its rules; where it is wrong, what is done instead stands in
docs/streams.md.
"""
cimport cython
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memcpy, memset

from daemonlogger_py.flow.decode cimport decodable, decode, decode_datagram
from daemonlogger_py.flow.defrag cimport Defragmenter
from daemonlogger_py.flow.flow cimport (
    CLOSED_END,
    CLOSED_EVICTED,
    CLOSED_FIN,
    CLOSED_IDLE,
    CLOSED_REUSED,
    CLOSED_RST,
    CLOSED_SKIPPED,
    EVENT_FILLED,
    EVENT_GAP,
    EVENT_KEEPALIVE,
    EVENT_RETRANSMISSION,
    EVENT_VIOLATION,
    EVENT_ZERO_WINDOW,
    Flow,
    Link,
    Range,
    Stream,
)
from daemonlogger_py.flow.packet cimport (
    NO_IP,
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
    TRANSPORT_FRAGMENT,
    TRANSPORT_NONE,
    TRANSPORT_TCP,
    Packet,
)
from daemonlogger_py.flow.ranges cimport begin_at, forget, piece_end, receive
from daemonlogger_py.flow.sequence cimport distance, offset_of
from daemonlogger_py.flow.sink cimport Sink
from daemonlogger_py.flow.table cimport Table
from daemonlogger_py.savefile.records cimport RECORD_HEADER_BYTES, RecordHeader, timestamp_ns

from typing import NamedTuple

from daemonlogger_py.errors import SourceError
from daemonlogger_py.flow.oddities import Oddity

NEVER_NS = (1 << 63) - 1

cdef enum:
    NEVER = 0x7FFFFFFFFFFFFFFF

cdef enum:
    PROTOCOL_TCP = 6
    MOST_RANGES = 131072  # of one stream
    NEARBY_BYTES = 1048576  # how far a SYN may lie from bytes seen before it, to be of their flow


class Counters(NamedTuple):
    """What became of the packets; all since the engine was made."""

    packets: int  # in the time span asked for
    outside: int  # records outside of it
    not_ip: int
    tcp_packets: int
    stream_packets: int  # of those, the ones that belong to a stream
    unprocessed: int  # IP, but no whole TCP header; fragments that are not put together included
    fragments: int
    streams: int  # opened: one for each direction that sent a SYN or data
    open_streams: int
    most_open_streams: int  # at one time
    flows: int  # in the table now
    evicted_flows: int  # closed early for a limit in flows or memory
    idle_flows: int  # closed early for the idle time
    split_streams: int  # closed early for too many gaps or too long; another stream goes on
    before_syn_bytes: int  # before the first byte of a stream whose SYN was seen: not delivered
    late_bytes: int  # received again after the stream was closed: not delivered


# From its first byte to its last: file systems hold no more than 16 TiB, and jumps cost nothing.
cdef int64_t MOST_STREAM_BYTES = 1 << 42


cdef struct Counts:
    uint64_t packets
    uint64_t outside  # of the time span asked for
    uint64_t not_ip
    uint64_t tcp_packets  # that belong to a flow, or could
    uint64_t stream_packets
    uint64_t unprocessed
    uint64_t fragments
    uint64_t streams
    uint64_t open_streams
    uint64_t most_open_streams
    uint64_t evicted_flows
    uint64_t idle_flows
    uint64_t split_streams  # closed for having too many gaps, or being too long
    uint64_t before_syn_bytes
    uint64_t late_bytes  # received again after the stream was closed


cdef struct Entry:  # of the list by which everything is closed at the end
    uint64_t number
    Flow *flow
    int side


cdef int by_number(const void *one, const void *other) noexcept nogil:
    cdef uint64_t a = (<const Entry *>one).number
    cdef uint64_t b = (<const Entry *>other).number
    return (a > b) - (a < b)


@cython.final
cdef class Engine:
    """Follows flows and tells `sink`.

    `tunnels`: decode what is inside GRE and the others. `datagrams`: track the other protocols
    too, and tell of each of their packets. `skip_bytes`: a jump of more bytes than this begins
    another stream. `idle_ns`: flows without a packet for so long are closed; 0: never.
    `max_flows`, `memory_bytes`: limits, at which the flows that were idle for longest are closed.
    `purge` False: flows that ended are remembered until the limits are reached. `first_ns`,
    `until_ns`: packets before the first or not before the second are passed over. `shift_ns` is
    then added to the time of each.
    """
    cdef Sink sink
    cdef Table table
    cdef Defragmenter defragmenter
    cdef Counts counts
    cdef uint64_t oddity_counts[64]
    cdef bint tunnels
    cdef bint datagrams
    cdef bint only_known
    cdef int64_t skip_bytes
    cdef uint64_t idle_ns
    cdef uint64_t linger_ns
    cdef uint64_t linger_flows
    cdef uint64_t max_flows
    cdef uint64_t memory_bytes
    cdef uint64_t range_bytes  # memory in streams' arrays of ranges
    cdef uint64_t first_ns
    cdef uint64_t until_ns
    cdef int64_t shift_ns
    cdef uint64_t now_ns  # of capture: the latest time of a packet
    cdef uint64_t before_ns  # when the stream at hand had its last packet before this one
    cdef uint64_t sessions
    cdef Entry *entries  # what is to be closed at the end, and how far that is
    cdef uint64_t entry_count
    cdef uint64_t entry_at
    cdef bint finished

    def __init__(
        self,
        Sink sink not None,
        *,
        bint tunnels=False,
        bint datagrams=False,
        skip_bytes=16777216,
        idle_ns=0,
        max_flows=1000000,
        memory_bytes=1 << 30,
        bint purge=True,
        first_ns=0,
        until_ns=NEVER_NS,
        shift_ns=0,
    ):
        self.sink = sink
        self.table = Table()
        self.defragmenter = Defragmenter()
        self.tunnels = tunnels
        self.datagrams = datagrams
        self.skip_bytes = skip_bytes
        self.idle_ns = idle_ns
        self.linger_ns = 240 * 1000000000 if purge else NEVER_NS
        self.linger_flows = 10000 if purge else NEVER_NS
        self.max_flows = max_flows
        self.memory_bytes = memory_bytes
        self.first_ns = first_ns
        self.until_ns = until_ns
        self.shift_ns = shift_ns

    def __dealloc__(self):
        free(self.entries)

    def feed(
        self,
        const uint8_t[::1] records not None,
        uint32_t linktype,
        *,
        bint nanosecond=False,
        bint only_known=False,
    ):
        """Take records as they stand in a savefile of this machine's byte order.

        `only_known`: packets may add to flows that are open, but begin none. Raises SourceError
        for a linktype that is not decoded, ValueError if the last record is not whole, and what
        the sink failed with.
        """
        cdef int outcome
        cdef size_t size = records.shape[0]
        cdef const uint8_t *data = &records[0] if size else NULL
        if self.entries != NULL:
            raise ValueError("what is finished takes no more packets")
        if not decodable(linktype):
            raise SourceError(f"linktype {linktype & 0xFFFF} is not decoded")
        self.only_known = only_known
        with nogil:
            outcome = self.run(data, size, linktype, 1 if nanosecond else 1000)
        if outcome == 1:
            raise ValueError("the last record is not whole")
        if outcome:
            raise self.sink.failure()

    def finish(self, most=None):
        """Close every stream, or at most so many, in the order of their first packets.

        Whether all are closed: then it may be called again, and does nothing.
        """
        cdef int outcome
        cdef uint64_t limit = NEVER if most is None else most
        if self.finished:
            return True
        with nogil:
            outcome = self.close_some(limit)
        if outcome:
            self.finished = True
            raise self.sink.failure()
        return self.finished

    def counters(self):
        """What became of the packets until now."""
        cdef Counts *at = &self.counts
        return Counters(
            at.packets, at.outside, at.not_ip, at.tcp_packets, at.stream_packets,
            at.unprocessed, at.fragments,
            at.streams, at.open_streams, at.most_open_streams, self.table.count,
            at.evicted_flows, at.idle_flows, at.split_streams, at.before_syn_bytes, at.late_bytes,
        )

    def oddities(self):
        """How many packets were odd in which way: {name: packets}, those at 0 left out."""
        return {
            oddity.name: self.oddity_counts[oddity]
            for oddity in Oddity
            if self.oddity_counts[oddity]
        }

    def fragments(self):
        """What became of IP fragments: `defrag.Fragments`."""
        return self.defragmenter.counters()

    cdef int run(
        self, const uint8_t *records, size_t size, uint32_t linktype, uint32_t fraction_ns
    ) noexcept nogil:
        """0; 1: the last record is not whole; -1: the sink failed."""
        cdef size_t at = 0
        cdef RecordHeader header
        cdef Packet packet
        while at < size:
            if size - at < RECORD_HEADER_BYTES:
                return 1
            memcpy(&header, records + at, RECORD_HEADER_BYTES)
            at += RECORD_HEADER_BYTES
            if header.caplen > size - at:
                return 1
            packet.time_ns = timestamp_ns(&header, fraction_ns)
            packet.data = records + at
            packet.caplen = header.caplen
            packet.origlen = max(header.origlen, header.caplen)
            at += header.caplen
            if packet.time_ns < self.first_ns or packet.time_ns >= self.until_ns:
                self.counts.outside += 1
                continue
            packet.time_ns = shifted(packet.time_ns, self.shift_ns)
            if self.packet(linktype, &packet) != 0:
                return -1
        return -1 if self.sink.fed() != 0 else 0

    cdef int packet(self, uint32_t linktype, Packet *packet) noexcept nogil:
        cdef uint64_t odd
        cdef int bit
        cdef int outcome
        self.counts.packets += 1
        if packet.time_ns > self.now_ns:
            self.now_ns = packet.time_ns
            if self.expire() != 0:
                return -1
        decode(linktype, packet, self.tunnels)
        # More than once where a tunnel was inside: what it carries may be a fragment as well.
        while packet.transport == TRANSPORT_FRAGMENT:
            self.counts.fragments += 1
            outcome = self.defragmenter.add(packet)
            if outcome < 0:
                return -1
            if outcome == 0:
                break
            packet.protocol = self.defragmenter.datagram_protocol
            decode_datagram(
                packet,
                self.defragmenter.datagram,
                self.defragmenter.datagram_captured,
                self.defragmenter.datagram_bytes,
                self.tunnels,
            )
        odd = packet.oddities
        bit = 0
        while odd:
            self.oddity_counts[bit] += odd & 1
            odd >>= 1
            bit += 1
        return self.dispatch(packet)

    cdef int dispatch(self, Packet *packet) noexcept nogil:
        if packet.transport == TRANSPORT_TCP:
            self.counts.tcp_packets += 1
            return self.tcp(packet)
        if packet.family == NO_IP:
            self.counts.not_ip += 1
            return 0
        self.counts.unprocessed += 1
        if self.sink.wants_unprocessed and self.sink.unprocessed(packet) != 0:
            return -1
        if (
            self.datagrams
            and packet.transport != TRANSPORT_NONE
            and packet.transport != TRANSPORT_FRAGMENT
        ):
            return self.track_datagram(packet)
        return 0

    cdef int track_datagram(self, Packet *packet) noexcept nogil:
        cdef int side = 0
        cdef Flow *flow = self.table.find(packet, packet.protocol, &side)
        cdef Stream *stream
        if flow == NULL:
            if self.make_room() != 0:
                return -1
            flow = self.table.add(packet, packet.protocol)
            if flow == NULL:
                return -1
            side = 0
        flow.last_ns = packet.time_ns
        self.table.touch(flow, flow.ended)
        stream = &flow.streams[side]
        if not stream.seen and self.open_stream(flow, side, packet) != 0:
            return -1
        stream.packets += 1
        stream.length_bytes += packet.origlen
        stream.captured_bytes += packet.caplen
        stream.last_ns = packet.time_ns
        return self.sink.datagram(flow, side, packet)

    cdef int tcp(self, Packet *packet) noexcept nogil:
        cdef int side = 0
        cdef Flow *flow
        cdef Stream *stream
        cdef bint opens = packet.flags & TCP_SYN or packet.payload_bytes > 0
        # Flows grow as well: what they hold is limited also where none is added.
        if self.keep_memory() != 0:
            return -1
        flow = self.table.find(packet, PROTOCOL_TCP, &side)
        if flow != NULL and packet.flags & TCP_SYN and begins_another(flow, side, packet):
            if self.close_flow(flow, CLOSED_REUSED) != 0:
                return -1
            self.drop(flow)
            flow = NULL
        if flow == NULL:
            if self.only_known or (not opens and not self.sink.wants_packets):
                return 0
            if self.make_room() != 0:
                return -1
            flow = self.table.add(packet, PROTOCOL_TCP)
            if flow == NULL:
                return -1
            guess_client(flow, packet)
            side = 0
        flow.last_ns = packet.time_ns
        self.table.touch(flow, flow.ended)
        stream = &flow.streams[side]
        if self.only_known and (stream.closed or not stream.seen):
            return 0
        if stream.closed and packet.payload_bytes and self.is_new_after_close(stream, packet):
            # What follows a closed stream is another one, as with tcpflow.
            self.reset(flow, side)
        if not stream.seen and opens and self.open_stream(flow, side, packet) != 0:
            return -1
        if self.sink.wants_packets and self.sink.packet(flow, side, packet) != 0:
            return -1
        if packet.flags & TCP_ACK:
            self.learn_end(&flow.streams[1 - side], packet.acknowledgment)
        if not stream.seen:
            return 0
        self.counts.stream_packets += 1
        stream.packets += 1
        stream.length_bytes += packet.origlen
        stream.captured_bytes += packet.caplen
        self.before_ns = stream.last_ns
        stream.last_ns = packet.time_ns
        if stream.closed:
            return 0
        return self.follow(flow, side, packet)

    cdef int follow(self, Flow *flow, int side, Packet *packet) noexcept nogil:
        """Take a packet of a stream that is open."""
        cdef Stream *stream = &flow.streams[side]
        cdef int64_t offset
        cdef uint32_t sequence = packet.sequence
        if packet.flags & TCP_SYN:
            sequence += 1
            if self.take_syn(flow, side, packet, sequence) != 0:
                return -1
        elif packet.window == 0 and not packet.flags & (TCP_FIN | TCP_RST):
            if not stream.zero_window:
                stream.zero_window = True
                offset = offset_of(stream, sequence)
                if self.sink.event(flow, side, EVENT_ZERO_WINDOW, offset, 0, packet) != 0:
                    return -1
        else:
            stream.zero_window = False
        if packet.payload_bytes:
            if self.payload(flow, side, packet) != 0:
                return -1
        elif not packet.flags & (TCP_SYN | TCP_RST):
            self.learn_end(stream, sequence)
        if stream.closed:
            return 0
        if packet.flags & TCP_FIN and stream.fin == INT64_MAX:
            stream.fin = offset_of(stream, sequence) + packet.payload_bytes
            if stream.end == stream.fin + 1 and received_until(stream) <= stream.fin:
                stream.end = stream.fin  # the byte more that was acknowledged is the FIN
            stream.end = max(stream.end, stream.fin)
        if packet.flags & TCP_RST:
            return self.close_stream(flow, side, CLOSED_RST)
        if stream.fin == stream.received_end and stream.range_count == 0:
            return self.close_stream(flow, side, CLOSED_FIN)
        return 0

    cdef void learn_end(self, Stream *stream, uint32_t sequence) noexcept nogil:
        """Bytes up to `sequence` were sent, by the sender's own account or the other side's.

        So a gap is known also where neither what follows it nor the FIN was captured. A single
        byte more is taken for a FIN that was not. Where a RST stands tells nothing: some are made
        up on the way.
        """
        cdef int32_t ahead
        if not stream.seen or stream.closed or stream.fin != INT64_MAX:
            return
        ahead = distance(stream.sequence + <uint32_t>stream.end, sequence)
        if 1 < ahead <= self.skip_bytes:
            stream.end += ahead

    cdef int take_syn(
        self, Flow *flow, int side, Packet *packet, uint32_t sequence
    ) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef uint32_t capacity = stream.range_capacity
        cdef int64_t begin
        if not stream.syn:
            begin = offset_of(stream, sequence)
            stream.syn = True
            if begin < stream.received_begin:
                if not begin_at(stream, begin):
                    return -1
                self.range_bytes += (stream.range_capacity - capacity) * sizeof(Range)
        if packet.payload_bytes:
            stream.violations += 1
            return self.sink.event(
                flow, side, EVENT_VIOLATION, 0, packet.payload_bytes, packet
            )
        return 0

    cdef int payload(self, Flow *flow, int side, Packet *packet) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef uint32_t sequence = packet.sequence + (1 if packet.flags & TCP_SYN else 0)
        cdef int64_t begin = offset_of(stream, sequence)
        cdef int64_t end = begin + packet.payload_captured
        cdef const uint8_t *data = packet.payload
        cdef int64_t jump = begin - stream.expected
        cdef bint received = False
        cdef bint too_early
        if packet.payload_bytes == 1 and jump == -1:
            piece_end(stream, begin, begin + 1, &received)
            if received or (stream.syn and begin < 0):
                return self.sink.event(flow, side, EVENT_KEEPALIVE, begin, 1, packet)
        if jump > self.skip_bytes or -jump > self.skip_bytes:
            if self.begin_again(flow, side, packet, CLOSED_SKIPPED) != 0:
                return -1
            begin = jump = 0
            end = packet.payload_captured
        elif (
            stream.range_count >= MOST_RANGES
            or begin - stream.received_begin >= MOST_STREAM_BYTES
            or received_until(stream) - begin >= MOST_STREAM_BYTES
        ):
            self.counts.split_streams += 1
            if self.begin_again(flow, side, packet, CLOSED_EVICTED) != 0:
                return -1
            begin = jump = 0
            end = packet.payload_captured
        # Before the first byte there is.
        too_early = stream.syn and begin < min(<int64_t>0, stream.received_begin)
        if jump < 0 and not too_early:
            stream.out_of_order += 1
        stream.expected = begin + packet.payload_bytes
        stream.end = max(stream.end, stream.expected)
        if too_early:
            stream.violations += 1
            self.counts.before_syn_bytes += min(end, <int64_t>0) - begin
            if self.sink.event(flow, side, EVENT_VIOLATION, begin, -begin, packet) != 0:
                return -1
            if end <= 0:
                return 0
            data += -begin
            begin = 0
        if end > begin:
            return self.pieces(flow, side, begin, end, data, packet)
        return 0

    cdef int pieces(
        self, Flow *flow, int side, int64_t begin, int64_t end, const uint8_t *data,
        const Packet *packet,
    ) noexcept nogil:
        """Tell of [begin, end), piece by piece: what is new, and what was received before."""
        cdef Stream *stream = &flow.streams[side]
        cdef int64_t until
        cdef int64_t highest
        cdef bint received
        cdef uint32_t capacity
        if begin == stream.received_end and stream.range_count == 0:
            stream.received_end = end
            return self.sink.data(flow, side, begin, data, <uint32_t>(end - begin), packet)
        while begin < end:
            until = piece_end(stream, begin, end, &received)
            if received:
                stream.retransmissions += 1
                if self.sink.event(
                    flow, side, EVENT_RETRANSMISSION, begin, until - begin, packet
                ) != 0 or self.sink.repeated(
                    flow, side, begin, data, <uint32_t>(until - begin), packet
                ) != 0:
                    return -1
            else:
                highest = received_until(stream)
                capacity = stream.range_capacity
                if not receive(stream, begin, until):
                    return -1
                self.range_bytes += (stream.range_capacity - capacity) * sizeof(Range)
                if begin > highest:
                    if self.sink.event(
                        flow, side, EVENT_GAP, highest, begin - highest, packet
                    ) != 0:
                        return -1
                elif begin < highest and self.sink.event(
                    flow, side, EVENT_FILLED, begin, until - begin, packet
                ) != 0:
                    return -1
                if self.sink.data(
                    flow, side, begin, data, <uint32_t>(until - begin), packet
                ) != 0:
                    return -1
            data += until - begin
            begin = until
        return 0

    cdef bint is_new_after_close(self, Stream *stream, const Packet *packet) noexcept nogil:
        """Whether a segment that follows the stream's close is more than a repetition."""
        cdef uint32_t sequence = packet.sequence + (1 if packet.flags & TCP_SYN else 0)
        cdef int64_t begin = offset_of(stream, sequence)
        cdef bint received = False
        if packet.payload_bytes == 1 and begin == stream.expected - 1:
            return False
        if piece_end(
            stream, begin, begin + packet.payload_bytes, &received
        ) == begin + packet.payload_bytes and received:
            self.counts.late_bytes += packet.payload_bytes
            stream.retransmissions += 1
            return False
        return True

    cdef int open_stream(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        if not flow.streams[1 - side].seen:
            flow.session = self.sessions
            self.sessions += 1
        stream.seen = True
        stream.number = self.counts.streams
        stream.first_ns = packet.time_ns
        stream.fin = INT64_MAX
        note_link(&stream.link, packet)
        stream.sequence = packet.sequence
        if packet.flags & TCP_SYN and packet.transport == TRANSPORT_TCP:
            stream.sequence += 1
            stream.syn = True
            if flow.client_guessed:
                flow.client_guessed = False
                flow.client = 1 - side if packet.flags & TCP_ACK else side
        self.counts.streams += 1
        self.counts.open_streams += 1
        self.counts.most_open_streams = max(
            self.counts.most_open_streams, self.counts.open_streams
        )
        return self.sink.opened(flow, side, packet)

    cdef int begin_again(
        self, Flow *flow, int side, const Packet *packet, int why
    ) noexcept nogil:
        """Close a stream and go on with another that begins with this packet's payload."""
        cdef Stream *stream = &flow.streams[side]
        # The packet was counted for the stream that it turns out not to be of.
        stream.packets -= 1
        stream.length_bytes -= packet.origlen
        stream.captured_bytes -= packet.caplen
        stream.last_ns = self.before_ns
        if self.close_stream(flow, side, why) != 0:
            return -1
        self.reset(flow, side)
        if self.open_stream(flow, side, packet) != 0:
            return -1
        stream.syn = False
        stream.sequence = packet.sequence
        stream.packets = 1
        stream.length_bytes = packet.origlen
        stream.captured_bytes = packet.caplen
        stream.last_ns = packet.time_ns
        return 0

    cdef void reset(self, Flow *flow, int side) noexcept nogil:
        """Make room in a flow for the stream that follows a closed one."""
        cdef Stream *stream = &flow.streams[side]
        cdef bint was_ended = flow.ended
        self.range_bytes -= stream.range_capacity * sizeof(Range)
        forget(stream)
        memset(stream, 0, sizeof(Stream))
        flow.ended = False
        self.table.touch(flow, was_ended)

    cdef int close_stream(self, Flow *flow, int side, int why) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef bint was_ended = flow.ended
        stream.closed = True
        stream.why = why
        self.counts.open_streams -= 1
        if self.sink.closed(flow, side) != 0:
            return -1
        if flow.streams[1 - side].closed or (why == CLOSED_END and not flow.streams[1 - side].seen):
            flow.ended = True
            self.table.touch(flow, was_ended)
            if self.table.ended_count > self.linger_flows:
                self.drop(self.table.oldest_ended)
        return 0

    cdef void drop(self, Flow *flow) noexcept nogil:
        cdef int side
        for side in range(2):
            self.range_bytes -= flow.streams[side].range_capacity * sizeof(Range)
        self.table.remove(flow)

    cdef int close_flow(self, Flow *flow, int why) noexcept nogil:
        cdef int first = flow.streams[1].seen and (
            not flow.streams[0].seen or flow.streams[1].number < flow.streams[0].number
        )
        cdef int turn
        cdef int side
        for turn in range(2):
            side = first ^ turn
            if flow.streams[side].seen and not flow.streams[side].closed:
                if self.close_stream(flow, side, why) != 0:
                    return -1
        return 0

    cdef int make_room(self) noexcept nogil:
        """Keep the limits of flows and memory before another flow is added."""
        while self.table.count >= self.max_flows:
            if self.evict() != 0:
                return -1
        return self.keep_memory()

    cdef int keep_memory(self) noexcept nogil:
        while self.table.count and (
            self.table.count * sizeof(Flow) + self.range_bytes >= self.memory_bytes
        ):
            if self.evict() != 0:
                return -1
        return 0

    cdef int evict(self) noexcept nogil:
        """Drop the flow that was idle for longest, of those that ended if there are any."""
        cdef Flow *flow = self.table.oldest_ended
        if flow == NULL:
            flow = self.table.oldest
            self.counts.evicted_flows += is_open(flow)
            if self.close_flow(flow, CLOSED_EVICTED) != 0:
                return -1
        self.drop(flow)
        return 0

    cdef int expire(self) noexcept nogil:
        cdef Flow *flow = self.table.oldest_ended
        while flow != NULL and flow.last_ns + self.linger_ns < self.now_ns:
            self.drop(flow)
            flow = self.table.oldest_ended
        if not self.idle_ns:
            return 0
        flow = self.table.oldest
        while flow != NULL and flow.last_ns + self.idle_ns < self.now_ns:
            self.counts.idle_flows += is_open(flow)
            if self.close_flow(flow, CLOSED_IDLE) != 0:
                return -1
            self.drop(flow)
            flow = self.table.oldest
        return 0

    cdef int close_some(self, uint64_t most) noexcept nogil:
        cdef Entry *entry
        cdef uint64_t until
        if self.entries == NULL and self.list_open() != 0:
            return -1
        until = self.entry_at + min(most, self.entry_count - self.entry_at)
        while self.entry_at < until:
            entry = &self.entries[self.entry_at]
            self.entry_at += 1
            if self.close_stream(entry.flow, entry.side, CLOSED_END) != 0:
                return -1
        if self.entry_at == self.entry_count:
            self.finished = True
        return self.sink.fed()

    cdef int list_open(self) noexcept nogil:
        cdef uint64_t count = 0
        cdef Flow *flow = self.table.oldest
        cdef int side
        cdef Entry *entries
        entries = <Entry *>malloc(max(self.counts.open_streams, 1) * sizeof(Entry))
        if entries == NULL:
            return -1
        while flow != NULL:
            for side in range(2):
                if flow.streams[side].seen and not flow.streams[side].closed:
                    entries[count].number = flow.streams[side].number
                    entries[count].flow = flow
                    entries[count].side = side
                    count += 1
            flow = flow.newer
        qsort(entries, count, sizeof(Entry), by_number)
        # What lingers is dropped last, with the table: entries point to flows that must stay.
        self.linger_flows = NEVER
        self.entries = entries
        self.entry_count = count
        return 0


cdef void note_link(Link *link, const Packet *packet) noexcept nogil:
    link.vlan_count = packet.vlan_count
    memcpy(link.vlans, packet.vlans, sizeof(link.vlans))
    if packet.mac_source != NULL:
        link.has_macs = True
        memcpy(link.mac_source, packet.mac_source, 6)
    if packet.mac_destination != NULL:  # a cooked capture has the source's alone
        link.has_macs = True
        memcpy(link.mac_destination, packet.mac_destination, 6)


cdef inline uint64_t shifted(uint64_t time_ns, int64_t by_ns) noexcept nogil:
    """Never before 1970."""
    if by_ns < 0 and time_ns < <uint64_t>-by_ns:
        return 0
    return time_ns + by_ns


cdef inline int64_t received_until(const Stream *stream) noexcept nogil:
    """Offset behind the last byte received."""
    if stream.range_count:
        return stream.ranges[stream.range_count - 1].end
    return stream.received_end


cdef bint is_open(const Flow *flow) noexcept nogil:
    cdef int side
    for side in range(2):
        if flow.streams[side].seen and not flow.streams[side].closed:
            return True
    return False


cdef bint begins_another(const Flow *flow, int side, const Packet *packet) noexcept nogil:
    """Whether a SYN from `side` begins another connection than the flow's."""
    cdef const Stream *own = &flow.streams[side]
    cdef const Stream *other = &flow.streams[1 - side]
    cdef uint32_t sequence = packet.sequence + 1
    cdef int32_t ahead
    if own.seen:
        if own.syn:
            return sequence != own.sequence + <uint32_t>min(<int64_t>0, own.received_begin)
        ahead = distance(sequence, own.sequence + <uint32_t>own.received_begin)
        return own.closed or ahead < 0 or ahead > NEARBY_BYTES
    if not other.seen:
        return False
    if not packet.flags & TCP_ACK:
        # Two SYNs that cross are one connection; anything else that was there is an older one.
        return other.closed or not other.syn
    ahead = distance(other.sequence, packet.acknowledgment)
    return other.closed and not 0 <= ahead <= NEARBY_BYTES


cdef void guess_client(Flow *flow, const Packet *packet) noexcept nogil:
    """Until a SYN tells: who uses the lower port is the server, else who is sent to."""
    flow.client_guessed = True
    flow.client = 1 if packet.source_port < packet.destination_port else 0
