"""What pins keep: spans merged, and asked by name and time of modification."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.record.pins import Pins
from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.pinned import holds

SECOND_NS = 10**9

spans = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8)


def savefile(epoch: int, modified_s: float) -> Savefile:
    return Savefile(epoch, 0, f"t.{epoch}", 1, 1, round(modified_s * SECOND_NS))


@given(spans, st.integers(0, 60), st.integers(0, 60))
def test_as_each_pin_for_itself(found: list[tuple[int, int]], epoch: int, modified_s: int) -> None:
    in_ns = [(begin * SECOND_NS, end * SECOND_NS) for begin, end in found if begin < end]
    one_by_one = any(holds(*span, epoch, modified_s * SECOND_NS) for span in in_ns)

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
    assert Pins([(100 * SECOND_NS, 110 * SECOND_NS)]).cover(savefile(epoch, modified_s)) is kept


def test_nothing_is_pinned_without_pins() -> None:
    assert not Pins()
    assert not Pins().cover(savefile(1, 2))
    assert Pins([(1, 2)]) == Pins([(1, 2), (1, 1)])
