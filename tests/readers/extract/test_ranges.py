"""Surveys know between which times the packets of each part of a savefile are."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from daemonlogger_py.readers.extract.format import Format
from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.ranges import Ranges, Window, survey

from ...pcaps.make import Packet, classic, file_header

REGION_BYTES = 4 << 20


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[object]:
    fds = []

    def open_with(data: bytes) -> int:
        path = tmp_path / f"savefile-{len(fds)}"
        path.write_bytes(data)
        fds.append(os.open(path, os.O_RDONLY))
        return fds[-1]

    yield open_with
    for fd in fds:
        os.close(fd)


def of_sizes(*times_ns: int, size: int) -> list[Packet]:
    return [Packet(time_ns, bytes(size)) for time_ns in times_ns]


def surveyed(opened: object, data: bytes) -> Ranges:
    fd = opened(data)  # type: ignore[operator]
    return survey(fd, Format(data[:24], ""), Window(), 24, len(data))


def test_a_whole_savefile_is_one_range() -> None:
    ranges = Ranges.whole(1000, early_ns=5, late_ns=9, ordered=True)

    assert list(ranges) == [(24, 1000, 5, 9)]
    assert (ranges.total_bytes, ranges.early_ns, ranges.late_ns) == (976, 5, 9)
    assert ranges.ordered


def test_one_without_packets_is_none() -> None:
    ranges = Ranges.whole(24)

    assert list(ranges) == []
    assert (ranges.early_ns, ranges.late_ns) == (LAST_KEY, 0)


def test_a_survey_bounds_what_is_behind_and_what_was_before(opened: object) -> None:
    size = REGION_BYTES // 16  # 16 of these fill a region
    times = [1000 * number for number in range(40)]
    times[20], times[5] = 3000, 900_000
    ranges = surveyed(opened, classic(of_sizes(*times, size=size)))
    parts = list(ranges)

    assert len(parts) == 3
    assert parts[0][0] == 24
    assert all(one[1] == other[0] for one, other in pairwise(parts))
    # A microsecond file: 20 is at 3 us, which bounds what is in front of it as well.
    assert [early for _, _, early, _ in parts] == [0, 3000, 32_000]
    assert [late for _, _, _, late in parts] == [900_000, 900_000, 900_000]
    assert not ranges.ordered


@pytest.mark.parametrize("order", ["<", ">"])
def test_order_is_seen_in_either_byte_order(opened: object, order: str) -> None:
    data = classic(of_sizes(1000, 2000, 2000, 7000, size=9), order=order)
    ranges = surveyed(opened, data)

    assert ranges.ordered
    assert list(ranges) == [(24, len(data), 1000, 7000)]


def test_damage_is_left_to_the_scan(opened: object) -> None:
    data = classic(of_sizes(1000, 2000, size=9)) + b"\xff" * 40
    ranges = surveyed(opened, data)

    assert list(ranges) == [(24, len(data), 1000, 2000)]


def test_a_file_that_shrank_is_an_error(opened: object) -> None:
    fd = opened(file_header())  # type: ignore[operator]

    with pytest.raises(OSError, match="Input/output error"):
        survey(fd, Format(file_header(), ""), Window(), 24, 4096)


def test_the_rest_behind_an_index_may_be_anything() -> None:
    ranges = Ranges.whole(1000, early_ns=5, late_ns=9, ordered=True)
    ranges.add_rest(1000, 1200)
    ranges.add_rest(1200, 1200)

    assert list(ranges) == [(24, 1000, 0, 9), (1000, 1200, 0, LAST_KEY)]
    assert not ranges.ordered
