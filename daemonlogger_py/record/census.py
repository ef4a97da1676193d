"""What the log directory and the catalog disagree on, and what a savefile's entry says.

Looks and compares; what is done about it, and when, is `cataloger`'s. A savefile is surveyed anew
unless its entry has its size and its time of modification, which is also what readers go by.
"""

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from stat import S_ISREG
from typing import NamedTuple

from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, RECOVERED, SEALED, Entry
from daemonlogger_py.savefile.holes import Hole, Holes
from daemonlogger_py.savefile.leases import READ_FLAGS, is_written
from daemonlogger_py.savefile.listing import sizes_and_times
from daemonlogger_py.savefile.names import Naming, SavefileName
from daemonlogger_py.savefile.survey import survey

_AT_ONCE = 1000  # entries whose savefiles are looked at together


class Census(NamedTuple):
    """What there is to do for the catalog to be right."""

    unknown: list[SavefileName]  # to be surveyed, oldest first
    gone: list[str]  # entries without a savefile
    holes: list[Hole]  # those of them that pruning, which begins with the oldest, does not explain
    open: list[Entry]  # of savefiles that were being written when they were entered
    archived: list[str]  # oldest first


def take(
    catalog: Catalog, dir_fd: int, naming: Naming, meanwhile: Callable[[], None] = lambda: None
) -> Census:
    """Compare the directory open as `dir_fd` with its catalog. Raises CatalogError and OSError.

    With 100,000 savefiles that takes a second or two: `meanwhile` is called now and then.
    """
    there = {name.name: name for name in naming.listed(dir_fd)}
    gone: list[str] = []
    holes = Holes(dir_fd)
    being_written: list[Entry] = []
    archived: list[str] = []
    for entry, now in _with_files(catalog.entries(), there, dir_fd, meanwhile):
        if entry.state == ARCHIVED:
            archived.append(entry.name)
            continue
        if now is None:
            gone.append(entry.name)
            holes.gone(entry)
            continue
        holes.there()
        if entry.state == OPEN:
            being_written.append(entry)
        elif now == (entry.size_bytes, entry.modified_ns) and entry.sha256 is not None:
            del there[entry.name]
    return Census(list(there.values()), gone, holes.found(), being_written, archived)


def _with_files(
    entries: Iterator[Entry],
    there: Mapping[str, SavefileName],
    dir_fd: int,
    meanwhile: Callable[[], None],
) -> Iterator[tuple[Entry, tuple[int, int] | None]]:
    """Each with size (bytes) and time (ns) of its savefile; None: that is gone."""
    while some := list(islice(entries, _AT_ONCE)):
        meanwhile()
        names = [entry.name for entry in some if entry.name in there]
        found = dict(zip(names, sizes_and_times(dir_fd, names, followed=False), strict=True))
        for entry in some:
            yield entry, found.get(entry.name)


def is_there(dir_fd: int, name: str) -> bool:
    """Whether there is still something of this name."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def is_being_written(dir_fd: int, name: str) -> bool:
    """Whether a recorder holds its lock on this savefile."""
    try:
        fd = os.open(name, READ_FLAGS, dir_fd=dir_fd)
    except OSError:
        return False
    try:
        return _is_locked(fd)
    finally:
        os.close(fd)


def surveyed(dir_fd: int, name: SavefileName, *, sealed: bool = False) -> Entry:
    """Read and hash a savefile that nobody writes, and return what can be known of it alone.

    Of one that is known to be `sealed` nobody is asked: for the moment of asking it would seem to
    be leased, and another be pruned for it; at our priority that moment can be long. Raises
    OSError: FileNotFoundError when it is gone, BlockingIOError when it is being written.
    """
    fd = os.open(name.name, READ_FLAGS, dir_fd=dir_fd)
    try:
        if not S_ISREG(os.fstat(fd).st_mode):
            raise FileNotFoundError(errno.ENOENT, "no regular file", name.name)
        if not sealed and _is_locked(fd):
            raise BlockingIOError(errno.EAGAIN, "is being written", name.name)
        found = survey(fd, progress=lambda _: _still_there(fd, name))
        # As the recorder itself: a ring must not push everything else out of memory.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)
    if found.changed:
        raise BlockingIOError(errno.EAGAIN, "changed while it was read", name.name)
    return found.entry(name, SEALED)._replace(sealed_ns=found.modified_ns)


def _still_there(fd: int, name: SavefileName) -> None:
    """Raise FileNotFoundError once it is pruned: while it is open, its room is not free."""
    if os.fstat(fd).st_nlink == 0:
        raise FileNotFoundError(errno.ENOENT, "pruned while it was read", name.name)


def last_packet_ns(dir_fd: int, name: str) -> int:
    """Time of the latest packet of a savefile, ns since 1970; 0 where there is none to be read."""
    try:
        fd = os.open(name, READ_FLAGS, dir_fd=dir_fd)
    except OSError:
        return 0
    try:
        return survey(fd, hashed=False).walk.latest_ns
    except OSError:
        return 0
    finally:
        os.close(fd)


def completed(entry: Entry, known: Entry | None, *, recovered: bool) -> Entry:
    """Add to a survey what an earlier entry knew that the savefile itself does not tell."""
    if known is not None:
        entry = entry.with_counts_of(known)
    if recovered:
        return entry._replace(state=RECOVERED, why=(known and known.why) or "killed")
    if known is not None and known.state == RECOVERED:
        return entry._replace(state=RECOVERED)
    return entry


def _is_locked(fd: int) -> bool:
    try:
        return is_written(fd)
    except OSError:  # a file system without locks
        return False
