"""A sidecar comes back as it was written, and one that was changed is not believed."""

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from daemonlogger_py.readers.index.sidecar import (
    FORMAT,
    NoSidecarError,
    Sidecar,
    SidecarError,
    sidecar_name,
)

from ...pcaps.make import mixture, stamped
from ..extract import traffic
from .known import indexed, savefile


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return indexed(savefile(tmp_path_factory.mktemp("one"), traffic.packets(1, 300))).encode()


@pytest.fixture
def index_fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def same(one: Sidecar, other: Sidecar) -> bool:
    names = (
        "savefile", "size_bytes", "modified_ns", "end_offset", "packets", "linktype", "snaplen",
        "ordered",
    )  # fmt: skip
    return (
        one.blocks() == other.blocks()
        and one.classes() == other.classes()
        and all(getattr(one, name) == getattr(other, name) for name in names)
    )


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_is_read(tmp_path: Path, seed: int, index_fd: int) -> None:
    made = indexed(savefile(tmp_path, traffic.packets(seed, 100 * seed)))
    data = made.encode()
    (tmp_path / "x.npz").write_bytes(data)

    for read in (Sidecar.from_bytes(data), Sidecar.open(index_fd, "x.npz")):
        assert same(made, read)
        assert read.encode() == data


def test_many_distinct_words(tmp_path: Path) -> None:
    """Columns of one, two and no bytes a row, and as they are."""
    frames = []
    for i in range(20_000):
        data = bytearray(mixture()[1].data) + bytes(1000)
        data[26:30] = struct.pack(">I", i // 3)  # of these there are enough for two bytes
        data[30:34] = struct.pack(">I", i % 3)
        data[34:38] = struct.pack(">I", i * 7919)
        frames.append(bytes(data))
    made = indexed(savefile(tmp_path, stamped(frames, 1000)))

    assert same(made, Sidecar.from_bytes(made.encode()))
    assert len(made.encode()) < 20_000 * 12


def test_numpy_reads_it(written: bytes) -> None:
    archive = np.load(io.BytesIO(written))
    sidecar = Sidecar.from_bytes(written)

    facts = archive["savefile"][0]
    assert facts["format"] == FORMAT
    assert facts["size_bytes"] == sidecar.size_bytes
    assert facts["modified_ns"] == sidecar.modified_ns
    assert archive["name"].tobytes().decode() == sidecar.savefile
    assert [int(row) for row in archive["blocks"]["packets"]] == [
        packets for _, _, packets, _, _ in sidecar.blocks()
    ]
    assert int(archive["tail_form_rows"].sum()) == len(sidecar.classes())


def test_zip_tools_find_nothing_wrong(written: bytes) -> None:
    archive = zipfile.ZipFile(io.BytesIO(written))

    assert archive.testzip() is None
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_one_flipped_bit_anywhere_is_found(written: bytes) -> None:
    for place in range(len(written)):
        changed = bytearray(written)
        changed[place] ^= 1 << place % 8
        with pytest.raises(SidecarError):
            Sidecar.from_bytes(bytes(changed))


@pytest.mark.parametrize("extra", [b"\0", b"PK\x05\x06" + bytes(18)])
def test_anything_behind_it_is_found(written: bytes, extra: bytes) -> None:
    with pytest.raises(SidecarError, match="damaged"):
        Sidecar.from_bytes(written + extra)


def test_one_that_is_cut_is_found(written: bytes) -> None:
    for count in range(0, len(written), 7):
        with pytest.raises(SidecarError):
            Sidecar.from_bytes(written[:count])


def forged(data: bytes, name: str, change: bytes, at: int) -> bytes:
    """Change a member's items from byte `at` on, with the checksums right again."""
    forged = bytearray(data)
    info = zipfile.ZipFile(io.BytesIO(data)).getinfo(name + ".npy")
    start = info.header_offset + 30 + len(info.filename)
    items = start + 10 + int.from_bytes(data[start + 8 : start + 10], "little")
    assert items + at + len(change) <= start + info.file_size
    forged[items + at : items + at + len(change)] = change
    crc = struct.pack("<I", zlib.crc32(forged[start : start + info.file_size]))
    forged[info.header_offset + 14 : info.header_offset + 18] = crc
    entry = data.index(info.filename.encode(), data.index(b"PK\x01\x02")) - 46
    forged[entry + 16 : entry + 20] = crc
    return bytes(forged)


ALL = b"\xff\xff\xff\xff"
LIES = [
    ("blocks", 0, ALL),
    ("blocks", 0, bytes(4)),  # a block of no bytes
    ("blocks", 4, ALL),  # packets
    ("blocks", 8, ALL * 2),  # the first time is behind the last
    ("prefix_form_bytes", 0, b"\xff\xff"),
    ("prefix_masks", 0, b"\0"),
    ("prefix_form_rows", 4, ALL),
    ("prefix_entries", 0, ALL),
    ("prefix_entries", 4, b"\2"),
    ("tail_form_bytes", 2, b"\1\2"),
    ("tail_masks", 0, b"\0"),
    ("tail_form_rows", 0, ALL),
    ("tail_form_rows", 4, b"\0\0\0\1"),
    ("tail_entries", 0, b"\0\0\1\1"),
    ("tail_entries", 0, b"\1"),
    ("tail_indexes", 0, b"\xff\xff"),
    ("runs", 0, ALL),  # a prefix that is not there
    ("runs", 4, ALL),  # more classes than there are
    ("runs", 4, bytes(4)),
    ("posting_bytes", 0, ALL),
    ("posting_bytes", 0, b"\x7f"),
    ("posting_bytes", 0, b"\xff\xff\xff\xff\xff\1"),
    ("savefile", 12, b"\2"),  # ordered is yes or no
    ("savefile", 16, bytes(8)),  # the savefile ends before its blocks
    ("savefile", 32, ALL),  # blocks do not end where they should
]


@pytest.mark.parametrize(("name", "at", "change"), LIES)
def test_numbers_that_contradict_each_other_are_not_believed(
    written: bytes, name: str, at: int, change: bytes
) -> None:
    with pytest.raises(SidecarError, match="damaged"):
        Sidecar.from_bytes(forged(written, name, change, at))


@pytest.mark.parametrize("change", [b"\xff", b"\x80\x80"])
def test_postings_that_make_no_sense_are_seen_when_they_are_read(
    written: bytes, change: bytes
) -> None:
    sidecar = Sidecar.from_bytes(forged(written, "postings", change, 0))

    with pytest.raises(SidecarError, match="blocks of class"):
        sidecar.classes()


def test_another_format_is_refused_by_number(written: bytes) -> None:
    other = forged(written, "savefile", struct.pack("<I", 2), 0)

    with pytest.raises(SidecarError, match=r"^sidecar: of another format; 1 is read here$"):
        Sidecar.from_bytes(other)


def test_what_is_not_there_or_not_a_file(tmp_path: Path, index_fd: int) -> None:
    (tmp_path / "directory.npz").mkdir()
    os.mkfifo(tmp_path / "pipe.npz")
    (tmp_path / "link.npz").symlink_to("directory.npz")
    (tmp_path / "empty.npz").touch()

    with pytest.raises(NoSidecarError, match=r"^none\.npz: No such file or directory$"):
        Sidecar.open(index_fd, "none.npz")
    for name in ("directory.npz", "pipe.npz", "link.npz", "empty.npz"):
        with pytest.raises(SidecarError, match=f"^{name}: "):
            Sidecar.open(index_fd, name)


def test_a_name_is_shown_as_one_line(index_fd: int) -> None:
    with pytest.raises(SidecarError, match=r"^'a\\nb\.npz': "):
        Sidecar.open(index_fd, "a\nb.npz")


def test_memory_is_used_again_only_when_it_is_free(tmp_path: Path, index_fd: int) -> None:
    for seed in range(6):
        made = indexed(savefile(tmp_path, traffic.packets(seed, 30 + 50 * seed)))
        (tmp_path / f"{seed}.npz").write_bytes(made.encode())
    held = [Sidecar.open(index_fd, f"{seed}.npz") for seed in range(6)]
    told = [sidecar.classes() for sidecar in held]
    for _ in range(3):
        for seed in range(6):
            assert Sidecar.open(index_fd, f"{seed}.npz").classes() == told[seed]

    assert [sidecar.classes() for sidecar in held] == told


def test_it_belongs_to_the_savefile_as_it_was(tmp_path: Path) -> None:
    path = savefile(tmp_path, mixture() * 30)
    sidecar = indexed(path)
    status = path.stat()
    size_bytes, modified_ns = status.st_size, status.st_mtime_ns

    with path.open("r+b") as file:
        assert sidecar.belongs_to(size_bytes, modified_ns)
        assert sidecar.belongs_to(size_bytes, modified_ns, file.fileno())
        assert not sidecar.belongs_to(size_bytes + 1, modified_ns)
        assert not sidecar.belongs_to(size_bytes, modified_ns + 1, file.fileno())
        for place in (100, size_bytes - 100):
            file.seek(place)
            before = file.read(1)
            file.seek(place)
            file.write(bytes([before[0] ^ 1]))
            file.flush()
            assert not sidecar.belongs_to(size_bytes, modified_ns, file.fileno())
            file.seek(place)
            file.write(before)
            file.flush()
        assert sidecar.belongs_to(size_bytes, modified_ns, file.fileno())
        file.truncate(50)
        assert not sidecar.belongs_to(size_bytes, modified_ns, file.fileno())


def test_a_sidecar_is_called_after_its_savefile() -> None:
    assert sidecar_name("eth0.pcap.123") == "eth0.pcap.123.npz"
