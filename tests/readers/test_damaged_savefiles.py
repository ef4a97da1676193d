"""Savefiles that are damaged: no catalog makes a reader leave out packets that a scan finds."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemonlogger_py.config.archive import ExtractConfig, IndexConfig, VerifyConfig, Where
from daemonlogger_py.readers.extract.run import run as extract
from daemonlogger_py.readers.index.indexing import run as index
from daemonlogger_py.readers.verify import run as verify
from daemonlogger_py.record import census
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.names import Naming

FIRST, EVERY_S, NS = 1_700_000_000, 100, 10**9
PREFIX = "e"


def savefile(epoch: int, minor: int = 4) -> bytearray:
    """A packet a second; in an older version its lengths are the other way round."""
    data = bytearray(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, minor, 0, 0, 65535, 1))
    lengths = (60, 64) if minor == 4 else (64, 60)
    for second in range(epoch, epoch + EVERY_S):
        data += struct.pack("=IIII", second, 0, *lengths) + b"\1" * 60
    return data


def holes(data: bytearray, number: int) -> bytearray:
    """Zeros as a power loss leaves them, in two places."""
    for record in {1: range(4), 2: range(20, 36)}.get(number, ()):
        data[24 + 76 * record : 24 + 76 * (record + 1)] = bytes(76)
    return data


def bad_lengths(data: bytearray, number: int) -> bytearray:
    """A length that no packet has."""
    if number in (1, 2):
        struct.pack_into("=I", data, 24 + 76 * 30 + 8, 0xFFFFFFF0)
    return data


def older_version(data: bytearray, number: int) -> bytearray:
    """Written by a libpcap of old."""
    return savefile(FIRST + EVERY_S * number, minor=3) if number in (1, 2) else data


def torn(data: bytearray, number: int) -> bytearray:
    """Cut within a record."""
    return data[:-30] if number in (1, 2) else data


def rebuilt(folder: Path) -> None:
    verify(VerifyConfig(Where(rings=(str(folder),)), rebuild=True, progress=False))


def recorded(folder: Path) -> None:
    """What the recorder's catalog process finds when it takes in what it does not know."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    with Catalog.create(str(folder / f"{PREFIX}.catalog")) as catalog:
        for name in census.take(catalog, fd, Naming(PREFIX)).unknown:
            catalog.seal(census.completed(census.surveyed(fd, name), None, recovered=False))
    os.close(fd)


@pytest.fixture(params=[holes, bad_lengths, older_version, torn], ids=lambda one: one.__name__)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = tmp_path / "ring"
    made.mkdir()
    for number in range(4):
        epoch = FIRST + EVERY_S * number
        path = made / f"{PREFIX}.{epoch}"
        path.write_bytes(request.param(savefile(epoch), number))
        os.utime(path, (epoch + EVERY_S, epoch + EVERY_S))
    return made


FIELDS: list[dict[str, Any]] = [
    {},
    {"filter_text": "len <= 64"},
    {"reverse": True},
    {"use_index": False},
]
SPANS = [(None, None), (240, 290), (150, 190), (50, 60), (150, 250), (100, 104)]


def answers(folder: Path, capfd: pytest.CaptureFixture[str]) -> list[tuple[int, bytes, bool]]:
    """The packets and the status of each question, and whether damage was told."""
    found: list[tuple[int, bytes, bool]] = []
    output = folder.parent / "out"
    for from_s, to_s in SPANS:
        for fields in FIELDS:
            where = Where(
                rings=(str(folder),),
                from_ns=None if from_s is None else (FIRST + from_s) * NS,
                to_ns=None if to_s is None else (FIRST + to_s) * NS,
            )
            capfd.readouterr()
            output.unlink(missing_ok=True)
            status = extract(ExtractConfig(where, output=str(output), **fields))
            packets = output.read_bytes() if output.exists() else b""
            found.append((status, packets, " is damaged: " in capfd.readouterr().err))
    return found


@pytest.mark.parametrize("catalogued", [rebuilt, recorded], ids=lambda one: one.__name__)
@pytest.mark.parametrize("indexed", [False, True], ids=["scanned", "indexed"])
def test_a_catalog_leaves_out_nothing(
    folder: Path,
    capfd: pytest.CaptureFixture[str],
    catalogued: Callable[[Path], None],
    indexed: bool,
) -> None:
    alone = answers(folder, capfd)
    assert any(len(packets) > 24 + 76 * 40 for _, packets, _ in alone)
    catalogued(folder)
    if indexed:
        index(IndexConfig(Where(rings=(str(folder),)), progress=False, smallest_bytes=0))
    for (status, packets, damage), (its_status, its_packets, _) in zip(
        answers(folder, capfd), alone, strict=True
    ):
        assert packets == its_packets
        # What is damaged may hold packets of any time: it is read, and said to be so.
        assert (status, damage) in ((its_status, bool(its_status)), (1, True))
