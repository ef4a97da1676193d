"""Stands in for systemd or a syslogd: the end of a Unix socket that datagrams arrive at."""

import os
import socket
from contextlib import suppress
from typing import Self

# Of whatever is waited for: it fails instead of hanging.
PATIENCE_S = 20


class Receiver:
    """A datagram socket at `address`: a path, or @NAME for an abstract one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def next(self) -> str:
        """The next datagram; waits for it."""
        return self.socket.recv(1 << 16).decode(errors="surrogateescape")

    def waiting(self) -> list[str]:
        """All that have arrived."""
        found = []
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                found.append(self.next())
        self.socket.settimeout(PATIENCE_S)
        return found

    def close(self) -> None:
        """Gone, and its name too. May be called twice."""
        self.socket.close()
        if not self.address.startswith("@") and os.path.exists(self.address):
            os.unlink(self.address)
