"""Which files of a directory are savefiles, oldest first; used by every verb that takes one.

Says what a file is by its name or its first bytes; whether it is whole is somebody else's.
"""

import os
import re
import stat

from daemonlogger_py.savefile.records import parse_file_header

# PREFIX.EPOCH or PREFIX.EPOCH.SERIAL for whatever prefix. `savefile.names` has the grammar for one
# known prefix; here it only says which files of a directory someone meant.
NUMBERED = re.compile(r"(.+?)\.([0-9]+)(?:\.([0-9]+))?", re.ASCII)
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"

_HEAD_BYTES = 24
_COMPRESSED_HEAD_BYTES = 64 << 10


def savefiles_in(directory: str, *, compressed: bool = False) -> list[str]:
    """Names of the savefiles in `directory`, not of those below it, oldest first.

    These are the regular files, links aside, that are named PREFIX.EPOCH[.SERIAL] or begin as a
    pcap or pcapng file, with `compressed` also once decompressed; names with a leading dot are
    skipped. Raises OSError.
    """
    with os.scandir(directory) as entries:
        names = [
            entry.name
            for entry in entries
            if not entry.name.startswith(".") and entry.is_file(follow_symlinks=False)
        ]
    chosen = (
        name
        for name in names
        if NUMBERED.fullmatch(name)
        or _begins_as_capture(os.path.join(directory, name), compressed=compressed)
    )
    return sorted(chosen, key=_age_order)


def is_capture(head: bytes) -> bool:
    """Whether a file with these first 24 bytes is a pcap or pcapng file."""
    return parse_file_header(head) is not None or head.startswith(PCAPNG_MAGIC)


def _age_order(name: str) -> tuple[str, int, int, str]:
    match = NUMBERED.fullmatch(name)
    if match is None:
        return name, 0, 0, name
    return match[1], int(match[2]), int(match[3] or 0), name


def _begins_as_capture(path: str, *, compressed: bool) -> bool:
    try:
        # O_NONBLOCK: what has become a pipe is not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False  # not named like a savefile either: it is not known to be one
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        head = os.pread(fd, _COMPRESSED_HEAD_BYTES if compressed else _HEAD_BYTES, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return is_capture(head[:_HEAD_BYTES]) or (compressed and is_capture(_inside(head)))


def _inside(head: bytes) -> bytes:
    """The first bytes of what is compressed in a file that begins with `head`, if anything is."""
    from daemonlogger_py.errors import SourceError
    from daemonlogger_py.readers.inputs.decompress import format_of, members

    kind = format_of(head)
    if kind is None:
        return b""
    unread = iter([head])
    found = b""
    try:
        for member in members(kind, lambda _: next(unread, b"")):
            for piece in member.pieces:
                found += piece[:_HEAD_BYTES]
                if len(found) >= _HEAD_BYTES:
                    return found[:_HEAD_BYTES]
    except SourceError:
        pass  # cut off where it was not read on, or not what it began as
    return found
