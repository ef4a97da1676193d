"""The capture of conversations: valid packets, and streams that are what the truth says."""

import hashlib
import ipaddress
import itertools
import struct
from collections import defaultdict

import pytest

from bench.conversations import SYN, Traffic
from bench.streams_load import write_capture

PLANS = 8
SIZE = 600_000


def records(path):
    data = path.read_bytes()
    position = 24
    while position < len(data):
        seconds, micros, caplen, origlen = struct.unpack_from("<IIII", data, position)
        position += 16
        assert caplen == origlen
        yield seconds * 1_000_000 + micros, data[position : position + caplen]
        position += caplen


def packets(path):
    """(source, destination, TCP header and payload, bytes behind the packet) of every frame."""
    for _, frame in records(path):
        packet = frame[14:]
        if packet[0] >> 4 == 4:
            source, destination, at = packet[12:16], packet[16:20], 20
            end = struct.unpack_from(">H", packet, 2)[0]
            assert checksum(packet[:20]) == 0xFFFF
        else:
            source, destination, at = packet[8:24], packet[24:40], 40
            end = 40 + struct.unpack_from(">H", packet, 4)[0]
        yield source, destination, packet[at:end], packet[end:]


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def reassembled(path):
    """MD5 and size of every stream, by its addresses and ports."""
    first, parts = {}, defaultdict(dict)
    for source, destination, tcp, _ in packets(path):
        ports = struct.unpack_from(">HH", tcp)
        key = (
            str(ipaddress.ip_address(source)),
            ports[0],
            str(ipaddress.ip_address(destination)),
            ports[1],
        )
        sequence, flags = struct.unpack_from(">I", tcp, 4)[0], tcp[13]
        if flags & SYN:
            assert key not in first, "addresses were used again"
            first[key] = sequence + 1
        offset = (sequence - first[key]) % 2**32
        payload = tcp[(tcp[12] >> 4) * 4 :]
        if payload:
            parts[key][offset] = max(payload, parts[key].get(offset, b""), key=len)
    found = {}
    for key, pieces in parts.items():
        stream = bytearray(max(at + len(piece) for at, piece in pieces.items()))
        for at, piece in pieces.items():
            stream[at : at + len(piece)] = piece
        found[key] = len(stream), hashlib.md5(stream).hexdigest()
    return found


@pytest.fixture(scope="module", params=["plain", "padded", "difficult"])
def capture(request, tmp_path_factory):
    traffic = {
        "plain": Traffic(largest_bytes=30_000, wrapping_percent=30),
        "padded": Traffic(largest_bytes=30_000, padded=True, ipv6_percent=50),
        "difficult": Traffic(largest_bytes=30_000, difficult=True, retransmitted_permille=100),
    }[request.param]
    path = tmp_path_factory.mktemp("load") / "streams.pcap"
    return write_capture(path, SIZE, traffic, plans=PLANS)


def test_streams_are_what_the_truth_says(capture):
    assert reassembled(capture.path) == {
        (
            truth.source,
            truth.source_port,
            truth.destination,
            truth.destination_port,
        ): (truth.size_bytes, truth.md5)
        for truth in capture.streams
    }
    assert len({truth.md5 for truth in capture.streams}) == len(capture.streams)


def test_it_is_as_large_as_it_says_and_as_asked_for(capture):
    assert capture.path.stat().st_size == capture.file_bytes >= SIZE
    assert len(list(records(capture.path))) == capture.packets


def test_packets_come_in_order_of_time_and_flows_side_by_side(capture):
    times = [when for when, _ in records(capture.path)]
    assert all(earlier <= later for earlier, later in itertools.pairwise(times))
    ports = [tcp[:4] for *_, tcp, _ in packets(capture.path)]
    assert sum(one != other for one, other in itertools.pairwise(ports)) > len(ports) / 2


def test_checksums_are_right(capture):
    for source, destination, tcp, _ in packets(capture.path):
        pseudo = source + destination + struct.pack(">II", len(tcp), 6)
        assert checksum(pseudo + tcp) == 0xFFFF


def test_bodies_belong_to_streams(capture):
    assert capture.bodies
    assert {body.stream for body in capture.bodies} <= set(capture.streams)
    for body in capture.bodies:
        assert (body.stream.destination_port in (80, 8080)) is body.is_request
        assert len(body.md5) == 32


def test_both_families_are_there(capture):
    assert {ipaddress.ip_address(truth.source).version for truth in capture.streams} == {4, 6}


def test_the_same_bytes_every_time(tmp_path):
    one, other = (
        write_capture(tmp_path / name, 100_000, Traffic(largest_bytes=5_000), plans=4)
        for name in ("one", "other")
    )
    assert one.path.read_bytes() == other.path.read_bytes()
    assert one.streams == other.streams


def test_only_padded_frames_are_padded(tmp_path):
    def trailing(padded):
        traffic = Traffic(largest_bytes=5_000, padded=padded)
        path = write_capture(tmp_path / "x", 100_000, traffic, plans=4).path
        return {len(rest) for *_, rest in packets(path)}

    assert trailing(padded=False) == {0}
    assert trailing(padded=True) > {0, 6}


def test_sequence_numbers_wrap_when_asked_to(tmp_path):
    traffic = Traffic(largest_bytes=30_000, wrapping_percent=100)
    path = write_capture(tmp_path / "x", 400_000, traffic, plans=4).path
    sequences = defaultdict(list)
    for source, destination, tcp, _ in packets(path):
        sequences[source, destination, tcp[:4]].append(struct.unpack_from(">I", tcp, 4)[0])
    assert any(max(one) > 2**32 - 20_000 and min(one) < 2**20 for one in sequences.values())


def test_names_are_those_of_tcpflow(tmp_path):
    capture = write_capture(
        tmp_path / "x", 60_000, Traffic(largest_bytes=2_000, ipv6_percent=50), plans=4
    )
    names = [truth.file_name for truth in capture.streams]
    assert "010.009.008.001.01024-172.016.005." in "".join(names)
    assert any(name.startswith("2001:db8:1::") for name in names)
    assert all(len(name.rpartition(".")[2]) == 5 for name in names)
