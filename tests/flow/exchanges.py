"""Hypothesis strategies: how the bytes of a stream may arrive, and what must come of them.

`arrivals` draws segments of a byte string: any cut, any order, any overlap and repetition, with
or without loss. The rest is bookkeeping that knows nothing of the code under test.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from .segments import Side

LONGEST = 600

families = st.sampled_from([("10.0.0.1", "10.0.0.2"), ("2001:db8::1", "2001:db8::2")])
# Near 2^32 the numbers wrap within the stream, near 2^31 the sign of a difference changes.
sequence_numbers = st.one_of(
    st.integers(0, 2**32 - 1),
    st.integers(2**32 - LONGEST - 2, 2**32 - 1),
    st.integers(2**31 - LONGEST - 2, 2**31 + 1),
    st.just(0),
)


@dataclass(frozen=True)
class Segment:
    """Bytes of a stream on their way; FIN and SYN are segments of no bytes."""

    offset: int
    data: bytes
    fin: bool = False

    @property
    def end(self) -> int:
        return self.offset + len(self.data)


@st.composite
def sides(draw: st.DrawFn) -> Side:
    """One end of a connection, of any family and first sequence number."""
    source, destination = draw(families)
    return Side(
        address=source,
        peer_address=destination,
        port=draw(st.integers(1, 65535)),
        peer_port=draw(st.integers(1, 65535)),
        isn=draw(sequence_numbers),
    )


@st.composite
def cuts(draw: st.DrawFn, size: int) -> list[tuple[int, int]]:
    """A partition of [0, size) into pieces."""
    places = draw(st.sets(st.integers(1, max(1, size - 1)), max_size=12)) if size > 1 else set()
    bounds = [0, *sorted(places), size]
    return [(begin, end) for begin, end in pairwise(bounds) if begin < end]


@st.composite
def arrivals(draw: st.DrawFn, data: bytes, *, lossy: bool = False) -> list[Segment]:
    """Segments of `data` in any order, some of them again, some cut anew; lossy: some missing."""
    pieces = draw(cuts(len(data)))
    if lossy:
        kept = draw(st.lists(st.booleans(), min_size=len(pieces), max_size=len(pieces)))
        pieces = [piece for piece, stays in zip(pieces, kept, strict=True) if stays]
    if pieces:
        pieces += draw(st.lists(st.sampled_from(pieces), max_size=4))
        if not lossy:
            place = st.integers(0, len(data))
            spans = st.lists(st.tuples(place, place), max_size=4)
            pieces += [(min(span), max(span)) for span in draw(spans) if span[0] != span[1]]
    found = [Segment(begin, data[begin:end]) for begin, end in draw(st.permutations(pieces))]
    if draw(st.booleans()):
        found = [
            Segment(one.offset, one.data, fin=True) if one.end == len(data) else one
            for one in found
        ]
    if draw(st.booleans()):
        found.insert(draw(st.integers(0, len(found))), Segment(len(data), b"", fin=True))
    return found


def covered(segments: Iterable[Segment]) -> set[int]:
    """Offsets of all bytes that arrived."""
    return {at for one in segments for at in range(one.offset, one.end)}


def missing(segments: Sequence[Segment], begin: int = 0) -> list[tuple[int, int]]:
    """What is known to be missing, as (offset, count): up to the last byte, or the FIN."""
    there = covered(segments)
    end = max((one.end for one in segments), default=begin)
    gaps: list[tuple[int, int]] = []
    for at in range(begin, end):
        if at in there:
            continue
        if gaps and sum(gaps[-1]) == at:
            gaps[-1] = gaps[-1][0], gaps[-1][1] + 1
        else:
            gaps.append((at, 1))
    return gaps


def written(segments: Sequence[Segment], *, last_wins: bool = True) -> tuple[bytes, int]:
    """What a file of offset 0 and up holds after all, and how many bytes came again as others."""
    content: dict[int, int] = {}
    differing = 0
    for one in segments:
        for at, value in enumerate(one.data, one.offset):
            differing += content.get(at, value) != value
            if last_wins or at not in content:
                content[at] = value
    size = max(content, default=-1) + 1
    return bytes(content.get(at, 0) for at in range(size)), differing


def split(items: Sequence[bytes], at: Iterable[int]) -> list[list[bytes]]:
    """Items in several runs, as savefiles hold them."""
    bounds = [0, *sorted({place % (len(items) + 1) for place in at}), len(items)]
    return [list(items[begin:end]) for begin, end in pairwise(bounds)]
