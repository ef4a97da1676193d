"""The thread that writes savefiles, in the order the loop decided.

It alone touches the log directory: it creates savefiles, writes buffers, seals, and has the ring
prune. The loop hands it orders and never waits for it, but for a buffer when all memory is full.

When the disk fails for good, the savefile ends at its last whole record, `failure` says why, and
what could not be written is counted in `lost_packets`.
"""

import errno
import fcntl
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.errors import DaemonloggerError, StorageError
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.messages import Tell
from daemonlogger_py.savefile.names import Naming, SavefileName
from daemonlogger_py.savefile.records import walk

if TYPE_CHECKING:
    from daemonlogger_py.record.keeper import Keeper

# Direct output wants offsets, lengths and memory in multiples of the block size of any disk.
BLOCK_BYTES = 4096
# A full volume that nothing can be pruned from is tried again this often; once the recorder is
# ending, for this long.
RETRY_S = 0.1
GIVE_UP_S = 5.0
# Without a ring, how many seconds' serials are remembered; forgetting costs tries, not names.
_SECONDS_REMEMBERED = 4096
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640


class _Roll(NamedTuple):
    epoch: int  # seconds


class _Write(NamedTuple):
    buffer: Buffer
    offset: int
    length_bytes: int


class _Say(NamedTuple):
    event: str
    text: str
    facts: dict[str, object]


class _Tick:
    pass


@dataclass(slots=True)
class _Savefile:
    """The one being written."""

    name: SavefileName
    path: str
    fd: int
    direct: bool
    packets: int = 0
    size_bytes: int = 0


class Writer:
    """Writes into the directory open as `dir_fd`, called `log_dir` in messages.

    `file_header` begins every savefile, of which none grows beyond `may_grow_bytes` by more than
    a record. `keeper` prunes; None without a ring. `wake` tells the loop that a buffer is back or
    that the disk failed.
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
    ) -> None:
        self.files = 0
        self.written_packets = 0
        self.written_bytes = 0
        self.lost_packets = 0
        self.failure: DaemonloggerError | None = None
        self._dir_fd = dir_fd
        self._log_dir = log_dir
        self._naming = naming
        self._file_header = file_header
        self._pool = pool
        self._keeper = keeper
        self._tell = tell
        self._wake = wake
        self._may_grow_bytes = may_grow_bytes
        self._direct = direct
        self._orders: SimpleQueue[_Roll | _Write | _Say | _Tick | None] = SimpleQueue()
        self._current: _Savefile | None = None
        self._serials: dict[int, int] = {}
        self._ticking = False
        self._said_stuck = False
        self._just_pruned = False
        self._give_up_at: float | None = None
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)

    @property
    def path(self) -> str | None:
        """The savefile being written, as messages call it."""
        return None if self._current is None else self._current.path

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def roll(self, epoch: int) -> None:
        """Order a savefile named after `epoch` (s); the one before is sealed once it is there."""
        self._orders.put(_Roll(epoch))

    def write(self, buffer: Buffer, offset: int, length_bytes: int) -> None:
        """Order a write at `offset` of the savefile; the pool gets the buffer back."""
        self._orders.put(_Write(buffer, offset, length_bytes))

    def say(self, event: str, text: str, /, **facts: object) -> None:
        """Order a message, to stand between what was ordered before and after it."""
        self._orders.put(_Say(event, text, facts))

    def tick(self) -> None:
        """Order that the ring is looked after, unless that is still to be done."""
        if self._keeper is not None and not self._ticking:
            self._ticking = True
            self._orders.put(_Tick())

    def give_up_soon(self) -> None:
        """The recorder is ending: do not wait for room on a full volume for ever."""
        if self._give_up_at is None:
            self._give_up_at = time.monotonic() + GIVE_UP_S

    def close(self) -> None:
        """Write everything, seal the last savefile, end the thread; waits for the disk."""
        self.give_up_soon()
        self._orders.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (order := self._orders.get()) is not None:
            if self.failure is None:
                self._obey(order)
            elif isinstance(order, _Write):
                self.lost_packets += order.buffer.packets
            elif isinstance(order, _Say):
                self._tell(order.event, order.text, **order.facts)
            if isinstance(order, _Write):
                self._pool.give(order.buffer)
                if self._pool.starving:
                    self._wake()
        if self._current is not None and self.failure is None:
            try:
                self._seal(self._current)
            except OSError as error:
                self._fail(error, 0)
        if self._keeper is not None:
            self._keeper.close()

    def _obey(self, order: _Roll | _Write | _Say | _Tick) -> None:
        try:
            if isinstance(order, _Write):
                self._write(order)
            elif isinstance(order, _Roll):
                self._begin(order.epoch)
            elif isinstance(order, _Say):
                self._tell(order.event, order.text, **order.facts)
            else:
                self._look_after_ring()
        except (OSError, DaemonloggerError) as error:
            self._fail(error, order.buffer.packets if isinstance(order, _Write) else 0)

    def _look_after_ring(self) -> None:
        self._ticking = False
        if self._keeper is not None and self._current is not None:
            self._keeper.look_after(
                self._current.name, self._current.size_bytes, self._may_grow_bytes
            )

    def _begin(self, epoch: int) -> None:
        before = self._current
        if self._keeper is not None:
            if before is not None:
                self._keeper.ring.grown(before.name, before.size_bytes)
            self._keeper.make_room(self._may_grow_bytes)
        self._current = self._create(epoch)
        self.files += 1
        path = self._current.path
        self._tell("savefile", f"Logging packets to {path}", path=path)
        if before is not None:
            self._seal(before)

    def _create(self, epoch: int) -> _Savefile:
        """Create a savefile under the first free name of this second, header and all."""
        while True:
            serial = self._next_serial(epoch)
            name = self._naming.format(epoch, serial)
            path = os.path.join(self._log_dir, name)
            try:
                fd = os.open(name, _CREATE, _MODE, dir_fd=self._dir_fd)
            except FileExistsError:
                self._taken(epoch, serial)
            except OSError as error:
                if not self._found_room(error, BLOCK_BYTES):
                    raise StorageError(f"{path}: {error.strerror}") from error
            else:
                break
        self._taken(epoch, serial)
        savefile = _Savefile(SavefileName(epoch, serial, name), path, fd, direct=False)
        if self._keeper is not None:
            self._keeper.ring.opened(savefile.name)
        with suppress(OSError):  # a file system without locks has no recovery to be told
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._put_all(savefile, memoryview(self._file_header), 0)
        savefile.direct = self._direct and self._bypass_cache(savefile)
        return savefile

    def _next_serial(self, epoch: int) -> int:
        if self._keeper is not None:
            return self._keeper.ring.next_serial(epoch)
        return self._serials.get(epoch, 0)

    def _taken(self, epoch: int, serial: int) -> None:
        if self._keeper is not None:
            self._keeper.ring.taken(epoch, serial)
            return
        if len(self._serials) >= _SECONDS_REMEMBERED:
            self._serials.clear()
        self._serials[epoch] = serial + 1

    def _bypass_cache(self, savefile: _Savefile) -> bool:
        try:
            fcntl.fcntl(savefile.fd, fcntl.F_SETFL, os.O_DIRECT)
        except OSError as error:
            self._direct = False
            text = f"[!] --direct: refused by {self._log_dir} ({error.strerror}), writing buffered"
            self._tell("not_direct", text)
        return self._direct

    def _write(self, order: _Write) -> None:
        savefile = self._current
        if savefile is None:
            raise StorageError("a write was ordered before a savefile")
        with memoryview(order.buffer) as view:
            whole = order.length_bytes // BLOCK_BYTES * BLOCK_BYTES if savefile.direct else 0
            with view[:whole] as blocks, view[whole : order.length_bytes] as tail:
                self._put_all(savefile, blocks, order.offset)
                if len(tail):
                    self._put_buffered(savefile, tail, order.offset + whole)
        savefile.packets += order.buffer.packets
        self.written_packets += order.buffer.packets

    def _put_buffered(self, savefile: _Savefile, data: memoryview, offset: int) -> None:
        """Write what is no whole block; the next direct write covers its block again."""
        if savefile.direct:
            fcntl.fcntl(savefile.fd, fcntl.F_SETFL, 0)
        self._put_all(savefile, data, offset)
        if savefile.direct:
            fcntl.fcntl(savefile.fd, fcntl.F_SETFL, os.O_DIRECT)

    def _put_all(self, savefile: _Savefile, data: memoryview, offset: int) -> None:
        done = 0
        while done < len(data):
            try:
                done += os.pwrite(savefile.fd, data[done:], offset + done)
                self._just_pruned = False
            except OSError as error:
                if not self._found_room(error, len(data) - done):
                    raise
        grown_bytes = max(0, offset + done - savefile.size_bytes)
        savefile.size_bytes += grown_bytes
        self.written_bytes += grown_bytes

    def _found_room(self, error: OSError, wanted_bytes: int) -> bool:
        """Whether to try again: the volume was full, and something was pruned or may be."""
        if error.errno not in (errno.ENOSPC, errno.EDQUOT) or self._keeper is None:
            return False
        if not self._just_pruned and self._keeper.make_space(wanted_bytes):
            # Some file systems free space late: one savefile must not be pruned for each try.
            self._just_pruned = True
            return True
        if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
            return False
        if not self._just_pruned and not self._said_stuck:
            self._said_stuck = True
            text = f"[!] {self._log_dir}: {error.strerror}, nothing left to prune: waiting for room"
            self._tell("volume_full", text)
        self._just_pruned = False
        time.sleep(RETRY_S)
        return True

    def _seal(self, savefile: _Savefile) -> None:
        status = os.fstat(savefile.fd)
        os.close(savefile.fd)
        if self._keeper is not None:
            self._keeper.sealed(savefile.name, status)

    def _fail(self, error: Exception, doomed_packets: int) -> None:
        """Keep what is whole, count what is not, and let the loop know."""
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self.lost_packets += doomed_packets
        self.failure = StorageError(f"{self._log_dir}: {reason}")
        if self._current is not None:
            try:
                self._cut(self._current)
            except OSError as cut_error:
                reason = f"{reason}; it may end in a torn record: {cut_error.strerror}"
            self.failure = StorageError(f"{self._current.path}: {reason}")
        self._wake()

    def _cut(self, savefile: _Savefile) -> None:
        """End the savefile at its last whole record; some of what failed may have reached it."""
        if savefile.direct:
            fcntl.fcntl(savefile.fd, fcntl.F_SETFL, 0)
        reader_fd = os.open(savefile.name.name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._dir_fd)
        try:
            found = walk(reader_fd)
        finally:
            os.close(reader_fd)
        os.ftruncate(savefile.fd, found.end_offset)
        os.close(savefile.fd)
        self.written_bytes += found.end_offset - savefile.size_bytes
        self.written_packets += found.packets - savefile.packets
        self.lost_packets -= found.packets - savefile.packets
        text = (
            f"[!] {savefile.path} ends at its last whole record: "
            f"{found.packets} packets, {found.end_offset} bytes"
        )
        self._tell("savefile_cut", text, path=savefile.path, packets=found.packets)
