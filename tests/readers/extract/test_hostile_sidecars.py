"""Sidecars that lie with all their checksums right, are damaged, or are not what they are called.

One that is damaged, of another savefile or of another time is not believed: the answer stays what
a scan finds. One that was forged may hide packets from who believes it, as its owner may do
anything to it; but nothing worse may come of it than that.
"""

import os
import random
import shutil
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import ExtractConfig, IndexConfig, Where
from daemonlogger_py.errors import DaemonloggerError
from daemonlogger_py.readers.extract.run import run as extract
from daemonlogger_py.readers.index.indexing import run as index

from ...flow import frames as made
from ...pcaps import make
from . import traffic
from .scanning import Packet, matching, scan

FORGERIES = 2000 if os.environ.get("DAEMONLOGGER_LAB_FULL") == "1" else 60
PREFIX = "r"
FILTER = "udp or vlan"
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    """Two savefiles, indexed."""
    folder = tmp_path / "ring"
    folder.mkdir()
    for number in range(2):
        data = traffic.savefile(traffic.packets(number, 700))
        (folder / f"{PREFIX}.{1_228_873_098 + number}").write_bytes(data)
    assert index(IndexConfig(Where(rings=(str(folder),)), progress=False, smallest_bytes=0)) == 0
    return folder


def savefiles(ring: Path) -> list[Path]:
    return sorted(ring.glob(f"{PREFIX}.[0-9]*"))


def sidecars(ring: Path) -> list[Path]:
    return sorted((ring / f"{PREFIX}.index").iterdir())


def extracted(ring: Path, text: str = FILTER) -> list[Packet]:
    out = ring.parent / "out"
    assert extract(ExtractConfig(Where(rings=(str(ring),)), text, str(out))) == 0
    found = scan(out)
    assert found is not None
    return list(found.packets)


def expected(ring: Path, text: str = FILTER) -> list[Packet]:
    found = matching([capture for path in savefiles(ring) if (capture := scan(path))], text)
    assert found
    return found


def members(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(place of the checksum, first byte, bytes) of each stored member of a zip file."""
    at = 0
    while data[at : at + 4] == _LOCAL:
        size, name_bytes, extra_bytes = struct.unpack_from("<I4xHH", data, at + 18)
        begin = at + 30 + name_bytes + extra_bytes
        yield at + 14, begin, size
        at = begin + size


def sealed(data: bytearray) -> bytes:
    """Put right all checksums of a zip file's members, also in its directory."""
    sums = []
    for place, begin, size in members(bytes(data)):
        sums.append(zlib.crc32(data[begin : begin + size]))
        struct.pack_into("<I", data, place, sums[-1])
    at = 0
    for total in sums:
        at = data.index(_CENTRAL, at)
        struct.pack_into("<I", data, at + 16, total)
        at += 4
    return bytes(data)


def test_checksums_are_where_a_forger_would_put_them(ring: Path) -> None:
    data = sidecars(ring)[0].read_bytes()
    assert sealed(bytearray(data)) == data
    assert len(list(members(data))) > 5


def test_forged_sidecars_do_no_worse_than_hide_packets(ring: Path) -> None:
    dice = random.Random(7)
    path = sidecars(ring)[0]
    before, status = path.read_bytes(), path.stat()
    places = list(members(before))
    for _ in range(FORGERIES):
        data = bytearray(before)
        for _ in range(dice.choice([1, 1, 2, 5])):
            _, begin, size = dice.choice(places)
            at = begin + dice.randrange(size)
            if dice.random() < 0.5:
                data[at] ^= 1 << dice.randrange(8)
            else:
                data[at] = dice.choice([0, 1, 0x7F, 0x80, 0xFF])
        path.write_bytes(sealed(data))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with suppress(DaemonloggerError):
            extracted(ring)


def test_damaged_sidecars_are_not_believed(ring: Path) -> None:
    dice = random.Random(8)
    path = sidecars(ring)[1]
    before, right = path.read_bytes(), expected(ring)
    for number in range(25):
        data = bytearray(before)
        if number % 3 == 2:
            del data[dice.randrange(len(data)) :]
        else:
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        assert extracted(ring) == right


@pytest.mark.parametrize(
    "kind", ["empty", "directory", "link", "broken link", "pipe", "other's", "unreadable", "text"]
)
def test_what_is_called_a_sidecar_and_is_none(ring: Path, kind: str) -> None:
    path, other = sidecars(ring)
    right = expected(ring)
    data = path.read_bytes()
    path.unlink()
    if kind == "empty":
        path.touch()
    elif kind == "directory":
        path.mkdir()
    elif kind == "link":
        (ring / "elsewhere").write_bytes(data)
        path.symlink_to(ring / "elsewhere")
    elif kind == "broken link":
        path.symlink_to("/nowhere/at/all")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "other's":
        shutil.copy2(other, path)
    elif kind == "unreadable":
        path.write_bytes(data)
        path.chmod(0)
    else:
        path.write_text("PK")
    assert extracted(ring) == right


def test_a_savefile_that_changed_is_scanned(ring: Path) -> None:
    first, second = savefiles(ring)
    status = first.stat()
    shutil.copyfile(second, first)
    assert extracted(ring) == expected(ring)
    # The same size and time, and other packets: the fingerprint tells.
    first.write_bytes(savefile_of(status.st_size))
    os.utime(first, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert extracted(ring) == expected(ring)


def savefile_of(size_bytes: int) -> bytes:
    """A savefile of exactly this size, of packets that no other has."""
    packets: list[make.Packet] = []
    left = size_bytes - 24
    for packet in traffic.packets(5, 700):
        if left < 16 + len(packet.data) + 16 + 60:
            break
        packets.append(packet)
        left -= 16 + len(packet.data)
    filler = made.ethernet(bytes(left - 16 - 14))
    return traffic.savefile([*packets, make.Packet(packets[-1].time_ns, filler)])


def test_no_index_at_all_is_a_scan(ring: Path) -> None:
    right = expected(ring)
    shutil.rmtree(ring / f"{PREFIX}.index")
    assert extracted(ring) == right
    (ring / f"{PREFIX}.index").write_text("not a directory")
    assert extracted(ring) == right
