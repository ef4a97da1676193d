"""Which sinks a run has: what its options need, wired together.

`run` asks this for the sink that the engine tells, the writers that do what the store noted, and
the batches in between; what is made of closed streams is `aftermath`'s.
"""

import os
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from daemonlogger_py.config.streams import Console as ConsoleConfig
from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.errors import UsageError
from daemonlogger_py.flow.ordered import OrderedSink, Ordering
from daemonlogger_py.flow.sink import Sink
from daemonlogger_py.readers.inputs.directory import holds_capture
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.streams import destination
from daemonlogger_py.readers.streams.batch import Batch
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.store import Store
from daemonlogger_py.readers.streams.writer import Writer

if TYPE_CHECKING:
    from daemonlogger_py.readers.inputs.capture import Input
    from daemonlogger_py.readers.streams.packets import FlowPcaps, Unprocessed
    from daemonlogger_py.readers.streams.printing import Printing

MOST_WRITERS = 2
MOST_OPEN_FILES = 20_000
_OTHER_DESCRIPTORS = 64  # what else the process has open


class Sinks:
    """The sinks of a run that `config` describes; `outdir_fd` stays the caller's.

    Once `stopping` is requested, if it may be, who reads what is written does not hold it up for
    long.

    Raises UsageError for a template that names no files, StorageError and StalledError.
    """

    def __init__(
        self, config: StreamsConfig, outdir_fd: int | None, stopping: Stopping | None = None
    ) -> None:
        self._config = config
        self._stopping = stopping
        self._outdir_fd = outdir_fd
        self._template = Template(config.template, config.bins, config.always_count)
        self._writer_count = _writer_count(config)
        self._read_any = False
        self._ordered: OrderedSink | None = None
        self._store = self._new_store()
        self._flow_pcaps = self._new_flow_pcaps()
        self._unprocessed = self._new_unprocessed()
        self.writers = self._new_writers()
        self.sink = self._combined()

    @property
    def counts_gaps(self) -> bool:
        """Whether `gap_streams` and `gap_bytes` say what is missing."""
        return self._store is not None

    @property
    def gap_streams(self) -> int:
        """Streams that have gaps."""
        return 0 if self._store is None else self._store.gap_streams

    @property
    def gap_bytes(self) -> int:
        """Bytes that are missing in them."""
        return 0 if self._store is None else self._store.gap_bytes

    @property
    def ordering(self) -> Ordering | None:
        """What it took to print in order, if that was asked for."""
        return None if self._ordered is None else self._ordered.ordering()

    @property
    def open_files(self) -> int:
        """Files of streams that were open at the end of the input, once that was written."""
        return sum(writer.open_files for writer in self.writers)

    @property
    def most_open_files(self) -> int:
        """Files of streams that were open at one time."""
        if self._store is None:
            return 0
        return min(self._store.most_open_files, self._config.max_open_files or MOST_OPEN_FILES)

    def reads(self, input_: "Input") -> None:
        """Note that the packets that follow are those of `input_`. Raises StorageError."""
        self._read_any = True
        for sink in (self._flow_pcaps, self._unprocessed):
            if sink is not None:
                sink.source(input_.file_header)

    def take(self) -> Batch:
        """The batch of what was fed since the last call."""
        return Batch() if self._store is None else self._store.take()

    def close(self, first: "Input | None" = None) -> None:
        """Write what packets wait to be written. Raises StorageError.

        `first` is the first input there was: a savefile is one, too, where no packet was read.
        """
        if first is not None and not self._read_any:
            self.reads(first)
        for sink in (self._flow_pcaps, self._unprocessed):
            if sink is not None:
                sink.close()

    def _combined(self) -> Sink:
        sinks = [self._new_console(), self._store, self._flow_pcaps, self._unprocessed]
        present = [sink for sink in sinks if sink is not None]
        if len(present) == 1:
            return present[0]
        from daemonlogger_py.readers.streams.several import Several

        return Several(present)

    def _new_store(self) -> Store | None:
        config = self._config
        if config.console is not None and config.report is None:
            return None
        return Store(
            store=config.store,
            writers=self._writer_count,
            max_bytes=config.max_bytes,
            last_wins=config.policy == "last",
            findx=config.findx,
        )

    def _new_console(self) -> Sink | None:
        console = self._config.console
        if console is None:
            return None
        from daemonlogger_py.readers.streams.console import Console, OrderedConsole

        printing = self._new_printing(console)
        if console.ordered:
            self._ordered = OrderedConsole(
                printing, gaps=self._config.gaps, policy=self._config.policy
            )
            return self._ordered
        return Console(printing)

    def _new_printing(self, console: ConsoleConfig) -> "Printing":
        from daemonlogger_py.readers.streams.outlet import Outlet
        from daemonlogger_py.readers.streams.printing import Printing

        return Printing(
            Outlet(destination.STANDARD_OUTPUT, console.semaphore, stopping=self._stopping),
            self._template,
            prefix=destination.prefix_of(self._config.outdir),
            names=console.names,
            raw=console.raw,
            hex=console.hex,
            colour=console.colour,
            newline=console.newline,
            json=console.json,
            max_bytes=self._config.max_bytes,
        )

    def _new_flow_pcaps(self) -> "FlowPcaps | None":
        if not self._config.flow_pcaps or self._outdir_fd is None:
            return None
        from daemonlogger_py.readers.streams.packets import FlowPcaps

        files = Files(self._outdir_fd, self._template, self._open_files())
        return FlowPcaps(files, prompt=self._prompt)

    def _new_unprocessed(self) -> "Unprocessed | None":
        if self._config.unprocessed is None:
            return None
        from daemonlogger_py.readers.streams.packets import Unprocessed

        refuse_inputs(self._config, "-w", self._config.unprocessed)
        _refuse_listed(self._config, "-w", self._config.unprocessed)
        _refuse_report(self._config, "-w", self._config.unprocessed)
        return Unprocessed(self._config.unprocessed, prompt=self._prompt, stopping=self._stopping)

    def _new_writers(self) -> list[Writer]:
        config = self._config
        if not config.store or self._outdir_fd is None:
            return []
        count = self._writer_count
        return [
            Writer(
                Files(self._outdir_fd, self._template, max(1, self._open_files() // count)),
                number,
                max_bytes=config.max_bytes,
                last_wins=config.policy == "last",
                findx=config.findx,
                gaps=config.gaps,
                tell_created=config.tcp_alert_fd is not None,
            )
            for number in range(count)
        ]

    @property
    def _prompt(self) -> bool:
        """Whether somebody may be looking at what is written while it goes on."""
        return self._config.follow or self._config.interface is not None

    def _open_files(self) -> int:
        return self._config.max_open_files or _files_allowed()


def refuse_inputs(config: StreamsConfig, option: str, path: str) -> None:
    """Raise UsageError if what is to be written to is one of the files that are read."""
    for name in (*config.files, *config.completing):
        with suppress(OSError):
            if name != "-" and os.path.samefile(name, path):
                raise UsageError(f"{option} {path!r}: is read as well; accepted: another file")


def _refuse_listed(config: StreamsConfig, option: str, path: str) -> None:
    """The same for the files of a directory or ring that is read."""
    real = os.path.realpath(path)
    for name in (*config.files, *config.completing, config.ring):
        with suppress(OSError):
            if name is None or not os.path.samefile(name, os.path.dirname(real)):
                continue
            if not os.path.isfile(real):
                continue
            fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC)
            try:
                is_read = holds_capture(fd)
            finally:
                os.close(fd)
            if is_read:
                raise UsageError(f"{option} {path!r}: is read as well; accepted: another file")


def _refuse_report(config: StreamsConfig, option: str, path: str) -> None:
    """Raise UsageError if the report would take the place of what is to be written to."""
    if config.report is None or path == "-":
        return
    real = os.path.realpath(path)
    if real != os.path.realpath(config.report):
        return
    if os.path.isfile(real) or not os.path.exists(real):  # both may go to a device
        raise UsageError(
            f"{option} {path!r}: the report is written there as well; accepted: another file"
        )


def _writer_count(config: StreamsConfig) -> int:
    """Each has the connections of some addresses and ports, and counts on their names alone.

    So where others may have the same names there is one: which of them is c1 is no matter of luck.
    """
    if not _tells_connections_apart(config.template) or config.max_open_files == 1:
        return 1
    return min(MOST_WRITERS, len(os.sched_getaffinity(0)))


def _tells_connections_apart(template: str) -> bool:
    """Whether names by `template` are of one connection's addresses and ports each."""
    tokens = re.findall("%.", template)
    # An IPv6 address ends where something else than a token or a part of an address stands.
    return {"%A", "%a", "%B", "%b"} <= set(tokens) and not re.search("%[AB][%0-9a-f:]", template)


def _files_allowed() -> int:
    """How many stream files may be open at a time, once the limit is what it may be."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES + _OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(1, wanted - _OTHER_DESCRIPTORS)
