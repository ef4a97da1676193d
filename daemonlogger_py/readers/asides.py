"""How much of what repairs keep beside savefiles (see `savefile.asides`) is in a directory.

Its bytes are the savefile's own for the recorder, which prunes and keeps pinned both together, and
so they are for whoever says how much pins hold.
"""

import os
from contextlib import suppress
from stat import S_ISREG
from typing import NamedTuple

from daemonlogger_py.savefile.asides import owner_of
from daemonlogger_py.savefile.names import Naming, SavefileName


class Alone(NamedTuple):
    """One whose savefile is gone."""

    epoch: int  # in the savefile's name
    modified_ns: int
    size_bytes: int


class Asides(NamedTuple):
    """What there is in a directory."""

    sizes_bytes: dict[str, int]  # by name of the savefile
    alone: list[Alone]


NO_ASIDES = Asides({}, [])


def asides(dir_fd: int, prefix: str) -> Asides:
    """Those of the savefiles of a prefix, in a directory that is open. Raises OSError."""
    naming = Naming(prefix)
    owned: dict[SavefileName, dict[int, os.stat_result]] = {}
    for name in os.listdir(dir_fd):
        owner = owner_of(name, naming)
        if owner is not None and (status := _status(dir_fd, name)) is not None:
            # While a repair is at work, two names may be one file's.
            owned.setdefault(owner, {})[status.st_ino] = status
    beside = Asides({}, [])
    for owner, files in owned.items():
        own = _status(dir_fd, owner.name)
        if own is None:
            beside.alone.extend(
                Alone(owner.epoch, one.st_mtime_ns, one.st_size) for one in files.values()
            )
        else:
            files.pop(own.st_ino, None)
            beside.sizes_bytes[owner.name] = sum(one.st_size for one in files.values())
    return beside


def _status(dir_fd: int, name: str) -> os.stat_result | None:
    with suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if S_ISREG(status.st_mode):
            return status
    return None
