"""Command lines told apart: as getopt(3) does it, for whatever table."""

import getopt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemonlogger_py.cli.arguments import Table, refuse_values_of_switches, told_apart
from daemonlogger_py.config.option import Option
from daemonlogger_py.errors import UsageError


def option(long: str, short: str | None = None, **fields) -> Option:
    return Option(long=long, short=short, help="", man="", group="", **fields)


OPTIONS = (
    option("quick", "q"),
    option("zero", "0"),
    option("file", "f", metavar="FILE"),
    option("pace", metavar="FACTOR", absent="1"),
)
TABLE = Table(
    {one.long: one for one in OPTIONS}, {one.short: one for one in OPTIONS if one.short}, "see this"
)


def told(*argv: str) -> tuple[list[tuple[str, str | None]], list[str]]:
    found, words = told_apart(argv, TABLE)
    return [(one.long, text) for one, text in found], words


def test_options_and_words_in_any_order() -> None:
    assert told("-q", "tcp", "--file", "a", "port", "-fb", "25", "-0") == (
        [("quick", None), ("file", "a"), ("file", "b"), ("zero", None)],
        ["tcp", "port", "25"],
    )


def test_bundles() -> None:
    assert told("-q0fa") == ([("quick", None), ("zero", None), ("file", "a")], [])
    assert told("-qf", "-q") == ([("quick", None), ("file", "-q")], [])


def test_values() -> None:
    assert told("--file=a=b", "--file=", "-f", "") == (
        [("file", "a=b"), ("file", ""), ("file", "")],
        [],
    )
    assert told("--quick=yes") == ([("quick", "yes")], [])
    assert told("--pace", "2", "--pace", "tcp") == ([("pace", "2"), ("pace", None)], ["tcp"])


def test_what_is_no_option() -> None:
    assert told("-", "(", ">") == ([], ["-", "(", ">"])
    assert told("-q", "--", "-q", "--file") == ([("quick", None)], ["-q", "--file"])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["-qx"], "unknown option -x; see this"),
        (["--fi", "a"], "unknown option --fi; see this"),
        (["-f"], "-f/--file: FILE is missing; see this"),
        (["--file"], "-f/--file: FILE is missing; see this"),
    ],
)
def test_what_is_refused(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        told(*argv)
    assert str(error.value) == message


TOKENS = st.sampled_from(
    ["-q", "-0", "-f", "-q0", "-fx", "--file", "--file=y", "--quick", "-", "--", "w"]
)


@given(st.lists(TOKENS))
def test_as_pythons_getopt(argv: list[str]) -> None:
    try:
        options, words = getopt.gnu_getopt(argv, "q0f:", ["file=", "quick"])
    except getopt.GetoptError:
        with pytest.raises(UsageError):
            told(*argv)
        return
    names = {"-q": "quick", "-0": "zero", "-f": "file", "--file": "file", "--quick": "quick"}
    expected = [(names[name], text if names[name] == "file" else None) for name, text in options]
    assert told(*argv) == (expected, words)


def test_a_value_that_a_switch_is_given_is_refused() -> None:
    found, _ = told_apart(["-f", "a", "-q"], TABLE)
    refuse_values_of_switches(found, "see this")
    found, _ = told_apart(["--quick=no"], TABLE)
    with pytest.raises(UsageError, match=r"^-q/--quick: takes no value; see this$"):
        refuse_values_of_switches(found, "see this")
