"""What people write for a time, and what they get."""

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.config.times import parse_time
from daemonlogger_py.errors import UsageError

NS = 10**9


@pytest.fixture(autouse=True)
def berlin(monkeypatch) -> Iterator[None]:
    """A local time that is not UTC and has a summer time."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def utc_ns(*parts: int, fraction_ns: int = 0) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * NS + fraction_ns  # type: ignore[arg-type, misc]


# 2024-05-02, a quarter past midnight in summer time: in UTC it is still the day before.
NOW_NS = utc_ns(2024, 5, 1, 22, 15) + 123


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("now", NOW_NS),
        ("0", 0),
        ("1700000000", 1_700_000_000 * NS),
        ("1700000000.5", 1_700_000_000 * NS + NS // 2),
        ("1700000000.000000001", 1_700_000_000 * NS + 1),
        ("-30s", NOW_NS - 30 * NS),
        ("-90m", NOW_NS - 5400 * NS),
        ("-1h", NOW_NS - 3600 * NS),
        ("-2d", NOW_NS - 2 * 86400 * NS),
        ("-1w", NOW_NS - 7 * 86400 * NS),
        ("2024-05-01T14:00:00Z", utc_ns(2024, 5, 1, 14)),
        ("2024-05-01t14:00:00z", utc_ns(2024, 5, 1, 14)),
        ("2024-05-01 14:00Z", utc_ns(2024, 5, 1, 14)),
        ("2024-05-01T14:00:00.123456789Z", utc_ns(2024, 5, 1, 14, fraction_ns=123_456_789)),
        ("2024-05-01T14:00:00,5Z", utc_ns(2024, 5, 1, 14, fraction_ns=NS // 2)),
        ("2024-05-01T14:00:00+02:00", utc_ns(2024, 5, 1, 12)),
        ("2024-05-01T14:00:00+0530", utc_ns(2024, 5, 1, 8, 30)),
        ("2024-05-01T14:00:00-03", utc_ns(2024, 5, 1, 17)),
        ("2024-05-01T14:00:00", utc_ns(2024, 5, 1, 12)),  # summer
        ("2024-01-01T14:00:00", utc_ns(2024, 1, 1, 13)),  # winter
        ("2024-05-01 14:00", utc_ns(2024, 5, 1, 12)),
        ("2024-05-01", utc_ns(2024, 4, 30, 22)),
        ("14:00", utc_ns(2024, 5, 2, 12)),
        ("9:30", utc_ns(2024, 5, 2, 7, 30)),
        ("14:00:05.25", utc_ns(2024, 5, 2, 12, 0, 5, fraction_ns=NS // 4)),
        ("today 14:00", utc_ns(2024, 5, 2, 12)),
        ("today", utc_ns(2024, 5, 1, 22)),
        ("Today 00:00:01", utc_ns(2024, 5, 1, 22, 0, 1)),
        ("yesterday 09:30", utc_ns(2024, 5, 1, 7, 30)),
        ("yesterday", utc_ns(2024, 4, 30, 22)),
    ],
)
def test_accepted(text: str, expected_ns: int) -> None:
    assert parse_time(text, NOW_NS) == expected_ns


def test_yesterday_has_the_hour_that_its_own_clock_had() -> None:
    after_the_change_ns = utc_ns(2024, 3, 31, 12)
    assert parse_time("yesterday 12:00", after_the_change_ns) == utc_ns(2024, 3, 30, 11)
    assert parse_time("12:00", after_the_change_ns) == utc_ns(2024, 3, 31, 10)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "then", "-1", "-1y", "-h", "--1h", "1h", "+1h", "1.5.5", "1700000000.",
        "1" * 13, "1.0000000001", "24:00", "14:60", "14:0", "2024-13-01", "2024-02-30",
        "2024-05-01T25:00", "2024-05-01T14:00:00+99:00", "2024-05-01T14:00:00+01:99",
        "2024-05-01 ", " 14:00", "today  14:00", "tomorrow", "today 14", "1969-12-31T00:00:00Z",
        "-" + "9" * 12 + "w", "0000-01-01", "\u0661\u0667", "now\n", "14:00Z",
    ],
)  # fmt: skip
def test_refused_naming_what_is_accepted(text: str) -> None:
    with pytest.raises(UsageError, match=r"accepted: seconds since 1970.*-90m.*today.*now$") as e:
        parse_time(text, NOW_NS)
    assert repr(text) in str(e.value)
    assert "\n" not in str(e.value)


@given(st.text(alphabet="0123456789-:.TZ+ smhdwtoday", max_size=30))
def test_anything_else_is_a_time_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert parse_time(text, NOW_NS) >= 0


@given(st.integers(0, 10**12 * NS - 1))
def test_epochs_are_exact(time_ns: int) -> None:
    assert parse_time(f"{time_ns // NS}.{time_ns % NS:09d}", NOW_NS) == time_ns
