"""The captures in this directory are what the script makes, and what their names say."""

import struct
from pathlib import Path

import pytest

from . import make
from .parse import parse

HERE = Path(__file__).parent
CAPTURES = make.captures()
# Formats whose every stamp has to say what the mixture's packets do, at their own resolution.
MIXTURES = [
    "us.pcap",
    "ns.pcap",
    "us_big_endian.pcap",
    "ns_big_endian.pcap",
    "modified.pcap",
    "modified_big_endian.pcap",
    "us.pcapng",
    "ns.pcapng",
    "us_big_endian.pcapng",
    "two_sections.pcapng",
]


def test_directory_holds_what_the_script_makes() -> None:
    found = {
        p.name: p.read_bytes() for p in HERE.iterdir() if p.suffix in (".pcap", ".pcapng", ".txt")
    }

    assert found == CAPTURES


@pytest.mark.parametrize("name", MIXTURES)
def test_every_format_holds_the_same_packets(name: str) -> None:
    capture = parse(CAPTURES[name])

    assert capture.whole
    assert [r.data for r in capture.records] == [p.data for p in make.mixture()]
    assert [r.origlen for r in capture.records] == [p.wire_bytes for p in make.mixture()]
    unit_ns = 1 if name.startswith("ns") else 1000
    assert capture.nanosecond is (unit_ns == 1)
    assert capture.times_ns() == [p.time_ns // unit_ns * unit_ns for p in make.mixture()]


@pytest.mark.parametrize("name", [name for name in CAPTURES if name.startswith("cut_in_")])
def test_cut_captures_are_not_whole(name: str) -> None:
    if name == "cut_in_file_header.pcap":
        with pytest.raises(ValueError, match="no capture"):
            parse(CAPTURES[name])
    else:
        capture = parse(CAPTURES[name])
        assert not capture.whole
        assert len(capture.records) == len(make.mixture()) - 1


def test_headers_have_valid_checksums() -> None:
    datagram = make.ipv4(b"payload", 17)

    assert make.checksum(datagram[:20]) == 0
    assert struct.unpack_from(">H", datagram, 2) == (len(datagram),)
