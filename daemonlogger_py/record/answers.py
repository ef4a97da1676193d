"""``PREFIX.socket``: whoever connects gets one line, how the recording goes, and is let go.

Nothing is read from those who ask, and nobody is waited for. What the line says is `figures`'.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress

# sun_path of unix(7), less the NUL behind it.
LONGEST_NAME = 107
_BACKLOG = 16
# Who may read the savefiles may ask; connecting takes permission to write.
_MODE = 0o660


class Answers:
    """The unix socket `name` in the working directory. Raises OSError where there can be none.

    One that somebody answers on already is another recorder's, and stays it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        if _is_answered(name):
            raise FileExistsError(0, "another recorder answers there", name)
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._listener = socket.socket(socket.AF_UNIX, kind)
        try:
            with suppress(FileNotFoundError):
                os.unlink(name)  # a killed recorder's
            self._listener.bind(name)
            os.chmod(name, _MODE)
            self._listener.listen(_BACKLOG)
            self._inode = os.stat(name).st_ino
        except OSError:
            self._listener.close()
            raise

    def fileno(self) -> int:
        """Readable when somebody asks."""
        return self._listener.fileno()

    def give(self, line: Callable[[], bytes]) -> None:
        """Give everybody who asks what `line` returns; it is called when there is somebody."""
        for _ in range(_BACKLOG):
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            with client, suppress(OSError):
                client.settimeout(0)
                client.send(line())  # a few kilobytes fit into the socket of who reads nothing

    def close(self) -> None:
        """Close it, and remove its name unless that is another's by now."""
        self._listener.close()
        with suppress(OSError):
            if os.stat(self._name).st_ino == self._inode:
                os.unlink(self._name)


def _is_answered(name: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as asking:
        try:
            asking.connect(name)
        except BlockingIOError:
            return True  # so many ask it that this one would have to wait
        except OSError:
            return False
    return True
