"""Which files of a directory are savefiles, oldest first; used by every verb that takes one.

Says what a file is by its name or its first bytes; whether it is whole is somebody else's.
"""

import io
import os
import re
import stat
import time
from collections.abc import Callable

from daemonlogger_py.savefile.asides import is_kept
from daemonlogger_py.savefile.names import original_of
from daemonlogger_py.savefile.records import parse_file_header

# PREFIX.EPOCH or PREFIX.EPOCH.SERIAL for whatever prefix. `savefile.names` has the grammar for one
# known prefix; here it only says which files of a directory someone meant.
NUMBERED = re.compile(r"(.+?)\.([0-9]+)(?:\.([0-9]+))?", re.ASCII)
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"
CAPTURE_ENDINGS = (".pcap", ".pcapng", ".cap")

_NS = 1_000_000_000
# A directory that changed this short a time before it was read may have changed after that without
# a new time stamp: the kernel stamps by its tick, some file systems by the second.
_TICK_NS = 50_000_000
_COARSE_TICK_NS = 2 * _NS
_CAPTURE_HEAD_BYTES = 24
_LISTED_AT_MOST = 3
_HEAD_BYTES = 64 << 10  # decompressed, these should give that many


def savefiles_in(directory: str, *, compressed: bool = False) -> list[str]:
    """Names of the savefiles in `directory`, not of those below it, oldest first.

    These are the regular files, links aside, that are named PREFIX.EPOCH[.SERIAL], begin as a pcap
    or pcapng file, with `compressed` also once decompressed, or are named as captures are and not
    empty: those may be damaged from their first byte on, which is told where they are read. Names
    with a leading dot are skipped, and so is what ``dlctl verify --repair`` put aside. Raises
    OSError.
    """
    begins = _begins_as_capture_inside if compressed else _begins_as_capture
    return _chosen(directory, begins)


def candidates_in(directory: str) -> list[str]:
    """`savefiles_in`, and what might be one once decompressed: nothing is. Raises OSError."""
    return _chosen(directory, _may_hold_capture)


def changed_ns_of(dir_fd: int) -> int | None:
    """When a directory changed last; None where it may change again and keep that time."""
    changed_ns = os.fstat(dir_fd).st_mtime_ns
    tick_ns = _TICK_NS if changed_ns % _NS else _COARSE_TICK_NS
    return changed_ns if changed_ns + tick_ns <= time.time_ns() else None


def holds_capture(fd: int) -> bool:
    """Whether an open file begins as a pcap or pcapng file, as it is or once decompressed."""
    return _begins_as_capture_inside(_head_of(fd))


def _chosen(directory: str, begins: Callable[[bytes], bool]) -> list[str]:
    chosen = (
        name
        for name in _regular_files(directory)
        if NUMBERED.fullmatch(name) or _is_other_capture(os.path.join(directory, name), begins)
    )
    return sorted(chosen, key=age_order)


def _is_other_capture(path: str, begins: Callable[[bytes], bool]) -> bool:
    if is_named_as_capture(os.path.basename(path)):
        try:
            return os.stat(path, follow_symlinks=False).st_size > 0
        except OSError:
            return False  # gone
    return begins(_head(path))


def _regular_files(directory: str) -> list[str]:
    """Names of what may be a savefile, as they were at one time."""
    names: list[str] = []
    for _ in range(_LISTED_AT_MOST):
        # What gets another name while the directory is read may be seen under neither.
        changed_ns = os.stat(directory).st_mtime_ns
        with os.scandir(directory) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".")
                and not is_kept(entry.name)  # its records are in the savefile as well
                and entry.is_file(follow_symlinks=False)
            ]
        if os.stat(directory).st_mtime_ns == changed_ns:
            break
    return names


def is_capture(head: bytes) -> bool:
    """Whether a file with these first 24 bytes is a pcap or pcapng file."""
    return parse_file_header(head) is not None or head.startswith(PCAPNG_MAGIC)


def is_named_as_capture(name: str) -> bool:
    """Whether a file's name says that it is a capture, also once somebody compressed it."""
    return (original_of(name) or name).lower().endswith(CAPTURE_ENDINGS)


def age_order(name: str) -> tuple[str, int, int, str]:
    """What to sort the names of savefiles by: prefix, then age."""
    match = NUMBERED.fullmatch(name)
    if match is None:
        return name, 0, 0, name
    return match[1], int(match[2]), int(match[3] or 0), name


def _head(path: str) -> bytes:
    """The first bytes of a regular file; b"" if it cannot be read."""
    try:
        # O_NONBLOCK: what has become a pipe is not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""  # not named like a savefile either: it is not known to be one
    try:
        return _head_of(fd)
    finally:
        os.close(fd)


def _head_of(fd: int) -> bytes:
    try:
        return os.pread(fd, _HEAD_BYTES, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    except OSError:
        return b""


def _begins_as_capture(head: bytes) -> bool:
    return is_capture(head[:_CAPTURE_HEAD_BYTES])


def _begins_as_capture_inside(head: bytes) -> bool:
    return _begins_as_capture(head) or is_capture(_inside(head))


def _may_hold_capture(head: bytes) -> bool:
    from daemonlogger_py.readers.inputs.decompress import format_of

    return _begins_as_capture(head) or format_of(head) is not None


def _inside(head: bytes) -> bytes:
    """The first bytes of what is compressed in a file that begins with `head`, if anything is."""
    from daemonlogger_py.errors import SourceError
    from daemonlogger_py.readers.inputs.decompress import format_of, members

    kind = format_of(head)
    if kind is None:
        return b""
    unread = io.BytesIO(head)
    found = b""
    try:
        for member in members(kind, unread.read):
            for piece in member.pieces:
                found += piece[:_CAPTURE_HEAD_BYTES]
                if len(found) >= _CAPTURE_HEAD_BYTES:
                    return found[:_CAPTURE_HEAD_BYTES]
    except SourceError:
        pass  # cut off where it was not read on, or not what it began as
    return found
