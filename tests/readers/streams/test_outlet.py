"""A descriptor that takes little, nothing, or not yet; and turns taken with other processes."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from daemonlogger_py.errors import StorageError, UsageError
from daemonlogger_py.readers.inputs.stopping import Stopping, StopSignals
from daemonlogger_py.readers.stalls import StalledError
from daemonlogger_py.readers.streams.outlet import Outlet

MANY = bytes(range(256)) * 20_000  # more than any pipe holds


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe2(os.O_CLOEXEC)
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            continue


@pytest.fixture
def name() -> Iterator[str]:
    made = f"daemonlogger-test-{os.getpid()}"
    yield made
    Path(f"/dev/shm/sem.{made}").unlink(missing_ok=True)


def reader(fd: int, into: list[bytes]) -> threading.Thread:
    def read() -> None:
        while piece := os.read(fd, 100_000):
            into.append(piece)

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@pytest.mark.parametrize("flags", [0, os.O_NONBLOCK])
def test_all_is_written_however_little_is_taken(pipe: tuple[int, int], flags: int) -> None:
    os.set_blocking(pipe[1], not flags)
    taken: list[bytes] = []
    thread = reader(pipe[0], taken)

    outlet = Outlet(pipe[1])
    outlet.put(b"first ")
    outlet.put(MANY)
    outlet.put(b"")
    os.close(pipe[1])
    thread.join()

    assert b"".join(taken) == b"first " + MANY


def test_reader_that_went_away(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])

    with pytest.raises(BrokenPipeError):
        Outlet(pipe[1]).put(b"x")


def test_full_device() -> None:
    fd = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space left"):
        Outlet(fd).put(b"x")
    os.close(fd)


def test_descriptor_stays_the_callers(pipe: tuple[int, int]) -> None:
    Outlet(pipe[1]).put(b"x")

    assert os.read(pipe[0], 1) == b"x"
    os.write(pipe[1], b"y")


@pytest.mark.parametrize("flags", [0, os.O_NONBLOCK])
def test_signal_handler_ends_the_wait_for_a_reader(pipe: tuple[int, int], flags: int) -> None:
    os.set_blocking(pipe[1], not flags)
    before = signal.signal(signal.SIGUSR1, lambda *_: (_ for _ in ()).throw(TimeoutError("enough")))
    main = threading.main_thread().ident
    assert main is not None
    try:
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGUSR1)).start()
        with pytest.raises(TimeoutError, match="enough"):
            Outlet(pipe[1]).put(MANY)
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.fixture(params=["pipe", "pipe that does not block", "socket"])
def link(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A descriptor to read from, and one to write to."""
    if request.param == "socket":
        one, other = socket.socketpair()
        ends = one.detach(), other.detach()
    else:
        ends = os.pipe()
        os.set_blocking(ends[1], request.param == "pipe")
    yield ends
    for fd in ends:
        with suppress(OSError):
            os.close(fd)


def test_who_may_be_stopped_writes_all_while_nobody_asks(
    link: tuple[int, int], stopping: Stopping
) -> None:
    taken: list[bytes] = []
    thread = reader(link[0], taken)

    outlet = Outlet(link[1], stopping=stopping)
    outlet.put(b"first ")
    outlet.put(MANY)
    del outlet
    os.close(link[1])
    thread.join()

    assert b"".join(taken) == b"first " + MANY


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("when_s", [0.0, 0.4])
def test_a_reader_that_takes_nothing_is_not_waited_for_once_somebody_asks(
    link: tuple[int, int], stopping: Stopping, when_s: float
) -> None:
    threading.Timer(when_s, stopping.request).start()
    with pytest.raises(StalledError, match="stopped: the console was held up by its reader"):
        Outlet(link[1], stopping=stopping, name="the console").put(MANY)


def test_a_reader_that_goes_on_gets_all_although_somebody_asks(
    link: tuple[int, int], stopping: Stopping
) -> None:
    stopping.request()
    taken: list[bytes] = []
    thread = threading.Timer(0.3, lambda: reader(link[0], taken).join())
    thread.start()
    Outlet(link[1], stopping=stopping).put(MANY)
    os.close(link[1])
    thread.join()

    assert b"".join(taken) == MANY


@pytest.mark.usefixtures("impatient")
def test_a_signal_that_asks_is_noticed_while_nothing_is_taken(link: tuple[int, int]) -> None:
    main = threading.main_thread().ident
    assert main is not None
    with StopSignals() as stopping:
        threading.Timer(0.3, signal.pthread_kill, (main, signal.SIGTERM)).start()
        with pytest.raises(StalledError, match="stopped by SIGTERM: ") as caught:
            Outlet(link[1], stopping=stopping).put(MANY)

    assert caught.value.exit_status == 128 + signal.SIGTERM


def test_semaphore_is_given_back_after_each_write(pipe: tuple[int, int], name: str) -> None:
    first, second = Outlet(pipe[1], name, 0.1), Outlet(pipe[1], f"/{name}", 0.1)
    for _ in range(3):
        first.put(b"1")
        second.put(b"2")

    assert os.read(pipe[0], 100) == b"121212"
    assert first.semaphore == f"/{name}"


def test_semaphore_is_waited_for(pipe: tuple[int, int], name: str) -> None:
    """What one writes is whole: the other's bytes are before or behind it."""
    taken: list[bytes] = []
    thread = reader(pipe[0], taken)
    writers = [
        threading.Thread(target=Outlet(pipe[1], name).put, args=(letter * 1_000_000,))
        for letter in (b"a", b"b")
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    os.close(pipe[1])
    thread.join()

    assert b"".join(taken) in (
        b"a" * 1_000_000 + b"b" * 1_000_000,
        b"b" * 1_000_000 + b"a" * 1_000_000,
    )


def test_semaphore_of_a_holder_that_died(pipe: tuple[int, int], name: str) -> None:
    child = os.fork()
    if child == 0:
        os.set_blocking(pipe[1], True)
        Outlet(pipe[1], name).put(MANY)  # held up for ever: nobody reads
        os._exit(0)
    os.read(pipe[0], 1)
    time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    with pytest.raises(StorageError, match=rf"held for 0.2 s.*remove /dev/shm/sem\.{name}"):
        Outlet(pipe[1], name, 0.2).put(b"x")


def test_signal_handler_ends_the_wait_for_a_semaphore(pipe: tuple[int, int], name: str) -> None:
    Outlet(pipe[1], name).put(b"x")
    held = Path(f"/dev/shm/sem.{name}")
    held.write_bytes(bytes(held.stat().st_size))  # its value is 0, as while somebody holds it
    before = signal.signal(signal.SIGUSR1, lambda *_: (_ for _ in ()).throw(TimeoutError("enough")))
    main = threading.main_thread().ident
    assert main is not None
    try:
        threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGUSR1)).start()
        with pytest.raises(TimeoutError, match="enough"):
            Outlet(pipe[1], name, 30).put(b"x")
    finally:
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("bad", ["", "/", "a/b", "x" * 251, "a\0b"])
def test_name_that_no_semaphore_has(bad: str) -> None:
    with pytest.raises(UsageError, match="1 to 250 bytes without a slash"):
        Outlet(1, bad)


def test_semaphore_that_cannot_be_opened(name: str) -> None:
    place = Path(f"/dev/shm/sem.{name}")
    place.mkdir()
    try:
        with pytest.raises(StorageError, match=f"semaphore /{name}: "):
            Outlet(1, name)
    finally:
        place.rmdir()
