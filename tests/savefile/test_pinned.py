"""Which savefiles a pin holds: every one that may have a packet of its span, and few others."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.pinned import EARLY_NS, Pins, earliest_ns, holds, merged

NS = 1_000_000_000
EPOCH = 1000
MODIFIED_NS = 1060 * NS

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "held"),
    [
        (0, EPOCH * NS - EARLY_NS, False),
        (0, EPOCH * NS - EARLY_NS + 1, True),
        (EPOCH * NS, MODIFIED_NS, True),
        (MODIFIED_NS, MODIFIED_NS + 1, True),
        (MODIFIED_NS + 1, MODIFIED_NS + 2, False),
        (0, 1 << 62, True),
        (1030 * NS, 1030 * NS + 1, True),
    ],
)
def test_bounds(from_ns: int, to_ns: int, *, held: bool) -> None:
    assert holds(from_ns, to_ns, EPOCH, MODIFIED_NS) is held


def test_a_file_whose_time_was_set_back_still_has_its_name() -> None:
    assert holds(EPOCH * NS, EPOCH * NS + 1, EPOCH, 0)


def test_after_the_clock_was_set_back_a_name_says_nothing() -> None:
    modified_ns = (EPOCH - 500) * NS
    assert holds(modified_ns - 60 * NS, modified_ns - 59 * NS, EPOCH, modified_ns)
    assert not holds(EPOCH * NS + 1, 1 << 62, EPOCH, modified_ns)


@given(st.integers(0, 2000), st.integers(0, 1000), st.integers(0, 1), st.integers(0, 3000 * NS))
def test_a_packet_that_may_be_in_it_is_held(
    epoch: int, lasts_s: int, early_s: int, at_ns: int
) -> None:
    packet_ns = epoch * NS - early_s * NS + at_ns % (lasts_s * NS + NS)
    modified_ns = max(packet_ns, epoch * NS)
    assert packet_ns >= earliest_ns(epoch, modified_ns)
    assert holds(packet_ns, packet_ns + 1, epoch, modified_ns)


@given(spans)
def test_merged_spans_cover_the_same_time(found: list[tuple[int, int]]) -> None:
    result = merged(found)

    covered = {moment for begin, end in found for moment in range(begin, end)}
    assert {moment for begin, end in result for moment in range(begin, end)} == covered
    assert all(end < begin for (_, end), (begin, _) in pairwise(result))


def savefile(epoch: int, modified_s: float) -> Savefile:
    return Savefile(epoch, 0, f"t.{epoch}", 1, 1, round(modified_s * NS))


@given(spans, st.integers(0, 60), st.integers(0, 60))
def test_as_each_pin_for_itself(found: list[tuple[int, int]], epoch: int, modified_s: int) -> None:
    in_ns = [(begin * NS, end * NS) for begin, end in found if begin < end]
    one_by_one = any(holds(*span, epoch, modified_s * NS) for span in in_ns)

    assert Pins(in_ns).cover(savefile(epoch, modified_s)) is one_by_one


@pytest.mark.parametrize(
    ("epoch", "modified_s", "kept"),
    [
        (90, 95, False),
        (90, 100, True),
        (105, 106, True),
        (109, 120, True),
        (112, 120, False),
        (900, 107, True),
    ],
)
def test_what_overlaps_is_kept(epoch: int, modified_s: float, kept: bool) -> None:
    assert Pins([(100 * NS, 110 * NS)]).cover(savefile(epoch, modified_s)) is kept


def test_nothing_is_pinned_without_pins() -> None:
    assert not Pins()
    assert not Pins().cover(savefile(1, 2))
    assert Pins([(1, 2)]) == Pins([(1, 2), (1, 1)])
