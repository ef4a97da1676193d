"""How fine the time stamps of a pcapng capture are, read from its first bytes.

libpcap gives out microseconds unless asked for nanoseconds before it opens the file, so this has
to be known first. Everything else about pcapng is libpcap's.

Layout and numbers: draft-ietf-opsawg-pcapng, sections 3.1 (blocks), 3.5 (options), 4.1 (Section
Header Block), 4.2 (Interface Description Block and if_tsresol).
"""

from typing import Literal

# More than this is not looked at: interface descriptions stand before the packets.
PREFIX_BYTES = 64 << 10

_SECTION_HEADER = 0x0A0D0D0A  # a palindrome, so that it can be found before the byte order
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_INTERFACE_DESCRIPTION = 1
_PACKETS = frozenset({2, 3, 6})  # Packet (obsolete), Simple Packet, Enhanced Packet
_SMALLEST_BLOCK = 12  # type, length, length again
_SMALLEST_SECTION_HEADER = 28
_INTERFACE_OPTIONS = 16  # after type, length, linktype, reserved and snaplen
_END_OF_OPTIONS = 0
_IF_TSRESOL = 9

_ByteOrder = Literal["little", "big"]


def time_resolution(prefix: bytes) -> Literal["us", "ns"]:
    """Return "ns" if an interface described before the first packet has finer times than 1 us.

    prefix is the beginning of a capture of any format, of any length. Damage ends the reading;
    what was found before it counts.
    """
    interfaces, _ = _scan(prefix)
    return "ns" if any(_is_fine(body, order) for body, order in interfaces) else "us"


def wants_more(prefix: bytes) -> Literal["no", "if there", "yes"]:
    """Tell whether the bytes after prefix could change its `time_resolution`.

    "if there": an interface is described, others may follow, but nothing has to.
    """
    interfaces, ended = _scan(prefix)
    if ended or any(_is_fine(body, order) for body, order in interfaces):
        return "no"
    return "if there" if interfaces else "yes"


def _scan(prefix: bytes) -> tuple[list[tuple[bytes, _ByteOrder]], bool]:
    """The interface descriptions before the first packet, and whether there can be no more."""
    ended = len(prefix) >= PREFIX_BYTES
    prefix = prefix[:PREFIX_BYTES]
    interfaces: list[tuple[bytes, _ByteOrder]] = []
    order: _ByteOrder | None = None
    start = 0
    while start + _SMALLEST_BLOCK <= len(prefix):
        if int.from_bytes(prefix[start : start + 4], "little") == _SECTION_HEADER:
            order = _section_order(prefix, start)
        if order is None:
            return interfaces, True
        block_type = int.from_bytes(prefix[start : start + 4], order)
        length = int.from_bytes(prefix[start + 4 : start + 8], order)
        smallest = _SMALLEST_SECTION_HEADER if block_type == _SECTION_HEADER else _SMALLEST_BLOCK
        if block_type in _PACKETS or length < smallest or length % 4:
            return interfaces, True
        if block_type == _INTERFACE_DESCRIPTION:
            # The closing length is not an option; of a block that is cut off, all there is counts.
            interfaces.append((prefix[start : start + length - 4], order))
        start += length
    return interfaces, ended


def _section_order(prefix: bytes, start: int) -> _ByteOrder | None:
    magic = prefix[start + 8 : start + 12]
    if int.from_bytes(magic, "little") == _BYTE_ORDER_MAGIC:
        return "little"
    if int.from_bytes(magic, "big") == _BYTE_ORDER_MAGIC:
        return "big"
    return None


def _is_fine(block: bytes, order: _ByteOrder) -> bool:
    """Tell whether an Interface Description Block says that its times are finer than 1 us."""
    start = _INTERFACE_OPTIONS
    while start + 4 <= len(block):
        code = int.from_bytes(block[start : start + 2], order)
        length = int.from_bytes(block[start + 2 : start + 4], order)
        value = block[start + 4 : start + 4 + length]
        if code == _END_OF_OPTIONS or len(value) < length:
            return False
        if code == _IF_TSRESOL and length == 1 and _finer_than_microsecond(value[0]):
            return True
        start += 4 + (length + 3) // 4 * 4
    return False


def _finer_than_microsecond(tsresol: int) -> bool:
    # The high bit chooses the base; 2^-20 is the first power of two below 10^-6.
    return tsresol & 0x7F >= 20 if tsresol & 0x80 else tsresol > 6
