"""What libpcap alone finds in captures: the result that an extraction must have.

Reads and filters by libpcap's own functions, through ctypes, and shares nothing with the project
but the library. Order is that of the time stamps, equal ones in the order they were read in.
"""

import ctypes
import ctypes.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

NANO = 1
_OK = 1


class Packet(NamedTuple):
    """One packet as it is in a capture."""

    time_ns: int
    origlen: int
    data: bytes


class Scanned(NamedTuple):
    """A capture, up to its last whole record."""

    path: Path
    linktype: int
    snaplen: int
    packets: tuple[Packet, ...]


class _Header(ctypes.Structure):
    _fields_ = [
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("caplen", ctypes.c_uint32),
        ("origlen", ctypes.c_uint32),
    ]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint), ("code", ctypes.c_void_p)]


@cache
def _library() -> Any:
    pcap = ctypes.CDLL(ctypes.util.find_library("pcap"))
    pcap.pcap_open_offline_with_tstamp_precision.restype = ctypes.c_void_p
    return pcap


def opened(path: Path) -> ctypes.c_void_p | None:
    """A handle to read a capture by; None for what libpcap does not open."""
    why = ctypes.create_string_buffer(256)
    name = str(path).encode()
    handle = _library().pcap_open_offline_with_tstamp_precision(name, NANO, why)
    return ctypes.c_void_p(handle) if handle else None


def scan(path: Path) -> Scanned | None:
    """All packets of a capture; None for what libpcap does not open."""
    pcap = _library()
    handle = opened(path)
    if handle is None:
        return None
    nanosecond = path.read_bytes()[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d")
    header, data = ctypes.POINTER(_Header)(), ctypes.POINTER(ctypes.c_ubyte)()
    found = []
    while pcap.pcap_next_ex(handle, ctypes.byref(header), ctypes.byref(data)) == _OK:
        one = header.contents
        # libpcap takes both for signed; in a savefile they are not, pcap-savefile(5).
        seconds = one.seconds + ((1 << 32) if one.seconds < 0 else 0)
        units = 1 if nanosecond else 1000
        fraction = one.fraction + ((1 << 32) * units if one.fraction < 0 else 0)
        time_ns = seconds * 10**9 + fraction
        found.append(Packet(time_ns, one.origlen, ctypes.string_at(data, one.caplen)))
    linktype, snaplen = pcap.pcap_datalink(handle), pcap.pcap_snapshot(handle)
    pcap.pcap_close(handle)
    return Scanned(path, linktype, snaplen, tuple(found))


@contextmanager
def filtering(path: Path, text: str) -> Iterator[Callable[[Packet], bool] | None]:
    """A function that says whether a packet passes the filter; None: libpcap refuses the text.

    Compiled for the capture itself: byte order and origin of a file change what some filters mean.
    """
    pcap = _library()
    handle = opened(path)
    program = _Program()
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), text.encode(), 1, 0) != 0:
            yield None
            return
        header = _Header()

        def passes(packet: Packet) -> bool:
            header.caplen, header.origlen = len(packet.data), packet.origlen
            return bool(
                pcap.pcap_offline_filter(ctypes.byref(program), ctypes.byref(header), packet.data)
            )

        try:
            yield passes
        finally:
            pcap.pcap_freecode(ctypes.byref(program))
    finally:
        pcap.pcap_close(handle)


def matching(
    captures: Iterable[Scanned],
    text: str,
    from_ns: int | None = None,
    to_ns: int | None = None,
) -> list[Packet] | None:
    """What passes, by time; None where libpcap refuses the filter for one of the captures."""
    found: list[Packet] = []
    for capture in captures:
        with filtering(capture.path, text) as passes:
            if passes is None:
                return None
            found += filter(_both(passes, from_ns, to_ns), capture.packets)
    return sorted(found, key=lambda packet: packet.time_ns)


def _both(
    passes: Callable[[Packet], bool], from_ns: int | None, to_ns: int | None
) -> Callable[[Packet], bool]:
    def wanted(packet: Packet) -> bool:
        early = from_ns is not None and packet.time_ns < from_ns
        late = to_ns is not None and packet.time_ns >= to_ns
        return not early and not late and passes(packet)

    return wanted
