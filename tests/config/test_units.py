"""Numbers as people write them: exact values, bounds, and that nothing but ValueError comes out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.config import units


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1),
        ("65536", 65536),
        ("0007", 7),
        ("1k", 1 << 10),
        ("90m", 90 << 20),
        ("2g", 2 << 30),
        ("2G", 2 << 30),
        ("3T", 3 << 40),
        (str(1 << 62), 1 << 62),
    ],
)
def test_size(text: str, size_bytes: int) -> None:
    assert units.parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    [
        *["", "0", "-1", "+1", "5x", "k", "1.5g", "1 k", " 1", "1_000", "0x10", "1kb", "1\n"],
        *["1\u212a", "\u0663", str((1 << 62) + 1), "4611686018427387904t", "9" * 5000],
    ],
)
def test_not_a_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not accepted; accepted: bytes"):
        units.parse_size(text)


def test_size_names_its_bounds() -> None:
    with pytest.raises(ValueError, match=r"'512k' is not accepted; .*; 1m or more"):
        units.parse_size("512k", at_least=1 << 20)
    with pytest.raises(ValueError, match="from 4k to 65536"):
        units.parse_size("1g", at_least=4096, at_most=65536)


@given(st.integers(1, units.MAX_BYTES))
def test_size_round_trip(size_bytes: int) -> None:
    assert units.parse_size(str(size_bytes)) == size_bytes
    assert units.parse_size(units.format_size(size_bytes)) == size_bytes


@given(st.integers(1, 1023), st.sampled_from("kKmMgGtT"))
def test_size_suffixes_are_powers_of_1024(number: int, suffix: str) -> None:
    power = "kmgt".index(suffix.lower()) + 1
    assert units.parse_size(f"{number}{suffix}") == number * 1024**power


@pytest.mark.parametrize(
    ("text", "expected"), [("60", (60, "s")), ("5m", (5, "m")), ("2h", (2, "h")), ("1d", (1, "d"))]
)
def test_duration(text: str, expected: tuple[int, str]) -> None:
    assert units.parse_duration(text, "mhd") == expected


@pytest.mark.parametrize("text", ["", "0", "0m", "-1", "1w", "1s", "1.5h", "m", "2H", "9" * 30])
def test_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="accepted: N seconds, or Nm minutes, Nh hours, Nd days"):
        units.parse_duration(text, "mhd")


def test_duration_ends_at_a_century() -> None:
    assert units.parse_duration("36500d", "mhd") == (36500, "d")
    with pytest.raises(ValueError, match="100 years"):
        units.parse_duration("36501d", "mhd")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1", 1), ("90m", 5400), ("12h", 43200), ("7d", 604800), ("2w", 1209600)],
)
def test_age(text: str, seconds: int) -> None:
    assert units.parse_age(text) == seconds


@pytest.mark.parametrize(
    ("text", "percent"), [("65", 65.0), ("15%", 15.0), ("87.5", 87.5), ("1", 1.0), ("100", 100.0)]
)
def test_percent(text: str, percent: float) -> None:
    assert units.parse_percent(text) == percent


@pytest.mark.parametrize("text", ["", "%", "0", "0.99", "100.1", "101", "nan", "inf", "1e1", "5%%"])
def test_not_a_percent(text: str) -> None:
    with pytest.raises(ValueError, match="accepted: a percentage from 1 to 100"):
        units.parse_percent(text)


def test_min_free_is_bytes_or_percent() -> None:
    size = units.parse_min_free("10g")
    assert isinstance(size, int)
    assert size == 10 << 30
    share = units.parse_min_free("15%")
    assert isinstance(share, float)
    assert share == 15.0


@pytest.mark.parametrize("text", ["0", "0%", "100%", "-1", "x", "%"])
def test_not_a_min_free(text: str) -> None:
    with pytest.raises(ValueError, match="or a percentage of the volume such as 15%"):
        units.parse_min_free(text)


@given(st.integers(1, 1 << 62))
def test_count_round_trip(number: int) -> None:
    assert units.parse_count(str(number)) == number


@pytest.mark.parametrize("text", ["", "0", "x", "-5", "1.0", "²", "१", "9" * 5000])
def test_not_a_count(text: str) -> None:
    with pytest.raises(ValueError, match="accepted: a whole number, 1 or more"):
        units.parse_count(text)


@pytest.mark.parametrize("text", ["0", "0.05", ".05", "-1", "1m", "86401", "inf", "", ".", "1."])
def test_not_an_interval(text: str) -> None:
    with pytest.raises(ValueError, match=r"seconds from 0.1 to 86400"):
        units.parse_interval(text)


def test_interval() -> None:
    assert units.parse_interval("0.5") == units.parse_interval(".5") == 0.5
    assert units.parse_interval("86400") == 86400.0


def test_choice_lists_what_there_is() -> None:
    assert units.parse_choice("in", ("in", "out", "inout")) == "in"
    with pytest.raises(ValueError, match="'up' is not accepted; accepted: in, out or inout"):
        units.parse_choice("up", ("in", "out", "inout"))


def test_a_long_text_is_shown_cut() -> None:
    with pytest.raises(ValueError, match=r"\.\.\.' is not accepted") as caught:
        units.parse_count("x" * 100_000)
    assert len(str(caught.value)) < 200


NEAR_NUMBERS = st.text("0123456789.%kmgtdhwKMGT-+ eE_x\n٣", max_size=30) | st.text(max_size=30)


@given(NEAR_NUMBERS)
def test_any_text_gives_a_value_in_bounds_or_value_error(text: str) -> None:
    in_bounds = {
        units.parse_size: lambda value: 1 <= value <= units.MAX_BYTES,
        units.parse_count: lambda value: 1 <= value <= units.MAX_COUNT,
        units.parse_percent: lambda value: 1 <= value <= 100,
        units.parse_min_free: lambda value: 0 < value <= units.MAX_BYTES,
        units.parse_age: lambda value: 1 <= value <= units.MAX_SECONDS,
        units.parse_interval: lambda value: 0.1 <= value <= 86_400,
    }
    for parse, holds in in_bounds.items():
        try:
            value = parse(text)
        except ValueError as error:
            refusal = str(error)
        else:
            refusal = f"accepted: {value}"
            assert holds(value), (parse, value)
        # int() and float() raise ValueError too, with words that help no one.
        assert "accepted: " in refusal
        assert "\n" not in refusal


def test_time_may_count_from_now(monkeypatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_700_000_000_000_000_001)
    assert units.parse_time("now") == 1_700_000_000_000_000_001
    assert units.parse_time("-1m") == 1_699_999_940_000_000_001
    with pytest.raises(ValueError, match="'soon' is no time; accepted: seconds since 1970") as told:
        units.parse_time("soon")
    assert type(told.value) is ValueError
