"""Packets in, flows and their streams' bytes out.

Decodes, puts fragments together, finds the flow, follows TCP, and tells a `Sink`. Knows no files,
no clock but the packets' own, and prints nothing. State carries over from one `feed` to the next:
a connection that spans savefiles is one flow.

Rules that tcpflow 1.6.1 has too are its rules; where it is wrong, what is done instead stands in
docs/streams.md.
"""
cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from daemonlogger_py.flow.decode cimport decodable, decode, decode_datagram
from daemonlogger_py.flow.defrag cimport Defragmenter
from daemonlogger_py.flow.flow cimport CLOSED_REUSED, Flow, Stream
from daemonlogger_py.flow.lifetimes cimport NEVER, Counts
from daemonlogger_py.flow.packet cimport (
    NO_IP,
    TCP_ACK,
    TCP_RST,
    TCP_SYN,
    TRANSPORT_FRAGMENT,
    TRANSPORT_NONE,
    TRANSPORT_TCP,
    Packet,
)
from daemonlogger_py.flow.sequence cimport distance
from daemonlogger_py.flow.sink cimport Sink
from daemonlogger_py.flow.tcp cimport Segments
from daemonlogger_py.savefile.records cimport RECORD_HEADER_BYTES, RecordHeader, timestamp_ns

from typing import NamedTuple

from daemonlogger_py.errors import SourceError
from daemonlogger_py.flow.oddities import Oddity

NEVER_NS = (1 << 63) - 1
LINGER_NS = 240 * 10**9  # two maximum segment lifetimes, RFC 9293, 3.4.2
LINGER_FLOWS = 10_000
# A quarter of the memory is for fragments, but not more, nor less than `Defragmenter` needs.
MOST_FRAGMENT_BYTES, LEAST_FRAGMENT_BYTES = 16 << 20, 256 << 10

# Of `defrag.Fragments`: what says that datagrams are in doubt, or lack bytes.
ODD_FRAGMENTS = (
    "cut", "overlapping", "contradictory", "disputed", "oversize", "empty", "misaligned", "refused",
)

cdef enum:
    PROTOCOL_TCP = 6
    NEARBY_BYTES = 1048576  # how far a SYN may lie from bytes seen before it, to be of their flow


class Counters(NamedTuple):
    """What became of the packets; all since the engine was made."""

    packets: int  # in the time span asked for
    outside: int  # records outside of it
    not_ip: int
    tcp_packets: int
    stream_packets: int  # of those, the ones that belong to a stream, up to its end
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


@cython.final
cdef class Engine(Segments):
    """Follows flows and tells `sink`.

    `tunnels`: decode what is inside GRE and the others. `datagrams`: track the other protocols
    too, and tell of each of their packets. `skip_bytes`: a jump of more bytes than this begins
    another stream. `idle_ns`: flows without a packet for so long are closed; 0: never.
    `max_flows`, `memory_bytes`: limits, at which the flows that were idle for longest are closed
    and the oldest fragments dropped.
    `purge` False: flows that ended are remembered until the limits are reached. `first_ns`,
    `until_ns`: packets before the first or not before the second are passed over. `shift_ns` is
    then added to the time of each.
    """
    cdef Defragmenter defragmenter
    cdef uint64_t oddity_counts[64]
    cdef bint tunnels
    cdef bint datagrams
    cdef bint only_known
    cdef uint64_t first_ns
    cdef uint64_t until_ns
    cdef int64_t shift_ns

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
        fragment_bytes = min(MOST_FRAGMENT_BYTES, max(LEAST_FRAGMENT_BYTES, memory_bytes // 4))
        self.defragmenter = Defragmenter(memory_bytes=fragment_bytes)
        self.tunnels = tunnels
        self.datagrams = datagrams
        self.skip_bytes = skip_bytes
        self.idle_ns = idle_ns
        self.linger_ns = min(LINGER_NS, idle_ns or LINGER_NS) if purge else NEVER_NS
        self.linger_flows = LINGER_FLOWS if purge else NEVER
        self.max_flows = max_flows
        self.memory_bytes = memory_bytes - min(fragment_bytes, memory_bytes // 4)
        self.first_ns = first_ns
        self.until_ns = until_ns
        self.shift_ns = shift_ns

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
        """How many packets were odd in which way: {name: packets}, those at 0 left out.

        Fragments that did not fit come behind the rest, as `FRAGMENT_` and the name in
        `defrag.Fragments`.
        """
        found = {oddity.name: self.oddity_counts[oddity] for oddity in Oddity}
        counted = self.fragments()
        for name in ODD_FRAGMENTS:
            found[f"FRAGMENT_{name.upper()}"] = getattr(counted, name)
        return {name: count for name, count in found.items() if count}

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
            if packet.flags & TCP_SYN and not flow.streams[1 - side].seen:
                flow.streams[1 - side].sequence = packet.acknowledgment
            self.learn_end(&flow.streams[1 - side], packet.acknowledgment)
        if packet.flags & TCP_RST and self.note_reset(flow) != 0:
            return -1
        # Behind the end of a stream nothing belongs to it: what it was told to have stays true.
        if not stream.seen or stream.closed:
            return 0
        self.counts.stream_packets += 1
        stream.packets += 1
        stream.length_bytes += packet.origlen
        stream.captured_bytes += packet.caplen
        self.before_ns = stream.last_ns
        stream.last_ns = packet.time_ns
        return self.follow(flow, side, packet)


cdef inline uint64_t shifted(uint64_t time_ns, int64_t by_ns) noexcept nogil:
    """Never before 1970."""
    if by_ns < 0 and time_ns < <uint64_t>-by_ns:
        return 0
    return time_ns + by_ns


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
        # Two SYNs that cross are one connection, and so is a SYN behind the SYN-ACK that answers
        # it; anything else that was there is an older one.
        if other.closed or not other.syn:
            return True
        return own.sequence != 0 and own.sequence != sequence
    ahead = distance(other.sequence, packet.acknowledgment)
    return other.closed and not 0 <= ahead <= NEARBY_BYTES


cdef void guess_client(Flow *flow, const Packet *packet) noexcept nogil:
    """Until a SYN tells: who uses the lower port is the server, else who is sent to."""
    flow.client_guessed = True
    flow.client = 1 if packet.source_port < packet.destination_port else 0
