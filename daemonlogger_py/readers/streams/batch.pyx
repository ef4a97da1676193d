"""What is to be done with the bytes of one buffer, and which streams were closed in it.

`Store` notes it while the buffer is fed, `Writer`s do it, and afterwards it is asked for the rows
of the report, or for facts that Python goes on with.
"""
cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from daemonlogger_py.readers.streams.closed cimport Closed
from daemonlogger_py.readers.streams.dfxml cimport put_head, put_tail
from daemonlogger_py.readers.streams.text cimport Text, free_text

import os

cdef extern from "<arpa/inet.h>" nogil:
    enum:
        AF_INET
        AF_INET6
        INET6_ADDRSTRLEN
    const char *inet_ntop(int family, const void *address, char *text, uint32_t size)


cdef bint grown(void **array, uint64_t *capacity, uint64_t wanted, size_t item) noexcept nogil:
    cdef uint64_t larger = capacity[0]
    cdef void *moved
    if wanted <= larger:
        return True
    while larger < wanted:
        larger = larger * 2 if larger else 64
    moved = realloc(array[0], larger * item)
    if moved == NULL:
        return False
    array[0] = moved
    capacity[0] = larger
    return True


@cython.final
cdef class Batch:
    """Notes on the bytes of one buffer; `Store.take` makes them.

    `at_end`: to be set on the last one before what is open is closed, for writers to note by it how
    many files are open.
    """

    def __dealloc__(self):
        cdef uint64_t at
        for at in range(self.copy_count):
            free(self.copies[at])
        for at in range(self.operation_count):
            free(self.operations[at].rows)
            free(self.operations[at].created)
        for at in range(self.closed_count):
            free(self.closed[at].gaps)
            free(self.closed[at].name)
            free(self.closed[at])
        free(self.copies)
        free(self.closed)
        free(self.operations)
        free(self.pieces)

    @property
    def operations_left(self):
        """How many operations there are for writers."""
        return self.operation_count

    def created(self):
        """Names of the files that writers made, in the order of the packets, if they tell them."""
        return [
            os.fsdecode(<bytes>self.operations[at].created)
            for at in range(self.operation_count)
            if self.operations[at].created != NULL
        ]

    def rows(self, prefix: bytes, bint with_gaps):
        """Rows of the report for what was closed, `prefix` being put before file names."""
        cdef Text text
        cdef uint64_t at
        cdef const char *before = prefix
        text.data = NULL
        text.used = text.capacity = 0
        text.failed = False
        try:
            with nogil:
                for at in range(self.closed_count):
                    put_head(&text, self.closed[at], before, with_gaps)
                    put_tail(&text)
            if text.failed:
                raise MemoryError("no memory for rows of the report")
            return text.data[:text.used]
        finally:
            free_text(&text)

    def facts(self, prefix: bytes, bint with_gaps):
        """A list of `ClosedStream`, one for each stream that was closed."""
        return [
            fact_of(self.closed[at], prefix, with_gaps) for at in range(self.closed_count)
        ]

    cdef Operation *operation(self, Kept *kept, int task, int64_t offset) noexcept nogil:
        cdef Operation *made
        if not grown(
            <void **>&self.operations, &self.operation_capacity, self.operation_count + 1,
            sizeof(Operation),
        ):
            return NULL
        made = self.operations + self.operation_count
        made.kept = kept
        made.task = task
        made.writer = kept.writer
        made.offset = made.end = offset
        made.first = made.last = 0
        made.closed = NULL
        made.rows = NULL
        made.created = NULL
        self.operation_count += 1
        return made

    cdef bint append(
        self, uint64_t operation, const uint8_t *data, uint32_t count
    ) noexcept nogil:
        cdef Operation *at = self.operations + operation
        if not grown(
            <void **>&self.pieces, &self.piece_capacity, self.piece_count + 2, sizeof(Piece)
        ):
            return False
        if self.piece_count == 0:
            self.piece_count = 1  # index 0 says "none"
        if at.first:
            self.pieces[at.last].next = <uint32_t>self.piece_count
        else:
            at.first = <uint32_t>self.piece_count
        at.last = <uint32_t>self.piece_count
        self.pieces[self.piece_count].data = data
        self.pieces[self.piece_count].count = count
        self.pieces[self.piece_count].next = 0
        self.piece_count += 1
        at.end += count
        return True

    cdef const uint8_t *copied(self, const uint8_t *data, uint32_t count) noexcept nogil:
        cdef void *copy = malloc(count)
        if copy == NULL or not grown(
            <void **>&self.copies, &self.copy_capacity, self.copy_count + 1, sizeof(void *)
        ):
            free(copy)
            return NULL
        memcpy(copy, data, count)
        self.copies[self.copy_count] = copy
        self.copy_count += 1
        return <const uint8_t *>copy

    cdef Closed *add_closed(self) noexcept nogil:
        cdef Closed *made = <Closed *>calloc(1, sizeof(Closed))
        if made == NULL or not grown(
            <void **>&self.closed, &self.closed_capacity, self.closed_count + 1, sizeof(Closed *)
        ):
            free(made)
            return NULL
        self.closed[self.closed_count] = made
        self.closed_count += 1
        return made


WHY = (None, "fin", "rst", "reused", "skipped", "idle", "evicted", "end")


cdef object fact_of(const Closed *closed, const char *prefix, bint with_gaps):
    from daemonlogger_py.readers.streams.facts import ClosedStream

    cdef Text text
    cdef uint32_t at
    text.data = NULL
    text.used = text.capacity = 0
    text.failed = False
    put_head(&text, closed, prefix, with_gaps)
    try:
        if text.failed:
            raise MemoryError("no memory for a row of the report")
        row = text.data[:text.used]
    finally:
        free_text(&text)
    return ClosedStream(
        name=os.fsdecode(<bytes>closed.name) if closed.name != NULL else None,
        number=closed.number,
        session=closed.session,
        source=address_of(closed.family, closed.source),
        destination=address_of(closed.family, closed.destination),
        source_port=closed.source_port,
        destination_port=closed.destination_port,
        vlans=tuple(closed.vlans[at] for at in range(closed.vlan_count)),
        first_ns=closed.first_ns,
        last_ns=closed.last_ns,
        packets=closed.packets,
        length_bytes=closed.length_bytes,
        captured_bytes=closed.captured_bytes,
        stream_bytes=closed.stream_bytes,
        gaps=tuple(
            (closed.gaps[at].begin, closed.gaps[at].end - closed.gaps[at].begin)
            for at in range(closed.gap_count)
        ),
        to_server=closed.to_server,
        guessed=closed.guessed,
        syn=closed.syn,
        why=WHY[closed.why],
        other_open=closed.other_open,
        differing_bytes=closed.differing_bytes,
        out_of_order=closed.out_of_order,
        retransmissions=closed.retransmissions,
        violations=closed.violations,
        row=row,
    )


cdef str address_of(uint8_t family, const uint8_t *address):
    cdef char text[INET6_ADDRSTRLEN]
    inet_ntop(AF_INET if family == 4 else AF_INET6, address, text, INET6_ADDRSTRLEN)
    return text.decode()
