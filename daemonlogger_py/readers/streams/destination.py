"""Where output goes: the directory is made if it is missing and opened once.

One level is made, as with tcpflow. What is created in it is the affair of `files`, for streams,
and of `outdir`, for what is made of them.
"""

import os

from daemonlogger_py.errors import StorageError

STANDARD_OUTPUT = 1


def opened(path: str, owner: tuple[int, int] | None = None) -> int:
    """A descriptor of the directory `path`, which is made for `owner` (uid, gid) if missing.

    Raises StorageError.
    """
    try:
        try:
            os.mkdir(path)
        except FileExistsError:
            pass
        else:
            if owner is not None:
                os.chown(path, *owner, follow_symlinks=False)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StorageError(f"-o {path!r}: {error.strerror}; accepted: a directory") from None


def prefix_of(path: str) -> str:
    """What is put before the names of files in `path` wherever they are told; "" for "."."""
    return "" if path == "." else path.rstrip("/") + "/"
