"""Where a path that is named inside a chroot is, as long as the root directory is the old one."""

import os

from daemonlogger_py.errors import UsageError

# As many as the kernel follows (path_resolution(7)).
MOST_LINKS = 40


def inside(chroot: str | None, path: str) -> str:
    """Tell where `path`, as named inside the chroot, is when seen from outside.

    Resolved as it will be from inside, where the working directory is the root: an absolute link
    and ``..`` stay within. What does not exist is passed on, for whoever opens it to find out.
    Raises UsageError when there is no end to the links.
    """
    if chroot is None:
        return path
    found: list[str] = []
    ahead = path.split("/")[::-1]
    links = 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            del found[-1:]
        elif part not in ("", "."):
            try:
                target = os.readlink(os.path.join(chroot, *found, part))
            except OSError:  # no link; or nothing is there, or it may not be read
                found.append(part)
                continue
            links += 1
            if links > MOST_LINKS:
                raise UsageError(f"{path} in -T/--chroot {chroot!r}: too many symbolic links")
            if target.startswith("/"):
                found.clear()
            ahead += target.split("/")[::-1]
    return os.path.join(chroot, *found)
