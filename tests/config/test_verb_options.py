"""Options that verbs share: the same in each table, but for their words and their group."""

import pytest

from daemonlogger_py.config import verb_options
from daemonlogger_py.config.archive_options import VERB_OPTIONS
from daemonlogger_py.config.option import Option
from daemonlogger_py.config.stream_options import BY_LONG

SHARED = {
    option.long: option for option in vars(verb_options).values() if isinstance(option, Option)
}


def what_it_takes(option: Option) -> tuple[object, ...]:
    return option.short, option.metavar, option.parse, option.absent, option.command


def test_what_is_shared() -> None:
    assert set(SHARED) == {
        "ring", "prefix", "from", "to", "json", "index-dir", "jobs", "no-progress", "help",
    }  # fmt: skip


@pytest.mark.parametrize("verb", VERB_OPTIONS)
def test_verbs_of_the_archive_take_the_same(verb: str) -> None:
    for option in VERB_OPTIONS[verb]:
        if option.long in SHARED:
            assert what_it_takes(option) == what_it_takes(SHARED[option.long])


@pytest.mark.parametrize("name", ["from", "to"])
def test_a_span_of_streams_is_one_of_packets(name: str) -> None:
    whole = {"from": verb_options.FROM, "to": verb_options.TO}

    assert BY_LONG[name] is whole[name]
