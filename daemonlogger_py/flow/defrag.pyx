"""Puts IP datagrams together from their fragments: RFC 791 and 815, RFC 8200 and 5722.

Fragments of a datagram have the same addresses, identification and, for IPv4, protocol. VLANs do
not count: fragments may take different ways.

Where fragments overlap, IPv4 keeps the bytes that came first; an IPv6 datagram with an overlap is
given up with all its fragments, also those to come (RFC 5722), though an exact copy of a fragment
is only a duplicate (RFC 8200, 4.5). What cannot be a part of a datagram is dropped: no bytes,
bytes behind offset 65535 or behind the datagram's end, or a length that is no multiple of 8 where
more follow. Nothing is an error: all is counted, see `Fragments`.

A datagram that was put together is remembered for a while: a copy of one of its fragments is a
duplicate, and must not be taken for a part of the next datagram of that identification.

Memory grows with the bytes received, never with the offset a fragment claims. Datagrams that stay
incomplete go when their time is over, or, the oldest first, when a limit is reached; what is only
remembered goes before them. Decoding what was put together is the caller's.
"""
from os import urandom
from typing import NamedTuple

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcmp, memcpy, memmove, memset

from daemonlogger_py.flow.packet cimport IPV4, IPV6, Packet
from daemonlogger_py.flow.pieces cimport Pending, Piece, differs, first_behind, overlaps

cdef enum:
    # Of what may be fragmented. A packet is at most 65535 bytes long, IPv4's header included.
    MAX_IPV4_BYTES = 65515
    MAX_IPV6_BYTES = 65535
    ALLOCATION_BYTES = 16  # what malloc takes besides, about
    LEAST_MEMORY_BYTES = 262144  # one datagram in the smallest pieces, and the table
    MAX_DATAGRAMS = 1 << 24
    MOST_OVER = 1024  # datagrams remembered; copies come at once, or nearly so

SECOND_NS = 1_000_000_000


class Fragments(NamedTuple):
    """What became of all fragments and of the datagrams they are of.

    A fragment is kept, or counted once among `atomic` ... `refused`, but for `disputed`; an
    overlapping one of IPv4 is kept as far as it is new.
    """

    fragments: int  # received
    completed: int  # datagrams put together
    atomic: int  # fragments that were a whole datagram, and passed on
    cut: int  # datagrams passed on that lack bytes, as a fragment was not captured whole
    duplicate: int  # fragments that hold nothing new
    overlapping: int  # fragments with bytes of others: other content, or only in part the same
    contradictory: int  # fragments behind the datagram's end, or that end it elsewhere
    disputed: int  # of these two, IPv4's with other content or another end: the first were kept
    oversize: int  # fragments that go beyond the longest datagram
    empty: int  # fragments without bytes
    misaligned: int  # fragments with more to follow, and a length not a multiple of 8
    refused: int  # fragments of IPv6 datagrams that were given up before
    overlapped: int  # IPv6 datagrams given up, as fragments were overlapping or contradictory
    timed_out: int  # datagrams whose time was over
    evicted: int  # datagrams given up for a limit in memory or datagrams
    pending: int  # datagrams that wait for fragments now
    held_bytes: int  # memory these take, and those that are remembered
    peak_bytes: int  # most that was taken


cdef class Defragmenter:
    """Holds fragments until their datagram is complete.

    At most `max_datagrams`, in about `memory_bytes` (at least 256 KiB). `timeout_ns` is how long
    a datagram may take from the fragment that came first, in the packets' time; by default 30 s
    for IPv4, as Linux, and 60 s for IPv6 (RFC 8200, 4.5). Raises ValueError, MemoryError.
    """

    def __cinit__(
        self, *, size_t memory_bytes=16777216, timeout_ns=None, uint32_t max_datagrams=4096
    ):
        cdef uint64_t bucket_count = 1
        if memory_bytes < LEAST_MEMORY_BYTES:
            raise ValueError(f"memory_bytes {memory_bytes}: at least {LEAST_MEMORY_BYTES}")
        if not 1 <= max_datagrams <= MAX_DATAGRAMS:
            raise ValueError(f"max_datagrams {max_datagrams}: from 1 to {MAX_DATAGRAMS}")
        while bucket_count < max_datagrams:
            bucket_count *= 2
        self.memory_bytes = memory_bytes
        self.max_datagrams = max_datagrams
        self.timeout_ns[0] = 30 * SECOND_NS if timeout_ns is None else timeout_ns
        self.timeout_ns[1] = 60 * SECOND_NS if timeout_ns is None else timeout_ns
        # Nobody outside can tell which fragments share a bucket, and so make one long.
        self.seeds[0] = int.from_bytes(urandom(8), "little")
        self.seeds[1] = int.from_bytes(urandom(8), "little")
        self.bucket_mask = bucket_count - 1
        self.buckets = <Pending **>calloc(bucket_count, sizeof(Pending *))
        self.whole = <uint8_t *>malloc(MAX_IPV6_BYTES)
        if self.buckets == NULL or self.whole == NULL:
            raise MemoryError("no memory for a table of fragments")

    def __dealloc__(self):
        while self.pending.oldest != NULL:
            self.drop(self.pending.oldest)
        while self.over.oldest != NULL:
            self.drop(self.over.oldest)
        free(self.buckets)
        free(self.whole)

    def counters(self):
        """What happened until now, as `Fragments`."""
        cdef Counts *counts = &self.counts
        return Fragments(
            counts.fragments, counts.completed, counts.atomic, counts.cut, counts.duplicate,
            counts.overlapping, counts.contradictory, counts.disputed, counts.oversize,
            counts.empty, counts.misaligned, counts.refused, counts.overlapped,
            counts.timed_out, counts.evicted, self.pending.count, self.held_bytes, self.peak_bytes,
        )

    def fragment(
        self, source, destination, int protocol, uint32_t identification, uint32_t offset,
        bint more, const uint8_t[::1] payload, *, uint64_t time_ns=0, length=None,
    ):
        """Take one fragment by its fields: the datagram it completes, or None.

        Addresses are 4 or 16 bytes; `length` is what was sent of the payload, if more than what
        was captured. A datagram is its captured leading bytes, its full length and its protocol.
        Raises ValueError, MemoryError.
        """
        cdef Packet packet
        cdef bytes source_bytes = bytes(source)
        cdef bytes destination_bytes = bytes(destination)
        if len(source_bytes) not in (4, 16) or len(source_bytes) != len(destination_bytes):
            raise ValueError("addresses are 4 or 16 bytes, both the same")
        memset(&packet, 0, sizeof(Packet))
        packet.family = IPV4 if len(source_bytes) == 4 else IPV6
        memcpy(packet.source, <const uint8_t *>source_bytes, len(source_bytes))
        memcpy(packet.destination, <const uint8_t *>destination_bytes, len(source_bytes))
        packet.protocol = protocol
        packet.fragment_id = identification
        packet.fragment_offset = offset
        packet.more_fragments = more
        packet.time_ns = time_ns
        packet.payload = &payload[0] if payload.shape[0] else NULL
        packet.payload_captured = payload.shape[0]
        packet.payload_bytes = payload.shape[0] if length is None else length
        if packet.payload_bytes < packet.payload_captured:
            raise ValueError(f"length {length} of {packet.payload_captured} bytes")
        done = self.add(&packet)
        if done < 0:
            raise MemoryError("no memory for a fragment")
        if not done:
            return None
        whole = (<const char *>self.datagram)[: self.datagram_captured]
        return whole, self.datagram_bytes, self.datagram_protocol

    cdef int add(self, const Packet *packet) noexcept nogil:
        cdef Pending *pending
        cdef int stored
        self.counts.fragments += 1
        self.expire(packet.time_ns)
        if not self.acceptable(packet):
            return 0
        if packet.fragment_offset == 0 and not packet.more_fragments:
            # RFC 6946: whatever other fragments say, it is a datagram of its own.
            self.counts.atomic += 1
            self.counts.cut += packet.payload_captured < packet.payload_bytes
            self.datagram = packet.payload
            self.datagram_captured = packet.payload_captured
            self.datagram_bytes = packet.payload_bytes
            self.datagram_protocol = packet.protocol
            return 1
        pending = self.find(packet)
        if pending != NULL and pending.over:
            if pending.refused:
                self.counts.refused += 1
                return 0
            if self.repeats(pending, packet):
                self.counts.duplicate += 1
                return 0
            self.drop(pending)  # the identification is used again
            pending = NULL
        if pending == NULL:
            pending = self.begin(packet)
            if pending == NULL:
                return -1
        stored = self.store(pending, packet)
        if stored < 0:
            return -1
        stored = stored and pending.received_bytes == pending.datagram_bytes
        if stored:
            self.assemble(pending)
            self.finish(pending)
        self.keep_memory()
        return stored

    cdef void keep_memory(self) noexcept nogil:
        """Forget what is only remembered, and then datagrams, until the memory suffices."""
        while self.held_bytes > self.memory_bytes and self.over.oldest != NULL:
            self.drop(self.over.oldest)
        while self.held_bytes > self.memory_bytes and self.pending.oldest != NULL:
            self.counts.evicted += 1
            self.drop(self.pending.oldest)

    cdef bint acceptable(self, const Packet *packet) noexcept nogil:
        """Whether it can be a part of a datagram at all; counted if not."""
        cdef uint32_t limit = MAX_IPV4_BYTES if packet.family == IPV4 else MAX_IPV6_BYTES
        if packet.payload_bytes == 0:
            self.counts.empty += 1
        elif <uint64_t>packet.fragment_offset + packet.payload_bytes > limit:
            self.counts.oversize += 1
        elif packet.more_fragments and packet.payload_bytes % 8:
            self.counts.misaligned += 1
        else:
            return True
        return False

    # The table of datagrams.

    cdef uint64_t hash_of(self, const Packet *packet) noexcept nogil:
        cdef uint64_t words[4]
        cdef uint64_t mixed = self.seeds[0] ^ packet.fragment_id
        cdef int i
        memcpy(words, packet.source, 16)
        memcpy(words + 2, packet.destination, 16)
        if packet.family == IPV4:
            mixed ^= <uint64_t>(packet.protocol + 1) << 32
        for i in range(4):
            mixed = (mixed ^ words[i]) * (self.seeds[1] | 1)
            mixed ^= mixed >> 29
        return mixed * <uint64_t>0x9E3779B97F4A7C15 >> 20

    cdef bint expired(self, const Pending *pending, uint64_t time_ns) noexcept nogil:
        return (
            time_ns > pending.first_ns
            and time_ns - pending.first_ns > self.timeout_ns[pending.family == IPV6]
        )

    cdef void expire(self, uint64_t time_ns) noexcept nogil:
        while self.pending.oldest != NULL and self.expired(self.pending.oldest, time_ns):
            self.counts.timed_out += 1
            self.drop(self.pending.oldest)
        while self.over.oldest != NULL and self.expired(self.over.oldest, time_ns):
            self.drop(self.over.oldest)

    cdef Pending *find(self, const Packet *packet) noexcept nogil:
        """The datagram that a fragment is of; NULL: none that it could still be of."""
        cdef uint64_t hash = self.hash_of(packet)
        cdef Pending *pending = self.buckets[hash & self.bucket_mask]
        while pending != NULL:
            if (
                pending.hash == hash
                and pending.identification == packet.fragment_id
                and pending.family == packet.family
                and (pending.family == IPV6 or pending.protocol == packet.protocol)
                and memcmp(pending.source, packet.source, 16) == 0
                and memcmp(pending.destination, packet.destination, 16) == 0
            ):
                break
            pending = pending.chained
        # Behind one of the other family, whose time is longer, `expire` does not see it.
        if pending != NULL and self.expired(pending, packet.time_ns):
            self.counts.timed_out += not pending.over
            self.drop(pending)
            return NULL
        return pending

    cdef bint repeats(self, const Pending *over, const Packet *packet) noexcept nogil:
        """Whether a fragment holds nothing but what a datagram that was put together has there."""
        cdef uint32_t at = packet.fragment_offset
        cdef uint32_t end = at + packet.payload_bytes
        cdef uint32_t index = first_behind(over, at)
        if not self.fits_end(over, packet):
            return False
        while at < end:  # the pieces of a whole datagram leave nothing out
            if differs(over, index, packet, at, min(end, <uint32_t>over.pieces[index].end)):
                return False
            at = over.pieces[index].end
            index += 1
        return True

    cdef Pending *begin(self, const Packet *packet) noexcept nogil:
        cdef Pending *pending
        cdef Pending **bucket
        if self.pending.count >= self.max_datagrams:
            self.counts.evicted += 1
            self.drop(self.pending.oldest)
        pending = <Pending *>calloc(1, sizeof(Pending))
        if pending == NULL:
            return NULL
        self.hold(sizeof(Pending) + ALLOCATION_BYTES)
        pending.hash = self.hash_of(packet)
        pending.first_ns = packet.time_ns
        pending.family = packet.family
        pending.protocol = packet.protocol
        pending.identification = packet.fragment_id
        memcpy(pending.source, packet.source, 16)
        memcpy(pending.destination, packet.destination, 16)
        bucket = &self.buckets[pending.hash & self.bucket_mask]
        pending.chained = bucket[0]
        bucket[0] = pending
        append(&self.pending, pending)
        return pending

    cdef void drop(self, Pending *pending) noexcept nogil:
        cdef Pending **link = &self.buckets[pending.hash & self.bucket_mask]
        while link[0] != pending:
            link = &link[0].chained
        link[0] = pending.chained
        take_out(&self.over if pending.over else &self.pending, pending)
        self.empty_out(pending)
        self.held_bytes -= sizeof(Pending) + ALLOCATION_BYTES
        free(pending)

    cdef void finish(self, Pending *pending) noexcept nogil:
        """Remember a datagram that waits for nothing more."""
        take_out(&self.pending, pending)
        pending.over = True
        append(&self.over, pending)
        if self.over.count > MOST_OVER:
            self.drop(self.over.oldest)

    cdef void refuse(self, Pending *pending) noexcept nogil:
        """Give a datagram up, but remember it: later fragments of it must not begin another."""
        self.counts.overlapped += 1
        self.empty_out(pending)
        pending.refused = True
        self.finish(pending)

    cdef void empty_out(self, Pending *pending) noexcept nogil:
        if pending.arena != NULL:
            self.held_bytes -= pending.arena_capacity + ALLOCATION_BYTES
        if pending.pieces != NULL:
            self.held_bytes -= pending.piece_capacity * sizeof(Piece) + ALLOCATION_BYTES
        free(pending.arena)
        free(pending.pieces)
        pending.arena = NULL
        pending.pieces = NULL

    cdef void hold(self, size_t count) noexcept nogil:
        self.held_bytes += count
        if self.held_bytes > self.peak_bytes:
            self.peak_bytes = self.held_bytes

    # The pieces of a datagram.

    cdef bint fits_end(self, const Pending *pending, const Packet *packet) noexcept nogil:
        """Whether a fragment agrees with what is known of the datagram's end."""
        cdef uint32_t end = packet.fragment_offset + packet.payload_bytes
        if pending.datagram_bytes:
            if packet.more_fragments:
                return end < pending.datagram_bytes
            return end == pending.datagram_bytes
        if packet.more_fragments or pending.piece_count == 0:
            return True
        return end > pending.pieces[pending.piece_count - 1].end

    cdef int store(self, Pending *pending, const Packet *packet) noexcept nogil:
        """Keep what is new of a fragment: 1 something is, 0 nothing, -1 there is no memory."""
        cdef uint32_t at = packet.fragment_offset
        cdef uint32_t end = at + packet.payload_bytes
        cdef uint32_t stop
        cdef uint32_t index = first_behind(pending, at)
        cdef uint32_t same = 0  # bytes that came before, with this content
        cdef uint32_t other = 0  # bytes that came before, with another
        cdef uint32_t new = 0
        if not self.fits_end(pending, packet):
            self.counts.contradictory += 1
            self.counts.disputed += pending.family == IPV4
            if pending.family == IPV6:
                self.refuse(pending)
            return 0
        if pending.family == IPV6:
            if overlaps(pending, index, packet):
                self.counts.overlapping += 1
                self.refuse(pending)
                return 0
            if at == 0:
                pending.protocol = packet.protocol
        while at < end:
            if index < pending.piece_count and pending.pieces[index].begin <= at:
                stop = min(end, <uint32_t>pending.pieces[index].end)
                if differs(pending, index, packet, at, stop):
                    other += stop - at
                else:
                    same += stop - at
            else:
                stop = end
                if index < pending.piece_count:
                    stop = min(end, <uint32_t>pending.pieces[index].begin)
                if self.keep(pending, index, packet, at, stop) < 0:
                    return -1
                new += stop - at
            index += 1
            at = stop
        if other or (same and new):
            self.counts.overlapping += 1
            self.counts.disputed += other > 0
        elif same:
            self.counts.duplicate += 1
        if not packet.more_fragments:
            pending.datagram_bytes = end
        pending.received_bytes += new
        return new > 0

    cdef int keep(
        self, Pending *pending, uint32_t index, const Packet *packet, uint32_t begin, uint32_t end
    ) noexcept nogil:
        """Make bytes [begin, end) of the datagram, all new, the piece at `index`: 0, or -1."""
        cdef uint32_t skipped = begin - packet.fragment_offset
        cdef uint32_t captured = 0
        cdef uint32_t capacity
        cdef void *grown
        cdef Piece *piece
        if packet.payload_captured > skipped:
            captured = min(end - begin, packet.payload_captured - skipped)
        if captured and pending.arena_used + captured > pending.arena_capacity:
            capacity = max(pending.arena_used + captured, pending.arena_capacity * 2)
            grown = realloc(pending.arena, capacity)
            if grown == NULL:
                return -1
            self.hold(capacity - pending.arena_capacity)
            if pending.arena == NULL:
                self.hold(ALLOCATION_BYTES)
            pending.arena = <uint8_t *>grown
            pending.arena_capacity = capacity
        if pending.piece_count == pending.piece_capacity:
            capacity = max(2, pending.piece_capacity * 2)
            grown = realloc(pending.pieces, capacity * sizeof(Piece))
            if grown == NULL:
                return -1
            self.hold((capacity - pending.piece_capacity) * sizeof(Piece))
            if pending.pieces == NULL:
                self.hold(ALLOCATION_BYTES)
            pending.pieces = <Piece *>grown
            pending.piece_capacity = capacity
        piece = pending.pieces + index
        memmove(piece + 1, piece, (pending.piece_count - index) * sizeof(Piece))
        piece.begin = <uint16_t>begin
        piece.end = <uint16_t>end
        piece.captured = <uint16_t>captured
        piece.at = pending.arena_used
        if captured:
            memcpy(pending.arena + pending.arena_used, packet.payload + skipped, captured)
        pending.arena_used += captured
        pending.piece_count += 1
        return 0

    cdef void assemble(self, Pending *pending) noexcept nogil:
        """Put the pieces of a complete datagram one behind the other, up to what was not captured.
        """
        cdef uint32_t i
        cdef Piece *piece
        self.datagram = self.whole
        self.datagram_captured = 0
        self.datagram_bytes = pending.datagram_bytes
        self.datagram_protocol = pending.protocol
        self.counts.completed += 1
        for i in range(pending.piece_count):
            piece = pending.pieces + i
            if piece.captured:
                memcpy(self.whole + piece.begin, pending.arena + piece.at, piece.captured)
            self.datagram_captured += piece.captured
            if piece.captured < piece.end - piece.begin:
                self.counts.cut += 1
                break


cdef void append(Listed *listed, Pending *pending) noexcept nogil:
    pending.newer = NULL
    pending.older = listed.newest
    if listed.newest != NULL:
        listed.newest.newer = pending
    else:
        listed.oldest = pending
    listed.newest = pending
    listed.count += 1


cdef void take_out(Listed *listed, Pending *pending) noexcept nogil:
    if pending.older != NULL:
        pending.older.newer = pending.newer
    else:
        listed.oldest = pending.newer
    if pending.newer != NULL:
        pending.newer.older = pending.older
    else:
        listed.newest = pending.older
    listed.count -= 1
