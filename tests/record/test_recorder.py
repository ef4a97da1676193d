"""The loop with a scripted source and a real writer: what is in which savefile."""

import pytest

from daemonlogger_py.config.recorder import RollTime
from daemonlogger_py.engine.protocol import NEVER_NS, Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.record.boundary import ROLL_GRACE_NS
from daemonlogger_py.record.totals import Totals

from ..pcaps import make
from .bench import Bench, at, mixture
from .fakes import Clock, FakeSource, Step

S = 10**9
START_S = make.START_NS // S


def test_one_savefile_named_after_its_first_packet(bench: Bench) -> None:
    packets = mixture()
    totals = bench.record(FakeSource(packets, []))

    assert bench.savefiles() == {f"t.{START_S}": packets}
    size_bytes = len(make.classic(packets))
    assert totals == Totals(12, 0, 0, lost=0, written=12, files=1, size_bytes=size_bytes)
    assert bench.told.texts("savefile") == [f"Logging packets to {bench.path(f't.{START_S}')}"]


def test_savefile_without_packets_when_nothing_matched(bench: Bench, clock: Clock) -> None:
    totals = bench.record(FakeSource([], []))

    assert bench.savefiles() == {f"t.{int(clock.time())}": []}
    assert totals == Totals(0, 0, 0, lost=0, written=0, files=1, size_bytes=24)


def test_live_savefile_is_there_before_the_first_packet(bench: Bench) -> None:
    seen: list[list[str]] = []
    steps = [Step(stop=Stop.DEADLINE, then=lambda: seen.append(bench.wait_for_files(1)))]
    bench.record(FakeSource([], steps, live=True))

    assert seen == [[f"t.{START_S}"]]
    assert bench.savefiles() == {f"t.{START_S}": []}


@pytest.mark.parametrize("live", [False, True])
def test_roll_by_size(bench: Bench, live: bool) -> None:
    packets = at([0] * 10, size=84)  # 100 bytes each
    bench.record(FakeSource(packets, [], live=live), roll_size=324)

    # 24 + 3 * 100 reaches 324: the file is closed by the packet that takes it there.
    assert bench.savefiles() == {
        f"t.{START_S}": packets[:3],
        f"t.{START_S}.001": packets[3:6],
        f"t.{START_S}.002": packets[6:9],
        f"t.{START_S}.003": packets[9:],
    }
    assert bench.told.texts("roll") == ["Size limit reached (324 - 324 = 0), rolling over!"] * 3


def test_original_lines_of_a_roll_over_in_their_order(bench: Bench) -> None:
    packets = at([0, 0, 0], size=1000)
    bench.record(FakeSource(packets, [], live=True), roll_size=1500)

    size = 24 + 2 * 1016
    assert bench.told.texts("savefile", "roll", "rolling") == [
        f"Logging packets to {bench.path(f't.{START_S}')}",
        f"Size limit reached ({size} - 1500 = {size - 1500}), rolling over!",
        "Rolling over logfile...",
        f"Logging packets to {bench.path(f't.{START_S}.001')}",
    ]
    assert bench.told.facts("roll") == [{"why": "size", "size_bytes": size}]


@pytest.mark.parametrize("live", [False, True])
def test_roll_by_packets(bench: Bench, live: bool) -> None:
    packets = at(range(7))
    bench.record(FakeSource(packets, [Step(1, Stop.FULL)], live=live), roll_packets=3)

    assert list(bench.savefiles().values()) == [packets[:3], packets[3:6], packets[6:]]
    assert bench.told.texts("roll") == ["Packet limit reached (3), rolling over!"] * 2


def test_roll_by_time_of_the_packets_that_are_read(bench: Bench) -> None:
    packets = at([0, 4, 9.5, 10, 19, 45, 46, 50])
    bench.record(FakeSource(packets, []), roll_time=RollTime(10, "s"))

    # The grid begins with the first packet; idle periods have no files.
    assert bench.savefiles() == {
        f"t.{START_S}": packets[:3],
        f"t.{START_S + 10}": packets[3:5],
        f"t.{START_S + 45}": packets[5:7],
        f"t.{START_S + 50}": packets[7:],
    }
    assert bench.told.texts("roll") == ["Time limit reached, rolling over!"] * 3


def test_grid_begins_with_a_first_packet_that_fills_its_savefile(bench: Bench) -> None:
    packets = [*at([0], size=1000), *at([7, 9, 11, 12])]
    bench.record(FakeSource(packets, []), roll_time=RollTime(10, "s"), roll_size=1000)

    assert list(bench.savefiles().values()) == [packets[:1], packets[1:3], packets[3:]]


def test_live_packets_are_divided_by_their_own_time(bench: Bench, clock: Clock) -> None:
    packets = at([1, 9.9, 10, 12])
    steps = [Step(4, then=lambda: clock.advance(12))]
    bench.record(FakeSource(packets, steps, live=True), roll_time=RollTime(10, "s"))

    assert list(bench.savefiles().values()) == [packets[:2], packets[2:]]


def test_live_savefile_rolls_by_the_clock_alone(bench: Bench, clock: Clock) -> None:
    packets = at([1, 12])
    steps = [
        Step(1, Stop.DEADLINE),
        Step(stop=Stop.DEADLINE, then=lambda: clock.advance(10)),
        Step(stop=Stop.DEADLINE, then=lambda: clock.advance(ROLL_GRACE_NS / S)),
        Step(stop=Stop.WAKE, then=lambda: seen.append(bench.wait_for_files(2))),
    ]
    seen: list[list[str]] = []
    bench.record(FakeSource(packets, steps, live=True), roll_time=RollTime(10, "s"))

    assert seen == [[f"t.{START_S}", f"t.{START_S + 10}"]]
    assert list(bench.savefiles().values()) == [packets[:1], packets[1:]]


def test_packets_from_before_a_boundary_are_waited_for(bench: Bench, clock: Clock) -> None:
    packets = at([1, 9.99, 10.1])
    steps = [
        Step(1, Stop.DEADLINE),
        Step(stop=Stop.DEADLINE, then=lambda: clock.advance(10.01)),
        Step(2, Stop.WAKE),
    ]
    bench.record(FakeSource(packets, steps, live=True), roll_time=RollTime(10, "s"))

    assert list(bench.savefiles().values()) == [packets[:2], packets[2:]]


def test_empty_savefile_is_not_rolled_and_its_boundary_moves_on(bench: Bench, clock: Clock) -> None:
    packets = at([36, 39, 41])
    steps = [
        *[Step(stop=Stop.DEADLINE, then=lambda: clock.advance(7)) for _ in range(5)],
        Step(2),
    ]
    source = FakeSource(packets, steps, live=True)
    bench.record(source, roll_time=RollTime(10, "s"))

    assert bench.savefiles() == {f"t.{START_S}": packets[:2], f"t.{START_S + 35}": packets[2:]}
    boundaries = [(asked.until_ns - make.START_NS) // S for asked in source.asked]
    assert boundaries[:7] == [10, 10, 20, 30, 30, 40, 50]


def test_clock_that_is_set_back_does_not_stop_the_rolling(bench: Bench, clock: Clock) -> None:
    hour_ago_ns = make.START_NS - 3600 * S
    packets = [*at([1]), *at([3, 12], start_ns=hour_ago_ns)]

    def set_back() -> None:
        clock.advance(2)  # a tick is due
        clock.set_wall(hour_ago_ns + S)

    steps = [Step(1, Stop.DEADLINE, then=set_back)]
    source = FakeSource(packets, steps, live=True)
    bench.record(source, roll_time=RollTime(10, "s"))

    assert source.asked[-1].until_ns - hour_ago_ns <= 21 * S
    assert list(bench.savefiles().values())[-1] == packets[2:]


@pytest.mark.parametrize("kind", ["adapter_unsynced", "host_hiprec_unsynced"])
def test_stamps_of_an_unset_clock_are_not_compared_with_ours(
    bench: Bench, clock: Clock, kind: str
) -> None:
    packets = at([1, 2], start_ns=77 * S)
    source = FakeSource(packets, [Step(1, Stop.DEADLINE)], live=True)
    bench.record(source, roll_time=RollTime(10, "s"), tstamp_type=kind)

    assert {asked.until_ns for asked in source.asked} == {NEVER_NS}
    assert list(bench.savefiles().values()) == [packets]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("count", [1, 3, 12, 20])
def test_count_ends_the_recording(bench: Bench, live: bool, count: int) -> None:
    packets = mixture()
    totals = bench.record(FakeSource(packets, [Step(2, Stop.FULL)], live=live), count=count)

    assert list(bench.savefiles().values()) == [packets[:count]]
    assert totals.received == totals.written == min(count, 12)


@pytest.mark.parametrize("limits", [{"roll_packets": 2}, {"roll_size": 224}])
def test_count_does_not_leave_an_empty_savefile_behind(bench: Bench, limits: dict) -> None:
    packets = at(range(9), size=84)
    bench.record(FakeSource(packets, [], live=True), count=4, **limits)

    assert list(bench.savefiles().values()) == [packets[:2], packets[2:4]]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    "limits", [{"roll_packets": 2}, {"roll_size": 224}, {"roll_time": RollTime(2, "s")}]
)
def test_max_files_without_a_ring_ends_the_recording(
    bench: Bench, live: bool, limits: dict
) -> None:
    packets = at(range(20), size=84)
    totals = bench.record(FakeSource(packets, [], live=live), max_files=3, **limits)

    assert list(bench.savefiles().values()) == [packets[:2], packets[2:4], packets[4:6]]
    assert totals.written == 6
    assert len(bench.told.texts("roll")) == 2


def test_damage_ends_the_recording_after_the_totals(bench: Bench) -> None:
    packets = mixture()
    source = FakeSource(packets, [Step(5, Stop.DAMAGED)], failure="x is damaged at byte offset 9")
    with pytest.raises(SourceError, match=r"^x is damaged at byte offset 9$"):
        bench.record(source)

    assert list(bench.savefiles().values()) == [packets[:5]]
    assert bench.told.texts("statistics")[-1].startswith("5 packets received\n")
    assert bench.told.events()[-1] == "statistics"


def test_damage_before_the_first_packet_leaves_no_savefile(bench: Bench) -> None:
    with pytest.raises(SourceError):
        bench.record(FakeSource([], [Step(stop=Stop.DAMAGED)]))

    assert bench.savefiles() == {}


def test_source_that_fails(bench: Bench) -> None:
    packets = mixture()
    source = FakeSource(packets, [Step(2, Stop.FAILED)], live=True, failure="interface lan0: gone")
    with pytest.raises(SourceError, match=r"^interface lan0: gone$"):
        bench.record(source)

    assert list(bench.savefiles().values()) == [packets[:2]]


def test_totals_as_a_person_reads_them(bench: Bench) -> None:
    source = FakeSource(at(range(3), size=84), [], live=True)
    source.dropped, source.if_dropped = 1, 5
    totals = bench.record(source)

    assert str(totals) == (
        "3 packets received\n"
        "1 packets dropped by the kernel (25.00%)\n"
        "5 packets dropped by the interface\n"
        "0 packets lost by daemonlogger\n"
        "3 packets written to 1 files, 324 bytes"
    )
    assert bench.told.texts("statistics") == [str(totals)]
    assert bench.told.facts("statistics")[0]["size_bytes"] == 324


def test_clock_set_back_does_not_make_the_newest_data_look_oldest(
    bench: Bench, clock: Clock
) -> None:
    packets = at(range(3))
    steps = [
        Step(1, Stop.PACKETS),
        Step(stop=Stop.WAKE, then=lambda: clock.set_wall(clock.wall_ns - 3600 * S)),
        Step(2, Stop.PACKETS),
    ]
    bench.record(FakeSource(packets, steps, live=True), roll_packets=1)

    names = [f"t.{START_S}", f"t.{START_S}.001", f"t.{START_S}.002", f"t.{START_S}.003"]
    assert list(bench.savefiles()) == names
    assert len(bench.told.texts("clock_behind")) == 1
