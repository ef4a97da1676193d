"""That the disk does not keep up is said when it begins, when it ends, and not all the time."""

import pytest

from daemonlogger_py.record import starvation
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.starvation import STARVING_NS, Starvation

from .fakes import Told

NOW_NS = 10**15


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    monkeypatch.setattr(starvation.time, "monotonic_ns", lambda: NOW_NS)
    return Told()


def starved(told: Told) -> Starvation:
    return Starvation(BufferPool(1 << 20, 1 << 16), told)


def test_nothing_is_said_while_there_are_buffers(told: Told) -> None:
    starved(told).end()

    assert told.all == []


def test_begin_and_end_are_said_once(told: Told) -> None:
    state = starved(told)
    for ago_ns in (2_500_000_000, 2_000_000_000, 1):
        state.go_on(NOW_NS - ago_ns)
    state.end()
    state.end()

    assert told.events() == ["stalled", "resumed"]
    assert told.texts("resumed") == ["[!] The disk took buffers again after 2.5 s"]


def test_a_disk_that_barely_keeps_up_is_not_said_all_the_time(told: Told) -> None:
    state = starved(told)
    for turn in range(3):
        state.go_on(NOW_NS + turn)
        state.end()
    assert told.events() == ["stalled", "resumed"]
    state.go_on(NOW_NS + STARVING_NS)

    assert told.events() == ["stalled", "resumed", "stalled"]
