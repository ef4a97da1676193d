"""Savefiles by whose packets they have, and the bytes that wait to be written to them.

A packet is copied once, to the end of one stretch of memory; what belongs to one file is written
at once when that is full. So a file is opened once for many packets, however many files there are.
The files are created and held open by files.pyx.
"""
import os

from daemonlogger_py.errors import StorageError

cimport cython
from libc.errno cimport EFBIG, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from daemonlogger_py.flow.flow cimport Flow, Link, Stream
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.readers.streams.copying cimport SNAPLEN_AT, FileHeader, put_record
from daemonlogger_py.readers.streams.files cimport Files
from daemonlogger_py.readers.streams.gathered cimport iovec, pwritev, write_pieces
from daemonlogger_py.savefile.records cimport FILE_HEADER_BYTES, RECORD_HEADER_BYTES

cdef enum:
    MOST_PIECES = 512  # in one write; IOV_MAX is 1024
    FIRST_BUCKETS = 1024
    LEAST_BYTES = 1048576  # more than the longest record of a linktype that has TCP in it
    TYPICAL_RECORD_BYTES = 128


@cython.no_gc_clear
cdef class Piles:
    """Files named by `files`, of up to `memory_bytes` that wait, and `max_files` that are known."""

    def __cinit__(self, Files files not None, uint64_t memory_bytes, uint64_t max_files):
        self.files = files
        self.max_files = max(max_files, 1)
        self.capacity = max(memory_bytes, <uint64_t>LEAST_BYTES)
        self.piece_capacity = <uint32_t>min(self.capacity // TYPICAL_RECORD_BYTES, 1 << 30)
        self.bucket_count = FIRST_BUCKETS
        self.bytes = <uint8_t *>malloc(self.capacity)
        self.pieces = <Piece *>malloc(self.piece_capacity * sizeof(Piece))
        self.buckets = <Pile **>calloc(self.bucket_count, sizeof(Pile *))
        if self.bytes == NULL or self.pieces == NULL or self.buckets == NULL:
            raise MemoryError

    def __dealloc__(self):
        while self.oldest != NULL:
            self.forget(self.oldest)
        free(self.bytes)
        free(self.pieces)
        free(self.buckets)

    cdef object failure(self):
        return self.reason if self.reason is not None else MemoryError("no memory for packets")

    cdef int put(
        self, const Flow *flow, int side, const FileHeader *header, const Packet *packet
    ) noexcept nogil:
        cdef uint64_t size = RECORD_HEADER_BYTES + <uint64_t>packet.caplen
        cdef Pile *pile = self.find(flow, side, header)
        if pile == NULL:
            pile = self.create(flow, side, header, packet)
            if pile == NULL:
                return -1
        if pile != self.newest:
            self.unlink(pile)
            self.link(pile)
        if packet.caplen > pile.snaplen or header.snaplen > pile.snaplen:
            pile.snaplen = max(packet.caplen, header.snaplen)
            pile.raised = True
        if size > self.capacity:
            return self.fail_file(pile, EFBIG)
        if not self.room_for(size) and self.flush() != 0:
            return -1
        put_record(self.bytes + self.used, packet, header)
        self.append(pile, size)
        self.packets += 1
        return 0

    cdef int finish(self) noexcept nogil:
        cdef int outcome = self.flush()
        while self.oldest != NULL:
            outcome |= self.forget(self.oldest)
        return outcome

    # Bytes that wait.

    cdef bint room_for(self, uint64_t size) noexcept nogil:
        return self.used + size <= self.capacity and self.piece_count < self.piece_capacity

    cdef void append(self, Pile *pile, uint64_t size) noexcept nogil:
        """The next `size` bytes are the pile's."""
        cdef Piece *last = NULL
        if pile.last_piece:
            last = &self.pieces[pile.last_piece - 1]
            if last.at + last.count == self.used:
                last.count += <uint32_t>size
                self.used += size
                return
        self.pieces[self.piece_count] = Piece(self.used, <uint32_t>size, 0)
        self.piece_count += 1
        self.used += size
        if last != NULL:
            last.next = self.piece_count
        else:
            pile.first_piece = self.piece_count
            pile.next_waiting = NULL
            if self.last_waiting != NULL:
                self.last_waiting.next_waiting = pile
            else:
                self.first_waiting = pile
            self.last_waiting = pile
        pile.last_piece = self.piece_count

    cdef int flush(self) noexcept nogil:
        """Write all that waits, file by file."""
        cdef Pile *pile = self.first_waiting
        cdef int outcome = 0
        while pile != NULL:
            if outcome == 0:
                outcome = self.write(pile)
            pile.first_piece = pile.last_piece = 0
            pile = pile.next_waiting
        self.first_waiting = self.last_waiting = NULL
        self.used = 0
        self.piece_count = 0
        return outcome

    cdef int write(self, Pile *pile) noexcept nogil:
        cdef iovec[MOST_PIECES] gathered
        cdef uint32_t at = pile.first_piece
        cdef Piece *piece
        cdef int count
        cdef int fd = self.files.reach(&pile.file)
        if fd < 0:
            return self.fail()
        while at:
            count = 0
            while at and count < MOST_PIECES:
                piece = &self.pieces[at - 1]
                gathered[count].iov_base = self.bytes + piece.at
                gathered[count].iov_len = piece.count
                count += 1
                at = piece.next
            if write_pieces(fd, gathered, count, &pile.written_bytes) != 0:
                return self.fail_file(pile, errno)
        if pile.raised:
            gathered[0].iov_base = &pile.snaplen
            gathered[0].iov_len = sizeof(pile.snaplen)
            if pwritev(fd, gathered, 1, SNAPLEN_AT) != sizeof(pile.snaplen):
                return self.fail_file(pile, errno)
            pile.raised = False
        return 0

    # Files by their packets.

    cdef Pile *find(self, const Flow *flow, int side, const FileHeader *header) noexcept nogil:
        cdef Pile *pile = self.buckets[flow.hash & (self.bucket_count - 1)]
        cdef Key key
        fill_key(&key, flow, side, header)
        while pile != NULL and memcmp(&pile.key, &key, sizeof(Key)) != 0:
            pile = pile.chained
        return pile

    cdef Pile *create(
        self, const Flow *flow, int side, const FileHeader *header, const Packet *packet
    ) noexcept nogil:
        cdef Flow named
        cdef Pile *pile
        if self.known >= self.max_files:
            self.forgotten += 1
            if self.flush() != 0 or self.forget(self.oldest) != 0:
                return NULL
        if not self.room_for(FILE_HEADER_BYTES) and self.flush() != 0:
            return NULL
        pile = <Pile *>calloc(1, sizeof(Pile))
        if pile == NULL:
            return NULL
        memcpy(&named, flow, sizeof(Flow))
        name_stream(&named.streams[side], packet, self.created)
        pile.file.fd = -1
        if self.files.create(&pile.file, &named, side, ".pcap") < 0:
            self.fail()
            self.files.finish(&pile.file, 0)
            free(pile)
            return NULL
        fill_key(&pile.key, flow, side, header)
        pile.hash = flow.hash
        pile.first_ns = packet.time_ns
        pile.snaplen = header.snaplen
        self.created += 1
        self.enlist(pile)
        memcpy(self.bytes + self.used, header, FILE_HEADER_BYTES)
        self.append(pile, FILE_HEADER_BYTES)
        return pile

    cdef void enlist(self, Pile *pile) noexcept nogil:
        cdef uint64_t at
        if self.known >= self.bucket_count:
            self.grow()
        at = pile.hash & (self.bucket_count - 1)
        pile.chained = self.buckets[at]
        self.buckets[at] = pile
        self.known += 1
        self.link(pile)

    cdef void grow(self) noexcept nogil:
        """Twice the buckets; without memory for them the chains get longer."""
        cdef uint64_t count = self.bucket_count * 2
        cdef Pile **buckets = <Pile **>calloc(count, sizeof(Pile *))
        cdef Pile *pile = self.oldest
        cdef uint64_t at
        if buckets == NULL:
            return
        while pile != NULL:
            at = pile.hash & (count - 1)
            pile.chained = buckets[at]
            buckets[at] = pile
            pile = pile.newer
        free(self.buckets)
        self.buckets = buckets
        self.bucket_count = count

    cdef int forget(self, Pile *pile) noexcept nogil:
        """Close a file for which nothing waits."""
        cdef Pile **at = &self.buckets[pile.hash & (self.bucket_count - 1)]
        cdef int outcome = 0
        while at[0] != pile:
            at = &at[0].chained
        at[0] = pile.chained
        self.unlink(pile)
        self.known -= 1
        if self.files.finish(&pile.file, pile.first_ns) != 0:
            outcome = self.fail()
        free(pile)
        return outcome

    cdef void link(self, Pile *pile) noexcept nogil:
        pile.newer = NULL
        pile.older = self.newest
        if self.newest != NULL:
            self.newest.newer = pile
        else:
            self.oldest = pile
        self.newest = pile

    cdef void unlink(self, Pile *pile) noexcept nogil:
        if pile.newer != NULL:
            pile.newer.older = pile.older
        else:
            self.newest = pile.older
        if pile.older != NULL:
            pile.older.newer = pile.newer
        else:
            self.oldest = pile.newer

    cdef int fail(self) noexcept nogil:
        with gil:
            self.reason = self.files.failure()
        return -1

    cdef int fail_file(self, const Pile *pile, int error) noexcept nogil:
        with gil:
            self.reason = StorageError(f"{os.fsdecode(pile.file.name)}: {os.strerror(error)}")
        return -1


cdef inline void fill_key(
    Key *key, const Flow *flow, int side, const FileHeader *header
) noexcept nogil:
    memset(key, 0, sizeof(Key))
    memcpy(key.source, flow.addresses[side], 16)
    memcpy(key.destination, flow.addresses[1 - side], 16)
    key.ports = <uint32_t>flow.ports[side] << 16 | flow.ports[1 - side]
    key.linktype = header.linktype
    key.magic = header.magic
    key.family = flow.family


cdef void name_stream(Stream *stream, const Packet *packet, uint64_t number) noexcept nogil:
    """Say what a name tells: a packet that opens no stream, as a lone ACK, has set nothing."""
    cdef Link *link = &stream.link
    stream.number = number
    stream.first_ns = packet.time_ns
    link.vlan_count = packet.vlan_count
    memcpy(link.vlans, packet.vlans, sizeof(link.vlans))
    if packet.mac_source != NULL:
        memcpy(link.mac_source, packet.mac_source, 6)
    if packet.mac_destination != NULL:
        memcpy(link.mac_destination, packet.mac_destination, 6)
