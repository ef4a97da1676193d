"""Changes reach the catalog together or not at all; nothing that refuses them is fatal."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.record import catalog_store
from daemonlogger_py.record.catalog_store import Store
from daemonlogger_py.record.ledger import Ledger
from daemonlogger_py.savefile import catalog_schema
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Gap, Run

from .cataloging import RingDirectory


class Kept:
    """A store in a ring's directory, and what it said."""

    def __init__(self, ring: RingDirectory) -> None:
        self.ring = ring
        self.said: list[str] = []
        self.ledger = Ledger()
        self.store = Store(
            str(ring.catalog_path), self.ledger, lambda event, text: self.said.append(event)
        )

    def add_gap(self) -> None:
        self.store.change(lambda catalog: catalog.add_gap(Gap()))

    def gaps(self) -> int:
        with Catalog.open(str(self.ring.catalog_path)) as catalog:
            return len(catalog.gaps())


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.setattr(catalog_schema, "WAIT_S", 0.01)
    monkeypatch.setattr(catalog_store, "RETRY_S", 0.0)
    with RingDirectory(tmp_path) as ring:
        made = Kept(ring)
        yield made
        made.store.close()


def damage_table(path: Path, table: str) -> None:
    """Overwrite the first page of a table."""
    with sqlite3.connect(path) as raw:
        ((page,),) = raw.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        ((page_bytes,),) = raw.execute("PRAGMA page_size")
    raw.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_bytes)
        file.write(b"\xa5" * page_bytes)


def test_a_catalog_is_made_where_there_is_none(kept: Kept) -> None:
    assert kept.store.open()
    assert not kept.store.open()  # it is
    assert kept.store.commit()
    kept.add_gap()
    kept.add_gap()
    assert kept.store.changed_at is not None
    assert kept.gaps() == 0
    assert kept.store.commit()
    assert (kept.gaps(), kept.store.changed_at, kept.said) == (2, None, [])


def test_what_is_locked_is_written_later(kept: Kept) -> None:
    kept.store.open()
    other = sqlite3.connect(kept.ring.catalog_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    kept.add_gap()
    assert not kept.store.commit()
    assert kept.store.open()
    assert not kept.store.commit()
    assert kept.said == ["catalog_failed"]  # once

    other.execute("ROLLBACK")
    other.close()
    assert kept.store.open()
    assert kept.store.commit()
    assert (kept.gaps(), kept.said) == (1, ["catalog_failed", "catalog_kept"])


def test_a_transaction_that_fails_leaves_nothing_behind(kept: Kept) -> None:
    kept.store.open()
    fail = True

    def may_fail(catalog: Catalog) -> None:
        if fail:
            raise OSError(5, "Input/output error")

    kept.store.change(lambda catalog: kept.ledger.begins(catalog, "disk_full", 1, "", None))
    kept.store.change(may_fail)
    assert not kept.store.commit()
    assert kept.gaps() == 0
    fail = False
    kept.store.open()
    assert kept.store.commit()
    assert kept.gaps() == 1


def test_a_catalog_that_was_removed_is_made_again(kept: Kept) -> None:
    kept.store.open()
    for path in kept.ring.path.iterdir():
        path.unlink()
    kept.add_gap()
    assert not kept.store.commit()
    assert kept.store.open()
    assert kept.store.commit()
    assert kept.gaps() == 1


def test_a_damaged_one_is_put_aside_and_keeps_what_is_nowhere_else(kept: Kept) -> None:
    with kept.ring.catalog() as catalog:
        catalog.begin_run(Run(started_ns=5, seen_ns=5))
        catalog.add_gap(Gap(from_ns=7, kind="stopped", to_ns=9))
        catalog.pin(1, 2, "why", 3)
        catalog.set_pin_quota_bytes(1000)
    damage_table(kept.ring.catalog_path, "savefile")
    assert kept.store.open()
    assert not kept.store.attempt(lambda catalog: list(catalog.entries()))
    assert kept.store.open()
    assert kept.store.attempt(lambda catalog: list(catalog.entries()))

    assert kept.said == ["catalog_failed", "catalog_damaged"]
    assert any(".damaged" in path.name for path in kept.ring.path.iterdir())
    catalog = kept.store.catalog
    assert catalog is not None
    assert [(pin.from_ns, pin.to_ns, pin.reason) for pin in catalog.pins()] == [(1, 2, "why")]
    assert catalog.pin_quota_bytes() == 1000
    assert [(gap.kind, gap.to_ns) for gap in catalog.gaps()] == [("stopped", 9)]
    assert [run.started_ns for run in catalog.runs()] == [5]


def test_what_is_no_database_at_all_is_put_aside(kept: Kept) -> None:
    kept.ring.catalog_path.write_bytes(os.urandom(5000))

    assert kept.store.open()
    assert kept.said == ["catalog_damaged", "pins_lost"]


def test_what_was_put_aside_is_taken_over_though_the_new_one_came_later(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept.ring.catalog() as catalog:
        catalog.pin(1, 2, "why", 3)
    damage_table(kept.ring.catalog_path, "savefile")
    assert kept.store.open()
    assert not kept.store.attempt(lambda catalog: list(catalog.entries()))

    def full(path: str) -> Catalog:
        raise CatalogError(f"{path}: cannot be made: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "create", full)
        assert not kept.store.open()
        assert not kept.store.open()
    assert kept.store.open()
    assert kept.said == ["catalog_failed", "catalog_damaged"]
    assert kept.store.catalog is not None
    assert [pin.reason for pin in kept.store.catalog.pins()] == ["why"]


def test_a_name_like_a_complaint_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "p: is damaged.catalog"
    Catalog.create(str(path)).close()
    said: list[str] = []
    store = Store(str(path), Ledger(), lambda event, text: said.append(event))
    assert store.open()

    def locked(_: Catalog) -> None:
        raise CatalogError(f"{path}: is locked by another process")

    assert not store.attempt(locked)
    assert store.open() or store.refused
    store.close()
    assert said == ["catalog_failed"]
    assert [one.name for one in tmp_path.iterdir() if "damaged." in one.name] == [path.name]


def test_a_newer_one_is_left_alone(kept: Kept) -> None:
    kept.ring.catalog().close()
    with sqlite3.connect(kept.ring.catalog_path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    before = kept.ring.catalog_path.read_bytes()
    assert not kept.store.open()
    assert not kept.store.open()
    kept.add_gap()
    assert not kept.store.commit()

    assert kept.said == ["catalog_failed"]
    assert kept.ring.catalog_path.read_bytes() == before


def test_changes_are_bounded(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_store, "MOST_CHANGES", 3)
    for _ in range(5):
        kept.add_gap()
    assert kept.store.overrun
    kept.store.open()
    assert kept.store.commit()
    assert kept.gaps() == 3


def test_what_a_note_asked_for_is_written_once(kept: Kept) -> None:
    kept.store.open()
    for number in (1, 2, 3, 0):  # 0: no note asked for it
        kept.store.change(lambda catalog: catalog.add_gap(Gap()), number)
    kept.store.leave_out(2)
    assert kept.store.commit()
    assert kept.gaps() == 2


def test_what_is_written_with_it_is_of_the_same_transaction(kept: Kept) -> None:
    kept.store.open()
    asked: list[int] = []

    def count(catalog: Catalog) -> None:
        asked.append(len(catalog.gaps()))
        if len(asked) == 1:
            raise OSError(5, "Input/output error")

    assert kept.store.commit(count)  # nothing has changed
    assert asked == []
    kept.add_gap()
    assert not kept.store.commit(count)
    assert kept.gaps() == 0
    assert kept.store.open()
    assert kept.store.commit(count)
    assert (kept.gaps(), asked) == (1, [1, 1])


def test_one_that_another_recorder_made_at_the_same_moment_is_kept(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = catalog_schema.create

    def late(path: str) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(catalog_schema, "create", create)
            with Catalog.create(path) as other:
                other.add_gap(Gap())
        create(path)

    monkeypatch.setattr(catalog_schema, "create", late)
    assert kept.store.open()
    assert kept.said == []
    assert kept.gaps() == 1
