"""What the loop asks a source for, and when it hands over what came."""

import pytest

from daemonlogger_py.config.recorder import RollTime
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.record.boundary import ROLL_GRACE_NS
from daemonlogger_py.record.recorder import HOLD_NS

from .bench import Bench, at
from .fakes import Clock, FakeSource, Step

S = 10**9


@pytest.mark.parametrize(("flush", "hold_ns"), [(False, HOLD_NS), (True, 0)])
def test_hold(bench: Bench, flush: bool, hold_ns: int) -> None:
    source = FakeSource(at(range(3)), [Step(1, Stop.DEADLINE)], live=True)
    bench.record(source, flush=flush)

    assert {asked.hold_ns for asked in source.asked} == {hold_ns}


def test_packet_is_in_its_savefile_once_it_has_waited(bench: Bench, clock: Clock) -> None:
    packets = at(range(3))
    seen: list[int] = []

    def look() -> None:
        seen.append(bench.wait_for_packets(2))

    steps = [
        Step(2, Stop.DEADLINE, then=lambda: clock.advance(100)),
        Step(stop=Stop.DEADLINE, then=look),
    ]
    bench.record(FakeSource(packets, steps, live=True))

    assert seen == [2]


def test_deadline_does_not_cut_a_hold_short(bench: Bench, clock: Clock) -> None:
    """A tick within the hold is no reason to write a buffer with one packet in it."""
    steps = [Step(1, Stop.DEADLINE) for _ in range(4)]
    bench.count_writes()
    bench.record(FakeSource(at(range(4)), steps, live=True))

    assert bench.writes == 2  # the file header, and all of the packets


@pytest.mark.parametrize(
    ("config", "wait_s"),
    [
        ({}, 1),
        ({"stats_interval": 0.25}, 0.25),
        ({"stats_interval": 60}, 1),
        ({"roll_time": RollTime(10, "s")}, 1),
    ],
)
def test_wait_ends_with_the_next_thing_to_do(
    bench: Bench, clock: Clock, config: dict, wait_s: float
) -> None:
    source = FakeSource(at(range(3)), [Step(1, Stop.WAKE)], live=True)
    start_ns = clock.monotonic_ns()
    bench.record(source, **config)

    assert [asked.deadline_ns - start_ns for asked in source.asked] == [wait_s * S] * 2


def test_wait_ends_with_the_boundary_and_its_grace(bench: Bench, clock: Clock) -> None:
    steps = [Step(1, Stop.WAKE, then=lambda: clock.advance(9.5))]
    source = FakeSource(at(range(3)), steps, live=True)
    bench.record(source, roll_time=RollTime(10, "s"))

    wait_ns = source.asked[-1].deadline_ns - clock.monotonic_ns()
    assert wait_ns == S // 2 + ROLL_GRACE_NS


def test_budgets_count_what_waits_in_the_buffer_and_in_the_file(bench: Bench) -> None:
    source = FakeSource(
        at(range(5), size=84),
        [Step(1, Stop.FULL), Step(1, Stop.WAKE), Step(1, Stop.WAKE)],
        live=True,
    )
    bench.record(source, roll_size=1000, roll_packets=7, count=6)

    assert [asked.bytes_left for asked in source.asked] == [976, 876, 776, 676]
    assert [asked.packets_left for asked in source.asked] == [6, 5, 4, 3]


@pytest.mark.parametrize("roll_size", [1, 23, 24, 25, 40])
def test_roll_size_of_less_than_a_packet(bench: Bench, roll_size: int) -> None:
    packets = at(range(3))
    bench.record(FakeSource(packets, [], live=True), roll_size=roll_size)

    assert list(bench.savefiles().values()) == [[p] for p in packets] + [[]]
