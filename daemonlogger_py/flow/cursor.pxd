"""A place in a packet: what is still to be decoded, how much of it was sent, how much is there.

The one place that moves along packet bytes. `captured` never exceeds `length`, so who asks for
captured bytes has asked for both. All functions are pure.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    VARYING_BYTES = 256  # of a frame's first bytes it is said whether they vary

cdef struct Varying:  # what of a frame's headers differs from packet to packet of one flow
    const uint8_t *frame
    uint8_t same[256]  # VARYING_BYTES; a bit that varies is cleared

cdef struct Cursor:
    const uint8_t *at
    uint32_t captured  # bytes that may be read at `at`
    uint32_t length  # bytes that were sent, as the innermost header up to here says; >= captured
    Varying *varying  # who wants to know what varies, or NULL


cdef inline uint16_t be16(const uint8_t *at) noexcept nogil:
    """Read a number in network byte order."""
    return <uint16_t>((at[0] << 8) | at[1])


cdef inline uint32_t be32(const uint8_t *at) noexcept nogil:
    """Read a number in network byte order."""
    return (<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]


cdef inline uint16_t le16(const uint8_t *at) noexcept nogil:
    """Read a number as 802.11 and its capture headers write it."""
    return <uint16_t>((at[1] << 8) | at[0])


cdef inline uint32_t le32(const uint8_t *at) noexcept nogil:
    """Read a number as 802.11 and its capture headers write it."""
    return (<uint32_t>at[3] << 24) | (<uint32_t>at[2] << 16) | (<uint32_t>at[1] << 8) | at[0]


cdef inline void skip(Cursor *cursor, uint32_t count) noexcept nogil:
    """Go on behind a header; the caller has seen that all its `count` bytes were captured."""
    cursor.at += count
    cursor.captured -= count
    cursor.length -= count


cdef inline void vary(
    const Cursor *cursor, const uint8_t *at, uint32_t count, uint8_t same
) noexcept nogil:
    """`count` captured bytes of a header vary from packet to packet, but for the bits `same`."""
    cdef size_t place
    cdef uint32_t i
    if cursor.varying == NULL:
        return
    place = at - cursor.varying.frame
    for i in range(count):
        if place + i < VARYING_BYTES:
            cursor.varying.same[place + i] &= same


cdef inline void limit(Cursor *cursor, uint32_t length) noexcept nogil:
    """Leave out what is behind `length` bytes: padding, or a checksum of the link."""
    if length < cursor.length:
        cursor.length = length
        if cursor.captured > length:
            cursor.captured = length
