"""A sealed savefile as the ring knows it, with what ``dlctl verify --repair`` keeps beside it.

    NAME.damaged, NAME.damaged.N   the original of a savefile of which a new one was made
    .NAME.repairing                the new one, while it is made, or by a repair that was killed

These belong to the savefile NAME: their bytes are its own, and they go with it. How savefiles
themselves are called is `savefile.names`'.
"""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from stat import S_ISREG
from types import MappingProxyType

from daemonlogger_py.savefile.names import Naming, SavefileName

# st_blocks counts these, whatever the file system's own block size (stat(2)).
STAT_BLOCK_BYTES = 512
_KEPT = re.compile(r"(.+)\.damaged(?:\.[0-9]+)?", re.ASCII | re.DOTALL)
_UNFINISHED = re.compile(r"\.(.+)\.repairing", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Savefile:
    """A sealed savefile; compares by (epoch, serial, name), which is its age and its identity."""

    epoch: int
    serial: int
    name: str
    size_bytes: int = field(compare=False)
    allocated_bytes: int = field(compare=False)
    """What its volume gets back when it is deleted: 0 while the file has another hard link."""
    modified_ns: int = field(compare=False)
    asides: tuple[str, ...] = field(default=(), compare=False)
    """What lies beside it and belongs to it, by name; in the bytes as well."""


def owner_of(name: str, naming: Naming) -> SavefileName | None:
    """Name the savefile that something of this name belongs to; None: it is nothing like that."""
    found = _KEPT.fullmatch(name) or _UNFINISHED.fullmatch(name)
    return None if found is None else naming.parse(found[1])


def is_kept(name: str) -> bool:
    """Whether what belongs to a savefile is the original of it, and not just in the making."""
    return _KEPT.fullmatch(name) is not None


def of_status(
    name: SavefileName,
    status: os.stat_result,
    beside: Mapping[str, os.stat_result] = MappingProxyType({}),
) -> Savefile:
    """The savefile whose `status` is this, with what lies `beside` it, by name."""
    # While a repair is at work, and after one that was killed, two names may be one file's.
    files = {one.st_ino: one for one in (status, *beside.values())}
    names = Counter(one.st_ino for one in (status, *beside.values()))
    return Savefile(
        epoch=name.epoch,
        serial=name.serial,
        name=name.name,
        size_bytes=sum(one.st_size for one in files.values()),
        allocated_bytes=sum(
            one.st_blocks * STAT_BLOCK_BYTES
            for one in files.values()
            if one.st_nlink == names[one.st_ino]
        ),
        modified_ns=status.st_mtime_ns,
        asides=tuple(beside),
    )


def look(dir_fd: int, name: SavefileName, beside: Iterable[str] = ()) -> Savefile | None:
    """The savefile of this name, with what is there of `beside`; None: it is no regular file."""
    found: dict[str, os.stat_result] = {}
    for one in (name.name, *beside):
        with suppress(FileNotFoundError):
            status = os.stat(one, dir_fd=dir_fd, follow_symlinks=False)
            if S_ISREG(status.st_mode):
                found[one] = status
    own = found.pop(name.name, None)
    return None if own is None else of_status(name, own, found)
