"""Walking savefiles: where they stop being whole, in every format and with every damage."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import NEVER_NS, Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.savefile.records import (
    MAGIC_MICROSECONDS,
    MAGIC_MODIFIED,
    MAGIC_NANOSECONDS,
    FileHeader,
    Walk,
    parse_file_header,
    walk,
)

from ..pcaps import make
from ..pcaps.parse import parse

CAPTURES = make.captures()
MAGICS = [MAGIC_MICROSECONDS, MAGIC_NANOSECONDS, MAGIC_MODIFIED]
CLASSIC = [name for name in CAPTURES if name.endswith(".pcap") and len(CAPTURES[name]) >= 24]
BLOCK_BYTES = 1 << 20  # what is read at once
FOUR = make.classic(make.mixture()[:4])


@contextmanager
def open_file(data: bytes) -> Iterator[int]:
    fd = os.memfd_create("savefile", os.MFD_CLOEXEC)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        yield fd
    finally:
        os.close(fd)


def walked(data: bytes) -> Walk:
    with open_file(data) as fd:
        return walk(fd)


@pytest.mark.parametrize("name", CLASSIC)
def test_walk_finds_what_a_reader_finds(name: str) -> None:
    found = walked(CAPTURES[name])
    expected = parse(CAPTURES[name])

    assert found.size_bytes == len(CAPTURES[name])
    if "zeros" in name:
        return  # zeros are records to a reader, see below
    assert (found.packets, found.end_offset) == (len(expected.records), expected.end_offset)
    assert (found.damage is None) is expected.whole
    if expected.records:
        assert (found.first_ns, found.last_ns) == (
            expected.times_ns()[0],
            expected.times_ns()[-1],
        )
        assert (found.earliest_ns, found.latest_ns) == (
            min(expected.times_ns()),
            max(expected.times_ns()),
        )
        assert found.ordered is (expected.times_ns() == sorted(expected.times_ns()))


@given(st.lists(st.integers(0, 9)))
def test_times_of_records_in_any_order(seconds: list[int]) -> None:
    packets = [make.Packet(second * 10**9, b"x") for second in seconds]
    found = walked(make.classic(packets))
    assert found.packets == len(seconds)
    assert found.earliest_ns == min(seconds, default=0) * 10**9
    assert found.latest_ns == max(seconds, default=0) * 10**9
    assert found.ordered is (seconds == sorted(seconds))


@pytest.mark.parametrize(
    ("name", "damage", "torn"),
    [
        ("us.pcap", None, False),
        ("header_only.pcap", None, False),
        ("empty.pcap", "file header cut short at byte offset 0", False),
        ("cut_in_file_header.pcap", "file header cut short at byte offset 0", False),
        ("not_pcap.txt", "not a classic pcap at byte offset 0", False),
        ("us.pcapng", "not a classic pcap at byte offset 0", False),
        (
            "cut_in_record_header.pcap",
            "record header cut short (9 of 16 bytes) at byte offset 2307",
            True,
        ),
        (
            "cut_in_packet.pcap",
            "record cut short (63 bytes are left of it) at byte offset 2307",
            True,
        ),
        (
            "bad_caplen.pcap",
            "record with an impossible captured length at byte offset 414",
            False,
        ),
        ("zeros_at_end.pcap", "zeros instead of a record at byte offset 414", True),
        ("zeros_in_the_middle.pcap", "zeros instead of a record at byte offset 414", False),
    ],
)
def test_damage_is_named_with_its_place(name: str, damage: str | None, torn: bool) -> None:
    found = walked(CAPTURES[name])

    assert (found.damage, found.torn) == (damage, torn)
    assert damage is None or f"byte offset {found.end_offset}" in damage


@pytest.mark.parametrize("name", ["empty.pcap", "not_pcap.txt", "header_only.pcap"])
def test_walk_without_records(name: str) -> None:
    found = walked(CAPTURES[name])

    assert (found.packets, found.first_ns, found.last_ns) == (0, 0, 0)
    assert found.end_offset == (24 if name == "header_only.pcap" else 0)


records = st.lists(
    st.builds(
        make.Packet,
        time_ns=st.integers(1000, 2**32 * 10**9 - 1),
        data=st.binary(max_size=40) | st.integers(0, 3000).map(bytes),
        origlen=st.none(),
    ),
    max_size=20,
)


@given(
    held=records,
    order=st.sampled_from("<>"),
    magic=st.sampled_from(MAGICS),
    at=st.floats(0, 1),
)
def test_end_is_the_last_whole_record_before_a_cut(
    held: list[make.Packet], order: str, magic: int, at: float
) -> None:
    whole = make.classic(held, order=order, magic=magic)
    cut = int(at * len(whole))
    found = walked(whole[:cut])
    ends = [24]
    for packet in held:
        ends.append(ends[-1] + len(make.record(packet, order=order, magic=magic)))
    if cut < 24:
        assert (found.packets, found.end_offset) == (0, 0)
        return
    kept = sum(end <= cut for end in ends) - 1

    assert (found.packets, found.end_offset) == (kept, ends[kept])
    assert found.torn is (found.damage is not None) is (cut != ends[kept])
    assert found.size_bytes == cut
    if kept:
        unit_ns = 1 if magic == MAGIC_NANOSECONDS else 1000
        assert found.first_ns == held[0].time_ns // unit_ns * unit_ns
        assert found.last_ns == held[kept - 1].time_ns // unit_ns * unit_ns


@given(held=records, garbage=st.binary(max_size=200), zeros=st.integers(0, 100))
def test_whatever_follows_the_whole_records_stay(
    held: list[make.Packet], garbage: bytes, zeros: int
) -> None:
    whole = make.classic(held)
    found = walked(whole + bytes(zeros) + garbage)

    assert found.packets >= len(held)
    assert len(whole) <= found.end_offset <= len(whole) + zeros + len(garbage)
    assert (found.damage is None) is (found.end_offset == found.size_bytes)


@given(data=st.binary(max_size=300))
def test_no_file_is_too_strange(data: bytes) -> None:
    for head in (b"", make.file_header(), make.file_header(order=">", magic=MAGIC_MODIFIED)):
        found = walked(head + data)

        assert 0 <= found.end_offset <= found.size_bytes == len(head) + len(data)
        assert (found.damage is None) is (0 < found.end_offset == found.size_bytes)


@pytest.mark.parametrize("zeros", [1, 15, 16, 17, 4096, BLOCK_BYTES + 5, 3 * BLOCK_BYTES])
def test_zeros_to_the_end_are_a_torn_tail(zeros: int) -> None:
    found = walked(FOUR + bytes(zeros))

    assert (found.packets, found.end_offset, found.torn) == (4, len(FOUR), True)


@pytest.mark.parametrize("zeros", [16, 160, 4096, BLOCK_BYTES, 2 * BLOCK_BYTES + 7])
@pytest.mark.parametrize("behind", [b"\1", FOUR[24:]])
def test_zeros_with_something_behind_them_are_not_torn(zeros: int, behind: bytes) -> None:
    found = walked(FOUR + bytes(zeros) + behind)

    assert (found.packets, found.end_offset, found.torn) == (4, len(FOUR), False)
    assert found.damage == f"zeros instead of a record at byte offset {len(FOUR)}"


@pytest.mark.parametrize("fields", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)])
def test_empty_packet_is_a_record(fields: tuple[int, ...]) -> None:
    found = walked(FOUR + struct.pack("<IIII", *fields))

    assert (found.packets, found.damage) == (5, None)


@pytest.mark.parametrize(
    ("linktype", "limit"),
    [(make.ETHERNET, 262144), (189, 262144), (220, 262144), (249, 1 << 20), (279, 8 << 20)],
)
@pytest.mark.parametrize("order", "<>")
def test_longest_record_of_a_linktype(linktype: int, limit: int, order: str) -> None:
    head = make.file_header(order=order, linktype=linktype)
    packet = make.Packet(make.START_NS, bytes(limit))
    found = walked(head + make.record(packet, order=order))
    assert (found.packets, found.damage) == (1, None)

    over = walked(head + struct.pack(f"{order}IIII", 1, 1, limit + 1, limit + 1) + bytes(40))
    assert (over.packets, over.torn) == (0, False)
    assert over.damage == "record with an impossible captured length at byte offset 24"


def test_upper_bits_of_the_linktype_are_no_linktype() -> None:
    """Bits above 16 say how long the frame check sequence is."""
    header = make.file_header(linktype=make.DBUS | 0x10000000)
    packet = make.Packet(make.START_NS, bytes(300_000))

    assert walked(header + make.record(packet)).packets == 1


@pytest.mark.parametrize("caplen", [2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1])
@pytest.mark.parametrize("linktype", [make.ETHERNET, make.DBUS])
def test_hostile_lengths(caplen: int, linktype: int) -> None:
    head = make.file_header(linktype=linktype)
    found = walked(head + struct.pack("<IIII", 1, 1, caplen, caplen) + bytes(1000))

    assert (found.packets, found.end_offset, found.torn) == (0, 24, False)


@pytest.mark.parametrize("size", [BLOCK_BYTES - 24, BLOCK_BYTES - 24 - 8, 99_999])
def test_records_across_the_blocks_that_are_read(size: int) -> None:
    """A header may begin in one block and end in the next."""
    head = make.file_header(linktype=make.DBUS)
    packets = [make.Packet(make.START_NS + n, bytes([n]) * (size - 16)) for n in range(1, 30)]
    found = walked(head + b"".join(make.record(packet) for packet in packets))

    assert (found.packets, found.damage) == (29, None)


def test_many_small_records() -> None:
    count = 200_000
    data = make.file_header() + make.record(make.Packet(make.START_NS, b"x" * 11)) * count
    found = walked(data)

    assert (found.packets, found.end_offset, found.damage) == (count, len(data), None)
    assert walked(data[:-1]).packets == count - 1


def test_position_of_the_descriptor_is_not_used() -> None:
    with open_file(CAPTURES["us.pcap"]) as fd:
        os.lseek(fd, 77, os.SEEK_SET)
        assert walk(fd).packets == 12
        assert os.lseek(fd, 0, os.SEEK_CUR) == 77


def test_file_that_grows_ends_where_it_ended_when_the_walk_began() -> None:
    with open_file(FOUR) as fd:
        before = walk(fd)
        os.write(fd, make.record(make.mixture()[4]))
        assert (before.packets, walk(fd).packets) == (4, 5)


def test_what_cannot_be_read_is_an_error(tmp_path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(IsADirectoryError):
        walk(fd)
    os.close(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        walk(fd)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("magic", MAGICS)
def test_file_header(order: str, magic: int) -> None:
    data = make.file_header(order=order, magic=magic, snaplen=96, linktype=113)
    header = parse_file_header(data + b"more")

    assert header == FileHeader(
        order, magic == MAGIC_NANOSECONDS, magic == MAGIC_MODIFIED, 2, 4, 96, 113
    )
    assert header is not None
    assert header.native is (order == "<" and magic != MAGIC_MODIFIED)


@pytest.mark.parametrize("version", [(2, 3), (1, 4), (2, 5), (543, 0)])
def test_other_versions_are_not_passed_on_as_they_are(version: tuple[int, int]) -> None:
    header = parse_file_header(make.file_header(version=version))

    assert header is not None
    assert (header.major, header.minor) == version
    assert not header.native


VERSIONS = [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4), (543, 0)]
REFUSED = [(0, 0), (1, 4), (2, 5), (2, 0x404), (3, 4), (6, 4), (542, 0), (543, 1), (0x200, 0x400)]


@pytest.mark.parametrize("version", VERSIONS + REFUSED)
@pytest.mark.parametrize("magic", [MAGIC_MICROSECONDS, MAGIC_MODIFIED])
@pytest.mark.parametrize("order", "<>")
def test_a_walk_takes_the_versions_that_libpcap_takes(
    tmp_path, version: tuple[int, int], magic: int, order: str
) -> None:
    path = tmp_path / "x"
    data = make.classic(make.mixture(), order=order, magic=magic)
    head = make.file_header(order=order, magic=magic, version=version)
    path.write_bytes(head + data[24:])
    fd = os.open(path, os.O_RDONLY)
    try:
        found = walk(fd)
        try:
            source = FileSource(fd, name="x", wake_fd=-1)
        except SourceError:
            assert version in REFUSED
            assert (found.packets, found.end_offset, found.torn) == (0, 0, False)
            shown = ".".join(map(str, version))
            assert found.damage == f"file header of unknown version {shown} at byte offset 4"
            return
        buffer = Buffer(1 << 20)
        whole = source.fill(buffer, 1 << 62, 1 << 62, NEVER_NS, 10**9, NEVER_NS) == Stop.END
        source.close()
    finally:
        os.close(fd)
    # The lengths are the other way round in older ones, which shows where a packet was cut.
    assert version in VERSIONS
    assert (found.packets, found.damage is None) == (buffer.packets, whole)


@pytest.mark.parametrize("version", [(2, 2), (2, 3), (543, 0)])
@pytest.mark.parametrize("order", "<>")
def test_lengths_in_the_older_order(version: tuple[int, int], order: str) -> None:
    cut = make.Packet(make.START_NS, bytes(60), 1500)
    lengths = struct.pack(f"{order}II", 1500, 60)
    one = make.record(cut, order=order)
    data = make.file_header(order=order, version=version) + (one[:8] + lengths + one[16:]) * 9
    found = walked(data)
    assert (found.packets, found.damage) == (9, None)


@pytest.mark.parametrize(
    "name", ["empty.pcap", "cut_in_file_header.pcap", "not_pcap.txt", "us.pcapng"]
)
def test_no_file_header(name: str) -> None:
    assert parse_file_header(CAPTURES[name][:24]) is None


def test_magic_numbers() -> None:
    assert (MAGIC_MICROSECONDS, MAGIC_NANOSECONDS, MAGIC_MODIFIED) == (
        make.MICROSECONDS,
        make.NANOSECONDS,
        make.MODIFIED,
    )
