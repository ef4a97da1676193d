"""The first bytes of a classic savefile: its header, and the time of its first packet.

Format: draft-ietf-opsawg-pcap, sections 4 and 5.
"""

from struct import unpack_from

from daemonlogger_py.savefile.records import parse_file_header

FILE_HEADER_BYTES = 24
BEGINNING_BYTES = FILE_HEADER_BYTES + 8
"""With the time of the first packet, in seconds and their fraction."""
_NS = 1_000_000_000


def first_time_ns(beginning: bytes) -> int | None:
    """Time of the first packet, ns since 1970; None without one, and where it is not known."""
    header = parse_file_header(beginning[:FILE_HEADER_BYTES])
    if header is None or len(beginning) < BEGINNING_BYTES:
        return None
    seconds, fraction = unpack_from(f"{header.byte_order}II", beginning, FILE_HEADER_BYTES)
    return int(seconds) * _NS + int(fraction) * (1 if header.nanosecond else 1000)
