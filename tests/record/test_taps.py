"""Taps: what is sent, what is said once, and how a wake-up is served in between."""

from contextlib import closing
from typing import Any, ClassVar, NamedTuple

import pytest

from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import NEVER_NS, Stop
from daemonlogger_py.errors import UsageError
from daemonlogger_py.record import taps
from daemonlogger_py.record.taps import LIVE_WAIT_NS, READ_WAIT_NS, Taps, TapTotals

from .bench import at
from .fakes import MANY, FakeSource, Told


class Counters(NamedTuple):
    sent: int = 0
    sent_bytes: int = 0
    too_large: int = 0
    refused: int = 0
    dropped: int = 0
    missed: int = 0
    cut: int = 0


class FakeTap:
    """Reaches the offsets it is told to, one a call; then the end."""

    made: ClassVar[list["FakeTap"]] = []

    def __init__(self, interface: str, **options: Any) -> None:
        if interface == "refused0":
            raise UsageError("-o/--tap 'refused0': no such interface")
        self.interface = interface
        self.options = options
        self.reaches: list[int] = []
        self.asked: list[tuple[int, int]] = []
        self.count = Counters()
        self.failure: str | None = None
        self.remark: str | None = None
        self.refusal: str | None = None
        self.revives = False
        self.closed = False
        FakeTap.made.append(self)

    @property
    def down(self) -> bool:
        return self.failure is not None

    def send(self, buffer: Buffer, offset: int, wait_ns: int) -> int:
        self.asked.append((offset, wait_ns))
        return self.reaches.pop(0) if self.reaches else len(buffer)

    def revive(self) -> bool:
        if self.revives:
            self.failure = None
        return self.revives

    def counters(self) -> Counters:
        return self.count

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeTap]:
    FakeTap.made = []
    monkeypatch.setattr(taps, "Tap", FakeTap)
    return FakeTap.made


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def buffer() -> Buffer:
    """Three records of 56 bytes."""
    filled = Buffer(1 << 19)
    with FakeSource(at(range(3)), []) as source:
        assert source.fill(filled, MANY, MANY, NEVER_NS, MANY, NEVER_NS) == Stop.END
    return filled


def make(told: Told, *interfaces: str, live: bool = True, **settings: Any) -> Taps:
    config = RecorderConfig(tap=interfaces, **settings)
    with FakeSource([], [], live=live) as source:
        return Taps(config, source, 7, told)


def go_on() -> bool:
    return True


@pytest.mark.parametrize(("live", "wait_ns"), [(True, LIVE_WAIT_NS), (False, READ_WAIT_NS)])
def test_every_interface_gets_the_buffer(
    fakes: list[FakeTap], told: Told, buffer: Buffer, live: bool, wait_ns: int
) -> None:
    with closing(make(told, "a0", "b0", live=live)) as made:
        made.send(buffer, 56, 2, go_on)

    assert [tap.asked for tap in fakes] == [[(56, wait_ns)]] * 2
    assert all(tap.closed for tap in fakes)
    assert told.all == []


def test_taps_are_made_for_what_the_source_has(fakes: list[FakeTap], told: Told) -> None:
    with closing(make(told, "a0", live=False, read="x", pace=2.0)):
        pass

    expected = {"linktype": 1, "wake_fd": 7, "nanosecond": False, "pace": 2.0, "patient": True}
    assert fakes[0].options == expected


def test_those_made_before_one_that_is_refused_are_closed(fakes: list[FakeTap], told: Told) -> None:
    with pytest.raises(UsageError):
        make(told, "a0", "refused0")

    assert [tap.closed for tap in fakes] == [True]


@pytest.mark.parametrize("pace", [None, 1.0])
def test_a_wake_up_is_served_and_sending_goes_on_where_it_was(
    fakes: list[FakeTap], told: Told, buffer: Buffer, pace: float | None
) -> None:
    served = []
    with closing(make(told, "a0", "b0", live=False, read="x", pace=pace)) as made:
        fakes[0].reaches = [56, 112]
        made.send(buffer, 0, 3, lambda: not served.append(True))

    assert [offset for offset, _ in fakes[0].asked] == [0, 56, 112]
    assert [offset for offset, _ in fakes[1].asked] == [0, len(buffer), len(buffer)]
    assert len(served) == 2


def test_an_end_leaves_packets_unsent_and_counted(
    fakes: list[FakeTap], told: Told, buffer: Buffer
) -> None:
    with closing(make(told, "a0")) as made:
        fakes[0].reaches = [56]
        fakes[0].count = Counters(sent=1, sent_bytes=40)
        made.send(buffer, 0, 3, lambda: False)

        assert made.totals() == [TapTotals("a0", 1, 40, 0, 0, 0, 0, 0, 2)]
    assert len(fakes[0].asked) == 1
    assert str(made.totals()[0]) == (
        "1 packets sent out of a0, 40 bytes, 0 too large, 0 refused by the kernel, "
        "0 dropped on a full queue, 2 not sent"
    )


def test_each_trouble_is_said_once(fakes: list[FakeTap], told: Told, buffer: Buffer) -> None:
    with closing(make(told, "a0")) as made:
        fakes[0].remark = "frame of 9014 bytes, MTU 1500, not TCP: cannot be segmented"
        fakes[0].refusal = "frame of 5 bytes: Invalid argument"
        for _ in range(3):
            made.send(buffer, 0, 3, go_on)

    assert told.texts() == [
        (
            "[!] tap a0: frame of 9014 bytes, MTU 1500, not TCP: cannot be segmented; "
            "more are counted"
        ),
        "[!] tap a0: frame of 5 bytes: Invalid argument; more are counted",
    ]


def test_packets_dropped_are_said_as_they_come(fakes: list[FakeTap], told: Told) -> None:
    with closing(make(told, "a0")) as made:
        for dropped in (0, 3, 3, 10):
            fakes[0].count = Counters(dropped=dropped)
            made.look()

    assert told.texts() == [
        "[!] tap a0: 3 packets dropped on a full transmit queue (3 in all)",
        "[!] tap a0: 7 packets dropped on a full transmit queue (10 in all)",
    ]


def test_a_tap_that_is_down_is_looked_for_and_said_each_time(
    fakes: list[FakeTap], told: Told, buffer: Buffer
) -> None:
    with closing(make(told, "a0")) as made:
        for _ in range(2):
            fakes[0].failure = "interface a0 is down"
            fakes[0].revives = False
            made.send(buffer, 0, 3, go_on)
            made.look()
            fakes[0].revives = True
            fakes[0].count = Counters(missed=3)
            made.look()
            made.look()

    assert (
        told.texts()
        == [
            "[!] tap a0: interface a0 is down, packets are missed",
            "[!] tap a0: back, 3 packets were missed in all",
        ]
        * 2
    )


def test_a_savefile_waits_for_an_interface_that_is_down(
    fakes: list[FakeTap], told: Told, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taps, "DOWN_S", 0.0)
    served = []

    def serve() -> bool:
        served.append(True)
        fakes[0].revives = len(served) == 3
        return True

    with closing(make(told, "a0", live=False, read="x")) as made:
        fakes[0].failure = "interface a0 is down"
        made.send(buffer, 0, 3, serve)

    assert len(served) == 3
    assert [offset for offset, _ in fakes[0].asked] == [0]
    assert told.texts() == [
        "[!] tap a0: interface a0 is down, packets are missed",
        "[!] tap a0: back, 0 packets were missed in all",
    ]


def test_an_end_while_the_interface_is_down(
    fakes: list[FakeTap], told: Told, buffer: Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taps, "DOWN_S", 0.0)
    with closing(make(told, "a0", live=False, read="x")) as made:
        fakes[0].failure = "interface a0 is down"
        made.send(buffer, 0, 3, lambda: False)

        assert made.totals()[0].unsent == 3
    assert fakes[0].asked == []
