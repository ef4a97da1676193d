"""A reader that takes nothing, or never comes, holds nobody up who was asked to stop."""

import os
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from daemonlogger_py.readers import stalls
from daemonlogger_py.readers.inputs.stopping import Stopping, StopSignals
from daemonlogger_py.readers.stalls import StalledError, Taker, open_output

MUCH = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "PATIENCE_S", 0.3)


def ends(kind: str) -> tuple[int, int]:
    """A descriptor to read from, and one to write to."""
    if kind == "pipe":
        return os.pipe()
    one, other = socket.socketpair()
    return one.detach(), other.detach()


def read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 1 << 20):
        parts.append(part)
    return b"".join(parts)


@pytest.fixture(params=["pipe", "socket", "pipe of another", "socket that cannot be asked"])
def link(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    reading, writing = ends(request.param.split()[0])
    if request.param == "pipe of another":
        real = os.open

        def refuse(path: str, *args: int, **more: int) -> int:
            if path.startswith("/proc"):
                raise PermissionError
            return real(path, *args, **more)

        monkeypatch.setattr(os, "open", refuse)
    if request.param == "socket that cannot be asked":
        monkeypatch.setattr(stalls, "_socket_of", lambda fd: None)
    return reading, writing


def test_all_of_it_is_written_to_one_who_reads(link: tuple[int, int], stopping: Stopping) -> None:
    reading, writing = link
    taker = Taker(writing, "it", stopping)
    taken: list[bytes] = []
    thread = threading.Thread(target=lambda: taken.append(read_all(reading)))
    thread.start()
    taker.write(b"")
    taker.write(MUCH)
    taker.write(b"end")
    taker.close()
    taker.close()
    os.close(writing)
    thread.join()
    os.close(reading)

    assert taken == [MUCH + b"end"]


def test_one_who_takes_nothing_is_left(link: tuple[int, int], stopping: Stopping) -> None:
    reading, writing = link
    taker = Taker(writing, "it", stopping)
    threading.Timer(0.2, stopping.request).start()
    begun = time.monotonic()
    with pytest.raises(StalledError, match="stopped: it was held up by its reader") as told:
        taker.write(MUCH)
    took_s = time.monotonic() - begun
    taker.close()
    os.close(writing)
    taken = read_all(reading)
    os.close(reading)

    assert 0.2 + 0.3 <= took_s < 5
    assert taken == MUCH[: len(taken)]
    assert len(taken) > 4096
    assert told.value.exit_status == 1


def test_one_who_goes_on_gets_what_is_left(stopping: Stopping) -> None:
    reading, writing = ends("pipe")
    taker = Taker(writing, "it", stopping)
    stopping.request()
    taken = 0

    def read() -> None:
        nonlocal taken
        while part := os.read(reading, 65536):
            taken += len(part)
            time.sleep(0.1)

    thread = threading.Thread(target=read)
    thread.start()
    taker.write(MUCH)
    taker.close()
    os.close(writing)
    thread.join()
    os.close(reading)

    assert taken == len(MUCH)


def test_but_not_for_ever(stopping: Stopping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "LONGEST_S", 0.5)
    reading, writing = ends("pipe")
    taker = Taker(writing, "it", stopping)
    stopping.request()
    left = threading.Event()

    def read() -> None:
        while not left.wait(0.1):
            os.read(reading, 8192)

    thread = threading.Thread(target=read)
    thread.start()
    with pytest.raises(StalledError):
        taker.write(MUCH)
    left.set()
    thread.join()
    taker.close()
    os.close(writing)
    os.close(reading)


def test_one_who_is_gone(link: tuple[int, int], stopping: Stopping) -> None:
    reading, writing = link
    taker = Taker(writing, "it", stopping)
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        taker.write(MUCH)
    taker.close()
    os.close(writing)


def test_others_with_the_same_pipe_still_block(stopping: Stopping) -> None:
    reading, writing = ends("pipe")
    taker = Taker(writing, "it", stopping)
    assert os.get_blocking(writing)
    assert not os.get_blocking(taker.fd)
    assert not os.get_inheritable(taker.fd)
    taker.close()
    os.close(writing)
    os.close(reading)


def test_a_file_is_written_to_as_it_is(tmp_path: Path, stopping: Stopping) -> None:
    fd = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    taker = Taker(fd, "it", stopping)
    assert taker.fd == fd
    assert not taker.blocks
    stopping.request()
    taker.write(MUCH)
    taker.close()
    os.close(fd)

    assert (tmp_path / "a").read_bytes() == MUCH


def test_the_status_is_that_of_the_signal() -> None:
    reading, writing = ends("pipe")
    with StopSignals() as stopping:
        taker = Taker(writing, "it", stopping)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(StalledError, match="stopped by SIGTERM: it was held up") as told:
            taker.write(MUCH)
        taker.close()
    os.close(writing)
    os.close(reading)

    assert told.value.exit_status == 128 + signal.SIGTERM


def test_what_there_is_to_say_does_not_wait_for_the_same_reader(stopping: Stopping) -> None:
    reading, writing = ends("pipe")
    before = os.dup(2)
    os.dup2(writing, 2)
    taker = Taker(writing, "it", stopping)
    stopping.request()
    try:
        with pytest.raises(StalledError):
            taker.write(MUCH)
        assert stat.S_ISCHR(os.fstat(2).st_mode)  # and not the pipe, which is full
    finally:
        os.dup2(before, 2)
        os.close(before)
        taker.close()
        os.close(writing)
        os.close(reading)


def test_a_fifo_that_nobody_opens(tmp_path: Path, stopping: Stopping) -> None:
    os.mkfifo(tmp_path / "a")
    threading.Timer(0.2, stopping.request).start()
    with pytest.raises(StalledError, match="stopped: nobody reads -w a"):
        open_output(str(tmp_path / "a"), os.O_WRONLY, stopping, name="-w a")


def test_a_fifo_that_somebody_opens_later(tmp_path: Path, stopping: Stopping) -> None:
    os.mkfifo(tmp_path / "a")
    (tmp_path / "b").symlink_to("a")
    taken: list[bytes] = []

    def read() -> None:
        time.sleep(0.2)
        taken.append((tmp_path / "a").read_bytes())

    thread = threading.Thread(target=read)
    thread.start()
    fd = open_output(str(tmp_path / "b"), os.O_WRONLY, stopping)
    taker = Taker(fd, "it", stopping)
    taker.write(MUCH)
    taker.close()
    os.close(fd)
    thread.join()

    assert taken == [MUCH]


def test_what_is_no_fifo_is_opened_as_asked(tmp_path: Path, stopping: Stopping) -> None:
    stopping.request()
    dir_fd = os.open(tmp_path, os.O_RDONLY)
    fd = open_output("a", os.O_WRONLY | os.O_CREAT, stopping, mode=0o600, dir_fd=dir_fd)
    assert os.get_blocking(fd)
    assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
    os.close(fd)
    with pytest.raises(FileExistsError):
        open_output("a", os.O_WRONLY | os.O_CREAT | os.O_EXCL, stopping, dir_fd=dir_fd)
    os.mkfifo("b", dir_fd=dir_fd)
    os.symlink("b", "c", dir_fd=dir_fd)
    with pytest.raises(OSError, match="symbolic links"):
        open_output("c", os.O_WRONLY | os.O_NOFOLLOW, stopping, dir_fd=dir_fd)
    os.close(dir_fd)
