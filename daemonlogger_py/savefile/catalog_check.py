"""Every fault of a catalog, a line each: of its structure, its rows, its pages and its chain.

Finds what decayed and what does not follow from each other. Whether savefiles are as the catalog
says is for whoever reads them to compare.
"""

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile import catalog_pages
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import GENESIS, SEALED, Link, chain_of
from daemonlogger_py.savefile.catalog_schema import APPLICATION_ID, TABLES, VERSION, printable

_MOST_FAULTS = 100
# A recorder that writes meanwhile looks like damage to who reads beside SQLite: look again.
_LOOKS, _BETWEEN_S = 2, 0.05


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


class _Joint(NamedTuple):
    link: Link
    living: bool


def _chain(catalog: Catalog) -> Iterator[str]:
    joints = sorted(_joints(catalog))
    for joint in joints:
        link = joint.link
        if link.chain != chain_of(link.previous_chain, link.name, link.size_bytes, link.sha256):
            yield f"chain: link {link.position} ({link.name}) does not fit what it links"
    for (before, _), (after, _) in pairwise(joints):
        if after.position == before.position:
            yield f"chain: two savefiles are link {after.position}: {before.name}, {after.name}"
        elif after.position != before.position + 1:
            missing = f"{before.position + 1} to {after.position - 1}"
            yield f"chain: links {missing} are missing, before {after.name}"
        elif after.previous_chain != before.chain:
            yield f"chain: link {after.position} ({after.name}) does not continue {before.name}"
    if joints and joints[0].link.position == 1 and joints[0].link.previous_chain != GENESIS:
        yield f"chain: the first link ({joints[0].link.name}) does not begin it"


def _altered(catalog: Catalog) -> Iterator[str]:
    """Savefiles that a recorder found changed, and linked again as they were then."""
    sealed = {one.name: one.sha256 for one in catalog.entries() if one.state == SEALED}
    for link in catalog.links():
        if sealed.get(link.name, link.sha256) != link.sha256:
            yield f"{link.name} was altered after it was sealed as link {link.position}"


def _joints(catalog: Catalog) -> Iterator[_Joint]:
    for entry in catalog.entries():
        if entry.position is None:
            continue
        previous, sha256, chain = entry.previous_chain, entry.sha256, entry.chain
        if previous is not None and sha256 is not None and chain is not None:
            yield _Joint(
                Link(entry.position, entry.name, entry.size_bytes, sha256, previous, chain, 0),
                living=True,
            )
    for link in catalog.links():
        yield _Joint(link, living=False)


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
