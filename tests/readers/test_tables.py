"""Tables and lists of facts: as wide as the terminal, or plain for programs."""

import builtins
import sys

import pytest

from daemonlogger_py.readers import tables
from daemonlogger_py.readers.tables import (
    MOST_RICH_ROWS,
    Column,
    Fact,
    Row,
    plain,
    show,
    show_facts,
)

COLUMNS = (Column("name", folds=True), Column("size", right=True), Column("note"))
ROWS = [Row(("a", "1", "")), Row(("[red]b[/]", "1000", "x y"), "red")]


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Standard output is a terminal of this many columns."""

    def of(columns: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.delenv("NO_COLOR", raising=False)

    return of


def test_plain_columns_are_aligned() -> None:
    assert list(plain(COLUMNS, ROWS)) == [
        "NAME       SIZE  NOTE",
        "a             1",
        "[red]b[/]  1000  x y",
    ]


def test_columns_grow_where_they_have_to() -> None:
    rows = [Row(("a", str(number), "-")) for number in range(1500)] + [Row(("b" * 30, "1", "-"))]
    lines = list(plain(COLUMNS, rows))
    assert len(lines) == 1502
    assert lines[1] == "a        0  -"
    assert lines[-1] == "b" * 30 + "     1  -"


def test_rows_come_as_they_are_made() -> None:
    taken = []

    def rows():
        for number in range(5000):
            taken.append(number)
            yield Row(("a", str(number), "-"))

    lines = plain(COLUMNS, rows())
    next(lines)
    assert len(taken) < 2000


def test_no_terminal_is_plain(capsys) -> None:
    show(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == list(plain(COLUMNS, ROWS))


def test_a_terminal_has_colours_and_no_markup(terminal, capsys) -> None:
    terminal(80)
    show(COLUMNS, ROWS)
    lines = capsys.readouterr().out.splitlines()
    assert "\x1b[1m" in lines[0]
    assert lines[1] == "a              1"
    assert "[red]b[/]" in lines[2]
    assert "\x1b[31m" in lines[2]


def test_a_narrow_terminal_folds_the_column_that_may(terminal, capsys, monkeypatch) -> None:
    terminal(24)
    show(COLUMNS, [Row(("n" * 20, "1234", "noted"))])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1] == "n" * 13 + " 1234 noted"
    assert lines[2].strip() == "n" * 7


def test_a_table_that_just_fits_has_one_blank_between(terminal, capsys) -> None:
    terminal(21)
    show(COLUMNS, [Row(("n" * 10, "1234", "noted"))])
    assert capsys.readouterr().out.splitlines()[1] == "n" * 10 + " 1234 noted"


def test_a_long_table_is_plain_on_a_terminal_too(terminal, capsys) -> None:
    terminal(80)
    show(COLUMNS, [Row(("a", "1", "-"), "red")] * (MOST_RICH_ROWS + 1))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == MOST_RICH_ROWS + 2
    assert "\x1b" not in "".join(lines)


def test_without_rich_a_terminal_is_plain(terminal, capsys, monkeypatch) -> None:
    terminal(80)
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("rich"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert tables.console() is None
    show(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == list(plain(COLUMNS, ROWS))


FACTS = [Fact("recorder", "running [b]"), Fact("rate", "fast", "red")]


def test_facts_are_lines_with_labels(capsys) -> None:
    show_facts(FACTS)
    assert capsys.readouterr().out == "recorder: running [b]\nrate:     fast\n"


def test_facts_on_a_terminal(terminal, capsys) -> None:
    terminal(80)
    show_facts(FACTS)
    first, second = capsys.readouterr().out.splitlines()
    assert "recorder" in first
    assert "running [b]" in first
    assert "\x1b[31mfast" in second
