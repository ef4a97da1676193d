"""What a hook is told of a savefile."""

import pytest

from daemonlogger_py.service.sealed import environment

from .hooking import savefile


def test_all_of_it_is_in_the_environment() -> None:
    assert environment(savefile("/log/t.5")) == {
        "DAEMONLOGGER_FILE": "/log/t.5",
        "DAEMONLOGGER_FIRST": "1228873098.000000001",
        "DAEMONLOGGER_LAST": "1228873099.500000000",
        "DAEMONLOGGER_PACKETS": "7",
        "DAEMONLOGGER_BYTES": "1000506",
        "DAEMONLOGGER_DROPS": "3",
        "DAEMONLOGGER_INTERFACE": "le1",
        "DAEMONLOGGER_WHY": "size",
    }


def test_an_empty_savefile_has_no_times() -> None:
    told = environment(savefile("/log/t.5", first_ns=None, last_ns=None, packets=0))

    assert (told["DAEMONLOGGER_FIRST"], told["DAEMONLOGGER_LAST"]) == ("", "")


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "0.000000000"),
        (999_999_999, "0.999999999"),
        (4_102_444_800_123_456_789, "4102444800.123456789"),  # no double holds that
    ],
)
def test_times_are_exact(time_ns: int, text: str) -> None:
    assert environment(savefile("/log/t.5", first_ns=time_ns))["DAEMONLOGGER_FIRST"] == text
