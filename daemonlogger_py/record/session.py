"""Puts a recording together from its configuration, says what it will do, and takes it apart.

Everything that can be refused is refused before the first message and before anything is created:
interface, savefile, filter, directories, limits that no savefile can meet.
"""

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py import __version__
from daemonlogger_py.config.filter_file import read_filter_file
from daemonlogger_py.config.options import BY_LONG
from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.config.units import UNIT_NAMES
from daemonlogger_py.engine.protocol import Source
from daemonlogger_py.errors import DaemonloggerError, SourceError, UsageError
from daemonlogger_py.record.buffers import BufferPool
from daemonlogger_py.record.messages import Messages, Tell, printable
from daemonlogger_py.record.recorder import Recorder
from daemonlogger_py.record.rollover import RollGrid
from daemonlogger_py.record.signals import Signals
from daemonlogger_py.record.writer import VOLUME_FULL, Writer
from daemonlogger_py.savefile.names import Naming

# What only a ring, only an interface or only a savefile needs is imported where it is used: the
# start of a short replay is most of its time.
if TYPE_CHECKING:
    from daemonlogger_py.engine.live import LiveSource
    from daemonlogger_py.record.keeper import Keeper
    from daemonlogger_py.record.retention import Limits
    from daemonlogger_py.savefile.names import SavefileName

LIVE_SNAPLEN = 65535
# A roll size that nobody asked for is lowered until this many savefiles fit into the ring.
LEAST_SAVEFILES = 8
LEAST_ROLL_BYTES = 64 * 1024
# A savefile from further ahead of the clock than this was not named by a clock that was set back.
CLOCK_SET_BACK_S = 366 * 86400
# What an ending recording gives the walk over an old savefile.
RECOVERY_END_S = 5.0


class _Opened(NamedTuple):
    """What a recording needs from the outside, open."""

    config: RecorderConfig
    log_dir: str  # as messages call it
    naming: Naming
    dir_fd: int
    keeper: "Keeper | None"
    newest: "list[SavefileName]"
    source: Source
    filter_text: str


def run(config: RecorderConfig) -> int:
    """Record as configured, until it is done or a signal says so; returns the exit status.

    Raises UsageError before anything was created; SourceError and StorageError also later, after
    what was received is in its savefiles and the totals have been told.
    """
    with ExitStack() as stack:
        messages = Messages(log_format=config.log_format)
        stack.callback(messages.close)
        stack.enter_context(_failures_told(config, messages))
        signals = Signals()
        stack.callback(signals.close)
        # INT, TERM and QUIT simply end it until there is something to record, also while a pipe
        # says nothing.
        stack.enter_context(signals.early())
        opened = stack.enter_context(_open(config, signals.wake_fd, messages.tell))
        stack.enter_context(signals)
        _introduce(opened, messages.tell)
        _say_source(opened, messages.tell)
        _record(opened, signals, messages.tell)
    return 0


def check(config: RecorderConfig) -> int:
    """Open everything, say what a recording would do and prune right now, and do nothing.

    Raises what `run` raises at its start.
    """
    with ExitStack() as stack:
        messages = Messages(fd=1, log_format=config.log_format)
        stack.callback(messages.close)
        signals = Signals()
        stack.callback(signals.close)
        opened = stack.enter_context(_open(config, signals.wake_fd, messages.tell))
        _introduce(opened, messages.tell)
        _foretell(opened, messages.tell)
    return 0


@contextmanager
def _failures_told(config: RecorderConfig, messages: Messages) -> Iterator[None]:
    """In JSON the failure that ends it is a message too, instead of the command's plain line."""
    try:
        yield
    except DaemonloggerError as error:
        if config.log_format == "json":
            messages.tell("error", str(error), exit_status=error.exit_status)
            error.told = True
        raise


def _record(opened: _Opened, signals: Signals, tell: Tell) -> None:
    config = opened.config
    ending = threading.Event()
    recovery = _recovery(opened, tell, ending)
    # A savefile waits for the disk: a few buffers keep both busy, more would only leave the cache.
    most = config.buffer_memory if opened.source.live else 0
    pool = BufferPool(opened.source.record_bytes, most)
    writer = Writer(
        opened.dir_fd,
        opened.log_dir,
        opened.naming,
        opened.source.file_header,
        pool,
        opened.keeper,
        tell,
        signals.wake,
        may_grow_bytes=config.roll_size,
        direct=config.direct,
    )
    recorder = Recorder(
        config, opened.source, pool, writer, signals, tell, newest_epoch=_newest_epoch(opened)
    )
    recovery.start()
    try:
        recorder.run()
    finally:
        ending.set()
        recovery.join(RECOVERY_END_S)


def _recovery(opened: _Opened, tell: Tell, ending: threading.Event) -> threading.Thread:
    """Prepare the repair of the last savefiles, beside the recording: it may take seconds."""
    from daemonlogger_py.record.recovery import recover_all

    arguments = (opened.dir_fd, opened.newest, opened.log_dir, tell, ending)
    return threading.Thread(target=recover_all, args=arguments, name="recovery", daemon=True)


def _newest_epoch(opened: _Opened) -> int:
    """In a ring, the epoch that new savefiles must not be named before: order is age there."""
    latest = int(time.time()) + CLOCK_SET_BACK_S  # what is later was not named by a clock
    known = [name.epoch for name in opened.newest if name.epoch <= latest]
    return max(known, default=0) if opened.keeper is not None else 0


def _keeper(
    config: RecorderConfig, dir_fd: int, log_dir: str, naming: Naming, tell: Tell
) -> "Keeper":
    from daemonlogger_py.record.keeper import Keeper

    return Keeper(
        dir_fd,
        log_dir,
        naming,
        _limits(config),
        tell,
        this_run_only=config.prune_run,
        archive=config.archive,
    )


def _limits(config: RecorderConfig) -> "Limits":
    from daemonlogger_py.record.retention import Limits

    return Limits(
        max_files=config.max_files,
        max_percent=config.max_percent,
        max_bytes=config.max_bytes,
        min_free_bytes=config.min_free_bytes,
        min_free_percent=config.min_free_percent,
        max_age_s=config.max_age,
    )


@contextmanager
def _open(config: RecorderConfig, wake_fd: int, tell: Tell) -> Iterator[_Opened]:
    with ExitStack() as stack:
        filter_text = _filter_text(config)
        naming = Naming(config.prefix)
        log_dir = printable(config.log_dir)
        dir_fd = _open_log_dir(config)
        stack.callback(os.close, dir_fd)
        config = replace(config, roll_size=_roll_size(config, dir_fd))
        # Before the source: reading a directory of 100,000 savefiles takes a second, in which the
        # kernel's buffer would fill.
        keeper = _keeper(config, dir_fd, log_dir, naming, tell) if config.ring else None
        newest: list[SavefileName] = []
        if config.read is not None:
            source: Source = _open_savefile(config, config.read, wake_fd, filter_text, stack)
        else:
            newest = _newest(config, dir_fd, naming)
            source = interface = _open_interface(config, wake_fd, filter_text)
            config = replace(config, interface=interface.interface)
        stack.callback(source.close)
        yield _Opened(config, log_dir, naming, dir_fd, keeper, newest, source, filter_text)


def _filter_text(config: RecorderConfig) -> str:
    if config.filter_file is None:
        return config.filter
    try:
        return read_filter_file(config.filter_file)
    except UsageError as error:
        raise UsageError(f"{BY_LONG['filter-file'].label}: {error}") from error


def _newest(config: RecorderConfig, dir_fd: int, naming: Naming) -> "list[SavefileName]":
    from daemonlogger_py.record.recovery import newest

    try:
        return newest(dir_fd, naming)
    except OSError as error:
        raise UsageError(f"-l {config.log_dir}: {error.strerror}") from None


def _open_log_dir(config: RecorderConfig) -> int:
    """Open the directory and prove that savefiles can be made in it and removed."""
    try:
        dir_fd = os.open(config.log_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"-l {config.log_dir}: {error.strerror}") from None
    probe = f".daemonlogger.{os.urandom(8).hex()}"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(probe, flags, 0o600, dir_fd=dir_fd))
        os.unlink(probe, dir_fd=dir_fd)
    except OSError as error:
        if config.ring and error.errno in VOLUME_FULL:
            return dir_fd  # the ring can make room
        os.close(dir_fd)
        raise UsageError(
            f"-l {config.log_dir}: no savefile can be made there: {error.strerror}"
        ) from None
    return dir_fd


def _roll_size(config: RecorderConfig, dir_fd: int) -> int:
    """The roll size asked for, if the ring can ever hold it; else one that it can."""
    if not config.ring:
        return config.roll_size
    from daemonlogger_py.record.keeper import look_at_volume
    from daemonlogger_py.record.retention import allowance

    volume = look_at_volume(dir_fd)
    limited = allowance(_limits(config), volume)
    most = volume.total_bytes if limited is None else min(limited, volume.total_bytes)
    what = "its volume holds" if limited is None else "the ring's limits leave"
    if config.roll_size_given:
        if config.roll_size > most:
            raise UsageError(f"-s {config.roll_size}: more than the {most} bytes that {what}")
        return config.roll_size
    if most < LEAST_ROLL_BYTES:
        raise UsageError(
            f"-r: no savefile fits into the {most} bytes that {what}; accepted: limits that leave "
            f"{LEAST_ROLL_BYTES} bytes, or a smaller -s"
        )
    return min(config.roll_size, max(LEAST_ROLL_BYTES, most // LEAST_SAVEFILES))


def _open_interface(config: RecorderConfig, wake_fd: int, filter_text: str) -> "LiveSource":
    from daemonlogger_py.engine.live import LiveSource
    from daemonlogger_py.record import interfaces

    return LiveSource(
        config.interface or interfaces.default(),
        wake_fd=wake_fd,
        filter_text=filter_text,
        snaplen=config.snaplen or LIVE_SNAPLEN,
        promiscuous=config.promiscuous,
        buffer_bytes=config.buffer_size,
        tstamp_type=config.tstamp_type,
        nanosecond=config.nanosecond,
        direction=config.direction,
        immediate=config.immediate,
        flush=config.flush,
    )


def _open_savefile(
    config: RecorderConfig, path: str, wake_fd: int, filter_text: str, stack: ExitStack
) -> Source:
    from daemonlogger_py.engine.offline import FileSource

    fd = 0
    if path != "-":
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"-R {path}: {error.strerror}") from None
        stack.callback(os.close, fd)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        raise SourceError(f"-R {path}: Is a directory")
    return FileSource(
        fd,
        name="standard input" if path == "-" else path,
        wake_fd=wake_fd,
        filter_text=filter_text,
        snaplen=config.snaplen or 0,
        nanosecond=config.nanosecond,
    )


def _introduce(opened: _Opened, tell: Tell) -> None:
    """The lines of the original, in its order, and those of what it did not have."""
    config = opened.config
    for line in _settings(opened):
        tell("setting", f"[-] {line}")
    tell("banner", f"\n-*> DaemonLogger <*-\nVersion {__version__}\n", version=__version__)
    where = os.path.join(opened.log_dir, ".")
    tell("volume", f'Checking partition stats for log directory "{where}"')
    if config.ring and config.max_percent is not None:
        _say_utilization(opened, config.max_percent, tell)


def _say_source(opened: _Opened, tell: Tell) -> None:
    config, source = opened.config, opened.source
    warning = getattr(source, "warning", None)
    if warning is not None:
        tell("warning", f"[!] {config.interface}: {warning}")
    if config.read is not None:
        name = printable(config.read)
        tell("reading", f'Reading network traffic from "{name}" file.', file=config.read)
        tell("snaplen", f"snaplen = {source.snaplen}", snaplen=source.snaplen)
    else:
        text = f"sniffing on interface {config.interface}"
        tell("sniffing", text, interface=config.interface, linktype=source.linktype)


def _settings(opened: _Opened) -> Iterator[str]:
    config = opened.config
    if config.flush:
        yield "Packet-buffered output activated"
    if config.count is not None:
        yield f"Configured to log {config.count} packets"
    if config.filter_file is not None:
        yield f"Reading BPF filter in from file {config.filter_file}"
    if opened.filter_text:
        yield f'Filter set to "{opened.filter_text}"'
    if config.interface is not None:
        yield f"Interface set to {config.interface}"
    if config.log_dir != ".":
        yield f"Logpath set to {opened.log_dir}"
    if config.max_files is not None:
        yield f"Max files to write set to {config.max_files}"
    yield f'Log filename set to "{config.prefix}"'
    if config.ring:
        yield "Ringbuffer active"
    if config.read is not None:
        yield "In readback mode"
    yield f"Rollover size set to {config.roll_size} bytes"
    if config.snaplen is not None:
        yield f"Snaplen set to {config.snaplen}"
    yield _roll_time_line(config)
    if config.roll_packets is not None:
        yield f"Rollover configured for {config.roll_packets} packets"
    yield from _limit_lines(config)
    where = "THIS RUN" if config.prune_run else "IN DIRECTORY"
    yield f"Pruning behavior set to oldest {where}"


def _roll_time_line(config: RecorderConfig) -> str:
    roll_time = config.roll_time
    if roll_time is None or roll_time.unit == "s":
        return f"Rollover time configured for {roll_time.count if roll_time else 0} seconds"
    now_ns = time.time_ns()
    boundary_ns = RollGrid(roll_time.count, roll_time.unit, now_ns).after(now_ns)
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(boundary_ns // 1_000_000_000))
    first = "" if config.read is not None else f", first at {at}"
    return f"Rollover configured for {roll_time.count} {UNIT_NAMES[roll_time.unit]}{first}"


def _limit_lines(config: RecorderConfig) -> Iterator[str]:
    if config.max_bytes is not None:
        yield f"Max size of all savefiles set to {config.max_bytes} bytes"
    if config.min_free_bytes is not None:
        yield f"Min free space set to {config.min_free_bytes} bytes"
    if config.min_free_percent is not None:
        yield f"Min free space set to {config.min_free_percent:g}%"
    if config.max_age is not None:
        yield f"Max age set to {config.max_age} seconds"
    if config.archive is not None:
        yield f"Archive directory set to {config.archive}"


def _say_utilization(opened: _Opened, max_percent: float, tell: Tell) -> None:
    from daemonlogger_py.record.retention import must_stay_free

    status = os.fstatvfs(opened.dir_fd)
    free = must_stay_free(status.f_blocks, max_percent)
    tell(
        "utilization",
        f"{max_percent:g}% max disk utilization = {free} blocks free (out of {status.f_blocks})\n"
        f"Blocksize = {status.f_frsize}\n"
        f"Rollsize = {opened.config.roll_size // status.f_frsize} blocks\n",
        blocks=status.f_blocks,
        blocks_free=free,
        block_bytes=status.f_frsize,
    )


def _foretell(opened: _Opened, tell: Tell) -> None:
    """What retention would delete before the first savefile is opened."""
    config = opened.config
    source = (
        f"interface {config.interface}"
        if config.read is None
        else f'file "{printable(config.read)}"'
    )
    tell("check", f"Would record from {source} into {opened.log_dir}: all of the above is in order")
    keeper = opened.keeper
    if keeper is None:
        tell("check", "Nothing would be pruned: there is no ring")
        return
    planned = keeper.foretell(config.roll_size)
    keeper.close()
    doing, done = ("prune", "pruned") if config.archive is None else ("archive", "archived")
    for prune in planned.prunes:
        path = os.path.join(opened.log_dir, prune.savefile.name)
        tell("would_prune", f"Would {doing} {path}: {prune.reason}", path=path, reason=prune.reason)
    for reason in planned.unmet:
        tell("would_stay_unmet", f"[!] {reason}: would not hold, nothing else is left to prune")
    count = len(planned.prunes)
    tell("check", f"{count} of {len(keeper.ring)} savefiles would be {done}", prunes=count)
