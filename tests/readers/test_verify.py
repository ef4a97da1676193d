"""Verdicts on savefiles whole, damaged and foreign, and which files of a directory are meant."""

import os
import struct
from pathlib import Path

import pytest

from daemonlogger_py.readers.verify import Verdict, verify

MAGICS = {"us": 0xA1B2C3D4, "ns": 0xA1B23C4D}


def header(magic: int = 0xA1B2C3D4, order: str = "=") -> bytes:
    return struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, 1)


def record(seconds: int, fraction: int, caplen: int, order: str = "=") -> bytes:
    return struct.pack(f"{order}IIII", seconds, fraction, caplen, 1514) + b"\xaa" * caplen


def only(path: Path) -> Verdict:
    (verdict,) = verify([str(path)])
    assert verdict.path == str(path)
    return verdict


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("resolution", MAGICS)
def test_whole(tmp_path, order: str, resolution: str) -> None:
    path = tmp_path / "x"
    records = [record(10, 7, 60, order), record(10, 8, 0, order), record(11, 9, 1514, order)]
    content = header(MAGICS[resolution], order) + b"".join(records)
    path.write_bytes(content)
    unit_ns = 1 if resolution == "ns" else 1000

    verdict = only(path)

    assert verdict.whole
    assert verdict.packets == 3
    assert verdict.end_offset == verdict.size_bytes == len(content)
    assert verdict.first_ns == 10 * 10**9 + 7 * unit_ns
    assert verdict.last_ns == 11 * 10**9 + 9 * unit_ns


def test_without_packets(tmp_path) -> None:
    (tmp_path / "x").write_bytes(header())
    assert only(tmp_path / "x") == Verdict(str(tmp_path / "x"), size_bytes=24, end_offset=24)


def test_every_cut_is_found_at_its_offset(tmp_path) -> None:
    path = tmp_path / "x"
    content = header() + record(1, 0, 20) + record(2, 0, 30)
    ends = {24: 0, 24 + 36: 1, len(content): 2}
    for size in range(len(content) + 1):
        path.write_bytes(content[:size])
        verdict = only(path)
        end, packets = max((end, n) for end, n in [(0, 0), *ends.items()] if end <= size)
        assert verdict.whole is (size in ends), size
        assert (verdict.packets, verdict.end_offset, verdict.size_bytes) == (packets, end, size)
        assert verdict.whole or f"at byte offset {end}" in str(verdict.damage)


def test_zeros_behind_the_last_record(tmp_path) -> None:
    (tmp_path / "x").write_bytes(header() + record(1, 0, 20) + bytes(4096))
    verdict = only(tmp_path / "x")
    assert verdict.packets == 1
    assert verdict.damage is not None
    assert verdict.damage.endswith("at byte offset 60")


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (b"\n\r\r\n" + bytes(100), "pcapng, and only classic pcap is verified"),
        (b"\x1f\x8b\x08" + bytes(100), "gzip, and only classic pcap is verified"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd, and only classic pcap is verified"),
        (b"\xfd7zXZ\0" + bytes(100), "xz, and only classic pcap is verified"),
        (b"hello, world, this is text", "not a classic pcap at byte offset 0"),
        (b"", "file header cut short at byte offset 0"),
    ],
)
def test_foreign(tmp_path, content: bytes, damage: str) -> None:
    (tmp_path / "x").write_bytes(content)
    verdict = only(tmp_path / "x")
    assert not verdict.whole
    assert damage in str(verdict.damage)
    assert (verdict.packets, verdict.first_ns, verdict.last_ns) == (0, None, None)
    assert verdict.size_bytes == len(content)


def test_missing_pipe_and_device(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert only(tmp_path / "gone").damage == "No such file or directory"
    assert (
        only(tmp_path / "pipe").damage == "not a regular file"
    )  # and it did not wait for a writer
    assert only(Path("/dev/null")).damage == "not a regular file"


def test_directory_means_its_savefiles_oldest_first(tmp_path) -> None:
    for name in ("a.9", "a.10", "a.10.002", "a.10.001", "a.10.1000", "b.1", "torn.5"):
        (tmp_path / name).write_bytes(b"" if name == "torn.5" else header())
    (tmp_path / "named.pcap").write_bytes(header(order=">"))
    (tmp_path / "other.pcapng").write_bytes(b"\n\r\r\n" + bytes(24))
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / ".a.11.part").write_bytes(header())
    (tmp_path / "a.12").mkdir()
    (tmp_path / "a.13").symlink_to("a.9")

    verdicts = list(verify([str(tmp_path)]))

    assert [os.path.basename(verdict.path) for verdict in verdicts] == [
        "a.9", "a.10", "a.10.001", "a.10.002", "a.10.1000", "b.1", "named.pcap", "other.pcapng",
        "torn.5",
    ]  # fmt: skip
    damaged = [os.path.basename(verdict.path) for verdict in verdicts if not verdict.whole]
    assert damaged == ["other.pcapng", "torn.5"]


def test_directory_without_savefiles_is_not_called_whole(tmp_path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert only(tmp_path).damage == "no savefiles in this directory"


def test_a_link_that_is_named_is_followed(tmp_path) -> None:
    (tmp_path / "a.1").write_bytes(header())
    (tmp_path / "link").symlink_to("a.1")
    assert only(tmp_path / "link").whole


def test_order_of_the_paths_is_kept_and_each_is_looked_at_when_asked_for(tmp_path) -> None:
    (tmp_path / "b").write_bytes(header())
    found = verify([str(tmp_path / "b"), str(tmp_path / "a")])
    assert next(found).whole
    (tmp_path / "a").write_bytes(header())
    assert next(found).whole


def test_leaves_no_descriptor_open_and_changes_nothing(tmp_path) -> None:
    (tmp_path / "a.1").write_bytes(header() + record(1, 0, 20)[:-3])
    (tmp_path / "x.pcapng").write_bytes(b"\n\r\r\n")
    before = len(os.listdir("/proc/self/fd")), (tmp_path / "a.1").stat()
    list(verify([str(tmp_path), str(tmp_path / "a.1"), "gone"]))
    after = (tmp_path / "a.1").stat()
    assert len(os.listdir("/proc/self/fd")) == before[0]
    assert (after.st_size, after.st_mtime_ns) == (before[1].st_size, before[1].st_mtime_ns)
