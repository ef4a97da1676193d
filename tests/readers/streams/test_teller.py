"""Who hears what: -d 0 nothing, -q no warnings, -v details too."""

import pytest

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.readers.streams.teller import Teller


@pytest.mark.parametrize(("verbosity", "tells"), [(1, False), (4, False), (5, True), (10, True)])
def test_each_stream_is_told_of_from_five_on(verbosity, tells):
    assert Teller(StreamsConfig(verbosity=verbosity)).tells_streams is tells


@pytest.mark.parametrize(
    ("options", "heard"),
    [
        ({}, ["failure", "warning"]),
        ({"quiet": True}, ["failure"]),
        ({"verbosity": 2}, ["failure", "warning", "detail"]),
        ({"verbosity": 10}, ["failure", "warning", "detail"]),
        ({"verbosity": 0}, []),
        ({"quiet": True, "verbosity": 10}, ["failure", "detail"]),
    ],
)
def test_lines_are_heard_by_whom_wants_them(capsys, options, heard):
    teller = Teller(StreamsConfig(**options))
    teller.tell("failure")
    teller.warn("warning")
    teller.detail("detail")

    out, told = capsys.readouterr()
    assert out == ""
    assert told.splitlines() == [f"dlctl streams: {line}" for line in heard]
