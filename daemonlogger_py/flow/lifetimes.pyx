"""How long flows live: when their streams are closed, how long what has ended is remembered.

A flow ends with both of its streams, or when one side resets it. It then lingers, so that what is
late is known for what it is, and what the other side sent before it knew is still stored; until it
had no packet for some time, too many others have ended, or room is needed. Limits in flows and
memory are kept by closing what had no packet for longest. What closes a stream by what it carries
is in tcp.pyx.
"""
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memset

from daemonlogger_py.flow.flow cimport (
    CLOSED_END,
    CLOSED_EVICTED,
    CLOSED_IDLE,
    CLOSED_RST,
    Flow,
    Range,
    Stream,
)
from daemonlogger_py.flow.ranges cimport forget
from daemonlogger_py.flow.table cimport Table


cdef int by_number(const void *one, const void *other) noexcept nogil:
    cdef uint64_t a = (<const Entry *>one).number
    cdef uint64_t b = (<const Entry *>other).number
    return (a > b) - (a < b)


cdef class Lifetimes:
    """The flows of an engine, and the limits they are kept within; see engine.pyx for these."""

    def __cinit__(self):
        self.table = Table()

    def __dealloc__(self):
        free(self.entries)

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
        stream.closed = True
        stream.why = why
        self.counts.open_streams -= 1
        if self.sink.closed(flow, side) != 0:
            return -1
        if flow.streams[1 - side].closed or (why == CLOSED_END and not flow.streams[1 - side].seen):
            return self.linger(flow)
        return 0

    cdef int linger(self, Flow *flow) noexcept nogil:
        """Keep a flow that has ended for what is late, as one of so many."""
        if flow.ended:
            return 0
        flow.ended = True
        self.table.touch(flow, False)
        return self.drop_ended() if self.table.ended_count > self.linger_flows else 0

    cdef int note_reset(self, Flow *flow) noexcept nogil:
        # Where what has ended is to be remembered, only its idle time may close the other side.
        return self.linger(flow) if self.linger_ns != NEVER else 0

    cdef int drop_ended(self) noexcept nogil:
        """Drop the flow that ended first, or rather had no packet for longest since."""
        cdef Flow *flow = self.table.oldest_ended
        if self.close_flow(flow, CLOSED_RST) != 0:  # what a reset of its other side left open
            return -1
        self.drop(flow)
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
        cdef Flow *flow = self.table.oldest
        if self.table.oldest_ended != NULL:
            return self.drop_ended()
        self.counts.evicted_flows += is_open(flow)
        if self.close_flow(flow, CLOSED_EVICTED) != 0:
            return -1
        self.drop(flow)
        return 0

    cdef int expire(self) noexcept nogil:
        cdef Flow *flow = self.table.oldest_ended
        while flow != NULL and flow.last_ns + self.linger_ns < self.now_ns:
            if self.drop_ended() != 0:
                return -1
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
        cdef Flow *flow
        cdef Flow *lists[2]
        cdef int side
        cdef Entry *entries
        entries = <Entry *>malloc(max(self.counts.open_streams, 1) * sizeof(Entry))
        if entries == NULL:
            return -1
        lists[0] = self.table.oldest
        lists[1] = self.table.oldest_ended  # a reset leaves the other side open
        for flow in lists:
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


cdef bint is_open(const Flow *flow) noexcept nogil:
    cdef int side
    for side in range(2):
        if flow.streams[side].seen and not flow.streams[side].closed:
            return True
    return False
