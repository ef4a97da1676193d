"""Frames decoded to their innermost transport header; see decode.pyx."""
from libc.stdint cimport uint8_t, uint32_t

from daemonlogger_py.flow.packet cimport Packet

# Whether frames of this linktype (pcap-linktype(7); its low 16 bits) can be decoded.
cdef bint decodable(uint32_t linktype) noexcept nogil
# Decode packet.data; all fields below "Set by decode" are set. `tunnels`: enter GRE and the others.
cdef void decode(uint32_t linktype, Packet *packet, bint tunnels) noexcept nogil
# Go on with an IP payload put together from the fragments of which `packet` was the last.
cdef void decode_datagram(
    Packet *packet, const uint8_t *payload, uint32_t captured, uint32_t length, bint tunnels
) noexcept nogil
