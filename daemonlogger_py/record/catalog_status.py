"""How the recording goes, for those who ask the cataloger through ``PREFIX.socket``.

Keeps what the recorder said last and adds what only the disk knows. What the line says is
`figures`', who asks and how is `answers`'.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from daemonlogger_py import __version__
from daemonlogger_py.record.answers import LONGEST_NAME, Answers
from daemonlogger_py.record.figures import Rates, about_room, kept_filter, line
from daemonlogger_py.record.keeper import look_at_volume
from daemonlogger_py.record.retention import limits_of
from daemonlogger_py.savefile.names import SOCKET

if TYPE_CHECKING:
    from daemonlogger_py.record.opening import Opened

# What is recorded beside that leaves some of every disk and processor to others.
BUSY_BYTES_PER_S = 4 << 20


class Status:
    """What is known of the recording `ready` of the process `recorder_pid`."""

    def __init__(self, ready: "Opened", recorder_pid: int) -> None:
        assert ready.log_dir is not None  # noqa: S101
        self.filter_text = kept_filter(ready.filter_text)
        self.missed = 0
        """Notes that the recorder could not keep."""
        self._config = ready.config
        self._dir_fd = ready.log_dir.fd
        self._started_ns = ready.since_ns
        self._recorder_pid = recorder_pid
        self._limits = limits_of(ready.config) if ready.config.ring else None
        self._figures: dict[str, Any] = {}
        self._rates = Rates()

    def report(self, at_ns: int, figures: dict[str, Any]) -> None:
        """Note what the recorder says of itself, the fields of `figures.Figures`."""
        self._figures = figures
        self._rates.report(at_ns, figures["received"], figures["written_bytes"])

    @property
    def is_busy(self) -> bool:
        """Whether much is recorded, or how much is not known yet."""
        return not self._rates.known or self._rates.per_second()[1] >= BUSY_BYTES_PER_S

    def line(self, behind: int) -> bytes:
        """How it goes right now, as one line of JSON, with `behind` savefiles to be surveyed."""
        told = self._figures
        volume = look_at_volume(self._dir_fd)
        packets_per_s, bytes_per_s = self._rates.per_second()
        return line(
            {
                "version": __version__,
                "pid": self._recorder_pid,
                "started_ns": self._started_ns,
                "now_ns": time.time_ns(),
                "interface": self._config.interface,
                "filter": self.filter_text,
                **told,
                "rate_packets": round(packets_per_s, 1),
                "rate_bytes": round(bytes_per_s, 1),
                **about_room(told, self._limits, volume, self._config.roll_size),
                "catalog_behind": behind,
                "missed_messages": self.missed,
            }
        )


def listening(prefix: str, say: Callable[[str, str], None]) -> Answers | None:
    """Listen in the working directory for those who ask; None, and that is said: nobody can."""
    name = f"{prefix}{SOCKET}"
    try:
        if len(os.fsencode(name)) > LONGEST_NAME:
            raise OSError(0, "its name is too long for a socket")
        return Answers(name)
    except OSError as error:
        say("no_socket", f"[!] dlctl status cannot ask: ./{name}: {error.strerror}")
        return None
