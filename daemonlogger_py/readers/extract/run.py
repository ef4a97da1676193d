"""``dlctl extract``, from its configuration to the packets and the exit status.

Status 0: all that matches is written, also if that is nothing. 1: something could not be read, or
written. 130 or 143: stopped by INT or TERM (0 with --follow, which only ends so); what was written
is whole, and the first of all that matches. The same, also with --follow, where whoever reads the
output held it up: then it may end within a packet.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack

from daemonlogger_py.config.archive import ExtractConfig
from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.errors import FilterError, SourceError, StorageError
from daemonlogger_py.readers.archive import Archive, Member, gap_lines
from daemonlogger_py.readers.extract.choice import Choice
from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.extract.holding import Holder
from daemonlogger_py.readers.extract.order import Merger
from daemonlogger_py.readers.extract.output import Output
from daemonlogger_py.readers.extract.reading import LAST_NUMBER, Reading
from daemonlogger_py.readers.extract.sidecars import Sidecars
from daemonlogger_py.readers.extract.stats import Stats
from daemonlogger_py.readers.extract.task import Facts, Found, Task
from daemonlogger_py.readers.extract.work import Work
from daemonlogger_py.readers.figures import counted, utc
from daemonlogger_py.readers.gaps import Untold
from daemonlogger_py.readers.inputs.stopping import StopSignals
from daemonlogger_py.readers.output import tell

OUT_BYTES = 1 << 20
_SPILL_AT = 5, 4  # of what may be held


def run(config: ExtractConfig) -> int:
    """Extract what `config` asks for, and return the exit status. Raises DaemonloggerError."""
    with ExitStack() as stack:
        # Which savefiles a span of time needs is decided here: what an index says counts as well.
        everything = config.where._replace(from_ns=None, to_ns=None)
        archive = stack.enter_context(Archive(everything, required=not config.follow))
        stopping = stack.enter_context(StopSignals())
        sidecars = _sidecars(config, archive)
        if sidecars is not None:
            stack.callback(sidecars.close)
        task = Task(
            config.filter_text,
            stopping,
            from_ns=config.where.from_ns,
            to_ns=config.where.to_ns,
            reverse=config.reverse,
            sidecars=sidecars,
            scans_all=not config.use_index,
            named=frozenset(map(os.path.split, config.where.paths)),
        )
        check_filter(config.filter_text)
        if config.follow:
            from daemonlogger_py.readers.extract.follow import following

            return following(config, archive, task, stopping)
        output = Output(
            config.output,
            archive.each(),
            archive.directories,
            stopping=stopping,
            pcapng=config.pcapng,
        )
        stack.callback(output.close)
        extraction = Extraction(config, task, archive.each(), output)
        try:
            extraction.run(stopping)
        except BrokenPipeError:
            return 1  # whoever read the packets has read enough
        extraction.report(archive)
        extraction.tell_stats()
        if stopping.signal is not None:
            tell("extract", f"stopped by {stopping.signal.name}: what is written is whole")
            return 128 + stopping.signal
        return 1 if extraction.failures or archive.unread else 0


class Extraction:
    """One pass over `members`."""

    def __init__(
        self, config: ExtractConfig, task: Task, members: Iterable[Member], output: Output
    ) -> None:
        self.packets = 0
        self.left = sys.maxsize if config.max_packets is None else config.max_packets
        self.failures = 0
        self._begun_ns = time.monotonic_ns()
        self._config = config
        self._task = task
        self._output = output
        self._jobs = config.jobs or len(os.sched_getaffinity(0))
        self.stats = Stats()
        few = config.max_packets is not None
        self._choice = Choice(task, self.stats, jobs=self._jobs, few=few)
        self._choice.take(members)
        self._works = self._choice.works
        self._merger = Merger(reverse=config.reverse)
        self._out = Buffer(OUT_BYTES)
        self._facts: set[Facts] = set()
        # In the order in which threads come to them; which they have in the output is told later.
        self._numbers: dict[Facts, int] = {}
        self._pruned: list[Member] = []
        self._refused: list[tuple[Work, Exception]] = []
        self._untold = Untold()
        self._complaints = 0  # told so far
        self._spill_fd = -1
        self._spilled_bytes = 0

    def run(self, stopping: StopSignals, *, may_be_empty: bool = False) -> None:
        """Read and write all of it, or what comes until `stopping` is requested.

        `may_be_empty`: others will add packets, say of what kind they are, and close this. Raises
        DaemonloggerError.
        """
        config = self._config
        holder = Holder(self._works)
        try:
            with Reading(
                self._works,
                jobs=self._jobs,
                memory_bytes=config.memory_bytes,
                ask=self._task.sidecars is not None,
                enough=config.max_packets,
            ) as reading:
                going_on = bool(self._works)
                while going_on and self.left and not stopping.requested:
                    taken = reading.take()
                    self._note(taken.ended)
                    for work, found in taken.found:
                        self.add(found, work.number)
                    self.give_out(taken.key, taken.number)
                    self._relieve(reading)
                    holder.hold(reading)
                    going_on = taken.going_on
            if not stopping.requested:
                self._refuse_unread()
            if not may_be_empty:
                self.begin_output()
        finally:
            if not may_be_empty:
                self.close()
                if not self._output.begun:
                    self._output.discard()

    def close(self) -> None:
        """Give the temporary file back; may be called twice."""
        if self._spill_fd >= 0:
            os.close(self._spill_fd)
            self._spill_fd = -1

    def report(self, archive: Archive, *, nothing: bool = True) -> None:
        """Say on standard error what is not in the output, and why; `nothing`: also if all is."""
        if self._pruned:
            tell("extract", _of_pruned(self._pruned))
        gaps = self.tell_gaps(archive, self._config.where.from_ns)
        if nothing and not self.packets:
            tell("extract", f"no packet matched; {self._of_coverage(archive, gaps)}")

    def _of_coverage(self, archive: Archive, gaps: bool) -> str:  # noqa: FBT001
        where = self._config.where
        first_ns, last_ns = archive.covered(where.from_ns, where.to_ns)
        catalogs = [one.catalog for one in archive.directories if one.prefix is not None]
        if first_ns is None or last_ns is None:
            nothing = "nothing is recorded of that time"
            if not self._choice.unknown:
                return nothing
            unknown = counted(self._choice.unknown, "savefile")
            sure = "; dlctl verify --rebuild tells for sure" if catalogs else ""
            return f"{nothing} by the names and times of {unknown} that no catalog describes{sure}"
        but = ", with the gaps above" if gaps else ""
        if None in catalogs:
            but += "; without a catalog, whether all of that was recorded is not known"
        return f"savefiles reach from {utc(first_ns)} to {utc(last_ns)}{but}"

    def tell_gaps(self, archive: Archive, from_ns: int | None) -> bool:
        """Say what since `from_ns` was not recorded and was not said yet; returns if there is."""
        known = archive.gaps(from_ns, self._config.where.to_ns)
        complaints = archive.complaints[self._complaints :]
        self._complaints += len(complaints)
        gaps = gap_lines(self._untold.of(known), several=len(archive.directories) > 1)
        for line in (*(complaint.text for complaint in complaints), *gaps):
            tell("extract", line)
        return bool(gaps)

    @property
    def pruned(self) -> int:
        """How many savefiles were gone before they could be read, which `report` tells."""
        return len(self._pruned)

    def tell_stats(self) -> None:
        """Say how much was read, if that was asked for."""
        if self._config.stats:
            took_ns = time.monotonic_ns() - self._begun_ns
            for line in self.stats.lines(self.packets, self._spilled_bytes, took_ns):
                tell("extract", line)

    def _note(self, ended: Sequence[Work]) -> None:
        for work in ended:
            self.stats.add(work.stats)
            if work.pruned:
                self._pruned.append(work.member)
            work.forget()
            if work.failure is not None:
                self._refused.append((work, work.failure))
                continue
            self._tell(work)

    def _tell(self, work: Work) -> None:
        for line, missing in work.complaints:
            self.failures += missing
            tell("extract", line)

    def add(self, found: Found, number: int) -> None:
        """Take packets of the savefile with that number.

        Raises UsageError for a linktype that nothing before has said, once the output is begun.
        """
        facts = found.facts
        self.know(facts)
        kind = self._numbers.get(facts)
        if kind is None:
            kind = self._numbers[facts] = len(self._numbers)
            if self._output.begun:
                self._merger.describe(kind, self._output.interface(facts))
        self._merger.add(found.chunk, number, found.sequence, kind)

    def give_out(self, key: int, number: int = LAST_NUMBER) -> None:
        """Write the packets that nothing to come precedes: up to that key and number.

        Raises StorageError and BrokenPipeError.
        """
        if self._merger.runs and key > 0:
            self.begin_output()
            for data in self._ordered(key, number):
                self._output.packets(data)

    def _relieve(self, reading: Reading) -> None:
        """See to it that what is held stays within bounds."""
        held_bytes = self._merger.held_bytes
        if held_bytes >= self._config.memory_bytes:
            share, of = _SPILL_AT
            if not reading.hurried:
                reading.hurry()
            elif held_bytes * of >= self._config.memory_bytes * share:
                self._spill()
        reading.holds(self._merger.held_bytes)

    def _ordered(self, key: int, number: int) -> Iterator[Buffer | Chunk]:
        """Packets up to that bound, as many as are left to give out."""
        merger, out = self._merger, self._out
        stopping = self._task.stopping
        # Of a ring that is followed, what was found until then belongs to what was asked for.
        while self.left and (self._config.follow or not stopping.requested):
            chunk = merger.whole(key, number, self.left)
            if chunk is not None:
                self._count(chunk.packets)
                yield chunk
                continue
            given = merger.merge(out, key, number, self.left)
            if not given:
                return
            self._count(given)
            yield out
            out.clear()

    def _count(self, packets: int) -> None:
        self.packets += packets
        self.left -= packets

    def know(self, facts: Facts | None) -> None:
        """Say that packets of a capture with these `facts` may come."""
        if facts is not None and facts not in self._facts:
            if self._output.begun:
                self._output.require(facts)
            self._facts.add(facts)

    def begin_output(self) -> None:
        """Write what stands before the first packet, unless that is written."""
        if self._output.begun:
            return
        known = [work.facts for work in self._works if work.facts is not None]
        self._output.begin([*known, *self._choice.facts(), *self._facts])
        self._merger.write_as(pcapng=self._output.pcapng, nanosecond=self._output.nanosecond)
        for facts, kind in self._numbers.items():
            self._merger.describe(kind, self._output.interface(facts))

    @property
    def full(self) -> bool:
        """Whether what is held takes up the memory that there is."""
        return self._merger.held_bytes >= self._config.memory_bytes

    def spill_what_is_too_much(self) -> None:
        """Put what is held into a temporary file once it takes up the memory that there is."""
        if self.full:
            self._spill()

    def _spill(self) -> None:
        if self._spill_fd < 0:
            self._spill_fd = _temporary_file()
        self._spilled_bytes += self._merger.spill(self._spill_fd)

    def _refuse_unread(self) -> None:
        """Raise the error of the first savefile if none could be read at all."""
        refused = sorted(self._refused, key=lambda one: one[0].number)
        alone = bool(refused) and len(refused) == len(self._works) and not self._choice.has_more
        for work, _ in refused[1:] if alone else refused:
            self._tell(work)
        if not alone:
            return
        work, failure = refused[0]
        if isinstance(failure, OSError):
            raise SourceError(f"{work.member.shown}: {failure.strerror}")
        raise failure


def check_filter(text: str) -> None:
    """Raise FilterError unless there is a linktype that libpcap compiles this filter for."""
    from daemonlogger_py.engine.bpf import compile_for

    if not text:
        return
    try:
        compile_for(1, 262144, text)
    except FilterError:
        from daemonlogger_py.readers.inputs.opening import check_filter as check_all

        check_all(text)


def _sidecars(config: ExtractConfig, archive: Archive) -> Sidecars | None:
    if not config.use_index:
        return None
    sidecars = Sidecars(config.index_dir)
    if sidecars.prepare(archive.directories):
        return sidecars
    sidecars.close()
    return None


def _temporary_file() -> int:
    """A file without a name."""
    import tempfile

    from daemonlogger_py.readers import temporary

    try:
        with tempfile.TemporaryFile(dir=temporary.directory()) as file:
            return os.dup(file.fileno())
    except OSError as error:
        raise StorageError(
            f"temporary file for packets out of order: {error.strerror}; accepted are a writable"
            " TMPDIR, or a larger --memory"
        ) from error


def _of_pruned(pruned: Sequence[Member]) -> str:
    which = pruned[0].shown if len(pruned) == 1 else f"{pruned[0].shown} to {pruned[-1].shown}"
    verb = "was" if len(pruned) == 1 else "were"
    return f"{counted(len(pruned), 'savefile')} {verb} pruned before being read: {which}"
