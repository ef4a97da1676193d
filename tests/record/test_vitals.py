"""What systemd, its watchdog and Prometheus are told of a recording."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.record import vitals
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.keeper import RingState
from daemonlogger_py.record.opening import Opened
from daemonlogger_py.record.recorder import ROLLOVERS
from daemonlogger_py.record.totals import Totals
from daemonlogger_py.record.vitals import Vitals

NONE = Totals(0, 0, 0, 0, 0, 0, 0)
NO_ROLLS = dict.fromkeys(ROLLOVERS, 0)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


class Notifier:
    """Keeps what it was told."""

    def __init__(self, interval_s: float | None) -> None:
        self.watchdog_interval_s = interval_s
        self.told: list[str] = []

    def ready(self, status: str) -> None:
        self.told.append(f"ready {status}")

    def stopping(self, status: str) -> None:
        self.told.append(f"stopping {status}")

    def status(self, text: str) -> None:
        self.told.append(text)

    def watchdog(self) -> None:
        self.told.append("watchdog")


class Metrics:
    read: Any = None

    def start(self, read: Any) -> None:
        self.read = read


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(vitals, "time", clock)
    return clock


def made(
    clock: Clock, writer: Any, notifier: Any = None, metrics: Any = None, detached: Any = None
) -> Vitals:
    config = RecorderConfig(interface="eth0")
    ready = Opened(config, None, cast(Any, None), None, None, "")
    around = SimpleNamespace(notifier=notifier, metrics=metrics, detached=detached, hooks=None)
    found = Vitals(ready, cast(Any, around), BufferPool(65_551, 1 << 24))
    found.of(writer, None)
    return found


def writer(**state: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"busy": False, "current_path": "logs/t.100", **state})


def test_ready_is_told_to_all_who_wait(clock: Clock) -> None:
    notifier, metrics = Notifier(None), Metrics()
    released = []
    detached = SimpleNamespace(ready=lambda: released.append(True))
    found = made(clock, writer(), notifier, metrics, detached)
    assert (notifier.told, metrics.read, released) == ([], None, [])
    found.started(NONE, NO_ROLLS)

    assert notifier.told == ["ready Recording"]
    assert metrics.read is not None
    assert released == [True]


def test_status_line(clock: Clock) -> None:
    notifier = Notifier(None)
    found = made(clock, writer(), notifier)
    found.started(NONE, NO_ROLLS)
    clock.now += 2
    found.look(NONE._replace(received=500, dropped=7), NO_ROLLS)
    found.stopping()

    assert notifier.told[1:] == [
        "500 packets, 250/s, 7 dropped, into logs/t.100",
        "stopping Writing what is in memory",
    ]


def test_status_says_when_the_interface_is_down(clock: Clock) -> None:
    notifier = Notifier(None)
    found = made(clock, writer(), notifier)
    found.of(cast(Any, writer()), cast(Any, SimpleNamespace(up=False)))
    found.look(NONE, NO_ROLLS)

    assert notifier.told[-1].endswith("the interface is down")


def fed(found: Vitals, notifier: Notifier, totals: Totals) -> bool:
    before = notifier.told.count("watchdog")
    found.look(totals, NO_ROLLS)
    return notifier.told.count("watchdog") > before


def test_watchdog_is_fed_while_bytes_reach_the_disk(clock: Clock) -> None:
    notifier, disk = Notifier(1.0), writer()
    found = made(clock, disk, notifier)
    assert fed(found, notifier, NONE), "an idle recorder is well"
    disk.busy = True
    clock.now += 1
    assert fed(found, notifier, NONE._replace(size_bytes=100)), "some more was written"
    clock.now += 1
    assert not fed(found, notifier, NONE._replace(size_bytes=100)), "the disk is stuck"
    clock.now += 1
    assert not fed(found, notifier, NONE._replace(size_bytes=100))
    clock.now += 1
    assert fed(found, notifier, NONE._replace(size_bytes=101))
    disk.busy = False
    clock.now += 1
    assert fed(found, notifier, NONE._replace(size_bytes=101))


def test_watchdog_is_fed_no_oftener_than_it_asks_for(clock: Clock) -> None:
    notifier = Notifier(10.0)
    found = made(clock, writer(), notifier)
    times = []
    for second in range(25):
        if fed(found, notifier, NONE):
            times.append(second)
        clock.now += 1

    assert times == [0, 9, 18]


def test_watchdog_that_nobody_asks_for(clock: Clock) -> None:
    notifier = Notifier(None)
    found = made(clock, writer(), notifier)

    assert not fed(found, notifier, NONE)


def test_snapshot_is_of_the_last_look(clock: Clock) -> None:
    metrics = Metrics()
    found = made(clock, writer(), None, metrics)
    found.started(NONE, NO_ROLLS)
    found.on_written(0.003)
    rolls = {**NO_ROLLS, "size": 3}
    found.look(Totals(10, 2, 1, 0, 9, 4, 1000), rolls)
    snapshot = metrics.read()

    assert snapshot.interface == "eth0"
    assert snapshot.interface_up
    assert (snapshot.received_packets, snapshot.kernel_dropped_packets) == (10, 2)
    assert (snapshot.interface_dropped_packets, snapshot.lost_packets) == (1, 0)
    assert (snapshot.written_packets, snapshot.written_bytes, snapshot.savefiles) == (9, 1000, 4)
    assert snapshot.rollovers == rolls
    assert sum(snapshot.write_latency.read()[0]) == 1
    assert snapshot.buffers_used_bytes == 0
    assert 1 << 23 < snapshot.buffers_limit_bytes <= 1 << 24
    assert (snapshot.ring, snapshot.volume, snapshot.taps, snapshot.hooks) == (None, None, (), None)


class Chronicle:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, Any], bool]] = []

    def look(self, figures: dict[str, Any], *, all_written: bool) -> None:
        self.told.append((figures, all_written))


def test_the_catalog_is_told_every_second(clock: Clock) -> None:
    chronicle = Chronicle()
    state = RingState(5, 5000, 7, 1234, 2000, 100)
    log_dir = SimpleNamespace(keeper=SimpleNamespace(state=state))
    config = RecorderConfig(interface="eth0")
    ready = Opened(config, cast(Any, log_dir), cast(Any, None), None, None, "")
    around = SimpleNamespace(notifier=None, metrics=None, detached=None, hooks=None)
    pool = BufferPool(65_551, 1 << 24)
    vitals = Vitals(ready, cast(Any, around), pool, cast(Any, chronicle))
    found = writer(current_bytes=300, busy=True)
    vitals.of(found, None)
    vitals.look(Totals(100, 1, 2, 3, 90, 4, 9000), NO_ROLLS)
    found.busy = False
    vitals.look(Totals(100, 1, 2, 3, 97, 4, 9000), NO_ROLLS)

    (first, written), (_, all_written) = chronicle.told
    assert (written, all_written) == (False, True)
    assert first == {
        "interface_up": True,
        "received": 100,
        "dropped": 1,
        "if_dropped": 2,
        "lost": 3,
        "written": 90,
        "written_bytes": 9000,
        "buffers_used_bytes": 0,
        "buffers_limit_bytes": pool.limit * pool.buffer_bytes,
        "savefile": "t.100",
        "savefile_bytes": 300,
        "ring_files": 5,
        "ring_bytes": 5000,
        "oldest_ns": 1234 * 10**9,
        "pinned_bytes": 2000,
        "pinned_open_bytes": 100,
    }
