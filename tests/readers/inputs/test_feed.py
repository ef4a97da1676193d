"""What goes through a feed is what was put in, and every wait ends when it has to."""

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from daemonlogger_py.readers.inputs.feed import Feed, Reading, StoppedError, pour, relay
from daemonlogger_py.readers.inputs.stopping import Stopping


def drained(fd: int) -> bytes:
    return b"".join(iter(lambda: os.read(fd, 65536), b""))


def waiting(feed: Feed) -> None:
    """Come back once the feed's thread sleeps: it has nothing more to do for now."""
    thread = feed._thread
    status = f"/proc/self/task/{thread.native_id}/stat"
    while thread.is_alive():
        with open(status) as file:
            if file.read().rpartition(")")[2].split()[0] == "S":
                return
        time.sleep(0.001)


def test_pours_all_of_it(stopping: Stopping) -> None:
    feed = Feed(pour(iter([b"one", b"", b"x" * 3_000_000, b"two"])))
    assert drained(feed.read_fd) == b"one" + b"x" * 3_000_000 + b"two"
    assert feed.failure is None
    feed.close()
    feed.close()


def test_what_went_wrong_is_known_at_the_end() -> None:
    def chunks() -> Iterator[bytes]:
        yield b"before"
        raise OSError(5, "Input/output error")

    feed = Feed(pour(chunks()))
    assert drained(feed.read_fd) == b"before"
    assert isinstance(feed.failure, OSError)
    feed.close()


def test_closing_ends_a_thread_that_writes() -> None:
    feed = Feed(pour(iter([b"x" * 10_000_000])))
    waiting(feed)
    feed.close()
    assert feed.failure is None


@pytest.mark.parametrize("kind", ["pipe", "socket", "file"])
def test_relays_whatever_it_is(stopping: Stopping, tmp_path, kind: str) -> None:
    data = os.urandom(3_000_001)
    if kind == "file":
        (tmp_path / "x").write_bytes(data)
        fd, write_fd = os.open(tmp_path / "x", os.O_RDONLY), -1
    elif kind == "pipe":
        fd, write_fd = os.pipe()
    else:
        one, other = socket.socketpair()
        fd, write_fd = one.detach(), other.detach()

    def put() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(write_fd, view) :]
        os.close(write_fd)

    if write_fd >= 0:
        threading.Thread(target=put).start()
    try:
        reading = Reading(fd, stopping.stop_fd)
        assert reading.peek(7) == data[:7]
        assert reading.position == 0
        feed = Feed(relay(reading))
        assert drained(feed.read_fd) == data
        feed.close()
        assert reading.position == len(data)
    finally:
        os.close(fd)


def test_peek_of_less_than_asked_for(stopping: Stopping) -> None:
    fd, write_fd = os.pipe()
    os.write(write_fd, b"abc")
    os.close(write_fd)
    reading = Reading(fd, stopping.stop_fd)
    assert reading.peek(10) == b"abc"
    assert reading.read() == b"abc"
    assert reading.read() == b""
    assert reading.position == 3
    os.close(fd)


def test_a_request_ends_the_pipe_that_waits_for_more(stopping: Stopping) -> None:
    fd, write_fd = os.pipe()
    os.write(write_fd, b"so far")
    feed = Feed(relay(Reading(fd, stopping.stop_fd)))
    waiting(feed)
    stopping.request()
    assert drained(feed.read_fd) == b"so far"
    assert feed.failure is None
    feed.close()
    os.close(fd)
    os.close(write_fd)


def test_a_feed_that_waits_for_input_notices_that_nobody_reads(stopping: Stopping) -> None:
    fd, write_fd = os.pipe()
    feed = Feed(relay(Reading(fd, stopping.stop_fd)))
    waiting(feed)
    feed.close()
    assert not feed._thread.is_alive()
    os.close(fd)
    os.close(write_fd)


def test_a_named_pipe_without_a_writer_is_waited_for(stopping: Stopping, tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    fd = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    feed = Feed(relay(Reading(fd, stopping.stop_fd)))
    waiting(feed)
    (tmp_path / "pipe").write_bytes(b"late")
    assert drained(feed.read_fd) == b"late"
    feed.close()
    os.close(fd)


def test_a_pause_ends_by_itself_or_by_request(stopping: Stopping, tmp_path) -> None:
    (tmp_path / "x").write_bytes(b"")
    fd = os.open(tmp_path / "x", os.O_RDONLY)
    reading = Reading(fd, stopping.stop_fd)
    reading.pause(0.001)
    stopping.request()
    with pytest.raises(StoppedError):
        reading.pause(3600)
    with pytest.raises(StoppedError):
        reading.read()
    os.close(fd)
