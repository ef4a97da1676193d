"""Beside tcpdump on the same interface at the same time: the same packets, byte for byte."""

import time
from pathlib import Path

import pytest

from .conftest import Record
from .load import Load
from .network import Link
from .peers import tcpdump_beside, tshark_fields
from .records import Record as Packet
from .records import records, savefiles
from .senders import iperf3, ping, replay

pytestmark = pytest.mark.alone

COOKIE_BYTES = 37  # iperf3 names its session first on the connection that carries the data


def without_time(path: Path) -> list[tuple[int, int, bytes]]:
    """Return the packets of a file; the two sockets stamp each on their own."""
    return [(packet.caplen, packet.origlen, packet.data) for packet in records(path)]


def test_the_same_packets_as_tcpdump(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    _, address = link.with_addresses()
    theirs = logs / "theirs"
    recorder = record()
    with tcpdump_beside(link.receiver, theirs):
        replay(link, thousands, pps=50_000)
        ping(link, address, 20)  # both ways, and ARP
    totals = recorder.stop()
    assert totals.lost == totals.kernel_dropped == 0
    (ours,) = savefiles(logs)
    assert without_time(ours) == without_time(theirs)
    assert totals.written >= thousands.count + 40

    def apart_ns(pair: tuple[Packet, Packet]) -> int:
        return abs(pair[0].time_ns - pair[1].time_ns)

    apart = sorted(map(apart_ns, zip(records(ours), records(theirs), strict=True)))
    # A few may be far apart: the machine was busy between the one and the other.
    assert apart[len(apart) * 99 // 100] < 50_000_000
    assert len(tshark_fields(ours, "icmp.seq", only="icmp")) == 40


def test_the_same_packets_with_filter_and_snaplen(
    link: Link, record: Record, logs: Path, thousands: Load
) -> None:
    theirs = logs / "theirs"
    words = ("greater", "600")
    recorder = record("-S", "96", *words)
    with tcpdump_beside(link.receiver, theirs, "-s", "96", *words):
        replay(link, thousands, pps=50_000)
    recorder.stop()
    (ours,) = savefiles(logs)
    packets = without_time(ours)
    assert packets == without_time(theirs)
    assert {caplen for caplen, _, _ in packets} == {96}
    assert {origlen for _, origlen, _ in packets} == {1514}


def test_every_byte_of_a_tcp_transfer(link: Link, record: Record, logs: Path) -> None:
    _, address = link.with_addresses()
    recorder = record()
    taken = iperf3(link, address, 130_000_000)
    counted = link.receiver.details()
    while True:  # until the last segments of the connections are through
        time.sleep(0.3)
        before, counted = counted, link.receiver.details()
        if counted == before:
            break
    totals = recorder.stop()
    assert totals.lost == totals.kernel_dropped == 0
    (path,) = savefiles(logs)
    packets = list(records(path))
    assert max(packet.origlen for packet in packets) > 1514  # offloads were on
    assert all(packet.caplen == packet.origlen for packet in packets)
    assert len(packets) == counted["received"] + counted["sent"]
    in_all = sum(packet.origlen for packet in packets)
    assert in_all == counted["received_bytes"] + counted["sent_bytes"] > 100_000_000

    # Not tcp.analysis.lost_segment: that is also what a busy veth dropped before it got here, and
    # the order in which two processors delivered. A hole in the bytes is what must not be.
    rows = tshark_fields(path, "tcp.stream", "tcp.seq", "tcp.len", only=f"ip.dst == {address}")
    segments: dict[str, list[tuple[int, int]]] = {}
    for stream, sequence, length in rows:
        if stream:
            segments.setdefault(stream, []).append((int(sequence), int(length)))
    # What the server's kernel held when it closed is on the wire, but not in its count.
    assert max(contiguous(found) for found in segments.values()) >= taken + COOKIE_BYTES


def contiguous(segments: list[tuple[int, int]]) -> int:
    """Return the bytes of a direction from its first on; a hole is an error."""
    reached = 1
    for start, length in sorted(segments):
        assert start <= reached or length == 0, f"bytes {reached} to {start} are missing"
        if length:
            reached = max(reached, start + length)
    return reached - 1
