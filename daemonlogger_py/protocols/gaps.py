"""Where the bytes of a stream are lost: questions about its gaps.

Gaps are (offset, bytes), ascending and apart, each of at least one byte.
"""

from bisect import bisect_right
from collections.abc import Sequence

Gap = tuple[int, int]


def index_at(gaps: Sequence[Gap], position: int) -> int:
    """Index of the first gap that ends behind `position`; len(gaps) if there is none."""
    index = bisect_right(gaps, (position, 0))
    return index - 1 if index and sum(gaps[index - 1]) > position else index


def next_gap(gaps: Sequence[Gap], position: int, size: int) -> int:
    """Offset up to which the bytes from `position` on are there: of a gap, or `size`."""
    if not gaps:
        return size
    index = index_at(gaps, position)
    return min(max(position, gaps[index][0]), size) if index < len(gaps) else size


def behind_gap(gaps: Sequence[Gap], position: int) -> int:
    """Offset behind the gap that holds `position`; `position` if none does."""
    index = index_at(gaps, position)
    return sum(gaps[index]) if index < len(gaps) and gaps[index][0] <= position else position


def lost_in(gaps: Sequence[Gap], begin: int, end: int) -> tuple[int, int]:
    """How many bytes of [begin, end) are lost, and the offset of the first (`end` without any)."""
    if not gaps:
        return 0, end
    lost = 0
    first = end
    for index in range(index_at(gaps, begin), len(gaps)):
        offset, count = gaps[index]
        if offset >= end:
            break
        first = min(first, max(offset, begin))
        lost += min(offset + count, end) - max(offset, begin)
    return lost, first
