"""Sidecars spare reading only where they are of this savefile and whole."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import IndexConfig, Where
from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.archive import Archive
from daemonlogger_py.readers.extract import sidecars as module
from daemonlogger_py.readers.extract.format import Format
from daemonlogger_py.readers.extract.ranges import Ranges
from daemonlogger_py.readers.extract.sidecars import Look, Sidecars
from daemonlogger_py.readers.extract.stats import Stats
from daemonlogger_py.readers.index.indexing import run as index

from ...pcaps.make import classic
from .savefiles import EPOCH, NS, member, numbered, ring

LAST_NS = (1 << 64) - 1
NAME = f"p.{EPOCH}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A ring of one indexed savefile of several blocks."""
    ring(tmp_path, [numbered(3000)])
    assert index(IndexConfig(Where(rings=(str(tmp_path),)), progress=False, smallest_bytes=0)) == 0
    return tmp_path


@pytest.fixture
def sidecars() -> Iterator[Sidecars]:
    made = Sidecars()
    yield made
    made.close()


def selected(
    sidecars: Sidecars, folder: Path, text: str, *, from_ns: int = 0, to_ns: int = LAST_NS
) -> tuple[Ranges | None, Stats]:
    path = folder / NAME
    one = member(path)
    sidecars.prepare([one.directory])
    stats = Stats()
    fd = os.open(path, os.O_RDONLY)
    try:
        format_ = Format(os.pread(fd, 24, 0), text)
        ranges = sidecars.select(one, fd, format_, {}, stats, from_ns=from_ns, to_ns=to_ns)
    finally:
        os.close(fd)
    return ranges, stats


def test_what_cannot_match_is_not_read(folder: Path, sidecars: Sidecars) -> None:
    ranges, stats = selected(sidecars, folder, "host 203.0.113.9")

    assert ranges is not None
    assert list(ranges) == []
    assert (stats.indexed, stats.blocks_wanted) == (1, 0)


def test_what_cannot_be_told_is_read(folder: Path, sidecars: Sidecars) -> None:
    ranges, _ = selected(sidecars, folder, "len > 100")

    assert ranges is not None
    assert ranges.total_bytes == (folder / NAME).stat().st_size - 24


def test_only_the_blocks_of_the_span(folder: Path, sidecars: Sidecars) -> None:
    begin = EPOCH * NS + 1500 * 10**6
    ranges, stats = selected(sidecars, folder, "", from_ns=begin, to_ns=begin + 1)

    assert ranges is not None
    assert stats.blocks_wanted == 1
    assert ranges.early_ns <= begin <= ranges.late_ns
    assert selected(sidecars, folder, "", from_ns=begin, to_ns=begin)[1].blocks_wanted <= 1
    assert selected(sidecars, folder, "", to_ns=0)[1].blocks_wanted == 0


def test_without_one(folder: Path, sidecars: Sidecars) -> None:
    (folder / "p.index" / f"{NAME}.npz").unlink()
    ranges, stats = selected(sidecars, folder, "udp")

    assert (ranges, stats.missing_sidecars) == (None, 1)


def test_without_any(tmp_path: Path, sidecars: Sidecars) -> None:
    ring(tmp_path, [numbered(3)])
    one = member(tmp_path / NAME)

    assert not sidecars.prepare([one.directory])
    assert not sidecars.has(one.directory)
    ranges, stats = selected(sidecars, tmp_path, "udp")
    assert (ranges, stats.missing_sidecars) == (None, 1)


def test_a_damaged_one(folder: Path, sidecars: Sidecars) -> None:
    path = folder / "p.index" / f"{NAME}.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    ranges, stats = selected(sidecars, folder, "udp")

    assert (ranges, stats.damaged_sidecars) == (None, 1)


def test_one_of_what_the_savefile_was(folder: Path, sidecars: Sidecars) -> None:
    (folder / NAME).write_bytes(classic(numbered(3000, first=7)))
    ranges, stats = selected(sidecars, folder, "udp")

    assert (ranges, stats.old_sidecars) == (None, 1)


def test_one_of_another_savefile(folder: Path, sidecars: Sidecars) -> None:
    other = f"p.{EPOCH + 1}"
    path = folder / other
    path.write_bytes((folder / NAME).read_bytes())
    status = (folder / NAME).stat()
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    (folder / "p.index" / f"{NAME}.npz").rename(folder / "p.index" / f"{other}.npz")
    (folder / NAME).unlink()
    path.rename(folder / NAME)
    (folder / "p.index" / f"{other}.npz").rename(folder / "p.index" / f"{NAME}.npz")
    _, stats = selected(sidecars, folder, "udp")
    assert stats.indexed == 1  # its name, size and time are its own

    (folder / NAME).rename(path)
    (folder / "p.index" / f"{NAME}.npz").rename(folder / "p.index" / f"{other}.npz")
    one = member(path)
    with path.open("rb") as file:
        format_ = Format(file.read(24), "udp")
        stats = Stats()
        found = sidecars.select(one, file.fileno(), format_, {}, stats, from_ns=0, to_ns=LAST_NS)
    assert (found, stats.old_sidecars) == (None, 1)


@pytest.mark.parametrize("linktype", [12, 101])
def test_linktypes_that_libpcap_takes_for_others(
    tmp_path: Path, sidecars: Sidecars, linktype: int
) -> None:
    raw = [one._replace(data=one.data[14:]) for one in numbered(3000)]
    ring(tmp_path, [])
    (tmp_path / NAME).write_bytes(classic(raw, linktype=linktype))
    assert index(IndexConfig(Where(rings=(str(tmp_path),)), progress=False, smallest_bytes=0)) == 0
    ranges, stats = selected(sidecars, tmp_path, "host 203.0.113.9")

    assert (stats.indexed, stats.old_sidecars) == (1, 0)
    assert ranges is not None
    assert ranges.total_bytes == 0


def test_another_place_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--index-dir .*No such file"):
        Sidecars(str(tmp_path / "nowhere"))


def test_another_place_is_the_one_that_is_used(folder: Path) -> None:
    (folder / "p.index").rename(folder / "elsewhere")
    sidecars = Sidecars(str(folder / "elsewhere"))
    _, stats = selected(sidecars, folder, "udp")
    sidecars.close()

    assert stats.indexed == 1


def test_small_savefiles_without_sidecars_do_not_end_the_glances(
    tmp_path: Path, sidecars: Sidecars, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(tmp_path, [numbered(2), numbered(2), numbered(3000), numbered(3000)])
    names = [f"p.{EPOCH + 10 * at}" for at in range(4)]
    smallest_bytes = (tmp_path / names[2]).stat().st_size
    where = Where(rings=(str(tmp_path),))
    assert index(IndexConfig(where, progress=False, smallest_bytes=smallest_bytes)) == 0
    monkeypatch.setattr(module, "INDEX_SMALLEST_BYTES", smallest_bytes)
    monkeypatch.setattr(module, "_BATCH", 2)
    look, stats = Look("host 203.0.113.9", 0, LAST_NS), Stats()
    with Archive(where) as archive:
        members = archive.members()
        sidecars.prepare(archive.directories)
        opened = sidecars.worth_opening(members, look, stats, 1)

    assert [one.name for one in opened] == names[:2]
    assert stats.passed_over == 2
