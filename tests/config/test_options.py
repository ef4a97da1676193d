"""The table of options: complete, unambiguous, and the prefix it judges itself."""

import pytest

from daemonlogger_py.config.options import (
    BY_LONG,
    BY_SHORT,
    GROUPS,
    OPTIONS,
    SWITCH_TYPES,
    parse_prefix,
)

# What a later delivery brings is refused until then, not accepted and ignored.
LATER = (
    "daemon user group chroot tap pidfile pid-dir tee pace metrics on-roll wait-interface sandbox"
)


def test_letters_and_names_are_unique() -> None:
    letters = [option.short for option in OPTIONS if option.short]
    assert len(letters) == len(set(letters))
    assert len(BY_LONG) == len(OPTIONS)


def test_letters_of_the_original() -> None:
    assert "".join(sorted(BY_SHORT)) == "BFMRSacfhilmnrstvz"


def test_options_of_later_deliveries_are_unknown() -> None:
    assert not set(LATER.split()) & set(BY_LONG)
    assert not set("dugTopP") & set(BY_SHORT)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.long)
def test_every_option_is_described(option) -> None:
    assert option.group in GROUPS
    assert option.help[0].islower() or option.help[0] in "-"
    assert not option.help.endswith(".")
    assert option.man.endswith(".")
    assert (option.metavar is None) is (option.types is SWITCH_TYPES)


@pytest.mark.parametrize(
    "option", [o for o in OPTIONS if o.default and o.metavar in ("SIZE", "NAME", "DIR")],
    ids=lambda option: option.long,
)  # fmt: skip
def test_defaults_shown_are_the_defaults(option) -> None:
    from daemonlogger_py.config.recorder import RecorderConfig

    assert option.parse(option.default) == getattr(RecorderConfig(), option.long.replace("-", "_"))


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
