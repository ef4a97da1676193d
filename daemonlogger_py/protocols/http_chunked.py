"""The chunked transfer coding (RFC 9112, 7.1), undone by llhttp (httptools).

httptools tells that a message has ended but not where. A chunked body always ends with CR LF CR LF,
so it is given to it in slices that end behind each of those: the end is the end of a slice.

Lost bytes are given as NULs, which llhttp accepts nowhere but within a chunk: where anything but
data is lost, it ends with an error instead of taking data for sizes.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from mmap import MADV_DONTNEED, mmap
from typing import NamedTuple

from httptools import HttpParserError, HttpResponseParser

from daemonlogger_py.protocols.gaps import Gap
from daemonlogger_py.protocols.http_head import Bytes

_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_END = b"\r\n\r\n"
_SLICE_BYTES = 1 << 18
_WINDOW_BYTES = 1 << 24  # searched at once; and what may be the last body is looked at in one go
_LOST = memoryview(bytes(_SLICE_BYTES))


class Extent(NamedTuple):
    """How far a chunked body goes."""

    end: int  # offset behind it, or, where it has none, behind what was looked at
    problem: str = ""  # why it has no end
    damaged: bool = False  # it is no chunked body from somewhere in the slice before `end`
    intact: int = 0  # if damaged: where that slice begins


class _Reading:
    __slots__ = ("complete", "messages", "on_body")

    def __init__(self, on_body: Callable[[bytes], None] | None) -> None:
        self.complete = False
        self.messages = 0
        self.on_body = on_body  # None is never called, which spares the copies of all data

    def on_message_begin(self) -> None:
        """Count the messages that were begun."""
        self.messages += 1

    def on_message_complete(self) -> None:
        """Note that the last chunk and the trailer were read."""
        self.complete = True


def find_end(data: Bytes, start: int, gaps: Sequence[Gap]) -> Extent:
    """Find where the chunked body ends that begins at `start`.

    `gaps` are those that end behind `start`, ascending.
    """
    with _slices(data, start, len(data), gaps, ends=True) as slices:
        reading, parser = _open(None)
        end = start
        for stop, piece in slices:
            intact, end = end, stop
            try:
                parser.feed_data(piece)
            except HttpParserError as error:
                return Extent(end, f"its chunks are damaged: {error}", damaged=True, intact=intact)
            if reading.complete:
                return Extent(end)
    return Extent(end, "its chunks do not end")


def find_last_end(data: Bytes, start: int) -> int | None:
    """Find the end of a chunked body that nothing follows in `data`, much faster; else None.

    There are no gaps behind `start`. What is not looked at because it is large gives None too.
    """
    if len(data) - start > _WINDOW_BYTES:
        return None
    found = data.rfind(_END, start)
    end = found + len(_END)
    # llhttp would take blank lines behind the body as well.
    if found < 0 or end != len(data) or data[found - 2 : found] == _END[:2]:
        return None
    reading, parser = _open(None)
    with memoryview(data) as view, view[start:] as piece:
        try:
            parser.feed_data(piece)
        except HttpParserError:
            return None
    return end if reading.complete and reading.messages == 1 else None


def decoded(data: Bytes, start: int, end: int, gaps: Sequence[Gap]) -> Iterator[bytes]:
    """Yield the data of the chunks in [start, end), as far as they are chunks."""
    pieces: list[bytes] = []
    _, parser = _open(pieces.append)
    with _slices(data, start, end, gaps, ends=False) as slices:
        for _, piece in slices:
            try:
                parser.feed_data(piece)
            except HttpParserError:
                yield from pieces
                return
            yield from pieces
            pieces.clear()


def _open(on_body: Callable[[bytes], None] | None) -> tuple[_Reading, HttpResponseParser]:
    reading = _Reading(on_body)
    parser = HttpResponseParser(reading)
    # NULs must stay an error outside of chunks: no leniency but this.
    parser.set_dangerous_leniencies(lenient_spaces_after_chunk_size=True)
    parser.feed_data(_HEAD)
    return reading, parser


@contextmanager
def _slices(
    data: Bytes, start: int, end: int, gaps: Sequence[Gap], *, ends: bool
) -> Iterator[Iterator[tuple[int, memoryview]]]:
    """Give slices of data, NULs for what is lost, each with the offset behind it."""

    def slices() -> Generator[tuple[int, memoryview], None, None]:
        position = start
        for offset, count in (*gaps, (end, 0)):
            gap_begin = min(offset, end)
            while position < gap_begin:
                stop = min(gap_begin, position + _SLICE_BYTES)
                if ends:
                    window = min(gap_begin, position + _WINDOW_BYTES)
                    found = data.find(_END, position, window)
                    if found >= 0:
                        stop = found + len(_END)
                    else:  # behind the window it may go on
                        stop = window if window == gap_begin else window - len(_END) + 1
                yield stop, view[position:stop]
                if isinstance(data, mmap) and stop // _WINDOW_BYTES > position // _WINDOW_BYTES:
                    data.madvise(MADV_DONTNEED)  # a body of gigabytes need not stay in memory
                position = stop
            gap_end = min(offset + count, end)
            while position < gap_end:
                stop = min(gap_end, position + _SLICE_BYTES)
                yield stop, _LOST[: stop - position]
                position = stop

    with memoryview(data) as view:
        given = slices()
        try:
            yield given
        finally:
            given.close()
