"""Savefiles and their sidecars as an indexer leaves them, for tests that ask about them."""

import os
import struct
from pathlib import Path

from daemonlogger_py.readers.index.builder import build
from daemonlogger_py.readers.index.sidecar import Sidecar, sidecar_name

from ...pcaps.found import found

CAPTURES = [path for path in found() if "cap" in path.suffix]
# One filter of each kind; what any filter does is for the grammar to try.
FILTERS = (
    "ip", "ip6", "arp", "tcp", "udp", "icmp", "port 80", "udp port 53", "tcp port 443 or icmp",
    "not tcp", "vlan", "vlan and ip", "mpls", "pppoes and tcp", "greater 200", "less 64",
    "tcp[13] & 2 != 0", "ip[6:2] & 0x3fff != 0", "ip multicast", "ether broadcast", "sctp",
    "ip proto 47", "ip6 proto 6", "portrange 1000-60000", "src net 192.168.0.0/16",
    "host 192.0.2.1 and port 80", "ip6 net fe80::/10", "not host 10.0.0.1 and tcp[0:2] > 1024",
)  # fmt: skip


def index_of(savefile: bytes, name: str = "savefile") -> Sidecar:
    """The sidecar of these bytes. Raises UnindexableError for what has none."""
    fd = os.memfd_create("savefile")
    try:
        os.write(fd, savefile)
        return build(fd, name)
    finally:
        os.close(fd)


class Indexed:
    """A directory of savefiles, and one of their sidecars. Raises what `build` raises."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = folder / "index"
        self.index.mkdir()

    def add(self, name: str, savefile: bytes) -> tuple[str, int, int]:
        """Write both; returns name, size and time of modification of the savefile."""
        path = self.folder / name
        path.write_bytes(savefile)
        with path.open("rb") as file:
            sidecar = build(file.fileno(), name)
        (self.index / sidecar_name(name)).write_bytes(sidecar.encode())
        status = path.stat()
        return name, status.st_size, status.st_mtime_ns


class Packets:
    """Packets of a classic savefile of this machine's byte order or the other one."""

    def __init__(self, content: bytes) -> None:
        magic = int.from_bytes(content[:4], "little")
        order = {0xA1B2C3D4: "<", 0xA1B23C4D: "<", 0xD4C3B2A1: ">", 0x4D3CB2A1: ">"}[magic]
        self.linktype = int(struct.unpack_from(f"{order}I", content, 20)[0])
        self.swapped = (order == "<") != (struct.pack("=H", 1) == b"\1\0")
        self.packets: list[tuple[int, int, bytes]] = []
        """Offset of the record, length on the wire, what was captured."""
        at = 24
        while at + 16 <= len(content):
            caplen, origlen = struct.unpack_from(f"{order}II", content, at + 8)
            if at + 16 + caplen > len(content):
                break
            self.packets.append((at, origlen, content[at + 16 : at + 16 + caplen]))
            at += 16 + caplen


def is_classic(content: bytes) -> bool:
    """Whether Packets reads it."""
    return len(content) >= 24 and int.from_bytes(content[:4], "little") in (
        0xA1B2C3D4, 0xA1B23C4D, 0xD4C3B2A1, 0x4D3CB2A1,
    )  # fmt: skip
