"""--json: one line of JSON a stream, whatever is in it."""

import json

from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished, PluginResult
from daemonlogger_py.readers.streams.lines import line

STREAM = ClosedStream(
    number=3,
    session=1,
    name="a-b",
    to_server=True,
    stream_bytes=9,
    gaps=((2, 5),),
    source="10.0.0.1",
    destination="::1",
    source_port=1,
    destination_port=2,
    first_ns=10**18 + 1,
    last_ns=10**18 + 2,
)


def parsed(finished, prefix="out/"):
    text = line(finished, prefix)
    assert text.endswith(b"\n")
    assert text.count(b"\n") == 1
    return json.loads(text)


def test_a_stream_is_an_object():
    found = parsed(Finished(STREAM))

    assert found["name"] == "out/a-b"
    assert found["gaps"] == [[2, 5]]
    assert (found["source"], found["destination_port"]) == ("10.0.0.1", 2)
    assert (found["first_ns"], found["stream_bytes"], found["to_server"]) == (10**18 + 1, 9, True)
    assert not {"md5", "bodies", "python", "notes", "unread", "row"} & found.keys()


def test_what_post_processing_found_is_in_it():
    body = Body(5, "a-b-HTTPBODY-001.html", 100, ("cut",))
    found = parsed(
        Finished(
            STREAM, "00ff", (body,), ("a note",), PluginResult("said"), unread=("not all of it",)
        )
    )

    assert found["md5"] == "00ff"
    assert found["bodies"] == [
        {"offset": 5, "name": "out/a-b-HTTPBODY-001.html", "size_bytes": 100, "problems": ["cut"]}
    ]
    assert (found["python"], found["notes"]) == ("said", ["a note"])
    assert found["unread"] == ["not all of it"]


def test_a_stream_without_a_file_has_no_name():
    stream = ClosedStream(number=0, session=0, name=None, to_server=False, stream_bytes=0)

    assert parsed(Finished(stream))["name"] is None


def test_a_name_that_is_no_text_and_a_result_with_line_ends_stay_one_line():
    stream = ClosedStream(number=0, session=0, name="x", to_server=False, stream_bytes=0)
    found = parsed(Finished(stream, plugin=PluginResult('two\nlines "\x00')), "\udcff/")

    assert found["name"] == "\udcff/x"
    assert found["python"] == 'two\nlines "\x00'
