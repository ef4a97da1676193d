"""What a ring lacks (see `savefile.holes`) and no recorder is there to write down.

Looked for at each question: where nothing is gone, that costs a question to the kernel for each
savefile of the time span, and no more.
"""

from typing import TYPE_CHECKING

from daemonlogger_py.readers.gaps import answers, lives
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, Gap
from daemonlogger_py.savefile.holes import Hole, Holes, is_file
from daemonlogger_py.savefile.names import Naming

if TYPE_CHECKING:
    from daemonlogger_py.readers.archive import Directory

# More single questions to the kernel than this cost more than listing the directory.
_ASKED_ONE_BY_ONE = 1000


def untold_gaps(
    directory: "Directory", catalog: Catalog, from_ns: int | None, to_ns: int | None
) -> list[Gap]:
    """Holes in [from_ns, to_ns) that no recorder is there to write down.

    Raises CatalogError and OSError.
    """
    naming = Naming(directory.prefix or "")
    # Nearly always nothing is: savefiles are not listed for that, nor all rows read.
    if not _is_any_gone(directory.dir_fd, naming, _names(catalog, from_ns, to_ns)):
        return []
    # One that runs may have pruned others in the place of the oldest, which were pinned or read.
    if is_recorded(catalog):
        return []
    return [
        hole.gap()
        for hole in holes(directory, catalog)
        if (to_ns is None or hole.from_ns < to_ns) and (from_ns is None or hole.to_ns >= from_ns)
    ]


def holes(directory: "Directory", catalog: Catalog) -> list[Hole]:
    """All of them, by age, whoever may still write them down. Raises CatalogError and OSError."""
    listed = Naming(directory.prefix or "").listed(directory.dir_fd)
    there = {name.name for name in listed}
    found = Holes(directory.dir_fd)
    for entry in catalog.entries():
        if entry.state == ARCHIVED:
            continue
        # It may be there since it was listed.
        if entry.name in there or is_file(directory.dir_fd, entry.name):
            found.there()
        else:
            found.gone(entry)
    return found.found()


def is_recorded(catalog: Catalog) -> bool:
    """Whether a recorder may be writing this ring. Raises CatalogError."""
    running = any(run.ended_ns is None and lives(run) for run in catalog.runs())
    return running or answers(catalog.path)


def _names(catalog: Catalog, from_ns: int | None, to_ns: int | None) -> list[str]:
    """The savefiles that packets of that span were in, by rows whose checksum nobody looked at."""
    wanted = "first_ns IS NOT NULL AND last_ns IS NOT NULL"
    if from_ns is not None:
        wanted += f" AND last_ns >= {from_ns:d}"
    if to_ns is not None:
        wanted += f" AND first_ns < {to_ns:d}"
    # Of what was not walked no time is known: see `Entry.walked`.
    wanted = f"state <> '{ARCHIVED}' AND ({wanted} OR first_ns IS NULL AND NOT ordered)"
    rows = catalog.query(f"SELECT name FROM savefile WHERE {wanted}")  # noqa: S608 - numbers
    return [name for (name,) in rows if isinstance(name, str)]


def _is_any_gone(dir_fd: int, naming: Naming, names: list[str]) -> bool:
    if len(names) <= _ASKED_ONE_BY_ONE:
        return any(not is_file(dir_fd, name) for name in names)
    there = {name.name for name in naming.listed(dir_fd)}
    return not there.issuperset(names)
