"""Damaged and hostile captures: what is whole comes out, and the place of the damage is named."""

import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.offline import FileSource
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import SourceError

from ..pcaps import make
from ..pcaps.parse import parse
from .reading import drain, file_of, fill, records_of, source_on, wakeable

CAPTURES = make.captures()
FOUR = make.classic(make.mixture()[:4])
DAMAGED = [
    "cut_in_record_header.pcap",
    "cut_in_packet.pcap",
    "cut_in_packet_big_endian.pcap",
    "cut_in_block.pcapng",
    "bad_caplen.pcap",
]


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("filter_text", ["", "greater 0", "arp", "host 192.0.2.9"])
def test_what_is_whole_comes_before_the_damage(name: str, filter_text: str) -> None:
    expected = parse(CAPTURES[name])
    with source_on(CAPTURES[name], filter_text=filter_text) as source:
        taken, reason = drain(source)

        assert reason is Stop.DAMAGED
        if filter_text in ("", "greater 0"):
            assert records_of(source, taken) == expected.records
        assert source.failure is not None
        assert source.failure.startswith(
            f"x.pcap is damaged at byte offset {expected.end_offset}: "
        )
        assert "\n" not in source.failure


@pytest.mark.parametrize("name", DAMAGED)
def test_nothing_comes_after_the_damage(name: str) -> None:
    with source_on(CAPTURES[name]) as source:
        taken, _ = drain(source)
        failure = source.failure
        again, reason = drain(source)

        assert len(taken) > 0
        assert (again, source.failure) == (b"", failure)
        assert reason in (Stop.DAMAGED, Stop.END)


@pytest.mark.parametrize("name", DAMAGED)
def test_budgets_are_used_up_before_the_damage(name: str) -> None:
    count = len(parse(CAPTURES[name]).records)
    with source_on(CAPTURES[name]) as source:
        buffer = Buffer(1 << 17)

        assert fill(source, buffer, packets_left=count) is Stop.PACKETS
        assert source.failure is None
        assert fill(source, buffer) is Stop.DAMAGED
        assert buffer.packets == count


@given(
    name=st.sampled_from(["us.pcap", "ns.pcap", "us_big_endian.pcap", "modified.pcap"]),
    cut=st.integers(0, 2479),
    capacity=st.sampled_from([1 << 16, 1 << 19]),
)
def test_cut_anywhere(name: str, cut: int, capacity: int) -> None:
    data = CAPTURES[name][:cut]
    if cut < 24:
        with pytest.raises(SourceError, match="byte offset 0"), source_on(data):
            pass
        return
    expected = parse(data)
    with source_on(data) as source:
        taken, reason = drain(source, capacity)

        assert records_of(source, taken) == expected.records
        if expected.whole:
            assert (reason, source.failure) == (Stop.END, None)
        else:
            assert reason is Stop.DAMAGED
            assert f"at byte offset {expected.end_offset}: " in str(source.failure)


@given(cut=st.integers(28 + 20, len(CAPTURES["us.pcapng"])))
def test_pcapng_cut_anywhere(cut: int) -> None:
    data = CAPTURES["us.pcapng"][:cut]
    expected = parse(data)
    with source_on(data) as source:
        taken, reason = drain(source)

        assert records_of(source, taken) == expected.records
        assert reason is (Stop.END if expected.whole else Stop.DAMAGED)
        if not expected.whole:
            assert "is damaged at byte offset" in str(source.failure)


@given(
    data=st.binary(max_size=400),
    name=st.sampled_from(["us.pcap", "us_big_endian.pcap", "modified.pcap", "us.pcapng"]),
    keep=st.integers(0, 300),
    filter_text=st.sampled_from(["", "tcp port 80", "vlan and ip6"]),
    snaplen=st.sampled_from([0, 50]),
    nanosecond=st.booleans(),
)
def test_garbage_after_a_good_beginning(
    data: bytes, name: str, keep: int, filter_text: str, snaplen: int, nanosecond: bool
) -> None:
    """Nothing may crash; whatever comes out is whole records, and an end or a damage."""
    try:
        with source_on(
            CAPTURES[name][:keep] + data,
            filter_text=filter_text,
            snaplen=snaplen,
            nanosecond=nanosecond,
        ) as source:
            taken, reason = drain(source)

            assert reason in (Stop.END, Stop.DAMAGED)
            assert (source.failure is None) is (reason is Stop.END)
            assert len(records_of(source, taken)) == source.counters().received
    except SourceError as error:
        refusal = str(error)
    else:
        return
    assert refusal.startswith("-R x.pcap: ")


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("caplen", [262145, 2**31 - 1, 2**31, 2**32 - 16, 2**32 - 1])
def test_captured_length_that_cannot_be(order: str, caplen: int) -> None:
    head = make.classic(make.mixture()[:4], order=order)
    hostile = struct.pack(f"{order}IIII", 1, 1, caplen, caplen)
    with source_on(head + hostile + bytes(300_000)) as source:
        taken, reason = drain(source)

        assert (taken, reason) == (FOUR[24:], Stop.DAMAGED)
        assert f"at byte offset {len(FOUR)}: " in str(source.failure)
        assert str(caplen) in str(source.failure)


def test_text_for_a_native_file() -> None:
    for tail, why in [
        (b"123", "a record header of 16 bytes is cut short after 3"),
        (
            struct.pack("<IIII", 1, 1, 100, 100) + b"1234",
            "a record of 116 bytes is cut short after 20",
        ),
        (
            struct.pack("<IIII", 1, 1, 300_000, 300_000),
            "captured length 300000 of a record, more than the format's 262144",
        ),
    ]:
        with source_on(FOUR + tail) as source:
            drain(source)
            where = f"x.pcap is damaged at byte offset {len(FOUR)}: "
            assert source.failure == where + why


@pytest.mark.parametrize(
    ("linktype", "limit"),
    [(make.ETHERNET, 262144), (189, 262144), (220, 262144), (249, 1 << 20), (279, 8 << 20)],
)
@pytest.mark.parametrize("over", [0, 1])
def test_largest_record_of_a_linktype(linktype: int, limit: int, over: int) -> None:
    held = [make.Packet(make.START_NS, bytes(limit + over)), make.Packet(make.START_NS, b"x")]
    data = make.classic(held, linktype=linktype, snaplen=limit)
    with source_on(data) as source:
        taken, reason = drain(source)

        if over:
            assert (taken, reason) == (b"", Stop.DAMAGED)
        else:
            assert reason is Stop.END
            assert taken == data[24:]


def test_promise_of_a_huge_record_takes_no_memory() -> None:
    """D-Bus messages are up to 128 MiB: memory is for what came, not for what was promised."""
    head = make.file_header(linktype=make.DBUS, snaplen=1 << 27)
    with source_on(head + struct.pack("<IIII", 1, 1, 1 << 27, 1 << 27) + bytes(1000)) as source:
        buffer = Buffer(1 << 16)

        assert fill(source, buffer) is Stop.DAMAGED
        assert buffer.capacity <= 1 << 18
        assert "a record of 134217744 bytes is cut short after 1016" in str(source.failure)


def test_zeros_are_records_as_other_readers_have_it() -> None:
    with source_on(CAPTURES["zeros_at_end.pcap"]) as source:
        taken, reason = drain(source)

        assert (taken, reason) == (CAPTURES["zeros_at_end.pcap"][24:], Stop.END)


@pytest.mark.parametrize("name", ["us.pcap", "us_big_endian.pcap"])
def test_disk_that_fails(name: str) -> None:
    """A read error ends the reading, is named, and leaves what was read before."""
    held = make.stamped([b"x" * 1000] * 200)
    order = "<" if name == "us.pcap" else ">"
    fd = file_of(make.classic(held, order=order))
    with wakeable() as (wake_fd, _):
        source = FileSource(fd, name="x.pcap", wake_fd=wake_fd)
        buffer = Buffer(1 << 19)
        assert fill(source, buffer, packets_left=10) is Stop.PACKETS
        unreadable_fd = os.open("/dev/null", os.O_WRONLY)
        os.dup2(unreadable_fd, fd)
        os.close(unreadable_fd)
        reason = fill(source, buffer)
        while reason is Stop.FULL:
            reason = fill(source, Buffer(1 << 19))

        assert reason is not Stop.END
        assert reason in (Stop.FAILED, Stop.DAMAGED)
        assert "Bad file descriptor" in str(source.failure)
        assert str(source.failure).startswith("x.pcap")
        source.close()
    os.close(fd)
