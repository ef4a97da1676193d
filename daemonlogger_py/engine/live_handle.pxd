"""An interface opened for capture through libpcap; see live_handle.pyx."""
from libc.stdint cimport uint32_t, uint64_t

from pylibpcap.pcap cimport pcap_stat, pcap_t

from daemonlogger_py.engine.bpf cimport Filter

cdef extern from "<linux/filter.h>" nogil:
    struct sock_filter:
        unsigned short code
        unsigned char jt
        unsigned char jf
        uint32_t k

cdef class LiveHandle:
    cdef pcap_t *handle
    cdef Filter filter
    cdef int capture_fd
    cdef int block_timeout_ms
    cdef bint promiscuous
    cdef unsigned int index  # of the interface; 0 where the kernel has none of that name (any)
    cdef unsigned short hardware  # ARPHRD_ of the interface
    cdef uint64_t kernel_received
    cdef uint64_t kernel_dropped
    cdef uint64_t interface_dropped
    cdef pcap_stat seen
    cdef readonly str interface
    cdef readonly str warning
    cdef readonly int linktype
    cdef readonly int snaplen
    cdef readonly bint nanosecond
    cdef readonly bytes file_header

    cdef void close_handle(self) noexcept
    cdef str error(self)
    cdef unsigned int netmask(self)
    cdef int choose_tstamp_type(self, str name) except -1
    cdef int activate(self, tstamp_type) except -1
    cdef bint rebind(self)
    cdef bytes raw_name(self)
    cdef unsigned short hardware_of(self, unsigned int index)
    cdef void read_statistics(self) noexcept nogil
    cdef int begin_filtered(self, str text) except -1
    cdef bint cooked(self)
    cdef int install(self, Filter compiled) except -1
    cdef int refuse_all(self) noexcept
    cdef void discard(self) noexcept nogil
    cdef int attach(self, sock_filter *instructions, unsigned int count) noexcept nogil
