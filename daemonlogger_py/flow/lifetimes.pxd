"""How long flows live; see lifetimes.pyx."""
from libc.stdint cimport int64_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.sink cimport Sink
from daemonlogger_py.flow.table cimport Table

cdef enum:
    NEVER = 0x7FFFFFFFFFFFFFFF

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


cdef class Lifetimes:
    cdef Sink sink
    cdef Table table
    cdef Counts counts
    cdef uint64_t idle_ns
    cdef uint64_t linger_ns
    cdef uint64_t linger_flows
    cdef uint64_t max_flows
    cdef uint64_t memory_bytes
    cdef uint64_t range_bytes  # memory in streams' arrays of ranges
    cdef uint64_t now_ns  # of capture: the latest time of a packet
    cdef Entry *entries  # what is to be closed at the end, and how far that is
    cdef uint64_t entry_count
    cdef uint64_t entry_at
    cdef bint finished

    # Close a stream that is open. All that return an int give 0, or -1: the sink failed.
    cdef int close_stream(self, Flow *flow, int side, int why) noexcept nogil
    # Close what is open of a flow, in the order of their first packets.
    cdef int close_flow(self, Flow *flow, int why) noexcept nogil
    # Its connection was reset: it lingers, for what the other side has sent before it knew.
    cdef int note_reset(self, Flow *flow) noexcept nogil
    # Make room in a flow for the stream that follows a closed one.
    cdef void reset(self, Flow *flow, int side) noexcept nogil
    # Free a flow whose streams are closed.
    cdef void drop(self, Flow *flow) noexcept nogil
    # Keep the limits of flows and memory before another flow is added; or that of memory alone.
    cdef int make_room(self) noexcept nogil
    cdef int keep_memory(self) noexcept nogil
    # Drop what has lingered for long enough, and close what was idle for too long.
    cdef int expire(self) noexcept nogil
    # Close up to `most` of what is still open at the end.
    cdef int close_some(self, uint64_t most) noexcept nogil

    cdef int linger(self, Flow *flow) noexcept nogil
    cdef int evict(self) noexcept nogil
    cdef int drop_ended(self) noexcept nogil
    cdef int list_open(self) noexcept nogil
