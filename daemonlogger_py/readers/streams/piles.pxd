"""Savefiles by whose packets they have; see piles.pyx."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.readers.streams.copying cimport FileHeader
from daemonlogger_py.readers.streams.files cimport Files, OutFile

cdef struct Piece:  # of what waits to be written to one file: bytes[at : at + count]
    uint64_t at
    uint32_t count
    uint32_t next  # index of the piece that follows, plus 1

cdef struct Key:  # whose packets a file has, and of which kind
    uint8_t source[16]
    uint8_t destination[16]
    uint32_t ports
    uint32_t linktype
    uint32_t magic
    uint32_t family

cdef struct Pile:  # one file, and what waits to be written to it
    OutFile file
    Key key
    uint32_t hash
    uint32_t snaplen  # that the file's header has, or will have
    bint raised  # the header in the file has a smaller one
    uint64_t first_ns
    int64_t written_bytes
    uint32_t first_piece  # index plus 1; 0: nothing waits
    uint32_t last_piece
    Pile *chained  # same bucket
    Pile *next_waiting
    Pile *newer  # by last packet
    Pile *older

cdef class Piles:
    cdef readonly uint64_t packets
    cdef readonly uint64_t created
    cdef readonly uint64_t forgotten  # files of which too many were known
    cdef Files files
    cdef uint8_t *bytes
    cdef uint64_t capacity
    cdef uint64_t used
    cdef Piece *pieces
    cdef uint32_t piece_capacity
    cdef uint32_t piece_count
    cdef Pile **buckets
    cdef uint64_t bucket_count
    cdef uint64_t max_files
    cdef uint64_t known
    cdef Pile *newest
    cdef Pile *oldest
    cdef Pile *first_waiting
    cdef Pile *last_waiting
    cdef object reason

    # Copy a packet for the file of flow.streams[side], which `header` begins. 0, or -1.
    cdef int put(
        self, const Flow *flow, int side, const FileHeader *header, const Packet *packet
    ) noexcept nogil
    # Write all that waits, file by file. 0, or -1.
    cdef int flush(self) noexcept nogil
    # Write all that waits, and close and date the files. 0, or -1.
    cdef int finish(self) noexcept nogil
    # What the last -1 was for: the exception to raise.
    cdef object failure(self)

    cdef bint room_for(self, uint64_t size) noexcept nogil
    cdef void append(self, Pile *pile, uint64_t size) noexcept nogil
    cdef int write(self, Pile *pile) noexcept nogil
    cdef Pile *find(self, const Flow *flow, int side, const FileHeader *header) noexcept nogil
    cdef Pile *create(
        self, const Flow *flow, int side, const FileHeader *header, const Packet *packet
    ) noexcept nogil
    cdef void enlist(self, Pile *pile) noexcept nogil
    cdef void grow(self) noexcept nogil
    cdef int forget(self, Pile *pile) noexcept nogil
    cdef void link(self, Pile *pile) noexcept nogil
    cdef void unlink(self, Pile *pile) noexcept nogil
    cdef int fail(self) noexcept nogil
    cdef int fail_file(self, const Pile *pile, int error) noexcept nogil
