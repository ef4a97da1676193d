"""Messages to the local syslogd, in the form that syslog(3) gives them; facility daemon.

One datagram an entry. What an entry says, and how grave it is, is the caller's; so is escaping
what a terminal would obey. Waiting for a syslogd that hangs is the caller's too: in a thread.
"""

import os
import socket
import time
from contextlib import suppress

SOCKET_PATH = "/dev/log"
IDENT = "daemonlogger"
# rsyslog's default for a whole message (its maxMessageSize); journald takes more.
MOST_BYTES = 8192

# RFC 5424 section 6.2.1.
_FACILITY_DAEMON = 3 << 3
_WARNING = 4
_CUT = b"..."
# Of the C locale, whatever is set: syslogd parses them.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Syslog:
    """The syslogd at `path`: connected at once, and again after it was started anew.

    After a chroot it is looked for at `path` inside it, once it has gone. What is said while there
    is none is lost, counted, and the count is the first thing that the next one is told.
    """

    def __init__(self, path: str = SOCKET_PATH, ident: str = IDENT) -> None:
        self._path = path
        self._ident = ident
        self._socket: socket.socket | None = None
        self._stream = False
        self._lost = 0
        time.localtime()  # reads the time zone, which is not there in a chroot
        self._connect()

    @property
    def connected(self) -> bool:
        """Whether a syslogd was there when it was last looked for."""
        return self._socket is not None

    def log(self, severity: int, line: str, time_s: float) -> None:
        """Send one entry: a line said at `time_s`, seconds since 1970. Never raises.

        `severity` is RFC 5424's number. The line is cut to MOST_BYTES. Blocks while syslogd reads
        nothing.
        """
        if self._lost:
            text = f"[!] {self._lost} messages lost: there was no syslogd"
            if not self._sent(_WARNING, text, time.time()):
                self._lost += 1
                return
            self._lost = 0
        if not self._sent(severity, line, time_s):
            self._lost += 1

    def close(self) -> None:
        """Let go of syslogd. May be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _sent(self, severity: int, line: str, time_s: float) -> bool:
        entry = self._entry(severity, line, time_s)
        # The second time to one that was started since.
        return self._send(entry) or (self._connect() and self._send(entry))

    def _send(self, entry: bytes) -> bool:
        if self._socket is None:
            return False
        try:
            if self._stream:
                self._socket.sendall(entry + b"\0", socket.MSG_NOSIGNAL)
            else:
                self._socket.send(entry, socket.MSG_NOSIGNAL)
        except OSError:
            self.close()
            return False
        return True

    def _connect(self) -> bool:
        self.close()
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):  # some listen for streams instead
            made = socket.socket(socket.AF_UNIX, kind)
            with suppress(OSError):
                made.connect(self._path)
                self._socket, self._stream = made, kind == socket.SOCK_STREAM
                return True
            made.close()
        return False

    def _entry(self, severity: int, line: str, time_s: float) -> bytes:
        at = time.localtime(time_s)
        # The PID at this moment: that of the daemon, whoever connected.
        head = (
            f"<{_FACILITY_DAEMON | severity}>{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} "
            f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} {self._ident}[{os.getpid()}]: "
        )
        entry = (head + line).encode(errors="surrogateescape")
        if len(entry) <= MOST_BYTES:
            return entry
        end = MOST_BYTES - len(_CUT)
        for _ in range(3):  # not in the middle of a character
            end -= entry[end] & 0xC0 == 0x80
        return entry[:end] + _CUT
