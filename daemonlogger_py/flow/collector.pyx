"""Turns streams into events for consumers in Python (events.py).

While packets are fed everything stays native: bytes in order are joined to blocks of up to
64 KiB, and blocks and what else happened are queued, without the GIL. `take` makes Python objects
of the queue. So Python is called once a batch, and once a stream where it chooses its streams; a
stream it does not want is neither copied nor told.

The queue grows until it is taken: who takes after each feed has at most the bytes of one feed and
those that waited before. What events mean is the consumer's, see protocols/.
"""
from collections.abc import Callable

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.ref cimport Py_INCREF, Py_XDECREF, PyObject
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from daemonlogger_py.flow.flow cimport Flow, Stream
from daemonlogger_py.flow.order cimport Order
from daemonlogger_py.flow.ordered cimport OrderedSink
from daemonlogger_py.flow.packet cimport IPV6, Packet

from daemonlogger_py.flow.events import (
    Data,
    Datagram,
    Gap,
    Noted,
    StreamClosed,
    StreamInfo,
    StreamOpened,
    What,
    Why,
)

cdef extern from "<arpa/inet.h>" nogil:
    const char *inet_ntop(int family, const void *address, char *text, uint32_t size)
    int AF_INET
    int AF_INET6

cdef enum Kind:
    OPENED
    DATA
    GAP
    DATAGRAM
    NOTED
    CLOSED

cdef enum:
    WHAT_LATE = 7  # What, events.py
    WHAT_DIFFERS = 8
    LEAST_BLOCK_BYTES = 512


cdef class Collector(OrderedSink):
    """Streams as a list of events.

    `wanted` is asked once for each stream, by its StreamInfo, whether it is to be told of; None
    wants all. Contiguous bytes become one Data of up to `event_bytes`, at the latest where the
    stream has a gap or ends, or, if `prompt`, at the end of each feed. `notes` asks for Noted
    events. Of each stream at most `max_bytes` are told. `stream_bytes` and `memory_bytes` limit
    what waits for bytes before it, and `memory_bytes` also what waits for a whole event;
    `policy` is OrderedSink's. Raises ValueError.
    """

    def __init__(
        self,
        wanted: Callable[[StreamInfo], bool] | None = None,
        *,
        event_bytes=65536,
        prompt=False,
        notes=False,
        max_bytes=None,
        stream_bytes=4194304,
        memory_bytes=67108864,
        policy="last",
    ):
        super().__init__(stream_bytes=stream_bytes, memory_bytes=memory_bytes, policy=policy)
        if not 1 <= event_bytes <= 1 << 30:
            raise ValueError(f"event_bytes {event_bytes}: from 1 to {1 << 30}")
        self.wanted = wanted
        self.wants_all = wanted is None
        self.event_bytes = event_bytes
        self.prompt = prompt
        self.notes = notes
        self.max_bytes = UINT64_MAX if max_bytes is None else max_bytes
        self.blocks_limit_bytes = memory_bytes

    def __dealloc__(self):
        cdef size_t at
        for at in range(self.entry_count):
            free(self.entries[at].block)
        free(self.entries)
        while self.newest_stream != NULL:
            self.forget(self.newest_stream)

    def take(self):
        """The events until now; they are gone then. Not while packets are fed, in a thread."""
        cdef size_t at
        cdef size_t count = self.entry_count
        cdef Entry *entries = self.entries
        events = []
        self.entries = NULL
        self.entry_count = self.entry_capacity = 0
        try:
            for at in range(count):
                events.append(self.event_of(entries + at))
        finally:
            for at in range(count):
                free(entries[at].block)
                if entries[at].kind == CLOSED:
                    self.forget(entries[at].stream)
            free(entries)
        return events

    def ignore_streams(self, numbers):
        """Tell no more of the open streams with these numbers, but their end."""
        cdef Collected *stream = self.newest_stream
        cdef uint8_t *block
        while stream != NULL:
            if stream.order != NULL and stream.number in numbers:
                block = stream.block
                self.unlink_block(stream)
                free(block)
                self.ignore(stream.order)
            stream = stream.older

    cdef object failure(self):
        error = self.error
        self.error = None
        return OrderedSink.failure(self) if error is None else error

    # What the engine tells.

    cdef int opened(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Order *order = self.order_of(flow, side)
        cdef Collected *stream
        cdef int answer
        if order == NULL:
            return -1
        stream = self.begin(flow, side)
        if stream == NULL:
            return -1
        answer = 1 if self.wants_all else self.ask(stream)
        if answer <= 0:
            order.ignored = True
            return answer
        order.own = stream
        stream.order = order
        return 0 if self.append(OPENED, stream) != NULL else -1

    cdef int event(
        self, Flow *flow, int side, int what, int64_t offset, uint64_t count, const Packet *packet
    ) noexcept nogil:
        return self.note(flow, side, what, offset, count, packet)

    cdef int datagram(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        cdef Order *order = <Order *>flow.streams[side].kept
        cdef Entry *entry
        cdef uint8_t *block
        if order == NULL or order.ignored:
            return 0
        block = <uint8_t *>malloc(max(<uint32_t>1, packet.payload_captured))
        entry = self.append(DATAGRAM, <Collected *>order.own)
        if block == NULL or entry == NULL:
            free(block)
            return -1
        memcpy(block, packet.payload, packet.payload_captured)
        entry.block = block
        entry.block_bytes = packet.payload_captured
        entry.count = packet.payload_bytes
        entry.time_ns = packet.time_ns
        return 0

    cdef int fed(self) noexcept nogil:
        while self.prompt and self.first_begun != NULL:
            if self.flush(self.first_begun) < 0:
                return -1
        return 0

    # What OrderedSink tells.

    cdef int deliver(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        cdef Order *order = <Order *>flow.streams[side].kept
        cdef Collected *stream = <Collected *>order.own
        cdef uint64_t time_ns = flow.streams[side].last_ns if packet == NULL else packet.time_ns
        cdef bint enough = False
        if stream == NULL:
            return 0
        if count >= self.max_bytes - stream.taken_bytes:
            count = <uint32_t>(self.max_bytes - stream.taken_bytes)
            enough = True
        if self.collect(stream, offset, data, count, time_ns) < 0:
            return -1
        if enough:
            self.ignore(order)
            return self.flush(stream)
        while self.blocks_bytes > self.blocks_limit_bytes:
            if self.flush(self.first_begun) < 0:
                return -1
        return 0

    cdef int missing(self, Flow *flow, int side, int64_t offset, int64_t count) noexcept nogil:
        cdef Collected *stream = <Collected *>(<Order *>flow.streams[side].kept).own
        cdef Entry *entry
        if stream == NULL:
            return 0
        if self.flush(stream) < 0:
            return -1
        entry = self.append(GAP, stream)
        if entry == NULL:
            return -1
        entry.offset = offset
        entry.count = count
        entry.time_ns = flow.streams[side].last_ns
        return 0

    cdef int late(
        self, Flow *flow, int side, int64_t offset, const uint8_t *data, uint32_t count,
        const Packet *packet,
    ) noexcept nogil:
        return self.note(flow, side, WHAT_LATE, offset, count, packet)

    cdef int differs(
        self, Flow *flow, int side, int64_t offset, uint32_t count, const Packet *packet
    ) noexcept nogil:
        return self.note(flow, side, WHAT_DIFFERS, offset, count, packet)

    cdef int over(self, Flow *flow, int side) noexcept nogil:
        cdef Stream *ended = &flow.streams[side]
        cdef Collected *stream = <Collected *>(<Order *>ended.kept).own
        cdef Entry *entry
        if stream == NULL:
            return 0
        stream.order = NULL
        if self.flush(stream) < 0:
            return -1
        entry = self.append(CLOSED, stream)
        if entry == NULL:
            return -1
        entry.detail = ended.why
        entry.offset = ended.end
        entry.count = ended.packets
        entry.time_ns = ended.last_ns
        return 0

    # Streams, and their bytes.

    cdef Collected *begin(self, const Flow *flow, int side) noexcept nogil:
        cdef const Stream *opened = &flow.streams[side]
        cdef Collected *stream = <Collected *>calloc(1, sizeof(Collected))
        if stream == NULL:
            return NULL
        stream.number = opened.number
        stream.session = flow.session
        stream.first_ns = opened.first_ns
        stream.family = flow.family
        stream.protocol = flow.protocol
        stream.to_server = side == flow.client
        stream.guessed = flow.client_guessed
        stream.syn = opened.syn
        stream.vlan_count = min(flow.streams[side].link.vlan_count, 4)
        memcpy(stream.vlans, flow.streams[side].link.vlans, sizeof(stream.vlans))
        memcpy(stream.source, flow.addresses[side], 16)
        memcpy(stream.destination, flow.addresses[1 - side], 16)
        stream.source_port = flow.ports[side]
        stream.destination_port = flow.ports[1 - side]
        stream.older = self.newest_stream
        if self.newest_stream != NULL:
            self.newest_stream.newer = stream
        self.newest_stream = stream
        return stream

    cdef int ask(self, Collected *stream) noexcept with gil:
        """Whether a stream is wanted: 1, or 0, or -1 for an exception; unless 1, it is gone."""
        try:
            if self.wanted(info_of(stream)):
                return 1
        except BaseException as error:  # for `Engine.feed` to raise, whatever it is
            self.error = error
            self.forget(stream)
            return -1
        self.forget(stream)
        return 0

    cdef int collect(
        self, Collected *stream, int64_t offset, const uint8_t *data, uint32_t count,
        uint64_t time_ns,
    ) noexcept nogil:
        """Add bytes to the stream's block; full blocks become events."""
        cdef uint32_t part
        while count:
            part = min(count, self.event_bytes - stream.used)
            if not self.has_room(stream, part):
                return -1
            if stream.used == 0:
                stream.offset = offset
                stream.time_ns = time_ns
            memcpy(stream.block + stream.used, data, part)
            stream.used += part
            stream.taken_bytes += part
            offset += part
            data += part
            count -= part
            if stream.used == self.event_bytes and self.flush(stream) < 0:
                return -1
        return 0

    cdef bint has_room(self, Collected *stream, uint32_t count) noexcept nogil:
        cdef uint32_t wanted = stream.used + count
        cdef uint32_t capacity
        cdef uint8_t *grown
        if wanted <= stream.capacity:
            return True
        # A stream that filled a block will fill another.
        capacity = max(stream.capacity * 2, <uint32_t>LEAST_BLOCK_BYTES)
        if stream.taken_bytes >= self.event_bytes:
            capacity = self.event_bytes
        capacity = max(wanted, min(capacity, self.event_bytes))
        grown = <uint8_t *>realloc(stream.block, capacity)
        if grown == NULL:
            return False
        if stream.block == NULL:
            self.link_block(stream)
        self.blocks_bytes += capacity - stream.capacity
        stream.block = grown
        stream.capacity = capacity
        return True

    cdef int flush(self, Collected *stream) noexcept nogil:
        """Make the stream's block an event."""
        cdef Entry *entry
        if stream.block == NULL:
            return 0
        entry = self.append(DATA, stream)
        if entry == NULL:
            return -1
        entry.offset = stream.offset
        entry.time_ns = stream.time_ns
        entry.block = stream.block
        entry.block_bytes = stream.used
        self.unlink_block(stream)
        return 0

    cdef int note(
        self, Flow *flow, int side, int what, int64_t offset, uint64_t count, const Packet *packet
    ) noexcept nogil:
        cdef Order *order = <Order *>flow.streams[side].kept
        cdef Entry *entry
        if not self.notes or order == NULL or order.ignored:
            return 0
        entry = self.append(NOTED, <Collected *>order.own)
        if entry == NULL:
            return -1
        entry.detail = what
        entry.offset = offset
        entry.count = count
        entry.time_ns = packet.time_ns
        return 0

    cdef Entry *append(self, int kind, Collected *stream) noexcept nogil:
        cdef size_t capacity
        cdef Entry *grown
        if self.entry_count == self.entry_capacity:
            capacity = self.entry_capacity * 2 if self.entry_capacity else 256
            grown = <Entry *>realloc(self.entries, capacity * sizeof(Entry))
            if grown == NULL:
                return NULL
            self.entries = grown
            self.entry_capacity = capacity
        grown = self.entries + self.entry_count
        memset(grown, 0, sizeof(Entry))
        grown.kind = kind
        grown.stream = stream
        self.entry_count += 1
        return grown

    cdef void link_block(self, Collected *stream) noexcept nogil:
        stream.earlier = self.last_begun
        stream.later = NULL
        if self.last_begun != NULL:
            self.last_begun.later = stream
        else:
            self.first_begun = stream
        self.last_begun = stream

    cdef void unlink_block(self, Collected *stream) noexcept nogil:
        """The block is another's now, or to be freed."""
        if stream.block == NULL:
            return
        if stream.earlier != NULL:
            stream.earlier.later = stream.later
        else:
            self.first_begun = stream.later
        if stream.later != NULL:
            stream.later.earlier = stream.earlier
        else:
            self.last_begun = stream.earlier
        self.blocks_bytes -= stream.capacity
        stream.block = NULL
        stream.used = stream.capacity = 0

    cdef void forget(self, Collected *stream) noexcept:
        cdef uint8_t *block = stream.block
        self.unlink_block(stream)
        free(block)
        if stream.newer != NULL:
            stream.newer.older = stream.older
        else:
            self.newest_stream = stream.older
        if stream.older != NULL:
            stream.older.newer = stream.newer
        Py_XDECREF(stream.info)
        free(stream)

    cdef object event_of(self, const Entry *entry):
        stream = info_of(entry.stream)
        if entry.kind == DATA:
            return Data(stream, entry.offset, bytes_of(entry), entry.time_ns)
        if entry.kind == GAP:
            return Gap(stream, entry.offset, entry.count, entry.time_ns)
        if entry.kind == OPENED:
            return StreamOpened(stream)
        if entry.kind == DATAGRAM:
            return Datagram(stream, bytes_of(entry), entry.count, entry.time_ns)
        if entry.kind == NOTED:
            what = What(entry.detail)
            return Noted(stream, what, entry.offset, entry.count, entry.time_ns)
        return StreamClosed(stream, Why(entry.detail), entry.offset, entry.count, entry.time_ns)


cdef bytes bytes_of(const Entry *entry):
    return PyBytes_FromStringAndSize(<const char *>entry.block, entry.block_bytes)


cdef object info_of(Collected *stream):
    """Its StreamInfo, made once."""
    if stream.info != NULL:
        return <object>stream.info
    info = StreamInfo(
        stream.number,
        stream.session,
        stream.protocol,
        address_of(stream.family, stream.source),
        stream.source_port,
        address_of(stream.family, stream.destination),
        stream.destination_port,
        bool(stream.to_server),
        bool(stream.guessed),
        bool(stream.syn),
        tuple([stream.vlans[i] for i in range(stream.vlan_count)]),
        stream.first_ns,
    )
    Py_INCREF(info)
    stream.info = <PyObject *>info
    return info


cdef str address_of(int family, const uint8_t *address):
    cdef char text[46]  # INET6_ADDRSTRLEN
    inet_ntop(AF_INET6 if family == IPV6 else AF_INET, address, text, sizeof(text))
    return text.decode("ascii")
