"""Names and numbers of oddities, and the bits that native code has for them."""

import re
from pathlib import Path

import pytest

import daemonlogger_py.flow
from daemonlogger_py.flow.oddities import ODDITY_COUNT, Oddity, oddities_of

NATIVE = Path(next(iter(daemonlogger_py.flow.__path__))) / "oddity.pxd"


def test_numbers_leave_nothing_out_and_fit_into_the_bits() -> None:
    assert list(Oddity) == list(range(ODDITY_COUNT))
    assert ODDITY_COUNT <= 64


def test_each_has_a_meaning_of_its_own_in_one_line() -> None:
    meanings = {oddity.meaning for oddity in Oddity}

    assert len(meanings) == ODDITY_COUNT
    assert all("\n" not in meaning and 10 < len(meaning) < 90 for meaning in meanings)


def test_native_code_has_the_same_numbers() -> None:
    """The tests of `decode` hold the values; this names the one that differs."""
    numbers = re.findall(r"^    ODDITY_(\w+) = (\d+)$", NATIVE.read_text(), re.MULTILINE)

    assert {name: int(number) for name, number in numbers} == dict(Oddity.__members__)


def test_bits_are_named() -> None:
    assert oddities_of(0) == frozenset()
    assert oddities_of(0b101) == {Oddity.SNAPLEN_CUT, Oddity.UNKNOWN_LINKTYPE}
    assert oddities_of((1 << ODDITY_COUNT) - 1) == set(Oddity)


@pytest.mark.parametrize("bits", [1 << ODDITY_COUNT, 1 << 63, -1])
def test_bit_without_a_name_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match=f"{ODDITY_COUNT} oddities"):
        oddities_of(bits)
