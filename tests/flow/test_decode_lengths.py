"""How much of a packet is payload, was sent, was captured: IP says, and the frame holds."""

import pytest

from daemonlogger_py.flow.decode import decoded
from daemonlogger_py.flow.oddities import Oddity

from . import frames
from .frames import PAYLOAD, ethernet, extension, ipv4, ipv6, length_and_llc, snap, tcp, udp, wlan
from .test_decode import V4, V6, assert_the_segment


@pytest.mark.parametrize("padding", [0, 1, 6, 1400])
def test_padding_is_not_payload(padding: int) -> None:
    for frame in (ethernet(V4), ethernet(V6, 0x86DD), length_and_llc(snap(V4))):
        assert_the_segment(decoded(1, frame + bytes(padding)))
    empty = decoded(1, ethernet(ipv4(tcp(b""))) + bytes(padding))
    assert (empty.payload, empty.payload_bytes) == (b"", 0)


@pytest.mark.parametrize("captured", range(len(PAYLOAD)))
def test_what_the_snaplen_cut_was_sent_all_the_same(captured: int) -> None:
    for linktype, frame in ((1, ethernet(V4)), (101, V6), (1, ethernet(V4 + bytes(6)))):
        kept = frame.index(PAYLOAD) + captured
        packet = decoded(linktype, frame[:kept], len(frame))

        assert packet.oddities == {Oddity.SNAPLEN_CUT}
        assert (packet.payload, packet.payload_bytes) == (PAYLOAD[:captured], len(PAYLOAD))


@pytest.mark.parametrize("cut", range(1, 12 + len(PAYLOAD)))
def test_tcp_header_cut_in_its_options_still_tells_what_was_sent(cut: int) -> None:
    frame = ipv4(tcp(options=bytes(12)))
    packet = decoded(101, frame[:-cut], len(frame))

    assert (packet.transport, packet.sequence) == ("tcp", 0x01020304)
    captured = max(0, len(PAYLOAD) - cut)
    assert (packet.payload, packet.payload_bytes) == (PAYLOAD[:captured], len(PAYLOAD))


@pytest.mark.parametrize(
    "packet", [ipv4(tcp(), total_length=0), ipv6(tcp(), payload_length=0)], ids=["IPv4", "IPv6"]
)
def test_ip_length_of_zero_is_all_that_was_sent(packet: bytes) -> None:
    whole = decoded(101, packet)
    cut = decoded(101, packet[:-4], len(packet) + 60_000)

    assert whole.oddities == {Oddity.ZERO_IP_LENGTH}
    assert_the_segment(whole)
    assert cut.oddities == {Oddity.ZERO_IP_LENGTH, Oddity.SNAPLEN_CUT}
    assert (cut.payload, cut.payload_bytes) == (PAYLOAD[:-4], len(PAYLOAD) + 60_000)


def test_nothing_behind_ipv6_is_no_zero_length() -> None:
    packet = decoded(1, ethernet(ipv6(b"", 59) + bytes(6), 0x86DD))

    assert packet.oddities == frozenset()
    assert (packet.transport, packet.payload_bytes) == ("other", 0)


def test_jumbogram_of_udp_has_no_length() -> None:
    jumbo = ipv6(extension(17, udp(length=0)), 0, payload_length=0)
    packet = decoded(101, jumbo, len(jumbo) + 70_000)

    assert packet.oddities == {Oddity.ZERO_IP_LENGTH, Oddity.SNAPLEN_CUT}
    assert (packet.transport, packet.payload_bytes) == ("udp", len(PAYLOAD) + 70_000)


def test_checksum_of_802_11_is_not_payload() -> None:
    """Told by radiotap; it only matters where IP has no length."""
    frame = wlan(snap(ipv4(tcp(), total_length=0))) + b"\xfc\xfc\xfc\xfc"

    assert decoded(127, frames.radiotap(frame, present=2, fields=b"\x10")).payload == PAYLOAD
    assert decoded(127, frames.radiotap(frame)).payload_bytes == len(PAYLOAD) + 4


def test_length_that_ip_says_is_believed_beyond_the_frame() -> None:
    for packet in (ipv4(tcp(), total_length=1500), ipv6(tcp(), payload_length=1460)):
        found = decoded(101, packet)

        assert found.oddities == {Oddity.IP_LENGTH_BEYOND_FRAME}
        header = packet.index(PAYLOAD)
        assert (found.payload, found.payload_bytes) == (PAYLOAD, 1500 - header)
