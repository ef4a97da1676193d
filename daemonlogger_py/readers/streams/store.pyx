"""Streams as they are to be stored: what the engine tells of, gathered into few writes.

`Store` is the engine's sink. It copies nothing: it notes where in the fed buffer the bytes of each
stream are, and a `Batch` of such notes is done once the buffer has been fed, by writers that each
have their own streams. A buffer may be used again after that. What is closed in a batch is told
by it afterwards, in the order of the packets.

Bytes that arrive where others were stored are compared with them, and win or lose by the policy.
"""
cimport cython
from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from daemonlogger_py.flow.flow cimport Flow, Range, Stream
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.ranges cimport gaps_of
from daemonlogger_py.flow.sink cimport Sink
from daemonlogger_py.readers.streams.batch cimport (
    CLOSE,
    COMPARE,
    ROWS,
    WRITE,
    Batch,
    Kept,
    Operation,
    Row,
    clipped,
)
from daemonlogger_py.readers.streams.closed cimport Closed

cdef enum:
    FIRST_ROWS = 4
    LEAST_ROWS = 16  # that are worth being put away


@cython.final
cdef class Store(Sink):
    """Stores streams, or with `store` False only tells what there was.

    `writers`: how many there are; `max_bytes`: bytes of a stream that are stored, None for all;
    `last_wins`: bytes that differ from those stored before replace them; `findx`: times are noted
    for a .findx file, of which a stream holds up to `stream_rows` in memory, and fewer once all of
    them together are `most_rows`. What is stored of one segment is one row of it.
    `gap_streams`, `gap_bytes`: how many of those told of had gaps, and bytes in these;
    `most_open_files`: how many that have bytes were open at one time.
    """
    cdef Batch batch
    cdef uint64_t batch_number
    cdef int writers
    cdef int64_t max_bytes
    cdef bint store
    cdef bint last_wins
    cdef bint findx
    cdef uint32_t stream_rows
    cdef uint64_t most_rows
    cdef uint64_t rows_held  # of streams that are open
    cdef const uint8_t *noted_packet  # of the last row
    cdef const uint8_t *noted_end  # behind its bytes
    cdef uint64_t open_files
    cdef readonly uint64_t most_open_files  # at one time, were there no limit
    cdef readonly uint64_t gap_streams  # streams closed with gaps
    cdef readonly uint64_t gap_bytes  # in them

    def __init__(
        self,
        *,
        bint store=True,
        int writers=1,
        max_bytes=None,
        bint last_wins=True,
        bint findx=False,
        uint32_t stream_rows=4096,
        uint64_t most_rows=1 << 20,
    ):
        self.store = store
        self.writers = writers
        self.max_bytes = INT64_MAX if max_bytes is None else max_bytes
        self.last_wins = last_wins
        self.findx = findx
        self.stream_rows = max(stream_rows, 1)
        self.most_rows = most_rows
        self.batch = Batch()
        self.batch_number = 1

    def take(self):
        """The `Batch` of what was fed since the last call."""
        taken = self.batch
        self.batch = Batch()
        self.batch_number += 1
        self.noted_end = NULL
        return taken

    cdef Kept *kept_of(self, Flow *flow, int side) noexcept nogil:
        cdef Kept *kept = <Kept *>flow.streams[side].kept
        if kept != NULL:
            return kept
        kept = <Kept *>calloc(1, sizeof(Kept))
        if kept == NULL:
            return NULL
        kept.identity = <Flow *>malloc(sizeof(Flow))
        if kept.identity == NULL:
            free(kept)
            return NULL
        memcpy(kept.identity, flow, sizeof(Flow))
        kept.file.fd = -1
        kept.side = side
        # All connections of the same addresses have one writer: their names are counted on.
        kept.writer = (flow.hash >> 16) % self.writers
        flow.streams[side].kept = kept
        self.open_files += 1
        self.most_open_files = max(self.most_open_files, self.open_files)
        return kept

    cdef int data(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Kept *kept
        cdef Operation *last
        if not self.store:
            return 0
        kept = self.kept_of(flow, side)
        if kept == NULL or (self.findx and not self.note(kept, offset, data, count, packet)):
            return -1
        count = clipped(self.max_bytes, offset, count)
        if kept.batch == self.batch_number:
            last = self.batch.operations + kept.operation
            if last.task == WRITE and last.end == offset:
                return self.add(kept, data, count, packet)
        elif count == 0 and kept.begun:
            return 0
        kept.begun = True
        return self.begin(kept, WRITE, offset, data, count, packet)

    cdef int repeated(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Kept *kept = <Kept *>flow.streams[side].kept
        if kept == NULL or not self.store:
            return 0
        if self.findx and self.last_wins and not self.note(kept, offset, data, count, packet):
            return -1
        count = clipped(self.max_bytes, offset, count)
        return self.begin(kept, COMPARE, offset, data, count, packet) if count else 0

    cdef int begin(
        self, Kept *kept, int task, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        if self.batch.operation(kept, task, offset) == NULL:
            return -1
        kept.batch = self.batch_number
        kept.operation = self.batch.operation_count - 1
        return self.add(kept, data, count, packet)

    cdef int add(
        self, Kept *kept, const uint8_t *data, uint32_t count, const Packet *packet
    ) noexcept nogil:
        if count == 0:
            return 0
        if data < packet.data or data + count > packet.data + packet.caplen:
            data = self.batch.copied(data, count)
            if data == NULL:
                return -1
        return 0 if self.batch.append(kept.operation, data, count) else -1

    cdef bint note(
        self, Kept *kept, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Row *rows
        cdef uint32_t capacity
        # The engine may tell of a segment in pieces.
        cdef bint goes_on = data == self.noted_end and packet.data == self.noted_packet
        self.noted_packet = packet.data
        self.noted_end = data + count
        if goes_on and kept.row_count:
            kept.rows[kept.row_count - 1].count += count
            return True
        if kept.row_count >= self.stream_rows or (
            self.rows_held > self.most_rows and kept.row_count >= LEAST_ROWS
        ):
            if not self.put_away(kept):
                return False
        if kept.row_count == kept.row_capacity:
            capacity = max(<uint32_t>FIRST_ROWS, min(kept.row_count * 2, self.stream_rows))
            rows = <Row *>realloc(kept.rows, capacity * sizeof(Row))
            if rows == NULL:
                return False
            kept.rows = rows
            kept.row_capacity = capacity
        kept.rows[kept.row_count] = Row(offset, packet.time_ns, count, kept.row_count)
        kept.row_count += 1
        self.rows_held += 1
        return True

    cdef bint put_away(self, Kept *kept) noexcept nogil:
        """Leave a stream's rows to its writer."""
        cdef Operation *operation = self.batch.operation(kept, ROWS, 0)
        if operation == NULL:
            return False
        operation.rows = kept.rows
        operation.row_count = kept.row_count
        self.rows_held -= kept.row_count
        kept.rows = NULL
        kept.row_count = kept.row_capacity = 0
        return True

    cdef int closed(self, Flow *flow, int side) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef Kept *kept = <Kept *>stream.kept
        cdef Closed *closed = self.batch.add_closed()
        cdef Operation *operation
        stream.kept = NULL
        if closed == NULL or not describe(closed, flow, side):
            return -1
        self.gap_streams += closed.gap_count > 0
        self.gap_bytes += closed.gap_bytes
        if kept != NULL:
            self.open_files -= 1
            operation = self.batch.operation(kept, CLOSE, 0)
            if operation == NULL:
                return -1
            self.rows_held -= kept.row_count
            operation.closed = closed
            operation.offset = stream.received_begin
        return 0


cdef bint describe(Closed *closed, const Flow *flow, int side) noexcept nogil:
    """Fill `closed`, but for what the writer knows. Whether memory sufficed."""
    cdef const Stream *stream = &flow.streams[side]
    cdef const Stream *other = &flow.streams[1 - side]
    cdef int64_t received_end = stream.received_end
    cdef uint32_t at
    if stream.range_count:
        received_end = stream.ranges[stream.range_count - 1].end
    closed.number = stream.number
    closed.session = flow.session
    closed.packets = stream.packets
    closed.length_bytes = stream.length_bytes
    closed.captured_bytes = stream.captured_bytes
    closed.first_ns = stream.first_ns
    closed.last_ns = stream.last_ns
    closed.stream_bytes = received_end - stream.received_begin
    closed.out_of_order = stream.out_of_order
    closed.retransmissions = stream.retransmissions
    closed.violations = stream.violations
    closed.family = flow.family
    closed.why = stream.why
    closed.to_server = flow.client == side
    closed.guessed = flow.client_guessed
    closed.syn = stream.syn
    closed.has_macs = stream.link.has_macs
    closed.other_open = other.seen and not other.closed
    closed.vlan_count = stream.link.vlan_count
    memcpy(closed.vlans, stream.link.vlans, sizeof(closed.vlans))
    memcpy(closed.mac_source, stream.link.mac_source, 6)
    memcpy(closed.mac_destination, stream.link.mac_destination, 6)
    memcpy(closed.source, flow.addresses[side], 16)
    memcpy(closed.destination, flow.addresses[1 - side], 16)
    closed.source_port = flow.ports[side]
    closed.destination_port = flow.ports[1 - side]
    closed.gap_count = gaps_of(stream, max(stream.end, received_end), NULL, 0)
    if closed.gap_count:
        closed.gaps = <Range *>malloc(closed.gap_count * sizeof(Range))
        if closed.gaps == NULL:
            return False
        gaps_of(stream, max(stream.end, received_end), closed.gaps, closed.gap_count)
        for at in range(closed.gap_count):
            closed.gaps[at].begin -= stream.received_begin
            closed.gaps[at].end -= stream.received_begin
            closed.gap_bytes += closed.gaps[at].end - closed.gaps[at].begin
    return True
