"""The judge of a tapped TCP transfer: each byte of the stream counts once."""

import struct
from pathlib import Path

from bench.rows.tap_tcp import arrived_bytes


def segment(sequence: int, length: int, *, port: int = 5201, vlan: bool = False) -> bytes:
    tcp = struct.pack(">HHIIBBHHH", 40000, port, sequence & 0xFFFFFFFF, 0, 5 << 4, 16, 0, 0, 0)
    ip = struct.pack(">BBHHHBBHII", 0x45, 0, 40 + length, 0, 0, 64, 6, 0, 1, 2)
    frame = bytes(12) + struct.pack(">H", 0x8100 if vlan else 0x0800) + ip + tcp + bytes(20)
    return struct.pack("<IIII", 0, 0, len(frame), len(frame) + length) + frame


def judged(path: Path, *segments: bytes) -> int:
    path.write_bytes(bytes(24) + b"".join(segments))
    return arrived_bytes(path)


def test_bytes_count_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert judged(path) == 0
    assert judged(path, segment(10, 100), segment(110, 100)) == 200
    assert judged(path, segment(10, 100), segment(60, 100), segment(10, 20)) == 150
    assert judged(path, segment(110, 100), segment(10, 50)) == 150


def test_sequence_numbers_wrap(tmp_path: Path) -> None:
    start = (1 << 32) - 150
    parts = [segment(start + 100 * i, 100) for i in range(5)]
    assert judged(tmp_path / "x", *parts) == 500
    assert judged(tmp_path / "x", *reversed(parts)) == 500


def test_only_the_largest_stream_counts(tmp_path: Path) -> None:
    other = segment(5, 30, port=7)
    assert judged(tmp_path / "x", other, segment(10, 100), segment(110, 0)) == 100
    assert judged(tmp_path / "x", segment(10, 100, vlan=True), other) == 30
