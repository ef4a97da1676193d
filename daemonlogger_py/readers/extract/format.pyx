"""The file header of a classic savefile, as libpcap understands it, and the filter for its packets.

libpcap itself opens the header: it knows which versions it reads, how long packets may be that a
header says nothing sensible about, and where a filter finds what in packets of the other byte
order. Few savefiles of an archive differ in it.
"""
import os
import sys

from libc.stdint cimport uint8_t, uint32_t
from libc.stdio cimport FILE, fclose
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp
from posix.unistd cimport close, pread

from pylibpcap.pcap cimport pcap_close, pcap_snapshot, pcap_t

from daemonlogger_py.engine.bpf cimport compile_filter, header_of
from daemonlogger_py.engine.libpcap cimport (
    PCAP_ERRBUF_SIZE,
    PCAP_TSTAMP_PRECISION_MICRO,
    PCAP_TSTAMP_PRECISION_NANO,
    pcap_fopen_offline_with_tstamp_precision,
)
from daemonlogger_py.savefile.records cimport FILE_HEADER_BYTES, max_caplen

from daemonlogger_py.errors import SourceError
from daemonlogger_py.savefile.records import parse_file_header

cdef extern from "<stdio.h>":
    FILE *fmemopen(void *memory, size_t size, const char *mode)

cdef extern from "<fcntl.h>" nogil:
    int O_RDONLY, O_CLOEXEC, O_NONBLOCK
    int openat(int directory, const char *path, int flags)

cdef enum:
    MOST_HEADERS = 256

# Linktypes whose packets are bytes of the network alone. Some others begin with words in the byte
# order of the machine that captured them, which libpcap turns around: it reads those.
PLAIN_LINKTYPES = frozenset({0, 1, 6, 9, 12, 50, 51, 101, 104, 105, 107, 108, 127, 192, 228, 229})


def is_scanned(bytes header):
    """Whether records behind this file header can be walked where they lie.

    Everything else that libpcap reads goes through libpcap, record by record.
    """
    found = parse_file_header(header)
    if found is None or found.modified or (found.major, found.minor) != (2, 4):
        return False
    if found.linktype & 0xFFFF0000:
        return False
    return found.native or found.linktype in PLAIN_LINKTYPES


cdef struct Head:
    uint8_t data[FILE_HEADER_BYTES]


def distinct_headers(int dir_fd, names):
    """The file headers that the files of these names in the directory `dir_fd` begin with.

    Each one once, in no order; of more than MOST_HEADERS only so many. Files that cannot be read,
    or are shorter, have none.
    """
    cdef Head found[MOST_HEADERS]
    cdef size_t count = 0
    cdef size_t i
    cdef list paths = [os.fsencode(name) for name in names]
    cdef size_t path_count = len(paths)
    cdef const char **asked = <const char **>malloc((path_count + 1) * sizeof(char *))
    if asked == NULL:
        raise MemoryError
    for i in range(path_count):
        asked[i] = <const char *>(<bytes>paths[i])
    with nogil:
        for i in range(path_count):
            count = note_header(dir_fd, asked[i], found, count)
    free(asked)
    return [(<char *>found[i].data)[:FILE_HEADER_BYTES] for i in range(count)]


cdef size_t note_header(int dir_fd, const char *path, Head *found, size_t count) noexcept nogil:
    cdef Head head
    cdef ssize_t got
    cdef size_t i
    cdef int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    if fd < 0:
        return count
    got = pread(fd, head.data, FILE_HEADER_BYTES, 0)
    close(fd)
    if got != FILE_HEADER_BYTES:
        return count
    for i in range(count):
        if memcmp(found[i].data, head.data, FILE_HEADER_BYTES) == 0:
            return count
    if count < MOST_HEADERS:
        found[count] = head
        count += 1
    return count


cdef class Format:
    """What `header`, the first 24 bytes of a savefile, says; `filter_text` is compiled for it.

    `written` is what libpcap begins a savefile of these packets with, in this machine's byte order
    and with the same resolution of time. Raises SourceError for a header that libpcap refuses,
    FilterError.
    """

    def __init__(self, bytes header not None, str filter_text not None):
        cdef char message[PCAP_ERRBUF_SIZE]
        cdef pcap_t *handle
        cdef FILE *stream
        found = parse_file_header(header)
        if found is None or len(header) != FILE_HEADER_BYTES:
            raise SourceError("not the header of a classic savefile")
        self.header = header
        self.nanosecond = found.nanosecond
        self.swapped = not found._replace(major=2, minor=4, modified=False).native
        self.caplen_limit = max_caplen(found.linktype & 0xFFFF)
        stream = fmemopen(<char *>header, len(header), b"r")
        if stream == NULL:
            raise MemoryError
        handle = pcap_fopen_offline_with_tstamp_precision(
            stream,
            PCAP_TSTAMP_PRECISION_NANO if self.nanosecond else PCAP_TSTAMP_PRECISION_MICRO,
            message,
        )
        if handle == NULL:
            fclose(stream)
            raise SourceError((<bytes>message).decode(errors="replace"))
        try:
            self.snaplen = <uint32_t>pcap_snapshot(handle)
            self.written = header_of(handle, "the savefile")
            self.linktype = int.from_bytes(self.written[20:24], sys.byteorder)
            # Netmask 0, as tcpdump -r has it: a savefile does not say.
            self.filter = compile_filter(handle, filter_text, 0)
            self.accepts_all = not filter_text.strip()
        finally:
            pcap_close(handle)  # and the stream
