"""Serials without a ring: as many as a second needs, and bounded in memory."""

import pytest

from daemonlogger_py.record import serials
from daemonlogger_py.record.serials import Serials


def test_each_second_counts_for_itself() -> None:
    used = Serials()
    used.taken(100, 0)
    used.taken(100, 1)
    used.taken(101, 6)

    assert [used.next_serial(epoch) for epoch in (99, 100, 101)] == [0, 2, 7]


def test_asking_takes_nothing() -> None:
    used = Serials()

    assert [used.next_serial(100), used.next_serial(100)] == [0, 0]


def test_many_seconds_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serials, "SECONDS_REMEMBERED", 3)
    used = Serials()
    for epoch in range(4):
        used.taken(epoch, 0)

    assert [used.next_serial(epoch) for epoch in range(4)] == [0, 0, 0, 1]
