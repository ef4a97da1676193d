"""Everything comes once and in order, whoever is slower; every end is prompt and whole."""

import fcntl
import os
import signal
import termios
import threading
import time
from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.errors import FilterError
from daemonlogger_py.readers.inputs.opening import Inputs, Selection
from daemonlogger_py.readers.inputs.pump import Pump
from daemonlogger_py.readers.inputs.stopping import Stopping, StopSignals

from ...pcaps.make import DBUS, RAW, Packet, classic
from .reading import EPOCH, NS, capture, number_of, packets, pumped


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    before = os.listdir("/proc/self/fd"), threading.active_count()
    yield
    assert (os.listdir("/proc/self/fd"), threading.active_count()) == before


def put(path: Path, count: int, first: int = 0) -> str:
    path.write_bytes(capture(count, first=first))
    return str(path)


@pytest.mark.parametrize("buffers", [1, 2, 4])
@pytest.mark.parametrize("buffer_bytes", [1 << 16, 200_000, 1 << 20])
def test_all_of_it_in_order(tmp_path, buffers: int, buffer_bytes: int) -> None:
    paths = [put(tmp_path / f"{n}", 5000, 5000 * n) for n in range(4)]
    done = pumped(Selection(files=tuple(paths)), buffers=buffers, buffer_bytes=buffer_bytes)
    assert [name for name, _ in done.found] == paths
    assert done.numbers == list(range(20_000))
    assert done.lines == []
    assert done.bytes_read <= sum(map(os.path.getsize, paths))


def test_complaints_come_between_what_is_before_and_after(tmp_path) -> None:
    a, b = put(tmp_path / "a", 3), put(tmp_path / "b", 3, 3)
    seen: list[str] = []
    with Stopping() as stopping:
        selection = Selection(files=(a, str(tmp_path / "gone"), b))
        with Inputs(selection, stopping) as inputs:
            inputs.open()
            with Pump(inputs, seen.append) as pump:
                seen.extend(input_.name for _, input_ in pump)
                assert pump.failures == 1
    assert seen == [a, f"{tmp_path}/gone: No such file or directory", b]


def test_while_nothing_comes_the_consumer_is_called(tmp_path) -> None:
    with Stopping() as stopping:
        source, sink = os.pipe()
        os.write(sink, capture(3))
        selection = Selection(files=(f"/proc/self/fd/{source}",))
        with Inputs(selection, stopping) as inputs:
            inputs.open()
            calls: list[int] = []

            def idle() -> None:
                calls.append(len(found))
                if len(calls) == 3:
                    os.close(sink)

            found: list[int] = []
            with Pump(inputs, print, idle=idle) as pump:
                found.extend(buffer.packets for buffer, _ in pump)
        os.close(source)
    assert (calls, found) == ([1, 1, 1], [3])


def test_a_record_larger_than_a_buffer(tmp_path) -> None:
    long = classic([Packet(EPOCH * NS, bytes(3_000_000))] * 3, linktype=DBUS, snaplen=3_000_000)
    (tmp_path / "long").write_bytes(long)
    sizes = []
    selection = Selection(files=(str(tmp_path / "long"),))
    with Stopping() as stopping, Inputs(selection, stopping) as inputs:
        inputs.open()
        with Pump(inputs, print, buffer_bytes=1 << 16) as pump:
            sizes.extend(len(buffer) for buffer, _ in pump)
    assert sum(sizes) == len(long) - 24


def test_an_error_that_ends_everything_is_the_consumers(tmp_path) -> None:
    a = put(tmp_path / "a", 3)
    (tmp_path / "raw").write_bytes(classic(packets(3), linktype=RAW))
    text = "ether host 02:00:00:00:00:01"
    with pytest.raises(FilterError, match="ether"):
        pumped(Selection(files=(a, str(tmp_path / "raw")), filter_text=text))


def test_the_consumer_may_refuse_an_input(tmp_path) -> None:
    a, b, c = put(tmp_path / "a", 3), put(tmp_path / "b", 60_000), put(tmp_path / "c", 3, 7)
    seen: list[str] = []
    lines: list[str] = []
    with Stopping() as stopping, Inputs(Selection(files=(a, b, c)), stopping) as inputs:
        inputs.open()
        with Pump(inputs, lines.append) as pump:
            for _, input_ in pump:
                seen.append(input_.name)
                if input_.name == b:
                    pump.refuse(input_, f"{b}: linktype 99")
            assert pump.failures == 1
    assert seen == [a, b, c]
    assert lines == [f"{b}: linktype 99"]


def test_a_consumer_that_leaves_ends_the_reading(tmp_path) -> None:
    path = put(tmp_path / "a", 100_000)
    with Stopping() as stopping, Inputs(Selection(files=(path,) * 50), stopping) as inputs:
        inputs.open()
        with Pump(inputs, print) as pump:
            next(iter(pump))


def test_a_consumer_that_fails_ends_the_reading(tmp_path) -> None:
    path = put(tmp_path / "a", 100_000)

    def consume() -> None:
        with Stopping() as stopping, Inputs(Selection(files=(path,) * 50), stopping) as inputs:
            inputs.open()
            with Pump(inputs, print) as pump:
                for _ in pump:
                    raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        consume()


def interrupt_once_read(pipe_fd: int) -> None:
    """Send this process SIGINT when nothing is left in a pipe."""
    left = array("i", [1])
    while left[0]:
        time.sleep(0.05)
        fcntl.ioctl(pipe_fd, termios.FIONREAD, left)
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("put_first", [b"", capture(3)[:-4], capture(3)])
def test_a_signal_ends_a_pipe_that_stalls(tmp_path, put_first: bytes) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    write_fd = os.open(path, os.O_RDWR)
    os.write(write_fd, put_first)
    whole = {0: 0, len(capture(3)) - 4: 2, len(capture(3)): 3}[len(put_first)]
    found = 0
    lines: list[str] = []
    with StopSignals() as stopping, Inputs(Selection(files=(str(path),)), stopping) as inputs:
        inputs.open()
        killer = threading.Thread(target=interrupt_once_read, args=(write_fd,))
        if not whole:
            killer.start()
        with Pump(inputs, lines.append) as pump:
            for buffer, _ in pump:
                found += buffer.packets
                if found == whole:  # and nothing else will come
                    signal.raise_signal(signal.SIGINT)
        assert stopping.signal is signal.SIGINT
        if not whole:
            killer.join()
    assert (found, lines) == (whole, [])
    os.close(write_fd)


def test_a_signal_ends_a_long_reading_with_what_was_read(tmp_path) -> None:
    path = put(tmp_path / "a", 50_000)
    found: list[int] = []
    with (
        StopSignals() as stopping,
        Inputs(Selection(files=(path,) * 1000), stopping) as inputs,
    ):
        inputs.open()
        with Pump(inputs, print) as pump:
            for buffer, _ in pump:
                found.append(number_of(bytes(buffer)[16:62]))
                if len(found) == 2:
                    signal.raise_signal(signal.SIGTERM)
    assert 2 <= len(found) < 20
    assert found[0] == 0


def test_packets_of_a_slow_pipe_do_not_wait_for_company(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    write_fd = os.open(path, os.O_RDWR)
    os.write(write_fd, capture(1))
    with Stopping() as stopping, Inputs(Selection(files=(str(path),)), stopping) as inputs:
        inputs.open()
        with Pump(inputs, print, hold_ns=1_000_000) as pump:
            for buffer, _ in pump:  # the pipe does not end: without a hold this would wait on
                assert buffer.packets == 1
                break
    os.close(write_fd)


def test_another_signal_changes_nothing(tmp_path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    write_fd = os.open(path, os.O_RDWR)
    before = signal.signal(signal.SIGUSR1, lambda *_: None)

    def feed() -> None:
        data = capture(100)
        for at in range(0, len(data), 500):
            os.write(write_fd, data[at : at + 500])
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.001)
        os.close(write_fd)

    feeder = threading.Thread(target=feed)
    found = 0
    try:
        with StopSignals() as stopping, Inputs(Selection(files=(str(path),)), stopping) as inputs:
            inputs.open()
            feeder.start()
            with Pump(inputs, print) as pump:
                for buffer, _ in pump:
                    found += buffer.packets
            assert not stopping.requested
    finally:
        feeder.join()
        signal.signal(signal.SIGUSR1, before)
    assert found == 100


def test_closing_twice(tmp_path) -> None:
    path = put(tmp_path / "a", 3)
    with Stopping() as stopping, Inputs(Selection(files=(path,)), stopping) as inputs:
        inputs.open()
        with Pump(inputs, print) as pump:
            assert sum(buffer.packets for buffer, _ in pump) == 3
            pump.close()
        assert not stopping.requested


def test_a_consumer_may_keep_a_buffer_and_give_it_back_from_elsewhere(tmp_path) -> None:
    path = put(tmp_path / "a", 20_000)
    kept: list[Buffer] = []
    found: list[int] = []

    def give_back() -> None:
        view = bytes(kept[0])
        found.append(number_of(view[16:62]))
        pump.give_back(kept.pop(0))

    with Stopping() as stopping, Inputs(Selection(files=(path,)), stopping) as inputs:
        inputs.open()
        with Pump(inputs, print, buffers=2, buffer_bytes=1 << 17) as pump:
            for buffer, _ in pump:
                pump.keep()
                kept.append(buffer)
                if len(kept) == 2:  # all there are: without one given back nothing more comes
                    thread = threading.Thread(target=give_back)
                    thread.start()
                    thread.join()
            while kept:
                give_back()
    assert len(found) > 3
    assert found == sorted(set(found))
