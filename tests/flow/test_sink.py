"""The base of sinks takes everything, keeps nothing and wants nothing more."""

import pytest

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.flow.sink import Sink
from tests.flow.segments import ETHERNET, Side, records, timed


def test_everything_is_taken_without_effect():
    engine = Engine(Sink())
    client = Side()
    frames = [client.syn(), client.sends(0, b"ab"), client.sends(0, b"ab"), client.fin(9)]
    engine.feed(records(timed(frames)), ETHERNET)
    engine.finish()

    assert engine.counters().streams == 1
    assert engine.counters().open_streams == 0


def test_an_engine_needs_a_sink():
    with pytest.raises(TypeError):
        Engine(None)
