"""What is passed over holds nothing that is looked for, and most that holds nothing is."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.bpf import compile_for
from daemonlogger_py.errors import FilterError
from daemonlogger_py.readers.extract.glance import ORDERLESS, Glance
from daemonlogger_py.readers.index.builder import UnindexableError
from daemonlogger_py.readers.index.sidecar import sidecar_name

from ...filters import filter_texts
from ...fuzz.deciding import accepts, is_determinate
from ...pcaps import make
from ...pcaps.found import OWN
from .indexed import CAPTURES, FILTERS, Indexed, Packets, is_classic

LAST_NS = 2**64 - 1
Savefile = tuple[str, int, int]


def glance(
    folder: Path, savefiles: Sequence[Savefile], text: str, from_ns: int = 0, to_ns: int = LAST_NS
) -> list[bool]:
    fd = os.open(folder / "index", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return Glance(text, from_ns, to_ns).passes_over(fd, savefiles)
    finally:
        os.close(fd)


def segment(source: int, target: int, port: int) -> bytes:
    return make.ethernet(make.ipv4(make.tcp(b"", 1024, port), 6, source, target))


# Addresses 192.0.2.1, 3 and 5 to 2, 4 and 6, by no means each to each; ports 80 and 443.
SEGMENTS = [
    segment(1, 2, 80),
    segment(3, 4, 80),
    segment(5, 6, 443),
    make.vlan(make.ipv4(make.tcp(b"", 1024, 8080), 6, 7, 8), 42),
    make.ethernet(make.ipv6(make.udp(b"", 4000, 53), 17), 0x86DD),
]


@pytest.fixture
def ring(tmp_path: Path) -> tuple[Path, Savefile]:
    savefile = make.classic(make.stamped(SEGMENTS * 3, 10**9))
    return tmp_path, Indexed(tmp_path).add("ring.1", savefile)


@pytest.mark.parametrize(
    "text",
    [
        "arp",
        "host 192.0.2.9",
        "src host 192.0.2.2",
        "net 198.51.100.0/24",
        "port 81",
        "tcp port 53",
        "portrange 9000-60000",
        "icmp",
        "vlan 41",
        "host 2001:db8::3",
        "ip6 net 2001:db9::/32",
        "ip6 and tcp",
        "ip[0] & 0xf > 5",
        "ip[6:2] & 0x1fff != 0",
        "tcp[2:2] > 8080",
        "tcp[2:2] < 80",
        "src net 192.0.2.128/25",
        "tcp port 80 and host 192.0.2.9 and tcp[13] & 4 != 0",
        "ether src 02:00:00:00:00:07",
        "ip proto 255 or (ip6 and udp port 54)",
    ],
)
def test_what_no_packet_has_is_enough(ring: tuple[Path, Savefile], text: str) -> None:
    folder, savefile = ring

    assert glance(folder, [savefile], text) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tcp",
        "host 192.0.2.1",
        "port 443",
        "portrange 440-450",
        "vlan 42 and port 8080",
        "dst host 2001:db8::2",
        "tcp[13] & 4 != 0",
        "len > 1000",
        "not tcp",
        "ip6 protochain 17",
        "src net 192.0.2.4/30",
        "dst portrange 8080-9000",
        "dst portrange 0-53",
        "tcp[2:2] > 8079",
        "tcp[2:2] <= 80",
        "tcp[2:2] + 1 = 81",
        "tcp[2:2] / 8 = 10",
        "tcp[2:2] & 0x00ff = 0x50",
        "ip[6] & 0x40 != 0",  # whether it may be cut into fragments is not known
        # Each is there, though never together:
        "src host 192.0.2.1 and dst host 192.0.2.4",
        "vlan and port 80",
        "portrange 444-1023",
    ],
)
def test_what_some_packet_may_have_is_looked_at(ring: tuple[Path, Savefile], text: str) -> None:
    folder, savefile = ring

    assert glance(folder, [savefile], text) == [False]


def test_times(ring: tuple[Path, Savefile]) -> None:
    folder, savefile = ring
    last_ns = make.START_NS + 14 * 10**9 - make.START_NS % 1000  # the savefile has microseconds

    assert glance(folder, [savefile], "", 0, make.START_NS - 1000) == [True]
    assert glance(folder, [savefile], "", 0, make.START_NS) == [False]
    assert glance(folder, [savefile], "", last_ns, LAST_NS) == [False]
    assert glance(folder, [savefile], "", last_ns + 1, LAST_NS) == [True]


def test_what_was_passed_over_is_counted(ring: tuple[Path, Savefile]) -> None:
    folder, savefile = ring
    fd = os.open(folder / "index", os.O_RDONLY | os.O_DIRECTORY)
    try:
        by_host, by_time = Glance("host 192.0.2.9", 0, LAST_NS), Glance("", 0, 0)
        by_host.passes_over(fd, [savefile] * 2)
        by_time.passes_over(fd, [savefile])
    finally:
        os.close(fd)

    assert (by_host.savefiles, by_host.blocks, by_host.blocks_outside) == (2, 2, 0)
    assert by_host.classes == 2 * len(SEGMENTS)
    assert (by_time.savefiles, by_time.blocks, by_time.blocks_outside) == (1, 1, 1)


def test_many_classes(tmp_path: Path) -> None:
    """More words than are compared at once, and one among them."""
    packets = [segment(number & 255, 1, number) for number in range(1, 1000)]
    savefile = Indexed(tmp_path).add("ring.1", make.classic(make.stamped(packets)))

    for port in (1, 2, 63, 64, 65, 500, 998, 999):
        assert glance(tmp_path, [savefile], f"dst port {port}") == [False]
    assert glance(tmp_path, [savefile], "dst port 1000") == [True]


def damage(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_what_cannot_be_believed_is_looked_at(ring: tuple[Path, Savefile]) -> None:
    folder, (name, size_bytes, modified_ns) = ring
    sidecar = folder / "index" / sidecar_name(name)
    (folder / "index" / "other.npz").write_bytes(sidecar.read_bytes())
    others = [
        ("missing", size_bytes, modified_ns),
        ("other", size_bytes, modified_ns),
        (name, size_bytes + 1, modified_ns),
        (name, size_bytes, modified_ns + 1),
    ]

    assert glance(folder, others, "arp") == [False] * 4
    assert glance(folder, [(name, size_bytes, modified_ns)], "arp") == [True]
    damage(sidecar, sidecar.read_bytes().index(b"runs.npy") - 10)
    assert glance(folder, [(name, size_bytes, modified_ns)], "arp") == [False]
    sidecar.write_bytes(b"")
    assert glance(folder, [(name, size_bytes, modified_ns)], "arp") == [False]


def test_what_was_not_indexed_to_its_end_is_looked_at(tmp_path: Path) -> None:
    torn = make.classic(make.stamped(SEGMENTS))[:-3]

    assert glance(tmp_path, [Indexed(tmp_path).add("ring.1", torn)], "arp") == [False]


def test_packets_of_which_nothing_is_known_are_looked_at(tmp_path: Path) -> None:
    cut = make.classic(make.stamped([*SEGMENTS, SEGMENTS[0][:20]]))

    assert glance(tmp_path, [Indexed(tmp_path).add("ring.1", cut)], "icmp") == [False]


def test_savefiles_of_several_linktypes_in_one_call(tmp_path: Path) -> None:
    indexed = Indexed(tmp_path)
    bare = make.stamped([make.ipv4(make.udp(b""), 17)])
    loopback = make.stamped([b"\2\0\0\0" + make.ipv4(make.udp(b""), 17)])
    savefiles = [
        indexed.add("ring.1", make.classic(make.stamped(SEGMENTS))),
        indexed.add("ring.2", make.classic(bare, linktype=make.RAW)),
        indexed.add("ring.3", make.classic(loopback, linktype=make.NULL)),
        indexed.add("ring.4", make.classic(make.stamped(SEGMENTS[:1]))),
    ]

    assert make.NULL not in ORDERLESS
    assert glance(tmp_path, savefiles, "tcp") == [False, True, False, False]
    assert glance(tmp_path, savefiles, "ip6 and udp") == [False, True, False, True]
    # Not for raw IP: what libpcap says of that is for those to tell who read it.
    assert glance(tmp_path, savefiles, "vlan 7") == [True, False, False, True]


@contextmanager
def captures(paths: Sequence[Path]) -> Iterator[tuple[Path, list[Savefile], list[Packets]]]:
    with TemporaryDirectory() as folder:
        indexed = Indexed(Path(folder))
        savefiles, packets = [], []
        for path in paths:
            content = path.read_bytes()
            if is_classic(content):
                try:
                    savefiles.append(indexed.add(path.name, content))
                except UnindexableError:
                    continue
                packets.append(Packets(content))
        yield Path(folder), savefiles, packets


def check(
    folder: Path, savefiles: Sequence[Savefile], contents: Sequence[Packets], text: str
) -> int:
    """Hold that no packet of what is passed over matches; how many savefiles that were."""
    over = glance(folder, savefiles, text)
    for savefile, content, nothing in zip(savefiles, contents, over, strict=True):
        if nothing:
            try:
                code = compile_for(content.linktype, 262144, text, swapped=content.swapped).code
            except FilterError:
                pytest.fail(f"{text!r} was decided on, though it is none for {savefile}")
            for offset, origlen, data in content.packets:
                assert not is_determinate(code) or not accepts(code, data, origlen), (
                    savefile,
                    text,
                    offset,
                )
    return sum(over)


def test_no_capture_with_something_in_it_is_passed_over() -> None:
    with captures(CAPTURES) as (folder, savefiles, contents):
        over = [check(folder, savefiles, contents, text) for text in FILTERS]

    assert sum(over) > len(savefiles) > 5


GRAMMAR = filter_texts(addresses=("192.0.2.1", "192.0.2.9", "2001:db8::1"), ports=(53, 80, 81))


def test_nothing_that_any_filter_accepts_is_passed_over() -> None:
    names = ("us.pcap", "raw.pcap", "ns_big_endian.pcap", "sll.pcap", "vlan.pcap", "null.pcap")
    with captures([OWN / name for name in names]) as (folder, savefiles, contents):

        @given(st.lists(GRAMMAR, min_size=1, max_size=4))
        def hold(texts: list[str]) -> None:
            for text in texts:
                check(folder, savefiles, contents, text)

        hold()
