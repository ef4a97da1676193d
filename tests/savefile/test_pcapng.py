"""The time resolution in a pcapng prefix: both byte orders, both bases, and hostile lengths."""

import struct
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemonlogger_py.savefile.pcapng import PREFIX_BYTES, time_resolution

ORDERS = ["<", ">"]


def block(order: str, kind: int, body: bytes) -> bytes:
    body += b"\0" * (-len(body) % 4)
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", length)


def section(order: str, options: bytes = b"") -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def interface(order: str, *options: bytes) -> bytes:
    return block(order, 1, struct.pack(order + "HHI", 1, 0, 65535) + b"".join(options))


def resolution(order: str, value: int) -> bytes:
    return option(order, 9, bytes([value]))


def packet(order: str, kind: int = 6) -> bytes:
    return block(order, kind, b"\0" * 24)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("tsresol", "expected"),
    [
        (0, "us"),
        (3, "us"),
        (6, "us"),
        (7, "ns"),
        (9, "ns"),
        (12, "ns"),
        (0x7F, "ns"),
        (0x80, "us"),
        (0x80 | 19, "us"),
        (0x80 | 20, "ns"),
        (0x80 | 30, "ns"),
        (0xFF, "ns"),
    ],
)
def test_resolution(order: str, tsresol: int, expected: Literal["us", "ns"]) -> None:
    capture = section(order) + interface(order, resolution(order, tsresol)) + packet(order)
    assert time_resolution(capture) == expected


@pytest.mark.parametrize("order", ORDERS)
def test_without_the_option_it_is_microseconds(order: str) -> None:
    assert time_resolution(section(order) + interface(order) + packet(order)) == "us"


@pytest.mark.parametrize("order", ORDERS)
def test_found_behind_other_options_and_blocks(order: str) -> None:
    capture = (
        section(order, option(order, 4, b"some writer"))
        + block(order, 0x0BAD, b"custom")
        + interface(order, option(order, 2, b"eth0"))
        + interface(order, option(order, 2, b"x"), option(order, 1, b""), resolution(order, 9))
    )
    assert time_resolution(capture) == "ns"


def test_each_section_has_its_own_byte_order() -> None:
    capture = section("<") + interface("<") + section(">") + interface(">", resolution(">", 9))
    assert time_resolution(capture) == "ns"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", [2, 3, 6])
def test_behind_the_first_packet_it_is_too_late(order: str, kind: int) -> None:
    capture = section(order) + packet(order, kind) + interface(order, resolution(order, 9))
    assert time_resolution(capture) == "us"


@pytest.mark.parametrize("order", ORDERS)
def test_behind_the_end_of_options_nothing_counts(order: str) -> None:
    options = (option(order, 0, b""), resolution(order, 9))
    assert time_resolution(section(order) + interface(order, *options)) == "us"


@pytest.mark.parametrize("order", ORDERS)
def test_option_of_a_wrong_length_does_not_count(order: str) -> None:
    wrong = option(order, 9, b"\x09\x09")
    assert time_resolution(section(order) + interface(order, wrong)) == "us"
    assert time_resolution(section(order) + interface(order, wrong, resolution(order, 9))) == "ns"


@pytest.mark.parametrize("order", ORDERS)
def test_option_that_runs_past_its_block(order: str) -> None:
    running = struct.pack(order + "HH", 2, 0xFFFF)
    following = interface(order, resolution(order, 9))
    assert time_resolution(section(order) + interface(order, running)) == "us"
    assert time_resolution(section(order) + interface(order, running) + following) == "ns"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("length", [0, 1, 4, 8, 11, 13, 27, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFC])
@pytest.mark.parametrize("kind", [0x0A0D0D0A, 1, 5, 6, 0xFFFFFFFF])
def test_hostile_block_length(order: str, length: int, kind: int) -> None:
    hostile = struct.pack(order + "III", kind, length, 0x1A2B3C4D) + b"\0" * 64
    behind = interface(order, resolution(order, 9))
    assert time_resolution(section(order) + hostile + behind) == "us"


@pytest.mark.parametrize("order", ORDERS)
def test_block_too_short_for_its_fields(order: str) -> None:
    short = block(order, 1, b"")
    assert time_resolution(section(order) + short) == "us"
    assert time_resolution(section(order) + short + interface(order, resolution(order, 9))) == "ns"


@pytest.mark.parametrize("order", ORDERS)
def test_every_cut_of_a_good_capture(order: str) -> None:
    head = section(order)
    capture = head + interface(order, option(order, 2, b"eth0"), resolution(order, 9))
    # Decided by the option's value: 16 bytes of fields, 8 of if_name, 4 before the value.
    decided = len(head) + 16 + 8 + 4 + 1
    for cut in range(len(capture) + 1):
        assert time_resolution(capture[:cut]) == ("ns" if cut >= decided else "us")


def test_other_formats() -> None:
    for magic in (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34):
        assert time_resolution(struct.pack("<I", magic) + b"\0" * 100) == "us"
    assert time_resolution(b"") == "us"
    assert time_resolution(b"\x0a\x0d\x0d\x0a" * 100) == "us"
    assert time_resolution(b"\0" * 1000) == "us"


def test_reads_no_further_than_the_prefix() -> None:
    filler = block("<", 5, b"\0" * 60_000) * 2
    assert len(filler) > PREFIX_BYTES
    assert time_resolution(section("<") + filler + interface("<", resolution("<", 9))) == "us"


def test_many_tiny_blocks_come_to_an_end() -> None:
    tiny = block("<", 5, b"")
    assert time_resolution(section("<") + tiny * (PREFIX_BYTES // len(tiny))) == "us"


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(ORDERS), st.binary(max_size=200), st.data())
def test_damaged_anywhere(order: str, noise: bytes, data: st.DataObject) -> None:
    capture = bytearray(section(order) + interface(order, resolution(order, 9)) + packet(order))
    place = data.draw(st.integers(0, len(capture)))
    capture[place : place + len(noise)] = noise
    # Before the damage everything counts, so only damage in or before the option may hide it.
    answer = time_resolution(bytes(capture))
    assert answer == "ns" if place >= 28 + 16 + 5 else answer in ("us", "ns")
