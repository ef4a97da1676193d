"""--help: options under their groups, in lines that fit a terminal."""

from daemonlogger_py.cli.usage import option_rows, row, wrapped
from daemonlogger_py.config.option import Option

QUICK = Option(long="quick", short="q", help="at once", man="", group="One")
SIZE = Option(long="size", metavar="N", help="how much", man="", group="Two", default="5")
PACE = Option(long="pace", metavar="N", absent="1", help="how fast", man="", group="One")
LONG = Option(long="a-very-long-name", metavar="FACTOR", help="this " * 20, man="", group="Two")


def test_groups_in_order_and_their_options() -> None:
    assert list(option_rows(("Two", "One"), (QUICK, SIZE, PACE))) == [
        "",
        "Two:",
        "  --size N                how much (default: 5)",
        "",
        "One:",
        "  -q, --quick             at once",
        "  --pace [N]              how fast",
    ]


def test_a_long_name_has_a_line_of_its_own() -> None:
    lines = list(option_rows(("Two",), (LONG,)))
    assert lines[2] == "  --a-very-long-name FACTOR"
    assert lines[3].startswith(" " * 26 + "this this")
    assert max(map(len, lines)) < 80


def test_rows_and_paragraphs_are_wrapped() -> None:
    lines = list(row("term", "word " * 30))
    assert lines[0].startswith("  term" + " " * 20 + "word")
    assert all(line.startswith(" " * 26 + "word") for line in lines[1:])
    assert max(map(len, wrapped("word " * 50))) < 80
    assert wrapped("a well-known-thing", 2) == ["  a well-known-thing"]
