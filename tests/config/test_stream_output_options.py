"""What is said about printing and post-processing is judged, and part of the whole table."""

import pytest

from daemonlogger_py.config.stream_options import BY_LONG, STREAM_OPTIONS
from daemonlogger_py.config.stream_output_options import OUTPUT_GROUPS, OUTPUT_OPTIONS


def test_they_are_the_last_of_the_table() -> None:
    assert STREAM_OPTIONS[-len(OUTPUT_OPTIONS) :] == OUTPUT_OPTIONS
    assert {option.group for option in OUTPUT_OPTIONS} == set(OUTPUT_GROUPS)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("debug", "0", 0),
        ("semaphore", "print", "/print"),
        ("semaphore", "/print", "/print"),
        ("disable", "netviz", "netviz"),
    ],
)
def test_values(name: str, text: str, value: object) -> None:
    assert BY_LONG[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("debug", "-1"),
        ("semaphore", ""),
        ("semaphore", "/"),
        ("semaphore", "a/b"),
        ("semaphore", "x" * 252),
        ("enable", "netviz"),
    ],
)
def test_values_that_are_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="accepted: ") as error:
        BY_LONG[name].parse(text)
    assert repr(text)[:80] in str(error.value)
