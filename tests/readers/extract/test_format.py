"""File headers as libpcap understands them."""

import pytest

from daemonlogger_py.errors import FilterError, SourceError
from daemonlogger_py.readers.extract.format import Format, is_scanned

from ...pcaps.make import DBUS, MODIFIED, NANOSECONDS, RAW, file_header


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanosecond", [False, True])
def test_says_what_is_written_before_its_packets(order: str, nanosecond: bool) -> None:
    magic = NANOSECONDS if nanosecond else 0xA1B2C3D4
    found = Format(file_header(order=order, magic=magic, snaplen=96, linktype=RAW), "")

    assert found.written == file_header(magic=magic, snaplen=96, linktype=RAW)
    assert (found.linktype, found.snaplen, found.nanosecond) == (RAW, 96, nanosecond)
    assert found.swapped is (order == ">")
    assert found.accepts_all


def test_a_snaplen_that_says_nothing_is_the_largest() -> None:
    assert Format(file_header(snaplen=0), "").snaplen == 262144
    assert Format(file_header(snaplen=0, linktype=DBUS), "").snaplen == 128 << 20


def test_the_filter_is_compiled_for_its_linktype() -> None:
    found = Format(file_header(), "vlan and host 192.0.2.1")

    assert not found.accepts_all
    assert len(found.filter.code) > 80
    with pytest.raises(FilterError, match="no VLAN support"):
        Format(file_header(linktype=RAW), "vlan")


@pytest.mark.parametrize("header", [b"", bytes(24), file_header()[:23], file_header() + b"\0"])
def test_other_bytes_are_refused(header: bytes) -> None:
    with pytest.raises(SourceError):
        Format(header, "")


@pytest.mark.parametrize(
    ("header", "scanned"),
    [
        (file_header(), True),
        (file_header(order=">"), True),
        (file_header(order=">", linktype=113), False),  # holds words in the writer's order
        (file_header(linktype=113), True),
        (file_header(magic=MODIFIED), False),
        (file_header(version=(2, 3)), False),
        (file_header(linktype=1 | 0x04000000), False),  # with a frame check sequence
        (b"\x0a\x0d\x0d\x0a" + bytes(20), False),
        (b"", False),
    ],
)
def test_which_are_walked_where_they_lie(header: bytes, scanned: bool) -> None:
    assert is_scanned(header) is scanned
