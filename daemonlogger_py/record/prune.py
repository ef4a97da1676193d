"""Carries a plan of ``record/retention.py`` out: deletes savefiles, or hands them to the archiver.

Right before a savefile goes its directory entry is looked at again: only a regular file is
removed, and never through a link. One that is already gone was someone else's doing and is not
counted as ours. One that the directory does not let go of is said once, and left alone until the
ring is reconciled: recording goes on.

A savefile that a reader holds goes after all others, and it is said when it must go nevertheless.
Its reader has it open and reads on; the volume gets the space back when it is done.

Everything here runs on the thread that owns the ring. The archiver finishes on its own thread; what
it says is queued and taken up by ``settle()``, which every other method calls first.
"""

import errno
import fcntl
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from stat import S_ISREG

from daemonlogger_py.record.archive import Archiver, Outcome
from daemonlogger_py.record.messages import Tell
from daemonlogger_py.record.retention import (
    VOLUME_FULL,
    Limits,
    Plan,
    Prune,
    Volume,
    plan,
    plan_space,
)
from daemonlogger_py.record.ring import Ring
from daemonlogger_py.record.ringfile import Savefile
from daemonlogger_py.savefile.leases import READ_FLAGS, has_writer, is_held

# So long a savefile that was being read is taken to be read still.
LEASE_S = 5.0


@dataclass(frozen=True, slots=True)
class Enforced:
    """What ``enforce()`` and ``make_space()`` did, and the limits that still do not hold."""

    pruned: tuple[Prune, ...]
    unmet: tuple[str, ...]


class Pruner:
    """Prunes the savefiles of one ring.

    dir_fd is the log directory, log_dir what it is called in messages. Savefiles are deleted, or
    moved once ``archive_to()`` was called.
    """

    def __init__(self, ring: Ring, dir_fd: int, log_dir: str, tell: Tell) -> None:
        self._ring = ring
        self._dir_fd = dir_fd
        self._log_dir = log_dir
        self._tell = tell
        self._archiver: Archiver | None = None
        self._outcomes: deque[Outcome] = deque()
        self._archiving_fails = False
        self._on_archived: Callable[[str, str], None] | None = None
        self._postponed_at = 0.0  # monotonic
        self._spares_readers = True

    @property
    def archiving_fails(self) -> bool:
        """Whether the last savefile given to the archiver could not be moved."""
        return self._archiving_fails

    def archive_to(self, archiver: Archiver) -> None:
        """Move savefiles from now on; the archiver's callback has to be ``finished``."""
        self._archiver = archiver

    def on_archived(self, tell: Callable[[str, str], None]) -> None:
        """Call `tell` with the name of each savefile that was archived, here and there."""
        self._on_archived = tell

    def finished(self, outcome: Outcome) -> None:
        """Take the archiver's word, on any thread; ``settle()`` acts on it."""
        self._outcomes.append(outcome)

    def settle(self) -> None:
        """Bring the ring up to date with what the archiver has finished since."""
        while self._outcomes:
            outcome = self._outcomes.popleft()
            if outcome.error is None:
                self._archived(outcome)
            else:
                self._not_archived(outcome.savefile, outcome.error)

    def apply(self, prunes: Iterable[Prune], *, force_delete: bool = False) -> list[Prune]:
        """Prune, and return what was really pruned: deleted, or taken by the archiver.

        With force_delete nothing is archived: for a full volume, when the archiver is too slow or
        fails. A savefile the archiver has no room for stays in the ring, to be planned again; one
        that is being read is postponed, unless another would not do as well.
        """
        self.settle()
        archiver = None if force_delete else self._archiver
        done = []
        for prune in prunes:
            if not self._is_there(prune.savefile) or self._waits_for_reader(prune):
                continue
            if archiver is None:
                if self._delete(prune):
                    done.append(prune)
                continue
            if not archiver.submit(prune.savefile):
                break
            self._ring.withhold(prune.savefile)
            self._say("archive", "archiving", prune)
            done.append(prune)
        return done

    def enforce(
        self,
        limits: Limits,
        look: Callable[[], Volume] | None,
        *,
        reserve_bytes: int,
        now_ns: int,
        opening: int = 0,
    ) -> Enforced:
        """Plan and prune until all limits hold or nothing is left to prune.

        look reads the volume's figures; it is called only when a limit needs them, once, and again
        for each time a savefile turned out to be impossible to remove. The other arguments are
        those of ``retention.plan()``.
        """
        pruned: list[Prune] = []
        self.settle()
        self._look_for_readers()
        while True:
            volume = self._volume(look) if limits.needs_volume and look else None
            wanted = plan(
                self._ring,
                limits,
                volume,
                reserve_bytes=reserve_bytes,
                now_ns=now_ns,
                opening=opening,
                frees_volume=self._archiver is None or not self._archiver.same_volume,
            )
            done = self.apply(wanted.prunes)
            pruned += done
            if self._all_tried(wanted, done):
                return Enforced(tuple(pruned), wanted.unmet)

    def make_space(self, wanted_bytes: int, *, force_delete: bool = False) -> Enforced:
        """Prune the oldest savefiles until the volume gets wanted_bytes back: it is full.

        With force_delete they are deleted even if there is an archiver, and what waits in its
        queue is deleted first. Without, what is on its way to the archive counts as space, and an
        archive on the same volume gives none.
        """
        self.settle()
        if self._archiver is not None:
            if force_delete:
                for savefile in self._archiver.withdraw():
                    self._ring.give_back(savefile)
            elif self._archiver.same_volume:
                return Enforced((), (VOLUME_FULL,))
            else:
                wanted_bytes -= self._pending_bytes()
        pruned: list[Prune] = []
        self._look_for_readers()
        while True:
            wanted = plan_space(self._ring, wanted_bytes)
            done = self.apply(wanted.prunes, force_delete=force_delete)
            pruned += done
            wanted_bytes -= sum(prune.savefile.allocated_bytes for prune in done)
            if self._all_tried(wanted, done):
                return Enforced(tuple(pruned), wanted.unmet)

    def _look_for_readers(self) -> None:
        """Offer what was being read some time ago: it may not be any more."""
        self._spares_readers = True
        if time.monotonic() - self._postponed_at >= LEASE_S:
            self._ring.offer_again()

    def _all_tried(self, wanted: Plan, done: list[Prune]) -> bool:
        """Whether nothing more can be done now; else it is to be planned again."""
        waits = any(self._ring.offers(prune.savefile) for prune in wanted.prunes)
        if not waits and len(done) < len(wanted.prunes):
            return False
        if waits or not wanted.unmet or not self._ring.postponed_files:
            return True
        self._spares_readers = False
        self._ring.offer_again()
        return False

    def _waits_for_reader(self, prune: Prune) -> bool:
        if not self._is_being_read(prune.savefile):
            return False
        if self._spares_readers and prune.may_wait:
            if not self._ring.postponed_files:
                self._postponed_at = time.monotonic()
            self._ring.postpone(prune.savefile)
            return True
        path = self._path(prune.savefile)
        text = f"[!] Ringbuffer: {path} is being read, and has to go: {prune.reason}"
        self._tell("prune_read", text, path=path, reason=prune.reason)
        return False

    def _volume(self, look: Callable[[], Volume]) -> Volume:
        # What the archiver has in hand will be free soon; planning it again would prune too much.
        pending_bytes = self._pending_bytes()
        volume = look()
        return Volume(volume.total_bytes, volume.free_bytes + pending_bytes)

    def _pending_bytes(self) -> int:
        return 0 if self._archiver is None else self._archiver.pending_bytes

    def _is_there(self, savefile: Savefile) -> bool:
        try:
            status = os.stat(savefile.name, dir_fd=self._dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            self._ring.remove(savefile)
            return False
        except OSError as error:
            self._refused(savefile, error)
            return False
        if not S_ISREG(status.st_mode):
            self._ring.remove(savefile)
            return False
        if self._is_being_written(savefile):
            self._refused(savefile, BlockingIOError(errno.EBUSY, "another recorder writes it"))
            return False
        return True

    def _is_being_read(self, savefile: Savefile) -> bool:
        """Whether a reader has it leased."""
        try:
            fd = os.open(savefile.name, READ_FLAGS, dir_fd=self._dir_fd)
        except OSError:
            return False
        try:
            return is_held(fd)
        except OSError:  # a file system without locks
            return False
        finally:
            os.close(fd)

    def _is_being_written(self, savefile: Savefile) -> bool:
        """Whether another recorder of the same directory and prefix has it open (and locked)."""
        try:
            fd = os.open(savefile.name, READ_FLAGS, dir_fd=self._dir_fd)
        except OSError:
            return False  # one that cannot be read may still be removed
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return has_writer(fd) is not False  # a reader that locks it cannot keep it for ever
        except OSError:
            return False
        finally:
            os.close(fd)
        return False

    def _delete(self, prune: Prune) -> bool:
        try:
            self._delete_asides(prune)
            os.unlink(prune.savefile.name, dir_fd=self._dir_fd)
        except FileNotFoundError:
            self._ring.remove(prune.savefile)
            return False
        except OSError as error:
            self._refused(prune.savefile, error)
            return False
        self._ring.remove(prune.savefile)
        self._say("prune", "deleting", prune)
        return True

    def _delete_asides(self, prune: Prune) -> None:
        """Delete what repairs left beside a savefile, whose turn it is by then."""
        for name in prune.savefile.asides:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=self._dir_fd)
                path = os.path.join(self._log_dir, name)
                text = f"[!] Ringbuffer: deleting {path}"
                self._tell("prune_aside", text, path=path, reason=prune.reason)

    def _refused(self, savefile: Savefile, error: OSError) -> None:
        if self._ring.refuse(savefile):
            path = self._path(savefile)
            self._tell(
                "prune_failed",
                f"[!] Ringbuffer: cannot remove {path}: {error.strerror}; it is left alone",
                path=path,
                error=error.strerror,
            )

    def _archived(self, outcome: Outcome) -> None:
        self._ring.remove(outcome.savefile)
        if self._on_archived is not None and outcome.archived_as is not None:
            self._on_archived(outcome.savefile.name, outcome.archived_as)
        if self._archiving_fails:
            self._archiving_fails = False
            self._tell("archive_recovered", "[-] Archiving works again")

    def _not_archived(self, savefile: Savefile, error: OSError) -> None:
        if isinstance(error, FileNotFoundError) and not self._is_there(savefile):
            return
        self._ring.give_back(savefile)
        # Every later savefile fails likewise until someone makes room: said once.
        if not self._archiving_fails:
            self._archiving_fails = True
            path = self._path(savefile)
            self._tell(
                "archive_failed",
                f"[!] Ringbuffer: cannot archive {path}: {error.strerror}; it stays",
                path=path,
                error=error.strerror,
            )

    def _say(self, event: str, doing: str, prune: Prune) -> None:
        path = self._path(prune.savefile)
        self._tell(
            event,
            f"[!] Ringbuffer: {doing} {path}",
            path=path,
            reason=prune.reason,
            size_bytes=prune.savefile.size_bytes,
        )

    def _path(self, savefile: Savefile) -> str:
        return os.path.join(self._log_dir, savefile.name)
