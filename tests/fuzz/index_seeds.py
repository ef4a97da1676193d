"""The first inputs of the index's fuzzer: savefiles of every linktype, sidecars, and forgeries."""

import struct
from collections.abc import Iterator

from . import flow_seeds, seeds
from .flow_trial import LINKTYPES
from .index_target import CHANGE, FORGED, SAVEFILE, SIDECAR, good_sidecar, members
from .model import MICROSECONDS

DICTIONARY = {
    "local": b"PK\x03\x04",
    "central": b"PK\x01\x02",
    "end": b"PK\x05\x06",
    "npy": b"\x93NUMPY\x01\x00",
    "ipv4": b"\x08\x00\x45",
    "ipv6": b"\x86\xdd\x60",
    "arp": b"\x08\x06\x00\x01\x08\x00\x06\x04",
    "all": b"\xff\xff\xff\xff",
}
SECONDS = 1_700_000_000
VALUES = (0, 1, 0x7F, 0x80, 0xFF)


def savefile(frames: list[bytes], linktype: int = 1, snaplen: int = 262_144) -> bytes:
    """A classic savefile of this machine's byte order."""
    header = struct.pack("=IHHiIII", MICROSECONDS, 2, 4, 0, 0, snaplen, linktype)
    return header + b"".join(
        struct.pack("=IIII", SECONDS + number, 0, len(frame), len(frame)) + frame
        for number, frame in enumerate(frames)
    )


def frames() -> list[bytes]:
    """Packets with a link header of Ethernet."""
    ip = [packet for _, packets in flow_seeds.conversations() for packet in packets]
    return [flow_seeds.ethernet(packet) for packet in ip]


def good_savefile() -> bytes:
    """What a sidecar is made of that is forged."""
    long = [frame + bytes(3000) for frame in frames()]
    return savefile(frames() + long * (1 + 200_000 // max(sum(map(len, long)), 1)))


def inputs() -> Iterator[tuple[str, bytes]]:
    """Every input with a name."""
    for name, packets in flow_seeds.conversations():
        data = savefile([flow_seeds.ethernet(packet) for packet in packets])
        yield f"savefile-{name}", data + bytes([SAVEFILE])
    for linktype in sorted(set(LINKTYPES)):
        data = savefile([frame[14:] for frame in frames()[:9]] + frames()[:9], linktype)
        yield f"linktype-{linktype}", data + bytes([SAVEFILE])
    for number, packet in enumerate(seeds.PACKETS):
        yield f"packet-{number}", savefile([packet], snaplen=40) + bytes([SAVEFILE])
    yield "sidecar", good_sidecar() + bytes([SIDECAR])
    for which, (_, items, end, _) in enumerate(members(good_sidecar())):
        for value in VALUES:
            changes = CHANGE.pack(which, 0, value)
            yield f"forged-{which}-{value}", changes + bytes([FORGED])
        changes = b"".join(CHANGE.pack(which, i, 0xFF) for i in range(min(8, end - items)))
        yield f"forged-{which}-start", changes + bytes([FORGED])
