"""Tells systemd how the service is doing: sd_notify(3), one datagram a message.

What is worth saying, and when the watchdog has earned its food, is the recorder's. Not started by
systemd there is nobody to tell, and nothing happens.
"""

import os
import socket
import threading
import time
from collections.abc import MutableMapping
from contextlib import suppress

# Of the status line; systemd takes 4096 bytes a message.
STATUS_MAX_BYTES = 1024

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """The service manager that `environ` (default: this process's) names.

    Connected at once, so before a chroot; the variables are removed, so that no child takes them
    for its own. No method raises or blocks. A change of state that the manager had no room for is
    said again with the next message.
    """

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        if environ is None:
            environ = os.environ
        address, watchdog_usec, watchdog_pid = (environ.pop(name, "") for name in _VARIABLES)
        self._socket = _connected(address) if address else None
        self._watchdog_usec = _number(watchdog_usec)
        self._watchdog_pid = _number(watchdog_pid) if watchdog_pid else None
        self._owed = ""
        self._sending = threading.Lock()

    @property
    def connected(self) -> bool:
        """Whether there is anybody to tell."""
        return self._socket is not None

    @property
    def watchdog_interval_s(self) -> float | None:
        """Seconds between two calls of `watchdog`, half of what systemd allows; None: not asked."""
        meant = self._watchdog_pid is None or self._watchdog_pid == os.getpid()
        if self._socket is None or not self._watchdog_usec or not meant:
            return None
        return self._watchdog_usec / 2_000_000

    def ready(self, status: str = "") -> None:
        """Packets are being captured: at the start, and again after `reloading`."""
        self._change("READY=1", status)

    def reloading(self, status: str = "") -> None:
        """The settings are read again; `ready` has to follow."""
        # systemd tells by the time whether this answers its own wish (Type=notify-reload).
        now_usec = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._change(f"RELOADING=1\nMONOTONIC_USEC={now_usec}", status)

    def stopping(self, status: str = "") -> None:
        """The end has begun; it may take until all buffers are on the disk."""
        self._change("STOPPING=1", status)

    def status(self, text: str) -> None:
        """Say how it goes, in one line, as ``systemctl status`` shows it."""
        self._send(_status_line(text))

    def watchdog(self) -> None:
        """Say that the work is getting done, if systemd wants to know."""
        if self.watchdog_interval_s is not None:
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Let go of the manager's socket. May be called twice."""
        with self._sending:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _change(self, state: str, status: str) -> None:
        self._send(_status_line(status) if status else "", state)

    def _send(self, message: str, state: str = "") -> None:
        with self._sending:
            self._owed = state or self._owed
            if self._socket is None:
                return
            data = "\n".join(filter(None, (self._owed, message)))
            with suppress(OSError):
                self._socket.send(data.encode(errors="replace"), socket.MSG_NOSIGNAL)
                self._owed = ""


def _connected(address: str) -> socket.socket | None:
    if not address.startswith(("/", "@")):
        return None  # vsock, for a whole virtual machine
    raw = os.fsencode(address)
    if raw.startswith(b"@"):  # an abstract name, which is in no directory
        raw = b"\0" + raw[1:]
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.settimeout(0)
    try:
        made.connect(raw)
    except (OSError, ValueError):  # not there, or a name that is none
        made.close()
        return None
    return made


def _status_line(text: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    cut = line.encode(errors="replace")[:STATUS_MAX_BYTES].decode(errors="ignore")
    return f"STATUS={cut}"


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0
