"""What repairs keep beside savefiles: how it is called, and whose it is."""

import pytest

from daemonlogger_py.savefile.asides import (
    is_kept,
    is_unfinished,
    kept_name,
    owner_of,
    unfinished_name,
)
from daemonlogger_py.savefile.names import Naming, SavefileName

NAME = SavefileName(100, 2, "t.100.002")
NAMING = Naming("t")


@pytest.mark.parametrize("number", [0, 1, 12])
def test_what_a_repair_keeps(number: int) -> None:
    kept = kept_name(NAME.name, number)
    assert kept == f"t.100.002.damaged{f'.{number}' if number else ''}"
    assert owner_of(kept, NAMING) == NAME
    assert is_kept(kept)
    assert not is_unfinished(kept, NAMING)


def test_what_a_repair_that_was_killed_leaves() -> None:
    new = unfinished_name(NAME.name)
    assert new == ".t.100.002.repairing"
    assert owner_of(new, NAMING) == NAME
    assert is_unfinished(new, NAMING)
    assert not is_kept(new)


@pytest.mark.parametrize(
    "other",
    [
        *("t.100.002", "t.damaged", "t.catalog.damaged", "u.100.damaged", "t.100.damaged.x"),
        *("t.100.damaged.", "t.100.damaged.damaged", "t.100.DAMAGED", "t.100xdamaged", ".damaged"),
        *("t.100.repairing", "..t.100.repairing", ".t.100.repairing.1", ".t.100.part"),
        *("t.100.damaged.\u0661", "t.100\n.damaged"),
    ],
)
def test_what_belongs_to_no_savefile(other: str) -> None:
    assert owner_of(other, NAMING) is None
    assert not is_unfinished(other, NAMING)
