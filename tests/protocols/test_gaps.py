"""Questions about the gaps of a stream, against a count byte by byte."""

from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.protocols.gaps import behind_gap, index_at, lost_in, next_gap

SIZE = 60


def gaps_of(missing):
    """The gaps that make exactly these bytes be missing."""
    gaps = []
    for offset in sorted(missing):
        if gaps and sum(gaps[-1]) == offset:
            gaps[-1] = (gaps[-1][0], gaps[-1][1] + 1)
        else:
            gaps.append((offset, 1))
    return tuple(gaps)


MISSING = st.sets(st.integers(0, SIZE - 1))
OFFSETS = st.integers(0, SIZE)


def test_without_gaps():
    assert index_at((), 5) == 0
    assert next_gap((), 5, 10) == 10
    assert behind_gap((), 5) == 5
    assert lost_in((), 5, 10) == (0, 10)


@given(MISSING, OFFSETS)
def test_next_gap(missing, position):
    expected = next((at for at in range(position, SIZE) if at in missing), SIZE)
    assert next_gap(gaps_of(missing), position, SIZE) == expected


@given(MISSING, OFFSETS)
def test_behind_gap(missing, position):
    expected = next(at for at in range(position, SIZE + 1) if at not in missing)
    assert behind_gap(gaps_of(missing), position) == expected


@given(MISSING, OFFSETS)
def test_index_at(missing, position):
    gaps = gaps_of(missing)
    assert index_at(gaps, position) == sum(sum(gap) <= position for gap in gaps)


@given(MISSING, OFFSETS, OFFSETS)
def test_lost_in(missing, begin, end):
    lost = [at for at in range(begin, end) if at in missing]
    assert lost_in(gaps_of(missing), begin, end) == (len(lost), lost[0] if lost else end)


def test_gap_beyond_the_end():
    assert next_gap(((5, 100),), 2, 10) == 5
    assert next_gap(((20, 100),), 2, 10) == 10
