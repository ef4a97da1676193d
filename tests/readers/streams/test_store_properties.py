"""However a stream's bytes arrive, its file holds them, and the report tells what it lacks."""

import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.store import Store
from daemonlogger_py.readers.streams.writer import Writer

from ...flow.exchanges import Segment, arrivals, covered, missing, sides, split, written
from ...flow.segments import ACK, ETHERNET, FIN, Side, records, timed

TEMPLATE = "%A.%a-%B.%b%V%v%C%c"
contents = st.binary(max_size=400)
savefiles = st.lists(st.integers(0, 100), max_size=4)
limits = st.fixed_dictionaries({"max_open": st.sampled_from([1, 2, 100])})


class Stored:
    """What was stored: files by name, and rows of the report."""

    def __init__(self, files: dict[str, bytes], rows: list[ElementTree.Element]) -> None:
        self.files = files
        self.rows = rows

    @property
    def content(self) -> bytes:
        """Of the only file; nothing where there is none."""
        if not self.files:
            return b""
        (content,) = (data for name, data in self.files.items() if not name.endswith(".findx"))
        return content

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Of all rows together."""
        return [
            (int(gap.get("file_offset", "")), int(gap.get("len", "")))
            for row in self.rows
            for gap in row.iter("gap")
        ]


def stored(
    feeds: Iterable[Sequence[bytes]],
    *,
    max_open: int = 100,
    writers: int = 1,
    max_bytes: int | None = None,
    last_wins: bool = True,
    findx: bool = False,
) -> Stored:
    """Store the streams of frames that are fed in several runs, with the real writers."""
    with tempfile.TemporaryDirectory() as directory:
        outdir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            store = Store(writers=writers, max_bytes=max_bytes, last_wins=last_wins, findx=findx)
            hands = [
                Writer(
                    Files(outdir_fd, Template(TEMPLATE), max_open),
                    number,
                    max_bytes=max_bytes,
                    last_wins=last_wins,
                    findx=findx,
                )
                for number in range(writers)
            ]
            engine = Engine(store)
            text = b""

            def work() -> bytes:
                batch = store.take()
                for hand in hands:
                    hand.execute(batch)
                assert batch.operations_left >= 0
                return batch.rows(b"", True)

            for frames in feeds:
                buffer = records(timed(frames))  # there until the batch is done
                engine.feed(buffer, ETHERNET)
                text += work()
            engine.finish()
            text += work()
        finally:
            os.close(outdir_fd)
        files = {path.name: path.read_bytes() for path in Path(directory).iterdir()}
    return Stored(files, list(ElementTree.fromstring(b"<all>" + text + b"</all>")))


def frame(side: Side, one: Segment) -> bytes:
    return side.sends(one.offset, one.data, FIN | ACK if one.fin else ACK)


def with_syn(drawn: st.DataObject, side: Side, segments: Sequence[Segment]) -> list[bytes]:
    """Frames with a SYN anywhere before the first FIN: behind a whole stream it begins another."""
    last = next((place for place, one in enumerate(segments) if one.fin), len(segments))
    frames = [frame(side, one) for one in segments]
    frames.insert(drawn.draw(st.integers(0, last)), side.syn())
    return frames


@given(data=contents, side=sides(), drawn=st.data(), cut=savefiles, limit=limits)
def test_any_arrival_gives_the_file(
    data: bytes, side: Side, drawn: st.DataObject, cut: list[int], limit: dict[str, int]
) -> None:
    """The SYN, too, may come at any time: what comes before the first byte is put in front."""
    segments = drawn.draw(arrivals(data))
    frames = with_syn(drawn, side, segments)
    found = stored(split(frames, cut), **limit)

    assert (found.content, found.gaps) == (data, [])
    assert len(found.rows) == 1
    assert found.rows[0].findtext("filesize") == str(len(data))


@given(data=contents, side=sides(), drawn=st.data(), cut=savefiles)
def test_what_is_lost_is_zeros_and_reported(
    data: bytes, side: Side, drawn: st.DataObject, cut: list[int]
) -> None:
    segments = drawn.draw(arrivals(data, lossy=True))
    frames = [side.syn(), *(frame(side, one) for one in segments)]
    found = stored(split(frames, cut))

    there = covered(segments)
    end = max(there, default=-1) + 1
    assert found.content == bytes(data[at] if at in there else 0 for at in range(end))
    assert found.gaps == missing(segments)


@given(data=st.binary(min_size=1, max_size=400), side=sides(), drawn=st.data())
def test_without_a_syn_the_file_begins_with_the_first_byte_there_is(
    data: bytes, side: Side, drawn: st.DataObject
) -> None:
    # A FIN would end a stream whose beginning is not known before all of it came.
    drawn_segments = drawn.draw(arrivals(data, lossy=True))
    segments = [replace(one, fin=False) for one in drawn_segments if one.data]
    found = stored([[frame(side, one) for one in segments]])

    there = covered(segments)
    if not there:
        return
    begin, end = min(there), max(there) + 1
    assert found.content == bytes(data[at] if at in there else 0 for at in range(begin, end))
    assert found.gaps == [(at - begin, count) for at, count in missing(segments, begin)]


@given(
    size=st.integers(1, 120),
    spans=st.lists(st.tuples(st.integers(0, 119), st.binary(min_size=2, max_size=40)), max_size=12),
    side=sides(),
    last_wins=st.booleans(),
    cut=savefiles,
    max_bytes=st.none() | st.integers(0, 100),
)
def test_contradictions_are_settled_by_the_policy_and_counted(
    size: int,
    spans: list[tuple[int, bytes]],
    side: Side,
    last_wins: bool,
    cut: list[int],
    max_bytes: int | None,
) -> None:
    segments = [Segment(offset % size, data) for offset, data in spans]
    frames = [side.syn(), *(frame(side, one) for one in segments)]
    found = stored(split(frames, cut), last_wins=last_wins, max_bytes=max_bytes)

    content, differing = written(segments, last_wins=last_wins)
    if max_bytes is not None:
        clipped = [
            Segment(one.offset, one.data[: max(0, max_bytes - one.offset)]) for one in segments
        ]
        content, _ = written(clipped, last_wins=last_wins)
    assert found.content == content
    if max_bytes is None:
        told = [row.find("tcpflow") for row in found.rows]
        assert (
            sum(int(one.get("differing_bytes", "0")) for one in told if one is not None)
            == differing
        )


@given(data=contents, side=sides(), drawn=st.data(), cut=savefiles, last_wins=st.booleans())
def test_the_index_tells_all_that_was_stored_in_order(
    data: bytes, side: Side, drawn: st.DataObject, cut: list[int], last_wins: bool
) -> None:
    segments = drawn.draw(arrivals(data, lossy=True))
    frames = with_syn(drawn, side, segments)
    found = stored(split(frames, cut), findx=True, last_wins=last_wins)

    there = sorted(covered(segments))
    begin = 0 if segments else None
    indexes = [text for name, text in found.files.items() if name.endswith(".findx")]
    rows = [line.split(b"|") for text in indexes for line in text.splitlines()]
    spans = [(int(row[0]), int(row[2])) for row in rows]
    assert [at for at, _ in spans] == sorted(at for at, _ in spans)
    told = [at + step for at, count in spans for step in range(count)]
    if last_wins:
        assert sorted(set(told)) == there
        assert set(spans) <= {(one.offset, len(one.data)) for one in segments}
    else:
        assert told == there
    assert begin is None or len(indexes) == bool(there)


@given(
    datas=st.lists(st.binary(min_size=1, max_size=400), min_size=2, max_size=6),
    drawn=st.data(),
    cut=savefiles,
    limit=limits,
    writers=st.integers(1, 3),
)
def test_flows_do_not_mix(
    datas: list[bytes],
    drawn: st.DataObject,
    cut: list[int],
    limit: dict[str, int],
    writers: int,
) -> None:
    queues = []
    for number, data in enumerate(datas):
        side = Side(port=1000 + number, isn=drawn.draw(st.integers(0, 2**32 - 1)))
        queues.append([side.syn(), *(frame(side, one) for one in drawn.draw(arrivals(data)))])
    order = drawn.draw(
        st.permutations([number for number, queue in enumerate(queues) for _ in queue])
    )
    frames = [queues[number].pop(0) for number in order]

    found = stored(split(frames, cut), writers=writers, **limit)
    assert found.files == {
        f"010.000.000.001.{1000 + number:05}-010.000.000.002.00080": data
        for number, data in enumerate(datas)
    }
    assert found.gaps == []
