"""What is known of closed streams."""

import pytest

from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished


def test_closed_stream_cannot_change():
    closed = ClosedStream(number=1, session=2, name="a", to_server=True, stream_bytes=3)
    with pytest.raises(AttributeError):
        closed.number = 2
    assert not hasattr(closed, "__dict__")


def test_nothing_found_is_the_default():
    closed = ClosedStream(number=1, session=2, name=None, to_server=True, stream_bytes=0)
    assert Finished(closed) == (closed, "", (), (), None, False, ())
    assert Body(1, "a", 2).problems == ()
