"""A small ring with a catalog, for the tests of what shows and pins it."""

import os
import struct
from pathlib import Path

from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import SEALED, Entry, Gap, Run

NS = 1_000_000_000
PREFIX = "eth0.pcap"
FIRST = 1_700_000_000  # 2023-11-14T22:13:20Z
EVERY_S = 60  # a savefile, with a packet a second
PACKETS = 50
SIZE_BYTES = 24 + PACKETS * 76
HEADER = struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def write_savefile(path: Path, epoch: int) -> os.stat_result:
    """Write a savefile whose packets are of the seconds from `epoch` on."""
    record = [struct.pack("=IIII", epoch + at, 5, 60, 60) + bytes(60) for at in range(PACKETS)]
    path.write_bytes(HEADER + b"".join(record))
    os.utime(path, (epoch + EVERY_S, epoch + EVERY_S))
    return path.stat()


def make_ring(directory: Path, *, savefiles: int = 3, listed: int | None = None) -> list[str]:
    """Make a ring and return the names; the catalog knows the first `listed` (None: all)."""
    directory.mkdir(exist_ok=True)
    names = []
    with Catalog.create(str(directory / f"{PREFIX}.catalog")) as catalog:
        catalog.begin_run(Run(started_ns=FIRST * NS, seen_ns=(FIRST + 300) * NS, interface="eth0"))
        catalog.end_run(1, (FIRST + 300) * NS, "SIGTERM")
        for number in range(savefiles):
            epoch = FIRST + EVERY_S * number
            names.append(f"{PREFIX}.{epoch}")
            status = write_savefile(directory / names[-1], epoch)
            if listed is None or number < listed:
                catalog.seal(entry(names[-1], epoch, status))
    return names


def entry(name: str, epoch: int, status: os.stat_result) -> Entry:
    """What a catalog knows of a savefile that `write_savefile` made."""
    return Entry(
        name,
        epoch,
        0,
        SEALED,
        status.st_size,
        status.st_mtime_ns,
        packets=PACKETS,
        first_ns=epoch * NS + 5000,
        last_ns=(epoch + PACKETS - 1) * NS + 5000,
        sha256=bytes(32),
        why="size",
        linktype=1,
        snaplen=65535,
    )


def open_catalog(directory: Path) -> Catalog:
    """Open the ring's catalog for writing."""
    return Catalog.open(str(directory / f"{PREFIX}.catalog"), write=True)


def add_gap(directory: Path, kind: str, from_s: int, to_s: int | None, **fields: object) -> None:
    """Write a gap, by seconds from the first savefile on."""
    with open_catalog(directory) as catalog:
        to_ns = None if to_s is None else (FIRST + to_s) * NS
        catalog.add_gap(Gap(kind=kind, from_ns=(FIRST + from_s) * NS, to_ns=to_ns, **fields))  # type: ignore[arg-type]
