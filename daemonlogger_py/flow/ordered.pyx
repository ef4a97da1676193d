"""Turns bytes as they arrive into each stream's bytes in order, for sinks that want them so.

What comes in order with nothing before it missing is passed on where it lies. What comes too early
is copied and held until the bytes before it are there. It is given up waiting for these when a
stream holds too much, when all together do (the stream that waits for longest goes on), or when
the stream is closed: the hole is told, and what lies behind it follows. What snaplen cut off is
not waited for at all: a repetition would be cut there too.

A stream whose SYN was not seen begins with the first byte that arrived: what turns up later and
belongs before it is late, as is what belongs into a hole that was given up. Late bytes are told
and counted, not delivered. Where a held byte comes again as another, the policy says which one
stays; of bytes that were delivered nothing is kept, so nothing is known of how they compare.

Which bytes are new the engine knows; what they mean is the subclass's.
"""
from typing import NamedTuple

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memmove

from daemonlogger_py.flow.flow cimport Flow, Stream
from daemonlogger_py.flow.order cimport (
    Held,
    Order,
    cut_behind,
    first_behind,
    has_room,
    settle_start,
)
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.sink cimport Sink

cdef enum:
    # Besides its bytes, a piece takes its header, its pointer, and what malloc adds.
    PIECE_BYTES = sizeof(Held) + 2 * sizeof(void *) + 16


class Ordering(NamedTuple):
    """What it took to bring the bytes of all streams into order."""

    held_bytes: int  # memory in bytes that wait now
    peak_bytes: int  # most of it at one time
    holes: int  # told as missing
    missing_bytes: int
    given_up: int  # holes told for a limit, while the stream was open
    late_bytes: int  # came when no one waited for them any more; not delivered
    differing_bytes: int  # came again as others while they were held


cdef class OrderedSink(Sink):
    """Delivers each stream's bytes in order; native subclasses say what becomes of them.

    `stream_bytes` is how much one stream may hold, `memory_bytes` all together; each piece counts
    with what it takes in memory. `policy` is whether of held bytes those that came "last" or
    "first" stay. Raises ValueError.
    """

    def __init__(
        self, *, stream_bytes=4194304, memory_bytes=67108864, str policy not None="last"
    ):
        if policy not in ("first", "last"):
            raise ValueError(f"policy {policy!r}: first or last")
        self.stream_bytes = stream_bytes
        self.memory_bytes = memory_bytes
        self.last_wins = policy == "last"

    def __dealloc__(self):
        while self.newest != NULL:
            self.forget_order(self.newest)

    def ordering(self):
        """What happened until now, as `Ordering`."""
        cdef OrderCounts *counts = &self.order_counts
        return Ordering(
            counts.held_bytes, counts.peak_bytes, counts.holes, counts.missing_bytes,
            counts.given_up, counts.late_bytes, counts.differing_bytes,
        )

    cdef int deliver(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        return 0

    cdef int missing(self, Flow *flow, int side, int64_t offset, int64_t count) noexcept nogil:
        return 0

    cdef int late(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        return 0

    cdef int differs(
        self, Flow *flow, int side, int64_t offset, uint32_t count, const Packet *packet
    ) noexcept nogil:
        return 0

    cdef int over(self, Flow *flow, int side) noexcept nogil:
        return 0

    cdef int data(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Order *order = self.order_of(flow, side)
        if order == NULL:
            return -1
        if order.ignored:
            return 0
        settle_start(order)
        if offset < order.next:
            # New bytes lie in one hole, and holes were given up whole: all of them are late.
            self.order_counts.late_bytes += count
            return self.late(flow, side, offset, data, count, packet)
        if order.next < offset <= order.cut_end and self.tell_missing(order, offset) < 0:
            return -1
        if offset > order.next:
            if self.hold(order, offset, data, count, cut_behind(data, count, packet)) < 0:
                return -1
            return self.keep_limits(order, packet)
        order.begun = True
        order.next += count
        order.cut_end = order.next + cut_behind(data, count, packet)
        if self.deliver(flow, side, offset, data, count, packet) < 0:
            return -1
        return self.drain(order, packet) if order.count else 0

    cdef int repeated(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Order *order = <Order *>flow.streams[side].kept
        cdef uint32_t index
        cdef uint32_t skipped
        cdef uint32_t common
        cdef Held *piece
        if order == NULL or order.count == 0:
            return 0
        index = first_behind(order, offset)
        while count and index < order.first + order.count:
            piece = order.pieces[index]
            if piece.begin > offset:
                skipped = <uint32_t>min(<int64_t>count, piece.begin - offset)
                offset += skipped
                data += skipped
                count -= skipped
                continue
            common = <uint32_t>min(<int64_t>count, piece.begin + piece.count - offset)
            if self.compare(order, piece, offset, data, common, packet) < 0:
                return -1
            if order.ignored:
                return 0
            offset += common
            data += common
            count -= common
            index += 1
        return 0

    cdef int closed(self, Flow *flow, int side) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef Order *order = self.order_of(flow, side)
        cdef int outcome = 0
        if order == NULL:
            return -1
        settle_start(order)
        while outcome == 0 and order.count:
            outcome = self.tell_missing(order, order.pieces[order.first].begin)
            if outcome == 0:
                outcome = self.drain(order, NULL)
        # Cut by snaplen, or before a FIN that came too early.
        if outcome == 0 and stream.end > order.next and not order.ignored:
            outcome = self.tell_missing(order, stream.end)
        if self.over(flow, side) < 0:
            outcome = -1
        stream.kept = NULL
        self.forget_order(order)
        return outcome

    cdef Order *order_of(self, Flow *flow, int side) noexcept nogil:
        cdef Stream *stream = &flow.streams[side]
        cdef Order *order = <Order *>stream.kept
        if order != NULL:
            return order
        order = <Order *>calloc(1, sizeof(Order))
        if order == NULL:
            return NULL
        order.flow = flow
        order.side = side
        order.older = self.newest
        if self.newest != NULL:
            self.newest.newer = order
        self.newest = order
        stream.kept = order
        return order

    cdef void ignore(self, Order *order) noexcept nogil:
        order.ignored = True
        self.forget_pieces(order)

    # Bytes that wait.

    cdef int hold(
        self, Order *order, int64_t offset, const uint8_t *data, uint32_t count, uint32_t cut
    ) noexcept nogil:
        cdef uint32_t index
        cdef Held *piece
        piece = <Held *>malloc(sizeof(Held) + count)
        if piece == NULL or not has_room(order):
            free(piece)
            return -1
        piece.begin = offset
        piece.count = count
        piece.cut = cut
        memcpy(piece.data, data, count)
        index = first_behind(order, offset)
        memmove(
            order.pieces + index + 1,
            order.pieces + index,
            (order.first + order.count - index) * sizeof(Held *),
        )
        order.pieces[index] = piece
        if order.count == 0:
            self.wait(order)
        order.count += 1
        order.held_bytes += count + PIECE_BYTES
        self.order_counts.held_bytes += count + PIECE_BYTES
        self.order_counts.peak_bytes = max(
            self.order_counts.peak_bytes, self.order_counts.held_bytes
        )
        return 0

    cdef int keep_limits(self, Order *order, const Packet *packet) noexcept nogil:
        while order.count and order.held_bytes > self.stream_bytes:
            if self.give_up(order, packet) < 0:
                return -1
        while self.first_waiting != NULL and self.order_counts.held_bytes > self.memory_bytes:
            # The packet is not of this stream, or only by chance.
            if self.give_up(self.first_waiting, NULL) < 0:
                return -1
        return 0

    cdef int give_up(self, Order *order, const Packet *packet) noexcept nogil:
        """Go on behind the first hole."""
        self.order_counts.given_up += 1
        if self.tell_missing(order, order.pieces[order.first].begin) < 0:
            return -1
        if self.drain(order, packet) < 0:
            return -1
        if order.count:  # it waits again, but from now on
            self.wait_no_more(order)
            self.wait(order)
        return 0

    cdef int drain(self, Order *order, const Packet *packet) noexcept nogil:
        """Deliver held bytes up to the next hole that may still be filled."""
        cdef Held *piece
        cdef int outcome
        while order.count:
            piece = order.pieces[order.first]
            if piece.begin > max(order.next, order.cut_end):
                return 0
            if piece.begin > order.next:
                if self.tell_missing(order, piece.begin) < 0:
                    return -1
                continue  # if it is still wanted
            order.first += 1
            order.count -= 1
            order.begun = True
            order.next += piece.count
            order.cut_end = order.next + piece.cut
            order.held_bytes -= piece.count + PIECE_BYTES
            self.order_counts.held_bytes -= piece.count + PIECE_BYTES
            if order.count == 0:
                self.forget_pieces(order)
            outcome = self.deliver(
                order.flow, order.side, piece.begin, piece.data, piece.count, packet
            )
            free(piece)
            if outcome < 0:
                return -1
        return 0

    cdef int tell_missing(self, Order *order, int64_t until) noexcept nogil:
        cdef int64_t begin
        settle_start(order)
        begin = order.next
        order.begun = True
        order.next = until
        self.order_counts.holes += 1
        self.order_counts.missing_bytes += until - begin
        return self.missing(order.flow, order.side, begin, until - begin)

    cdef int compare(
        self, Order *order, Held *piece, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        """Compare bytes that came again with those held in one piece; tell of those that differ."""
        cdef uint8_t *held = piece.data + (offset - piece.begin)
        cdef uint32_t at = 0
        cdef uint32_t begin
        while at < count:
            if held[at] == data[at]:
                at += 1
                continue
            begin = at
            while at < count and held[at] != data[at]:
                at += 1
            self.order_counts.differing_bytes += at - begin
            if self.last_wins:
                memcpy(held + begin, data + begin, at - begin)
            if self.differs(order.flow, order.side, offset + begin, at - begin, packet) < 0:
                return -1
            if order.ignored:
                return 0  # and the piece is gone
        return 0

    cdef void forget_pieces(self, Order *order) noexcept nogil:
        cdef uint32_t index
        if order.pieces == NULL:
            return
        for index in range(order.first, order.first + order.count):
            free(order.pieces[index])
        free(order.pieces)
        self.order_counts.held_bytes -= order.held_bytes
        order.pieces = NULL
        order.first = order.count = order.capacity = 0
        order.held_bytes = 0
        self.wait_no_more(order)

    # Lists: of all streams, to free them with the sink; of those that wait, longest first.

    cdef void forget_order(self, Order *order) noexcept nogil:
        self.forget_pieces(order)
        if order.newer != NULL:
            order.newer.older = order.older
        else:
            self.newest = order.older
        if order.older != NULL:
            order.older.newer = order.newer
        free(order)

    cdef void wait(self, Order *order) noexcept nogil:
        order.earlier = self.last_waiting
        order.later = NULL
        if self.last_waiting != NULL:
            self.last_waiting.later = order
        else:
            self.first_waiting = order
        self.last_waiting = order

    cdef void wait_no_more(self, Order *order) noexcept nogil:
        if order.earlier != NULL:
            order.earlier.later = order.later
        else:
            self.first_waiting = order.later
        if order.later != NULL:
            order.later.earlier = order.earlier
        else:
            self.last_waiting = order.earlier
        order.earlier = order.later = NULL
