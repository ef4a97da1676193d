"""The live source as far as it can be tested without an interface of one's own.

What packets do to it is the lab's, with root, in network namespaces.
"""

import pytest

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.live import LiveSource
from daemonlogger_py.engine.protocol import Counters

from .reading import MANY


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"wake_fd": "0"},
        {"wake_fd": -1, "snaplen": "many"},
        {"wake_fd": -1, "snaplen": 1 << 40},
        {"wake_fd": -1, "buffer_bytes": 1 << 31},
        {"wake_fd": -1, "filter_text": b"udp"},
        {"wake_fd": -1, "direction": 1},
        {"wake_fd": -1, "tstamp_type": 1},
        {"wake_fd": -1, "colour": "red"},
    ],
)
def test_arguments_of_the_wrong_kind(arguments: dict[str, object]) -> None:
    with pytest.raises((TypeError, OverflowError)):
        LiveSource("lo", **arguments)


def test_interface_has_to_be_text() -> None:
    for name in (1, b"lo"):
        with pytest.raises(TypeError):
            LiveSource(name, wake_fd=-1)


def test_source_that_was_not_opened_is_closed() -> None:
    """What is left of a source whose opening failed: it may be closed, and nothing crashes."""
    source = LiveSource.__new__(LiveSource)

    with pytest.raises(ValueError, match="the source is closed"):
        source.fill(Buffer(1 << 17), MANY, MANY, MANY, MANY, MANY)
    assert source.counters() == Counters(0, 0, 0)
    assert source.next_ns is None
    assert source.failure is None
    assert source.live
    source.finish()
    source.close()
    source.close()
