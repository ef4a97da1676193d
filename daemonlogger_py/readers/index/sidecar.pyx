"""A savefile's sidecar: its columns to bytes and back, believed only when every byte fits.

A sidecar is an .npz (npz.pxd) of vectors, which `numpy.load` reads. FORMAT is the version of it:

    savefile       one record: Facts of sidecar.pxd
    name           the savefile's name, bytes
    blocks         a record a block: bytes, packets, first_ns, last_ns; blocks follow each other
                   from byte offset 24 on, first and last are the earliest and latest time
    prefix_*       the prefixes' known bytes, one form after the other: rows.pxd
    tail_*         the classes' known bytes, one shape after the other: rows.pxd
    runs           a record for each run of classes with one prefix: prefix, classes
    posting_bytes  length of each class's postings, LEB128
    postings       for each class its blocks, LEB128: the first, then differences

What is in memory is laid out for those who ask every class: sidecar.pxd. Reading checks all
lengths and counts and each member's CRC-32; what the columns mean is the builder's to get right,
and comes from packets, so nobody may believe more of it than bounds.

loading.pxd and storing.pxd do it; making columns is builder.pyx's, putting sidecars on the disk
build.py's.
"""
import os

from libc.errno cimport EINTR, ENOENT, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset, strerror
from posix.unistd cimport SEEK_END, close, lseek, pread

from daemonlogger_py.readers.index.loading cimport (
    FORMAT_NUMBER,
    has_place,
    load,
    take_known_members,
)
from daemonlogger_py.readers.index.npz cimport (
    NPZ_BYTES,
    Array,
    Npz,
    Output,
    free_output,
)
from daemonlogger_py.readers.index.storing cimport put_sidecar
from daemonlogger_py.savefile.crc32 cimport crc32_of

cdef extern from "<fcntl.h>" nogil:
    int O_RDONLY, O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK
    int openat(int directory, const char *path, int flags)

cdef enum:
    FINGERPRINT_BYTES = 4096
    SPARE_PIECES = 8
    SPARE_BYTES = 0x400000

FORMAT = FORMAT_NUMBER
SUFFIX = ".npz"
MOST_BYTES = NPZ_BYTES


class SidecarError(Exception):
    """A sidecar that is not to be believed; the message is one line and names it."""


class NoSidecarError(SidecarError):
    """There is none."""


# Memory of sidecars that are gone, for the next ones: to have the kernel make new pages takes as
# long as to check and read what is put there. Used with the GIL held.
cdef Piece spare_pieces[SPARE_PIECES]
cdef int spares = 0


cdef void take_spare(Piece *piece) noexcept:
    global spares
    if spares:
        spares -= 1
        piece[0] = spare_pieces[spares]


cdef void give_back(Piece *piece) noexcept:
    global spares
    if spares < SPARE_PIECES and 0 < piece.capacity <= SPARE_BYTES:
        spare_pieces[spares] = piece[0]
        spares += 1
    else:
        free(piece.data)
    piece.data = NULL
    piece.capacity = 0


cdef class Memory:
    def __dealloc__(self):
        if self.spare:
            give_back(&self.second)
            give_back(&self.first)  # which is the one that is asked for first
        else:
            free(self.second.data)
            free(self.first.data)


cdef bint take_known(
    const uint8_t *file, size_t count, size_t *at, Npz *npz, Content *content
) noexcept nogil:
    return take_known_members(file, count, at, npz, content)


cdef Verdict read_file(
    int directory, const char *path, Piece *file, size_t *count, size_t most
) noexcept nogil:
    cdef int64_t size_bytes
    cdef int fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    if fd < 0:
        return NOT_READ
    size_bytes = lseek(fd, 0, SEEK_END)
    if size_bytes <= 0 or size_bytes > NPZ_BYTES:
        close(fd)
        return DAMAGED
    if <size_t>size_bytes < most:
        most = size_bytes
    if not has_place(file, most):
        close(fd)
        return NO_MEMORY
    count[0] = read_some(fd, <uint8_t *>file.data, most, 0)
    close(fd)
    return BELIEVED if count[0] == most else DAMAGED


cdef size_t read_some(int fd, uint8_t *data, size_t count, int64_t offset) noexcept nogil:
    """As many of `count` bytes as there are."""
    cdef size_t done = 0
    cdef ssize_t got
    while done < count:
        got = pread(fd, data + done, count - done, offset + <int64_t>done)
        if got < 0 and errno == EINTR:
            continue
        if got <= 0:
            break
        done += got
    return done


cdef bint fingerprint(
    int fd, uint64_t size_bytes, uint32_t *head_crc, uint32_t *tail_crc
) noexcept nogil:
    cdef uint8_t piece[FINGERPRINT_BYTES]
    cdef size_t count = min(<uint64_t>FINGERPRINT_BYTES, size_bytes)
    if read_some(fd, piece, count, 0) != count:
        return False
    head_crc[0] = crc32_of(0, piece, count)
    if read_some(fd, piece, count, <int64_t>(size_bytes - count)) != count:
        return False
    tail_crc[0] = crc32_of(0, piece, count)
    return True


cdef class Sidecar:
    """What is known of one savefile; native readers use `columns`.

    Made by `open` and `from_bytes`, which raise SidecarError, or by `builder.build`.
    """

    @staticmethod
    def open(int dir_fd, str name not None):
        """Read the sidecar `name`, a file in the directory `dir_fd`.

        Raises NoSidecarError when there is none and SidecarError when it is not to be believed.
        Whether it is about the savefile as it is now is for `belongs_to` to say.
        """
        cdef Sidecar sidecar = Sidecar.__new__(Sidecar)
        cdef Memory memory = Memory.__new__(Memory)
        cdef bytes path = os.fsencode(name)
        cdef const char *path_at = path
        cdef size_t count = 0
        cdef Array savefile
        cdef Verdict verdict
        cdef int failure = 0
        memory.spare = True
        take_spare(&memory.first)
        take_spare(&memory.second)
        with nogil:
            verdict = read_file(dir_fd, path_at, &memory.first, &count, NPZ_BYTES)
            if verdict == NOT_READ:
                failure = errno
            elif verdict == BELIEVED:
                verdict = load(
                    <const uint8_t *>memory.first.data,
                    count,
                    &sidecar.columns,
                    &sidecar.facts,
                    &savefile,
                    &memory.second,
                )
        if verdict != BELIEVED:
            raise refused(name, verdict, failure)
        sidecar._held = memory
        sidecar._savefile = savefile.data[:savefile.count]
        return sidecar

    @staticmethod
    def from_bytes(bytes data not None):
        """Read a sidecar from its file's bytes; raises SidecarError."""
        cdef Sidecar sidecar = Sidecar.__new__(Sidecar)
        cdef Memory memory = Memory.__new__(Memory)
        cdef size_t count = len(data)
        cdef const uint8_t *at = data
        cdef Array savefile
        cdef Verdict verdict
        # In memory that ends where they end, so that a tool that watches memory sees reads behind.
        if not has_place(&memory.first, count):
            raise MemoryError
        with nogil:
            memcpy(memory.first.data, at, count)
            verdict = load(
                <const uint8_t *>memory.first.data,
                count,
                &sidecar.columns,
                &sidecar.facts,
                &savefile,
                &memory.second,
            )
        if verdict != BELIEVED:
            raise refused("sidecar", verdict, 0)
        sidecar._held = memory
        sidecar._savefile = savefile.data[:savefile.count]
        return sidecar

    def encode(self):
        """The bytes of its file: always the same ones for the same savefile.

        Raises SidecarError where that would be more than MOST_BYTES.
        """
        cdef Output output
        cdef bytes name = self._savefile
        cdef const char *name_at = name
        cdef size_t name_bytes = len(name)
        cdef bytes drawn = os.urandom(8)
        cdef uint64_t seed
        memcpy(&seed, <const char *>drawn, sizeof(seed))
        memset(&output, 0, sizeof(output))
        with nogil:
            put_sidecar(&output, &self.columns, &self.facts, name_at, name_bytes, seed)
        try:
            if output.failed:
                raise SidecarError(f"sidecar of {self.savefile!r}: too large")
            return (<const char *>output.data)[:output.used]
        finally:
            free_output(&output)

    def belongs_to(self, size_bytes, modified_ns, int fd=-1):
        """Whether it was made of the savefile as it is: size, time of modification in ns.

        With `fd`, the savefile opened for reading, its first and last 4096 bytes have to be the
        same too.
        """
        cdef uint32_t head = 0
        cdef uint32_t tail = 0
        cdef bint read
        if self.facts.size_bytes != size_bytes or self.facts.modified_ns != modified_ns:
            return False
        if fd < 0:
            return True
        with nogil:
            read = fingerprint(fd, self.facts.size_bytes, &head, &tail)
        return bool(read and head == self.facts.head_crc and tail == self.facts.tail_crc)

    def blocks(self):
        """(offset, bytes, packets, earliest, latest time in ns) of each block; for tests."""
        cdef const Columns *of = &self.columns
        return [
            (
                of.block_offset[i],
                of.block_offset[i + 1] - of.block_offset[i],
                of.block_packets[i],
                of.block_first_ns[i],
                of.block_last_ns[i],
            )
            for i in range(of.blocks)
        ]

    def classes(self):
        """(known bytes, their mask, blocks) of each class, from the frame's first byte; for tests.

        A byte that is not known is 0. Raises SidecarError for postings that make no sense.
        """
        cdef const Columns *of = &self.columns
        cdef const uint8_t *value = of.values
        cdef uint32_t shape, number, start, prefix, i
        cdef uint32_t at = 0
        cdef bytearray known, mask
        told = []
        for shape in range(of.shapes):
            start = of.shape_offset[shape]
            for number in range(at, at + of.shape_classes[shape]):
                prefix = of.class_prefix[number]
                i = of.prefix_offset[prefix]
                known = bytearray(of.prefix_bytes[i:of.prefix_offset[prefix + 1]])
                mask = bytearray(of.prefix_mask[i:of.prefix_offset[prefix + 1]])
                for i in range(start, of.shape_offset[shape + 1]):
                    mask.append(of.shape_mask[i])
                    known.append(value[0] if of.shape_mask[i] else 0)
                    value += of.shape_mask[i] != 0
                told.append((bytes(known), bytes(mask), self.blocks_of(number)))
            at += of.shape_classes[shape]
        return told

    cdef list blocks_of(self, uint32_t number):
        cdef const Columns *of = &self.columns
        cdef const uint8_t *at = of.postings + of.posting_offset[number]
        cdef const uint8_t *end = of.postings + of.posting_offset[number + 1]
        cdef uint64_t block = 0
        cdef list found = []
        while next_block(&at, end, &block):
            if block >= of.blocks or (found and block <= found[-1]):
                raise SidecarError(f"sidecar of {self.savefile!r}: blocks of class {number}")
            found.append(block)
        if not found or at != end or end[-1] > 0x7F:
            raise SidecarError(f"sidecar of {self.savefile!r}: blocks of class {number}")
        return found

    @property
    def savefile(self):
        """Name of the savefile."""
        return os.fsdecode(self._savefile)

    @property
    def size_bytes(self):
        """Of the savefile."""
        return self.facts.size_bytes

    @property
    def modified_ns(self):
        """When the savefile was modified, ns since 1970."""
        return self.facts.modified_ns

    @property
    def end_offset(self):
        """Byte offset behind the last record that was indexed; what follows was not."""
        return self.facts.end_offset

    @property
    def packets(self):
        """Before `end_offset`."""
        return self.facts.packets

    @property
    def linktype(self):
        """As in the savefile's header, all 32 bits."""
        return self.facts.linktype

    @property
    def snaplen(self):
        """As in the savefile's header."""
        return self.facts.snaplen

    @property
    def ordered(self):
        """Whether times of the packets never go back."""
        return bool(self.facts.ordered)


cdef object refused(str name, Verdict verdict, int failure):
    """The exception of a sidecar that was not believed."""
    shown = name if name.isprintable() else repr(name)
    if verdict == NOT_READ:
        kind = NoSidecarError if failure == ENOENT else SidecarError
        return kind(f"{shown}: {strerror(failure).decode(errors='replace')}")
    if verdict == OTHER_FORMAT:
        return SidecarError(f"{shown}: of another format; {FORMAT} is read here")
    if verdict == NO_MEMORY:
        return MemoryError()
    return SidecarError(f"{shown}: damaged")


def sidecar_name(savefile):
    """What the sidecar of the savefile of that name is called."""
    return savefile + SUFFIX
