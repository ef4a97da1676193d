"""What a killed recorder left: a last savefile whose last record may be torn.

Only the tail that no reader could use is cut; every whole record stays.
"""

import fcntl
import os
import time
from contextlib import suppress

from daemonlogger_py.record.messages import Tell
from daemonlogger_py.savefile.names import Naming, SavefileName
from daemonlogger_py.savefile.records import walk

# A torn file that was modified less long ago may have a writer that takes no lock: look twice.
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


def recover(dir_fd: int, name: SavefileName, log_dir: str, tell: Tell) -> None:
    """Cut the torn tail off an earlier run's last savefile, if it has one, and say so.

    A savefile that another recorder is writing, or that changes while it is looked at, is left
    alone. Failures are told, never raised: recording does not depend on the past.
    """
    path = os.path.join(log_dir, name.name)
    try:
        fd = os.open(name.name, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as error:
        tell("recovery_failed", f"[!] Cannot look at {path}: {error.strerror}", path=path)
        return
    try:
        # Shared: a writer's lock refuses it, and pruning meanwhile does not mind it.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        _cut(fd, path, tell)
    except BlockingIOError:
        return
    except OSError as error:
        tell("recovery_failed", f"[!] Cannot repair {path}: {error.strerror}", path=path)
    finally:
        os.close(fd)


def _cut(fd: int, path: str, tell: Tell) -> None:
    before = os.fstat(fd)
    found = walk(fd)
    if found.damage is None:
        return
    if time.time() - before.st_mtime < SETTLED_S:
        time.sleep(SETTLED_S)
    now = os.fstat(fd)
    if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        return
    if not found.torn:
        # Damage with more behind it was not left by a killed recorder; it may be evidence.
        text = f"[!] {path} is damaged and left as it is: {found.damage}"
        tell("damaged", text, path=path, offset=found.end_offset)
        return
    torn_bytes = now.st_size - found.end_offset
    os.ftruncate(fd, found.end_offset)
    tell(
        "recovered",
        f"[!] Recovered {path}: {found.packets} whole records kept, "
        f"{torn_bytes} bytes of a torn one cut at byte offset {found.end_offset}",
        path=path,
        packets=found.packets,
        torn_bytes=torn_bytes,
        offset=found.end_offset,
    )
