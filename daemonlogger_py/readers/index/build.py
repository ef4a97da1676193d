"""One savefile to its sidecar on the disk, in one step that is seen whole or not at all.

Which savefiles need one is `indexing`'s question; what is in it, `builder`'s and `sidecar`'s.
"""

import os
import re
import stat
import threading
from contextlib import ExitStack, suppress

from daemonlogger_py.readers.index.builder import UnindexableError, build
from daemonlogger_py.readers.index.sidecar import (
    MOST_BYTES,
    Sidecar,
    SidecarError,
    sidecar_name,
)
from daemonlogger_py.savefile import leases

# What is not finished; a killed indexer leaves it behind. Short, as a savefile's name may be long.
TEMPORARY = re.compile(r"\.[0-9]+-[0-9]+\.tmp", re.ASCII)
# O_NONBLOCK: what has become a pipe is not waited for.
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_MOST_FAULTS = 10


class BeingWrittenError(Exception):
    """A recorder writes the savefile: it has no sidecar yet."""


class TooSmallError(Exception):
    """The savefile is complete, and smaller than those that are to have a sidecar."""


def write_sidecar(dir_fd: int, name: str, index_fd: int, *, smallest_bytes: int = 0) -> int:
    """Index the savefile `name` of a directory; its sidecar appears, or is replaced, in another.

    Returns the sidecar's size in bytes. It may be read by whoever may read the savefile. While it
    is made the savefile has a lease. Raises BeingWrittenError, TooSmallError, UnindexableError,
    SidecarError when the savefile changes meanwhile, and OSError, FileNotFoundError if it was
    pruned.
    """
    fd = os.open(name, _READ, dir_fd=dir_fd)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UnindexableError("not a regular file")
        if not leases.hold(fd) and _is_written(fd):
            raise BeingWrittenError
        if os.fstat(fd).st_size < smallest_bytes:  # by now: its writer may have ended just then
            raise TooSmallError
        data = build(fd, name).encode()
    finally:
        os.close(fd)
    _publish(index_fd, sidecar_name(name), data, status)
    return len(data)


def fits(
    index_fd: int, name: str, size_bytes: int, modified_ns: int, *, glance: bool = False
) -> bool:
    """Whether the savefile of that name, size and time of modification has a good sidecar.

    A `glance` believes that one is good which has the savefile's time, as it was given by
    `write_sidecar`; without it, all of the sidecar is read.
    """
    try:
        if glance and _modified_ns(index_fd, sidecar_name(name)) == modified_ns:
            return True
        sidecar = Sidecar.open(index_fd, sidecar_name(name))
    except SidecarError:
        return False
    return sidecar.belongs_to(size_bytes, modified_ns)


def _modified_ns(index_fd: int, name: str) -> int | None:
    try:
        return os.stat(name, dir_fd=index_fd, follow_symlinks=False).st_mtime_ns
    except OSError:
        return None


def sidecar_faults(savefile_fd: int, sidecar_path: str) -> list[str]:
    """What is wrong with a sidecar, one line each, by making it anew from the savefile.

    None at all where there is no sidecar. Raises OSError when the savefile cannot be read.
    """
    try:
        data = _content(sidecar_path)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [str(error.strerror)]
    try:
        found = Sidecar.from_bytes(data)
    except SidecarError as error:
        return [str(error).removeprefix("sidecar: ")]
    if sidecar_name(found.savefile) != os.path.basename(sidecar_path):
        return [f"is that of the savefile {found.savefile!r}"]
    status = os.fstat(savefile_fd)
    if not found.belongs_to(status.st_size, status.st_mtime_ns):
        return ["made of the savefile as it was before: its size or its time has changed"]
    try:
        right = build(savefile_fd, found.savefile)
    except (UnindexableError, SidecarError) as error:
        return [f"its savefile is {error}"]
    if right.encode() == data:
        return []
    return _differences(found, right)[:_MOST_FAULTS] or ["differs from one made anew"]


def _content(path: str) -> bytes:
    """A sidecar's bytes; of a file that is too long for one, more than one may have."""
    # By an opener: open() does not close a descriptor that it is given and refuses, a directory's.
    with open(path, "rb", opener=lambda name, _: os.open(name, _READ | os.O_NOFOLLOW)) as file:
        return file.read(MOST_BYTES + 1)


def _is_written(fd: int) -> bool:
    try:
        return leases.is_written(fd)
    except OSError:
        return False  # no locks here: then a change while it is read has to tell


def share_as(fd: int, like: os.stat_result, mode: int) -> None:
    """Give the file or directory `fd` the mode, and the owner and group of `like`.

    Only root may give it away, and only to a group of one's own does anybody else: for another
    group it would be another one's to read, so then it is for none.
    """
    try:
        os.fchown(fd, like.st_uid if os.geteuid() == 0 else -1, like.st_gid)
    except OSError:
        mode &= ~0o070
    os.fchmod(fd, mode)


def _publish(index_fd: int, name: str, data: bytes, savefile: os.stat_result) -> None:
    temporary = f".{os.getpid()}-{threading.get_ident()}.tmp"
    with ExitStack() as stack:
        fd = os.open(temporary, _CREATE, 0o600, dir_fd=index_fd)
        stack.callback(_removed, index_fd, temporary)
        try:
            mode = stat.S_IMODE(savefile.st_mode) & 0o666 | stat.S_IRUSR | stat.S_IWUSR
            share_as(fd, savefile, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.utime(fd, ns=(savefile.st_mtime_ns, savefile.st_mtime_ns))
            os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, name, src_dir_fd=index_fd, dst_dir_fd=index_fd)
        stack.pop_all()  # it has its name


def _removed(index_fd: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=index_fd)


def _differences(found: Sidecar, right: Sidecar) -> list[str]:
    faults = [
        f"{what} is {getattr(found, what)}, and {getattr(right, what)} in the savefile"
        for what in ("linktype", "snaplen", "packets", "end_offset", "ordered")
        if getattr(found, what) != getattr(right, what)
    ]
    blocks = zip(found.blocks(), right.blocks(), strict=False)
    faults += [
        f"block {number} at byte offset {one[0]} differs from the savefile"
        for number, (one, other) in enumerate(blocks)
        if one != other
    ]
    if len(found.blocks()) != len(right.blocks()):
        faults.append("the number of blocks differs")
    return faults + _different_classes(found, right)


def _different_classes(found: Sidecar, right: Sidecar) -> list[str]:
    try:
        told = {(known, mask): blocks for known, mask, blocks in found.classes()}
    except SidecarError as error:
        return [str(error)]
    true = {(known, mask): blocks for known, mask, blocks in right.classes()}
    faults: list[str] = []
    for key in sorted(told.keys() | true.keys()):
        if told.get(key) != true.get(key):
            where = sorted(set(told.get(key, ())) ^ set(true.get(key, ())))
            faults.append(f"the packets {key[0].hex()} are not in blocks {where[:3]} as it says")
    return faults
