"""What repairs leave behind goes, unless somebody still needs it."""

import fcntl
import os
from pathlib import Path

import pytest

from daemonlogger_py.config.archive import Where
from daemonlogger_py.readers.archive import Archive, Member
from daemonlogger_py.readers.verify.remains import (
    begun,
    remove_sidecar,
    sweep,
)
from daemonlogger_py.savefile.asides import unfinished_name

from .making import make_ring


def swept(ring: Path) -> list[str]:
    with Archive(Where(rings=(str(ring),))) as archive:
        return list(sweep(archive.directories[0]))


def first(ring: Path) -> Member:
    with Archive(Where(rings=(str(ring),))) as archive:
        return archive.members()[0]


@pytest.fixture
def dir_fd(tmp_path: Path) -> int:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


def test_only_what_nobody_holds_is_swept(tmp_path: Path) -> None:
    make_ring(tmp_path)
    names = ["p.1", "p.2.003", "p.3", "q.4", "p.x"]
    for name in names:
        (tmp_path / unfinished_name(name)).write_bytes(b"half")
    (tmp_path / "p.5.repairing").write_bytes(b"somebody else's")
    (tmp_path / unfinished_name("p.6")).symlink_to("p.1700000000")
    with (tmp_path / unfinished_name("p.3")).open() as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        assert swept(tmp_path) == [unfinished_name("p.1"), unfinished_name("p.2.003")]
    assert swept(tmp_path) == [unfinished_name("p.3")]
    left = sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".repairing"))
    assert left == sorted([*map(unfinished_name, ["q.4", "p.x", "p.6"]), "p.5.repairing"])


def test_one_makes_a_file_at_a_time(tmp_path: Path, dir_fd: int) -> None:
    make_ring(tmp_path)
    (tmp_path / unfinished_name("p.1")).write_bytes(b"of a killed one")
    fd = begun(dir_fd, "p.1")
    assert fd is not None
    assert os.fstat(fd).st_size == 0
    assert begun(dir_fd, "p.1") is None
    assert swept(tmp_path) == []
    os.close(fd)
    assert swept(tmp_path) == [unfinished_name("p.1")]


def test_an_index_is_removed_once(tmp_path: Path) -> None:
    make_ring(tmp_path)
    member = first(tmp_path)
    assert remove_sidecar(member, None) is None
    sidecar = tmp_path / "p.index" / f"{member.name}.npz"
    sidecar.parent.mkdir()
    sidecar.write_bytes(b"x")
    assert remove_sidecar(member, None) == "its index is removed"
    assert remove_sidecar(member, None) is None
    assert not sidecar.exists()


def test_an_index_elsewhere_is_removed_where_one_says_so(tmp_path: Path) -> None:
    make_ring(tmp_path / "ring")
    member = first(tmp_path / "ring")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    sidecar = elsewhere / f"{member.name}.npz"
    sidecar.write_bytes(b"x")
    (tmp_path / "ring/p.index").symlink_to(elsewhere)
    # Not where a link leads to that the owner of the ring's index may have made.
    assert remove_sidecar(member, None) is None
    assert sidecar.exists()
    assert remove_sidecar(member, str(elsewhere)) == "its index is removed"


def test_an_index_that_cannot_be_removed_is_said(tmp_path: Path) -> None:
    make_ring(tmp_path)
    member = first(tmp_path)
    (tmp_path / "p.index" / f"{member.name}.npz").mkdir(parents=True)
    said = remove_sidecar(member, None)
    assert said == "its index is of what it was, and cannot be removed: Is a directory"
