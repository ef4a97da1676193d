"""Streams of TCP: where a segment's bytes belong, which are new, what was sent and is missing.

Which flow a packet belongs to is known here; sequence numbers become 64-bit offsets, and what came
is told to the sink as it comes, whatever its order (RFC 9293, 3.4 and 3.10).
"""
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from daemonlogger_py.flow.flow cimport (
    CLOSED_EVICTED,
    CLOSED_FIN,
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
from daemonlogger_py.flow.lifetimes cimport Lifetimes
from daemonlogger_py.flow.packet cimport (
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
    TRANSPORT_TCP,
    Packet,
)
from daemonlogger_py.flow.ranges cimport begin_at, piece_end, receive
from daemonlogger_py.flow.sequence cimport distance, offset_of

cdef enum:
    MOST_RANGES = 131072  # of one stream

# From its first byte to its last: file systems hold no more than 16 TiB, and jumps cost nothing.
cdef int64_t MOST_STREAM_BYTES = 1 << 42


cdef class Segments(Lifetimes):
    """The segments of an engine's flows."""

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
            offset = offset_of(stream, sequence) + packet.payload_bytes
            if -self.skip_bytes <= offset - stream.expected <= self.skip_bytes:
                stream.fin = offset
                if stream.end == offset + 1 and received_until(stream) <= offset:
                    stream.end = offset  # the byte more that was acknowledged is the FIN
                stream.end = max(stream.end, offset)
            else:
                # Data that jumps so far begins another stream; the true FIN may yet come.
                stream.violations += 1
                if self.sink.event(flow, side, EVENT_VIOLATION, offset, 0, packet) != 0:
                    return -1
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
        if may_keep_alive(stream, begin, packet.payload_bytes):
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
        if may_keep_alive(stream, begin, packet.payload_bytes):
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
        stream.packets = 1
        stream.length_bytes = packet.origlen
        stream.captured_bytes = packet.caplen
        stream.last_ns = packet.time_ns
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


cdef inline bint may_keep_alive(
    const Stream *stream, int64_t begin, uint32_t count
) noexcept nogil:
    """Whether the segment could be a keep-alive by its place (RFC 9293, 3.8.4).

    That is one byte before the next to be sent. The last segment does not always end there: it may
    have been a retransmission of earlier bytes.
    """
    return count == 1 and (begin == stream.expected - 1 or begin == received_until(stream) - 1)


cdef inline int64_t received_until(const Stream *stream) noexcept nogil:
    """Offset behind the last byte received."""
    if stream.range_count:
        return stream.ranges[stream.range_count - 1].end
    return stream.received_end
