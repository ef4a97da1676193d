"""The thread that writes savefiles, in the order the loop decided.

It alone touches the log directory: it creates savefiles, writes buffers, seals, and has the ring
prune. The loop hands it orders and never waits for it, but for a buffer when all memory is full.

When the disk fails for good, the savefile ends at its last whole record, `failure` says why, and
what could not be written is counted in `lost_packets`.
"""

import errno
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.errors import DaemonloggerError, StorageError
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.cache import CacheRelease
from daemonlogger_py.record.messages import Tell
from daemonlogger_py.record.openfile import BLOCK_BYTES, REMOVED, OpenSavefile, Sealed
from daemonlogger_py.record.room import VOLUME_FULL, Room
from daemonlogger_py.record.serials import Serials
from daemonlogger_py.savefile.names import Naming, SavefileName

if TYPE_CHECKING:
    from daemonlogger_py.record.keeper import Keeper
    from daemonlogger_py.record.ring import Ring

# A savefile that fills the volume alone is sealed and pruned; those after it are this much smaller.
EARLY_ROLL_SHARE = 8
LEAST_EARLY_BYTES = 64 * 1024
# Once there is room again they are larger again, which is looked at this often: a volume that is
# full now and then would have it said at each roll-over.
REGROW_S = 60.0


class _Roll(NamedTuple):
    epoch: int  # seconds
    why: str  # the savefile before this one ends
    dropped: int  # by the kernel, so far


class _Write(NamedTuple):
    data: Buffer | bytes
    packets: int
    first_ns: int
    last_ns: int
    offset: int
    length_bytes: int


class _Say(NamedTuple):
    event: str
    text: str
    facts: dict[str, object]


class _Tick:
    pass


class Writer:
    """Writes into the directory open as `dir_fd`, called `log_dir` in messages.

    `file_header` begins every savefile, of which none grows beyond `may_grow_bytes` by more than
    a record. `keeper` prunes; None without a ring. `wake` tells the loop that a buffer is back or
    that the disk failed. From this thread, `on_sealed` is called with every savefile that is
    complete, and `on_written` with the seconds each write took.
    """

    def __init__(
        self,
        dir_fd: int,
        log_dir: str,
        naming: Naming,
        file_header: bytes,
        pool: BufferPool,
        keeper: "Keeper | None",
        tell: Tell,
        wake: Callable[[], None],
        *,
        may_grow_bytes: int,
        direct: bool = False,
        on_sealed: Callable[[Sealed], None] | None = None,
        on_written: Callable[[float], None] | None = None,
    ) -> None:
        self.files = 0
        self.written_packets = 0
        self.written_bytes = 0
        self.lost_packets = 0
        self.failure: DaemonloggerError | None = None
        self.spoilt = False
        """Somebody removed or truncated the savefile that is written; for the loop to heed."""
        self.roll_bytes = may_grow_bytes
        """At how many bytes to roll over: less than asked for while the volume is too small."""
        self._may_grow_bytes = may_grow_bytes
        self._regrown_at = float("-inf")  # monotonic; inf: for good
        self._dir_fd = dir_fd
        self._log_dir = log_dir
        self._naming = naming
        self._file_header = file_header
        self._pool = pool
        self._keeper = keeper
        self._tell = tell
        self._wake = wake
        self._direct = direct
        self._on_sealed = on_sealed
        self._on_written = on_written
        self._ending = _Roll(0, "exit", 0)
        self._dropped_before = 0  # by the kernel, when the open savefile was begun
        self._orders: SimpleQueue[_Roll | _Write | _Say | _Tick | None] = SimpleQueue()
        self._current: OpenSavefile | None = None
        self._cache = CacheRelease(dir_fd)
        self._shift = 0  # orders' offsets less those in the savefile, after an early roll-over
        self._serials: Ring | Serials = Serials() if keeper is None else keeper.ring
        self._ordered = 0  # writes, by the loop
        self._carried_out = 0  # writes, by this thread
        self._ticking = False
        self._unwritten = 0  # packets of the order at hand that are in no savefile yet
        self._lost_before = 0  # when the open savefile was begun
        self._room = Room(log_dir, keeper, tell)
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    @property
    def busy(self) -> bool:
        """Whether a write is still to be done."""
        return self._carried_out != self._ordered

    def wait_begun(self, timeout_s: float) -> None:
        """Wait until the first savefile is there, or will never be."""
        self._begun.wait(timeout_s)

    @property
    def current_path(self) -> str | None:
        """The savefile being written; None before the first."""
        current = self._current
        return None if current is None else current.path

    @property
    def current_bytes(self) -> int:
        """How much is in the savefile being written."""
        current = self._current
        return 0 if current is None else current.size_bytes

    def start(self) -> None:
        """Start the thread. Raises StorageError if there is none to be had."""
        try:
            self._thread.start()
            self._cache.start()
        except RuntimeError as error:
            raise StorageError(f"{self._log_dir}: nothing can be written: {error}") from None

    def roll(self, epoch: int, why: str, dropped: int) -> None:
        """Order a savefile named after `epoch` (s); the one before is sealed once it is there.

        `why` that one ends, and how many packets the kernel has `dropped` since the start.
        """
        self._orders.put(_Roll(epoch, why, dropped))

    def write(self, buffer: Buffer, offset: int, length_bytes: int) -> None:
        """Order a write at `offset` of the savefile; the pool gets the buffer back."""
        self._ordered += 1
        times = buffer.first_ns, buffer.last_ns
        self._orders.put(_Write(buffer, buffer.packets, *times, offset, length_bytes))

    def write_end(self, data: bytes, offset: int) -> None:
        """Order the end of a record whose packet an earlier write has counted."""
        self._ordered += 1
        self._orders.put(_Write(data, 0, 0, 0, offset, len(data)))

    def say(self, event: str, text: str, /, **facts: object) -> None:
        """Order a message, to stand between what was ordered before and after it."""
        self._orders.put(_Say(event, text, facts))

    def tick(self) -> None:
        """Order that ring and savefile are looked after, unless that is still to be done."""
        if self._current is not None and not self._ticking:
            self._ticking = True
            self._orders.put(_Tick())

    def give_up_soon(self) -> None:
        """The recorder is ending: do not wait for room on a full volume for ever."""
        self._room.give_up_soon()

    def close(self, why: str, dropped: int) -> None:
        """Write everything, seal the last savefile, end the thread; waits for the disk.

        `why` and `dropped` as for `roll`.
        """
        self.give_up_soon()
        self._ending = _Roll(0, why, dropped)
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            if self.failure is None:
                self._obey(order)
            elif isinstance(order, _Write):
                self.lost_packets += order.packets
            if isinstance(order, _Write):
                self._written(order)
        if self._current is not None and self.failure is None:
            try:
                self._count_spoilt(self._current)
                self._seal(self._current, self._ending.why, self._ending.dropped)
            except OSError as error:
                self._fail(error)
        self._cache.close()
        if self._keeper is not None:
            self._keeper.close()

    def _written(self, order: _Write) -> None:
        if isinstance(order.data, Buffer):
            self._pool.give(order.data)
        self._carried_out += 1
        if self._pool.starving:
            self._wake()

    def _obey(self, order: _Roll | _Write | _Say | _Tick) -> None:
        try:
            if isinstance(order, _Write):
                began = time.monotonic()
                self._write(order)
                if self._on_written is not None:
                    self._on_written(time.monotonic() - began)
            elif isinstance(order, _Roll):
                self._begin(order)
            elif isinstance(order, _Say):
                self._tell(order.event, order.text, **order.facts)
            else:
                self._look_after_ring()
        except Exception as error:  # whatever it is, the loop must get its buffers back
            self._fail(error)

    def _look_after_ring(self) -> None:
        self._ticking = False
        current = self._current
        if current is None:
            return
        if not current.locked:
            current.lock()
        if self._look_at(current):
            self.spoilt = True
            self._wake()
        if self._keeper is not None:
            self._keeper.look_after(current.name, current.size_bytes, self.roll_bytes)

    def _look_at(self, savefile: OpenSavefile) -> bool:
        """Look what others did to the savefile that is written; returns whether that is new."""
        if savefile.spoilt is not None:
            return False
        found = None
        with suppress(OSError):  # what comes of it, the next write says
            found = savefile.look(self._file_header)
        if found is None:
            return False
        text = f"[!] {savefile.path} was {found} while it was written"
        self._tell(f"savefile_{found}", text, path=savefile.path)
        return True

    def _count_spoilt(self, savefile: OpenSavefile) -> None:
        """Say what was in a savefile that others have removed or truncated, before the next one.

        All that was ordered of it is written by now.
        """
        self._look_at(savefile)
        if savefile.spoilt is None or not savefile.packets:
            return
        removed = savefile.spoilt == REMOVED
        text = f"[!] {savefile.packets} packets are lost with {savefile.path}"
        if not removed:
            text = f"[!] Some of {savefile.packets} packets are lost from {savefile.path}"
        self._tell(
            "savefile_lost",
            text,
            path=savefile.path,
            packets=savefile.packets if removed else None,
            from_ns=savefile.first_ns,
            to_ns=savefile.last_ns,
            detail=f"{savefile.name.name} was {savefile.spoilt} while it was written",
        )

    def _begin(self, order: _Roll) -> None:
        before = self._current
        if before is not None:
            self._count_spoilt(before)
        if self._keeper is not None:
            self._regrow(self._keeper)
            self._keeper.make_room(self.roll_bytes)
        self._open_next(order.epoch)
        if before is None:
            self._dropped_before = order.dropped
        else:
            try:
                self._seal(before, order.why, order.dropped)
            except OSError as error:
                raise StorageError(f"{before.path}: {error.strerror}") from error

    def _open_next(self, epoch: int) -> None:
        self._current = self._create(epoch)
        self._shift = 0
        self.files += 1
        self._begun.set()
        path = self._current.path
        self._tell("savefile", f"Logging packets to {path}", path=path)

    def _create(self, epoch: int) -> OpenSavefile:
        """Create a savefile under the first free name of this second, header and all."""
        savefile = None
        while savefile is None:
            serial = self._serials.next_serial(epoch)
            name = SavefileName(epoch, serial, self._naming.format(epoch, serial))
            path = os.path.join(self._log_dir, name.name)
            try:
                savefile = OpenSavefile(self._dir_fd, name, path)
            except FileExistsError:
                self._serials.taken(epoch, serial)
            except OSError as error:
                if not self._room.found(error, BLOCK_BYTES):
                    raise StorageError(f"{path}: {error.strerror}") from error
        self._serials.taken(epoch, serial)
        if self._keeper is not None:
            self._keeper.ring.opened(savefile.name)
        try:
            self._put_header(savefile)
        except OSError as error:
            self._discard(savefile)
            raise StorageError(f"{path}: {error.strerror}") from error
        if self._direct:
            self._bypass_cache(savefile)
        return savefile

    def _discard(self, savefile: OpenSavefile) -> None:
        """Remove a savefile that has not even its header."""
        with suppress(OSError):
            savefile.close()
            os.unlink(savefile.name.name, dir_fd=self._dir_fd)
        if self._keeper is not None:
            self._keeper.ring.discarded(savefile.name)

    def _put_header(self, savefile: OpenSavefile) -> None:
        with memoryview(self._file_header) as header:
            while savefile.size_bytes < len(header):
                try:
                    savefile.put(header[savefile.size_bytes :], savefile.size_bytes)
                except OSError as error:
                    if not self._room.found(error, len(header)):
                        raise
        self.written_bytes += len(self._file_header)
        self._note_growth(savefile)

    def _bypass_cache(self, savefile: OpenSavefile) -> None:
        try:
            savefile.bypass_cache()
        except OSError as error:
            self._stop_bypassing(savefile, error)

    def _stop_bypassing(self, savefile: OpenSavefile, error: OSError) -> None:
        savefile.use_cache()
        self._direct = False
        text = f"[!] --direct: refused by {self._log_dir} ({error.strerror}), writing buffered"
        self._tell("not_direct", text)

    def _write(self, order: _Write) -> None:
        self._unwritten = order.packets
        savefile = self._opened()
        done = self._begin_of(order)
        with memoryview(order.data) as view:
            while done < order.length_bytes:
                before_bytes = savefile.size_bytes
                try:
                    with view[done : order.length_bytes] as rest:
                        done += savefile.put(rest, order.offset - self._shift + done)
                    self._room.written()
                except OSError as error:
                    if error.errno == errno.EINVAL and savefile.direct:
                        self._stop_bypassing(savefile, error)
                        continue
                    if self._fills_volume_alone(error):
                        self._roll_early(order, error)
                        done = self._begin_of(order)
                        savefile = self._opened()
                        continue
                    if not self._room.found(error, order.length_bytes - done):
                        raise
                self.written_bytes += savefile.size_bytes - before_bytes
                self._note_growth(savefile)
        savefile.packets += self._unwritten
        savefile.spans(order.first_ns, order.last_ns)
        self.written_packets += self._unwritten
        self._unwritten = 0
        if not savefile.direct:
            self._cache.written(savefile.name.name, savefile.size_bytes)

    def _opened(self) -> OpenSavefile:
        if self._current is None:
            raise StorageError(f"{self._log_dir}: no savefile is open")
        return self._current

    def _begin_of(self, order: _Write) -> int:
        """Where in the buffer the open savefile's part of it begins."""
        return max(0, len(self._file_header) + self._shift - order.offset) if self._shift else 0

    def _fills_volume_alone(self, error: OSError) -> bool:
        return (
            error.errno in VOLUME_FULL
            and self._keeper is not None
            and self._keeper.nothing_to_prune
            and self._opened().size_bytes >= LEAST_EARLY_BYTES
        )

    def _roll_early(self, order: _Write, error: OSError) -> None:
        """Seal what fills the volume, so that it can be pruned, and go on in a new savefile.

        With direct output the record that is torn may have begun in the buffer before; those
        bytes are read back.
        """
        full = self._opened()
        packets_before, bytes_before = full.packets, full.size_bytes
        begin = order.offset - self._shift  # of the buffer, in the savefile
        found, behind = full.cut(up_to=begin)
        self.written_packets += found.packets - packets_before
        self._unwritten -= found.packets - packets_before
        self.written_bytes += found.end_offset - bytes_before
        self.roll_bytes = min(
            self.roll_bytes, max(LEAST_EARLY_BYTES, found.end_offset // EARLY_ROLL_SHARE)
        )
        until = "until there is room again"
        if error.errno != errno.ENOSPC:
            self._regrown_at = float("inf")  # what a quota leaves, the volume does not say
            until = "from now on"
        text = (
            f"[!] {full.path} fills the volume alone: rolling over early, "
            f"and after {self.roll_bytes} bytes {until}"
        )
        self._tell("early_roll", text, path=full.path, roll_bytes=self.roll_bytes)
        self._current = None
        full.spans(order.first_ns, order.last_ns)
        self._count_spoilt(full)
        self._seal(full, "full", self._dropped_before)
        # Not the present second: orders that wait may name earlier ones, and order is by name.
        self._open_next(max(full.name.epoch, order.first_ns // 1_000_000_000))
        opened = self._opened()
        opened.use_cache()  # the buffers to come are not aligned to this file's blocks
        kept_from = max(0, found.end_offset - begin)
        self._shift = order.offset + kept_from - len(self._file_header) - len(behind)
        if behind:
            self._put_behind(opened, behind)

    def _regrow(self, keeper: "Keeper") -> None:
        """Roll over as late as was asked for, or as what fits now allows, after early ones."""
        now = time.monotonic()
        if self.roll_bytes >= self._may_grow_bytes or now < self._regrown_at + REGROW_S:
            return
        try:
            volume = os.fstatvfs(self._dir_fd)
        except OSError:
            return  # what comes of it, the next write says
        free_bytes = volume.f_bavail * volume.f_frsize
        if free_bytes >= self._may_grow_bytes:
            fits_bytes = self._may_grow_bytes
        else:
            usable_bytes = free_bytes + keeper.ring.total_bytes
            fits_bytes = min(self._may_grow_bytes, usable_bytes // EARLY_ROLL_SHARE)
            if fits_bytes < 2 * self.roll_bytes:  # the volume is about as small as it was
                return
        self.roll_bytes, self._regrown_at = fits_bytes, now
        text = f"{self._log_dir}: there is room again: rolling over after {fits_bytes} bytes"
        self._tell("late_roll", text, roll_bytes=fits_bytes)

    def _put_behind(self, savefile: OpenSavefile, behind: bytes) -> None:
        with memoryview(behind) as view:
            done = 0
            while done < len(view):
                try:
                    done += savefile.put(view[done:], len(self._file_header) + done)
                except OSError as error:
                    if not self._room.found(error, len(view)):
                        raise
        self.written_bytes += len(behind)
        self._note_growth(savefile)

    def _note_growth(self, savefile: OpenSavefile) -> None:
        if self._keeper is not None:
            self._keeper.grown(savefile.name, savefile.size_bytes)

    def _seal(self, savefile: OpenSavefile, why: str, dropped: int) -> None:
        self._cache.written(savefile.name.name, savefile.size_bytes, sealed=True)
        status = savefile.close()
        if savefile.spoilt == REMOVED:
            if self._keeper is not None:
                self._keeper.removed(savefile.name)
            self._dropped_before, self._lost_before = dropped, self.lost_packets
            return
        if self._keeper is not None:
            self._keeper.sealed(savefile.name, status)
        self._announce(savefile, why, dropped)

    def _announce(self, savefile: OpenSavefile, why: str, dropped: int) -> None:
        since, self._dropped_before = self._dropped_before, dropped
        lost, self._lost_before = self.lost_packets - self._lost_before, self.lost_packets
        if self._on_sealed is not None:
            counts = savefile.packets, savefile.size_bytes, savefile.first_ns, savefile.last_ns
            self._on_sealed(Sealed(savefile.name.name, why, *counts, dropped - since, lost))

    def _fail(self, error: Exception) -> None:
        """Keep what is whole, count what is not, and let the loop know."""
        self.lost_packets += self._unwritten
        self._unwritten = 0
        where = self._log_dir if self._current is None else self._current.path
        reason = str(error)
        if isinstance(error, OSError):
            reason = f"{where}: {error.strerror}"
        elif not isinstance(error, DaemonloggerError):
            reason = f"{where}: {type(error).__name__}: {error}"
        if self._current is not None:
            try:
                self._cut(self._current)
            except OSError as cut_error:
                reason = f"{reason}; it may end in a torn record: {cut_error.strerror}"
        self.failure = StorageError(reason)
        self._begun.set()
        self._wake()

    def _cut(self, savefile: OpenSavefile) -> None:
        """End the savefile at its last whole record; some of what failed may have reached it."""
        if savefile.spoilt == REMOVED:
            savefile.close()
            return
        packets_before, bytes_before = savefile.packets, savefile.size_bytes
        found, _ = savefile.cut()
        savefile.close()
        self.written_bytes += found.end_offset - bytes_before
        self.written_packets += found.packets - packets_before
        self.lost_packets -= found.packets - packets_before
        text = (
            f"[!] {savefile.path} ends at its last whole record: "
            f"{found.packets} packets, {found.end_offset} bytes"
        )
        self._tell("savefile_cut", text, path=savefile.path, packets=found.packets)
        self._announce(savefile, "failed", self._dropped_before)
