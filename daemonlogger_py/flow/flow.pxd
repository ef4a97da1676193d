"""A flow (both directions) and its two streams, as the engine keeps them and sinks read them.

All offsets of a stream count from its first byte: the one behind the SYN, or, where no SYN was
seen, the first byte that arrived; what turns up before that one has negative offsets.
"""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum Why:  # why a stream was closed
    CLOSED_FIN = 1  # every byte up to the FIN was seen
    CLOSED_RST
    CLOSED_REUSED  # a SYN with another sequence number: a new connection of the same addresses
    CLOSED_SKIPPED  # a jump of more than the limit (-m): the segment begins another stream
    CLOSED_IDLE
    CLOSED_EVICTED  # a limit in flows or memory
    CLOSED_END  # the input ended

cdef enum Event:
    EVENT_GAP = 1  # a segment begins behind the bytes received until now; it may be filled later
    EVENT_FILLED  # bytes that a gap lacked
    EVENT_RETRANSMISSION  # bytes received before
    EVENT_KEEPALIVE
    EVENT_ZERO_WINDOW
    EVENT_VIOLATION  # SYN with data, bytes before the SYN, a FIN too far from all that was sent

cdef struct Range:  # of a stream's bytes: [begin, end)
    int64_t begin
    int64_t end

cdef struct Link:  # what the frame of a packet tells besides it
    uint8_t vlan_count
    bint has_macs
    uint16_t vlans[4]  # outermost first
    uint8_t mac_source[6]  # zeros: not known
    uint8_t mac_destination[6]

cdef struct Stream:
    uint64_t number  # of streams, in order of their first packets; from 0
    uint64_t packets  # of any kind, those without data included
    uint64_t length_bytes  # sum of origlen
    uint64_t captured_bytes  # sum of caplen
    uint64_t first_ns
    uint64_t last_ns
    int64_t expected  # offset behind the segment stored last
    int64_t received_begin  # the first range of bytes received: [received_begin, received_end)
    int64_t received_end
    Range *ranges  # further ranges, ascending and apart; NULL: none
    uint32_t range_count
    uint32_t range_capacity
    int64_t end  # offset behind the last byte seen
    int64_t fin  # offset of the FIN; INT64_MAX: not seen
    # Sequence number of offset 0; of a stream not seen what a SYN-ACK told of it, or 0.
    uint32_t sequence
    uint32_t out_of_order  # segments that arrived behind later ones
    uint32_t retransmissions
    uint32_t violations
    bint seen  # a packet of this stream was seen
    bint syn  # its SYN was seen, so `sequence` is known from it
    bint closed
    uint8_t why  # Why, once closed
    bint zero_window
    Link link  # of its first packet
    void *kept  # the sink's, NULL at first

cdef struct Flow:
    uint64_t session  # of flows, in order of their first packets; from 0
    uint64_t last_ns
    uint32_t hash
    uint8_t family
    uint8_t protocol
    uint8_t client  # side that sent the first SYN, or else is taken for the client
    bint client_guessed
    uint8_t addresses[2][16]  # side 0 sent the first packet
    uint16_t ports[2]
    Stream streams[2]  # streams[side] is what addresses[side] sent
    Flow *chained  # same bucket of the table
    Flow *newer  # by last packet
    Flow *older
    bint ended  # both streams are closed
