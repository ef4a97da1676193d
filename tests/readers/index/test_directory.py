"""Sidecars' directory: locked, swept, and with a memory of names only where that is wanted."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import Where
from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.archive import Archive, Directory
from daemonlogger_py.readers.index.directory import DIRECTORY_MODE, Index

from .known import savefile


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    for number in (100, 101):
        savefile(tmp_path, [], name=f"r.{number}")
    with Archive(Where(rings=(str(tmp_path),))) as archive:
        yield archive.directories[0]


def opened(directory: Directory, **settings: object) -> Index:
    assert directory.index_dir is not None
    return Index(directory, directory.index_dir, **settings)  # type: ignore[arg-type]


def names(index: Index) -> list[str]:
    return [job.name for job in index.unknown()]


def test_it_is_made_for_the_savefiles_owner(directory: Directory) -> None:
    index = opened(directory)
    status = os.fstat(index.fd)
    assert status.st_mode & 0o777 == DIRECTORY_MODE
    assert status.st_gid == os.fstat(directory.dir_fd).st_gid
    index.close()


def test_one_has_it_at_a_time_but_for_its_own(directory: Directory) -> None:
    index = opened(directory)
    fds = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StorageError, match="another dlctl index keeps it"):
        opened(directory)
    assert len(os.listdir("/proc/self/fd")) == fds
    beside = opened(directory, beside=index)
    beside.close()
    index.close()
    opened(directory).close()


def test_new_names_until_they_are_settled(directory: Directory) -> None:
    folder = Path(directory.path)
    index = opened(directory, follows=True)
    assert index.look()
    assert names(index) == ["r.100", "r.101"]
    assert index.unknown()[0].size_bytes == (folder / "r.100").stat().st_size
    index.settle("r.100")
    assert index.is_known("r.100")
    assert names(index) == ["r.101"]

    savefile(folder, [], name="r.102")
    (folder / "r.100").unlink()
    (folder / "notes").touch()
    (folder / "r.103").mkdir()
    assert index.look()
    assert names(index) == ["r.101", "r.102"]
    assert not index.is_known("r.100")
    index.close()


def test_a_directory_that_did_not_change_is_not_listed(directory: Directory) -> None:
    index = opened(directory, follows=True)
    os.utime(directory.path, (1, 1))
    assert index.look()
    assert not index.look()
    os.utime(directory.path, (2, 2))
    assert index.look()
    index.close()


def test_nothing_is_remembered_unless_it_follows(directory: Directory) -> None:
    index = opened(directory)
    index.settle("r.100")
    assert not index.is_known("r.100")
    index.close()


def test_sidecars_of_the_dead(directory: Directory) -> None:
    index = opened(directory, follows=True)
    folder = Path(index.directory.index_dir or "")
    for name in ("r.99.npz", "r.100.npz", "r.101.npz", "s.99.npz", "r.98", "r.notes.npz"):
        (folder / name).touch()
    index.look()
    index.settle("r.100")
    assert list(index.remove_orphans()) == ["r.99"]
    assert sorted(os.listdir(folder)) == [
        "r.100.npz",
        "r.101.npz",
        "r.98",
        "r.notes.npz",
        "s.99.npz",
    ]
    assert index.remove("r.100")
    assert not index.remove("r.100")
    index.close()
