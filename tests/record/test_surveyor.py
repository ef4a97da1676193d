"""Sealed savefiles first, one at a time; old ones some at a time, with rests where they disturb."""

import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from daemonlogger_py.record import surveyor as module
from daemonlogger_py.record.surveyor import Done, Surveyor
from daemonlogger_py.savefile.names import SavefileName

from .bench import WAIT_S
from .cataloging import RingDirectory


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[RingDirectory]:
    with RingDirectory(tmp_path) as made:
        yield made


@pytest.fixture
def surveyor(ring: RingDirectory) -> Iterator[Surveyor]:
    made = Surveyor(ring.fd)
    yield made
    made.close()


def done(surveyor: Surveyor, *, old_too: bool = True, rests: bool = True) -> list[Done]:
    surveyor.go_on(old_too=old_too)
    ready, _, _ = select.select([surveyor.done_fd], [], [], WAIT_S)
    assert ready
    found = surveyor.take(rests=rests)
    assert found
    return found


def epochs(found: list[Done]) -> list[int]:
    return [one.job.name.epoch for one in found]


def test_sealed_ones_come_first(ring: RingDirectory, surveyor: Surveyor) -> None:
    surveyor.old([ring.leave(1000), ring.leave(1100)])
    assert surveyor.sealed(ring.leave(1200), {"why": "size"})
    assert surveyor.sealed(ring.leave(1300), {"why": "time"})
    assert (surveyor.behind, surveyor.idle) == (4, False)
    assert surveyor.waits_s(old_too=False) == 0
    assert surveyor.take(rests=True) == []

    (first,) = done(surveyor)
    assert (first.job.name.epoch, first.job.note) == (1200, {"why": "size"})
    assert first.entry is not None
    assert first.entry.packets == 3
    assert not surveyor.idle
    assert epochs(done(surveyor)) == [1300]
    assert (surveyor.behind, surveyor.idle) == (2, True)
    assert surveyor.waits_s(old_too=False) is None

    old = done(surveyor)
    assert epochs(old) == [1000, 1100]
    assert [one.job.note for one in old] == [None, None]
    assert surveyor.behind == 0


def test_old_ones_wait_for_leave_and_for_rest(
    ring: RingDirectory, surveyor: Surveyor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    monkeypatch.setattr(module, "OLD_AT_ONCE", 1)
    surveyor.old([ring.leave(epoch) for epoch in (1000, 1100, 1200)])
    surveyor.go_on(old_too=False)
    assert surveyor.behind == 3
    assert surveyor.waits_s(old_too=True) == 0
    surveyor.go_on(old_too=True)
    assert surveyor.waits_s(old_too=True) is None
    assert surveyor.idle
    now = 102.0  # it took two seconds
    assert epochs(done(surveyor)) == [1000]

    surveyor.go_on(old_too=True)
    assert surveyor.waits_s(old_too=True) == 2 * module.REST
    now = 102.0 + 2 * module.REST
    assert epochs(done(surveyor, rests=False)) == [1100]

    assert surveyor.waits_s(old_too=True) == 0
    assert epochs(done(surveyor)) == [1200]


def test_there_is_time_for_so_many_old_ones(
    ring: RingDirectory, surveyor: Surveyor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OLD_S", 0.0)
    monkeypatch.setattr(module, "OLD_AT_ONCE", 3)
    surveyor.old([ring.leave(epoch) for epoch in (1000, 1100, 1200, 1300)])
    assert [epochs(done(surveyor, rests=False)) for _ in range(4)] == [
        [1000],
        [1100],
        [1200],
        [1300],
    ]
    assert surveyor.behind == 0


def test_one_that_cannot_be_surveyed_says_why(ring: RingDirectory, surveyor: Surveyor) -> None:
    surveyor.old([SavefileName(1, 0, "t.1"), ring.leave(1000)])
    missing, there = done(surveyor)

    assert missing.entry is None
    assert isinstance(missing.error, FileNotFoundError)
    assert there.entry is not None


def test_too_many_are_refused_and_none_is_queued_twice(
    ring: RingDirectory, surveyor: Surveyor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SEALED", 1)
    name, other = ring.leave(1000), ring.leave(1100)
    assert surveyor.sealed(name, {})
    assert not surveyor.sealed(other, {})
    surveyor.old([name, other])
    assert surveyor.behind == 2


def test_it_is_closed_without_waiting(ring: RingDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, go_on, surveyed = threading.Event(), threading.Event(), []

    def survey(_: int, name: SavefileName, *, sealed: bool) -> NoReturn:
        surveyed.append(name)
        reading.set()
        go_on.wait(WAIT_S)
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(module.census, "surveyed", survey)
    surveyor = Surveyor(ring.fd)
    surveyor.old([ring.leave(1000), ring.leave(1100)])
    surveyor.go_on(old_too=True)
    assert reading.wait(WAIT_S)
    surveyor.close()
    surveyor.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(surveyor.done_fd)
    go_on.set()
    assert surveyor._thread is not None
    surveyor._thread.join(WAIT_S)
    assert not surveyor._thread.is_alive()
    assert [name.epoch for name in surveyed] == [1000]
