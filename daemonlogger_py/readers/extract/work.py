"""One savefile of an extraction, read step by step by whichever thread takes it up.

A work knows how to read its savefile: what its sidecar leaves of it, all of it, or, if it is not a
classic one, through libpcap. It knows the bounds between which packets are still to come, as keys:
times, or their complements for newest first, so that smaller keys are always given out earlier.
Which work is next is `reading`'s, and so is every decision about memory.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from daemonlogger_py.errors import DaemonloggerError, SourceError
from daemonlogger_py.readers.archive import Member
from daemonlogger_py.readers.extract.format import Format, is_scanned
from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.ranges import Ranges, survey
from daemonlogger_py.readers.extract.scan import Scan
from daemonlogger_py.readers.extract.stats import Stats
from daemonlogger_py.readers.extract.task import Facts, Found, Task, Tools
from daemonlogger_py.savefile.catalog_rows import Entry
from daemonlogger_py.savefile.holes import compressed_name
from daemonlogger_py.savefile.leases import hold

if TYPE_CHECKING:
    from daemonlogger_py.readers.inputs.capture import Input

HEADER_BYTES = 24
# Newest first, a savefile larger than this is surveyed, to be read in parts from its end on.
WHOLE_BYTES = 16 << 20

_NOTHING = Stats()


class Work:
    """The savefile `member`; `number` is its place among all, in the order of the output.

    `newest` of its ring: it may end within a record because it is being written.
    """

    __slots__ = (
        "_by_index",
        "_foreign",
        "_given",
        "_growing",
        "_known",
        "_no_sidecar",
        "_planned",
        "_ranges",
        "_scan",
        "_size_bytes",
        "_task",
        "asked",
        "begun",
        "bounded",
        "complaints",
        "done",
        "facts",
        "failure",
        "fd",
        "front",
        "member",
        "newest",
        "number",
        "pruned",
        "stats",
        "taken",
    )

    def __init__(
        self, task: Task, member: Member, number: int = 0, *, newest: bool = False
    ) -> None:
        self.member = member._replace(entry=None)  # which is large, and works are many
        self.number = number
        self.newest = newest
        self.front = 0
        """No packet to come has a smaller key. Written by `reading`, with what was found."""
        self.bounded = False
        """Whether `front` moves on as the savefile is read, as far as that can be had."""
        self.asked = False
        """Whether its sidecar was, if there is one."""
        self.done = False
        self.begun = False
        self.taken = False
        """Some thread reads it, or did; `reading` says so."""
        self.pruned = False
        self.fd = -1
        self.facts: Facts | None = None
        self.failure: Exception | None = None
        """Why nothing of it could be read."""
        self.complaints: tuple[tuple[str, bool], ...] = ()
        """What was wrong with it, and whether packets are missing because of it."""
        self.stats = _NOTHING
        self._task = task
        self._growing = False
        self._given = 0
        self._size_bytes = 0
        self._scan: Scan | None = None
        self._by_index = False
        self._no_sidecar = False
        self._planned: Ranges | None = None
        self._ranges: Ranges | None = None  # that are left, once it was surveyed
        self._foreign: Iterator[Found] | None = None
        self._known: tuple[int, int, bool] | None = None  # earliest, latest time, and if in order
        if member.entry is not None:
            self._believe(member.entry)

    def _believe(self, entry: Entry) -> None:
        if entry.first_ns is None or entry.last_ns is None:
            return  # without packets: there is nothing to be early or late
        self._known = entry.first_ns, entry.last_ns, entry.ordered
        self.front = self._task.key(entry.first_ns, entry.last_ns)
        self.bounded = entry.ordered or self._task.reverse
        self.facts = self._task.facts_of_entry(entry)

    def step(self, tools: Tools) -> tuple[list[Found], int]:
        """Read on; return what was found and the next `front`. Sets `done` at the end."""
        try:
            return self._step(tools)
        except (OSError, DaemonloggerError) as error:
            self._fail(error)
        return [], LAST_KEY

    def ask(self, tools: Tools) -> int:
        """Ask the sidecar, if there is one, when packets are to come; return the next `front`."""
        self.asked = True
        try:
            self._begin(tools)
            if self.done:
                self.close()
                return LAST_KEY
            return self._front() if self.bounded else self.front
        except (OSError, DaemonloggerError) as error:
            self._fail(error)
        return LAST_KEY

    def survey(self, tools: Tools) -> int:
        """Find out when packets are to come, without looking for any; return the next `front`."""
        try:
            if not self.begun:
                self._begin(tools)
            if self.done:
                self.close()
                return LAST_KEY
            if self._scan is None or self.bounded:
                self.bounded = True
                self._ranges = self._planned
                return self._front()
            self.bounded = True
            offset = max(self._scan.offset, HEADER_BYTES)
            ranges = survey(self.fd, self._scan.format, tools.window, offset, self._size_bytes)
            self._scan.replace(ranges)
            self._ranges = ranges
            return self._front()
        except (OSError, DaemonloggerError) as error:
            self._fail(error)
        return LAST_KEY

    def lay_aside(self) -> None:
        """Close what is open until this work is taken up again; nothing of it was read yet."""
        if self._ranges is None and self.bounded and self._task.keeps(self._planned):
            self._ranges = self._planned
        self._planned = self._foreign = self._scan = None
        self.begun = self.taken = False
        self.close()

    def hold(self) -> None:
        """Open the savefile and keep it from being pruned, if that can be done."""
        try:
            self._open()
        except OSError:
            return  # its turn will tell

    def close(self) -> None:
        """Close the savefile; may be called twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def last_key(self, found: Found) -> int:
        """The largest key among what was found."""
        return self._task.last_key(found.chunk.first_ns, found.chunk.last_ns)

    def forget(self) -> None:
        """Give back what nobody needs once it is done: works are many."""
        self._planned = self._ranges = self._scan = self._foreign = None
        self.stats = _NOTHING

    def _complain(self, line: str, *, missing: bool) -> None:
        self.complaints = (*self.complaints, (line, missing))

    def _step(self, tools: Tools) -> tuple[list[Found], int]:
        if not self.begun:
            self._begin(tools)
        found: list[Found] = []
        if self._foreign is not None:
            one = next(self._foreign, None)
            if one is None:
                self.done = True
                self.stats.end(self._size_bytes, 0)
            else:
                found.append(one)
                self.stats.packets_read += one.chunk.packets  # libpcap counts no others
        elif self._scan is not None:
            found = self._scanned(self._scan, tools)
        if self.done:
            self.close()
            return found, LAST_KEY
        return found, self._front()

    def _scanned(self, scan: Scan, tools: Tools) -> list[Found]:
        chunk = scan.chunk()
        scan.step(chunk)
        if scan.disagrees and self._by_index:
            return self._without_sidecar(scan, tools)
        found = []
        if chunk.packets:
            chunk.settle(reverse=self._task.reverse)
            self._given += 1
            found.append(Found(chunk, self._given, self._task.facts_of(scan.format)))
        if scan.done:
            self._end(scan)
        return found

    def _begin(self, tools: Tools) -> None:
        self.begun = True
        if self.stats is _NOTHING:
            self.stats = Stats()
        if self.fd < 0:
            self._open()
        status = os.fstat(self.fd)
        self._size_bytes = status.st_size
        header = os.pread(self.fd, HEADER_BYTES, 0)
        if not is_scanned(header):
            self.stats.begin(self._size_bytes, self._size_bytes)
            self._begin_foreign(header)
            return
        format_ = self._task.format_of(header)
        self.facts = self._task.facts_of(format_)
        ranges = self._ranges
        if ranges is None and not self._no_sidecar:
            ranges = self._indexed(format_, tools)
        if ranges is None:
            ranges = self._whole(format_, tools)
        self._planned = ranges
        self._scan = self._new_scan(format_, ranges)
        if not self.stats.savefiles:
            self.stats.begin(self._size_bytes, ranges.total_bytes)
        if self._scan.done:
            self._end(self._scan)

    def _open(self) -> None:
        """Open the savefile, or what somebody made of it since it was listed by compressing it."""
        member = self.member
        try:
            self.fd = member.open()
        except FileNotFoundError:
            name = compressed_name(member.directory.dir_fd, member.name)
            if name is None:
                raise
            self.member = member._replace(name=name)
            self.newest = False
            self.fd = self.member.open()
        self._growing = not hold(self.fd)

    def _new_scan(self, format_: Format, ranges: Ranges) -> Scan:
        task = self._task
        return Scan(
            self.fd,
            format_,
            ranges,
            from_ns=task.from_ns,
            to_ns=task.to_ns,
            reverse=task.reverse,
        )

    def _indexed(self, format_: Format, tools: Tools) -> Ranges | None:
        """What the sidecar leaves to be read; None: nothing is known."""
        task = self._task
        if task.sidecars is None:
            return None
        ranges = task.sidecars.select(
            self.member,
            self.fd,
            format_,
            tools.judges,
            self.stats,
            from_ns=task.from_ns,
            to_ns=task.to_ns,
        )
        if ranges is not None:
            self.bounded = self._by_index = True
        self._no_sidecar = ranges is None
        return ranges

    def _whole(self, format_: Format, tools: Tools) -> Ranges:
        if self._task.reverse and self._size_bytes > WHOLE_BYTES:
            self.bounded = True
            return survey(self.fd, format_, tools.window, HEADER_BYTES, self._size_bytes)
        if self._known is None:
            return Ranges.whole(self._size_bytes)
        early_ns, late_ns, ordered = self._known
        return Ranges.whole(self._size_bytes, early_ns=early_ns, late_ns=late_ns, ordered=ordered)

    def _without_sidecar(self, scan: Scan, tools: Tools) -> list[Found]:
        """The savefile is not what its sidecar says: read all of it, if that is still possible."""
        shown = self.member.shown
        if self._given:
            raise SourceError(
                f"{shown}: its index is of another savefile, which was found out when packets"
                " had been given out already; accepted: --no-index, and dlctl index --rebuild"
            )
        self._complain(f"{shown}: its index is of another savefile: not used", missing=False)
        format_ = scan.format
        self.bounded = self._by_index = False
        self._scan = self._new_scan(format_, self._whole(format_, tools))
        return self._scanned(self._scan, tools)

    def _front(self) -> int:
        if self._scan is None:
            return self.front
        front_ns = self._scan.front_ns
        # What was promised before is not taken back.
        return max(self.front, self._task.key(front_ns, front_ns))

    def _end(self, scan: Scan) -> None:
        self.done = True
        shown = self.member.shown
        if scan.damage is not None and not (scan.torn and self._growing):
            if scan.torn and self.newest:
                why = f"{scan.damage} (it is being written, or its writer was killed)"
                self._complain(f"{shown}: {why}", missing=False)
            else:
                self._complain(f"{shown} is damaged: {scan.damage}", missing=True)
        if scan.broken:
            text = (
                f"{shown}: {scan.broken} packets are out of the order that catalog or index"
                " promise, and so may be in the output; dlctl verify tells more"
            )
            self._complain(text, missing=True)
        self.stats.end(scan.bytes_read, scan.packets)

    def _fail(self, error: Exception) -> None:
        self.done = True
        self.close()
        if isinstance(error, FileNotFoundError):
            self.pruned = True
            return
        reason = error.strerror if isinstance(error, OSError) else str(error)
        shown = self.member.shown
        text = reason if str(reason).startswith(shown) else f"{shown}: {reason}"
        self._complain(str(text), missing=True)
        if not self._given:
            self.failure = type(error)(text) if isinstance(error, DaemonloggerError) else error

    def _begin_foreign(self, header: bytes) -> None:
        self.bounded = True  # as far as that can be had: not at all
        if not header and self._is_open:
            self.done = True  # made this moment: there is nothing in it, not even its header
            return
        from daemonlogger_py.readers.extract.foreign import Foreign

        foreign = Foreign(self._task, self.fd, self.member.shown, growing=self._is_open)
        self._foreign = foreign.found(self._note)

    @property
    def _is_open(self) -> bool:
        return self._growing or self.newest

    def _note(self, input_: "Input | None", line: str, missing: bool) -> None:  # noqa: FBT001
        if input_ is not None:
            self.facts = Facts.of_input(input_)
        if line:
            self._complain(line, missing=missing)
