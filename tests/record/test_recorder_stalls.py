"""A disk that stalls or fails: nothing waits but the disk's own thread, and all is counted."""

import errno
import os
import re
import signal
import threading

import pytest

from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import StorageError

from ..pcaps.parse import parse
from .bench import Bench, at
from .fakes import FakeSource, Step

LEAST = 3  # buffers, however little memory is allowed


def failing(bench: Bench, write_whole: int, error: int) -> None:
    """The disk takes this many bytes, then it fails for good."""
    write = os.pwrite
    left = write_whole

    def limited(fd: int, data: memoryview, offset: int) -> int:
        nonlocal left
        if left <= 0:
            raise OSError(error, os.strerror(error))
        done = write(fd, data[:left], offset)
        left -= done
        return done

    bench.patch.setattr(os, "pwrite", limited)


def test_stalled_disk_loses_nothing(bench: Bench) -> None:
    packets = at(range(12), size=1000)
    bench.stall_disk()
    bench.told.upon["stalled"] = bench.gate.set
    steps = [Step(1, Stop.FULL) for _ in packets]
    totals = bench.record(FakeSource(packets, steps, live=True), memory_bytes=0)

    assert list(bench.savefiles().values()) == [packets]
    assert (totals.received, totals.written, totals.lost) == (12, 12, 0)
    assert bench.pool is not None
    assert bench.pool.allocated == LEAST


def test_stall_is_told_once_and_its_end(bench: Bench) -> None:
    packets = at(range(6))
    bench.stall_disk()
    bench.told.upon["stalled"] = bench.gate.set
    bench.record(
        FakeSource(packets, [Step(1, Stop.FULL) for _ in packets], live=True), memory_bytes=0
    )

    (stalled,) = bench.told.texts("stalled")[:1]
    assert bench.pool is not None
    memory = LEAST * bench.pool.buffer_bytes
    assert stalled == (
        f"[!] The disk does not keep up: all 3 buffers ({memory} bytes) wait for it; "
        "packets stay in the kernel's buffer"
    )
    resumed = bench.told.texts("resumed")[0]
    assert re.fullmatch(r"\[!\] The disk took buffers again after \d+\.\d s", resumed)
    told = [event for event in bench.told.events() if event in ("stalled", "resumed")]
    assert told == ["stalled", "resumed"] * (len(told) // 2)


def test_loop_serves_signals_while_the_disk_is_stalled(bench: Bench) -> None:
    packets = at(range(9))
    bench.stall_disk()
    bench.told.upon = {
        "stalled": lambda: signal.raise_signal(signal.SIGUSR1),
        "statistics": lambda: signal.raise_signal(signal.SIGTERM),
        "finishing": bench.gate.set,
    }
    steps = [Step(1, Stop.FULL) for _ in packets]
    totals = bench.record(FakeSource(packets, steps, live=True, late=2), memory_bytes=0)

    told = [e for e in bench.told.events() if e in ("stalled", "statistics", "finishing")]
    assert told[:3] == ["stalled", "statistics", "finishing"]
    # Three were waiting for the disk, and two more came while it ended.
    assert list(bench.savefiles().values()) == [packets[:5]]
    assert (totals.received, totals.written) == (5, 5)


def test_savefile_that_is_read_waits_for_the_disk_in_silence(bench: Bench) -> None:
    packets = at(range(12), size=1000)
    bench.stall_disk()
    source = FakeSource(packets, [Step(1, Stop.FULL) for _ in packets])

    def release() -> None:
        bench.wait_until(lambda: bench.pool is not None and bench.pool.starving)
        bench.gate.set()

    thread = threading.Thread(target=release)
    thread.start()
    totals = bench.record(source, memory_bytes=0)
    thread.join()

    assert list(bench.savefiles().values()) == [packets]
    assert totals.lost == 0
    assert "stalled" not in bench.told.events()


def test_more_memory_takes_a_longer_stall(bench: Bench) -> None:
    packets = at(range(9))
    bench.stall_disk()
    steps = [Step(1, Stop.FULL) for _ in packets]
    steps.append(Step(stop=Stop.WAKE, then=bench.gate.set))
    bench.record(FakeSource(packets, steps, live=True), memory_bytes=1 << 30)

    assert list(bench.savefiles().values()) == [packets]
    assert "stalled" not in bench.told.events()
    assert bench.pool is not None
    assert bench.pool.allocated == 10


@pytest.mark.parametrize("whole", [24, 24 + 3 * 56, 24 + 3 * 56 + 16, 24 + 4 * 56 - 1])
@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("direct", [False, True])
def test_failed_disk_ends_the_recording_and_all_is_counted(
    bench: Bench, whole: int, live: bool, direct: bool
) -> None:
    packets = at(range(20))  # 56 bytes each
    failing(bench, whole, errno.EIO)
    steps = [Step(1, Stop.FULL) for _ in range(10)]
    source = FakeSource(packets, steps, live=live)
    with pytest.raises(StorageError, match=r"t\.\d+: Input/output error$"):
        bench.record(source, direct=direct)

    (data,) = (bench.path(name).read_bytes() for name in bench.names())
    capture = parse(data)
    assert capture.whole
    facts = bench.told.facts("statistics")[-1]
    assert facts["written"] == len(capture.records) <= (whole - 24) // 56
    assert facts["size_bytes"] == len(data)
    assert facts["received"] == int(str(facts["written"])) + int(str(facts["lost"]))
    assert bench.told.events()[-1] == "statistics"


def test_failed_disk_is_noticed_without_a_packet(bench: Bench) -> None:
    """On an idle link the writer's wake-up has to be enough."""
    failing(bench, 24, errno.EIO)

    def heard() -> None:
        bench.wait_until(lambda: "savefile_cut" in bench.told.events())

    steps = [
        Step(2, Stop.FULL),
        Step(stop=Stop.WAKE, then=heard),
        *[Step(stop=Stop.WAKE) for _ in range(50)],
    ]
    source = FakeSource(at(range(99)), steps, live=True)
    with pytest.raises(StorageError):
        bench.record(source)

    assert len(source.asked) < 10
    assert bench.told.facts("statistics")[-1]["received"] == 2


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_volume_that_has_no_room_for_the_first_savefile(bench: Bench, error: int) -> None:
    failing(bench, 0, error)
    with pytest.raises(StorageError, match=os.strerror(error)):
        bench.record(FakeSource(at(range(3)), [], live=True))

    facts = bench.told.facts("statistics")[-1]
    assert (facts["lost"], facts["written"]) == (facts["received"], 0)
    for name in bench.names():
        assert parse(bench.path(name).read_bytes()).whole


@pytest.mark.parametrize("direct", [False, True])
def test_hangup_while_the_disk_is_stalled(bench: Bench, direct: bool) -> None:
    packets = at(range(80), size=1000)
    bench.stall_disk()

    def hang_up_and_go_on() -> None:
        signal.raise_signal(signal.SIGHUP)
        bench.gate.set()

    bench.told.upon["stalled"] = hang_up_and_go_on
    steps = [Step(20, Stop.FULL) for _ in range(LEAST)]
    bench.record(FakeSource(packets, steps, live=True), memory_bytes=0, direct=direct)

    assert list(bench.savefiles().values()) == [packets[:60], packets[60:]]
