"""Notes in, pins and messages out, without ever waiting for the recorder."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from daemonlogger_py.record.catalog_link import SPANS_AT_ONCE, Link
from daemonlogger_py.record.journal import Journal


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    ours, recorder = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, recorder:
        ours.settimeout(0)
        recorder.settimeout(0)
        yield Link(ours, Journal(4096)), recorder


def said(recorder: socket.socket) -> list[dict[str, Any]]:
    found = []
    while True:
        try:
            found.append(json.loads(recorder.recv(1 << 16)))
        except BlockingIOError:
            return found


def note(recorder: socket.socket, what: str, *, at_ns: int = 0, **facts: object) -> None:
    recorder.send(json.dumps({"note": what, "at_ns": at_ns, **facts}).encode())


def test_notes_come_in_order(ends: tuple[Link, socket.socket]) -> None:
    link, recorder = ends
    assert link.notes() == []
    for number in range(3):
        note(recorder, "opened", at_ns=number)

    assert [(note.number, note.what, note.at_ns) for note in link.notes()] == [
        (1, "opened", 0),
        (2, "opened", 1),
        (3, "opened", 2),
    ]
    assert link.hung_up_ns is None


def test_the_recorder_s_end_is_noticed_behind_its_last_note(
    ends: tuple[Link, socket.socket],
) -> None:
    link, recorder = ends
    note(recorder, "end", why="SIGTERM")
    recorder.close()

    assert [(note.what, note.facts["why"]) for note in link.notes()] == [("end", "SIGTERM")]
    assert link.hung_up_ns is not None
    link.say("event", "is for nobody")
    assert link.notes() == []


def test_pins_are_told_when_they_change(ends: tuple[Link, socket.socket]) -> None:
    link, recorder = ends
    assert link.tell_pins([])
    assert said(recorder) == [{"pins": [], "first": True, "more": False}]
    assert link.tell_pins([(1, 2)])
    assert link.tell_pins([(1, 2)])
    assert said(recorder) == [{"pins": [[1, 2]], "first": True, "more": False}]


def test_many_pins_come_in_parts(ends: tuple[Link, socket.socket]) -> None:
    link, recorder = ends
    spans = [(2 * number, 2 * number + 1) for number in range(2 * SPANS_AT_ONCE + 1)]
    assert link.tell_pins(spans)

    parts = said(recorder)
    assert [(part["first"], part["more"]) for part in parts] == [
        (True, True),
        (False, True),
        (False, False),
    ]
    assert [tuple(span) for part in parts for span in part["pins"]] == spans


def test_pins_that_are_not_taken_are_told_again(ends: tuple[Link, socket.socket]) -> None:
    link, recorder = ends
    while True:  # a recorder that does not listen
        try:
            link._link.send(b'{"say": ["x", "x"]}')
        except BlockingIOError:
            break
    assert not link.tell_pins([(1, 2)])
    said(recorder)
    assert link.tell_pins([(1, 2)])
    assert said(recorder)[-1]["pins"] == [[1, 2]]


def test_what_was_taken_in_and_not_written_is_there_for_the_next(
    ends: tuple[Link, socket.socket],
) -> None:
    link, recorder = ends
    note(recorder, "opened", name="a")
    note(recorder, "figures", figures={})
    note(recorder, "dropped", packets=5)
    taken = link.notes()
    assert [(one.what, one.number) for one in taken] == [
        ("opened", 1),
        ("figures", 0),
        ("dropped", 2),
    ]
    note(recorder, "gap", kind="unknown")

    again = Link(link._link, link._journal)
    assert [(one.what, one.number) for one in again.notes()] == [
        ("opened", 1),
        ("dropped", 2),
        ("gap", 3),
    ]
    assert again.notes() == []


def test_killed_between_journal_and_link(ends: tuple[Link, socket.socket]) -> None:
    """It is in both then, and comes once; one that says the same comes nevertheless."""
    link, recorder = ends
    for _ in range(2):
        note(recorder, "dropped", packets=5)
    link._journal.add(link._link.recv(1 << 16, socket.MSG_PEEK))

    again = Link(link._link, link._journal)
    assert [(one.what, one.number) for one in again.notes()] == [("dropped", 1), ("dropped", 2)]
    note(recorder, "dropped", packets=5)
    assert [one.number for one in again.notes()] == [3]
