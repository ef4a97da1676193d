"""Times, sizes and durations as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.config.times import parse_time
from daemonlogger_py.readers.figures import counted, duration, short_size, size, utc

NS = 1_000_000_000


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (10_000_000, "9.54 MiB"),
        (10 << 20, "10.0 MiB"),
        (100 << 20, "100 MiB"),
        (999 << 20, "999 MiB"),
        (1023 << 20, "1.00 GiB"),
        (300 << 30, "300 GiB"),
        (5000 << 40, "5,000 TiB"),
        (0.5, "0 B"),
    ],
)
def test_size(size_bytes: float, text: str) -> None:
    assert size(size_bytes) == text
    assert short_size(size_bytes) == text.replace("iB", "").replace("B", "").replace(" ", "")


@given(st.integers(0, 1 << 62))
def test_sizes_are_short(size_bytes: int) -> None:
    assert len(size(size_bytes).replace(",", "")) <= 11
    assert len(short_size(min(size_bytes, 1 << 49))) <= 5


@pytest.mark.parametrize(
    ("span_ns", "text"),
    [
        (0, "0.0 s"),
        (2_500_000_000, "2.5 s"),
        (60 * NS, "1 min"),
        (61 * NS, "1 min 1 s"),
        (3_600 * NS, "1 h"),
        (3_661 * NS, "1 h 1 min"),
        (3_601 * NS, "1 h"),
        (90_000 * NS, "1 d 1 h"),
        (8 * 86_400 * NS, "1 w 1 d"),
        (1 << 63, "15250 w 1 d"),
    ],
)
def test_duration(span_ns: int, text: str) -> None:
    assert duration(span_ns) == text


@given(st.integers(0, 4_000_000_000))
def test_what_is_printed_is_accepted(second: int) -> None:
    assert parse_time(utc(second * NS + 999_999_999), 0) == second * NS


@pytest.mark.parametrize("time_ns", [1 << 100, -(1 << 100)])
def test_a_time_past_every_calendar_is_a_number(time_ns: int) -> None:
    assert utc(time_ns) == str(time_ns // NS)


def test_counted() -> None:
    assert [counted(number, "packet") for number in (0, 1, 1234)] == [
        "0 packets",
        "1 packet",
        "1,234 packets",
    ]
