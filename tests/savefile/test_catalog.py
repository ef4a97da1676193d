"""The catalog: what is written is read, alone, beside others, and after it was cut short."""

import hashlib
import sqlite3
from pathlib import Path

import pytest

from daemonlogger_py.savefile import catalog as module
from daemonlogger_py.savefile.catalog import Catalog, set_aside
from daemonlogger_py.savefile.catalog_rows import (
    GENESIS,
    OPEN,
    SEALED,
    Entry,
    Gap,
    Pin,
    Run,
    chain_of,
)

NS = 10**9


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "p.catalog")


@pytest.fixture
def catalog(path: str) -> Catalog:
    with Catalog.create(path) as made:
        yield made


def entry(number: int, **fields: object) -> Entry:
    made = Entry(
        name=f"p.{number}",
        epoch=number,
        serial=0,
        state=SEALED,
        size_bytes=100 + number,
        modified_ns=number * NS,
        packets=2,
        first_ns=number * NS,
        last_ns=number * NS + 5,
        sha256=hashlib.sha256(b"%d" % number).digest(),
    )
    return made._replace(**fields)  # type: ignore[arg-type]


def names(found: object) -> list[str]:
    return [one.name for one in found]  # type: ignore[attr-defined]


def test_entries_come_back_by_epoch_and_serial(catalog: Catalog) -> None:
    for one in (entry(10), entry(9), entry(10, name="p.10.002", serial=2, ordered=False)):
        catalog.put(one)
    found = list(catalog.entries())
    assert names(found) == ["p.9", "p.10", "p.10.002"]
    assert found[1] == entry(10)
    assert catalog.entry("p.10.002") == entry(10, name="p.10.002", serial=2, ordered=False)
    assert catalog.entry("p.11") is None


def test_an_entry_takes_the_place_of_the_one_of_its_name(catalog: Catalog) -> None:
    catalog.put(entry(1, state=OPEN, sha256=None))
    catalog.put(entry(1))
    assert list(catalog.entries()) == [entry(1)]


@pytest.mark.parametrize(
    ("from_ns", "to_ns", "expected"),
    [
        (None, None, ["p.1", "p.2", "p.3"]),
        (2 * NS, None, ["p.2", "p.3"]),
        (2 * NS + 5, None, ["p.2", "p.3"]),
        (2 * NS + 6, None, ["p.3"]),
        (None, 2 * NS, ["p.1", "p.3"]),
        (None, 2 * NS + 1, ["p.1", "p.2", "p.3"]),
        (9 * NS, 10 * NS, ["p.3"]),
    ],
)
def test_entries_of_a_span(
    catalog: Catalog, from_ns: int | None, to_ns: int | None, expected: list[str]
) -> None:
    catalog.put(entry(1))
    catalog.put(entry(2))
    catalog.put(entry(3, first_ns=None, last_ns=None))  # nobody knows
    assert names(catalog.entries(from_ns, to_ns)) == expected


@pytest.mark.parametrize("prefix", ["é", "\udcff\udcfe", "a'b", 'a"; DROP TABLE savefile; --'])
def test_any_name_is_stored(tmp_path: Path, prefix: str) -> None:
    path = str(tmp_path / f"{prefix}.catalog")
    name = f"{prefix}.1"
    with Catalog.create(path) as catalog:
        catalog.seal(entry(1, name=name, why="a\udc80b"))
    with Catalog.open(path) as catalog:
        found = catalog.entry(name)
        assert found is not None
        assert (found.name, found.why) == (name, "a\udc80b")
        assert list(catalog.check()) == []


def test_sealed_savefiles_are_a_chain(catalog: Catalog) -> None:
    first, second = catalog.seal(entry(1)), catalog.seal(entry(2))
    assert (first.position, first.previous_chain) == (1, GENESIS)
    assert (second.position, second.previous_chain) == (2, first.chain)
    assert second.sha256 is not None
    assert second.chain == chain_of(first.chain or b"", "p.2", 102, second.sha256)
    assert catalog.seal(entry(1, state="recovered")).position == 1  # the same bytes
    assert catalog.entry("p.1") == first._replace(state="recovered")
    assert list(catalog.check()) == []


def test_what_was_not_hashed_is_not_sealed(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="only what was hashed"):
        catalog.seal(entry(1, sha256=None))


def test_the_chain_goes_on_over_what_is_pruned_and_altered(catalog: Catalog) -> None:
    for number in range(1, 8):
        catalog.seal(entry(number))
    catalog.remove("p.4", 5)  # before an older one: there was a lease
    catalog.remove("p.1", 6)
    catalog.remove("p.2", 6)
    altered = catalog.seal(entry(5, size_bytes=7, sha256=bytes(32)))
    assert altered.position == 8
    assert names(catalog.links()) == ["p.2", "p.4", "p.5"]
    (fault,) = catalog.check()
    assert fault.endswith(": p.5 was altered after it was sealed as link 5")
    for number in (3, 5, 6, 7):
        catalog.remove(f"p.{number}", 7)
    assert [link.position for link in catalog.links()] == [8]
    assert catalog.seal(entry(9)).position == 9
    catalog.put(catalog.entry("p.9")._replace(state="archived"))  # type: ignore[union-attr]
    assert [link.position for link in catalog.links()] == [8]
    assert list(catalog.check()) == []


def test_removing_what_is_not_there_is_nothing(catalog: Catalog) -> None:
    catalog.remove("p.1", 1)
    assert list(catalog.entries()) == []


def test_links_are_bounded(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINKS_KEPT", 3)
    catalog.seal(entry(0))  # pinned for good
    for number in range(1, 10):
        catalog.seal(entry(number))
        catalog.remove(f"p.{number}", 1)
    assert [link.position for link in catalog.links()] == [7, 8, 9, 10]


def test_entries_are_replaced_as_a_new_chain(catalog: Catalog) -> None:
    for number in range(1, 5):
        catalog.seal(entry(number))
    catalog.remove("p.1", 1)
    catalog.put(entry(9, state=OPEN, sha256=None))
    catalog.add_gap(Gap(kind="stopped"))
    pin = catalog.pin(1, 2, "", 3)
    catalog.replace_entries([entry(3), entry(6), entry(5, sha256=None)], keep=["p.9", "p.77"])
    assert names(catalog.entries()) == ["p.3", "p.5", "p.6", "p.9"]
    assert [one.position for one in catalog.entries()] == [1, None, 2, None]
    assert (list(catalog.links()), catalog.pins(), len(catalog.gaps())) == ([], [pin], 1)
    assert list(catalog.check()) == []


def broken(path: str, table: str, column: str, value: object) -> None:
    connection = sqlite3.connect(path)
    connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    connection.commit()
    connection.close()


def test_a_row_that_does_not_fit_its_checksum_is_not_believed(catalog: Catalog, path: str) -> None:
    catalog.seal(entry(1))
    catalog.begin_run(Run())
    catalog.add_gap(Gap())
    catalog.pin(10, 20, "", 0)
    catalog.close()
    broken(path, "savefile", "first_ns", 12345)
    broken(path, "run", "pid", 12345)
    broken(path, "gap", "to_ns", "text")
    broken(path, "pin", "to_ns", 30)
    broken(path, "meta", "value", "5")
    with Catalog.open(path, write=True) as damaged:
        assert list(damaged.entries()) == []
        assert (damaged.runs(), damaged.gaps()) == ([], [])
        assert damaged.disbelieved == 3
        assert damaged.pins() == [Pin(1, 10, 30, "", 0)]  # to prune is worse than to keep
        faults = list(damaged.check())
        assert len(faults) == 6
        assert any("the row of savefile p.1 " in fault for fault in faults)
        assert damaged.mend() == {"savefile": 1, "run": 1, "gap": 1, "pin": 1, "meta": 2}
        assert list(damaged.check()) == []
        assert damaged.pins() == [Pin(1, 10, 30, "", 0)]


def test_a_damaged_one_is_set_aside_with_its_log(catalog: Catalog, path: str) -> None:
    catalog.put(entry(1))
    assert set_aside(path) == path + ".damaged"
    assert Path(path + ".damaged-wal").exists()
    assert not Path(path + "-wal").exists()
    with Catalog.create(path) as other:
        assert list(other.entries()) == []
    catalog.close()
    assert set_aside(path) == path + ".damaged.1"


def test_entries_without_their_links(tmp_path: Path) -> None:
    with Catalog.create(str(tmp_path / "p.catalog")) as catalog:
        for epoch in range(1, 7):
            row = Entry(f"p.{epoch}", epoch, 0, SEALED, 9, epoch, why="size", sha256=bytes(32))
            catalog.seal(row)
        whole = [entry._replace(previous_chain=None, chain=None) for entry in catalog.entries()]
        assert list(catalog.unlinked_entries(2, 4)) == whole[1:4]
        assert list(catalog.unlinked_entries(0, 10**30)) == whole
        assert list(catalog.unlinked_entries(7, 9)) == []
        first, second, *_ = catalog.unlinked_entries(1, 2)
        assert first.state is second.state
        linked = list(catalog.linked())
        assert [link.position for link in linked] == [1, 2, 3, 4, 5, 6]
        assert [link.chain for link in linked] == [entry.chain for entry in catalog.entries()]
