"""RecorderConfig: everything the recorder is told, once, before it starts.

Plain values, no behaviour: they are filled in by `config.resolve` and held to by `config.checks`.
The field names are the long option names with ``_`` for ``-``; units are in the comments where
the name does not hold them.
"""

import os
from dataclasses import dataclass
from typing import Literal

from daemonlogger_py.config.chroot import inside
from daemonlogger_py.config.units import unit_seconds

PID_FILE = "daemonlogger.pid"
PID_DIR = "/run"


@dataclass(frozen=True, slots=True)
class RollTime:
    """A roll-over period: plain seconds, or aligned to the local minute, hour or day."""

    count: int
    unit: Literal["s", "m", "h", "d"]  # "s" is not aligned

    @property
    def seconds(self) -> int:
        """Length of the period, leaving changes of the local clock aside."""
        return self.count * unit_seconds(self.unit)


@dataclass(frozen=True, slots=True)
class RecorderConfig:
    """One recording, as asked for."""

    interface: str | None = None  # None with read None: the first that is up and not loopback
    read: str | None = None  # savefile to read, "-" for standard input
    filter: str = ""  # filter words joined by blanks
    filter_file: str | None = None
    snaplen: int | None = None  # None: 65535 live, whole records from a savefile
    count: int | None = None  # packets
    flush: bool = False
    log_dir: str = "."
    prefix: str = "daemonlogger.pcap"
    archive: str | None = None
    catalog: bool | None = None  # None: with ring, of an interface
    ring: bool = False
    prune_run: bool = False
    max_files: int | None = None
    max_percent: float | None = None
    max_bytes: int | None = None
    min_free_bytes: int | None = None  # --min-free 10g
    min_free_percent: float | None = None  # --min-free 15%
    max_age: int | None = None  # seconds
    roll_size: int = 2 << 30  # bytes
    roll_size_given: bool = False  # False: the default, which may be lowered for a small volume
    roll_time: RollTime | None = None
    roll_packets: int | None = None
    buffer_size: int = 64 << 20  # bytes of the kernel's capture buffer
    buffer_memory: int = 256 << 20  # bytes that may wait for the disk
    nanosecond: bool = False
    tstamp_type: str | None = None
    promiscuous: bool = True
    direction: Literal["in", "out", "inout"] = "inout"
    immediate: bool = False
    direct: bool = False
    wait_interface: bool = False
    tap: tuple[str, ...] = ()  # interfaces to send out of
    tee: bool = False
    pace: float | None = None  # times as fast as recorded; None: as fast as possible
    daemon: bool = False
    pidfile: str | None = None  # a file name; None: PID_FILE, if there is to be one
    pid_dir: str | None = None  # None: PID_DIR
    user: str | None = None
    group: str | None = None
    chroot: str | None = None
    sandbox: bool | None = None  # None: once privileges are dropped
    on_roll: str | None = None
    metrics: tuple[str, int] | None = None  # numeric address and TCP port
    stats_interval: float | None = None  # seconds
    log_format: Literal["text", "json"] = "text"

    @property
    def savefiles(self) -> bool:
        """Whether it writes any: a soft tap alone does not."""
        return not self.tap or self.tee

    @property
    def cataloged(self) -> bool:
        """Whether a catalog is kept of what is recorded."""
        wanted = self.ring if self.catalog is None else self.catalog
        return wanted and self.read is None and self.savefiles

    @property
    def pid_path(self) -> str | None:
        """Path of the PID file; None: there is to be none."""
        if not self.daemon and self.pidfile is None and self.pid_dir is None:
            return None
        return os.path.join(self.pid_dir or PID_DIR, self.pidfile or PID_FILE)

    def outside(self, path: str) -> str:
        """Where `path` is before the root directory is changed. Raises UsageError, see `inside`."""
        return inside(self.chroot, path)
