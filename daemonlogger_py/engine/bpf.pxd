"""A compiled filter; see bpf.pyx."""
from pylibpcap.pcap cimport pcap_t

from daemonlogger_py.engine.libpcap cimport program

cdef class Filter:
    cdef program compiled
    cdef readonly str text

cdef Filter compile_filter(pcap_t *handle, str text, unsigned int netmask)
cdef bytes header_of(pcap_t *handle, str source)
