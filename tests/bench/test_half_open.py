"""The capture of open flows: as many as asked for, all open at once, none alike."""

import struct

import pytest

from bench.conversations import ACK, PSH, SYN
from bench.half_open import MOST_FLOWS, PAYLOAD_BYTES, write_half_open

FLOWS = 3000


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    path = tmp_path_factory.mktemp("load") / "half-open.pcap"
    load = write_half_open(path, FLOWS)
    data, at, found = path.read_bytes(), 24, []
    while at < len(data):
        caplen = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16 : at + 16 + caplen])
        at += 16 + caplen
    assert load.packets == len(found) == 4 * FLOWS
    assert load.file_bytes == len(data)
    return found


def test_every_flow_begins_before_any_goes_on(frames):
    flags = [frame[47] for frame in frames]
    assert flags == [SYN] * FLOWS + [SYN | ACK] * FLOWS + [PSH | ACK] * 2 * FLOWS


def test_flows_differ_and_both_sides_speak(frames):
    sent = {frame[26:38] for frame in frames[:FLOWS]}
    answered = {frame[30:34] + frame[26:30] + frame[36:38] + frame[34:36] for frame in frames}
    assert len(sent) == FLOWS
    assert sent < answered


def test_data_follows_the_syn_and_is_acknowledged(frames):
    first, last = frames[7], frames[3 * FLOWS + 7]
    said = frames[2 * FLOWS + 7]
    numbers = struct.Struct(">II").unpack_from
    assert numbers(said, 38)[0] == numbers(first, 38)[0] + 1
    assert numbers(last, 38)[1] == numbers(said, 38)[0]
    assert len(said) - 54 == PAYLOAD_BYTES
    assert struct.unpack_from(">H", said, 16)[0] == len(said) - 14


@pytest.mark.parametrize("flows", [0, MOST_FLOWS + 1])
def test_a_number_that_cannot_be_told_apart_is_refused(tmp_path, flows):
    with pytest.raises(ValueError, match="flows"):
        write_half_open(tmp_path / "x", flows)
