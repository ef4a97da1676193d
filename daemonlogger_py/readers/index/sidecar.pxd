"""The columns of one sidecar as native readers see them; see sidecar.pyx.

A class is a set of packets whose known bytes are the same. Its known bytes are those of its prefix
from the first byte of the frame on, directly followed by its tail: of the tail's bytes those with a
mask other than 0 have a value. Values and prefix bytes are stored under their mask. Classes are
sorted by shape, so that those of one shape have values of one length.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from daemonlogger_py.readers.index.npz cimport Array, Npz
from daemonlogger_py.readers.index.rows cimport Stored

cdef struct Columns:
    uint32_t linktype  # as in the savefile's header, its low 16 bits
    uint32_t snaplen
    uint32_t blocks
    const uint64_t *block_offset  # [blocks + 1], byte offset of its first record, and the end
    const uint64_t *block_first_ns  # [blocks], time of the earliest packet
    const uint64_t *block_last_ns  # [blocks], time of the latest packet
    const uint32_t *block_packets  # [blocks]
    uint32_t prefixes
    const uint32_t *prefix_offset  # [prefixes + 1], into the two that follow
    const uint8_t *prefix_bytes
    const uint8_t *prefix_mask  # a bit that is set is known
    uint32_t shapes
    const uint32_t *shape_offset  # [shapes + 1], into shape_mask
    const uint8_t *shape_mask  # a bit that is set is known
    const uint32_t *shape_classes  # [shapes], classes of this shape
    uint32_t classes
    const uint32_t *class_prefix  # [classes], number of its prefix
    const uint8_t *values  # for each class the bytes of its tail whose mask is not 0
    const uint32_t *posting_offset  # [classes + 1], into postings
    const uint8_t *postings  # for each class LEB128: its first block, then steps of 1 or more
    uint64_t postings_bytes
    bint ordered  # times of the savefile's packets never go back


cdef packed struct Facts:  # what a sidecar says of its savefile; NumPy's names are the same
    uint32_t format
    uint32_t linktype  # the field of the savefile's header, all of it
    uint32_t snaplen
    uint32_t ordered  # times of the packets never go back
    uint64_t size_bytes
    int64_t modified_ns
    uint64_t end_offset  # behind the last record that was indexed: no sidecar speaks of the rest
    uint64_t packets
    uint32_t head_crc  # CRC-32 of the first and of the last 4096 bytes
    uint32_t tail_crc


cdef enum Verdict:
    BELIEVED
    DAMAGED
    OTHER_FORMAT
    NO_MEMORY
    NOT_READ  # see errno


cdef packed struct Block:
    uint32_t size_bytes
    uint32_t packets
    uint64_t first_ns
    uint64_t last_ns

cdef packed struct Run:
    uint32_t prefix
    uint32_t classes

cdef struct Content:  # of a file that was read
    Array facts
    Array name
    Array blocks
    Stored prefixes
    Stored tails
    Array runs
    Array posting_bytes
    Array postings


cdef struct Piece:  # what malloc gave, or nothing
    void *data
    size_t capacity


cdef class Memory:  # of one sidecar, given back with the last object that points into it
    cdef Piece first
    cdef Piece second
    cdef bint spare  # it came from those of sidecars that are gone, and goes back to them


cdef class Sidecar:
    cdef Columns columns  # all offsets and counts are checked: in bounds, ascending
    cdef object _held  # what the pointers point into
    cdef Facts facts
    cdef bytes _savefile
    cdef list blocks_of(self, uint32_t number)


cdef inline bint next_block(
    const uint8_t **at, const uint8_t *end, uint64_t *block
) noexcept nogil:
    """Go on in postings: `*block` becomes the next block; False at their end.

    Begin with `*block` 0 at a class's first byte; `end` is that of the next class. What postings
    say is not checked where a sidecar is read: a block that is not there is the caller's to notice.
    """
    cdef uint64_t step = 0
    cdef int shift = 0
    cdef uint8_t byte
    while at[0] < end and shift < 35:
        byte = at[0][0]
        at[0] += 1
        step |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            block[0] += step
            return True
        shift += 7
    return False


# The CRC-32 of the first and the last 4096 bytes of a savefile; False if it cannot be read.
cdef bint fingerprint(
    int fd, uint64_t size_bytes, uint32_t *head_crc, uint32_t *tail_crc
) noexcept nogil

# Find the members of a file up to `runs`, which are all but the postings, each of them checked;
# False if they are not what was written. Begin with `*at` and `npz.count` 0.
cdef bint take_known(
    const uint8_t *file, size_t count, size_t *at, Npz *npz, Content *content
) noexcept nogil

# Read a file of a directory, or its first `most` bytes; BELIEVED, so far, with `*count` bytes at
# `file.data`.
cdef Verdict read_file(
    int directory, const char *path, Piece *file, size_t *count, size_t most
) noexcept nogil
