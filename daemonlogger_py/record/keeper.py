"""Keeps the ring within its limits: before each savefile, on a timer, and on a full volume.

The decisions are ``retention``'s, the deeds ``prune``'s; this knows when to ask, what the volume
says, and what has been said already. It belongs to the writer's thread.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, Protocol

from daemonlogger_py.errors import StorageError
from daemonlogger_py.record.archive import Archiver
from daemonlogger_py.record.messages import Tell
from daemonlogger_py.record.prune import Enforced, Pruner
from daemonlogger_py.record.retention import Limits, Plan, Volume, plan
from daemonlogger_py.record.ring import Ring
from daemonlogger_py.savefile.names import Naming, SavefileName
from daemonlogger_py.savefile.pinned import Pins

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
    oldest_epoch: int | None = None  # the second in its name
    pinned_bytes: int = 0
    pinned_open_bytes: int = 0  # of these, in the savefile being written


class _Written(NamedTuple):
    """What pins go by, of the savefile being written."""

    epoch: int
    modified_ns: int


class PinSource(Protocol):
    """Knows what is pinned; `record.chronicle.Chronicle` is one."""

    @property
    def pins_known(self) -> bool:
        """Whether `pins` is all there is; until then something may be pinned."""

    def pins(self) -> Pins:
        """What is pinned, the same object as long as it is the same. Never waits."""

    def wait_for_pins(self) -> bool:
        """Wait a little for the pins to be known; returns whether they are."""


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
        self._pin_source: PinSource | None = None
        self._pins = Pins()  # those that the ring keeps to
        self._waited_for_pins = False
        self._growth: Callable[[], int] = int
        self._open: tuple[SavefileName, int] | None = None  # and the bytes it holds
        self.pruned = 0
        """Savefiles deleted, or taken by the archiver."""
        self.state = RingState(0, 0, None)
        """As of the last write; for other threads."""
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

    def keep_pinned(self, source: PinSource) -> None:
        """Prune nothing from now on that `source` says is pinned."""
        self._pin_source = source

    def share_volume(self, growth: Callable[[], int]) -> None:
        """Leave room on the volume for the bytes that `growth` says something else may grow by."""
        self._growth = growth

    def heed(self, pins: Pins) -> None:
        """Have the ring keep what is pinned."""
        if pins is not self._pins:
            self._pins = pins
            self.ring.pin(pins.cover if pins else None)

    def on_archived(self, tell: Callable[[str, str], None]) -> None:
        """Call `tell` with the name of each savefile that was archived, here and there."""
        self._pruner.on_archived(tell)

    @property
    def what_is_left(self) -> str:
        """Why nothing (more) can be pruned, as messages say it."""
        if not self.ring.pinned_files:
            return "nothing left to prune"
        count, size = self.ring.pinned_files, self.ring.pinned_bytes
        return f"nothing left to prune but what is pinned ({count} savefiles, {size} bytes)"

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
        return self._plan(self._limits, may_grow_bytes, opening=1)

    def _plan(self, limits: Limits, reserve_bytes: int, *, opening: int) -> Plan:
        return plan(
            self.ring,
            limits,
            self._look_at_volume() if limits.needs_volume else None,
            reserve_bytes=reserve_bytes,
            now_ns=time.time_ns(),
            opening=opening,
            frees_volume=self._archiver is None or not self._archiver.same_volume,
        )

    def sealed(self, name: SavefileName, status: os.stat_result) -> None:
        """A savefile is complete; `status` is its fstat."""
        self.ring.sealed(name, status)
        if self._open is not None and self._open[0] == name:
            self._open = None
        if self._ring_of_one:
            said = self._said_unmet
            self._enforce(Limits(max_files=1), 0, opening=0)
            self._said_unmet = said
        self._note_state()

    def removed(self, name: SavefileName) -> None:
        """The savefile being written was removed by somebody else."""
        self.ring.discarded(name)
        if self._open is not None and self._open[0] == name:
            self._open = None
        self._note_state()

    @property
    def _ring_of_one(self) -> bool:
        return self._limits.max_files == 1

    def grown(self, name: SavefileName, size_bytes: int) -> None:
        """Note that the open savefile holds `size_bytes` by now."""
        self.ring.grown(name, size_bytes)
        self._open = name, size_bytes
        pinned_bytes = self._pinned_open_bytes()
        self.state = self.state._replace(
            files=len(self.ring),
            size_bytes=self.ring.total_bytes,
            pinned_bytes=self.ring.pinned_bytes + pinned_bytes,
            pinned_open_bytes=pinned_bytes,
        )

    def look_after(self, name: SavefileName, size_bytes: int, may_grow_bytes: int) -> None:
        """Prune on a timer, the open savefile holding `size_bytes` by now."""
        self.grown(name, size_bytes)
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
        self._heed_pins(prunes=True)
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
            self._heed_pins(prunes=False)
            if self._pins_may_come and self._plan(limits, reserve_bytes, opening=opening).prunes:
                self._heed_pins(prunes=True)
            done = self._pruner.enforce(
                limits,
                self._look_at_volume,
                reserve_bytes=reserve_bytes,
                now_ns=time.time_ns(),
                opening=opening,
            )
        except OSError as error:
            raise StorageError(f"{self._log_dir}: {error.strerror}") from error
        self._note(done)
        if done.unmet and done.unmet != self._said_unmet:
            unmet = ", ".join(done.unmet)
            left = self.what_is_left
            text = f"[!] Ringbuffer: {unmet}: {left}, going on while there is room"
            self._say("nothing_to_prune", text, limits=unmet)
        self._said_unmet = done.unmet

    def _look_at_volume(self) -> Volume:
        volume = look_at_volume(self._dir_fd)
        return Volume(volume.total_bytes, max(0, volume.free_bytes - self._growth()))

    @property
    def _pins_may_come(self) -> bool:
        source = self._pin_source
        return source is not None and not source.pins_known and not self._waited_for_pins

    def _heed_pins(self, *, prunes: bool) -> None:
        """Keep to what is pinned by now; before something `prunes`, that has to be known."""
        source = self._pin_source
        if source is None:
            return
        if prunes and self._pins_may_come:
            self._waited_for_pins = True
            if not source.wait_for_pins():
                text = "[!] Ringbuffer: what is pinned is not known, pruning goes on without"
                self._say("pins_unknown", text)
        self.heed(source.pins())

    def _note(self, done: Enforced) -> None:
        self.pruned += len(done.pruned)
        self._note_state()

    def _note_state(self) -> None:
        oldest = self.ring.oldest
        pinned_bytes = self._pinned_open_bytes()
        self.state = RingState(
            len(self.ring),
            self.ring.total_bytes,
            None if oldest is None else oldest.modified_ns,
            None if oldest is None else oldest.epoch,
            self.ring.pinned_bytes + pinned_bytes,
            pinned_bytes,
        )

    def _pinned_open_bytes(self) -> int:
        """The bytes of the open savefile, if they are pinned as soon as it is sealed."""
        if self._open is None or not self._pins:
            return 0
        name, size_bytes = self._open
        return size_bytes if self._pins.cover(_Written(name.epoch, time.time_ns())) else 0

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
