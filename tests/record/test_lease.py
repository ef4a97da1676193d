"""Whether a file has a writer, as the kernel tells it."""

import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.record.lease import has_writer


@pytest.fixture(autouse=True)
def _no_sigio() -> Iterator[None]:
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "t.100"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_file_that_nobody_writes(fd: int) -> None:
    assert has_writer(fd) is False


def test_readers_and_their_locks_are_no_writers(fd: int, tmp_path: Path) -> None:
    with (tmp_path / "t.100").open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        assert has_writer(fd) is False


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
def test_writer_needs_no_lock_to_be_seen(fd: int, tmp_path: Path, flags: int) -> None:
    writer_fd = os.open(tmp_path / "t.100", flags)
    assert has_writer(fd) is True
    os.close(writer_fd)
    assert has_writer(fd) is False


def test_no_lease_is_kept(fd: int, tmp_path: Path) -> None:
    has_writer(fd)
    assert fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_UNLCK


def test_what_has_no_leases() -> None:
    read_fd, write_fd = os.pipe()
    assert has_writer(read_fd) is None
    os.close(read_fd)
    os.close(write_fd)
