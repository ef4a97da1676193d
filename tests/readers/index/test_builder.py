"""The index of a savefile covers every packet of it and says of none what is not true."""

import os
import random
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemonlogger_py.readers.index.builder import UnindexableError, build, indexable
from daemonlogger_py.readers.index.sidecar import SidecarError

from ...flow import frames as made
from ...pcaps.found import found
from ...pcaps.make import (
    DBUS,
    MICROSECONDS,
    MODIFIED,
    NANOSECONDS,
    START_NS,
    Packet,
    classic,
    file_header,
    mixture,
    record,
    stamped,
)
from ..extract import traffic
from .known import check, indexed, savefile

CAPTURES = [path for path in found() if "cap" in path.suffix and path.stat().st_size < 3_000_000]
LARGE = b"\xee" * 1400


def flow(number: int, payload: bytes = b"") -> bytes:
    """A TCP packet of one of many flows."""
    packet = made.ipv4(made.tcp(payload))
    return made.ethernet(packet[:12] + struct.pack(">I", 0x0A000000 + number) + packet[16:])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("magic", [MICROSECONDS, NANOSECONDS])
def test_every_kind_of_classic_pcap(tmp_path: Path, order: str, magic: int) -> None:
    path = savefile(tmp_path, mixture() * 9, order=order, magic=magic)

    sidecar = indexed(path)

    check(sidecar, path.read_bytes())
    assert sidecar.savefile == path.name
    assert not sidecar.ordered  # the mixture begins again and again
    assert (sidecar.linktype, sidecar.snaplen) == (1, 262144)


def test_flows_are_in_their_blocks_alone(tmp_path: Path) -> None:
    packets = stamped(flow(i // 10, LARGE) for i in range(1000))
    path = savefile(tmp_path, packets)

    sidecar = indexed(path)

    check(sidecar, path.read_bytes())
    assert sidecar.ordered
    assert len(sidecar.blocks()) == 23
    assert len(sidecar.classes()) == 100
    assert all(len(blocks) <= 2 for _, _, blocks in sidecar.classes())


def test_packets_of_which_nothing_is_known_are_of_the_opaque_class(tmp_path: Path) -> None:
    path = savefile(tmp_path, stamped([b"", b"\0" * 13, flow(1)]))

    sidecar = indexed(path)

    check(sidecar, path.read_bytes())
    assert (b"", b"", [0]) in sidecar.classes()


def test_without_such_packets_there_is_no_opaque_class(tmp_path: Path) -> None:
    sidecar = indexed(savefile(tmp_path, stamped([flow(1)])))

    assert all(mask for _, mask, _ in sidecar.classes())


@pytest.mark.parametrize("snaplen", [0, 20, 30, 36])
def test_bytes_beyond_the_snaplen_are_not_known(tmp_path: Path, snaplen: int) -> None:
    # libpcap cuts what is longer than the savefile says a packet may be.
    path = savefile(tmp_path, stamped([flow(1), flow(2)]), snaplen=snaplen)

    sidecar = indexed(path)

    check(sidecar, path.read_bytes())
    assert all(len(mask) <= (snaplen or 999) for _, mask, _ in sidecar.classes())


@pytest.mark.parametrize(
    "tail",
    [b"\0", b"\0" * 15, b"\0" * 16, b"\xff" * 40, record(Packet(START_NS, b"x" * 50))[:-1]],
)
def test_what_is_not_a_whole_record_is_left(tmp_path: Path, tail: bytes) -> None:
    whole = savefile(tmp_path, mixture(), name="r.1").read_bytes()
    path = savefile(tmp_path, mixture(), tail=tail)

    sidecar = indexed(path)

    check(sidecar, path.read_bytes())
    assert sidecar.end_offset == len(whole)
    assert sidecar.size_bytes == len(whole) + len(tail)


def test_a_savefile_without_packets(tmp_path: Path) -> None:
    sidecar = indexed(savefile(tmp_path, []))

    assert sidecar.blocks() == sidecar.classes() == []
    assert sidecar.packets == 0
    assert sidecar.end_offset == 24


def test_records_longer_than_blocks_and_windows(tmp_path: Path) -> None:
    packets = stamped([flow(1), flow(2) + b"x" * 200_000, flow(3)] * 9)
    path = savefile(tmp_path, packets)

    check(indexed(path), path.read_bytes())


def test_a_record_longer_than_others_may_be(tmp_path: Path) -> None:
    path = savefile(tmp_path, stamped([b"x" * 300_000, b"y"]), linktype=DBUS)

    assert indexed(path).packets == 2


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "not a classic pcap"),
        (b"\x0a\x0d\x0d\x0a" + bytes(28), "not a classic pcap"),
        (file_header(magic=MODIFIED), "of the modified pcap format"),
        (file_header(version=(2, 3)), "pcap of version 2.3"),
        (file_header(linktype=0x00010001), "of linktype 0x10001"),
    ],
)
def test_other_kinds_of_files_are_refused(tmp_path: Path, head: bytes, reason: str) -> None:
    path = tmp_path / "r.1"
    path.write_bytes(head)

    with pytest.raises(UnindexableError, match=reason):
        indexed(path)


def test_a_linktype_with_a_checksum_is_indexed(tmp_path: Path) -> None:
    path = savefile(tmp_path, mixture(), linktype=0x44000001)

    sidecar = indexed(path)

    check(sidecar, path.read_bytes())
    assert len(sidecar.classes()) > 5


def test_a_header_is_told_from_its_first_bytes() -> None:
    assert indexable(file_header(order=">")).byte_order == ">"


def test_a_savefile_that_changes_is_refused(tmp_path: Path) -> None:
    path = savefile(tmp_path, mixture())
    fd = os.open(path, os.O_RDONLY)
    states = iter([os.fstat(fd), os.stat_result((*os.fstat(fd)[:6], 1, *os.fstat(fd)[7:]))])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fstat", lambda _: next(states))
        with pytest.raises(SidecarError, match="changed while it was read"):
            build(fd, "r.1")
    os.close(fd)


def test_a_savefile_that_cannot_be_read(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)

    with pytest.raises(OSError, match="directory"):
        build(fd, "r.1")
    os.close(fd)


def in_memory(fd: int, offset: int) -> bool:
    try:
        return os.preadv(fd, [bytearray(4096)], offset, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False


@pytest.mark.parametrize("before", [False, True])
def test_a_savefile_stays_in_memory_only_if_it_was_there(tmp_path: Path, before: bool) -> None:
    path = savefile(tmp_path, stamped(flow(i, LARGE) for i in range(3000)))
    places = range(100_000, path.stat().st_size, 1_000_000)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        if any(in_memory(fd, place) for place in places):
            pytest.skip("this file system keeps it in memory")
        if before:
            path.read_bytes()

        build(fd, "r.100")

        assert [in_memory(fd, place) for place in places] == [before] * len(places)
    except OSError as error:
        pytest.skip(f"this file system does not tell: {error.strerror}")
    finally:
        os.close(fd)


def test_a_flood_of_flows_becomes_opaque(tmp_path: Path) -> None:
    """A sidecar stays small, and goes on being true."""
    packets = stamped((flow(i) for i in range(40_000)), step_ns=1000)
    path = savefile(tmp_path, packets)

    sidecar = indexed(path)

    size = path.stat().st_size
    assert len(sidecar.encode()) < size / 12
    opaque = [blocks for known, _, blocks in sidecar.classes() if known == b""]
    assert opaque
    assert 5000 < len(sidecar.classes()) < 20_000
    # What came early is still found where it is.
    first = next(blocks for known, _, blocks in sidecar.classes() if known[26:30] == b"\n\0\0\0")
    assert first == [0]
    covered = {block for _, _, blocks in sidecar.classes() for block in blocks}
    assert covered == set(range(len(sidecar.blocks())))


def test_a_flood_of_headers_becomes_opaque(tmp_path: Path) -> None:
    dice = random.Random(4)
    frames = (
        dice.randbytes(12) + b"\x08\x00" + flow(i % 99)[14:] + LARGE[:100] for i in range(9_000)
    )
    path = savefile(tmp_path, stamped(frames))

    sidecar = indexed(path)

    assert len(sidecar.encode()) < path.stat().st_size / 8
    assert (b"", b"") in {(known, mask) for known, mask, _ in sidecar.classes()}


def test_the_same_savefile_has_the_same_index(tmp_path: Path) -> None:
    path = savefile(tmp_path, traffic.packets(5, 400))

    assert indexed(path).encode() == indexed(path).encode()


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.name)
def test_captures(path: Path) -> None:
    try:
        sidecar = indexed(path)
    except UnindexableError:
        return
    check(sidecar, path.read_bytes())


@pytest.mark.parametrize("seed", range(3))
def test_traffic_of_every_kind(tmp_path: Path, seed: int) -> None:
    path = savefile(tmp_path, traffic.packets(seed, 400))

    check(indexed(path), path.read_bytes())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    frames=st.lists(st.binary(max_size=90), max_size=12),
    linktype=st.sampled_from([0, 1, 6, 9, 12, 50, 51, 101, 104, 108, 113, 204, 228, 229, 276]),
    damage=st.lists(st.tuples(st.integers(24, 600), st.integers(0, 255)), max_size=3),
)
def test_whatever_is_in_a_savefile(
    tmp_path: Path, frames: list[bytes], linktype: int, damage: list[tuple[int, int]]
) -> None:
    data = bytearray(classic(stamped(frames), linktype=linktype))
    for place, value in damage:
        if place < len(data):
            data[place] = value
    path = tmp_path / "r.1"
    path.write_bytes(data)

    check(indexed(path), bytes(data))
