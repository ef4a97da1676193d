"""Runs of records in order, in memory or in a file, and the heap in which the first one is on top.

A run is a chunk, or what was spilled of several: then each of its records has a Tag in front. What
is made of them is order.pyx's.
"""
from libc.errno cimport EINTR, errno
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, memmove
from posix.unistd cimport pread

from daemonlogger_py.savefile.records cimport RECORD_HEADER_BYTES, RecordHeader, timestamp_ns

cdef enum:
    SPILLED_READ_BYTES = 262144

cdef struct Tag:  # in front of each record that is spilled
    uint64_t key
    int64_t sequence
    uint32_t member
    uint32_t kind  # of capture, as `Merger.describe` has it
    uint32_t fraction_ns
    uint32_t unused

cdef struct Run:
    Tag head  # of the record at `at`
    const uint8_t *at
    const uint8_t *end
    uint64_t last_key
    uint64_t records
    void *chunk  # a Chunk that is held, or NULL for a spilled run
    uint8_t *data  # a spilled run's own
    size_t room
    int fd
    int64_t file_at
    int64_t file_end
    bint failed


cdef inline bint before(const Tag *a, const Tag *b) noexcept nogil:
    if a.key != b.key:
        return a.key < b.key
    if a.member != b.member:
        return a.member < b.member
    return a.sequence < b.sequence


cdef inline void sink(Run **heap, size_t count, size_t at) noexcept nogil:
    """Let the run at `at` down to where it belongs."""
    cdef Run *moving = heap[at]
    cdef size_t child
    while True:
        child = 2 * at + 1
        if child >= count:
            break
        if child + 1 < count and before(&heap[child + 1].head, &heap[child].head):
            child += 1
        if before(&moving.head, &heap[child].head):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = moving


cdef inline void swim(Run **heap, size_t at) noexcept nogil:
    """Let the run at `at` up to where it belongs."""
    cdef Run *moving = heap[at]
    cdef size_t parent
    while at:
        parent = (at - 1) // 2
        if before(&heap[parent].head, &moving.head):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = moving


cdef inline bint refill(Run *run, size_t wanted) noexcept nogil:
    """Have at least `wanted` bytes of a spilled run in memory."""
    cdef size_t there = run.end - run.at
    cdef size_t room = max(wanted, <size_t>SPILLED_READ_BYTES)
    cdef uint8_t *data
    cdef ssize_t got
    if there >= wanted:
        return True
    if there:
        memmove(run.data, run.at, there)
    if room > run.room:
        data = <uint8_t *>realloc(run.data, room)
        if data == NULL:
            run.at = run.data
            run.end = run.data + there
            return False
        run.data = data
        run.room = room
    while there < wanted:
        room = <size_t>min(<int64_t>(run.room - there), run.file_end - run.file_at)
        if room == 0:
            break
        got = pread(run.fd, run.data + there, room, run.file_at)
        if got == 0 or (got < 0 and errno != EINTR):
            break
        if got > 0:
            there += got
            run.file_at += got
    run.at = run.data
    run.end = run.data + there
    return there >= wanted


cdef inline bint look_at_head(Run *run, uint64_t mask) noexcept nogil:
    """Read when the record at `run.at` is; False at the end of the run."""
    cdef RecordHeader header
    if run.chunk == NULL:
        if run.at == run.end and run.file_at == run.file_end:
            return False
        if not refill(run, sizeof(Tag) + RECORD_HEADER_BYTES):
            run.failed = True
            return False
        memcpy(&run.head, run.at, sizeof(Tag))
        memcpy(&header, run.at + sizeof(Tag), RECORD_HEADER_BYTES)
        if not refill(run, sizeof(Tag) + RECORD_HEADER_BYTES + header.caplen):
            run.failed = True
            return False
        return True
    if run.at == run.end:
        return False
    memcpy(&header, run.at, RECORD_HEADER_BYTES)
    run.head.key = timestamp_ns(&header, run.head.fraction_ns) ^ mask
    return True
