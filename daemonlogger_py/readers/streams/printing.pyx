"""Bytes of packets as text for the console, in the forms that tcpflow(1) has.

One form for all: as printable characters, raw, hexadecimal (-D) or JSON (-J), with the stream's
name before it (-c) or not (-C), in colour (-g), with a line end behind it or not (-0). Which bytes
are printed, and when, is up to the sinks in console.pyx; how they get out, to outlet.pyx.
"""
import os

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from daemonlogger_py.flow.flow cimport Flow
from daemonlogger_py.readers.streams.names cimport Template, put_address
from daemonlogger_py.readers.streams.outlet cimport Outlet
from daemonlogger_py.readers.streams.text cimport (
    Text,
    free_text,
    has_room,
    put,
    put_char,
    put_decimal,
)

cdef enum:
    FLUSH_BYTES = 1048576
    HEX_BYTES = 32  # in a line of -D
    JSON_BYTES = 4  # at most, of one byte of a packet
    PRINTABLE_BYTES = 32  # taken at once

cdef char[256][JSON_BYTES] decimal  # each byte's value in decimal and a comma
cdef uint8_t[256] decimal_bytes  # how long that is


def _fill_decimal():
    cdef bytes written
    for value in range(256):
        written = b"%d," % value
        decimal_bytes[value] = len(written)
        memcpy(decimal[<int>value], <const char *>written, len(written))


_fill_decimal()


cdef class Printing:
    """How bytes are printed, and to where.

    `prefix` goes before each name, as the output directory does. `max_bytes` is how many bytes of
    each stream are printed (-b); None: all.
    """

    def __init__(
        self,
        Outlet outlet not None,
        Template template not None,
        *,
        str prefix="",
        bint names=True,
        bint raw=False,
        bint hex=False,
        bint colour=False,
        bint newline=True,
        bint json=False,
        max_bytes=None,
    ):
        cdef bytes encoded = os.fsencode(prefix)
        self.outlet = outlet
        self.template = template
        free(self.prefix)
        self.prefix = <char *>malloc(len(encoded) + 1)
        if self.prefix == NULL:
            raise MemoryError
        self.prefix_bytes = len(encoded)
        memcpy(self.prefix, <const char *>encoded, len(encoded))
        self.names = names
        self.raw = raw
        self.hex = hex
        self.colour = colour
        self.newline = newline
        self.json = json
        self.max_bytes = INT64_MAX if max_bytes is None else max_bytes

    def __dealloc__(self):
        free(self.prefix)
        free_text(&self.text)

    cdef int add(
        self, const Flow *flow, int side, int64_t before, const uint8_t *data, uint32_t count
    ) noexcept nogil:
        if before >= self.max_bytes:
            return 0
        if before > self.max_bytes - <int64_t>count:
            count = <uint32_t>(self.max_bytes - before)
        self.begin(flow, side)
        if self.hex:
            if self.names and not self.json:
                self.put_name(flow, side)
                put(&self.text, ": \n", 3)
            put_hex(&self.text, data, count)
        elif self.json:
            put_ends(&self.text, flow, side)
            put_json(&self.text, data, count)
        else:
            if self.names:
                self.put_name(flow, side)
                put(&self.text, ": ", 2)
            if self.raw:
                put(&self.text, data, count)
            else:
                put_printable(&self.text, data, count)
        return self.end()

    cdef int add_gap(self, const Flow *flow, int side, int64_t count) noexcept nogil:
        if self.raw and not (self.hex or self.json):
            return 0
        self.begin(flow, side)
        if self.json:
            put_ends(&self.text, flow, side)
            put(&self.text, "\"missing\": ", 11)
            put_decimal(&self.text, <uint64_t>count, 1)
            put_char(&self.text, b"}")
        else:
            if self.names:
                self.put_name(flow, side)
                put(&self.text, ": ", 2)
            put_char(&self.text, b"[")
            put_decimal(&self.text, <uint64_t>count, 1)
            put(&self.text, " bytes missing]", 15)
        if self.hex:
            put_char(&self.text, b"\n")
        return self.end()

    cdef int flush(self) noexcept nogil:
        return self.outlet.write(&self.text)

    cdef object failure(self):
        return self.outlet.failure()

    cdef void put_name(self, const Flow *flow, int side) noexcept nogil:
        put(&self.text, self.prefix, self.prefix_bytes)
        self.template.write(&self.text, flow, side, 0)

    cdef void begin(self, const Flow *flow, int side) noexcept nogil:
        """Blue for what a client sends, if it is known to be one; else red."""
        if self.colour:
            if flow.client == side and not flow.client_guessed:
                put(&self.text, "\033[0;34m", 7)
            else:
                put(&self.text, "\033[0;31m", 7)

    cdef int end(self) noexcept nogil:
        if self.colour:
            put(&self.text, "\033[0m", 4)
        if self.newline:
            put_char(&self.text, b"\n")
        if self.text.used >= FLUSH_BYTES or self.text.failed:
            return self.flush()
        return 0


cdef void put_printable(Text *text, const uint8_t *data, uint32_t count) noexcept nogil:
    """What a terminal would obey becomes a dot: all but line ends and printable ASCII."""
    cdef uint8_t block[PRINTABLE_BYTES]
    cdef uint8_t *target
    cdef uint32_t whole = count - count % PRINTABLE_BYTES
    cdef uint32_t at = 0
    cdef int i
    if not has_room(text, count):
        return
    target = <uint8_t *>text.data + text.used
    while at < whole:
        # Of its own, and with a count that is known, the compiler takes all of them at once.
        memcpy(block, data + at, PRINTABLE_BYTES)
        for i in range(PRINTABLE_BYTES):
            block[i] = printable_or_line_end(block[i])
        memcpy(target + at, block, PRINTABLE_BYTES)
        at += PRINTABLE_BYTES
    for at in range(whole, count):
        target[at] = printable_or_line_end(data[at])
    text.used += count


cdef inline uint8_t printable_or_line_end(uint8_t value) noexcept nogil:
    cdef uint8_t kept = -<uint8_t>(
        (<uint8_t>(value - 0x20) < 0x5F) | (value == 10) | (value == 13)
    )
    return value & kept | 0x2E & ~kept


cdef void put_hex(Text *text, const uint8_t *data, uint32_t count) noexcept nogil:
    """Lines of 32 bytes, in hexadecimal and as characters; as wide as the packet's first line."""
    cdef uint32_t width = hex_width(min(count, <uint32_t>HEX_BYTES))
    cdef uint32_t at = 0
    cdef uint32_t length
    while at < count:
        length = min(count - at, <uint32_t>HEX_BYTES)
        put_hex_line(text, at, data + at, length, width)
        at += length


cdef inline uint32_t hex_width(uint32_t count) noexcept nogil:
    return 2 * count + count // 2


cdef void put_hex_line(
    Text *text, uint32_t at, const uint8_t *data, uint32_t count, uint32_t width
) noexcept nogil:
    cdef const char *digits = "0123456789abcdef"
    cdef int shift = 12
    cdef char *target
    cdef uint32_t i
    if not has_room(text, 8 + 2 + hex_width(HEX_BYTES) + 1 + HEX_BYTES + 1):
        return
    target = text.data + text.used
    while at >> shift > 15:
        shift += 4
    while shift >= 0:
        target[0] = digits[at >> shift & 15]
        target += 1
        shift -= 4
    target[0] = b":"
    target[1] = b" "
    target += 2
    for i in range(count):
        target[0] = digits[data[i] >> 4]
        target[1] = digits[data[i] & 15]
        target += 2
        if i % 2:
            target[0] = b" "
            target += 1
    memset(target, b" ", width + 1 - hex_width(count))
    target += width + 1 - hex_width(count)
    for i in range(count):
        target[i] = data[i] if <uint8_t>(data[i] - 0x20) < 0x5F else b"."
    target[count] = b"\n"
    text.used = target + count + 1 - text.data


cdef void put_ends(Text *text, const Flow *flow, int side) noexcept nogil:
    """The beginning of a JSON object, up to what is said of those two ends."""
    put(text, "{\"src_host\":\"", 13)
    put_address(text, flow.family, flow.addresses[side])
    put(text, "\",\"src_port\":", 13)
    put_decimal(text, flow.ports[side], 1)
    put(text, ",\"dst_host\":\"", 13)
    put_address(text, flow.family, flow.addresses[1 - side])
    put(text, "\",\"dst_port\":", 13)
    put_decimal(text, flow.ports[1 - side], 1)
    put_char(text, b",")


cdef void put_json(Text *text, const uint8_t *data, uint32_t count) noexcept nogil:
    cdef char *target
    cdef uint32_t i
    put(text, "\"payload\": [", 12)
    if has_room(text, <size_t>count * JSON_BYTES):
        target = text.data + text.used
        for i in range(count):
            memcpy(target, decimal[data[i]], JSON_BYTES)
            target += decimal_bytes[data[i]]
        # The last comma goes.
        text.used = target - text.data - (1 if count else 0)
    put(text, "]}", 2)
