"""Names below the output directory: made there, and led outside by nobody."""

import os
import shutil
from pathlib import Path

import pytest

from daemonlogger_py.readers.streams.directories import Directories

NEW = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    (tmp_path / "out").mkdir()
    fd = os.open(tmp_path / "out", os.O_RDONLY | os.O_DIRECTORY)
    made = Directories(fd)
    os.close(fd)
    return made


def write(directories: Directories, name: str, data: bytes = b"x") -> None:
    fd = directories.open(name, NEW)
    os.write(fd, data)
    os.close(fd)


def test_directories_of_a_new_file_are_made(directories: Directories, tmp_path: Path) -> None:
    for name in ("plain", "a/b/c/deep", "a/b/other", "a/b/c/d/e"):
        write(directories, name, name.encode())

        assert (tmp_path / "out" / name).read_text() == name


def test_modes_leave_it_to_the_umask(directories: Directories, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(directories, "a/file")
    finally:
        os.umask(before)

    assert (tmp_path / "out/a").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "out/a/file").stat().st_mode & 0o777 == 0o640


def test_nothing_is_made_for_a_file_that_has_to_be_there(
    directories: Directories, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match="a/b"):
        directories.open("a/b", os.O_RDONLY)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "name", ["..", "a/..", "../a", "a/../b", ".", "./a", "a//b", "a/", "", "/", "a\0b"]
)
def test_names_that_are_none_are_refused(
    directories: Directories, tmp_path: Path, name: str
) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        directories.open(name, NEW)
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_absolute_name_stays_below(directories: Directories, tmp_path: Path) -> None:
    write(directories, "/file")

    assert (tmp_path / "out/file").exists()
    with pytest.raises(OSError, match="Invalid argument"):
        directories.open(f"{tmp_path}/file", NEW)


@pytest.mark.parametrize("name", ["link/file", "link/sub/file", "dir/link/file", "link"])
def test_link_is_not_followed(directories: Directories, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (tmp_path / "out/dir").mkdir()
    for place in ("out", "out/dir"):
        (tmp_path / place / "link").symlink_to(outside / "file" if name == "link" else outside)

    for flags in (NEW, os.O_RDWR | os.O_NOFOLLOW):
        with pytest.raises(OSError, match=r"Not a directory|File exists|symbolic links"):
            directories.open(name, flags)
    assert list(outside.iterdir()) == [outside / "file"]


def test_component_longer_than_a_name_may_be(directories: Directories) -> None:
    for name in ("x" * 256 + "/file", "x" * 256):
        with pytest.raises(OSError, match="too long"):
            directories.open(name, NEW)
    write(directories, "x" * 255 + "/" + "y" * 255)


@pytest.mark.parametrize("removed", ["a/b", "a"])
def test_directory_that_was_removed_is_made_again(
    directories: Directories, tmp_path: Path, removed: str
) -> None:
    write(directories, "a/b/c")
    shutil.rmtree(tmp_path / "out" / removed)

    write(directories, "a/b/c", b"again")

    assert (tmp_path / "out/a/b/c").read_bytes() == b"again"
    with pytest.raises(FileNotFoundError):
        directories.open("a/b/missing", os.O_RDONLY)


def test_as_many_directories_as_there_are(directories: Directories, tmp_path: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    for again in range(2):
        for number in range(200):
            write(directories, f"{number}/{number % 7}/file{again}")

    assert len(list((tmp_path / "out").glob("*/*/file?"))) == 400
    assert len(os.listdir("/proc/self/fd")) - open_before <= 64


def test_descriptors_are_closed_with_it(tmp_path: Path) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    fd = os.open(tmp_path, os.O_RDONLY)
    made = Directories(fd)
    write(made, "a/b/c")
    os.close(fd)
    del made

    assert len(os.listdir("/proc/self/fd")) == open_before


def test_bad_descriptor() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        Directories(-1)
