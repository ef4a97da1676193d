"""What is known of a stream once it is closed: what reports are made from."""
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Range

cdef struct Closed:
    uint64_t number
    uint64_t session
    uint64_t packets
    uint64_t length_bytes
    uint64_t captured_bytes
    uint64_t first_ns
    uint64_t last_ns
    uint64_t stream_bytes  # from its first byte to behind its last, gaps included
    uint64_t gap_bytes
    uint64_t differing_bytes  # received again with other content
    uint32_t out_of_order
    uint32_t retransmissions
    uint32_t violations
    uint32_t gap_count
    Range *gaps  # of the file: offsets from its first byte; malloc'ed, the holder's to free
    char *name  # relative to the output directory; NULL: no file; malloc'ed, the holder's to free
    uint8_t family  # 4 or 6
    uint8_t why  # flow.pxd's Why
    bint to_server
    bint guessed  # which side is the server
    bint syn  # the beginning of the stream was seen
    bint has_macs
    bint other_open  # the stream of the other direction is not closed yet
    uint8_t vlan_count
    uint16_t vlans[4]
    uint8_t mac_source[6]
    uint8_t mac_destination[6]
    uint8_t source[16]
    uint8_t destination[16]
    uint16_t source_port
    uint16_t destination_port
