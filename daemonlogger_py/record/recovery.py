"""What a killed recorder left: a last savefile whose last record may be torn.

Only the tail that no reader could use is cut; every whole record stays.
"""

import errno
import fcntl
import os
import threading
import time
from contextlib import suppress

from daemonlogger_py.record.messages import Tell
from daemonlogger_py.savefile.names import Naming, SavefileName
from daemonlogger_py.savefile.records import Walk, walk

# Where the kernel cannot tell whether a file has a writer: as long must it have been left alone.
SETTLED_S = 2.0


def newest(dir_fd: int, naming: Naming) -> SavefileName | None:
    """Find the newest savefile by its name; regular files only. Raises OSError."""
    found: SavefileName | None = None
    with os.scandir(dir_fd) as entries:
        for entry in entries:
            name = naming.parse(entry.name)
            if name is None or (found is not None and name < found):
                continue
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    found = name
    return found


def recover(
    dir_fd: int, name: SavefileName, log_dir: str, tell: Tell, ending: threading.Event
) -> None:
    """Cut the torn tail off an earlier run's last savefile, if it has one, and say so.

    A savefile that somebody is writing is left alone. Failures are told, never raised: recording
    does not depend on the past. Where it has to wait, `ending` puts it off to the next start.
    """
    path = os.path.join(log_dir, name.name)
    try:
        fd = os.open(name.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        tell("recovery_failed", f"[!] Cannot look at {path}: {error.strerror}", path=path)
        return
    try:
        # Shared: a writer's lock refuses it, and pruning meanwhile does not mind it.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        found = walk(fd)
        if found.damage is not None and _left_alone(fd, ending):
            _cut(dir_fd, name, path, found, tell)
    except BlockingIOError:
        return
    except OSError as error:
        tell("recovery_failed", f"[!] Cannot repair {path}: {error.strerror}", path=path)
    finally:
        os.close(fd)


def _left_alone(fd: int, ending: threading.Event) -> bool:
    """Whether nobody has the file open for writing, with a lock of ours or without."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)  # refused while it has a writer
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return False
    else:
        return True
    before = os.fstat(fd)  # a file system without leases, or somebody else's file
    wait_s = SETTLED_S - (time.time() - before.st_mtime)
    if wait_s > 0 and ending.wait(min(wait_s, SETTLED_S)):
        return False
    now = os.fstat(fd)
    return (now.st_size, now.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def _cut(dir_fd: int, name: SavefileName, path: str, found: Walk, tell: Tell) -> None:
    if not found.torn:
        # Damage with more behind it was not left by a killed recorder; it may be evidence.
        text = f"[!] {path} is damaged and left as it is: {found.damage}"
        tell("damaged", text, path=path, offset=found.end_offset)
        return
    torn_bytes = found.size_bytes - found.end_offset
    fd = os.open(name.name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    try:
        os.ftruncate(fd, found.end_offset)
    finally:
        os.close(fd)
    tell(
        "recovered",
        f"[!] Recovered {path}: {found.packets} whole records kept, "
        f"{torn_bytes} bytes of a torn one cut at byte offset {found.end_offset}",
        path=path,
        packets=found.packets,
        torn_bytes=torn_bytes,
        offset=found.end_offset,
    )
