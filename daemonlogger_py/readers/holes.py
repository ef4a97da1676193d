"""Savefiles that a catalog knows, and that are gone though no recorder said that it pruned them.

Pruning begins with the oldest, so these are the ones that have an older one still there. A recorder
finds them out by the same rule, and writes a gap for them; until one does, readers say so.
"""

import os
from stat import S_ISREG
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.readers.gaps import answers, lives
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, Entry, Gap
from daemonlogger_py.savefile.names import Naming

if TYPE_CHECKING:
    from daemonlogger_py.readers.archive import Directory

COMPRESSED = (".gz", ".bz2", ".xz", ".lzma", ".zst", ".zip")
"""How the names of files end that somebody compressed, in the place of what they were before."""
# More single questions to the kernel than this cost more than listing the directory.
_ASKED_ONE_BY_ONE = 1000


class Hole(NamedTuple):
    """Savefiles in a row that are gone."""

    names: tuple[str, ...]
    packets: int
    from_ns: int
    to_ns: int

    def gap(self) -> Gap:
        """What is not known because of it."""
        which, them = f"{self.names[0]} is", "it"
        if len(self.names) > 1:
            which, them = f"{self.names[0]} to {self.names[-1]} are", "them"
        return Gap(
            from_ns=self.from_ns,
            to_ns=self.to_ns,
            packets=self.packets,
            detail=f"{which} gone, and no recorder said that it pruned {them}",
        )


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
    found: list[list[Entry]] = []
    older = joined = False
    for entry in catalog.entries():
        if entry.state == ARCHIVED:
            continue
        if entry.name in there or _is_there(directory.dir_fd, entry.name):
            older, joined = True, False
        elif older and entry.first_ns is not None and entry.last_ns is not None:
            if joined:
                found[-1].append(entry)
            else:
                found.append([entry])
            joined = True
    return list(map(_hole, found))


def is_recorded(catalog: Catalog) -> bool:
    """Whether a recorder may be writing this ring. Raises CatalogError."""
    running = any(run.ended_ns is None and lives(run) for run in catalog.runs())
    return running or answers(catalog.path)


def _hole(entries: list[Entry]) -> Hole:
    return Hole(
        tuple(entry.name for entry in entries),
        sum(entry.packets for entry in entries),
        min(entry.first_ns or 0 for entry in entries),
        max(entry.last_ns or 0 for entry in entries),
    )


def _names(catalog: Catalog, from_ns: int | None, to_ns: int | None) -> list[str]:
    """The savefiles that packets of that span were in, by rows whose checksum nobody looked at."""
    wanted = f"state <> '{ARCHIVED}' AND first_ns IS NOT NULL AND last_ns IS NOT NULL"
    if from_ns is not None:
        wanted += f" AND last_ns >= {from_ns:d}"
    if to_ns is not None:
        wanted += f" AND first_ns < {to_ns:d}"
    rows = catalog.query(f"SELECT name FROM savefile WHERE {wanted}")  # noqa: S608 - numbers
    return [name for (name,) in rows if isinstance(name, str)]


def _is_any_gone(dir_fd: int, naming: Naming, names: list[str]) -> bool:
    if len(names) <= _ASKED_ONE_BY_ONE:
        return any(not _is_file(dir_fd, name) for name in names)
    there = {name.name for name in naming.listed(dir_fd)}
    return not there.issuperset(names)


def _is_there(dir_fd: int, name: str) -> bool:
    """Whether a savefile is, since it was listed or compressed."""
    return any(_is_file(dir_fd, name + end) for end in ("", *COMPRESSED))


def _is_file(dir_fd: int, name: str) -> bool:
    try:
        return S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False
    except ValueError:  # a row may say anything
        return False
    except OSError:
        return True
