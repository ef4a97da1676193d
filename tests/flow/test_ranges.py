"""Ranges of a stream, against a set of byte offsets."""

from hypothesis import example, given
from hypothesis import strategies as st

from daemonlogger_py.flow.ranges import gaps_after

OFFSETS = st.integers(-40, 120)
SEGMENTS = st.lists(st.tuples(OFFSETS, st.integers(1, 30)).map(lambda s: (s[0], s[0] + s[1])))


def runs(offsets):
    """(begin, end) of each run of consecutive numbers."""
    found = []
    for offset in sorted(offsets):
        if found and found[-1][1] == offset:
            found[-1] = (found[-1][0], offset + 1)
        else:
            found.append((offset, offset + 1))
    return found


@given(SEGMENTS, st.integers(0, 40))
@example([(10, 20), (-10, 0), (5, 12), (0, 5)], 0)
@example([(10, 12), (14, 16), (12, 14), (0, 10)], 0)
@example([(-5, -3), (-2, -1), (-3, -2), (-1, 0)], 0)
def test_gaps_are_what_was_not_received(segments, beyond):
    segments = [(0, 3), *segments]
    received = {offset for begin, end in segments for offset in range(begin, end)}
    first, last = min(received), max(received) + 1
    missing = set(range(first, last + beyond)) - received

    assert gaps_after(segments, last + beyond) == (runs(missing), len(received))


@given(SEGMENTS, st.integers(1, 20))
def test_a_beginning_before_all_that_came_opens_a_gap(segments, before):
    segments = [(0, 3), *segments]
    first = min(begin for begin, _ in segments)
    last = max(end for _, end in segments)
    gaps, fresh = gaps_after(segments, last)

    assert gaps_after(segments, last, first - before) == ([(first - before, first), *gaps], fresh)


def test_a_stream_without_bytes_has_one_gap_to_its_end():
    assert gaps_after([], 7) == ([(0, 7)], 0)
    assert gaps_after([], 0) == ([], 0)
    assert gaps_after([(5, 9)], 9) == ([(0, 5)], 4)


def test_a_beginning_behind_the_first_byte_changes_nothing():
    assert gaps_after([(0, 4), (6, 8)], 8, 2) == ([(4, 6)], 6)
