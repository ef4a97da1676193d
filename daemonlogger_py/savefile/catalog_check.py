"""Every fault of a catalog, a line each: of its structure, its rows, its pages and its chain.

Finds what decayed and what does not follow from each other. Whether savefiles are as the catalog
says is for whoever reads them to compare.
"""

import heapq
import time
from collections.abc import Callable, Iterator

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile import catalog_pages
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import GENESIS, SEALED, Link, chain_of
from daemonlogger_py.savefile.catalog_schema import APPLICATION_ID, TABLES, VERSION
from daemonlogger_py.savefile.names import printable

_MOST_FAULTS = 100
# A recorder that writes meanwhile looks like damage to who reads beside SQLite: look again.
_LOOKS, _BETWEEN_S = 2, 0.05
_RELINKED = (
    "SELECT link.position FROM link JOIN savefile ON savefile.name = link.name"
    " WHERE savefile.state = 'sealed' AND savefile.sha256 IS NOT link.sha256"
)


def faults(catalog: Catalog) -> Iterator[str]:
    """All faults of the catalog, each with its path; never raises for what is in it."""
    shown = printable(catalog.path)
    for look in (_structure, _rows, _chain, _altered):
        try:
            with catalog.snapshot():
                found = list(look(catalog))
        except CatalogError as error:
            yield str(error)
        else:
            yield from (f"{shown}: {fault}" for fault in found)
    # The files go on while a snapshot stands still.
    try:
        yield from (f"{shown}: {fault}" for fault in _files(catalog))
    except CatalogError as error:
        yield str(error)


def _structure(catalog: Catalog) -> Iterator[str]:
    for (line,) in catalog.query(f"PRAGMA integrity_check({_MOST_FAULTS})"):
        if line != "ok":
            yield f"is damaged: {' '.join(str(line).split())}"
    expected = {"application_id": APPLICATION_ID, "user_version": VERSION, "encoding": "UTF-8"}
    for pragma, value in expected.items():
        if catalog.query(f"PRAGMA {pragma}") != [(value,)]:
            yield f"{pragma} is not {value}"


def _rows(catalog: Catalog) -> Iterator[str]:
    for table in TABLES:
        number_of_key = len(table.key.split(", ")) - 1
        key = table.fields.index(table.key.split(", ")[-1])
        for columns, fits in catalog.rows(table):
            if not fits:
                what = columns[key] if number_of_key == 0 else columns[0]
                yield f"the row of {table.name} {what!s} does not fit its checksum"


def _chain(catalog: Catalog) -> Iterator[str]:
    before: Link | None = None
    # Both come in the order of the chain: none of them is in memory for longer than its turn.
    for link in heapq.merge(catalog.linked(), catalog.links(), key=lambda one: one.position):
        if link.chain != chain_of(link.previous_chain, link.name, link.size_bytes, link.sha256):
            yield f"chain: link {link.position} ({link.name}) does not fit what it links"
        if before is None:
            if link.position == 1 and link.previous_chain != GENESIS:
                yield f"chain: the first link ({link.name}) does not begin it"
        elif link.position == before.position:
            yield f"chain: two savefiles are link {link.position}: {before.name}, {link.name}"
        elif link.position != before.position + 1:
            missing = f"{before.position + 1} to {link.position - 1}"
            yield f"chain: links {missing} are missing, before {link.name}"
        elif link.previous_chain != before.chain:
            yield f"chain: link {link.position} ({link.name}) does not continue {before.name}"
        before = link


def _altered(catalog: Catalog) -> Iterator[str]:
    """Savefiles that a recorder found changed, and linked again as they were then."""
    # SQLite finds which these may be; whether their rows are to be believed is asked again.
    positions = {position for (position,) in catalog.query(_RELINKED)}
    for link in catalog.links() if positions else ():
        if link.position not in positions:
            continue
        entry = catalog.entry(link.name)
        if entry is not None and entry.state == SEALED and entry.sha256 != link.sha256:
            yield f"{link.name} was altered after it was sealed as link {link.position}"


def _files(catalog: Catalog) -> Iterator[str]:
    yield from _lasting(lambda: list(catalog_pages.log_faults(catalog.path)))
    yield from _lasting(
        lambda: list(catalog_pages.page_faults(catalog.path, catalog.transactions()))
    )


def _lasting(look: Callable[[], list[str]]) -> list[str]:
    """What is found every time one looks."""
    found: list[str] = []
    for number in range(_LOOKS):
        if number:
            time.sleep(_BETWEEN_S)
        try:
            found = look()
        except OSError as error:
            return [error.strerror or str(error)]
        if not found:
            break
    return found
