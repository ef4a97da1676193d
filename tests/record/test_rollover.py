"""Time boundaries: no drift, the local clock for aligned units, and clocks that jump."""

import time
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemonlogger_py.record.rollover import RollGrid

S = 1_000_000_000
Unit = Literal["s", "m", "h", "d"]
SetZone = Callable[[str], None]

# Written out, so that the tests need no time zone database.
NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"  # 2024: on March 10 at 02:00, off November 3 at 02:00
KOLKATA = "IST-5:30"
KATHMANDU = "XXX-5:45"
LORD_HOWE = "LHST-10:30LHDT-11,M10.1.0,M4.1.0"  # half an hour of summer time
MIDNIGHT = "AAA4BBB,M9.1.0/0,M4.1.0/0"  # changes at midnight: 24:00 becomes 01:00, and 23:00


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[SetZone]:
    def switch(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield switch
    monkeypatch.undo()
    time.tzset()


def at(text: str, isdst: int = -1) -> int:
    fields = time.strptime(text, "%Y-%m-%d %H:%M:%S" if text.count(":") == 2 else "%Y-%m-%d %H:%M")
    return int(time.mktime((*fields[:8], isdst))) * S


def walls(grid: RollGrid, now_ns: int, times: int) -> list[str]:
    result = []
    for _ in range(times):
        now_ns = grid.after(now_ns)
        assert now_ns % S == 0
        result.append(time.strftime("%d %H:%M %Z", time.localtime(now_ns // S)))
    return result


def test_plain_seconds_do_not_drift() -> None:
    start = 1_228_873_098 * S + 123_456_789
    grid = RollGrid(10, "s", start)
    assert grid.after(start) == start + 10 * S
    assert grid.after(start + 10 * S - 1) == start + 10 * S
    assert grid.after(start + 10 * S) == start + 20 * S
    boundary = grid.after(start)
    for late_ns in (1, 5_000_000, 999_999_999, 3 * S):
        following = grid.next_boundary(boundary, boundary + late_ns)
        assert following == boundary + 10 * S
        boundary = following


def test_plain_seconds_skip_idle_periods() -> None:
    grid = RollGrid(10, "s", 0)
    assert grid.next_boundary(10 * S, 86_405 * S) == 86_410 * S


def test_two_hours_from_13_38(zone: SetZone) -> None:
    zone(NEW_YORK)
    start = at("2024-06-12 13:38:20")
    grid = RollGrid(2, "h", start)
    assert walls(grid, start, 3) == ["12 15:00 EDT", "12 17:00 EDT", "12 19:00 EDT"]
    assert grid.after(at("2024-06-12 15:00")) == at("2024-06-12 17:00")
    assert grid.after(at("2024-06-12 15:00") - 1) == at("2024-06-12 15:00")


def test_started_on_the_boundary(zone: SetZone) -> None:
    zone(NEW_YORK)
    start = at("2024-06-12 13:00")
    assert walls(RollGrid(2, "h", start), start, 2) == ["12 15:00 EDT", "12 17:00 EDT"]


@pytest.mark.parametrize(
    ("count", "unit", "expected"),
    [
        (1, "m", ["12 13:39 EDT", "12 13:40 EDT"]),
        (90, "m", ["12 15:08 EDT", "12 16:38 EDT"]),
        (1, "h", ["12 14:00 EDT", "12 15:00 EDT"]),
        (5, "h", ["12 18:00 EDT", "12 23:00 EDT", "13 04:00 EDT"]),
        (1, "d", ["13 00:00 EDT", "14 00:00 EDT"]),
        (7, "d", ["19 00:00 EDT", "26 00:00 EDT"]),
    ],
)
def test_units(zone: SetZone, count: int, unit: Unit, expected: list[str]) -> None:
    zone(NEW_YORK)
    start = at("2024-06-12 13:38:20")
    assert walls(RollGrid(count, unit, start), start, len(expected)) == expected


@pytest.mark.parametrize("name", [KOLKATA, KATHMANDU])
def test_zones_off_the_hour(zone: SetZone, name: str) -> None:
    zone(name)
    start = at("2024-06-12 13:38")
    abbreviation = name[:3]
    assert walls(RollGrid(1, "h", start), start, 1) == [f"12 14:00 {abbreviation}"]
    assert walls(RollGrid(1, "d", start), start, 1) == [f"13 00:00 {abbreviation}"]
    assert walls(RollGrid(1, "m", start), start, 1) == [f"12 13:39 {abbreviation}"]


def test_spring_forward(zone: SetZone) -> None:
    zone(NEW_YORK)
    start = at("2024-03-10 00:38")
    assert walls(RollGrid(1, "h", start), start, 3) == [
        "10 01:00 EST",
        "10 03:00 EDT",
        "10 04:00 EDT",
    ]
    # 02:00 is skipped: its boundary falls on the change, the ones behind it are on the wall's grid.
    assert walls(RollGrid(2, "h", start), start, 3) == [
        "10 03:00 EDT",
        "10 04:00 EDT",
        "10 06:00 EDT",
    ]
    assert walls(RollGrid(12, "h", start), start, 2) == ["10 12:00 EDT", "11 00:00 EDT"]
    day = RollGrid(1, "d", start)
    assert day.after(day.after(start)) - day.after(start) == 24 * 3600 * S
    assert day.after(start) - at("2024-03-10 00:00") == 23 * 3600 * S
    assert RollGrid(30, "m", at("2024-03-10 01:38")).after(at("2024-03-10 01:38")) == at(
        "2024-03-10 03:00"
    )


def test_fall_back(zone: SetZone) -> None:
    zone(NEW_YORK)
    start = at("2024-11-03 00:38")
    assert walls(RollGrid(1, "h", start), start, 3) == [
        "03 01:00 EDT",
        "03 01:00 EST",
        "03 02:00 EST",
    ]
    assert walls(RollGrid(2, "h", start), start, 2) == ["03 02:00 EST", "03 04:00 EST"]
    odd = at("2024-11-02 23:38")
    assert walls(RollGrid(2, "h", odd), odd, 3) == ["03 01:00 EDT", "03 01:00 EST", "03 03:00 EST"]
    assert walls(RollGrid(12, "h", start), start, 2) == ["03 12:00 EST", "04 00:00 EST"]
    day = RollGrid(1, "d", start)
    assert day.after(start) - at("2024-11-03 00:00") == 25 * 3600 * S
    # Still an hour of daylight time to go, then one of standard time.
    assert day.next_boundary(day.after(start), at("2024-11-03 00:00")) == day.after(start)


def test_half_an_hour_of_summer_time(zone: SetZone) -> None:
    zone(LORD_HOWE)
    spring = at("2024-10-06 00:10")
    assert walls(RollGrid(1, "h", spring), spring, 3) == [
        "06 01:00 LHST",
        "06 02:30 LHDT",
        "06 03:00 LHDT",
    ]
    autumn = at("2024-04-07 00:10")
    assert walls(RollGrid(1, "h", autumn), autumn, 3) == [
        "07 01:00 LHDT",
        "07 02:00 LHST",
        "07 03:00 LHST",
    ]


def test_changes_at_midnight(zone: SetZone) -> None:
    zone(MIDNIGHT)
    spring = at("2024-08-31 12:00")
    assert walls(RollGrid(1, "d", spring), spring, 2) == ["01 01:00 BBB", "02 00:00 BBB"]
    autumn = at("2024-04-06 12:00")
    assert walls(RollGrid(1, "d", autumn), autumn, 2) == ["07 00:00 AAA", "08 00:00 AAA"]


def test_idle_for_a_long_time(zone: SetZone) -> None:
    zone(NEW_YORK)
    start = at("2024-01-12 13:38")
    grid = RollGrid(2, "h", start)
    assert grid.next_boundary(grid.after(start), at("2024-01-12 22:10")) == at("2024-01-12 23:00")
    # Across a change of the clock the grid stays on odd hours.
    assert grid.next_boundary(grid.after(start), at("2024-07-01 22:10")) == at("2024-07-01 23:00")
    assert grid.next_boundary(grid.after(start), at("2029-07-01 22:10")) == at("2029-07-01 23:00")


def test_clock_set_back(zone: SetZone) -> None:
    zone(NEW_YORK)
    start = at("2024-06-12 13:38")
    grid = RollGrid(2, "h", start)
    boundary = at("2024-06-12 17:00")
    assert grid.next_boundary(boundary, at("2024-06-12 15:00")) == boundary
    assert grid.next_boundary(boundary, at("2024-06-12 11:30")) == at("2024-06-12 13:00")
    assert grid.next_boundary(boundary, at("2020-06-12 11:30")) == at("2020-06-12 13:00")
    plain = RollGrid(10, "s", 1_000 * S)
    assert plain.next_boundary(1_050 * S, 500 * S) == 510 * S


def test_small_step_back_does_not_roll_again(zone: SetZone) -> None:
    zone(NEW_YORK)
    grid = RollGrid(2, "h", at("2024-06-12 13:38"))
    just_rolled = at("2024-06-12 15:00")
    boundary = grid.after(just_rolled)
    assert grid.next_boundary(boundary, just_rolled - S // 5) == boundary
    assert grid.next_boundary(boundary, just_rolled - 60 * S) == just_rolled
    second = RollGrid(1, "s", 0)
    assert second.next_boundary(11 * S, 10 * S - 1) == 11 * S
    assert second.next_boundary(11 * S, 8 * S) == 9 * S


@pytest.mark.parametrize("start_s", [0, 2**31 - 1, 2**31, 2**32 - 1, 2**33])
@pytest.mark.parametrize(("count", "unit"), [(1, "s"), (1, "m"), (2, "h"), (1, "d")])
def test_any_packets_time(zone: SetZone, start_s: int, count: int, unit: Unit) -> None:
    zone(NEW_YORK)
    grid = RollGrid(count, unit, start_s * S + 5)
    boundary = grid.after(start_s * S + 5)
    assert start_s * S + 5 < boundary <= start_s * S + 5 + grid.period_ns + 3600 * S
    if unit != "s":
        assert time.localtime(boundary // S).tm_sec == 0


def test_a_year_that_has_no_name() -> None:
    start = 2**70
    grid = RollGrid(1, "h", start)
    assert start < grid.after(start) <= start + grid.period_ns
    hostile = 2**64 * S
    assert hostile < grid.after(hostile) <= hostile + grid.period_ns


@pytest.mark.parametrize("count", [0, -1])
def test_no_period(count: int) -> None:
    with pytest.raises(ValueError, match="roll-over every"):
        RollGrid(count, "s", 0)


def brute_force(start_s: int, now_s: int, count: int, unit_s: int, until_s: int) -> int | None:
    """The first minute at which the wall clock enters another cell of the grid, or begins one."""
    offset = time.localtime(start_s).tm_gmtoff
    origin = (start_s + offset) // unit_s * unit_s

    def local(moment: int) -> int:
        return moment + time.localtime(moment).tm_gmtoff - origin

    period = count * unit_s
    for moment in range(now_s // 60 * 60 + 60, until_s, 60):
        before, here = local(moment - 60) + 60, local(moment)
        cell_left_behind = here // period > (before - 60) // period
        if here % period == 0 or (here > before and cell_left_behind):
            return moment
    return None


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([NEW_YORK, LORD_HOWE, MIDNIGHT, KOLKATA]),
    st.sampled_from(
        ["2024-03-09", "2024-03-31", "2024-04-06", "2024-08-31", "2024-10-05", "2024-11-02"]
    ),
    st.integers(0, 2 * 86400),
    st.integers(0, 86400),
    st.sampled_from(
        [(1, "m"), (7, "m"), (90, "m"), (1, "h"), (2, "h"), (5, "h"), (24, "h"), (1, "d")]
    ),
)
@example(MIDNIGHT, "2024-04-06", 0, 86399, (1, "d"))
def test_agrees_with_looking_at_every_minute(
    zone: SetZone, name: str, day: str, after_s: int, running_s: int, value: tuple[int, Unit]
) -> None:
    zone(name)
    count, unit = value
    unit_s = {"m": 60, "h": 3600, "d": 86400}[unit]
    now_s = at(f"{day} 00:00") // S + after_s
    start_s = now_s - running_s
    expected = brute_force(start_s, now_s, count, unit_s, now_s + count * unit_s + 2 * 86400)
    assert expected is not None
    assert RollGrid(count, unit, start_s * S).after(now_s * S) == expected * S


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(0, 2**33 * S),
    st.integers(0, 2**33 * S),
    st.integers(0, 2**33 * S),
    st.integers(1, 10_000),
    st.sampled_from(["s", "m", "h", "d"]),
)
def test_always_ahead(
    zone: SetZone, start_ns: int, previous_ns: int, now_ns: int, count: int, unit: Unit
) -> None:
    zone(NEW_YORK)
    grid = RollGrid(count, unit, start_ns)
    boundary = grid.next_boundary(previous_ns, now_ns)
    assert now_ns < boundary <= now_ns + grid.period_ns + 3605 * S
    assert grid.next_boundary(boundary, now_ns) == boundary
    assert grid.next_boundary(boundary, boundary) > boundary


def test_long_periods_meet_several_changes(zone: SetZone) -> None:
    zone(NEW_YORK)
    start = at("2023-02-01 10:00")
    grid = RollGrid(500, "d", start)
    assert grid.after(start) == at("2024-06-15 00:00")
