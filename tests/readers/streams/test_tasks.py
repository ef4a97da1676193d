"""What crosses processes is joined again, whatever became of tuples on the way."""

import json

import pytest

from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished, PluginResult
from daemonlogger_py.readers.streams.tasks import finished, given, is_found

STREAM = ClosedStream(
    number=3, session=1, name="s", to_server=True, stream_bytes=9, gaps=((4, 2),), why="fin"
)


def crossed(value):
    return json.loads(json.dumps(value))


def test_part_of_a_task():
    assert crossed(given(STREAM)) == ["s", 9, [[4, 2]], STREAM.syn, True]
    assert given(STREAM._replace(why="rst", name=None))[::4] == (None, False)


def test_what_was_found_is_the_stream_again():
    body = Body(5, "s-HTTPBODY-001", 4, ("cut",))
    found = ("d41d", [body], ["note"], PluginResult("text", ""), True, ["note"])

    joined = finished(STREAM, crossed(found))

    assert joined == Finished(
        STREAM, "d41d", (body,), ("note",), PluginResult("text", ""), True, ("note",)
    )
    assert isinstance(joined.bodies[0], Body)
    hash(joined.bodies)


def test_nothing_found():
    assert finished(STREAM, crossed(("", [], [], None, False, []))) == Finished(STREAM)


BODY = [5, "s-HTTPBODY-001", 4, ["cut"]]
GOOD = ["d41d", [BODY], ["note"], ["text", ""], True, ["note"]]


@pytest.mark.parametrize(
    "found", [GOOD, ["", [], [], None, False, []], [*GOOD[:3], [None, "why"], *GOOD[4:]]]
)
def test_result_that_work_may_give(found):
    two = [given(STREAM), given(STREAM)]
    assert is_found(two, crossed([found, GOOD]))
    assert not is_found(two, crossed([found]))
    assert not is_found(two[:1], crossed([found, found]))


@pytest.mark.parametrize(
    ("at", "wrong"),
    [
        (0, None),
        (1, None),
        (1, [5]),
        (1, [BODY[:3]]),
        (1, [["5", *BODY[1:]]]),
        (1, [[True, *BODY[1:]]]),
        (1, [[5, 6, 4, []]]),
        (1, [[5, "a\0b", 4, []]]),
        (1, [[5, "\ud800", 4, []]]),
        (1, [[5, "name", 4.5, []]]),
        (1, [[5, "name", 4, [None]]]),
        (2, "note"),
        (2, [1]),
        (3, "text"),
        (3, ["text"]),
        (3, [1, ""]),
        (3, [None, None]),
        (4, 1),
        (5, {}),
    ],
)
def test_result_that_work_never_gives(at, wrong):
    found = [*GOOD]
    found[at] = wrong
    assert not is_found([given(STREAM)], crossed([found]))


@pytest.mark.parametrize("result", [None, {}, 5, [5], [[]], [{}], [GOOD[:5]], [[*GOOD, 1]]])
def test_what_is_no_result_at_all(result):
    assert not is_found([given(STREAM)], result)
