"""Scans take what libpcap's filter accepts, up to the last whole record."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.extract.format import Format
from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.ranges import Ranges, Window, survey
from daemonlogger_py.readers.extract.scan import Scan

from ...pcaps.make import NANOSECONDS, Packet, classic, file_header, record
from ...pcaps.parse import parse
from .savefiles import EPOCH, MS, NS, number_of, numbered

Opener = Callable[[bytes], int]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opener]:
    fds = []

    def open_with(data: bytes) -> int:
        path = tmp_path / f"savefile-{len(fds)}"
        path.write_bytes(data)
        fds.append(os.open(path, os.O_RDONLY))
        return fds[-1]

    yield open_with
    for fd in fds:
        os.close(fd)


def scan_of(fd: int, text: str = "", ranges: Ranges | None = None, **how: object) -> Scan:
    data = os.pread(fd, 24, 0)
    size_bytes = os.fstat(fd).st_size
    return Scan(fd, Format(data, text), ranges or Ranges.whole(size_bytes), **how)  # type: ignore[arg-type]


def steps(scan: Scan, *, reverse: bool = False) -> list[Chunk]:
    chunks = []
    while not scan.done:
        chunk = scan.chunk()
        scan.step(chunk)
        chunk.settle(reverse=reverse)
        chunks.append(chunk)
    return chunks


def found_in(scan: Scan, *, reverse: bool = False) -> list[int]:
    data = b"".join(bytes(memoryview(chunk)) for chunk in steps(scan, reverse=reverse))
    return [number_of(one.data) for one in parse(file_header() + data).records]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [0xA1B2C3D4, NANOSECONDS])
def test_what_the_filter_accepts_in_either_order_and_resolution(
    opened: Opener, order: str, magic: int
) -> None:
    packets = numbered(100)
    scan = scan_of(opened(classic(packets, order=order, magic=magic)), "tcp")
    (chunk,) = steps(scan)

    kept = [one for at, one in enumerate(packets) if at % 10 == 0]
    assert bytes(memoryview(chunk)) == b"".join(record(one, magic=magic) for one in kept)
    assert (scan.packets, scan.damage, scan.broken) == (100, None, 0)


def test_the_span_begins_with_its_first_moment_and_ends_before_its_last(opened: Opener) -> None:
    fd = opened(classic(numbered(10)))
    begin = EPOCH * NS
    scan = scan_of(fd, from_ns=begin + 2 * MS, to_ns=begin + 5 * MS)

    assert found_in(scan) == [2, 3, 4]


def test_of_an_ordered_savefile_what_is_late_is_not_read(opened: Opener) -> None:
    data = classic(numbered(10))
    ranges = Ranges.whole(len(data), ordered=True)
    scan = scan_of(opened(data), "", ranges, to_ns=EPOCH * NS + 3 * MS)

    assert found_in(scan) == [0, 1, 2]
    assert scan.packets == 4


def test_packets_longer_than_the_snaplen_are_cut_before_the_filter(opened: Opener) -> None:
    long = numbered(1)[0]
    head = file_header(snaplen=40)
    scan = scan_of(opened(head + record(long)))
    (chunk,) = steps(scan)

    assert bytes(memoryview(chunk))[16:] == long.data[:40]
    assert found_bytes(scan_of(opened(head + record(long)), "ether[40] >= 0")) == 0


def found_bytes(scan: Scan) -> int:
    return sum(len(chunk) for chunk in steps(scan))


@pytest.mark.parametrize(
    ("rest", "what"),
    [
        (b"\1" * 7, "a record is cut short"),
        (record(Packet(0, b"abcd"))[:-1], "a record is cut short"),
        (b"\xff" * 64, "more than the format's 262144"),
    ],
)
def test_where_it_stops_being_whole(opened: Opener, rest: bytes, what: str) -> None:
    whole = classic(numbered(3))
    scan = scan_of(opened(whole + rest))

    assert found_in(scan) == [0, 1, 2]
    assert scan.damage is not None
    assert what in scan.damage
    assert scan.damage.endswith(f"at byte offset {len(whole)}")
    assert scan.torn is ("cut" in what)


def test_a_savefile_that_grew_is_read_on(opened: Opener, tmp_path: Path) -> None:
    whole = classic(numbered(5))
    fd = opened(whole[:-30])
    scan = scan_of(fd)
    assert found_in(scan) == [0, 1, 2, 3]

    (tmp_path / "savefile-0").write_bytes(whole)
    scan.extend(len(whole))

    assert found_in(scan) == [4]
    assert scan.done
    assert scan.damage is None


@pytest.mark.parametrize("at", [None, 60, 139])
@pytest.mark.parametrize("rest", [b"cut", b"\xff" * 16])
def test_damage_in_the_last_of_several_ranges_does_not_end_a_scan_backwards(
    opened: Opener, at: int | None, rest: bytes
) -> None:
    numbers = range(140)
    packets = [one._replace(data=one.data + bytes(60000)) for one in numbered(len(numbers))]
    whole = classic(packets[:at])
    data = whole + rest + (b"" if at is None else classic(packets[at:])[24:])
    fd = opened(data)
    ranges = survey(fd, Format(data[:24], ""), Window(), 24, len(data))
    forth, back = scan_of(fd), scan_of(fd, "", ranges, reverse=True)

    assert found_in(forth) == list(numbers[:at])
    assert found_in(back, reverse=True) == list(numbers[:at])[::-1]
    assert back.damage is not None
    assert (back.damage, back.torn, back.offset) == (forth.damage, forth.torn, forth.offset)


def test_a_savefile_that_shrank_is_read_up_to_there_backwards(
    opened: Opener, tmp_path: Path
) -> None:
    packets = [one._replace(data=one.data + bytes(60000)) for one in numbered(240)]
    data = classic(packets)
    fd = opened(data)
    ranges = survey(fd, Format(data[:24], ""), Window(), 24, len(data))
    scan = scan_of(fd, "", ranges, reverse=True)
    left_bytes = len(classic(packets[:100]))
    os.truncate(tmp_path / "savefile-0", left_bytes + 100)

    assert len(ranges) == 4
    assert found_in(scan, reverse=True) == list(range(100))[::-1]
    assert scan.damage == f"Input/output error at byte offset {left_bytes}"


@pytest.mark.parametrize("reverse", [False, True])
def test_ranges_that_are_not_those_of_this_savefile(opened: Opener, reverse: bool) -> None:
    packets = [Packet(EPOCH * NS + at * MS, bytes(60000)) for at in range(80)]
    data = classic(packets)
    ranges = survey(opened(data), Format(data[:24], ""), Window(), 24, len(data))
    two = record(packets[0]._replace(data=bytes(29992))) * 2  # as long as one of the others
    other = opened(data[:24] + two + data[24 + len(two) :])
    scan = scan_of(other, "", ranges, reverse=reverse)
    steps(scan, reverse=reverse)

    assert len(two) == len(record(packets[0]))
    assert scan.disagrees
    assert "not those" in str(scan.damage)


def test_what_is_earlier_than_promised_is_counted(opened: Opener) -> None:
    packets = numbered(4)
    packets[2] = packets[2]._replace(time_ns=EPOCH * NS - 1000)
    data = classic(packets)
    promised = Ranges.whole(len(data), early_ns=EPOCH * NS, late_ns=LAST_KEY, ordered=True)
    scan = scan_of(opened(data), "", promised)

    assert sorted(found_in(scan)) == [0, 1, 2, 3]
    assert scan.broken == 1


def test_large_ones_take_several_steps_and_the_front_moves_on(opened: Opener) -> None:
    packets = [Packet(EPOCH * NS + at * MS, bytes(60000)) for at in range(200)]
    data = classic(packets)
    fd = opened(data)
    for reverse in (False, True):
        ranges = survey(fd, Format(data[:24], ""), Window(), 24, len(data))
        scan = scan_of(fd, "", ranges, reverse=reverse)
        fronts, total = [scan.front_ns], 0
        for _ in range(100):
            if scan.done:
                break
            chunk = scan.chunk()
            scan.step(chunk)
            chunk.settle(reverse=reverse)
            within = chunk.last_ns <= fronts[-1] if reverse else chunk.first_ns >= fronts[-1]
            assert within
            fronts.append(scan.front_ns)
            total += chunk.packets
        assert total == 200
        assert len(fronts) >= 3
        assert fronts == sorted(fronts, reverse=reverse)


times = st.lists(st.integers(0, 5), min_size=0, max_size=60)


@given(times=times, reverse=st.booleans(), from_s=st.integers(0, 5), to_s=st.integers(0, 6))
def test_all_of_a_savefile_whatever_its_order(
    times: list[int], reverse: bool, from_s: int, to_s: int
) -> None:
    packets = [
        one._replace(time_ns=second * NS)
        for second, one in zip(times, numbered(len(times)), strict=True)
    ]
    fd = os.memfd_create("savefile")
    try:
        os.write(fd, classic(packets))
        scan = scan_of(fd, reverse=reverse, from_ns=from_s * NS, to_ns=to_s * NS)
        found = found_in(scan, reverse=reverse)
    finally:
        os.close(fd)
    wanted = [at for at, second in enumerate(times) if from_s <= second < to_s]
    expected = sorted(wanted, key=lambda at: times[at])
    assert found == (expected[::-1] if reverse else expected)


@given(data=st.binary(max_size=400))
def test_hostile_records_are_never_read_past_their_end(data: bytes) -> None:
    fd = os.memfd_create("savefile")
    try:
        os.write(fd, file_header() + data)
        scan = scan_of(fd, "udp or ip6")
        steps(scan)
    finally:
        os.close(fd)
    assert scan.offset <= 24 + len(data)
    assert parse(file_header() + data).end_offset == max(24, scan.offset)
