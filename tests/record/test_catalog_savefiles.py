"""Rows of savefiles: what stands there when, and what another process can go on with."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from daemonlogger_py.record import census
from daemonlogger_py.record.catalog_link import Note
from daemonlogger_py.record.catalog_savefiles import Savefiles
from daemonlogger_py.record.catalog_store import Store
from daemonlogger_py.record.ledger import Ledger
from daemonlogger_py.record.opening import LogDir
from daemonlogger_py.record.surveyor import Done, Job, Surveyor
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, RECOVERED, SEALED, Entry

from .cataloging import NAMING, SECOND_NS, RingDirectory

RUN = 3


class Kept:
    """Savefiles of a run, and the store that has their rows."""

    def __init__(self, ring: RingDirectory) -> None:
        self.ring = ring
        self.store = Store(str(ring.catalog_path), Ledger(), lambda *_: None)
        self.store.open()
        self.surveyor = Surveyor(ring.fd)
        self.savefiles = self.anew()
        self._number = 0

    def anew(self) -> Savefiles:
        """What another process begins with."""
        ready = SimpleNamespace(
            log_dir=LogDir(self.ring.fd, str(self.ring.path), NAMING, None, []),
            source=SimpleNamespace(linktype=1, snaplen=65535, nanosecond=False),
        )
        run = cast(Any, SimpleNamespace(number=RUN))
        return Savefiles(cast(Any, ready), self.store, self.surveyor, run)

    def note(self, what: str, epoch: int, **facts: Any) -> Note:
        self._number += 1
        at_ns = epoch * SECOND_NS
        facts = {"note": what, "at_ns": at_ns, "name": f"t.{epoch}", **facts}
        return Note(self._number, what, at_ns, facts, b"")

    def opens(self, epoch: int) -> None:
        self.savefiles.opened(self.note("opened", epoch))

    def seals(self, epoch: int) -> bool:
        return self.savefiles.sealed(self.note("sealed", epoch, dropped=2, lost=1, why="size"))

    def surveyed(self, job: Job) -> int | None:
        return self.savefiles.surveyed(Done(job, census.surveyed(self.ring.fd, job.name), None))

    def rows(self) -> dict[str, Entry]:
        assert self.store.commit()
        return self.ring.entries()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with RingDirectory(tmp_path) as ring:
        made = Kept(ring)
        yield made
        made.store.close()
        made.surveyor.close()


def job_of(kept: Kept) -> Job:
    return kept.surveyor._sealed.popleft()


def test_what_is_known_at_each_step(kept: Kept) -> None:
    kept.opens(1000)
    row = kept.rows()["t.1000"]
    assert (row.state, row.opened_ns, row.run, row.why) == (OPEN, 1000 * SECOND_NS, RUN, None)
    assert kept.savefiles.current == "t.1000"

    kept.ring.leave(1000, packets=4)
    assert kept.seals(1000)
    row = kept.rows()["t.1000"]
    assert (row.state, row.dropped, row.lost, row.why) == (OPEN, 2, 1, "size")

    assert kept.surveyed(job_of(kept)) == 1003 * SECOND_NS
    row = kept.rows()["t.1000"]
    assert (row.state, row.packets, row.dropped, row.lost) == (SEALED, 4, 2, 1)
    assert (row.opened_ns, row.run, row.position) == (1000 * SECOND_NS, RUN, 1)


def test_one_that_is_known_is_not_begun_again(kept: Kept) -> None:
    kept.opens(1000)
    kept.ring.leave(1000)
    kept.seals(1000)
    kept.opens(1000)  # as the journal says once more
    assert kept.rows()["t.1000"].why == "size"


def test_what_was_sealed_and_not_surveyed_is_surveyed_by_the_next(kept: Kept) -> None:
    for epoch in (1000, 1100, 1200):
        kept.opens(epoch)
        kept.ring.leave(epoch)
    kept.seals(1000)
    kept.seals(1100)
    kept.surveyed(job_of(kept))
    job_of(kept)
    assert [row.state for row in kept.rows().values()] == [SEALED, OPEN, OPEN]

    kept.savefiles = kept.anew()
    assert kept.store.catalog is not None
    kept.savefiles.resume(kept.store.catalog)
    job = job_of(kept)
    assert not kept.surveyor._sealed
    kept.surveyed(job)
    rows = kept.rows()
    assert [row.state for row in rows.values()] == [SEALED, SEALED, OPEN]
    assert (rows["t.1100"].dropped, rows["t.1100"].why, rows["t.1100"].run) == (2, "size", RUN)


def test_pruned_and_archived(kept: Kept) -> None:
    for epoch in (1000, 1100):
        kept.opens(epoch)
        kept.ring.leave(epoch)
        kept.seals(epoch)
    (kept.ring.path / "t.1000").unlink()
    kept.savefiles.pruned(kept.note("pruned", 1000))
    kept.savefiles.archived(kept.note("archived", 1100, archived_as="t.1100"))
    kept.savefiles.archived(kept.note("archived", 1300, archived_as="t.1300"))  # never cataloged
    assert {name: row.state for name, row in kept.rows().items()} == {"t.1100": ARCHIVED}

    # What was still to be surveyed is not put in again.
    job = job_of(kept)
    assert kept.savefiles.surveyed(Done(job, None, FileNotFoundError())) is None
    (kept.ring.path / "t.1000").touch()
    entry = Entry("t.1000", 1000, 0, SEALED, 24, 5, sha256=bytes(32))
    (kept.ring.path / "t.1000").unlink()
    kept.savefiles.surveyed(Done(job, entry, None))
    assert [*kept.rows()] == ["t.1100"]


def test_old_ones(kept: Kept) -> None:
    """An earlier run's: one it left open, one that was cut, and one that another has entered."""
    assert kept.store.catalog is not None
    for epoch, state in ((1000, OPEN), (1100, SEALED)):
        name = kept.ring.leave(epoch)
        kept.store.catalog.put(Entry(name.name, epoch, 0, state, 0, 0, run=1, opened_ns=7))
    kept.ring.leave(1200)
    kept.savefiles.recovered("t.1200")
    for epoch in (1000, 1100, 1200):
        name = NAMING.parse(f"t.{epoch}")
        assert name is not None
        for _ in range(2):
            assert kept.surveyed(Job(name, None)) is None

    rows = kept.rows()
    assert [row.state for row in rows.values()] == [RECOVERED, SEALED, RECOVERED]
    assert [row.opened_ns for row in rows.values()] == [7, 7, None]
    assert [row.position for row in rows.values()] == [1, 2, 3]


def test_too_many_come_back_with_a_census(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemonlogger_py.record.surveyor.MOST_SEALED", 1)
    assert kept.seals(1000)
    assert not kept.seals(1100)
