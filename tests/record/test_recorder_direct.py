"""Direct output: whole blocks past the page cache, and never a byte wrong in the savefile."""

import ctypes
import errno
import fcntl
import os
import signal
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.protocol import Stop

from ..pcaps import make
from .bench import Bench, at
from .fakes import FakeSource, Step

BLOCK_BYTES = 4096
# Just under, at and over the edge of a block, header and all; and several blocks.
EDGES = [BLOCK_BYTES - 24 - 16 + d for d in (-1, 0, 1)] + [BLOCK_BYTES - 16, 3 * BLOCK_BYTES]


class PyBuffer(ctypes.Structure):
    """Py_buffer: where an object's memory is."""

    _fields_ = (("buf", ctypes.c_void_p), ("rest", ctypes.c_char * 256))


def address_of(data: memoryview) -> int:
    view = PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(data), ctypes.byref(view), 0)
    address = view.buf
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
    return int(address or 0)


class Device:
    """Stands in for a disk that takes direct output: holds it to what real ones ask for."""

    def __init__(self, bench: Bench) -> None:
        self.direct_writes = 0
        self.buffered_writes = 0
        self._write = os.pwrite
        self._control = fcntl.fcntl
        self._direct: set[int] = set()
        self._open = os.open
        bench.patch.setattr(os, "pwrite", self.pwrite)
        bench.patch.setattr(fcntl, "fcntl", self.fcntl)

    def fcntl(self, fd: int, command: int, value: int = 0) -> int:
        if command != fcntl.F_SETFL:
            return self._control(fd, command, value)
        if value & os.O_DIRECT:
            self._direct.add(fd)
        else:
            self._direct.discard(fd)
        return 0

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        if offset == 0 and len(data) == 24 and not self._control(fd, fcntl.F_GETFL) & os.O_DIRECT:
            self._direct.discard(fd)  # a number used again, for the next savefile
        if fd in self._direct:
            self.direct_writes += 1
            for number in (len(data), offset, address_of(data)):
                if number % BLOCK_BYTES:
                    raise OSError(errno.EINVAL, f"{number} is no multiple of {BLOCK_BYTES}")
        else:
            self.buffered_writes += 1
        return self._write(fd, data, offset)


Script = list[tuple[int, Stop, bool]]


def play(bench: Bench, packets: list[make.Packet], script: Script) -> list[list[make.Packet]]:
    """The steps of a script for a source, played; the packets of each savefile it has to make."""
    files: list[list[make.Packet]] = [[]]
    steps, begun = [], 0
    for count, stop, hangs_up in script:
        then: Callable[[], object] = bench.send(signal.SIGHUP) if hangs_up else int
        steps.append(Step(count, stop, then))
        files[-1] += packets[begun : begun + count]
        begun += count
        if hangs_up and files[-1]:
            files.append([])
    files[-1] += packets[begun:]
    bench.steps = steps
    return [held for held in files if held]


scripts = st.lists(
    st.tuples(
        st.integers(0, 6), st.sampled_from([Stop.FULL, Stop.DEADLINE, Stop.WAKE]), st.booleans()
    ),
    max_size=12,
)
sizes = st.integers(0, 300) | st.sampled_from(EDGES) | st.integers(0, 9000)


@given(
    sizes=st.lists(sizes, min_size=1, max_size=40),
    script=scripts,
    flush=st.booleans(),
    real=st.booleans(),
)
def test_savefiles_are_the_same_to_the_byte(
    sizes: list[int], script: Script, flush: bool, real: bool
) -> None:
    packets = [make.Packet(make.START_NS, bytes([n]) * size) for n, size in enumerate(sizes)]
    with Bench() as bench:
        device = None if real else Device(bench)
        expected = play(bench, packets, script)
        totals = bench.record(FakeSource(packets, bench.steps), flush=flush, direct=True)
        found = [bench.path(name).read_bytes() for name in bench.savefiles()]

        assert found == [make.classic(held) for held in expected]
        assert (totals.written, totals.lost) == (len(packets), 0)
        assert totals.size_bytes == sum(map(len, found))
        assert device is None or device.buffered_writes > 0


def test_most_of_it_goes_past_the_cache(bench: Bench) -> None:
    device = Device(bench)
    packets = at(range(200), size=1000)
    steps = [Step(50, Stop.FULL) for _ in range(3)]
    bench.record(FakeSource(packets, steps), direct=True)

    assert list(bench.savefiles().values()) == [packets]
    # The header when the file is begun, and what is no whole block when it ends.
    assert (device.direct_writes, device.buffered_writes) == (4, 2)


def test_hangup_after_a_full_buffer_loses_no_end_of_a_record(bench: Bench) -> None:
    """The signal comes when the buffer is with the writer and its last bytes are still with us."""
    packets = at(range(40), size=1000)
    steps = [Step(20, Stop.FULL, then=bench.send(signal.SIGHUP))]
    totals = bench.record(FakeSource(packets, steps, live=True), direct=True)

    assert list(bench.savefiles().values()) == [packets[:20], packets[20:]]
    assert totals.written == 40


@pytest.mark.parametrize("stop", [Stop.FULL, Stop.DEADLINE])
def test_ending_right_after_a_full_buffer(bench: Bench, stop: Stop) -> None:
    packets = at(range(20), size=1000)
    steps = [Step(20, stop, then=bench.send(signal.SIGTERM))]
    bench.record(FakeSource(packets, steps, live=True), direct=True)

    assert list(bench.savefiles().values()) == [packets]


@pytest.mark.parametrize("count", [1, 5, 30])
def test_quiet_link_has_everything_on_disk(bench: Bench, count: int) -> None:
    """What is no whole block is written too when it has waited; it is written again later."""
    packets = at(range(60), size=500)
    seen: list[int] = []
    steps = [
        Step(count, Stop.FULL),
        Step(stop=Stop.DEADLINE),
        Step(stop=Stop.WAKE, then=lambda: seen.append(bench.wait_for_packets(count))),
        Step(7, Stop.DEADLINE, then=lambda: bench.clock.advance(60)),
        Step(stop=Stop.WAKE, then=lambda: seen.append(bench.wait_for_packets(count + 7))),
    ]
    bench.record(FakeSource(packets, steps, live=True), direct=True)

    assert seen == [count, count + 7]
    assert list(bench.savefiles().values()) == [packets]


def test_size_counts_what_is_on_its_way_to_the_disk(bench: Bench) -> None:
    packets = at(range(40), size=984)  # 1000 bytes each
    steps = [Step(3, Stop.FULL) for _ in range(20)]
    bench.record(FakeSource(packets, steps, live=True), direct=True, roll_size=10_024)

    assert [len(held) for held in bench.savefiles().values()] == [10, 10, 10, 10, 0]
    assert [bench.path(name).stat().st_size for name in bench.savefiles()] == [10_024] * 4 + [24]


def test_file_system_that_refuses_is_told_of_once(bench: Bench) -> None:
    def refuse(fd: int, command: int, value: int = 0) -> int:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    bench.patch.setattr(fcntl, "fcntl", refuse)
    packets = at(range(40), size=1000)
    bench.record(FakeSource(packets, [Step(7, Stop.FULL)]), direct=True, roll_packets=15)

    assert list(bench.savefiles().values()) == [packets[:15], packets[15:30], packets[30:]]
    assert bench.told.texts("not_direct") == [
        f"[!] --direct: refused by {bench.folder} (Invalid argument), writing buffered"
    ]
