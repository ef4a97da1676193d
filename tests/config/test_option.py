"""What an option is called in messages, and the values that are names."""

import pytest

from daemonlogger_py.config.option import Option, parse_file_name, parse_prefix
from daemonlogger_py.config.units import parse_count
from daemonlogger_py.errors import UsageError


def test_label_has_the_letter_where_there_is_one() -> None:
    option = Option(long="ring", help="keep a ring", man="Keep a ring.", group="Ring")
    assert option.label == "--ring"
    assert option._replace(short="r").label == "-r/--ring"


def test_a_value_is_shown_with_its_option_and_shortened() -> None:
    option = Option(long="count", help="", man="", group="", short="c", metavar="N")

    assert option.as_given(None) == "-c/--count"
    assert option.as_given("5") == "-c/--count '5'"
    assert option.as_given("x" * 200) == f"-c/--count '{'x' * 80}'"


def test_a_value_is_judged_by_the_options_own_parser() -> None:
    option = Option(long="count", help="", man="", group="", metavar="N", parse=parse_count)

    assert option.judged("5") == 5
    with pytest.raises(UsageError, match=r"^--count: .*accepted: "):
        option.judged("none")
    with pytest.raises(UsageError, match=r"^some\.toml: count: .*accepted: "):
        option.judged("none", "some.toml: count")


@pytest.mark.parametrize(
    "name", ["x", "daemonlogger.pcap", "-x", "a b", "\u00e4", "..x", "x" * 200]
)
def test_prefix(name: str) -> None:
    assert parse_prefix(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "/", "a\nb", "x" * 201, "\u00e4" * 101, "a\x1b[0m", "\udcff", "a\0"],
)
def test_not_a_prefix(name: str) -> None:
    with pytest.raises(ValueError, match="is not accepted; accepted: a printable file name"):
        parse_prefix(name)


@pytest.mark.parametrize("name", ["daemonlogger.pid", "a b", "\u00e4", "x" * 255])
def test_file_name(name: str) -> None:
    assert parse_file_name(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\n", "a\0", "x" * 256])
def test_no_file_name(name: str) -> None:
    with pytest.raises(ValueError, match="a file name without slashes"):
        parse_file_name(name)
