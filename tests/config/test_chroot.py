"""Where a path inside the chroot is, as the kernel would find it."""

import ctypes
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.config.chroot import inside
from daemonlogger_py.errors import UsageError

RESOLVE_IN_ROOT = 0x10
SYS_OPENAT2 = 437


def as_the_kernel_finds(root: Path, path: str) -> os.stat_result | None:
    """What a path leads to from within a root directory; None if nowhere (openat2(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    dir_fd = os.open(root, os.O_RDONLY)
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_IN_ROOT)
    fd = libc.syscall(SYS_OPENAT2, dir_fd, os.fsencode(path), how, ctypes.c_size_t(len(how)))
    os.close(dir_fd)
    if fd < 0:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def test_path_without_a_chroot() -> None:
    assert inside(None, "logs/../x") == "logs/../x"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/log", "var/log"),
        ("var/log/", "var/log"),
        (".", ""),
        ("/", ""),
        ("//var//./log", "var/log"),
        ("/../../var/log", "var/log"),
        ("var/log/../../..", ""),
        ("/absolute", "var/log"),
        ("/absolute/new", "var/log/new"),
        ("/climbing/x", "x"),
        ("/chain", "var/log"),
        ("/missing/x", "missing/x"),
        ("/dangling", "nowhere/at/all"),
    ],
)
def test_path_inside(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "var/log").mkdir(parents=True)
    (tmp_path / "absolute").symlink_to("/var/log")
    (tmp_path / "climbing").symlink_to("../../../..")
    (tmp_path / "chain").symlink_to("absolute/.")
    (tmp_path / "dangling").symlink_to("/nowhere/at/all")

    assert inside(str(tmp_path), path) == str(tmp_path / expected)


def test_endless_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    with pytest.raises(UsageError, match=r"^a/x in -T/--chroot '.*': too many symbolic links$"):
        inside(str(tmp_path), "a/x")


@pytest.fixture(scope="module")
def maze(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directories and links of one letter, so that many paths lead somewhere."""
    root = tmp_path_factory.mktemp("maze")
    (root / "a/b/c").mkdir(parents=True)
    (root / "b").symlink_to("a/b")
    (root / "a/a").symlink_to("/")
    (root / "a/b/a").symlink_to("..")
    (root / "a/b/b").symlink_to("../../../../b/c")
    (root / "c").symlink_to("/a/a/b")
    return root


@given(parts=st.lists(st.sampled_from(["a", "b", "c", ".", "..", ""]), max_size=12))
def test_path_inside_is_where_the_kernel_goes(maze: Path, parts: list[str]) -> None:
    path = "/".join(parts) or "."
    there = as_the_kernel_finds(maze, path)
    if there is not None:
        found = inside(str(maze), path)
        assert os.path.samestat(os.stat(found, follow_symlinks=False), there)
        assert os.path.realpath(found) == found
