"""Savefiles that no catalog knows, begun since the last recorder that kept it has ended.

One without a catalog recorded them: in that time it is not true that nobody did. How it ended, and
whether it was one or several, nobody knows. A recorder writes that down when it starts; until then,
readers say it.
"""

import os
from collections.abc import Iterable, Sequence
from stat import S_ISREG
from typing import NamedTuple

from daemonlogger_py.savefile.beginning import BEGINNING_BYTES, first_time_ns
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Gap
from daemonlogger_py.savefile.leases import READ_FLAGS, is_written
from daemonlogger_py.savefile.names import SavefileName

_NS = 1_000_000_000
# What begins when a recorder ends.
_ENDS = ("stopped", "crashed")


class Recorded(NamedTuple):
    """What was recorded without a catalog, in ns since 1970."""

    from_ns: int
    to_ns: int | None  # None: it still is


class _Stray(NamedTuple):
    from_ns: int
    modified_ns: int
    written: bool


def parted(gap: Gap, catalog: Catalog, dir_fd: int, names: Sequence[SavefileName]) -> list[Gap]:
    """A gap that lasts as what is left of it: before, and after, what was recorded meanwhile.

    `names` are the savefiles in the directory open as `dir_fd`, by age. Raises CatalogError and
    OSError.
    """
    if gap.to_ns is not None or gap.kind not in _ENDS:
        return [gap]
    found = _recorded(gap.from_ns, catalog, dir_fd, names)
    if found is None:
        return [gap]
    before = gap._replace(to_ns=found.from_ns)
    if found.to_ns is None:
        return [before]
    detail = "a recorder without a catalog" if gap.kind == "stopped" else gap.detail
    return [before, Gap(kind=gap.kind, from_ns=max(found.from_ns, found.to_ns), detail=detail)]


def _recorded(
    since_ns: int, catalog: Catalog, dir_fd: int, names: Sequence[SavefileName]
) -> Recorded | None:
    later = [name for name in names if name.epoch >= since_ns // _NS]
    first = _first_stray(since_ns, catalog, dir_fd, later)
    last = _first_stray(since_ns, catalog, dir_fd, reversed(later))
    if first is None or last is None:
        return None
    return Recorded(first.from_ns, None if last.written else last.modified_ns)


def _first_stray(
    since_ns: int, catalog: Catalog, dir_fd: int, names: Iterable[SavefileName]
) -> _Stray | None:
    for name in names:
        if catalog.entry(name.name) is None:
            stray = _looked_at(dir_fd, name)
            if stray is not None and stray.from_ns > since_ns:
                return stray
    return None


def _looked_at(dir_fd: int, name: SavefileName) -> _Stray | None:
    """None: it says nothing, as there is no packet in it, and nobody writes it."""
    try:
        fd = os.open(name.name, READ_FLAGS, dir_fd=dir_fd)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if not S_ISREG(status.st_mode):
            return None
        packet_ns = first_time_ns(os.pread(fd, BEGINNING_BYTES, 0))
        written = _is_written(fd)
    finally:
        os.close(fd)
    if packet_ns is None:
        return _Stray(name.epoch * _NS, status.st_mtime_ns, written) if written else None
    # It was begun within the second that it is named after, be the first packet hours later.
    return _Stray(min(packet_ns, (name.epoch + 1) * _NS), status.st_mtime_ns, written)


def _is_written(fd: int) -> bool:
    try:
        return is_written(fd)
    except OSError:  # a file system without locks
        return False
