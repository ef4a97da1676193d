"""A savefile or a pipe, its format recognised; see offline_handle.pyx."""
from libc.stdint cimport int64_t, uint32_t
from libc.stdio cimport FILE

from pylibpcap.pcap cimport pcap_t

from daemonlogger_py.engine.bpf cimport Filter

cdef struct Stream:
    # Where libpcap reads from: what was read to recognise the format, then the descriptor.
    int fd
    int wake_fd
    bint waits  # a pipe or a terminal: reading may block
    bint finishing
    bint interrupted  # a signal handler raised; its exception is pending
    const char *prefix
    size_t prefix_bytes
    int64_t given

cdef class OfflineHandle:
    cdef pcap_t *handle
    cdef FILE *file  # the handle's, over `stream`
    cdef Filter filter
    cdef Stream stream
    cdef bytes prefix
    cdef bint native  # classic pcap in this machine's byte order: libpcap is not needed
    cdef uint32_t cut  # bytes kept of each packet; 0: all
    cdef uint32_t own_snaplen  # of the file, which libpcap cuts to
    cdef uint32_t fraction_ns  # of one unit of a record's fraction, as it is in the file
    cdef uint32_t fraction_scale  # times this it is as asked for
    cdef uint32_t caplen_limit
    cdef int64_t offset  # in the file, of the next record
    cdef readonly str name
    cdef readonly int linktype
    cdef readonly int snaplen
    cdef readonly bint nanosecond
    cdef readonly bytes file_header

    cdef void close_handle(self) noexcept
    cdef bytes read_block(self, size_t size)
    cdef bytes read_prefix(self, size_t size)
    cdef bytes read_interfaces(self, bytes head)
    cdef int open_handle(self) except -1


cdef inline int raise_pending() except -1:
    """Let the exception out that a signal handler has raised."""
    return -1
