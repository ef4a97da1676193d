"""The table of options: tcpflow's letters are all there, and each value is judged."""

import pytest

from daemonlogger_py.config.stream_options import BY_LONG, BY_SHORT, STREAM_GROUPS, STREAM_OPTIONS

# The synopsis of tcpflow(1) 1.6.1, and -J, -P, -K, -0, which it has too.
SWITCHES = set("aBcCDIpsZglPqvVhHKJ0")
VALUED = set("bdeEfFiLmorRSTUwxXz")
LONG = {"help", "relinquish-privileges", "version", "verbose", "chroot"}


def test_every_letter_of_tcpflow_is_there() -> None:
    assert {letter for letter, option in BY_SHORT.items() if option.metavar is None} == SWITCHES
    assert {letter for letter, option in BY_SHORT.items() if option.metavar} == VALUED
    assert BY_LONG.keys() >= LONG


def test_names_are_used_once() -> None:
    assert len(BY_LONG) == len(STREAM_OPTIONS)
    assert len(BY_SHORT) == sum(option.short is not None for option in STREAM_OPTIONS)


def test_every_option_is_described() -> None:
    for option in STREAM_OPTIONS:
        assert option.group in STREAM_GROUPS
        assert option.help
        assert not option.help.endswith(".")
        assert option.man.endswith(".")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("max-bytes", "0", 0),
        ("max-bytes", "1k", 1024),
        ("max-bytes", "-1", None),
        ("skip", "0", 0),
        ("skip", "2147483647", 2147483647),
        ("max-fds", "1", 1),
        ("policy", "first", "first"),
        ("memory", "64m", 64 << 20),
        ("from", "1700000000.5", 1_700_000_000_500_000_000),
        ("to", "2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
    ],
)
def test_values(name: str, text: str, value: object) -> None:
    assert BY_LONG[name].parse(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("max-bytes", "-2"),
        ("max-bytes", "abc"),
        ("skip", "abc"),
        ("skip", "2147483648"),
        ("max-fds", "0"),
        ("max-fds", "-1"),
        ("policy", "middle"),
        ("memory", "1k"),
        ("max-flows", "0"),
        ("from", "whenever"),
        ("read", ""),
        ("outdir", "a\0b"),
    ],
)
def test_values_that_are_refused(name: str, text: str) -> None:
    with pytest.raises(ValueError, match="accepted: ") as error:
        BY_LONG[name].parse(text)
    assert repr(text)[:80] in str(error.value)
