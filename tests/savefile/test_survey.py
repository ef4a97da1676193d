"""What a catalog says of a savefile by itself."""

import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemonlogger_py.savefile.catalog_rows import SEALED
from daemonlogger_py.savefile.names import SavefileName
from daemonlogger_py.savefile.survey import sha256_of, survey

NAME = SavefileName(7, 2, "p.7.002")
NS = 10**9


def header(magic: int = 0xA1B23C4D) -> bytes:
    return struct.pack("=IHHiIII", magic, 2, 4, 0, 0, 96, 101)


def record(second: int, fraction: int, caplen: int = 5) -> bytes:
    return struct.pack("=IIII", second, fraction, caplen, caplen) + bytes(caplen)


@contextmanager
def open_file(data: bytes) -> Iterator[int]:
    fd = os.memfd_create("savefile", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def test_a_savefile() -> None:
    data = header() + record(5, 1) + record(3, 2) + record(9, 3) + record(8, 4)
    with open_file(data) as fd:
        found = survey(fd)
        status = os.fstat(fd)
    entry = found.entry(NAME, SEALED)
    assert not found.changed
    assert entry[:6] == ("p.7.002", 7, 2, SEALED, len(data), status.st_mtime_ns)
    assert (entry.packets, entry.first_ns, entry.last_ns) == (4, 3 * NS + 2, 9 * NS + 3)
    assert not entry.ordered
    assert entry.walked
    assert entry.sha256 == hashlib.sha256(data).digest()
    assert (entry.linktype, entry.snaplen, entry.nanosecond) == (101, 96, True)
    assert (entry.position, entry.chain, entry.run) == (None, None, None)


def test_without_packets_there_is_no_time() -> None:
    with open_file(header(0xA1B2C3D4)) as fd:
        entry = survey(fd, hashed=False).entry(NAME, SEALED)
    assert (entry.packets, entry.first_ns, entry.last_ns, entry.ordered) == (0, None, None, True)
    assert (entry.sha256, entry.nanosecond) == (None, False)
    assert entry.walked


def test_what_is_no_classic_pcap_may_hold_anything() -> None:
    for data in (b"", b"\n\r\r\n" + bytes(100)):
        with open_file(data) as fd:
            found = survey(fd)
        entry = found.entry(NAME, SEALED)
        assert found.header is None
        assert (entry.packets, entry.ordered, entry.walked) == (0, False, False)
        assert entry.sha256 == hashlib.sha256(data).digest()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(header() + record(5, 1) + bytes(40) + record(6, 2), id="zeros"),
        pytest.param(header() + record(5, 1) + bytes(4096), id="zeros at the end"),
        pytest.param(header() + record(5, 1) + record(6, 2)[:-1], id="torn"),
        pytest.param(header() + record(5, 1) + b"\xff" * 21 + record(6, 2), id="impossible length"),
    ],
)
def test_of_what_is_not_walked_to_its_end_no_time_is_known(data: bytes) -> None:
    with open_file(data) as fd:
        entry = survey(fd).entry(NAME, SEALED)
    assert (entry.packets, entry.first_ns, entry.last_ns) == (1, None, None)
    assert (entry.ordered, entry.walked) == (False, False)
    assert (entry.linktype, entry.snaplen, entry.nanosecond) == (101, 96, True)


def test_a_file_that_grows_meanwhile_is_noticed() -> None:
    with open_file(header() + record(1, 1)) as fd:
        assert survey(fd, progress=lambda _: os.pwrite(fd, record(2, 2), 45) and None).changed


def test_hashing_in_pieces() -> None:
    data = os.urandom((2 << 20) + 17)
    read: list[int] = []
    with open_file(data) as fd:
        assert sha256_of(fd, len(data), read.append) == hashlib.sha256(data).digest()
        assert sha256_of(fd, 100) == hashlib.sha256(data[:100]).digest()
        assert sha256_of(fd, len(data) + 5) == hashlib.sha256(data).digest()
    assert sum(read) == len(data)
    assert len(read) == 3
