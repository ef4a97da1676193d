"""File names of streams, from a template; see names.pyx."""
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.readers.streams.text cimport Text

cdef struct Piece:
    uint8_t token  # a Token
    uint32_t start  # a literal's bytes are literals[start : start + count]
    uint32_t count

cdef class Template:
    cdef readonly str text
    cdef char *literals
    cdef Piece *pieces
    cdef uint32_t piece_count
    cdef bint always_count
    cdef bint squeezes  # a component may be empty

    cdef take(self, list components)

    # Append the name of flow.streams[side], relative to the output directory, without a NUL.
    # `count` is the connection counter: how many earlier files have this name without it.
    cdef void write(self, Text *name, const Flow *flow, int side, uint64_t count) noexcept nogil

# Append an IPv4 or IPv6 address (flow.pxd: family 4 or 6) as text, octets not padded.
cdef void put_address(Text *text, int family, const uint8_t *address) noexcept nogil

# Fill what names are made from, `source` being side 0. Raises ValueError.
cdef set_flow(
    Flow *flow, str source, int source_port, str destination, int destination_port,
    uint64_t session, vlans, macs,
)
