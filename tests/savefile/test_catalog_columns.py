"""Checksums of rows: beside the same in Python, and for what only damage can leave."""

import zlib
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.savefile.catalog_columns import believed, checksum, text


class Row(NamedTuple):
    """A row, as tables have them."""

    name: Any
    number: Any
    value: Any


values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=40),
    st.text("\udc80\udcff\xe9", max_size=5),
    st.binary(max_size=40),
)
rows = st.lists(values, min_size=1, max_size=30).map(tuple)


def as_said(columns: tuple[Any, ...]) -> int:
    """The checksum as its docstring has it."""
    data = b""
    for value in columns:
        if value is None:
            data += b"N"
        elif isinstance(value, int):
            data += b"I" + value.to_bytes(8, "little", signed=True)
        else:
            kind = b"T" if isinstance(value, str) else b"B"
            raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            data += kind + len(raw).to_bytes(8, "little") + raw
    return zlib.crc32(data)


@given(rows)
def test_it_is_what_is_said_of_it(columns: tuple[Any, ...]) -> None:
    assert checksum(columns) == as_said(columns)


@pytest.mark.parametrize("size", [1014, 1015, 1016, 1024, 1025, 5000])
def test_long_columns_are_in_it_too(size: int) -> None:
    columns = ("a" * size, b"b" * size, 1, "c" * 10)
    assert checksum(columns) == as_said(columns)
    assert checksum(columns) != checksum(("a" * size, b"b" * (size - 1) + b"c", 1, "c" * 10))


@given(rows, st.data())
def test_any_other_column_has_another_checksum(columns: tuple[Any, ...], data: Any) -> None:
    place = data.draw(st.integers(0, len(columns) - 1))
    other = data.draw(values.filter(lambda value: value != columns[place]))
    assert checksum((*columns[:place], other, *columns[place + 1 :])) != checksum(columns)


def test_a_number_and_its_text_have_different_checksums() -> None:
    assert len({checksum((one,)) for one in (1, "1", b"1", 1.0, None)}) == 5


def test_a_checksum_is_the_same_everywhere() -> None:
    # Written in catalogs: another one would make all of them damaged.
    assert checksum(("p.1", 1, None, b"\x00\xff", "\xe9")) == 0x4F330D41


@pytest.mark.parametrize("value", [1.5, float("nan"), 2**70, -(2**63) - 1, [1], "\ud800x"])
def test_what_no_row_holds_has_one_or_is_refused(value: object) -> None:
    if isinstance(value, str):
        with pytest.raises(UnicodeEncodeError):
            checksum((value,))
    else:
        assert checksum((value,)) == checksum((value,)) != checksum((None,))


def test_rows_are_believed_by_their_last_column() -> None:
    good: tuple[Any, ...] = ("p.1", 1, None)
    damaged = [("p.2", 1, None, 5), ("p.3", 1, None, None), ("p.4", 1, None, "x"), ()]
    whole = (*good, checksum(good))
    found, others = believed([whole, *damaged, whole], Row)
    assert found == [good, good]
    assert {type(one) for one in found} == {Row}
    assert others == len(damaged)
    assert believed([], Row) == ([], 0)


def test_rows_are_made_by_a_plan() -> None:
    name, number = "p" * 50, 10**6
    rows = [(name[:-1] + "p", number + 0, value) for value in (0, 1, None, 7)]
    whole = [(*columns, checksum(columns)) for columns in rows]
    found, _ = believed(whole, Row, b"=-?")
    assert [tuple(row) for row in found] == [
        (name, None, truth) for truth in (False, True, False, True)
    ]
    assert len({id(row.name) for row in found}) == 1
    as_they_are, _ = believed(whole, Row, b"..")
    assert as_they_are == rows


def test_only_what_is_of_one_type_is_shared() -> None:
    rows = [(value, 0, 0) for value in (1, 1.0, b"1", "1")]
    found, _ = believed([(*columns, checksum(columns)) for columns in rows], Row, b"=")
    assert [type(row.name) for row in found] == [int, float, bytes, str]


@given(st.binary(max_size=40))
def test_text_of_any_bytes_can_be_written_back(raw: bytes) -> None:
    assert text(raw).encode("utf-8", "surrogateescape") == raw
