"""Verdicts as text and as JSON."""

import json

from daemonlogger_py.readers.verify.verdict import CatalogVerdict, Verdict
from daemonlogger_py.savefile.records import Walk

WHOLE = Verdict("a.1", packets=2, size_bytes=176, end_offset=176, first_ns=5, last_ns=10**9)


def test_a_whole_savefile() -> None:
    assert WHOLE.whole
    assert WHOLE.text() == (
        "a.1: 2 packets, 1970-01-01T00:00:00.000000005Z to 1970-01-01T00:00:01.000000Z, whole"
    )
    assert json.loads(WHOLE.as_json()) == {
        "path": "a.1",
        "packets": 2,
        "size_bytes": 176,
        "end_offset": 176,
        "first_ns": 5,
        "last_ns": 10**9,
        "damage": None,
        "whole": True,
    }


def test_a_damaged_one() -> None:
    verdict = Verdict("a.1", packets=1_234_567, damage="torn", note="left as it is")
    assert not verdict.whole
    assert verdict.text() == "a.1: 1234567 packets, torn, left as it is"
    assert json.loads(verdict.as_json())["note"] == "left as it is"


def test_one_that_was_altered_is_not_called_whole() -> None:
    verdict = Verdict("a.1", packets=1, faults=("altered: x", "index y: z"))
    assert not verdict.whole
    assert verdict.text() == "a.1: 1 packet, altered: x, index y: z"
    assert json.loads(verdict.as_json())["faults"] == ["altered: x", "index y: z"]


def test_names_and_faults_cannot_command_the_terminal() -> None:
    text = Verdict("a\x1b[2J\n.1", faults=("\x1b[2J",)).text()
    assert "\x1b" not in text
    assert "\n" not in text
    assert "\x1b" not in CatalogVerdict("\x1b", faults=("\x1b",)).text()


def test_a_walk() -> None:
    found = Walk(
        packets=2, size_bytes=176, end_offset=170, damage="torn", torn=True,
        first_ns=5, last_ns=4, earliest_ns=4, latest_ns=5,
    )  # fmt: skip
    told = Verdict.of_walk("a.1", found, faults=("b",), note="c")
    assert told == Verdict("a.1", 2, 176, 170, 5, 4, "torn", ("b",), "c")
    nothing = found._replace(packets=0, first_ns=0, last_ns=0)
    told = Verdict.of_walk("a.1", nothing)
    assert (told.first_ns, told.last_ns, told.faults, told.note) == (None, None, (), None)


def test_a_catalog() -> None:
    verdict = CatalogVerdict("d/p.catalog", ("d/p.catalog: is damaged", "b"), "made anew")
    assert not verdict.whole
    assert verdict.text() == "d/p.catalog: is damaged; b; made anew"
    assert json.loads(verdict.as_json()) == {
        "path": "d/p.catalog",
        "faults": ["d/p.catalog: is damaged", "b"],
        "note": "made anew",
        "whole": False,
    }
    named = CatalogVerdict("\x1b", ("'\\x1b': is damaged",))
    assert named.text() == "'\\x1b': is damaged"
    assert CatalogVerdict("p.catalog").text() == "p.catalog: nothing is wrong with the catalog"
