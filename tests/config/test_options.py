"""The table of options: complete and unambiguous."""

import pytest

from daemonlogger_py.config.option import SWITCH_TYPES
from daemonlogger_py.config.options import BY_LONG, BY_SHORT, GROUPS, OPTIONS
from daemonlogger_py.config.recorder import PID_DIR, PID_FILE, RecorderConfig


def test_letters_and_names_are_unique() -> None:
    letters = [option.short for option in OPTIONS if option.short]
    assert len(letters) == len(set(letters))
    assert len(BY_LONG) == len(OPTIONS)


def test_letters_of_the_original() -> None:
    assert "".join(sorted(BY_SHORT)) == "BFMPRSTacdfghilmnoprstuvz"


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
    # There is no PID file unless it is asked for, so these two are no fields' defaults.
    without = {"pidfile": PID_FILE, "pid-dir": PID_DIR}
    field = option.long.replace("-", "_")
    expected = without.get(option.long) or getattr(RecorderConfig(), field)
    assert option.parse(option.default.partition(";")[0]) == expected


def test_what_a_tap_without_savefiles_refuses() -> None:
    assert {o.long for o in OPTIONS if o.savefiles_only} == {
        "roll-size", "roll-time", "roll-packets", "max-files", "ring", "max-percent", "max-bytes",
        "min-free", "max-age", "prune-run", "archive", "buffer-memory", "direct", "on-roll",
        "catalog",
    }  # fmt: skip


def test_an_option_whose_value_may_be_left_out_says_what_that_means() -> None:
    assert {o.long: o.parse(o.absent) for o in OPTIONS if o.absent} == {"pace": 1.0}
