"""The ring to search in: the same bytes always, times that grow, flows that come and go."""

import hashlib
import itertools
import struct
from ipaddress import ip_address
from multiprocessing import resource_tracker

import pytest

from bench.ring_load import (
    LONG_HOST,
    MARK,
    NEEDLE_HOST,
    NEEDLE_PACKETS,
    NEEDLE_PORT,
    NEEDLE_SAVEFILES,
    packets_of,
    write_ring,
)

# Changes when the generator does; figures of before and after cannot be compared then.
DIGEST = "86600950e0746b5b62a9f1789bedd01b"
SAVEFILES = 10
SAVEFILE_BYTES = 400_000


def frames(path):
    data, at = path.read_bytes(), 24
    while at < len(data):
        seconds, micros, caplen, origlen = struct.unpack_from("<IIII", data, at)
        assert caplen == origlen
        yield seconds * 1_000_000 + micros, data[at + 16 : at + 16 + caplen]
        at += 16 + caplen
    assert at == len(data)


def ends(frame):
    """Both ends of an IPv4 packet, the lower one first, and its protocol."""
    ports = struct.unpack_from(">HH", frame, 34) if frame[23] != 1 else (0, 0)
    return (frame[23], *sorted([(frame[26:30], ports[0]), (frame[30:34], ports[1])]))


def of_host(packets, host):
    return [
        frame for _, frame in packets if ip_address(host).packed in (frame[26:30], frame[30:34])
    ]


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    return write_ring(tmp_path_factory.mktemp("ring"), SAVEFILES, SAVEFILE_BYTES, processes=1)


@pytest.fixture(scope="module")
def packets(ring):
    return [list(frames(path)) for path in ring.paths]


def test_a_ring_is_the_same_bytes_every_time(ring):
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in ring.paths))
    assert digest.hexdigest()[:32] == DIGEST


@pytest.fixture(scope="module")
def tracker():
    """What multiprocessing starts once a process, and keeps."""
    resource_tracker.ensure_running()


def test_two_processes_make_what_one_makes(ring, tracker, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.ring_load._ALONE_BYTES", 0)
    other = write_ring(tmp_path, SAVEFILES, SAVEFILE_BYTES, processes=2)
    assert [path.read_bytes() for path in other.paths] == [path.read_bytes() for path in ring.paths]


def test_it_says_what_is_in_it(ring, packets):
    assert sorted(ring.folder.iterdir()) == list(ring.paths)
    assert ring.packets == sum(map(len, packets)) == SAVEFILES * packets_of(SAVEFILE_BYTES)
    assert ring.total_bytes == sum(path.stat().st_size for path in ring.paths)
    assert (ring.first_us, ring.last_us) == (packets[0][0][0], packets[-1][-1][0])


def test_times_grow_from_savefile_to_savefile(ring, packets):
    times = [when for when, _ in itertools.chain(*packets)]
    assert all(earlier < later for earlier, later in itertools.pairwise(times))
    assert 7 * SAVEFILES <= (times[-1] - times[0]) / 1e6 <= 7.3 * SAVEFILES
    for path, inside in zip(ring.paths, packets, strict=True):
        assert path.name == f"ring.{inside[0][0] // 1_000_000}"
        assert path.stat().st_mtime_ns == inside[-1][0] * 1000


def test_flows_of_a_hundred_packets_stand_out(packets):
    for host, savefiles in ((NEEDLE_HOST, NEEDLE_SAVEFILES + 1), (LONG_HOST, SAVEFILES)):
        found = [of_host(inside, host) for inside in packets]
        mine = list(itertools.chain(*found))
        assert len(mine) == NEEDLE_PACKETS
        assert len({ends(frame) for frame in mine}) == 1
        assert {NEEDLE_PORT} < set(struct.unpack_from(">HH", mine[0], 34))
        assert len({frame[26:30] for frame in mine}) == 2  # both directions
        assert NEEDLE_SAVEFILES <= sum(map(bool, found)) <= savefiles


def test_flows_come_and_go(packets):
    flows = [{ends(frame) for _, frame in inside} for inside in packets]
    assert all(len(here) > 300 for here in flows)
    assert len(flows[0] & flows[1]) > 50
    # The flow that is there all along, and what two numbers of flows happen to share.
    assert len(flows[0] & flows[-1]) <= 3


def test_what_an_index_cannot_answer_is_there(packets):
    inside = [frame for _, frame in itertools.chain(*packets)]
    resets = sum(frame[23] == 6 and bool(frame[47] & 4) for frame in inside)
    marked = sum(frame[23] == 17 and frame[42:44] == struct.pack(">H", MARK) for frame in inside)
    assert 0.005 < resets / len(inside) < 0.02
    assert 0.005 < marked / len(inside) < 0.03


def test_a_minute_lies_within_the_ring(ring):
    begin, end = ring.minute_us
    assert end - begin == 60_000_000
    assert begin % 1_000_000 == 0
    assert ring.first_us < begin < end < ring.last_us


def test_a_ring_that_is_too_short_is_refused(tmp_path):
    with pytest.raises(ValueError, match="too few"):
        write_ring(tmp_path, 5, 40_000)


def test_what_is_there_is_not_overwritten(tmp_path):
    write_ring(tmp_path, 5, SAVEFILE_BYTES, processes=1)
    with pytest.raises(FileExistsError):
        write_ring(tmp_path, 5, SAVEFILE_BYTES, processes=1)
