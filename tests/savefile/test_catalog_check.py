"""What does not follow from each other in a catalog is found, and named."""

import sqlite3
from pathlib import Path

import pytest

from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import RECOVERED, SEALED, Entry

NAMES = [f"p.{number}" for number in range(1, 7)]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    with Catalog.create(str(tmp_path / "p.catalog")) as made:
        for number, name in enumerate(NAMES, 1):
            made.seal(Entry(name, number, 0, SEALED, number, 9, sha256=bytes([number] * 32)))
        yield made


def rewritten(catalog: Catalog, name: str, **fields: object) -> None:
    """Write an entry as it never was, with a checksum that fits."""
    found = catalog.entry(name)
    assert found is not None
    catalog.put(found._replace(**fields))  # type: ignore[arg-type]


def test_nothing_is_wrong(catalog: Catalog) -> None:
    assert list(catalog.check()) == []


def test_an_altered_hash_does_not_fit_its_link(catalog: Catalog) -> None:
    rewritten(catalog, "p.3", sha256=bytes(32))
    (fault,) = catalog.check()
    assert fault == f"{catalog.path}: chain: link 3 (p.3) does not fit what it links"


def test_a_rewritten_link_does_not_continue(catalog: Catalog) -> None:
    rewritten(catalog, "p.3", previous_chain=bytes([1] * 32), chain=bytes([2] * 32))
    found = list(catalog.check())
    assert any("link 3 (p.3) does not continue p.2" in fault for fault in found)
    assert any("link 4 (p.4) does not continue p.3" in fault for fault in found)


def test_a_removed_row_leaves_a_hole(catalog: Catalog) -> None:
    connection = sqlite3.connect(catalog.path)
    connection.execute("DELETE FROM savefile WHERE name IN ('p.3', 'p.4')")
    connection.commit()
    connection.close()
    found = list(catalog.check())
    assert f"{catalog.path}: chain: links 3 to 4 are missing, before p.5" in found


def test_two_of_one_position(catalog: Catalog) -> None:
    rewritten(catalog, "p.4", position=3)
    assert any("two savefiles are link 3: p.3, p.4" in fault for fault in catalog.check())


def test_a_first_link_that_continues_something(catalog: Catalog) -> None:
    rewritten(catalog, "p.1", previous_chain=bytes([1] * 32))
    assert any("the first link (p.1) does not begin it" in fault for fault in catalog.check())


def test_what_was_sealed_again_with_other_content(catalog: Catalog) -> None:
    known = catalog.entry("p.3")
    assert known is not None
    catalog.seal(known._replace(sha256=bytes([9] * 32)))
    (fault,) = catalog.check()
    assert fault == f"{catalog.path}: p.3 was altered after it was sealed as link 3"
    catalog.seal(known._replace(state=RECOVERED, sha256=bytes([10] * 32)))
    assert list(catalog.check()) == []


def test_a_broken_index_is_found(catalog: Catalog) -> None:
    path = catalog.path
    catalog.close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_master WHERE name = 'gap_from'")
    connection.commit()
    connection.close()
    with Catalog.open(path) as damaged:
        assert any("is damaged: " in fault for fault in damaged.check())
