"""What a killed recorder left: a last savefile whose last record may be torn.

Only the tail that no reader could use is cut. Every whole record stays, also behind one that only
seems to be torn, as its length is damaged.
"""

import fcntl
import heapq
import os
import threading
import time
from contextlib import suppress
from stat import S_ISREG

from daemonlogger_py.record.messages import Tell
from daemonlogger_py.savefile.leases import READ_FLAGS, has_writer
from daemonlogger_py.savefile.names import Naming, SavefileName
from daemonlogger_py.savefile.records import Walk, walk
from daemonlogger_py.savefile.salvage import Salvage, salvage

# Where the kernel cannot tell whether a file has a writer: as long must it have been left alone.
SETTLED_S = 2.0
# A recorder leaves one torn file; a few more starts may have ended before they could mend it.
CANDIDATES = 8


def newest(dir_fd: int, naming: Naming, *, compressed: bool = False) -> list[SavefileName]:
    """Find the newest savefiles by their names, newest first; at most CANDIDATES. Raises OSError.

    Regular files only. If `compressed`, of those that somebody compressed, by the names they had.
    """
    parse = naming.parse_compressed if compressed else naming.parse
    with os.scandir(dir_fd) as entries:
        names = (
            name
            for entry in entries
            if (name := parse(entry.name)) is not None and entry.is_file(follow_symlinks=False)
        )
        return heapq.nlargest(CANDIDATES, names)


def recover_all(
    dir_fd: int, names: list[SavefileName], log_dir: str, tell: Tell, ending: threading.Event
) -> None:
    """Mend the newest of these savefiles, and the one before as long as they are not whole."""
    for name in names:
        if recover(dir_fd, name, log_dir, tell, ending):
            return


def recover(
    dir_fd: int, name: SavefileName, log_dir: str, tell: Tell, ending: threading.Event
) -> bool:
    """Cut the torn tail off an earlier run's last savefile, if that is its damage, and say so.

    A savefile that somebody is writing, or that has another hard link, is left alone. Failures
    are told, never raised: recording does not depend on the past. Where it has to wait, `ending`
    puts it off to the next start. Returns whether the savefile was whole.
    """
    path = os.path.join(log_dir, name.name)
    try:
        fd = os.open(name.name, READ_FLAGS, dir_fd=dir_fd)
    except OSError as error:
        tell("recovery_failed", f"[!] Cannot look at {path}: {error.strerror}", path=path)
        return False
    try:
        status = os.fstat(fd)
        if not S_ISREG(status.st_mode) or status.st_nlink != 1:
            return False
        # Shared: a writer's lock refuses it, and pruning meanwhile does not mind it.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        found = walk(fd)
        if found.damage is not None and _left_alone(fd, ending):
            _cut(fd, dir_fd, name, path, found, tell)
        return found.damage is None
    except BlockingIOError:
        return False
    except OSError as error:
        tell("recovery_failed", f"[!] Cannot repair {path}: {error.strerror}", path=path)
        return False
    finally:
        os.close(fd)


def _left_alone(fd: int, ending: threading.Event) -> bool:
    """Whether nobody has the file open for writing, with a lock of ours or without."""
    written = has_writer(fd)
    if written is not None:
        return not written
    before = os.fstat(fd)
    wait_s = SETTLED_S - (time.time() - before.st_mtime)
    if wait_s > 0 and ending.wait(min(wait_s, SETTLED_S)):
        return False
    now = os.fstat(fd)
    return (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def _cut(fd: int, dir_fd: int, name: SavefileName, path: str, found: Walk, tell: Tell) -> None:
    records = salvage(fd) if found.torn else None
    if records is None or not _only_tail(records, found):
        # Damage with more behind it was not left by a killed recorder; it may be evidence.
        text = f"[!] {path} is damaged and left as it is: {found.damage}"
        if records is not None:
            text += "; there may be whole records behind it: dlctl verify --repair keeps them"
        tell("damaged", text, path=path, offset=found.end_offset)
        return
    torn_bytes = found.size_bytes - found.end_offset
    # By name, as there may be no /proc in a chroot.
    writer_fd = os.open(name.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        status = os.fstat(fd)
        if not os.path.samestat(status, os.fstat(writer_fd)):
            return  # another file has the name by now
        os.ftruncate(writer_fd, found.end_offset)
        # Its age is that of its packets: what prunes by it must not take it for new.
        with suppress(PermissionError):  # it is another user's
            os.utime(writer_fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    finally:
        os.close(writer_fd)
    tell(
        "recovered",
        f"[!] Recovered {path}: {found.packets} whole records kept, "
        f"{torn_bytes} bytes of a torn one cut at byte offset {found.end_offset}",
        path=path,
        packets=found.packets,
        torn_bytes=torn_bytes,
        offset=found.end_offset,
    )


def _only_tail(records: Salvage, found: Walk) -> bool:
    """Whether no whole record lies behind the place where the walk ended."""
    last = records.ranges[-1].end if records.ranges else found.end_offset
    return records.complete and len(records.ranges) <= 1 and last == found.end_offset
