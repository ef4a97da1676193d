"""Leases: held by readers, refused by writers, over when the process is."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.savefile.leases import has_writer, hold, is_held, is_written, release


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "p.1"
    made.write_bytes(b"x")
    return made


@pytest.fixture
def asking(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_a_reader_holds_until_it_closes(path: Path, asking: int) -> None:
    assert not is_held(asking)
    first, second = os.open(path, os.O_RDONLY), os.open(path, os.O_RDONLY)
    assert hold(first)
    assert hold(second)
    assert (is_held(asking), is_written(asking)) == (True, False)
    release(first)
    os.close(first)
    assert is_held(asking)
    os.close(second)
    assert not is_held(asking)


def test_what_is_written_is_not_held(path: Path, asking: int) -> None:
    fd = os.open(path, os.O_WRONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    assert not hold(asking)
    assert (is_held(asking), is_written(asking)) == (False, True)
    os.close(fd)
    assert hold(asking)


def test_who_only_asks_is_not_in_the_way(
    path: Path, asking: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pruner = os.open(path, os.O_RDONLY)
    fcntl.flock(pruner, fcntl.LOCK_EX)
    slept: list[float] = []

    def over(seconds: float) -> None:
        slept.append(seconds)
        fcntl.flock(pruner, fcntl.LOCK_UN)

    monkeypatch.setattr("daemonlogger_py.savefile.leases.time.sleep", over)
    assert hold(asking)
    assert slept == [0.001]
    os.close(pruner)


def test_asking_leaves_no_lock(path: Path, asking: int) -> None:
    assert not is_held(asking)
    assert not is_written(asking)
    fd = os.open(path, os.O_WRONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)


def test_a_killed_reader_holds_nothing(path: Path, asking: int) -> None:
    script = (
        "import os, sys, time\n"
        "from daemonlogger_py.savefile.leases import hold\n"
        "print(hold(os.open(sys.argv[1], os.O_RDONLY)), flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], env=environment, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"True\n"
        assert is_held(asking)
        reader.send_signal(signal.SIGKILL)
        reader.wait()
    assert not is_held(asking)


@pytest.fixture
def _no_sigio() -> Iterator[None]:
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGIO, before)


@pytest.mark.usefixtures("_no_sigio")
@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR])
def test_a_writer_without_a_lock_is_seen(path: Path, asking: int, flags: int) -> None:
    if has_writer(asking) is None:
        pytest.skip("this file system has no leases")
    fd = os.open(path, flags)
    assert has_writer(asking) is True
    os.close(fd)
    assert has_writer(asking) is False
    assert fcntl.fcntl(asking, fcntl.F_GETLEASE) == fcntl.F_UNLCK


@pytest.mark.usefixtures("_no_sigio")
def test_readers_and_their_locks_are_no_writers(path: Path, asking: int) -> None:
    if has_writer(asking) is None:
        pytest.skip("this file system has no leases")
    with path.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_EX)
        assert has_writer(asking) is False


def test_what_has_no_leases() -> None:
    read_fd, write_fd = os.pipe()
    assert has_writer(read_fd) is None
    os.close(read_fd)
    os.close(write_fd)
