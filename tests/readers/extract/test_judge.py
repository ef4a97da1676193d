"""No block that holds a packet a filter accepts is left out, and others are."""

import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.bpf import compile_for
from daemonlogger_py.errors import FilterError
from daemonlogger_py.readers.extract.judge import Judge, Selection
from daemonlogger_py.readers.index.builder import UnindexableError
from daemonlogger_py.readers.index.sidecar import Sidecar

from ...filters import filter_texts
from ...fuzz.deciding import accepts, is_determinate
from ...pcaps import make
from ...pcaps.found import OWN
from .indexed import CAPTURES, FILTERS, Packets, index_of, is_classic

SECOND_NS = 10**9


def judge(text: str, linktype: int = make.ETHERNET) -> Judge:
    return Judge(compile_for(linktype, 262144, text).code)


def wanted(selection: Selection) -> list[tuple[int, int]]:
    return [(begin, end) for begin, end, _, _ in selection.ranges]


def flow(host: int, port: int, count: int, first_ns: int) -> list[make.Packet]:
    """Segments of 1400 bytes, a second apart."""
    data = make.ethernet(make.ipv4(make.tcp(bytes(1346), 1024, port), 6, host, 200))
    return [make.Packet(first_ns + i * SECOND_NS, data) for i in range(count)]


def one_after_the_other(hosts: int, count: int) -> list[make.Packet]:
    """Flows of different hosts, each over when the next begins."""
    packets: list[make.Packet] = []
    for host in range(hosts):
        packets += flow(host, 80, count, make.START_NS + len(packets) * SECOND_NS)
    return packets


@cache
def sequence() -> Sidecar:
    """Ten flows of 100 packets each, of which a block has 46 or 47."""
    return index_of(make.classic(one_after_the_other(10, 100)))


def test_only_the_blocks_of_one_flow_are_wanted() -> None:
    selection = judge("host 192.0.2.3").select(sequence())
    record_bytes = len(make.record(flow(3, 80, 1, 0)[0]))
    [(begin, end)] = wanted(selection)

    assert 24 <= begin <= 24 + 300 * record_bytes < 24 + 400 * record_bytes <= end
    assert (begin - 24) % record_bytes == 0
    assert (end - 24) % record_bytes == 0
    assert end - begin < 200 * record_bytes
    assert selection.blocks > 15
    assert 3 <= selection.blocks_wanted <= 4
    assert selection.blocks_outside == 0
    assert (selection.classes_yes, selection.classes_no, selection.classes_unsure) == (1, 9, 0)
    assert not selection.damaged


def test_nothing_is_wanted_of_what_is_not_there() -> None:
    selection = judge("host 192.0.2.3 and port 81").select(sequence())

    assert wanted(selection) == []
    assert (selection.blocks_wanted, selection.classes_no) == (0, 10)


def test_everything_is_wanted_where_it_cannot_be_told() -> None:
    selection = judge("tcp[13] & 4 != 0").select(sequence())

    assert selection.blocks_wanted == selection.blocks
    assert selection.ranges.total_bytes == 1000 * len(make.record(flow(3, 80, 1, 0)[0]))
    assert selection.classes_unsure + selection.classes_unjudged == 10


def test_blocks_beside_each_other_are_one_range_of_a_limited_size() -> None:
    ranges = wanted(judge("").select(sequence()))

    assert len(ranges) == 2
    assert ranges[0][0] == 24
    assert ranges[0][1] == ranges[1][0]
    assert ranges[0][1] - ranges[0][0] <= 1 << 20


def test_bounds_on_time_are_those_of_the_blocks() -> None:
    sidecar = sequence()
    [(begin, end, early_ns, late_ns)] = judge("host 192.0.2.3").select(sidecar).ranges
    blocks = [block for block in sidecar.blocks() if begin <= block[0] < end]

    assert early_ns == min(block[3] for block in blocks)
    assert late_ns == max(block[4] for block in blocks)


@pytest.mark.parametrize("text", ["", "host 192.0.2.3", "tcp[13] & 4 != 0"])
def test_only_blocks_of_the_times_are_wanted(text: str) -> None:
    sidecar = sequence()
    at_ns = make.START_NS + 350 * SECOND_NS  # of the fourth flow
    block = [block for block in sidecar.blocks() if block[3] <= at_ns <= block[4]]
    selection = judge(text).select(sidecar, at_ns, at_ns)

    assert wanted(selection) == [(begin, begin + count) for begin, count, _, _, _ in block]
    assert selection.blocks_outside == selection.blocks - 1


@pytest.mark.parametrize(
    ("from_ns", "to_ns"),
    [(0, make.START_NS - 1), (make.START_NS + 1000 * SECOND_NS, 2**64 - 1), (2**64 - 1, 0)],
)
def test_outside_the_times_nothing_is_wanted_and_nothing_judged(from_ns: int, to_ns: int) -> None:
    selection = judge("").select(sequence(), from_ns, to_ns)

    assert wanted(selection) == []
    assert selection.blocks_outside == selection.blocks
    assert selection.classes_unjudged == 10


def test_both_ends_of_the_times_are_included() -> None:
    sidecar = sequence()
    _, _, _, first_ns, last_ns = sidecar.blocks()[5]

    assert judge("").select(sidecar, last_ns, last_ns).blocks_wanted == 1
    assert judge("").select(sidecar, first_ns, first_ns).blocks_wanted == 1


def test_what_was_found_of_one_sidecar_is_not_believed_of_another() -> None:
    """A judge remembers what it made of a prefix: of this sidecar's, and of this shape's."""
    frame = make.ethernet(make.ipv4(make.tcp(b"", 1024, 80), 6))
    tagged = make.vlan(make.ipv4(make.tcp(b"", 1024, 80), 6), 42)
    sidecars = [index_of(make.classic([make.Packet(0, one)])) for one in (frame, tagged)]
    by_tag = judge("vlan 42 and port 80")

    for sidecar, count in zip(sidecars * 2, [0, 1] * 2, strict=True):
        assert by_tag.select(sidecar).blocks_wanted == count


def test_more_prefixes_than_are_remembered() -> None:
    ethernet = [bytes([2, 0, 0, 0, number >> 8, number & 255]) for number in range(600)]
    datagram = make.ipv4(make.udp(b""), 17)
    packets = [
        make.Packet(number, address + bytes(6) + b"\x08\0" + datagram)
        for number, address in enumerate(ethernet)
    ]
    sidecar = index_of(make.classic(packets * 2))
    selection = judge("ether dst 02:00:00:00:02:01 and udp port 53").select(sidecar)

    assert (selection.classes_yes, selection.classes_no) == (1, 599)


def test_packets_of_which_nothing_is_known_are_wanted() -> None:
    cut = make.Packet(0, make.ethernet(make.ipv4(make.tcp(b""), 6))[:20])
    selection = judge("host 198.51.100.1").select(index_of(make.classic([cut])))

    assert (selection.blocks_wanted, selection.classes_unsure) == (1, 1)


def check(texts: Sequence[str], captures: Iterable[Path]) -> int:
    """Hold that every packet a filter accepts is in a range that is wanted; how many there were."""
    found = 0
    for path in captures:
        content = path.read_bytes()
        if not is_classic(content):
            continue
        try:
            sidecar = index_of(content)
        except UnindexableError:
            continue
        found_there = Packets(content)
        for text in texts:
            try:
                code = compile_for(
                    found_there.linktype, 262144, text, swapped=found_there.swapped
                ).code
            except FilterError:
                continue
            if not is_determinate(code):
                continue
            ranges = wanted(Judge(code).select(sidecar))
            for offset, origlen, data in found_there.packets:
                if offset < sidecar.end_offset and accepts(code, data, origlen):
                    found += 1
                    assert any(begin <= offset < end for begin, end in ranges), (path, text, offset)
    return found


def test_what_a_filter_accepts_is_wanted_in_all_captures() -> None:
    assert check(FILTERS, CAPTURES) > 50


GRAMMAR = filter_texts(addresses=("192.0.2.1", "192.0.2.2", "2001:db8::1"), ports=(53, 80, 4000))


@given(st.lists(GRAMMAR, min_size=1, max_size=4))
def test_what_any_filter_accepts_is_wanted(texts: list[str]) -> None:
    check(texts, [OWN / "us.pcap", OWN / "raw.pcap", OWN / "ns_big_endian.pcap", OWN / "sll.pcap"])


def altered(member: str, content: bytes) -> Sidecar:
    """The sidecar of `sequence` with other bytes, as many, in one member, and their right CRC."""
    encoded = sequence().encode()
    with zipfile.ZipFile(BytesIO(encoded)) as archive:
        before = archive.read(member)
        crc = struct.pack("<I", archive.getinfo(member).CRC)
    after = before[: len(before) - len(content)] + content
    other = struct.pack("<I", zlib.crc32(after))
    assert encoded.count(before) == 1
    assert encoded.count(crc) == 2
    return Sidecar.from_bytes(encoded.replace(before, after).replace(crc, other))


@pytest.mark.parametrize(
    "postings", [b"\x7f\0", b"\xff\xff", b"\xff\x7f", b"\x80\x80\x80\x80\x80\x80\x80\1"]
)
def test_everything_is_wanted_of_a_sidecar_that_contradicts_itself(postings: bytes) -> None:
    """Its last class is said to be in blocks that are not there."""
    sidecar = altered("postings.npy", postings)
    selection = judge("host 192.0.2.9 or host 192.0.2.1 or host 192.0.2.5").select(sidecar)

    assert selection.damaged
    assert selection.blocks_wanted == selection.blocks
