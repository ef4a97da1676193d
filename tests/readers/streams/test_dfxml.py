"""Rows of the report: tcpflow's words in its order, and XML whatever a name holds."""

import ipaddress
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.readers.streams import dfxml
from daemonlogger_py.readers.streams.dfxml import escaped, fileobject

CLIENT = bytes([192, 168, 1, 102])
SERVER = bytes([74, 125, 19, 104])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# As tcpflow 1.6.1 writes it for one stream of its own test capture.
ROW = b"""\
    <fileobject>
      <filename>out/074.125.019.104.00080-192.168.001.102.50955</filename>
      <filesize>2792</filesize>
      <tcpflow startime='2008-10-06T17:54:54.638913Z' endtime='2008-10-06T17:54:54.711975Z' \
mac_daddr='00:1f:5b:c7:fa:d2' mac_saddr='00:0f:cc:fe:cc:dc' family='2' src_ipn='74.125.19.104' \
dst_ipn='192.168.1.102' srcport='80' dstport='50955' packets='6' out_of_order_count='1' \
len='3196' />
    </fileobject>
"""


def attributes(row: bytes) -> dict[str, str]:
    found = ET.fromstring(row).find("tcpflow")
    assert found is not None
    return found.attrib


def test_a_row_is_byte_for_byte_what_tcpflow_writes() -> None:
    row = fileobject(
        b"out/",
        b"074.125.019.104.00080-192.168.001.102.50955",
        SERVER,
        CLIENT,
        source_port=80,
        destination_port=50955,
        macs=(bytes.fromhex("000fccfeccdc"), bytes.fromhex("001f5bc7fad2")),
        first_ns=1223315694_638913000,
        last_ns=1223315694_711975999,
        stream_bytes=2792,
        packets=6,
        out_of_order=1,
        length_bytes=3196,
    )
    assert row == ROW


def test_a_beginning_that_was_not_captured_is_told() -> None:
    assert attributes(fileobject(b"", None, CLIENT, SERVER, syn=False))["beginning"] == "unseen"
    assert "beginning" not in attributes(fileobject(b"", None, CLIENT, SERVER))


def test_what_is_zero_is_left_out() -> None:
    row = fileobject(b"", None, CLIENT, SERVER)
    assert b"filename" not in row
    assert list(attributes(row)) == [
        "startime", "endtime", "family", "src_ipn", "dst_ipn", "srcport", "dstport", "packets",
        "len",
    ]  # fmt: skip


def test_everything_in_its_order() -> None:
    row = fileobject(
        b"", b"name", CLIENT, SERVER,
        macs=(b"\1\2\3\4\5\xff", b"\0\0\0\0\0\1"), out_of_order=2, violations=3, length_bytes=100,
        captured_bytes=99, differing_bytes=7, gaps=[(5, 8), (20, 21)],
    )  # fmt: skip
    found = attributes(row)
    assert list(found)[2:] == [
        "mac_daddr", "mac_saddr", "family", "src_ipn", "dst_ipn", "srcport", "dstport", "packets",
        "out_of_order_count", "violations", "len", "caplen", "gaps", "gap_bytes",
        "differing_bytes",
    ]  # fmt: skip
    assert found["mac_daddr"] == "00:00:00:00:00:01"
    assert found["mac_saddr"] == "01:02:03:04:05:ff"
    assert (found["caplen"], found["gaps"], found["gap_bytes"]) == ("99", "2", "4")
    assert b"<gaps>" not in row


def test_mac_addresses_that_are_zero_are_none() -> None:
    found = attributes(fileobject(b"", None, CLIENT, SERVER, macs=(bytes(6), b"\1" + bytes(5))))
    assert "mac_saddr" not in found
    assert found["mac_daddr"] == "01:00:00:00:00:00"


def test_gaps_are_listed_if_asked_for() -> None:
    row = fileobject(
        b"", b"n", CLIENT, SERVER, gaps=[(5, 8), (1 << 40, (1 << 40) + 1)], with_gaps=True
    )
    gaps = ET.fromstring(row).findall("gaps/gap")
    assert [gap.attrib for gap in gaps] == [
        {"file_offset": "5", "len": "3"},
        {"file_offset": str(1 << 40), "len": "1"},
    ]
    assert b"<gaps>" not in fileobject(b"", b"n", CLIENT, SERVER, with_gaps=True)


@given(st.integers(0, 2**64 - 1))
def test_times(time_ns: int) -> None:
    found = attributes(fileobject(b"", None, CLIENT, SERVER, first_ns=time_ns))["startime"]
    seconds, fraction_ns = divmod(time_ns, 10**9)
    expected = (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    microseconds = fraction_ns // 1000
    assert found == expected + (f".{microseconds:06d}Z" if microseconds else "Z")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (951782399, "2000-02-28T23:59:59Z"),
        (951782400, "2000-02-29T00:00:00Z"),
        (951868800, "2000-03-01T00:00:00Z"),
        (1735689599, "2024-12-31T23:59:59Z"),
        (4107542400, "2100-03-01T00:00:00Z"),
    ],
)
def test_days_that_end_something(seconds: int, expected: str) -> None:
    row = fileobject(b"", None, CLIENT, SERVER, last_ns=seconds * 10**9 + 999)
    assert attributes(row)["endtime"] == expected


@given(st.ip_addresses(), st.randoms(use_true_random=False))
def test_addresses(address, random) -> None:
    other = bytes(random.randrange(256) for _ in address.packed)
    found = attributes(fileobject(b"", None, address.packed, other))
    assert ipaddress.ip_address(found["src_ipn"]) == address
    assert ipaddress.ip_address(found["dst_ipn"]).packed == other
    assert found["family"] == {4: "2", 6: "10"}[address.version]


@pytest.mark.parametrize("text", ["::", "::1", "2001:db8::1:0:0:2", "::ffff:1.2.3.4", "1::"])
def test_ipv6_is_written_as_by_inet_ntop(text: str) -> None:
    packed = ipaddress.ip_address(text).packed
    assert attributes(fileobject(b"", None, packed, packed))["src_ipn"] == text


def test_sizes_of_addresses_are_checked() -> None:
    for source, destination in ((b"123", b"123"), (CLIENT, bytes(16)), (b"", b"")):
        with pytest.raises(ValueError, match="addresses are two"):
            fileobject(b"", None, source, destination)
    with pytest.raises(ValueError, match="MAC addresses are two"):
        fileobject(b"", None, CLIENT, SERVER, macs=(b"12345", b"123456"))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ""),
        (b"a<b&c>/\"'", "a&lt;b&amp;c&gt;/&quot;&apos;"),
        (b"\t\n\r", "&#9;&#10;&#13;"),
        ("ä€😀".encode(), "ä€😀"),
        (b"\x00\x1b\x7f", r"\x00\x1b\x7f"),
        (b"\xff\xc3", r"\xff\xc3"),
        (b"\xc0\x80\xe0\x80\x80", r"\xc0\x80\xe0\x80\x80"),  # overlong
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),  # a surrogate
        (b"\xef\xbf\xbf\xef\xbf\xbe", r"\xef\xbf\xbf\xef\xbf\xbe"),
        (b"\xf4\x90\x80\x80\xf5", r"\xf4\x90\x80\x80\xf5"),
        (b"\xc2\x9b31m", r"\xc2\x9b31m"),  # what a terminal takes for ESC [
        (b"\xe2\x82x", r"\xe2\x82x"),
    ],
)
def test_escaping(data: bytes, expected: str) -> None:
    assert escaped(data).decode() == expected


@given(st.binary(max_size=200))
def test_any_bytes_become_xml(data: bytes) -> None:
    text = escaped(data)
    parsed = ET.fromstring(b"<a b='" + text + b"'>" + text + b"</a>")
    assert parsed.text == parsed.get("b", "") or (parsed.text is None and not data)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")))
def test_text_stays_what_it_is(text: str) -> None:
    assert (ET.fromstring(b"<a>" + escaped(text.encode()) + b"</a>").text or "") == text


def test_any_name_makes_a_row() -> None:
    name = bytes(range(1, 256))
    parsed = ET.fromstring(fileobject(b"<dir>/", name, CLIENT, SERVER))
    assert (parsed.findtext("filename") or "").startswith("<dir>/\\x01")


def test_what_built_it_is_known() -> None:
    assert re.match(r"GCC \d|Clang|.*\d", dfxml.COMPILER)
    assert re.fullmatch(r"\d+\.\d+[\w.]*", dfxml.CYTHON)
