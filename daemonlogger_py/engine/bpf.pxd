"""A compiled filter; see bpf.pyx."""
from pylibpcap.pcap cimport bpf_insn, pcap_t

from daemonlogger_py.engine.libpcap cimport program

cdef class Filter:
    cdef program compiled
    cdef readonly str text

    cdef bpf_insn *instructions(self) noexcept

cdef Filter compile_filter(pcap_t *handle, str text, unsigned int netmask)
cdef bytes header_of(pcap_t *handle, str source)
