"""A sealed savefile as the ring knows it, with what ``dlctl verify --repair`` keeps beside it.

Which files belong to a savefile is `savefile.asides`': their bytes are its own, and they go with
it.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from stat import S_ISREG
from types import MappingProxyType

from daemonlogger_py.savefile.names import SavefileName

# st_blocks counts these, whatever the file system's own block size (stat(2)).
STAT_BLOCK_BYTES = 512


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
