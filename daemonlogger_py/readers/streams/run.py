"""One run of ``dlctl streams``: inputs through the flow engine into sinks, and what comes of it.

The order of the start is the order of trust: everything is opened, privileges are given up, then
processes and threads are started, and only then is the first byte of a packet looked at.
"""

import importlib
import os
from collections.abc import Generator
from contextlib import ExitStack, closing
from importlib.util import find_spec
from typing import TYPE_CHECKING

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.errors import SourceError, StorageError, UsageError
from daemonlogger_py.flow.engine import NEVER_NS, Engine
from daemonlogger_py.readers.inputs.capture import Complaint
from daemonlogger_py.readers.inputs.opening import Inputs, Selection
from daemonlogger_py.readers.inputs.pump import Pump
from daemonlogger_py.readers.inputs.stopping import StopSignals
from daemonlogger_py.readers.progress import Progress
from daemonlogger_py.readers.stalls import StalledError
from daemonlogger_py.readers.streams import destination
from daemonlogger_py.readers.streams.aftermath import Aftermath
from daemonlogger_py.readers.streams.ending import Ending
from daemonlogger_py.readers.streams.pipeline import Writing
from daemonlogger_py.readers.streams.report import FAILED, FINISHED, INTERRUPTED, Counts, Report
from daemonlogger_py.readers.streams.sinks import Sinks, refuse_inputs
from daemonlogger_py.readers.streams.teller import Teller

if TYPE_CHECKING:
    from daemonlogger_py.engine.buffer import Buffer
    from daemonlogger_py.readers.inputs.capture import Input

CLOSED_AT_ONCE = 16_384  # streams at the end: what is told of a million need not be there at once

# Python finds none of its files after a change of the root directory or of the user.
_IMPORTED_LATER = (
    "pwd",
    "resource",
    "shlex",
    "daemonlogger_py.engine.bpf",
    "daemonlogger_py.readers.streams.commands",
    "daemonlogger_py.readers.streams.console",
    "daemonlogger_py.readers.streams.lines",
    "daemonlogger_py.readers.streams.outlet",
    "daemonlogger_py.readers.streams.packets",
    "daemonlogger_py.readers.streams.printing",
    "daemonlogger_py.readers.streams.several",
)


def run(config: StreamsConfig) -> int:
    """Do what `config` asks for and return the exit status.

    0 also after INT, TERM or HUP, which only end the reading; 1 if something could not be read to
    its end, or not be made of a stream. Raises DaemonloggerError, StalledError among them: where a
    reader holds up what is written, it is not waited for long after such a signal.
    """
    _require_modules(config)
    _require_descriptors(config)
    teller = Teller(config)
    with ExitStack() as stack:
        stopping = stack.enter_context(StopSignals())
        inputs = stack.enter_context(ReadInputs(_selection(config), stopping))
        inputs.open()
        _tell_gaps(config, teller)
        outdir_fd = _open_outdir(config, inputs)
        if outdir_fd is not None:
            stack.callback(os.close, outdir_fd)
        inputs.drop_privileges()
        _require_writable(config, outdir_fd)
        sinks = Sinks(config, outdir_fd, stopping)
        report = _new_report(config, teller, stopping)
        aftermath = Aftermath(config, outdir_fd, report, teller, stopping)
        stack.callback(aftermath.close)
        running = Running(config, inputs, sinks, report, aftermath, teller)
        failures = running.read()
        if stopping.signal is not None:
            teller.tell(f"stopped by {stopping.signal.name}; what was read is complete")
    return 1 if failures else 0


class ReadInputs(Inputs):
    """Inputs that know which of them was the first, also where it had no packets."""

    first: "Input | None" = None

    def __iter__(self) -> Generator["Input | Complaint", None, None]:
        with closing(super().__iter__()) as items:
            for item in items:
                if self.first is None and not isinstance(item, Complaint):
                    self.first = item
                yield item


class Running:
    """Everything that is there between the first packet and the last."""

    def __init__(
        self,
        config: StreamsConfig,
        inputs: ReadInputs,
        sinks: Sinks,
        report: Report | None,
        aftermath: Aftermath,
        teller: Teller,
    ) -> None:
        self._config = config
        self._inputs = inputs
        self._sinks = sinks
        self._report = report
        self._aftermath = aftermath
        self._teller = teller
        self._open_at_end = 0
        self._engine = Engine(
            sinks.sink,
            tunnels=config.tunnels,
            skip_bytes=config.skip_bytes,
            idle_ns=config.idle_ns,
            max_flows=config.max_flows,
            memory_bytes=config.memory_bytes,
            purge=config.purge,
            first_ns=config.from_ns or 0,
            until_ns=NEVER_NS if config.to_ns is None else config.to_ns,
            shift_ns=config.tdelta_ns,
        )

    def read(self) -> int:
        """Read everything, and return how much failed. Raises DaemonloggerError."""
        how = FAILED
        try:
            failures = self._read()
            how = INTERRUPTED if self._inputs.stopping.requested else FINISHED
        except BrokenPipeError:
            return 1  # whoever read standard output has read enough
        except StalledError:
            how = INTERRUPTED
            raise
        except OSError as error:
            raise StorageError(f"standard output: {error.strerror}") from error
        finally:
            if self._report is not None:
                self._report.counts = self._counts()
                self._report.close(how)
        ending = Ending(self._config, self._engine, self._sinks, self._aftermath)
        ending.tell(self._teller.warn)
        for line in ending.totals():
            self._teller.detail(line)
        return failures + self._aftermath.failures

    def _read(self) -> int:
        with (
            Pump(self._inputs, self._teller.tell, idle=lambda: self._look_after(writing)) as pump,
            Writing(self._sinks.writers, pump.give_back) as writing,
            Progress(self._inputs.total_bytes(), wanted=_shows_progress(self._config)) as progress,
        ):
            self._feed_all(pump, writing, progress)
            self._open_at_end = self._engine.counters().open_streams
            last = self._sinks.take()
            last.at_end = True
            writing.put(last, None)
            while not self._engine.finish(CLOSED_AT_ONCE):
                writing.put(self._sinks.take(), None)
                self._harvest(writing)
            self._sinks.close(self._inputs.first)
            writing.put(self._sinks.take(), None)
            writing.close()
            self._harvest(writing)
            self._aftermath.finish()
        return pump.failures

    def _feed_all(self, pump: Pump, writing: Writing, progress: Progress) -> None:
        for buffer, input_ in pump:
            if not self._feed(pump, buffer, input_):
                continue
            pump.keep()
            writing.put(self._sinks.take(), buffer)
            self._harvest(writing)
            progress.update(pump.bytes_read)

    def _feed(self, pump: Pump, buffer: "Buffer", input_: "Input") -> bool:
        self._sinks.reads(input_)
        try:
            self._engine.feed(
                buffer,
                input_.linktype & 0xFFFF,
                nanosecond=input_.nanosecond,
                only_known=input_.completing,
            )
        except SourceError as error:
            pump.refuse(input_, f"{input_.name}: {error}")
            return False
        return True

    def _harvest(self, writing: Writing) -> None:
        for batch in writing.done():
            self._aftermath.harvest(batch)

    def _look_after(self, writing: Writing) -> None:
        """Tell of what is closed also while no packets come."""
        self._harvest(writing)
        self._aftermath.look_after()

    def _counts(self) -> Counts:
        counters = self._engine.counters()
        told = self._config.report_streams
        return Counts(
            open_fds=self._sinks.open_files,
            max_open_flows=self._sinks.most_open_files,
            total_flows=counters.streams if told else 0,
            flow_map_size=self._open_at_end if told else 0,
            total_packets=counters.stream_packets if told else 0,
            oddities=self._engine.oddities(),
            late_bytes=counters.late_bytes,
        )


def _shows_progress(config: StreamsConfig) -> bool:
    """Whether a bar is wanted, and would not be drawn over what is printed on the terminal."""
    prints = config.console is not None or config.json or config.unprocessed == "-"
    return config.progress and not (prints and os.isatty(destination.STANDARD_OUTPUT))


def _new_report(config: StreamsConfig, teller: Teller, stopping: StopSignals) -> Report | None:
    if config.report is None:
        return None
    refuse_inputs(config, "-X", config.report)
    teller.detail(f"reportfilename: {config.report}")
    return Report(
        config.report,
        command_line=config.command_line,
        tdelta_ns=config.tdelta_ns,
        stopping=stopping,
    )


def _selection(config: StreamsConfig) -> Selection:
    return Selection(
        files=config.files,
        completing=config.completing,
        ring=config.ring,
        prefix=config.prefix,
        from_ns=config.from_ns,
        to_ns=config.to_ns,
        follow=config.follow,
        interface=config.interface,
        promiscuous=config.promiscuous,
        filter_text=config.filter_text,
        user=config.user,
        chroot=config.chroot,
    )


def _tell_gaps(config: StreamsConfig, teller: Teller) -> None:
    """Say what of the rings was not recorded: a stream may have its gaps from there."""
    if config.ring is None and not any(map(os.path.isdir, config.files)):
        return
    from daemonlogger_py.readers.gaps import directory_lines, ring_lines

    if config.ring is not None:
        lines = ring_lines(config.ring, config.prefix, config.from_ns, config.to_ns)
    else:
        lines = directory_lines(config.files, config.from_ns, config.to_ns)
    for line in lines:
        teller.warn(line)


def _require_modules(config: StreamsConfig) -> None:
    """Raise UsageError where a module of the extra `read` is needed and not there."""
    if not config.http:
        return
    # Found, not imported: that is for the processes that parse, beside the reading.
    if find_spec("httptools") is None:
        raise UsageError(
            "-e http: Python's module httptools is not installed; pip install"
            " 'daemonlogger-py[read]' brings it"
        )


def _require_writable(config: StreamsConfig, outdir_fd: int | None) -> None:
    """Raise StorageError unless the user whose privileges are left may write where files go.

    A directory that was there keeps its owner: root's own, such as /mnt, is not given away unasked.
    """
    if config.user is None or outdir_fd is None:
        return
    beside = config.report is not None and os.path.dirname(config.report) == (
        config.outdir.rstrip("/") or "/"
    )
    if not (config.store or config.flow_pcaps or beside):
        return
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=outdir_fd):
        raise StorageError(
            f"-U {config.user!r}: may not write to the directory -o {config.outdir!r}; accepted:"
            " one that this user may write to, or one that is not there yet and is made for it"
        )


def _require_descriptors(config: StreamsConfig) -> None:
    """Raise UsageError unless those to be told of files are open.

    To be asked before anything is opened here: that would get the number, and be written to.
    """
    for name, fd in (("tcp", config.tcp_alert_fd), ("http", config.http_alert_fd)):
        try:
            if fd is not None:
                os.fstat(fd)
        except OSError:
            raise UsageError(
                f"-S {name}_alert_fd={fd}: is not open; accepted: an open descriptor"
            ) from None


def _import_ahead(config: StreamsConfig) -> None:
    """Import what is imported when it is needed, while it can be found."""
    for module in _IMPORTED_LATER:
        importlib.import_module(module)
    if config.http or config.md5 or config.plugin is not None:
        from daemonlogger_py.readers.streams.post import preload

        preload(config)


def _open_outdir(config: StreamsConfig, inputs: Inputs) -> int | None:
    """A descriptor of the output directory, if anything goes there."""
    if config.user is not None:
        _import_ahead(config)
    if not (config.store or config.flow_pcaps or config.report):
        return None
    from daemonlogger_py.config.chroot import inside

    path = inside(config.chroot, config.outdir) if config.chroot else config.outdir
    return destination.opened(path, inputs.owner)
