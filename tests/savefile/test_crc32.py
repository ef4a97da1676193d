"""CRC-32: zlib's numbers, whatever the length, the alignment and what came before."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.savefile.crc32 import crc32


@given(st.binary(max_size=600), st.integers(0, 2**32 - 1), st.integers(0, 15))
def test_it_is_zlibs(data: bytes, crc: int, skipped: int) -> None:
    assert crc32(memoryview(data)[skipped:], crc) == zlib.crc32(data[skipped:], crc)


@pytest.mark.parametrize("size", [*range(63, 82), 127, 128, 129, 1 << 20, (1 << 20) + 17])
def test_every_byte_counts(size: int) -> None:
    data = bytes(at * 7 & 0xFF for at in range(size))
    assert crc32(data) == zlib.crc32(data)
    for at in {0, 15, 16, 47, 48, size // 2, size - 17, size - 1}:
        other = bytearray(data)
        other[at] ^= 1
        assert crc32(other) == zlib.crc32(other) != crc32(data)


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_it_goes_on(first: bytes, second: bytes) -> None:
    assert crc32(second, crc32(first)) == crc32(first + second)


def test_the_check_value() -> None:
    # ECMA-182's cousin in every catalogue of CRCs: CRC-32/ISO-HDLC.
    assert crc32(b"123456789") == 0xCBF43926
    assert crc32(b"") == 0
