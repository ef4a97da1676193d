"""Savefiles and rings for the tests of extraction, and what has to come out of them.

Packets are numbered, so that an order is seen; expectations are made of the packets themselves.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from daemonlogger_py.config.archive import ExtractConfig, Where
from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.readers.extract.run import run
from daemonlogger_py.savefile.catalog_rows import Entry

from ...pcaps.make import Packet, classic, ethernet, ipv4, record, tcp, udp
from ...pcaps.parse import parse

EPOCH = 1_700_000_000
NS = 10**9
MS = 1_000_000


def numbered(
    count: int, *, first: int = 0, start_ns: int = EPOCH * NS, step_ns: int = MS, size: int = 50
) -> list[Packet]:
    """UDP packets with their number behind the header, a step apart; every tenth is TCP."""
    packets = []
    for number in range(first, first + count):
        payload = number.to_bytes(4, "big") + bytes(size)
        carried = (tcp(payload), 6) if number % 10 == 0 else (udp(payload), 17)
        time_ns = start_ns + (number - first) * step_ns
        packets.append(Packet(time_ns, ethernet(ipv4(*carried))))
    return packets


def number_of(data: bytes) -> int:
    """The number in one of them."""
    at = 14 + 20 + (20 if data[23] == 6 else 8)
    return int.from_bytes(data[at : at + 4], "big")


def numbers_in(capture: bytes) -> list[int]:
    """The numbers of the packets of a capture, in its order."""
    return [number_of(one.data) for one in parse(capture).records]


def ring(folder: Path, parts: Sequence[Iterable[Packet]], *, prefix: str = "p") -> Path:
    """Make a ring of these savefiles, ten seconds apart by their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, part in enumerate(parts):
        (folder / f"{prefix}.{EPOCH + 10 * at}").write_bytes(classic(part))
    return folder


def in_order(parts: Iterable[Iterable[Packet]]) -> list[Packet]:
    """All packets by time; those of one time as they were recorded."""
    return sorted((one for part in parts for one in part), key=lambda one: one.time_ns)


def records(packets: Iterable[Packet]) -> bytes:
    """What stands behind the file header."""
    return b"".join(record(one) for one in packets)


def extracted(folder: Path, where: Where, text: str = "", status: int = 0, **how: object) -> bytes:
    """The bytes of an extraction that ends with this status."""
    out = folder / "extracted"
    out.unlink(missing_ok=True)
    config = ExtractConfig(where, text, str(out), **how)  # type: ignore[arg-type]
    assert run(config) == status
    return out.read_bytes()


class _Descriptor(int):
    """A file descriptor that is closed when nobody has its number any more."""

    def __del__(self) -> None:
        os.close(self)


def member(path: Path, entry: Entry | None = None, *, prefix: str | None = "p") -> Member:
    """A savefile as an archive gives it; its directory stays open as long as somebody has it."""
    status = path.stat()
    dir_fd = _Descriptor(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY))
    shown = str(path.parent)
    index_dir = str(path.parent / f"{prefix}.index")
    directory = Directory(dir_fd, shown, shown, prefix, None, index_dir)
    epoch = int(path.name.rpartition(".")[2]) if prefix else 0
    size_bytes, modified_ns = status.st_size, status.st_mtime_ns
    state = entry.state if entry else "unknown"
    return Member(directory, path.name, epoch, 0, size_bytes, modified_ns, state, entry)
