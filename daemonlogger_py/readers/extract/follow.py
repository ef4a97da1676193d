"""``--follow``: goes on where the first pass ended, as the rings grow, until a signal or ``--to``.

The first pass reads what is complete; here the newest savefile of each ring is read as it is
written, up to its last whole record, and the next one once that begins; one that was compressed
meanwhile is read as it is, and what was lost is told. Packets are given out as
soon as they are there. Those of several rings are merged by time as far as they arrive within
MERGE_S: nobody can know what a ring that is silent now will hold later.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from daemonlogger_py.config.archive import ExtractConfig
from daemonlogger_py.errors import DaemonloggerError, SourceError
from daemonlogger_py.readers.archive import Archive, Directory, Member
from daemonlogger_py.readers.extract.format import is_scanned
from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.output import Output
from daemonlogger_py.readers.extract.ranges import Ranges
from daemonlogger_py.readers.extract.run import Extraction
from daemonlogger_py.readers.extract.scan import Scan
from daemonlogger_py.readers.extract.stats import Stats
from daemonlogger_py.readers.extract.task import Facts, Found, Task
from daemonlogger_py.readers.extract.work import HEADER_BYTES
from daemonlogger_py.readers.inputs.follow import LATE_NS
from daemonlogger_py.readers.inputs.ring import Ring
from daemonlogger_py.readers.inputs.stopping import StopSignals
from daemonlogger_py.readers.inputs.succession import Succession
from daemonlogger_py.readers.output import tell
from daemonlogger_py.savefile.holes import compressed_name
from daemonlogger_py.savefile.leases import hold
from daemonlogger_py.savefile.names import Naming, SavefileName, printable

if TYPE_CHECKING:
    from daemonlogger_py.readers.inputs.capture import Input

POLL_S = 0.1
GAPS_S = 3.0
# A gap may be written down when it is over; later than this much behind its end none is.
GAPS_KNOWN_NS = 3600 * 1_000_000_000
MERGE_S = 0.5
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
# A later savefile may have a larger snaplen, and the file header is written by then.
_ANY_SNAPLEN = 262144


def following(config: ExtractConfig, archive: Archive, task: Task, stopping: StopSignals) -> int:
    """Extract what `config` asks for, then what comes; return the exit status."""
    members = archive.members()
    directories = archive.rings
    followed = [_followed(members, directory) for directory in directories]
    names = {(id(one.directory), one.name) for of_ring in followed for one in of_ring}
    complete = (member for member in members if (id(member.directory), member.name) not in names)
    gaps = Gaps(config, archive)
    output = Output(
        config.output, members, archive.directories, stopping=stopping, pcapng=config.pcapng
    )
    extraction = Extraction(config, task, complete, output)
    del members, complete  # not for as long as the ring is followed
    tails = [
        Tail(task, number, directory, of_ring[0] if of_ring else None)
        for number, (directory, of_ring) in enumerate(zip(directories, followed, strict=True))
    ]
    try:
        extraction.run(stopping, may_be_empty=True)
        extraction.report(archive, nothing=False)
        # What is compressed from now on was read before, or its tail tells.
        extraction.failures += archive.unread + extraction.pruned
        _follow(config, extraction, output, tails, stopping, gaps)
    except BrokenPipeError:
        return 1  # whoever read the packets has read enough
    finally:
        for tail in tails:
            tail.tell_lost(final=True)
            tail.close()
            extraction.stats.add(tail.stats)
            extraction.failures += tail.failures
        extraction.close()
        output.close()
    extraction.tell_stats()
    return 1 if extraction.failures else 0


def _follow(
    config: ExtractConfig,
    extraction: Extraction,
    output: Output,
    tails: "Sequence[Tail]",
    stopping: StopSignals,
    gaps: "Gaps",
) -> None:
    merger = Waiting(0.0 if len(tails) == 1 else MERGE_S)
    end_ns = None if config.where.to_ns is None else config.where.to_ns + LATE_NS
    while not stopping.requested and extraction.left:
        late = end_ns is not None and time.time_ns() >= end_ns
        came = False
        for tail in tails:
            for found in tail.read():
                came = True
                merger.note(found)
                extraction.add(found, tail.number)
                if extraction.full and len(tails) == 1:
                    # Behind by much: there is nothing to be waited for, and a file for what is too
                    # much would get all that the ring has.
                    extraction.give_out(merger.key())
                if not extraction.left:
                    break
                extraction.spill_what_is_too_much()
            extraction.know(tail.facts)
        if came or merger.waiting or not output.begun:
            extraction.give_out(LAST_KEY if late else merger.key())
        gaps.tell(extraction)
        if late and not came:
            break
        if not came:
            stopping_wait(stopping, POLL_S)
    extraction.give_out(LAST_KEY)
    extraction.begin_output()


class Gaps:
    """What is not recorded while a ring is followed; the archive is asked every GAPS_S."""

    def __init__(self, config: ExtractConfig, archive: Archive) -> None:
        self._archive = archive
        self._from_ns = config.where.from_ns
        self._begun_ns = time.time_ns()
        self._due_s = time.monotonic() + GAPS_S

    def tell(self, extraction: Extraction) -> None:
        """Say what is new, if it is time to ask: of all that was asked for before, it is said."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        # Not all of the years that a ring reaches back, each time.
        from_ns = max(self._begun_ns, time.time_ns() - GAPS_KNOWN_NS, self._from_ns or 0)
        extraction.tell_gaps(self._archive, from_ns)
        self._due_s = time.monotonic() + GAPS_S


def stopping_wait(stopping: StopSignals, seconds: float) -> None:
    """Let time pass, or come back at once when stopping is requested."""
    from select import POLLIN, poll

    waiting = poll()
    waiting.register(stopping.stop_fd, POLLIN)
    waiting.poll(seconds * 1000)


class Waiting:
    """Up to which key packets have waited `merge_s` for earlier ones of other rings."""

    def __init__(self, merge_s: float) -> None:
        self._merge_s = merge_s
        self._latest = 0
        self._bounds: deque[tuple[float, int]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether something is not given out yet."""
        return bool(self._bounds)

    def note(self, found: Found) -> None:
        """Say that these packets came."""
        self._latest = max(self._latest, found.chunk.last_ns)
        self._bounds.append((time.monotonic() + self._merge_s, self._latest))

    def key(self) -> int:
        """What may be given out now."""
        now_s = time.monotonic()
        key = 0
        while self._bounds and self._bounds[0][0] <= now_s:
            key = self._bounds.popleft()[1]
        return key


class Tail:
    """The newest savefile of a ring, then the one after it, and so on, compressed ones too."""

    def __init__(
        self, task: Task, number: int, directory: Directory, newest: Member | None
    ) -> None:
        self.number = number
        self.facts: Facts | None = None
        self._task = task
        self._ring = Ring(directory.path or os.curdir, directory.prefix)
        self._succession = Succession(self._ring)
        self._current = None if newest is None else Naming(self._ring.prefix).parse(newest.name)
        self._before = self._succession.begin() if self._current is None else None
        self._compressed: str | None = None
        """What the current one is called since somebody compressed it."""
        self._fd = -1
        self._scan: Scan | None = None
        self._sequence = 0
        self.stats = Stats()
        """Of the savefiles that were left."""
        self.failures = 0
        """What packets were missed of, all of which was told."""

    def read(self) -> Iterator[Found]:
        """What has come since the last time and matches."""
        self.tell_lost()
        while (current := self._current or self._turn()) is not None:
            try:
                if self._fd < 0:
                    self._open(current)
                complete = self._compressed is not None or self._succession.is_complete(current)
                yield from self._grown(complete=complete)
            except FileNotFoundError:
                self._miss(f"{self._shown} was pruned before being read")
                self._leave()
                continue
            except (OSError, DaemonloggerError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                self._miss(_line(self._shown, str(reason)))
                self._leave()
                continue
            if not complete:
                return
            if self._scan is not None and self._scan.damage is not None:
                self._miss(f"{self._shown} is damaged: {self._scan.damage}")
            self._leave()

    def tell_lost(self, *, final: bool = False) -> None:
        """Say which savefiles were gone before they could be read, as far as that is known now."""
        for line in self._succession.lost(final=final):
            self._miss(line)

    def close(self) -> None:
        """Close everything; may be called twice."""
        self._leave()
        self._succession.close()
        self._ring.close()

    @property
    def _shown(self) -> str:
        if self._compressed is not None:
            return os.path.join(self._ring.shown, printable(self._compressed))
        return "" if self._current is None else self._ring.path(self._current)

    def _miss(self, line: str) -> None:
        """Say in which way packets are missing."""
        tell("extract", line)
        self.failures += 1

    def _turn(self) -> SavefileName | None:
        """Go on to the next savefile, if there is one."""
        found = self._succession.next(self._before)
        if found is not None:
            self._current, self._compressed = found
            self._succession.turn(self._before, found.savefile)
        return self._current

    def _leave(self) -> None:
        if self._scan is not None:
            self.stats.begin(self._scan.offset, self._scan.bytes_read)
            self.stats.end(self._scan.bytes_read, self._scan.packets)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._scan = -1, None
        self._before, self._current, self._compressed = self._current, None, None

    def _open(self, current: SavefileName) -> None:
        dir_fd = self._ring.dir_fd
        if self._compressed is None:
            try:
                self._fd = os.open(current.name, _FILE, dir_fd=dir_fd)
            except FileNotFoundError:
                self._compressed = compressed_name(dir_fd, current.name)
                if self._compressed is None:
                    raise
        if self._compressed is not None:
            self._fd = os.open(self._compressed, _FILE, dir_fd=dir_fd)

    def _grown(self, *, complete: bool) -> Iterator[Found]:
        if self._compressed is not None:
            yield from self._uncompressed()
            return
        if complete:  # a lease before that would keep its recorder from locking it
            hold(self._fd)
        size_bytes = os.fstat(self._fd).st_size
        if self._scan is None:
            if size_bytes < HEADER_BYTES:
                return
            self._scan = self._begun(size_bytes)
        self._scan.extend(size_bytes)
        while not self._scan.done and not self._task.stopping.requested:
            chunk = self._scan.chunk()
            self._scan.step(chunk)
            if chunk.packets:
                chunk.settle()
                self._sequence += 1
                facts = _any_snaplen(Facts.of_format(self._scan.format))
                yield Found(chunk, self._sequence, facts)

    def _uncompressed(self) -> Iterator[Found]:
        """All of one that is whole, and that somebody compressed before it was read to its end."""
        from daemonlogger_py.readers.extract.foreign import Foreign

        packets = 0
        size_bytes = os.fstat(self._fd).st_size
        for found in Foreign(self._task, self._fd, self._shown).found(self._note):
            packets += found.chunk.packets
            self._sequence += 1
            yield found._replace(sequence=self._sequence, facts=_any_snaplen(found.facts))
        self.stats.begin(size_bytes, size_bytes)
        self.stats.end(size_bytes, packets)

    def _note(self, input_: "Input | None", line: str, missing: bool) -> None:  # noqa: FBT001
        if input_ is not None:
            self.facts = _any_snaplen(Facts.of_input(input_))
        if line and missing:
            self._miss(line)
        elif line:
            tell("extract", line)

    def _begun(self, size_bytes: int) -> Scan:
        header = os.pread(self._fd, HEADER_BYTES, 0)
        if not is_scanned(header):
            raise SourceError("not a savefile as a recorder writes it: left out")
        format_ = self._task.format_of(header)
        self.facts = _any_snaplen(Facts.of_format(format_))
        ranges = Ranges.whole(max(size_bytes, HEADER_BYTES + 1))
        task = self._task
        return Scan(self._fd, format_, ranges, from_ns=task.from_ns, to_ns=task.to_ns)


def _any_snaplen(facts: Facts) -> Facts:
    return facts._replace(snaplen=max(facts.snaplen, _ANY_SNAPLEN))


def _line(shown: str, reason: str) -> str:
    return reason if reason.startswith(shown) else f"{shown}: {reason}"


def _followed(members: Sequence[Member], directory: Directory) -> Sequence[Member]:
    """The newest savefile of a ring, and what comes behind it already.

    That is one that was opened early: until it has its header, the one before is being written.
    """
    of_ring = [member for member in members if member.directory is directory]
    begun = [at for at, member in enumerate(of_ring) if member.size_bytes >= HEADER_BYTES]
    return of_ring[begun[-1] if begun else 0 :]
