"""Compressed files beside what they are called after: which of them hold nothing of their own.

While a savefile is being compressed, both are there. But a compressed file may as well be an
earlier savefile of that name, with other packets. What each holds is compared as far as that is
cheap: packets are stamped, so that few begin alike.
"""

import os
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack

from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.inputs.directory import is_capture

COMPARED_BYTES = 16 << 10
# Some formats give nothing before they have seen this much.
_READ_AT_MOST = 2 << 20
_READ_BYTES = 4 << 10
_HEAD_BYTES = 24
# What was written to this short a time ago is taken for being compressed.
_BEING_WRITTEN_S = 60
_NS = 1_000_000_000
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


def is_copy(dir_fd: int, name: str, original: str) -> bool | None:
    """Whether all that can be read of the compressed file `name` is the beginning of `original`.

    None: it begins like that, and what is behind was not compared; then its times do not say either
    that it is, or is going to be, what `original` was compressed to.
    """
    try:
        with ExitStack() as stack:
            fds = []
            for one in (name, original):
                fds.append(os.open(one, _FILE, dir_fd=dir_fd))
                stack.callback(os.close, fds[-1])
            return is_copy_of(*fds)
    except OSError:
        return False  # what cannot be read is told where it is read


def is_copy_of(fd: int, original_fd: int) -> bool | None:
    """The same of two that are open; the first stands at its beginning, and does so again.

    Raises OSError.
    """
    try:
        return _is_copy(fd, original_fd)
    finally:
        os.lseek(fd, 0, os.SEEK_SET)


def _is_copy(fd: int, original_fd: int) -> bool | None:
    from daemonlogger_py.readers.inputs.decompress import LEAST_BYTES, format_of, members

    status, of_original = os.fstat(fd), os.fstat(original_fd)
    if not stat.S_ISREG(status.st_mode) or not stat.S_ISREG(of_original.st_mode):
        return False
    head = os.pread(fd, max(LEAST_BYTES, _HEAD_BYTES), 0)
    kind = format_of(head)
    if kind is None:
        return not is_capture(head[:_HEAD_BYTES])
    compared = 0
    begun = False
    try:
        for member in members(kind, _reading(fd)):
            if begun:
                return False  # it is an archive of several
            begun = True
            for piece in member.pieces:
                if os.pread(original_fd, len(piece), compared) != piece:
                    return False
                compared += len(piece)
                if compared >= COMPARED_BYTES:
                    return _by_times(status, of_original)
    except SourceError:
        pass  # it is cut short, or what is behind is damaged
    if os.lseek(fd, 0, os.SEEK_CUR) >= _READ_AT_MOST:
        return _by_times(status, of_original)
    return True


def _by_times(status: os.stat_result, of_original: os.stat_result) -> bool | None:
    # What compresses gives its output the time of the original in the end, some to the second.
    if status.st_mtime_ns // _NS == of_original.st_mtime_ns // _NS:
        return True
    return True if abs(time.time() - status.st_mtime) < _BEING_WRITTEN_S else None


def _reading(fd: int) -> Callable[[int], bytes]:
    def read(size: int) -> bytes:
        if os.lseek(fd, 0, os.SEEK_CUR) >= _READ_AT_MOST:
            return b""
        return os.read(fd, min(size, _READ_BYTES))

    return read
