"""What is known of a frame by its headers alone; see layers.pyx."""
from libc.stdint cimport uint32_t

from daemonlogger_py.flow.cursor cimport Varying
from daemonlogger_py.flow.packet cimport Packet

cdef struct Layers:
    Varying known  # of the bytes before `end`, those bits are known that are set in known.same
    uint32_t split  # from here on bytes differ from host to host: addresses, ports, what is inside
    uint32_t end  # at most VARYING_BYTES and packet.caplen

# Walk over the headers of packet.data, of which only data, caplen and origlen have to be set.
cdef void find_layers(uint32_t linktype, Packet *packet, Layers *layers) noexcept nogil
