"""What crosses processes is joined again, whatever became of tuples on the way."""

import json

from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished, PluginResult
from daemonlogger_py.readers.streams.tasks import finished, given

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
