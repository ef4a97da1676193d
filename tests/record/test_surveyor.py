"""One savefile at a time, sealed ones first, old ones with rests."""

import select
from collections.abc import Iterator
from pathlib import Path

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


def done(surveyor: Surveyor, *, old_too: bool = True) -> Done:
    surveyor.go_on(old_too=old_too)
    ready, _, _ = select.select([surveyor.done_fd], [], [], WAIT_S)
    assert ready
    found = surveyor.take()
    assert found is not None
    return found


def test_sealed_ones_come_first(ring: RingDirectory) -> None:
    surveyor = Surveyor(ring.fd)
    surveyor.old([ring.leave(1000), ring.leave(1100)])
    assert surveyor.sealed(ring.leave(1200), {"why": "size"})
    assert (surveyor.behind, surveyor.idle) == (3, False)
    assert surveyor.waits_s(old_too=False) == 0

    first, second = done(surveyor), done(surveyor)
    assert (first.job.name.epoch, first.job.note) == (1200, {"why": "size"})
    assert (second.job.name.epoch, second.job.note) == (1000, None)
    assert first.entry is not None
    assert first.entry.packets == 3
    assert (surveyor.behind, surveyor.idle) == (1, True)
    assert surveyor.waits_s(old_too=False) is None


def test_old_ones_wait_for_leave_and_for_rest(
    ring: RingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    surveyor = Surveyor(ring.fd)
    surveyor.old([ring.leave(1000), ring.leave(1100)])
    surveyor.go_on(old_too=False)
    assert surveyor.job is None
    surveyor.go_on(old_too=True)
    now = 102.0  # it took two seconds
    assert done(surveyor).job.name.epoch == 1000

    surveyor.go_on(old_too=True)
    assert surveyor.job is None
    assert surveyor.waits_s(old_too=True) == 2 * module.REST
    now = 102.0 + 2 * module.REST
    assert done(surveyor).job.name.epoch == 1100


def test_one_that_cannot_be_surveyed_says_why(ring: RingDirectory) -> None:
    surveyor = Surveyor(ring.fd)
    surveyor.sealed(SavefileName(1, 0, "t.1"), {})
    found = done(surveyor)

    assert found.entry is None
    assert isinstance(found.error, FileNotFoundError)


def test_too_many_are_refused_and_none_is_queued_twice(
    ring: RingDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SEALED", 1)
    surveyor = Surveyor(ring.fd)
    name, other = ring.leave(1000), ring.leave(1100)
    assert surveyor.sealed(name, {})
    assert not surveyor.sealed(other, {})
    surveyor.old([name, other])
    assert surveyor.behind == 2
