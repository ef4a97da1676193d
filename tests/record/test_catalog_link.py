"""Notes in, pins and messages out, without ever waiting for the recorder."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from daemonlogger_py.record.catalog_link import SPANS_AT_ONCE, Link


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    ours, recorder = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, recorder:
        ours.settimeout(0)
        recorder.settimeout(0)
        yield Link(ours), recorder


def said(recorder: socket.socket) -> list[dict[str, Any]]:
    found = []
    while True:
        try:
            found.append(json.loads(recorder.recv(1 << 16)))
        except BlockingIOError:
            return found


def test_notes_come_in_order(ends: tuple[Link, socket.socket]) -> None:
    link, recorder = ends
    assert link.notes() == []
    for number in range(3):
        recorder.send(json.dumps({"note": "opened", "number": number}).encode())

    assert [note["number"] for note in link.notes()] == [0, 1, 2]
    assert link.hung_up_ns is None


def test_the_recorder_s_end_is_noticed_behind_its_last_note(
    ends: tuple[Link, socket.socket],
) -> None:
    link, recorder = ends
    recorder.send(b'{"note": "end"}')
    recorder.close()

    assert link.notes() == [{"note": "end"}]
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
