"""A sidecar appears whole or not at all, and what is wrong with one is named."""

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.readers.index.build import (
    TEMPORARY,
    BeingWrittenError,
    TooSmallError,
    fits,
    sidecar_faults,
    write_sidecar,
)
from daemonlogger_py.readers.index.builder import UnindexableError
from daemonlogger_py.readers.index.sidecar import Sidecar

from ...pcaps.make import mixture, stamped
from ..extract import traffic
from .known import indexed, savefile
from .test_sidecar import forged

NAME = "r.100"


class Place:
    """A savefile, and where its sidecar is."""

    def __init__(self, folder: Path) -> None:
        self.path = savefile(folder, traffic.packets(3, 300), name=NAME)
        self.index = folder / "r.index"
        self.index.mkdir()
        self.dir_fd = os.open(folder, os.O_RDONLY)
        self.index_fd = os.open(self.index, os.O_RDONLY)
        self.sidecar = self.index / f"{NAME}.npz"

    def write(self) -> int:
        return write_sidecar(self.dir_fd, NAME, self.index_fd)

    def fits(self) -> bool:
        status = self.path.stat()
        return fits(self.index_fd, NAME, status.st_size, status.st_mtime_ns)

    def faults(self) -> list[str]:
        with self.path.open("rb") as file:
            return sidecar_faults(file.fileno(), str(self.sidecar))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    os.close(made.dir_fd)
    os.close(made.index_fd)


def test_a_sidecar_is_written(place: Place) -> None:
    assert not place.fits()

    size = place.write()

    assert os.listdir(place.index) == [f"{NAME}.npz"]
    assert place.sidecar.stat().st_size == size
    assert Sidecar.open(place.index_fd, f"{NAME}.npz").savefile == NAME
    assert place.fits()
    assert place.faults() == []


def test_a_glance_is_at_times_alone(place: Place) -> None:
    def glance() -> bool:
        return fits(place.index_fd, NAME, place.path.stat().st_size, modified_ns, glance=True)

    modified_ns = place.path.stat().st_mtime_ns
    assert not glance()
    place.write()
    assert glance()

    place.sidecar.write_bytes(place.sidecar.read_bytes())  # now with a time of its own, but good
    assert glance()
    place.sidecar.write_bytes(b"damaged")
    assert not glance()
    os.utime(place.sidecar, ns=(modified_ns, modified_ns))
    assert glance()
    assert not place.fits()


def test_who_may_read_the_savefile_may_read_its_sidecar(place: Place) -> None:
    place.path.chmod(0o440)

    place.write()

    assert stat.S_IMODE(place.sidecar.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_gives_it_to_the_savefiles_owner(place: Place) -> None:
    os.chown(place.path, 1234, 4321)

    place.write()

    status = place.sidecar.stat()
    assert (status.st_uid, status.st_gid) == (1234, 4321)


def test_another_group_may_not_read_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "fchown", refuse)
    place.path.chmod(0o640)

    place.write()

    assert stat.S_IMODE(place.sidecar.stat().st_mode) == 0o600


def test_one_that_does_not_fit_any_more_is_replaced(place: Place) -> None:
    place.write()
    savefile(place.path.parent, mixture(), name=NAME)
    assert not place.fits()

    place.write()

    assert place.fits()


def test_a_savefile_that_is_being_written_has_none(place: Place) -> None:
    with place.path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BeingWrittenError):
            place.write()

    assert os.listdir(place.index) == []


def test_one_that_is_too_small_has_none(place: Place) -> None:
    size_bytes = place.path.stat().st_size
    with pytest.raises(TooSmallError):
        write_sidecar(place.dir_fd, NAME, place.index_fd, smallest_bytes=size_bytes + 1)
    assert os.listdir(place.index) == []

    assert write_sidecar(place.dir_fd, NAME, place.index_fd, smallest_bytes=size_bytes)


def test_what_fails_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(KeyboardInterrupt):
        place.write()
    assert os.listdir(place.index) == []


def test_without_locks_a_savefile_is_indexed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)

    assert place.write()


@pytest.mark.parametrize("what", ["fifo", "pcapng"])
def test_what_is_no_savefile_has_none(place: Place, what: str) -> None:
    place.path.unlink()
    if what == "fifo":
        os.mkfifo(place.path)
    else:
        place.path.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(40))

    with pytest.raises(UnindexableError):
        place.write()


def test_what_cannot_be_published_leaves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        names = os.listdir(place.index)
        assert len(names) == 1
        assert TEMPORARY.fullmatch(names[0])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", refuse)

    with pytest.raises(OSError, match="No space"):
        place.write()
    assert os.listdir(place.index) == []


def test_no_sidecar_is_no_fault(place: Place) -> None:
    assert place.faults() == []


def test_a_damaged_one_is_named(place: Place) -> None:
    place.write()
    data = bytearray(place.sidecar.read_bytes())
    data[len(data) // 2] ^= 1
    place.sidecar.write_bytes(data)

    assert place.faults() == ["damaged"]
    assert not place.fits()


def test_one_of_the_savefile_as_it_was_is_named(place: Place) -> None:
    place.write()
    os.utime(place.path, ns=(0, 0))

    assert place.faults() == [
        "made of the savefile as it was before: its size or its time has changed"
    ]


def test_what_is_no_file_is_named(place: Place) -> None:
    os.mkfifo(place.sidecar)
    assert place.faults() == ["damaged"]
    place.sidecar.unlink()

    place.sidecar.symlink_to(place.path)
    assert place.faults() == ["Too many levels of symbolic links"]


def test_one_that_cannot_be_read_is_named(place: Place) -> None:
    place.sidecar.mkdir()

    assert place.faults() == ["Is a directory"]


@pytest.mark.parametrize(
    ("member", "at", "change", "fault"),
    [
        ("savefile", 4, b"\7", "linktype is 7, and 1 in the savefile"),
        ("savefile", 12, b"\1", "ordered is True, and False in the savefile"),
        ("blocks", 8, b"\1", "block 0 at byte offset 24 differs from the savefile"),
        ("tail_words", 3, b"\x99", "the packets "),
        ("postings", 0, b"\x7f", "sidecar of 'r.100': blocks of class 0"),
        ("savefile", 48, b"\1", "differs from one made anew"),
        ("name", 0, b"q", "is that of the savefile 'q.100'"),
    ],
)
def test_one_that_lies_is_named(
    place: Place, member: str, at: int, change: bytes, fault: str
) -> None:
    place.write()
    place.sidecar.write_bytes(forged(place.sidecar.read_bytes(), member, change, at))

    faults = place.faults()

    assert 1 <= len(faults) <= 10
    assert fault in faults[0]


def test_a_sidecar_of_something_else_is_named(place: Place) -> None:
    place.write()
    status = place.path.stat()
    place.path.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(status.st_size - 4))
    os.utime(place.path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert place.faults() == ["its savefile is not a classic pcap"]


def test_other_blocks_are_named(place: Place) -> None:
    place.write()
    status = place.path.stat()
    other = savefile(place.path.parent, stamped([bytes(60)] * 5), name="r.1").read_bytes()
    place.path.write_bytes(other.ljust(status.st_size, b"\0"))
    os.utime(place.path, ns=(status.st_atime_ns, status.st_mtime_ns))

    assert place.faults()[0].startswith("packets is 300, and 5 in the savefile")
    assert indexed(place.path).packets == 5
