"""Keeps the ring within its limits: before each savefile, on a timer, and on a full volume.

The decisions are ``retention``'s, the deeds ``prune``'s; this knows when to ask, what the volume
says, and what has been said already. It belongs to the writer's thread.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from daemonlogger_py.errors import StorageError
from daemonlogger_py.record.archive import Archiver
from daemonlogger_py.record.messages import Tell
from daemonlogger_py.record.prune import Enforced, Pruner
from daemonlogger_py.record.retention import Limits, Plan, Volume, plan
from daemonlogger_py.record.ring import Ring
from daemonlogger_py.savefile.names import Naming, SavefileName

# What others did to the directory is looked for this often, and never for more than a hundredth
# of the time.
RECONCILE_S = 60.0
RECONCILE_SHARE = 0.01
ARCHIVE_CLOSE_S = 30.0


def look_at_volume(dir_fd: int) -> Volume:
    """Size and free bytes of the volume that `dir_fd` is on. Raises OSError."""
    import psutil  # 15 ms that only limits of the volume's use need to pay

    # psutil takes a descriptor as os.statvfs does, though its stub says str.
    usage = psutil.disk_usage(dir_fd)  # type: ignore[arg-type]
    return Volume(usage.total, usage.free)


class RingState(NamedTuple):
    """What is in a ring."""

    files: int
    size_bytes: int
    oldest_ns: int | None  # when the oldest savefile was last written to, ns since 1970


class Keeper:
    """The ring of one prefix in the directory open as `dir_fd`.

    Adopts what is there; with `this_run_only` (-z) only savefiles of this run are ever pruned.
    Raises StorageError if the directory or the archive cannot be opened.
    """

    def __init__(
        self,
        dir_fd: int,
        log_dir: str,
        naming: Naming,
        limits: Limits,
        tell: Tell,
        *,
        this_run_only: bool,
        archive: str | None,
    ) -> None:
        self._dir_fd = dir_fd
        self._log_dir = log_dir
        self._limits = limits
        self._say = tell
        self._rolling = False
        self._said_unmet: tuple[str, ...] = ()
        self._reconciled_at = time.monotonic()
        self._reconcile_s = RECONCILE_S
        self.pruned = 0
        """Savefiles deleted, or taken by the archiver."""
        self.state = RingState(0, 0, None)
        """As of the last time that was looked; for other threads."""
        self.ring = Ring(dir_fd, naming, this_run_only=this_run_only)
        self._pruner = Pruner(self.ring, dir_fd, log_dir, self._tell)
        self._archiver: Archiver | None = None
        if archive is not None:
            self._archiver = Archiver(dir_fd, archive, naming, self._pruner.finished)
            self._pruner.archive_to(self._archiver)
        self._timed(self.ring.adopt)

    @property
    def archive_fd(self) -> int | None:
        """The archive directory, open; None without one."""
        return None if self._archiver is None else self._archiver.target_fd

    def make_room(self, may_grow_bytes: int) -> None:
        """Prune what has to go before a savefile of up to `may_grow_bytes` is opened."""
        self._rolling = True
        limits = self._limits
        if self._ring_of_one and self.ring.open_files:
            # The one before is sealed after that: a ring of one is over its limit until then.
            limits = replace(limits, max_files=None)
        self._enforce(limits, may_grow_bytes, opening=1)
        self._rolling = False

    def foretell(self, may_grow_bytes: int) -> Plan:
        """Plan what `make_room` would prune, and prune nothing."""
        return plan(
            self.ring,
            self._limits,
            look_at_volume(self._dir_fd) if self._limits.needs_volume else None,
            reserve_bytes=may_grow_bytes,
            now_ns=time.time_ns(),
            opening=1,
            frees_volume=self._archiver is None or not self._archiver.same_volume,
        )

    def sealed(self, name: SavefileName, status: os.stat_result) -> None:
        """A savefile is complete; `status` is its fstat."""
        self.ring.sealed(name, status)
        if self._ring_of_one:
            said = self._said_unmet
            self._enforce(Limits(max_files=1), 0, opening=0)
            self._said_unmet = said
        self._note_state()

    @property
    def _ring_of_one(self) -> bool:
        return self._limits.max_files == 1

    def look_after(self, name: SavefileName, size_bytes: int, may_grow_bytes: int) -> None:
        """Prune on a timer, the open savefile holding `size_bytes` by now."""
        self.ring.grown(name, size_bytes)
        if time.monotonic() - self._reconciled_at >= self._reconcile_s:
            self._timed(self.ring.reconcile)
        self._enforce(self._limits, max(0, may_grow_bytes - size_bytes), opening=0)

    @property
    def nothing_to_prune(self) -> bool:
        """Whether no savefile but the open one could make room, nor is on its way out."""
        if self._archiver is not None and self._archiver.pending_bytes:
            return False
        return next(self.ring.oldest_first(), None) is None

    def make_space(self, wanted_bytes: int) -> bool:
        """The volume is full: prune the oldest. False: there is nothing (more) to prune.

        True promises room, which may take a moment: an archive may still be taking savefiles.
        """
        # Where archiving frees nothing, recording goes before keeping what is oldest.
        in_vain = self._archiver is not None and self._archiver.same_volume
        done = self._pruner.make_space(
            wanted_bytes, force_delete=in_vain or self._pruner.archiving_fails
        )
        self._note(done)
        return bool(done.pruned) or not done.unmet

    def close(self) -> None:
        """Give the archiver time to end what it has begun."""
        if self._archiver is not None and not self._archiver.close(ARCHIVE_CLOSE_S):
            text = f"[!] Archiving took more than {ARCHIVE_CLOSE_S:g} s; the rest stays where it is"
            self._say("archive_unfinished", text)
        self._pruner.settle()

    def _enforce(self, limits: Limits, reserve_bytes: int, *, opening: int) -> None:
        try:
            done = self._pruner.enforce(
                limits,
                lambda: look_at_volume(self._dir_fd),
                reserve_bytes=reserve_bytes,
                now_ns=time.time_ns(),
                opening=opening,
            )
        except OSError as error:
            raise StorageError(f"{self._log_dir}: {error.strerror}") from error
        self._note(done)
        if done.unmet and done.unmet != self._said_unmet:
            unmet = ", ".join(done.unmet)
            text = f"[!] Ringbuffer: {unmet}: nothing left to prune, going on while there is room"
            self._say("nothing_to_prune", text, limits=unmet)
        self._said_unmet = done.unmet

    def _note(self, done: Enforced) -> None:
        self.pruned += len(done.pruned)
        self._note_state()

    def _note_state(self) -> None:
        oldest = next(self.ring.oldest_first(), None)
        oldest_ns = None if oldest is None else oldest.modified_ns
        self.state = RingState(len(self.ring), self.ring.total_bytes, oldest_ns)

    def _tell(self, event: str, text: str, /, **facts: object) -> None:
        if (
            self._rolling
            and event in ("prune", "archive")
            and "disk utilization" in str(facts["reason"])
        ):
            self._rolling = False  # said before the first deletion of a roll-over
            self._say(
                "max_utilization", "Disk max utilization reached, rolling over and pruning", **facts
            )
        self._say(event, text, **facts)

    def _timed(self, scan: Callable[[], object]) -> None:
        started = time.monotonic()
        try:
            scan()
        except OSError as error:
            raise StorageError(f"log directory {self._log_dir}: {error.strerror}") from error
        self._reconciled_at = time.monotonic()
        self._reconcile_s = max(RECONCILE_S, (self._reconciled_at - started) / RECONCILE_SHARE)
