"""Rows of .findx files: the same, wherever they waited."""

import os
import random
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.streams.directories import Directories
from daemonlogger_py.readers.streams.rows import Rows
from tests.flow.segments import Side
from tests.readers.streams.stored import Stored

CLIENT = Side()


def rows_of(directory: Path, frames: list[bytes], **options: object) -> dict[str, bytes]:
    stored = Stored(directory, frames, findx=True, **options)  # type: ignore[arg-type]
    return {name: data for name, data in stored.files.items() if name.endswith(".findx")}


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    return (tmp_path_factory.mktemp(f"rows{number}") for number in range(1_000_000))


segments = st.lists(
    st.tuples(st.integers(0, 2), st.integers(-40, 40), st.integers(1, 9)), max_size=40
)


@given(
    sent=segments,
    with_syn=st.booleans(),
    each=st.integers(1, 5),
    feeds=st.integers(1, 4),
    max_bytes=st.none() | st.integers(0, 30),
)
def test_rows_that_were_put_away_are_where_they_belong(
    directories, sent, with_syn, each, feeds, max_bytes
):
    sides = [Side(port=port) for port in (1, 2, 3)]
    frames = [side.syn() for side in sides if with_syn]
    frames += [sides[index].sends(offset, b"x" * count) for index, offset, count in sent]
    options = {"gaps": True, "feeds": feeds, "max_bytes": max_bytes}
    held = rows_of(next(directories), frames, **options)
    put_away = rows_of(next(directories), frames, **options, rows={"stream_rows": each})
    assert put_away == held


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("stream_rows", [1, 7, 1300])
def test_more_rows_than_are_held(tmp_path, shuffled, stream_rows):
    offsets = list(range(0, 6000, 2))
    if shuffled:
        random.Random(5).shuffle(offsets)
    frames = [CLIENT.syn(), *(CLIENT.sends(offset, b"xy") for offset in offsets)]
    (rows,) = rows_of(tmp_path, frames, feeds=3, rows={"stream_rows": stream_rows}).values()
    lines = [line.split(b"|") for line in rows.splitlines()]
    assert [(int(line[0]), int(line[2])) for line in lines] == [
        (offset, 2) for offset in range(0, 6000, 2)
    ]
    times = {}
    for turn, offset in enumerate(offsets, 1):
        times[offset] = b"%d.%06d" % (10**9 + turn // 1000, turn % 1000 * 1000)
    assert [line[1] for line in lines] == [times[offset] for offset in range(0, 6000, 2)]


def test_limit_of_all_streams_together(tmp_path):
    sides = [Side(port=port) for port in range(1, 30)]
    frames = [side.sends(offset, b"x") for offset in range(40) for side in sides]
    rows = rows_of(tmp_path, frames, feeds=5, rows={"most_rows": 100})
    assert {data.count(b"\n") for data in rows.values()} == {40}
    assert len(rows) == 29


def test_no_file_is_left_of_what_was_put_away(tmp_path):
    frames = [CLIENT.sends(offset, b"x") for offset in range(50)]
    Stored(tmp_path, frames, findx=True, rows={"stream_rows": 3})
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.usefixtures("left_to_the_process")
def test_full_volume_is_told(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    frames = [CLIENT.sends(offset, b"x") for offset in range(5000)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            Stored(tmp_path, frames, findx=True, rows={"stream_rows": 1000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_made_without_a_file(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    assert Rows(Directories(fd), None, False) is not None
    os.close(fd)
    assert list(tmp_path.iterdir()) == []
