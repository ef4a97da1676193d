"""Plans: oldest first, as many as needed and not one more, each with its reason."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonlogger_py.record.retention import (
    Limits,
    Plan,
    Prune,
    Volume,
    allowance,
    must_stay_free,
    plan,
    plan_space,
)
from daemonlogger_py.record.ringfile import Savefile

S = 1_000_000_000
G = 1 << 30


@dataclass
class Listed:
    """Savefiles from a list, and what is open."""

    sealed: list[Savefile]
    open_sizes: list[int] = field(default_factory=list)

    @property
    def total_bytes(self) -> int:
        return sum(savefile.size_bytes for savefile in self.sealed) + sum(self.open_sizes)

    def __len__(self) -> int:
        return len(self.sealed) + len(self.open_sizes)

    def oldest_first(self) -> Iterator[Savefile]:
        return iter(sorted(self.sealed))

    def modified_before(self, cutoff_ns: int) -> Iterator[Savefile]:
        return iter([savefile for savefile in self.sealed if savefile.modified_ns < cutoff_ns])


def savefile(epoch: int, size: int = 100, allocated: int | None = None, age_s: int = 0) -> Savefile:
    return Savefile(
        epoch, 0, f"t.{epoch}", size, size if allocated is None else allocated, -age_s * S
    )


def listed(count: int, size: int = 100) -> Listed:
    return Listed([savefile(epoch, size) for epoch in range(count)], [0])


def pruned(plan: Plan) -> list[tuple[int, str]]:
    return [(prune.savefile.epoch, prune.reason) for prune in plan.prunes]


def planned(
    savefiles: Listed,
    limits: Limits,
    volume: Volume | None = None,
    *,
    reserve_bytes: int = 0,
    now_ns: int = 0,
    opening: int = 0,
    frees_volume: bool = True,
) -> Plan:
    return plan(
        savefiles,
        limits,
        volume,
        reserve_bytes=reserve_bytes,
        now_ns=now_ns,
        opening=opening,
        frees_volume=frees_volume,
    )


def test_no_limits_no_plan() -> None:
    assert planned(listed(1000), Limits()) == Plan((), ())


def test_max_files_counts_the_open_file_and_the_next() -> None:
    assert pruned(planned(listed(4), Limits(max_files=5))) == []
    assert pruned(planned(listed(4), Limits(max_files=5), opening=1)) == [(0, "max files 5")]
    assert pruned(planned(listed(9), Limits(max_files=5), opening=1)) == [
        (epoch, "max files 5") for epoch in range(6)
    ]


def test_max_bytes_with_what_may_still_come() -> None:
    limits = Limits(max_bytes=1000)
    assert pruned(planned(listed(9), limits, reserve_bytes=100)) == []
    assert pruned(planned(listed(9), limits, reserve_bytes=101)) == [(0, "max bytes 1000")]
    savefiles = Listed([savefile(0), savefile(1)], [850])
    assert pruned(planned(savefiles, limits, reserve_bytes=0)) == [(0, "max bytes 1000")]


def test_max_percent_leaves_room_for_the_next_file() -> None:
    limits = Limits(max_percent=65)
    volume = Volume(total_bytes=10_000, free_bytes=3_650)
    assert pruned(planned(listed(9), limits, volume, reserve_bytes=150)) == []
    assert pruned(planned(listed(9), limits, volume, reserve_bytes=151)) == [
        (0, "65% max disk utilization")
    ]


def test_roll_size_above_the_free_space_prunes_it_does_not_wrap() -> None:
    # The original subtracted unsigned numbers here and never pruned again.
    volume = Volume(total_bytes=10_000, free_bytes=50)
    result = planned(listed(9), Limits(max_percent=90), volume, reserve_bytes=500)
    assert [epoch for epoch, _ in pruned(result)] == list(range(9))
    assert result.unmet == ("90% max disk utilization",)


def test_min_free() -> None:
    volume = Volume(total_bytes=10_000, free_bytes=1_000)
    assert pruned(planned(listed(9), Limits(min_free_bytes=1024), volume)) == [(0, "min free 1k")]
    assert pruned(planned(listed(9), Limits(min_free_percent=12.5), volume)) == [
        (0, "min free 12.5%"),
        (1, "min free 12.5%"),
        (2, "min free 12.5%"),
    ]


def test_what_is_given_back_is_what_was_allocated() -> None:
    savefiles = Listed([savefile(0, 10**9, 0), savefile(1, 10, 4096), savefile(2, 10, 4096)])
    volume = Volume(total_bytes=100_000, free_bytes=1_000)
    assert [
        epoch for epoch, _ in pruned(planned(savefiles, Limits(min_free_bytes=4_000), volume))
    ] == [
        0,
        1,
    ]


def test_max_age_goes_by_the_files_own_time() -> None:
    ages = [0, 604_801, 604_800, 700_000]
    savefiles = Listed([savefile(epoch, age_s=age) for epoch, age in enumerate(ages)])
    result = planned(savefiles, Limits(max_age_s=604_800))
    assert pruned(result) == [(1, "older than 7d"), (3, "older than 7d")]
    assert result.unmet == ()


def test_whichever_bites_first_is_the_reason() -> None:
    savefiles = Listed(
        [savefile(0, age_s=100), savefile(1), savefile(2, 800), savefile(3), savefile(4)], [0]
    )
    limits = Limits(max_files=5, max_bytes=900, max_age_s=60, min_free_bytes=1_050)
    result = planned(savefiles, limits, Volume(10_000, 0), opening=1)
    assert pruned(result) == [
        (0, "older than 1m"),
        (1, "max files 5"),
        (2, "max bytes 900"),
        (3, "min free 1050"),
    ]


def test_nothing_left_to_prune_is_said() -> None:
    result = planned(Listed([], [10]), Limits(max_files=1, max_bytes=5), opening=1)
    assert result == Plan((), ("max files 1", "max bytes 5"))


def test_moving_within_the_volume_gains_nothing() -> None:
    limits = Limits(max_files=8, min_free_bytes=500)
    result = planned(listed(9), limits, Volume(10_000, 0), frees_volume=False)
    assert pruned(result) == [(0, "max files 8"), (1, "max files 8")]
    assert result.unmet == ("min free 500",)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(max_files=5), "max files 5"),
        (Limits(max_percent=65), "65% max disk utilization"),
        (Limits(max_percent=65.0), "65% max disk utilization"),
        (Limits(max_percent=99.5), "99.5% max disk utilization"),
        (Limits(max_bytes=300 * G), "max bytes 300g"),
        (Limits(max_bytes=2 << 40), "max bytes 2t"),
        (Limits(max_bytes=1_000_000), "max bytes 1000000"),
        (Limits(max_bytes=1536 << 20), "max bytes 1536m"),
        (Limits(min_free_bytes=10 * G), "min free 10g"),
        (Limits(min_free_percent=15), "min free 15%"),
        (Limits(max_age_s=7 * 86400), "older than 7d"),
        (Limits(max_age_s=90 * 60), "older than 90m"),
        (Limits(max_age_s=7200), "older than 2h"),
        (Limits(max_age_s=61), "older than 61s"),
    ],
)
def test_reasons(limits: Limits, reason: str) -> None:
    savefiles = Listed([savefile(epoch, 1 << 43, age_s=10**6) for epoch in range(9)])
    volume = Volume(1 << 50, 0)
    result = planned(savefiles, limits, volume)
    assert result.prunes
    assert {prune.reason for prune in result.prunes} == {reason}


def test_limits_on_the_volume_need_its_figures() -> None:
    for limits in (Limits(max_percent=5), Limits(min_free_bytes=5), Limits(min_free_percent=5)):
        assert limits.needs_volume
        with pytest.raises(ValueError, match="volume"):
            planned(listed(1), limits)
        with pytest.raises(ValueError, match="volume"):
            allowance(limits, None)
    assert not Limits(max_files=1, max_bytes=1, max_age_s=1).needs_volume


@pytest.mark.parametrize(
    ("total", "percent", "expected"),
    [
        (1_903_879, 65, 666_358),
        (1_903_879, 65.0, 666_358),
        (1000, 100, 0),
        (1000, 1, 990),
        (1000, 99.9, 1),
        (2**60, 99.9, -(-(2**60) // 1000)),
        (0, 65, 0),
    ],
)
def test_must_stay_free(total: int, percent: float, expected: int) -> None:
    assert must_stay_free(total, percent) == expected


def test_plan_space() -> None:
    savefiles = Listed([savefile(2, 10, 100), savefile(0, 10, 100), savefile(1, 10, 100)])
    assert plan_space(savefiles, 0) == Plan((), ())
    assert pruned(plan_space(savefiles, 1)) == [(0, "volume full")]
    assert pruned(plan_space(savefiles, 100)) == [(0, "volume full")]
    assert pruned(plan_space(savefiles, 101)) == [(0, "volume full"), (1, "volume full")]
    everything = plan_space(savefiles, 301)
    assert [epoch for epoch, _ in pruned(everything)] == [0, 1, 2]
    assert everything.unmet == ("volume full",)
    assert plan_space(Listed([], [500]), 1) == Plan((), ("volume full",))


def test_allowance() -> None:
    volume = Volume(total_bytes=1000, free_bytes=10)
    assert allowance(Limits(max_files=5, max_age_s=5), None) is None
    assert allowance(Limits(max_bytes=500), None) == 500
    assert allowance(Limits(max_bytes=500, max_percent=40), volume) == 400
    assert allowance(Limits(max_bytes=300, max_percent=40), volume) == 300
    assert allowance(Limits(min_free_bytes=100), volume) == 900
    assert allowance(Limits(min_free_percent=25), volume) == 750
    assert allowance(Limits(min_free_bytes=2000), volume) == 0


sizes = st.integers(0, 50)
files = st.builds(
    lambda size, allocated, age_s: (size, allocated, age_s), sizes, sizes, st.integers(0, 20)
)


@st.composite
def rings(draw: st.DrawFn) -> Listed:
    drawn = draw(st.lists(files, max_size=12))
    sealed = [savefile(epoch, *values) for epoch, values in enumerate(drawn)]
    return Listed(draw(st.permutations(sealed)), draw(st.lists(sizes, max_size=2)))


@st.composite
def any_limits(draw: st.DrawFn) -> Limits:
    return Limits(
        max_files=draw(st.none() | st.integers(1, 12)),
        max_percent=draw(st.none() | st.floats(1, 100)),
        max_bytes=draw(st.none() | st.integers(1, 400)),
        min_free_bytes=draw(st.none() | st.integers(0, 400)),
        min_free_percent=draw(st.none() | st.floats(1, 100)),
        max_age_s=draw(st.none() | st.integers(0, 20)),
    )


def holds(
    limits: Limits, volume: Volume, left: Listed, freed: int, reserve: int, opening: int
) -> bool:
    """The limits as the manual words them, without a plan."""
    free = volume.free_bytes + freed - reserve
    used_percent = 100 * (volume.total_bytes - free) / volume.total_bytes
    free_percent = 100 * free / volume.total_bytes
    slack = 1e-5  # percentages are kept to a millionth
    return (
        (limits.max_files is None or len(left) + opening <= limits.max_files)
        and (limits.max_bytes is None or left.total_bytes + reserve <= limits.max_bytes)
        and (limits.max_percent is None or used_percent <= limits.max_percent + slack)
        and (limits.min_free_bytes is None or free >= limits.min_free_bytes)
        and (limits.min_free_percent is None or free_percent >= limits.min_free_percent - slack)
    )


@settings(max_examples=150, deadline=None)
@given(
    rings(),
    any_limits(),
    st.integers(1, 1000),
    st.integers(0, 1000),
    st.integers(0, 60),
    st.integers(0, 1),
)
def test_against_trying_every_length(
    savefiles: Listed, limits: Limits, total: int, free: int, reserve: int, opening: int
) -> None:
    volume = Volume(total, min(free, total))
    result = planned(savefiles, limits, volume, reserve_bytes=reserve, opening=opening)

    by_age = sorted(savefiles.sealed)
    aged = [
        s for s in by_age if limits.max_age_s is not None and s.modified_ns < -limits.max_age_s * S
    ]
    young = [s for s in by_age if s not in aged]
    for also in range(len(young) + 1):
        gone = sorted(aged + young[:also])
        left = Listed([s for s in by_age if s not in gone], savefiles.open_sizes)
        freed = sum(s.allocated_bytes for s in gone)
        enough = holds(limits, volume, left, freed, reserve, opening)
        if enough:
            break
    assert [prune.savefile for prune in result.prunes] == gone
    assert (result.unmet == ()) == enough
    reasons = {prune.savefile.name: prune.reason for prune in result.prunes}
    assert all(reasons[s.name].startswith("older than") for s in aged)
    assert not any(reasons[s.name].startswith("older than") for s in young[:also])


@settings(max_examples=60, deadline=None)
@given(rings(), st.integers(-10, 400))
def test_space_against_trying_every_length(savefiles: Listed, wanted: int) -> None:
    by_age = sorted(savefiles.sealed)
    enough = [
        count
        for count in range(len(by_age) + 1)
        if sum(s.allocated_bytes for s in by_age[:count]) >= wanted
    ]
    count = enough[0] if enough else len(by_age)
    result = plan_space(savefiles, wanted)
    assert result.prunes == tuple(Prune(s, "volume full") for s in by_age[:count])
    assert (result.unmet == ()) == bool(enough)
