"""What is known of frames by their headers: enough to tell flows apart, nothing that varies."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.flow.layers import known

from . import frames as made
from .frames import ARP, BRIDGED, DESTINATION, IPV6, SOURCE, ethernet, ipv4, ipv6, tag, tcp, udp

ETHERNET, RAW, SLL, SLL2, PPP_ETHER, RADIOTAP, WLAN, PPI = 1, 101, 113, 276, 51, 127, 105, 192
UNKNOWN_LINKTYPE = 147
OFFSET = 0x1FFF  # of a fragment
MORE = 0x2000
ARP_REQUEST = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + bytes(range(20))


def fields(linktype: int, data: bytes) -> tuple[bytes, bytes]:
    """Known bits of the prefix and of the rest, what is not known as 0."""
    mask, split = known(linktype, data)
    bits = bytes(one & other for one, other in zip(data, mask, strict=False))
    return bits[:split], bits[split:]


def packed(data: bytes, linktype: int = ETHERNET) -> bytes:
    """The known bytes behind the prefix, one behind the other."""
    mask, split = known(linktype, data)
    return bytes(data[i] for i in range(split, len(mask)) if mask[i])


def ports(source: int = 40000, target: int = 80) -> bytes:
    return struct.pack(">HH", source, target)


@pytest.mark.parametrize(
    ("linktype", "link"),
    [
        (ETHERNET, ethernet(b"")),
        (RAW, b""),
        (SLL, made.cooked(b"")),
        (SLL2, made.cooked2(b"")),
        (ETHERNET, ethernet(tag(b"", 42), 0x8100)),
        (ETHERNET, ethernet(tag(tag(b"", 43), 42, 0x8100), 0x88A8)),
    ],
)
def test_addresses_and_ports_behind_every_link(linktype: int, link: bytes) -> None:
    data = link + ipv4(tcp())

    prefix, rest = fields(linktype, data)

    assert prefix == link + bytes([0x45, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0])
    assert rest == SOURCE + DESTINATION + ports()
    mask, _ = known(linktype, data)
    assert mask[: len(link)] == b"\xff" * len(link)
    assert mask[len(link) + 6 : len(link) + 8] == b"\x3f\xff"


@pytest.mark.parametrize(
    ("protocol", "payload", "expected"),
    [
        (6, tcp(), ports()),
        (17, udp(), ports(4000, 53)),
        (132, made.sctp(), ports(36412, 38412)),
        (1, made.icmp(), b"\x08\x03"),
        (58, made.icmp(), b""),
        (50, bytes(64), b""),
        (6, tcp()[:3], b""),
        (1, b"\x08", b""),
    ],
)
def test_what_is_known_behind_ipv4(protocol: int, payload: bytes, expected: bytes) -> None:
    assert packed(ethernet(ipv4(payload, protocol))) == SOURCE + DESTINATION + expected


def test_ports_are_known_behind_options() -> None:
    data = ethernet(ipv4(tcp(), options=bytes(range(1, 9))))

    assert packed(data) == SOURCE + DESTINATION + ports()
    assert known(ETHERNET, data)[0][34:42] == bytes(8)


@pytest.mark.parametrize(
    ("fragment", "bits", "with_ports"),
    [
        (0x4000, 0x3FFF, True),
        (0, 0x3FFF, True),
        (MORE, 0x3FFF, True),
        (MORE | 1, 0x1FFF, False),
        (185, 0x1F80, False),
        (MORE | 255, 0x1F80, False),
        (370, 0x1F00, False),
        (OFFSET, 0x1000, False),
    ],
)
def test_a_fragment_is_known_as_one(fragment: int, bits: int, with_ports: bool) -> None:
    data = ethernet(ipv4(tcp(), fragment=fragment))

    mask, _ = known(ETHERNET, data)

    assert mask[20:22] == struct.pack(">H", bits)
    assert (packed(data) == SOURCE + DESTINATION + ports()) is with_ports
    # What a filter asks: whether the offset is 0.
    assert bool(fragment & OFFSET) is bool(fragment & OFFSET & bits)


def test_ipv6() -> None:
    prefix, rest = fields(ETHERNET, ethernet(ipv6(udp(), 17), IPV6))

    assert prefix[14:] == bytes([0x60, 0, 0, 0, 0, 0, 17, 0])
    assert rest == made.SOURCE6 + made.DESTINATION6 + ports(4000, 53)


@pytest.mark.parametrize(
    ("protocol", "payload", "expected"),
    [
        (58, made.icmp(), b"\x08\x03"),
        (1, made.icmp(), b""),
        (44, made.fragment6(17, udp()), b"\x11"),
        (44, made.fragment6(6, tcp(), 64), b"\x06"),
        (0, made.extension(6, tcp()), b""),
        (6, b"", b""),
    ],
)
def test_what_is_known_behind_ipv6(protocol: int, payload: bytes, expected: bytes) -> None:
    data = ethernet(ipv6(payload, protocol), IPV6)

    assert packed(data) == made.SOURCE6 + made.DESTINATION6 + expected


def test_all_of_arp_is_known() -> None:
    prefix, rest = fields(ETHERNET, ethernet(ARP_REQUEST + bytes(18), ARP))

    assert prefix + rest == ethernet(ARP_REQUEST, ARP)
    assert rest == ARP_REQUEST[8:]


@pytest.mark.parametrize("request_", [ARP_REQUEST[:27], b"\0\1\x86\xdd" + ARP_REQUEST[4:]])
def test_another_arp_is_known_by_its_link(request_: bytes) -> None:
    assert fields(ETHERNET, ethernet(request_, ARP)) == (ethernet(b"", ARP), b"")


def test_other_protocols_are_known_by_their_link() -> None:
    data = ethernet(b"what follows varies", 0x88CC)

    assert fields(ETHERNET, data) == (data[:14], b"")


def test_an_802_3_length_is_known_to_be_none_of_an_ethernet_type() -> None:
    data = made.length_and_llc(b"\x42\x42\x03" + bytes(35))

    mask, split = known(ETHERNET, data)

    assert mask == b"\xff" * 12 + b"\xf8\x00"
    assert split == 14


VARIANTS = [
    ("total length", ipv4(tcp(b"x" * 40)), ipv4(tcp(b""))),
    ("identification", ipv4(tcp(), identification=1), ipv4(tcp(), identification=2)),
    ("do not fragment", ipv4(tcp(), fragment=0x4000), ipv4(tcp(), fragment=0)),
    ("flags", ipv4(tcp(flags=2)), ipv4(tcp(flags=0x11))),
    ("options", ipv4(tcp(options=bytes(12))), ipv4(tcp())),
    ("checksum", ipv4(udp(b"one"), 17), ipv4(udp(b"other one"), 17)),
    ("offset", ipv4(tcp(), fragment=185), ipv4(tcp(), fragment=200)),
]
LABELS = struct.pack(">I", 100 << 12 | 1 << 8 | 64), struct.pack(">I", 100 << 12 | 1 << 8 | 9)
CONTROL = b"\0\0\0\1", b"\0\0\0\2"
NUMBERS = b"\0\0\0\0", b"\1\2\3\0"
INNER = ethernet(ipv4(tcp()), source=made.INNER_MAC_SOURCE)
VARIANTS_OF_FRAMES = [
    ("PPPoE length", made.pppoe(b"\0\x21" + ipv4(tcp(b"x"))), made.pppoe(b"\0\x21" + ipv4(tcp()))),
    ("label's time to live", *(label + ipv4(tcp()) for label in LABELS)),
    ("control word", *(LABELS[0] + word + INNER for word in CONTROL)),
    ("GRE checksum", *(ipv4(made.gre(ipv4(tcp()), flags=0x8000, fields=f), 47) for f in CONTROL)),
    ("GRE sequence", *(ipv4(made.gre(ipv4(tcp()), flags=0x1000, fields=f), 47) for f in CONTROL)),
    ("Geneve options", *(ipv4(made.geneve(INNER, options=f), 17) for f in CONTROL)),
    ("GTP-U numbers", *(ipv4(made.gtpu(ipv4(tcp()), 0x32, f), 17) for f in NUMBERS)),
    ("GTP-U length", *(ipv4(made.gtpu(ipv4(tcp(b"x" * n))), 17) for n in (1, 2))),
    ("VXLAN's UDP length", *(ipv4(made.vxlan(INNER + bytes(n)), 17) for n in (1, 2))),
    ("ERSPAN", *(
        ipv4(made.gre(b"\x10\5" + f[1:] + bytes(3) + INNER, 0x88BE, 0x1000, bytes(4)), 47)
        for f in CONTROL
    )),
]  # fmt: skip
ETHERTYPES = {"PPPoE length": 0x8864, "label's time to live": 0x8847, "control word": 0x8847}


@pytest.mark.parametrize(("what", "one", "other"), VARIANTS + VARIANTS_OF_FRAMES)
def test_packets_of_one_flow_are_alike(what: str, one: bytes, other: bytes) -> None:
    ethertype = ETHERTYPES.get(what, 0x0800)

    assert one != other
    assert fields(ETHERNET, ethernet(one, ethertype)) == fields(
        ETHERNET, ethernet(other, ethertype)
    )
    assert known(ETHERNET, ethernet(one, ethertype)) == known(ETHERNET, ethernet(other, ethertype))


@pytest.mark.parametrize(
    "data",
    [
        ethernet(ipv4(made.gre(ipv4(tcp())), 47)),
        ethernet(ipv4(ipv4(tcp()), 4)),
        ethernet(ipv6(ipv4(tcp()), 4), IPV6),
        ethernet(ipv4(made.vxlan(INNER), 17)),
        ethernet(ipv4(made.geneve(INNER), 17)),
        ethernet(ipv4(made.gtpu(ipv4(tcp())), 17)),
        ethernet(ipv4(made.gre(INNER, BRIDGED), 47)),
        ethernet(ipv4(made.gre(ipv4(made.gtpu(ipv4(tcp())), 17)), 47)),
    ],
)
def test_inside_tunnels_addresses_and_ports_are_known_too(data: bytes) -> None:
    mask, split = known(ETHERNET, data)

    assert packed(data).endswith(SOURCE + DESTINATION + ports())
    # The hosts of the tunnel are behind the prefix as well.
    assert split < data.index(made.SOURCE6 if data[12:14] == b"\x86\xdd" else SOURCE) + 1
    end = data.rindex(ports()) + 4
    assert len(mask) == end


def test_labels_of_tunnels_are_known() -> None:
    vxlan = ethernet(ipv4(made.vxlan(INNER), 17))
    gtpu = ethernet(ipv4(made.gtpu(ipv4(tcp())), 17))

    assert known(ETHERNET, vxlan)[0][42:50] == b"\xff" * 8
    assert known(ETHERNET, gtpu)[0][42:50] == b"\xff\xff\0\0\xff\xff\xff\xff"


@pytest.mark.parametrize("linktype", [WLAN, RADIOTAP, 119, 163, PPI, UNKNOWN_LINKTYPE])
def test_of_some_linktypes_nothing_is_known(linktype: int) -> None:
    assert known(linktype, made.radiotap(made.wlan(made.snap(ipv4(tcp()))))) == (b"", 0)


def test_a_frame_that_is_cut_is_known_up_to_there() -> None:
    data = ethernet(ipv4(tcp()))

    ends = [len(known(ETHERNET, data[:count], len(data))[0]) for count in range(len(data))]

    assert ends[:14] == [0] * 14
    assert ends[14:34] == [14] * 20
    assert ends[34:38] == [34] * 4
    assert set(ends[38:]) == {38}


@pytest.mark.parametrize(("count", "end"), [(4, 14 + 4 * 40 + 44), (20, 14 + 6 * 40)])
def test_headers_beyond_what_is_kept_are_left(count: int, end: int) -> None:
    data = ipv6(tcp())
    for _ in range(count):
        data = ipv6(data, 41)

    mask, _ = known(ETHERNET, ethernet(data, IPV6))

    assert len(mask) == end


def test_tunnels_beyond_the_eighth_are_left() -> None:
    data = ipv4(tcp())
    for _ in range(20):
        data = ipv4(data, 4)

    mask, _ = known(ETHERNET, ethernet(data))

    assert len(mask) == 14 + 9 * 20


@given(
    linktype=st.sampled_from([0, 1, 6, 9, 12, 50, 51, 101, 104, 108, 113, 204, 228, 229, 276]),
    data=st.binary(max_size=120),
    cut=st.integers(0, 200),
)
def test_whatever_comes_only_captured_bytes_are_known(linktype: int, data: bytes, cut: int) -> None:
    mask, split = known(linktype, data, max(len(data) - cut, 0))

    assert split <= len(mask) <= min(len(data), 256)


@given(data=st.data())
def test_damaged_headers_are_known_only_as_captured(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([one for _, one, _ in VARIANTS_OF_FRAMES]))
    frame = bytearray(ethernet(whole))
    for place in data.draw(st.lists(st.integers(12, len(frame) - 1), max_size=4)):
        frame[place] = data.draw(st.integers(0, 255))
    count = data.draw(st.integers(0, len(frame)))

    mask, split = known(ETHERNET, bytes(frame[:count]), len(frame))

    assert split <= len(mask) <= count
