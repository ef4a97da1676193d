"""Files by whose packets they have; what is in them, tests of packets.py see."""

import os
from pathlib import Path

import pytest

from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.packets import FlowPcaps
from daemonlogger_py.readers.streams.piles import Piles

from ...flow.segments import Side, timed
from ...pcaps.make import file_header
from ...pcaps.parse import parse
from .sinking import feed


def test_begins_empty(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    piles = Piles(Files(fd, Template("%a"), 1), 0, 0)
    os.close(fd)

    assert (piles.packets, piles.created, piles.forgotten) == (0, 0, 0)


def test_no_files_at_all_is_no_directory_of_files() -> None:
    with pytest.raises(TypeError):
        Piles(None, 0, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("turns", [1, 3])
def test_more_files_than_buckets(tmp_path: Path, turns: int) -> None:
    """Each packet finds its file again, however often the table grew."""
    count = 3000  # the table begins with 1024 buckets
    fd = os.open(tmp_path, os.O_RDONLY)
    sink = FlowPcaps(Files(fd, Template("%a/%b"), 50))
    sink.source(file_header())
    frames = [
        Side(port=1 + n % count, peer_port=60_000 + n % 2).sends(0, b"%d" % n)
        for n in range(turns * count)
    ]
    feed(sink, timed(frames))
    sink.close()
    os.close(fd)

    assert (sink.created, sink.packets, sink.forgotten) == (count, turns * count, 0)
    paths = list(tmp_path.glob("*/*.pcap"))
    assert len(paths) == count
    for path in paths:
        first = int(path.parent.name) - 1
        expected = [b"%d" % n for n in range(first, turns * count, count)]
        assert [r.data[54:] for r in parse(path.read_bytes()).records] == expected


def test_longest_record_fits_into_the_least_memory(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    sink = FlowPcaps(Files(fd, Template("%a"), 1), memory_bytes=0)
    sink.source(file_header())
    frame = Side().sends(0, b"x").ljust(262_144, b"\0")
    feed(sink, timed([frame] * 9))
    sink.close()
    os.close(fd)

    records = parse((tmp_path / "40000.pcap").read_bytes()).records
    assert [record.data for record in records] == [frame] * 9
