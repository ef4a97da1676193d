"""Savefiles for the tests of verify: whole, with records that are told apart by their bytes."""

import struct
from pathlib import Path

from daemonlogger_py.config.archive import VerifyConfig, Where

FIRST = 1_700_000_000
EVERY_S = 10
PACKETS = 20
MAGICS = {"us": 0xA1B2C3D4, "ns": 0xA1B23C4D}


def header(magic: int = MAGICS["us"], order: str = "=") -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)


def record(seconds: int, fraction: int, caplen: int, order: str = "=") -> bytes:
    stamp = struct.pack(f"{order}IIII", seconds, fraction, caplen, 1514)
    return stamp + (b"%d/%d " % (seconds, fraction) * caplen)[:caplen]


def records(epoch: int = FIRST) -> list[bytes]:
    return [record(epoch + number // 4, number, 60 + number) for number in range(PACKETS)]


def make_ring(directory: Path, count: int = 3, prefix: str = "p") -> list[Path]:
    """Savefiles of a ring, oldest first, without a catalog."""
    directory.mkdir(exist_ok=True)
    made = []
    for number in range(count):
        epoch = FIRST + number * EVERY_S
        made.append(directory / f"{prefix}.{epoch}")
        made[-1].write_bytes(header() + b"".join(records(epoch)))
    return made


def of_ring(directory: Path, **fields: object) -> VerifyConfig:
    where = Where(rings=(str(directory),))
    return VerifyConfig(where, progress=False, **fields)  # type: ignore[arg-type]


def of_paths(*paths: object, **fields: object) -> VerifyConfig:
    where = Where(paths=tuple(map(str, paths)))
    return VerifyConfig(where, progress=False, **fields)  # type: ignore[arg-type]
