"""A table on standard output: by `rich` on a terminal, and otherwise in plain, aligned columns.

Plain tables have one line a row, columns parted by two blanks, and no empty cell: what is not known
is "-". They are written as rows come, whatever their number; columns grow where they have to.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.readers.output import write_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

# rich takes about 1 ms a row and holds all of them: nobody looks at more rows in colour.
MOST_RICH_ROWS = 500
_ALIGNED_ROWS = 1000
_WIDEST = 10_000
_NARROWEST = 10  # for a column that goes on in further lines


class Column(NamedTuple):
    """One column of a table."""

    heading: str
    right: bool = False  # to the right, as numbers are
    folds: bool = False  # the one to go on in a second line where a terminal is narrow


class Row(NamedTuple):
    """One row: a cell a column, and rich's name for how it looks, such as "red"."""

    cells: Sequence[str]
    style: str = ""


class Fact(NamedTuple):
    """One line of a list of facts, such as a status is."""

    label: str
    text: str
    style: str = ""


def on_terminal() -> bool:
    """Whether it is people who see the table: a program rather wants numbers as they are."""
    return sys.stdout.isatty()


def console() -> "Console | None":
    """What draws on the terminal that standard output is, if it is one and `rich` is installed."""
    if not on_terminal():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    # What looks like a number or a path is not to be coloured by guessing.
    return Console(highlight=False, markup=False, emoji=False)


def show(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Print the table. Raises OutputError."""
    rows = iter(rows)
    terminal = console()
    if terminal is None:
        write_lines(plain(columns, rows))
        return
    first = list(islice(rows, MOST_RICH_ROWS + 1))
    if len(first) > MOST_RICH_ROWS:
        write_lines(plain(columns, chain(first, rows)))
    else:
        write_lines(_drawn(terminal, columns, first))


def plain(columns: Sequence[Column], rows: Iterable[Row]) -> Iterator[str]:
    """The lines of the table without a terminal."""
    rows = iter(rows)
    widths = [0] * len(columns)
    block: list[Sequence[str]] = [[column.heading.upper() for column in columns]]
    block += [row.cells for row in islice(rows, _ALIGNED_ROWS)]
    while block:
        widths = [
            max(width, *(len(cells[at]) for cells in block)) for at, width in enumerate(widths)
        ]
        for cells in block:
            yield "  ".join(
                cell.rjust(width) if column.right else cell.ljust(width)
                for column, width, cell in zip(columns, widths, cells, strict=True)
            ).rstrip()
        block = [row.cells for row in islice(rows, _ALIGNED_ROWS)]


def _drawn(terminal: "Console", columns: Sequence[Column], rows: Sequence[Row]) -> list[str]:
    """The lines of the table as `terminal` shows them, colours and all."""
    table = _rich_table(columns, rows, apart=2)
    unbounded = terminal.options.update(width=_WIDEST)
    if terminal.measure(table, options=unbounded).maximum > terminal.width:
        table = _rich_table(columns, rows, apart=1)
    with terminal.capture() as captured:
        terminal.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


def _rich_table(columns: Sequence[Column], rows: Sequence[Row], apart: int) -> "RichTable":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, apart, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            Text(column.heading),
            justify="right" if column.right else "left",
            no_wrap=not column.folds,
            min_width=_NARROWEST if column.folds else None,
            overflow="fold" if column.folds else "ellipsis",
        )
    for row in rows:
        # A Text is shown as it is: a name in the table is never taken for markup.
        table.add_row(*(Text(cell) for cell in row.cells), style=row.style)
    return table


def show_facts(facts: Sequence[Fact]) -> None:
    """Print one line a fact. Raises OutputError."""
    terminal = console()
    if terminal is None:
        width = max((len(fact.label) for fact in facts), default=0) + 1
        write_lines(f"{fact.label + ':':<{width}} {fact.text}" for fact in facts)
        return
    with terminal.capture() as captured:
        terminal.print(drawn_facts(facts))
    write_lines(line.rstrip() for line in captured.get().splitlines())


def drawn_facts(facts: Iterable[Fact]) -> "RichTable":
    """The same for `rich` to draw."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for fact in facts:
        table.add_row(Text(fact.label), Text(fact.text, style=fact.style))
    return table
