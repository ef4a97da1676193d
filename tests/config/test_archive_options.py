"""The tables of options of the archive's verbs: well-formed, and each value is judged."""

import pytest

from daemonlogger_py.config.archive_options import VERB_OPTIONS, groups_of, parse_reason
from daemonlogger_py.config.option import Option

EVERY = [(verb, option) for verb, options in VERB_OPTIONS.items() for option in options]
# tcpdump(1)'s letters, where extract has the option.
TCPDUMP = {"r": "read", "w": "write", "c": "count", "F": "filter-file"}


def option(verb: str, name: str) -> Option:
    (found,) = [one for one in VERB_OPTIONS[verb] if one.long == name]
    return found


@pytest.mark.parametrize("verb", VERB_OPTIONS)
def test_names_are_used_once(verb: str) -> None:
    options = VERB_OPTIONS[verb]
    names = [one.long for one in options]
    letters = [one.short for one in options if one.short]
    assert len(set(names)) == len(names)
    assert len(set(letters)) == len(letters)
    assert "help" in names
    assert not {"verb"} & set(names)


@pytest.mark.parametrize(("verb", "one"), EVERY, ids=lambda one: getattr(one, "long", one))
def test_every_option_is_described(verb: str, one: Option) -> None:
    assert one.group in groups_of(VERB_OPTIONS[verb])
    assert one.help
    assert not one.help.endswith(".")
    assert one.man.endswith(".")
    assert one.help[0].islower() or not one.help[0].isalpha()


def test_letters_are_those_of_tcpdump() -> None:
    letters = {one.short: one.long for one in VERB_OPTIONS["extract"] if one.short}
    assert letters == TCPDUMP | {"j": "jobs", "h": "help"}


def test_groups_come_in_order_and_once() -> None:
    groups = groups_of(VERB_OPTIONS["extract"])
    assert groups == ("Source", "Packets", "Output", "Index", "Resources", "Messages")


@pytest.mark.parametrize(
    ("verb", "name", "text", "value"),
    [
        ("ls", "from", "1700000000.5", 1_700_000_000_500_000_000),
        ("extract", "to", "2023-11-14T22:13:20Z", 1_700_000_000_000_000_000),
        ("extract", "count", "1", 1),
        ("extract", "memory", "1m", 1 << 20),
        ("extract", "jobs", "1024", 1024),
        ("status", "watch", "0.5", 0.5),
        ("pin", "quota", "0", 0),
        ("pin", "quota", "50g", 50 << 30),
        ("pin", "reason", "  alert 4711, Zoë ", "alert 4711, Zoë"),
        ("ls", "prefix", "eth0.pcap", "eth0.pcap"),
    ],
)
def test_values(verb: str, name: str, text: str, value: object) -> None:
    assert option(verb, name).parse(text) == value


@pytest.mark.parametrize(
    ("verb", "name", "text"),
    [
        ("ls", "from", "soon"),
        ("ls", "ring", ""),
        ("ls", "prefix", "a/b"),
        ("extract", "count", "0"),
        ("extract", "memory", "1k"),
        ("extract", "jobs", "0"),
        ("extract", "jobs", "1025"),
        ("status", "watch", "0"),
        ("pin", "quota", "-1"),
        ("pin", "reason", ""),
        ("pin", "reason", "   "),
        ("pin", "reason", "two\nlines"),
        ("pin", "reason", "\x1b[2J"),
        ("pin", "reason", "x" * 1001),
    ],
)
def test_values_that_are_refused(verb: str, name: str, text: str) -> None:
    with pytest.raises(ValueError, match="accepted: "):
        option(verb, name).parse(text)


def test_a_number_that_is_left_out_is_judged_too() -> None:
    watch = option("status", "watch")
    assert watch.absent is not None
    assert watch.parse(watch.absent) == 2


def test_a_reason_is_shown_shortened_when_it_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 1000 characters") as refused:
        parse_reason("x" * 5000)
    assert len(str(refused.value)) < 200
