"""How a recorder ended whose catalog had nobody left to write it: ``PREFIX.catalog-end``.

The process that keeps the catalog may be killed alone. Then the recorder itself leaves its last
word in this file, after all packets are in savefiles; who begins the next run takes it over into
the catalog and removes it. Until then readers find it here.

A line for each end, a JSON object with the fields of `End`. What cannot be read was not said.
"""

import os
import stat
from typing import NamedTuple

from daemonlogger_py.savefile.leases import READ_FLAGS

SUFFIX = "-end"  # behind the catalog's name
_LEAVE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MODE = 0o640
_MOST_BYTES = 1 << 16


class End(NamedTuple):
    """The end of a run."""

    started_ns: int  # of the run, by which it is known
    stopped_ns: int
    why: str  # a signal, or an error


def leave(dir_fd: int, catalog_name: str, end: End) -> None:
    """Leave a last word beside the catalog. Raises OSError."""
    import json

    fd = os.open(catalog_name + SUFFIX, _LEAVE, _MODE, dir_fd=dir_fd)
    try:
        os.write(fd, json.dumps(end._asdict()).encode() + b"\n")
    finally:
        os.close(fd)


def ends(catalog_path: str) -> dict[int, End]:
    """What was left beside the catalog, by the runs' `started_ns`."""
    try:
        fd = os.open(catalog_path + SUFFIX, READ_FLAGS)
    except OSError:
        return {}
    try:
        is_file = stat.S_ISREG(os.fstat(fd).st_mode)
        data = os.pread(fd, _MOST_BYTES, 0) if is_file else b""
    except OSError:
        return {}
    finally:
        os.close(fd)
    found = filter(None, map(_parsed, data.splitlines()))
    return {end.started_ns: end for end in found}


def forget(catalog_path: str) -> None:
    """Remove what was left: it is in the catalog. Raises OSError."""
    os.unlink(catalog_path + SUFFIX)


def _parsed(line: bytes) -> End | None:
    import json

    try:
        end = End(**json.loads(line))
    except (TypeError, ValueError, RecursionError):
        return None
    good = type(end.started_ns) is int and type(end.stopped_ns) is int and type(end.why) is str
    return end if good else None
