"""Packets as they were recorded, sorted into savefiles: one for each stream's addresses (-K), and
one for those that belong to no stream (-w).

Records are copied as they stand, with the linktype, snaplen and time resolution of the savefile
they came from; packets of different linktypes are never mixed in one file. Those of -K are in the
output directory (piles.pyx); that of -w is where the user names it.
"""
import os
import stat
import struct
from contextlib import suppress

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.stalls import open_output

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.flow.packet cimport Packet
from daemonlogger_py.flow.sink cimport Sink
from daemonlogger_py.readers.streams.copying cimport (
    MAGIC_NS,
    SNAPLEN_AT,
    FileHeader,
    put_record,
    read_header,
)
from daemonlogger_py.readers.streams.files cimport Files
from daemonlogger_py.readers.streams.outlet cimport Outlet
from daemonlogger_py.readers.streams.piles cimport Piles
from daemonlogger_py.readers.streams.text cimport Text, free_text, has_room, put
from daemonlogger_py.savefile.records cimport (
    FILE_HEADER_BYTES,
    RECORD_HEADER_BYTES,
    max_caplen,
)

cdef enum:
    FLUSH_BYTES = 1048576


cdef FileHeader header_from(const uint8_t[::1] data):
    cdef FileHeader header
    if data.shape[0] != FILE_HEADER_BYTES or not read_header(&header, &data[0]):
        raise ValueError("not the 24 bytes that begin a savefile of this machine")
    return header


cdef class FlowPcaps(Sink):
    """Writes all TCP packets between two addresses and ports, one direction, to NAME.pcap.

    A file goes on when its addresses and ports are used again. `files` name it, with the number of
    the file for that of the stream. `memory_bytes` is how much waits to be written at most.
    `max_files` is how many files are known at most: the one without a packet for longest is
    forgotten, and should one come after all, another begins under the next free name. Another
    linktype or time resolution begins another, too. With `prompt` nothing waits longer than one
    feed.
    """

    cdef Piles piles
    cdef FileHeader header
    cdef bint begun
    cdef bint prompt

    def __init__(
        self, Files files not None, *, memory_bytes=8388608, max_files=1000000, bint prompt=False
    ):
        self.piles = Piles(files, memory_bytes, max_files)
        self.prompt = prompt
        self.wants_packets = True

    def source(self, const uint8_t[::1] file_header not None):
        """The next packets are of the source that these 24 bytes begin savefiles of.

        Raises ValueError if they are something else.
        """
        self.header = header_from(file_header)
        self.begun = True

    def close(self):
        """Write what waits, and close and date all files. Raises StorageError."""
        cdef int outcome
        with nogil:
            outcome = self.piles.finish()
        if outcome != 0:
            raise self.failure()

    @property
    def packets(self):
        """Packets taken."""
        return self.piles.packets

    @property
    def created(self):
        """Files created."""
        return self.piles.created

    @property
    def forgotten(self):
        """Files that were forgotten for their number."""
        return self.piles.forgotten

    cdef object failure(self):
        return self.piles.failure() if self.begun else ValueError("packets of no source")

    cdef int packet(self, Flow *flow, int side, const Packet *packet) noexcept nogil:
        return self.piles.put(flow, side, &self.header, packet) if self.begun else -1

    cdef int fed(self) noexcept nogil:
        return self.piles.flush() if self.prompt else 0


cdef class Unprocessed(Sink):
    """Writes IP packets that belong to no stream of TCP to the savefile `path`, or stdout for `-`.

    What is there is overwritten. Packets of another linktype, and those with nanoseconds behind
    others without, go to new files: `path`.1, `path`.2 and so on, past numbers that are taken.
    `paths` are the files there are. With `prompt` nothing waits longer than one feed. A FIFO is
    opened once somebody reads it. Raises StorageError, and StalledError where a reader, or that
    nobody reads, holds it up once `stopping` is requested.
    """

    cdef readonly uint64_t packets
    cdef readonly list paths
    cdef str path
    cdef uint64_t number
    cdef bint prompt
    cdef object stopping
    cdef list copies
    cdef Copy current

    def __init__(self, str path not None, *, bint prompt=False, stopping=None):
        self.path = path
        self.prompt = prompt
        self.stopping = stopping
        self.wants_unprocessed = True
        self.paths = [path]
        self.copies = [self.open_first()]

    def source(self, const uint8_t[::1] file_header not None):
        """The next packets are of the source that these 24 bytes begin savefiles of.

        Raises ValueError if they are something else, StorageError, and OSError for what standard
        output does not take.
        """
        cdef FileHeader header = header_from(file_header)
        cdef Copy copy
        for copy in self.copies:
            if copy.takes(&header):
                break
        else:
            if self.path == "-":
                raise StorageError(
                    f"standard output: packets of linktype {header.linktype & 0xFFFF} cannot "
                    "follow those of another linktype or time resolution in one savefile"
                )
            copy = Copy(self.open_next())
            self.copies.append(copy)
        try:
            copy.begin(&header)
        except OSError as error:
            raise self.described(error) from error
        self.current = copy

    def close(self):
        """Write what waits, and close the files. May be called twice.

        Raises StorageError, and OSError for what standard output does not take.
        """
        cdef Copy copy
        cdef int outcome
        failures = []
        for copy in self.copies:
            with nogil:
                outcome = copy.flush()
            if outcome != 0:
                failures.append(copy.outlet.failure())
            if copy.outlet.fd != 1:
                os.close(copy.outlet.fd)
        self.copies = []
        self.current = None
        if failures:
            raise self.described(failures[0])

    cdef Copy open_first(self):
        if self.path == "-":
            return Copy(1, self.stopping, "standard output")
        fd = open_savefile(self.path, os.O_TRUNC, self.stopping)
        return Copy(fd, self.stopping, f"-w {self.path}")

    cdef object open_next(self):
        """A new file: under a name of our own making there may be anything, a source even."""
        while True:
            self.number += 1
            path = f"{self.path}.{self.number}"
            with suppress(FileExistsError):
                fd = open_savefile(path, os.O_EXCL | os.O_NOFOLLOW)
                self.paths.append(path)
                return fd

    cdef object described(self, failure):
        if self.path == "-" or not isinstance(failure, OSError):
            return failure
        return StorageError(f"{self.path}: {failure.strerror}")

    cdef object failure(self):
        if self.current is None:
            return ValueError("packets of no source")
        return self.described(self.current.outlet.failure())

    cdef int unprocessed(self, const Packet *packet) noexcept nogil:
        if self.current is None:
            return -1
        self.packets += 1
        return self.current.add(packet)

    cdef int fed(self) noexcept nogil:
        if self.prompt and self.current is not None:
            return self.current.flush()
        return 0


cdef object open_savefile(str path, int flags, stopping=None):
    """Raises StorageError, and FileExistsError where `flags` ask for a new file."""
    flags |= os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        if stopping is None:
            return os.open(path, flags, 0o666)
        return open_output(path, flags, stopping, name=f"-w {path}")
    except FileExistsError:
        raise
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error


cdef class Copy:
    """One savefile of -w, written to `fd`, which stays the caller's."""

    cdef Outlet outlet
    cdef FileHeader header  # zeroed until it is begun
    cdef Text text
    cdef bint is_regular

    def __cinit__(self, int fd, stopping=None, str name=""):
        self.outlet = Outlet(fd, stopping=stopping, name=name)
        self.is_regular = stat.S_ISREG(os.fstat(fd).st_mode)
        memset(&self.header, 0, sizeof(FileHeader))

    def __dealloc__(self):
        free_text(&self.text)

    cdef bint takes(self, const FileHeader *header):
        """Whether packets from behind such a header lose nothing here."""
        return self.header.magic == 0 or (
            self.header.linktype == header.linktype
            and self.header.magic in (header.magic, MAGIC_NS)
        )

    cdef begin(self, const FileHeader *header):
        """Packets from behind such a header are going to come."""
        cdef int outcome
        if self.header.magic == 0:
            self.header = header[0]
            if not self.is_regular:
                # What is in a pipe cannot be corrected when a source with a larger one follows.
                self.header.snaplen = max(header.snaplen, max_caplen(header.linktype & 0xFFFF))
            put(&self.text, &self.header, FILE_HEADER_BYTES)
            with nogil:
                outcome = self.flush()
            if outcome != 0:
                raise self.outlet.failure()
        elif self.is_regular and header.snaplen > self.header.snaplen:
            self.header.snaplen = header.snaplen
            os.pwrite(self.outlet.fd, struct.pack("=I", header.snaplen), SNAPLEN_AT)

    cdef int add(self, const Packet *packet) noexcept nogil:
        cdef size_t size = RECORD_HEADER_BYTES + <size_t>packet.caplen
        if has_room(&self.text, size):
            put_record(<uint8_t *>self.text.data + self.text.used, packet, &self.header)
            self.text.used += size
        if self.text.used >= FLUSH_BYTES or self.text.failed:
            return self.flush()
        return 0

    cdef int flush(self) noexcept nogil:
        return self.outlet.write(&self.text)
