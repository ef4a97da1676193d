"""Counting packets by their record headers."""

import struct

import pytest

from bench.count import packets_in, walk


def savefile(path, order, packets, tail=b""):
    header = struct.pack(f"{order}IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    record = struct.pack(f"{order}IIII", 0, 0, 60, 90) + bytes(60)
    path.write_bytes(header + record * packets + tail)
    return path


@pytest.mark.parametrize("order", ["<", ">"])
def test_whole_records_are_counted_in_either_byte_order(tmp_path, order):
    assert walk(savefile(tmp_path / "t", order, 7)) == 7


@pytest.mark.parametrize("cut", [1, 15, 16, 40])
def test_a_torn_record_is_not_counted(tmp_path, cut):
    record = struct.pack("<IIII", 0, 0, 60, 60) + bytes(60)
    assert walk(savefile(tmp_path / "t", "<", 3, record[:cut])) == 3


def test_savefiles_are_added_up_and_an_empty_one_counts_nothing(tmp_path):
    (tmp_path / "empty").touch()
    files = [savefile(tmp_path / "a", "<", 2), savefile(tmp_path / "b", "<", 3), tmp_path / "empty"]
    assert packets_in(files) == 5


def test_what_is_no_savefile_is_refused(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match="not a pcap savefile"):
        walk(path)
