"""Whole records of damaged savefiles: none is lost, and none is made up."""

import os
import random
import struct
from pathlib import Path

import pytest

from daemonlogger_py.savefile.salvage import Range, Salvage, salvage

HEADER_BYTES = 16
MICROSECONDS, NANOSECONDS, MODIFIED = 0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34


def header(order: str = "=", magic: int = MICROSECONDS, snaplen: int = 65535) -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snaplen & 0x7FFFFFFF, 1)


def records(count: int, dice: random.Random, order: str = "=") -> list[bytes]:
    made = []
    time_us = 1_700_000_000_000_000
    for _ in range(count):
        size = dice.choice([60, 60, 594, 1514])
        time_us += dice.randrange(2_000_000)
        body = dice.randbytes(size) if dice.random() < 0.5 else bytes(size)
        stamp = struct.pack(f"{order}IIII", time_us // 10**6, time_us % 10**6, size, size)
        made.append(stamp + body)
    return made


def salvaged(data: bytes) -> Salvage:
    fd = os.memfd_create("savefile", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        found = salvage(fd)
    finally:
        os.close(fd)
    assert found is not None
    assert found.size_bytes == len(data)
    return found


def bytes_of(data: bytes, found: Salvage) -> bytes:
    return b"".join(data[one.begin : one.end] for one in found.ranges)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_whole_file_is_one_range(order: str) -> None:
    data = header(order) + b"".join(records(50, random.Random(1), order))
    assert salvaged(data) == Salvage([Range(24, len(data), 50)], len(data), True)
    assert salvaged(header(order)).ranges == []


def test_every_cut_ends_with_the_last_whole_record() -> None:
    made = records(3, random.Random(2))
    data = header() + b"".join(made)
    ends = [24 + sum(map(len, made[:count])) for count in range(4)]
    for size in range(24, len(data) + 1):
        whole = sum(end <= size for end in ends) - 1
        expected = [Range(24, ends[whole], whole)] if whole else []
        assert salvaged(data[:size]).ranges == expected, size


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_records_on_both_sides_of_any_damage_are_kept(order: str, count: int) -> None:
    dice = random.Random(f"{order}{count}")
    for _ in range(150):
        made = records(count, dice, order)
        ends = [24]
        for one in made:
            ends.append(ends[-1] + len(one))
        data = bytearray(header(order) + b"".join(made))
        begin = dice.randrange(24, len(data))
        if dice.random() < 0.5:
            end = begin + 1
            data[begin] ^= 1 << dice.randrange(8)
        else:
            end = min(len(data), begin + dice.choice([4, 16, 512, 4096]))
            data[begin:end] = dice.choice([bytes, dice.randbytes, b"\xff".__mul__])(end - begin)
        kept = bytes_of(data, salvaged(data))
        place = 0
        for number, one in enumerate(made):
            if ends[number] < end and ends[number + 1] > begin:
                continue  # hit
            place = kept.find(one, place)
            assert place >= 0, (number, begin, end)
            place += len(one)
        assert len(kept) <= ends[-1] - 24


def test_a_length_that_grew_does_not_swallow_what_follows() -> None:
    made = records(20, random.Random(4))
    for number in range(18):
        data = bytearray(header() + b"".join(made))
        at = 24 + sum(map(len, made[:number]))
        (caplen,) = struct.unpack_from("=I", data, at + 8)
        struct.pack_into("=I", data, at + 8, caplen + 64)
        found = salvaged(data)
        assert bytes_of(data, found) == b"".join(made[:number] + made[number + 1 :])


@pytest.mark.parametrize("first", [0, 1, 100])
@pytest.mark.parametrize("length", [70_000, 20_000, 400, 262_144])
@pytest.mark.parametrize("second", [0x7FFFFFFF, 70_000, 201])
def test_a_length_that_jumps_over_more_damage_does_not_swallow_what_is_between(
    first: int, length: int, second: int
) -> None:
    made = [
        struct.pack("<IIII", 1_700_000_000 + at, 0, 200, 200) + bytes(200) for at in range(1400)
    ]
    hit = first, first + 40, first + 87
    for at, caplen in zip(hit, (length, second, 0xFFFFFFFF), strict=True):
        made[at] = made[at][:8] + struct.pack("<I", caplen) + made[at][12:]
    data = header("<") + b"".join(made)
    kept = bytes_of(data, salvaged(data))
    assert kept == b"".join(one for at, one in enumerate(made) if at not in hit)


def test_a_length_that_seems_to_be_of_a_torn_record_does_not_swallow_what_follows() -> None:
    made = [struct.pack("<IIII", 1_700_000_000 + at, 0, 100, 100) + bytes(100) for at in range(400)]
    for number in (0, 1, 299, 397, 398):
        before = header("<") + b"".join(made[:number]) + made[number][:8]
        # Put in before the captured length, both lengths are 25600.
        behind = b"\0" + made[number][8:]
        data = before + behind + b"".join(made[number + 1 :])
        if 399 - number > 25_600 // 116:
            data = data[: len(before) + 25_000]
        found = salvaged(data)
        kept = bytes_of(data, found)
        rest = data[len(before) + len(behind) :]
        whole = b"".join(made[:number]) + rest[: len(rest) // 116 * 116]
        assert kept == whole, number


def test_a_length_in_a_record_that_was_cut_when_captured_does_not_swallow_what_follows() -> None:
    one = struct.pack("<IIII", 1_700_000_000, 0, 100, 1500) + bytes(100)
    data = bytearray(header("<") + one * 20)
    data[24 + 17 * 116 + 9] ^= 2  # 612 bytes of 1500
    assert bytes_of(bytes(data), salvaged(bytes(data))) == one * 19


def test_a_record_by_chance_with_a_torn_one_does_not_swallow_what_follows() -> None:
    # Read from one byte earlier, the first is empty too, and the second ends behind the file.
    sizes = (0, *[594] * 9)
    stamps = [struct.pack("<IIII", 1_700_000_000, at, size, size) for at, size in enumerate(sizes)]
    made = b"".join(stamp + bytes(size) for stamp, size in zip(stamps, sizes, strict=True))
    data = header("<", snaplen=0) + b"\xff" * 99 + b"\x15" + made
    assert bytes_of(data, salvaged(data)) == made


def test_a_capture_inside_a_packet_is_not_taken_for_records() -> None:
    dice = random.Random(5)
    inside = b"".join(records(12, dice))[:1400]
    carrier = struct.pack("=IIII", 1_700_000_000, 0, len(inside), len(inside)) + inside
    made = [*records(3, dice), carrier]
    data = header() + b"".join(made)
    for cut in range(1, 1300, 100):  # torn within the packet that carries it
        found = salvaged(data[:-cut])
        assert bytes_of(data, found) == b"".join(made[:-1])


def test_a_clock_that_was_set_is_no_damage() -> None:
    dice = random.Random(6)
    far = [struct.pack("=I", 5) + one[4:] for one in records(20, dice)]
    made = records(10, dice) + far
    data = bytearray(header() + b"".join(made))
    at = 24 + sum(map(len, made[:25]))
    data[at : at + 16] = b"\xff" * 16
    assert bytes_of(data, salvaged(data)) == b"".join(made[:25] + made[26:])


def test_zeros_of_a_machine_that_lost_power() -> None:
    made = records(10, random.Random(7))
    data = header() + b"".join(made)
    assert salvaged(data + bytes(9000)).ranges == [Range(24, len(data), 10)]


@pytest.mark.parametrize(
    "body",
    [
        b"\0\0\0\x41" * 200_000,
        b"\1\0\0\0" * 200_000,
        struct.pack("=IIII", 1, 1, 0x101, 0x101) * 60_000,
        struct.pack("=IIII", 1, 1, 0, 1) * 40_000 + b"\xff" * 16,
    ],
)
def test_hostile_bytes_end(body: bytes) -> None:
    found = salvaged(header() + body)
    assert all(24 <= one.begin < one.end <= found.size_bytes for one in found.ranges)
    assert [one.begin for one in found.ranges] == sorted(one.begin for one in found.ranges)


def test_damage_without_end_is_bounded() -> None:
    one = struct.pack("=IIII", 1_700_000_000, 1, 0, 0)
    data = header() + (one * 6 + b"\xff" * 16) * 66_000
    found = salvaged(data)
    assert (len(found.ranges), found.complete) == (65536, False)


@pytest.mark.parametrize(("major", "minor"), [(2, 2), (2, 3), (543, 0)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_lengths_in_the_order_of_an_older_version(order: str, major: int, minor: int) -> None:
    one = struct.pack(f"{order}IIII", 1_700_000_000, 0, 1500, 100) + bytes(100)
    data = bytearray(header(order) + one * 20)
    struct.pack_into(f"{order}HH", data, 4, major, minor)
    data[24 + 7 * 116 : 24 + 7 * 116 + 16] = b"\xff" * 16
    assert bytes_of(bytes(data), salvaged(bytes(data))) == one * 19


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text, and no capture at all",
        header(magic=MODIFIED),
        header("<")[:4] + b"\3" + header("<")[5:],
    ],
)
def test_other_formats_have_no_records_of_ours(data: bytes) -> None:
    fd = os.memfd_create("savefile", os.MFD_CLOEXEC)
    os.write(fd, data)
    assert salvage(fd) is None
    os.close(fd)


def test_another_files_header_is_read_by(tmp_path: Path) -> None:
    made = records(5, random.Random(8))
    path = tmp_path / "x"
    path.write_bytes(bytes(24) + b"".join(made))
    with path.open("rb") as file:
        assert salvage(file.fileno()) is None
        found = salvage(file.fileno(), header())
    assert found is not None
    assert found.ranges == [Range(24, path.stat().st_size, 5)]


def test_what_cannot_be_read_is_an_error(tmp_path: object) -> None:
    fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(OSError, match="directory"):
            salvage(fd)
    finally:
        os.close(fd)
