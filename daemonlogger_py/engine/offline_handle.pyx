"""A savefile or a pipe, its format recognised, open to be read here or by libpcap.

What was read to recognise the format is not lost: libpcap reads through a stream that gives it
out again, and that serves signals while a pipe stalls. Packets are offline.pyx's.
"""
import os
import stat
import struct

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport FILE, SEEK_CUR, fclose
from libc.string cimport memcpy
from posix.unistd cimport read

from pylibpcap.pcap cimport pcap_close, pcap_datalink, pcap_snapshot

from daemonlogger_py.engine.bpf cimport compile_filter, header_of
from daemonlogger_py.engine.libpcap cimport (
    PCAP_ERRBUF_SIZE,
    PCAP_TSTAMP_PRECISION_MICRO,
    PCAP_TSTAMP_PRECISION_NANO,
    pcap_fopen_offline_with_tstamp_precision,
)
from daemonlogger_py.engine.wait cimport wait_readable
from daemonlogger_py.savefile.records cimport FILE_HEADER_BYTES, max_caplen

from daemonlogger_py.engine.protocol import NEVER_NS as _NEVER_NS
from daemonlogger_py.errors import SourceError
from daemonlogger_py.savefile.pcapng import PREFIX_BYTES as _PREFIX_BYTES
from daemonlogger_py.savefile.pcapng import time_resolution, wants_more
from daemonlogger_py.savefile.records import parse_file_header

cdef extern from "Python.h":
    int PyErr_CheckSignals()  # without "except": what a handler raised stays pending

cdef extern from "<stdio.h>" nogil:
    ctypedef long off64_t
    ctypedef struct cookie_io_functions_t:
        ssize_t (*read)(void *cookie, char *buffer, size_t size) noexcept
        ssize_t (*write)(void *cookie, const char *buffer, size_t size) noexcept
        int (*seek)(void *cookie, off64_t *offset, int whence) noexcept
        int (*close)(void *cookie) noexcept
    FILE *fopencookie(void *cookie, const char *mode, cookie_io_functions_t functions)

cdef uint64_t NEVER_NS = _NEVER_NS


cdef ssize_t stream_read(void *cookie, char *buffer, size_t size) noexcept nogil:
    cdef Stream *stream = <Stream *>cookie
    cdef char drained[64]
    cdef ssize_t got
    cdef int ready
    if stream.given < <int64_t>stream.prefix_bytes:
        size = min(size, stream.prefix_bytes - <size_t>stream.given)
        memcpy(buffer, stream.prefix + stream.given, size)
        stream.given += size
        return size
    while not stream.finishing and not stream.interrupted:
        # A pipe may stall in the middle of a record, where libpcap cannot be left: signals are
        # served from here, and one that ends the reading sets `finishing`.
        if stream.waits:
            ready = wait_readable(stream.fd, stream.wake_fd, NEVER_NS)
            if ready < 0:
                read(stream.wake_fd, drained, sizeof(drained))
            if ready != 1:  # also interrupted by a signal that does not wake
                with gil:
                    stream.interrupted = PyErr_CheckSignals() != 0
                continue
        got = read(stream.fd, buffer, size)
        if got >= 0:
            stream.given += got
            return got
        if errno != EINTR and errno != EAGAIN:
            return -1
    return 0


cdef int stream_seek(void *cookie, off64_t *offset, int whence) noexcept nogil:
    if whence != SEEK_CUR or offset[0] != 0:
        return -1
    offset[0] = (<Stream *>cookie).given
    return 0


cdef class OfflineHandle:
    """A libpcap handle of the savefile or pipe open as `fd`; see `FileSource` for what it takes.

    Raises SourceError for what is no savefile, FilterError.
    """

    def __cinit__(self):
        self.handle = NULL

    def __init__(
        self,
        int fd,
        *,
        str name,
        int wake_fd,
        str filter_text="",
        int snaplen=0,
        bint nanosecond=False,
    ):
        self.name = name
        self.cut = snaplen
        self.stream.fd = fd
        self.stream.wake_fd = wake_fd
        self.stream.waits = not stat.S_ISREG(os.fstat(fd).st_mode)
        head = self.read_prefix(FILE_HEADER_BYTES)
        header = parse_file_header(head)
        self.native = header is not None and header.native and header.linktype & 0x03FF0000 == 0
        if header is not None:
            own_nanosecond = header.nanosecond
        else:
            head = self.read_interfaces(head)
            own_nanosecond = time_resolution(head) == "ns"
        self.prefix = head
        self.stream.prefix = <const char *>self.prefix
        self.stream.prefix_bytes = len(head)
        self.nanosecond = nanosecond or own_nanosecond
        self.fraction_ns = 1 if own_nanosecond else 1000
        self.fraction_scale = 1000 if self.nanosecond and not own_nanosecond else 1
        self.open_handle()
        self.linktype = pcap_datalink(self.handle)
        self.snaplen = pcap_snapshot(self.handle)
        self.own_snaplen = <uint32_t>self.snaplen
        self.file_header = header_of(self.handle, f"-R {name}")
        self.offset = FILE_HEADER_BYTES if header is not None else 0
        if header is not None:
            self.caplen_limit = max_caplen(header.linktype & 0xFFFF)
        if self.cut:
            self.snaplen = min(self.snaplen, <int>self.cut)
            self.file_header = (
                self.file_header[:16] + struct.pack("=I", self.snaplen) + self.file_header[20:]
            )
        self.refilter(filter_text)

    def __dealloc__(self):
        self.close_handle()

    cdef void close_handle(self) noexcept:
        if self.handle != NULL:
            pcap_close(self.handle)  # and the file
            self.handle = NULL

    cdef bytes read_block(self, size_t size):
        try:
            return os.read(self.stream.fd, size)
        except OSError as error:
            raise SourceError(f"-R {self.name}: {error.strerror}") from None

    cdef bytes read_prefix(self, size_t size):
        head = b""
        while len(head) < size:
            block = self.read_block(size - len(head))
            if not block:
                break
            head += block
        return head

    cdef bytes read_interfaces(self, bytes head):
        """As much more as it takes to know the resolution of a pcapng capture's interfaces."""
        while (wanted := wants_more(head)) != "no":
            # The first interface is waited for, as libpcap does; a further one may never come.
            if wanted == "if there" and wait_readable(self.stream.fd, self.stream.wake_fd, 0) != 1:
                break
            block = self.read_block(_PREFIX_BYTES)  # of a packet pipe, a short read loses the rest
            if not block:
                break
            head += block
        return head

    cdef int open_handle(self) except -1:
        cdef char errbuf[PCAP_ERRBUF_SIZE]
        cdef unsigned int precision = (
            PCAP_TSTAMP_PRECISION_NANO if self.nanosecond else PCAP_TSTAMP_PRECISION_MICRO
        )
        cdef cookie_io_functions_t functions
        functions.read = stream_read
        functions.write = NULL
        functions.seek = stream_seek
        functions.close = NULL
        self.file = fopencookie(&self.stream, "r", functions)
        if self.file == NULL:
            raise MemoryError
        with nogil:  # a pipe may keep it waiting
            self.handle = pcap_fopen_offline_with_tstamp_precision(self.file, precision, errbuf)
        if self.stream.interrupted:
            if self.handle == NULL:
                fclose(self.file)
            raise_pending()
        if self.handle == NULL:
            fclose(self.file)
            raise SourceError(
                f"-R {self.name}: not a savefile, at byte offset 0: "
                f"{errbuf.decode(errors='replace')}"
            )
        return 0

    def refilter(self, str text):
        """Replace the filter by `text` ("" for none). Raises FilterError, keeping the old one."""
        if self.handle == NULL:
            raise ValueError("the source is closed")
        # Netmask 0, as tcpdump -r has it: a savefile does not say.
        self.filter = compile_filter(self.handle, text, 0) if text else None
