"""The generator: the same bytes always, exact shares, valid packets."""

import hashlib
import itertools
import struct
from collections import Counter

import pytest

from bench.load import BLOCK_PACKETS, IMIX, packets_for, write_load

# Changes when the generator does; figures of before and after cannot be compared then.
DIGEST = "6409dd0676ba0c64054b094098b91257544cb0e0b55165b3ff7b9cce58d74cbe"


def records(path):
    data = path.read_bytes()
    position = 24
    while position < len(data):
        seconds, micros, caplen, origlen = struct.unpack_from("<IIII", data, position)
        position += 16
        yield seconds * 1_000_000 + micros, origlen, data[position : position + caplen]
        position += caplen


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.fixture(scope="module")
def imix(tmp_path_factory):
    path = tmp_path_factory.mktemp("load") / "imix.pcap"
    return write_load(path, 2 * BLOCK_PACKETS)


def test_a_load_is_the_same_bytes_every_time(tmp_path):
    digests = {
        hashlib.sha256(write_load(tmp_path / name, 700).path.read_bytes()).hexdigest()
        for name in ("one", "two")
    }
    assert digests == {DIGEST}


def test_shares_of_sizes_and_protocols_are_exact(imix):
    packets = list(records(imix.path))
    assert len(packets) == imix.packets
    assert Counter(len(frame) for _, _, frame in packets) == {60: 5800, 590: 3400, 1514: 800}
    assert Counter(frame[23] for _, _, frame in packets) == {6: 8000, 17: 1800, 1: 200}


def test_time_stamps_increase_and_nothing_is_cut(imix):
    packets = list(records(imix.path))
    times = [when for when, _, _ in packets]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert all(origlen == len(frame) for _, origlen, frame in packets)


def test_packets_are_valid_ip_tcp_and_icmp(imix):
    for _, _, frame in records(imix.path):
        header, length = frame[14:34], struct.unpack_from(">H", frame, 16)[0]
        assert length == len(frame) - 14
        assert checksum(header) == 0xFFFF
        if frame[23] == 6:
            pseudo = header[12:20] + struct.pack(">HH", 6, length - 20)
            assert checksum(pseudo + frame[34:]) == 0xFFFF
        elif frame[23] == 1:
            assert checksum(frame[34:]) == 0xFFFF
        else:
            assert struct.unpack_from(">H", frame, 38)[0] == length - 20


def test_blocks_differ_in_their_flows(imix):
    tuples = [frame[26:38] for _, _, frame in records(imix.path)]
    assert tuples[:BLOCK_PACKETS] != tuples[BLOCK_PACKETS:]
    assert len(set(tuples)) > 5_000


@pytest.mark.parametrize("packets", [1, BLOCK_PACKETS - 1, BLOCK_PACKETS, BLOCK_PACKETS + 1])
def test_any_number_of_packets_ends_at_a_whole_record(tmp_path, packets):
    load = write_load(tmp_path / "load.pcap", packets)
    assert len(list(records(load.path))) == packets
    assert load.file_bytes == load.path.stat().st_size == load.record_bytes + 24


def test_a_load_of_one_size(tmp_path):
    load = write_load(tmp_path / "load.pcap", 300, ((1514, 100),))
    assert {len(frame) for _, _, frame in records(load.path)} == {1514}


def test_packets_for_a_total_size_come_within_a_hundredth(tmp_path):
    load = write_load(tmp_path / "load.pcap", packets_for(4_000_000, IMIX))
    assert abs(load.file_bytes - 4_000_000) < 40_000


@pytest.mark.parametrize("mix", [((59, 100),), ((1515, 100),), ((60, 50), (90, 49))])
def test_a_mix_that_cannot_be_made_is_refused(tmp_path, mix):
    with pytest.raises(ValueError, match=r"packet sizes|shares"):
        write_load(tmp_path / "load.pcap", 10, mix)
