"""Which files of a directory are meant, and in which order."""

import gzip
import lzma
import os
import zipfile

import pytest

from daemonlogger_py.readers.inputs import decompress
from daemonlogger_py.readers.inputs.directory import (
    candidates_in,
    changed_ns_of,
    holds_capture,
    is_capture,
    savefiles_in,
)

from ...pcaps.make import classic, pcapng, stamped
from .reading import most_memory, zstd_bomb

HEADER = classic([])


def test_named_or_begun_as_savefiles_oldest_first(tmp_path) -> None:
    for name in ("a.9", "a.10", "a.10.002", "a.10.001", "a.10.1000", "b.1"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "named.pcap").write_bytes(classic([], order=">"))
    (tmp_path / "other.pcapng").write_bytes(pcapng(stamped([])))
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / ".a.11.part").write_bytes(HEADER)
    (tmp_path / "a.12").mkdir()
    (tmp_path / "a.13").symlink_to("a.9")
    os.mkfifo(tmp_path / "pipe.pcap")
    assert savefiles_in(str(tmp_path)) == [
        "a.9", "a.10", "a.10.001", "a.10.002", "a.10.1000", "b.1", "named.pcap", "other.pcapng",
    ]  # fmt: skip


def test_compressed_ones_are_looked_into_when_asked(tmp_path) -> None:
    (tmp_path / "a").write_bytes(gzip.compress(HEADER + bytes(300_000)))
    (tmp_path / "b").write_bytes(gzip.compress(b"no capture" * 1000))
    (tmp_path / "c").write_bytes(lzma.compress(HEADER)[:-5])
    (tmp_path / "d").write_bytes(b"\x1f\x8b but not gzip")
    with zipfile.ZipFile(tmp_path / "e", "w") as archive:
        archive.writestr("x.pcap", HEADER)
    (tmp_path / "f").write_bytes(gzip.compress(os.urandom(200_000)))
    assert savefiles_in(str(tmp_path)) == []
    assert savefiles_in(str(tmp_path), compressed=True) == ["a", "c", "e"]


def test_what_is_named_as_a_capture_may_be_damaged_from_its_first_byte(tmp_path) -> None:
    damaged = b"\xdc" + HEADER[1:]
    for name in ("a.pcap", "b.CAP", "c.pcapng", "d.pcap.gz", "d.pcap1", "pcap"):
        (tmp_path / name).write_bytes(damaged)
    (tmp_path / "e.pcap.gz").write_bytes(gzip.compress(damaged))
    (tmp_path / "f.pcap").write_bytes(b"")  # made this moment, by a recorder that buffers
    (tmp_path / "g.pcap").mkdir()
    found = ["a.pcap", "b.CAP", "c.pcapng", "d.pcap.gz", "e.pcap.gz"]
    assert savefiles_in(str(tmp_path)) == found
    assert savefiles_in(str(tmp_path), compressed=True) == found
    assert candidates_in(str(tmp_path)) == found


def test_a_bomb_is_not_decompressed_at_once(tmp_path) -> None:
    pytest.importorskip("zstandard")
    (tmp_path / "a").write_bytes(zstd_bomb(b"no capture", 1000))
    with most_memory() as most:
        assert savefiles_in(str(tmp_path), compressed=True) == []
        assert most() < 64 << 20


def test_no_such_directory(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        savefiles_in(str(tmp_path / "gone"))


def test_first_bytes_of_captures() -> None:
    assert is_capture(HEADER)
    assert is_capture(b"\n\r\r\n")
    assert not is_capture(HEADER[:23])
    assert not is_capture(b"")


def test_leaves_no_descriptor_open(tmp_path) -> None:
    (tmp_path / "x").write_bytes(HEADER)
    before = os.listdir("/proc/self/fd")
    savefiles_in(str(tmp_path), compressed=True)
    assert os.listdir("/proc/self/fd") == before


def test_what_changes_while_it_is_listed_is_listed_again(tmp_path, monkeypatch) -> None:
    """What gets another name meanwhile may be seen under neither."""
    (tmp_path / "p.1").write_bytes(HEADER)
    listed = []
    scandir = os.scandir

    def changing(path: str):
        listed.append(path)
        found = scandir(path)
        if len(listed) == 1:
            found.close()
            (tmp_path / "p.1").rename(tmp_path / "p.2")
            os.utime(tmp_path, (1, 1))
        return found

    monkeypatch.setattr(os, "scandir", changing)
    assert savefiles_in(str(tmp_path)) == ["p.2"]
    assert len(listed) == 2


def test_what_may_be_one_is_told_without_decompressing(tmp_path, monkeypatch) -> None:
    for name, data in {
        "a": HEADER,
        "b.gz": gzip.compress(HEADER),
        "c.gz": gzip.compress(b"something else"),
        "d": b"something else",
        "log.1234": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
    with monkeypatch.context() as patch:
        patch.setattr(decompress, "members", None)
        assert candidates_in(str(tmp_path)) == ["a", "b.gz", "c.gz", "log.1234"]
    found = {}
    for path in tmp_path.iterdir():
        with path.open("rb") as file:
            file.seek(5)
            found[path.name] = holds_capture(file.fileno())
            assert file.tell() == 5
    assert {name for name, holds in found.items() if holds} == {"a", "b.gz"}


def test_directory_holds_no_capture(tmp_path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    assert not holds_capture(fd)
    os.close(fd)


def test_a_time_that_may_stay_says_nothing(tmp_path):
    (tmp_path / "a.1").write_bytes(b"")
    dir_fd = os.open(tmp_path, os.O_RDONLY)
    assert changed_ns_of(dir_fd) is None
    os.utime(tmp_path, (7, 7))
    assert changed_ns_of(dir_fd) == 7 * 10**9
    os.close(dir_fd)
