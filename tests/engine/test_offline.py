"""Savefiles as a source: formats, headers, filters, cuts, and what is refused."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import Counters, Stop
from daemonlogger_py.errors import FilterError

from ..pcaps import make
from ..pcaps.parse import Record, parse
from .reading import MANY, drain, file_of, fill, read_all, records_of, source_on, wakeable

CAPTURES = make.captures()
WHOLE = sorted(
    name
    for name, data in CAPTURES.items()
    if len(data) >= 24 and not name.endswith(".txt") and parse(data).whole
)
MIXTURE = CAPTURES["us.pcap"]
# The same packets where libpcap reads them.
BY_LIBPCAP = ["us_big_endian.pcap", "modified.pcap", "modified_big_endian.pcap", "us.pcapng"]
NATIVE = ["us.pcap", "ns.pcap", "raw.pcap", "null.pcap", "sll.pcap", "vlan.pcap"]

USES_CLOSED = """
import os, sys
sys.path[:0] = {modules!r}
from daemonlogger_py.engine.offline import FileSource
source = FileSource(os.open({path!r}, os.O_RDONLY), name="x", wake_fd=-1)
source.close()
try:
    source.refilter("udp")
except ValueError as error:
    print(error)
"""

# How many of the mixture's packets pass.
FILTERS = {
    "": 12,
    "udp": 4,
    "tcp port 80": 3,
    "ip6": 2,
    "arp": 1,
    "icmp": 1,
    "vlan": 2,
    "vlan 42": 1,
    "vlan and tcp": 1,
    "greater 1000": 2,
    "len > 1441": 1,
    "ether[1300] = 222": 1,
    "not ip and not ip6": 4,
    "host 192.0.2.9": 0,
}


@pytest.mark.parametrize("name", WHOLE)
def test_records_are_those_of_the_capture(name: str) -> None:
    expected = parse(CAPTURES[name])
    with source_on(CAPTURES[name]) as source:
        taken, reason = drain(source)

        assert reason is Stop.END
        assert source.failure is None
        assert parse(source.file_header).linktype == expected.linktype
        assert source.snaplen == parse(source.file_header).snaplen
        # Kuznetzov's packets may be longer than their snaplen by a link header, says libpcap.
        assert source.snaplen == expected.snaplen + (14 if "modified" in name else 0)
        assert source.nanosecond is expected.nanosecond
        assert records_of(source, taken) == expected.records
        assert source.counters() == Counters(len(expected.records), 0, 0)


@pytest.mark.parametrize("name", [*NATIVE, "header_only.pcap"])
def test_native_file_is_passed_on_byte_for_byte(name: str) -> None:
    with source_on(CAPTURES[name]) as source:
        assert source.file_header + drain(source)[0] == CAPTURES[name]


@pytest.mark.parametrize("name", WHOLE)
def test_nothing_comes_after_the_end(name: str) -> None:
    with source_on(CAPTURES[name]) as source:
        drain(source)

        assert drain(source) == (b"", Stop.END)


@pytest.mark.parametrize("linktype", [make.NULL, make.ETHERNET, make.RAW, make.LINUX_SLL, 147, 276])
@pytest.mark.parametrize("order", "<>")
def test_file_header(linktype: int, order: str) -> None:
    data = make.classic([], order=order, linktype=linktype, snaplen=1500)
    with source_on(data) as source:
        assert source.file_header == make.file_header(linktype=linktype, snaplen=1500)
        assert not source.live
        assert source.next_ns is None


@pytest.mark.parametrize("name", ["us.pcap", *BY_LIBPCAP])
@pytest.mark.parametrize("text", FILTERS)
def test_filter_is_the_same_on_both_paths(name: str, text: str) -> None:
    accepted = read_all(CAPTURES[name], filter_text=text)

    assert len(accepted) == FILTERS[text]
    assert accepted == read_all(MIXTURE, filter_text=text)
    positions = [parse(MIXTURE).records.index(record) for record in accepted]
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", ["us.pcap", *BY_LIBPCAP])
def test_refiltering_changes_what_comes_from_there_on(name: str) -> None:
    records = parse(CAPTURES[name]).records
    with source_on(CAPTURES[name], filter_text="udp") as source:
        buffer = Buffer(1 << 20)
        assert fill(source, buffer, packets_left=2) is Stop.PACKETS
        source.refilter("tcp")
        assert fill(source, buffer, packets_left=1) is Stop.PACKETS
        source.refilter("")
        assert fill(source, buffer) is Stop.END

        wanted = [*records[1:3], records[3], *records[4:]]
        assert records_of(source, bytes(buffer)) == wanted
        assert source.counters().received == len(wanted)


@pytest.mark.parametrize("name", ["us.pcap", "us_big_endian.pcap"])
def test_refiltering_asks_again_about_the_record_that_was_kept_back(name: str) -> None:
    records = parse(CAPTURES[name]).records
    second_ns = parse(CAPTURES[name]).times_ns()[1]
    with source_on(CAPTURES[name], filter_text="udp or arp") as source:
        buffer = Buffer(1 << 20)
        assert fill(source, buffer, until_ns=second_ns) is Stop.TIME
        source.refilter("tcp")
        assert fill(source, buffer, packets_left=1) is Stop.PACKETS

        assert records_of(source, bytes(buffer)) == [records[0], records[3]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tcp and", "can't parse filter expression: syntax error"),
        ("port http99", "unknown port 'http99'"),
        ("tcp\0udp", "holds a NUL byte"),
        ("\udce9", "not text: surrogates not allowed"),
        ("wlan type mgt", "802.11 link-layer types supported only on 802.11"),
    ],
)
def test_filter_that_does_not_compile_is_named(text: str, why: str) -> None:
    with (
        pytest.raises(FilterError, match=why) as caught,
        source_on(MIXTURE, filter_text=text),
    ):
        pass

    message = str(caught.value)
    assert message.startswith(f"filter {text!r}: ")
    assert "\n" not in message
    assert caught.value.exit_status == 2


def test_refused_filter_leaves_the_old_one() -> None:
    with source_on(MIXTURE, filter_text="udp") as source:
        with pytest.raises(FilterError, match="filter 'tcp and': "):
            source.refilter("tcp and")
        taken, _ = drain(source)

        assert len(records_of(source, taken)) == FILTERS["udp"]


@pytest.mark.parametrize("name", ["us.pcap", *BY_LIBPCAP])
@pytest.mark.parametrize("filter_text", ["", "greater 100"])
@pytest.mark.parametrize("snaplen", [1, 60, 100, 1334, 65535])
def test_snaplen_cuts_and_keeps_the_original_length(
    name: str, snaplen: int, filter_text: str
) -> None:
    whole = read_all(CAPTURES[name], filter_text=filter_text)

    with source_on(CAPTURES[name], snaplen=snaplen, filter_text=filter_text) as source:
        assert source.snaplen == snaplen
        assert parse(source.file_header).snaplen == snaplen
        taken, _ = drain(source)

        # The filter saw what was captured, not what is kept of it.
        assert records_of(source, taken) == [r._replace(data=r.data[:snaplen]) for r in whole]


def test_snaplen_does_not_raise_that_of_the_file() -> None:
    with source_on(make.classic(make.mixture()[:1], snaplen=2000), snaplen=65535) as source:
        assert source.snaplen == 2000
        assert source.file_header == make.file_header(snaplen=2000)


@pytest.mark.parametrize("name", ["us.pcap", *BY_LIBPCAP, "two_sections.pcapng"])
@pytest.mark.parametrize("snaplen", [0, 60])
def test_microseconds_become_nanoseconds_when_asked(name: str, snaplen: int) -> None:
    microseconds = read_all(CAPTURES[name], snaplen=snaplen)
    nanoseconds = read_all(CAPTURES[name], snaplen=snaplen, nanosecond=True)

    assert nanoseconds == [r._replace(fraction=r.fraction * 1000) for r in microseconds]


@pytest.mark.parametrize("name", ["ns.pcap", "ns_big_endian.pcap", "ns.pcapng"])
def test_nanoseconds_stay_when_not_asked(name: str) -> None:
    assert read_all(CAPTURES[name]) == read_all(CAPTURES[name], nanosecond=True)
    assert [r.fraction for r in read_all(CAPTURES[name])][:2] == [0, make.STEP_NS]


@pytest.mark.parametrize("nanosecond", [False, True])
def test_time_of_records_is_told_in_nanoseconds(nanosecond: bool) -> None:
    for name in ("us.pcap", "us_big_endian.pcap", "ns.pcap", "us.pcapng"):
        with source_on(CAPTURES[name], nanosecond=nanosecond) as source:
            buffer = Buffer(1 << 20)
            fill(source, buffer)
            times = parse(CAPTURES[name]).times_ns()

            assert (buffer.first_ns, buffer.last_ns) == (times[0], times[-1])
            assert buffer.packets == len(times)


@pytest.mark.parametrize("order", "<>")
def test_stamps_of_the_last_second_and_of_none(order: str) -> None:
    packets = [make.Packet(0, b"a"), make.Packet((2**32 - 1) * 10**9 + 999_999_000, b"b")]
    with source_on(make.classic(packets, order=order)) as source:
        buffer = Buffer(1 << 20)
        assert fill(source, buffer) is Stop.END

        assert bytes(buffer) == make.classic(packets)[24:]
        assert buffer.last_ns == packets[1].time_ns


@pytest.mark.parametrize("order", "<>")
def test_fraction_that_is_none_stays_as_it_is(order: str) -> None:
    head = make.file_header(order=order)
    data = head + struct.pack(f"{order}IIII", 7, 4_000_000_000, 1, 1) + b"x"

    assert read_all(data) == [Record(7, 4_000_000_000, 1, b"x")]


@pytest.mark.parametrize("name", ["us.pcap", "us_big_endian.pcap"])
def test_closing_twice_and_using_what_is_closed(name: str) -> None:
    fd = file_of(CAPTURES[name])
    with wakeable() as (wake_fd, _):
        source = FileSource(fd, name="x", wake_fd=wake_fd)
        buffer = Buffer(4096)
        fill(source, buffer, packets_left=3)
        source.close()
        source.close()

        with pytest.raises(ValueError, match="the source is closed"):
            source.fill(buffer, MANY, MANY, MANY, MANY, MANY)
        assert source.counters() == Counters(3, 0, 0)
    os.close(fd)  # it was ours all the time


def test_source_that_was_never_opened_is_closed() -> None:
    source = FileSource.__new__(FileSource)

    with pytest.raises(ValueError, match="the source is closed"):
        source.fill(Buffer(4096), MANY, MANY, MANY, MANY, MANY)
    source.finish()
    source.close()


@pytest.mark.parametrize("name", ["us.pcap", "us_big_endian.pcap"])
def test_reading_begins_where_the_descriptor_stands(name: str) -> None:
    fd = file_of(b"something else" + CAPTURES[name])
    os.lseek(fd, len(b"something else"), os.SEEK_SET)
    with wakeable() as (wake_fd, _):
        source = FileSource(fd, name="x", wake_fd=wake_fd)
        taken, reason = drain(source)

        assert reason is Stop.END
        assert records_of(source, taken) == parse(MIXTURE).records
        source.close()
    os.close(fd)


@pytest.mark.parametrize("name", ["us.pcap", "us_big_endian.pcap"])
def test_filter_of_what_is_closed_is_refused(name: str) -> None:
    """In a process of its own: what is closed has no linktype to compile for."""
    path = str(Path(make.__file__).with_name(name))
    script = USES_CLOSED.format(modules=[p for p in sys.path if p], path=path)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "the source is closed\n", "")


@pytest.mark.parametrize("order", ["<", ">"])  # libpcap reads the other byte order
@pytest.mark.parametrize("nanosecond", [False, True])
@pytest.mark.parametrize("cut", [0, 50, 100])
def test_what_is_behind_the_files_own_snaplen_is_no_part_of_a_packet(
    order: str, nanosecond: bool, cut: int
) -> None:
    short, long = bytes(range(60)), bytes(range(200))
    packets = make.stamped([short, long, short, short, long, long, short])
    data = make.classic(packets, order=order, snaplen=96)

    whole = read_all(make.classic(packets), nanosecond=nanosecond)
    kept = min(cut or 96, 96)
    expected = [record._replace(data=record.data[:kept]) for record in whole]
    assert read_all(data, snaplen=cut, nanosecond=nanosecond) == expected
    assert [record.origlen for record in expected] == [60, 200, 60, 60, 200, 200, 60]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("text", "passed"), [("ether[95] = 95", 3), ("ether[96] = 96", 0)])
def test_filter_sees_no_more_than_the_files_own_snaplen(order: str, text: str, passed: int) -> None:
    packets = make.stamped([bytes(range(60)), *[bytes(range(200))] * 3])
    data = make.classic(packets, order=order, snaplen=96)

    assert len(read_all(data, filter_text=text)) == passed


@pytest.mark.parametrize("snaplen", [0, 1 << 31])
def test_snaplen_that_cannot_be_meant_cuts_nothing(snaplen: int) -> None:
    packets = make.stamped([bytes(range(200))] * 2)

    records = read_all(make.classic(packets, snaplen=snaplen))
    assert records == read_all(make.classic(packets))
