"""Opens what a recording needs, and refuses what cannot work, before anything is created.

Everything is opened with the privileges the command was started with; what is opened stays usable
without them. Directories are named as they will be after a change of the root directory.
"""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.config.filter_file import read_filter_file
from daemonlogger_py.config.options import BY_LONG
from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.engine.protocol import Source
from daemonlogger_py.errors import SourceError, UsageError
from daemonlogger_py.record.messages import Tell, printable
from daemonlogger_py.record.room import VOLUME_FULL
from daemonlogger_py.savefile.names import Naming

# What only a ring, only an interface or only a savefile needs is imported where it is used: the
# start of a short replay is most of its time.
if TYPE_CHECKING:
    from daemonlogger_py.engine.live import LiveSource
    from daemonlogger_py.record.keeper import Keeper
    from daemonlogger_py.record.taps import Taps
    from daemonlogger_py.savefile.names import SavefileName
    from daemonlogger_py.service.privileges import Identity

LIVE_SNAPLEN = 65535
# An offloaded frame, which has a link-layer header on top of 64 KiB, has to be whole to be sent on.
TAP_SNAPLEN = 262144
# A roll size that nobody asked for is lowered until this many savefiles fit into the ring.
LEAST_SAVEFILES = 8
LEAST_ROLL_BYTES = 64 * 1024
# A savefile from further ahead of the clock than this was not named by a clock that was set back.
CLOCK_SET_BACK_S = 366 * 86400
WAIT_INTERFACE_S = 0.2


class LogDir(NamedTuple):
    """Where savefiles go."""

    fd: int
    shown: str  # as messages call it
    naming: Naming
    keeper: "Keeper | None"  # with a ring
    newest: "list[SavefileName]"  # what earlier recordings left, for recovery
    compressed: "Sequence[SavefileName]" = ()  # in a ring: the newest of what somebody compressed

    def newest_epoch(self) -> int:
        """In a ring, the epoch that new savefiles must not be named before: order is age there."""
        known = (*self.newest, *self.compressed)
        latest = int(time.time()) + CLOCK_SET_BACK_S  # what is later was not named by a clock
        epochs = [name.epoch for name in known if name.epoch <= latest]
        return max(epochs, default=0) if self.keeper is not None else 0


class Opened(NamedTuple):
    """What a recording needs from the outside, open; `config` names the interface chosen."""

    config: RecorderConfig
    log_dir: LogDir | None  # None: a soft tap alone
    source: Source
    interface: "LiveSource | None"  # the source, if it is one
    taps: "Taps | None"
    filter_text: str
    since_ns: int = 0  # ns since 1970; what came from then on is recorded


@contextmanager
def opened(
    config: RecorderConfig,
    wake_fd: int,
    tell: Tell,
    identity: "Identity | None",
    say_now: Callable[[str], None],
) -> Iterator[Opened]:
    """Open everything; `identity` is who will record.

    `say_now` says what cannot wait until messages are written. Raises UsageError, SourceError or
    StorageError; nothing was created then.
    """
    with ExitStack() as stack:
        filter_text = _filter_text(config)
        if config.daemon and config.filter_file is not None and config.chroot is None:
            # It is read again at SIGHUP, when the working directory is another one.
            config = replace(config, filter_file=os.path.abspath(config.filter_file))
        log_dir = None
        if config.savefiles:
            fd = _open_log_dir(config, identity)
            stack.callback(os.close, fd)
            config = replace(config, roll_size=_roll_size(config, fd))
            # Before the source: reading a directory of 100,000 savefiles takes a second, in which
            # the kernel's buffer would fill.
            log_dir = _log_dir(config, fd, tell)
            if log_dir.keeper is not None and log_dir.keeper.archive_fd is not None:
                archive = f"-a {config.archive}"
                _prove_writable(log_dir.keeper.archive_fd, archive, config, identity)
        interface = None
        if config.read is not None:
            source: Source = _open_savefile(config, config.read, wake_fd, filter_text, stack)
        else:
            if config.wait_interface and config.interface is not None:
                _wait_for(config.interface, tell, say_now)
            source = interface = _open_interface(config, wake_fd, filter_text)
            config = replace(config, interface=interface.interface)
        stack.callback(source.close)
        since_ns = time.time_ns()
        taps = _open_taps(config, source, wake_fd, tell) if config.tap else None
        if taps is not None:
            stack.callback(taps.close)
        yield Opened(config, log_dir, source, interface, taps, filter_text, since_ns)


def _filter_text(config: RecorderConfig) -> str:
    if config.filter_file is None:
        return config.filter
    try:
        return read_filter_file(config.filter_file)
    except UsageError as error:
        raise UsageError(f"{BY_LONG['filter-file'].label}: {error}") from error


def _log_dir(config: RecorderConfig, fd: int, tell: Tell) -> LogDir:
    naming = Naming(config.prefix)
    shown = printable(config.log_dir)
    keeper = _keeper(config, fd, shown, naming, tell) if config.ring else None
    if config.read:
        return LogDir(fd, shown, naming, keeper, [])
    compressed = () if keeper is None else _newest(config, fd, naming, compressed=True)
    return LogDir(fd, shown, naming, keeper, _newest(config, fd, naming), compressed)


def _keeper(
    config: RecorderConfig, dir_fd: int, log_dir: str, naming: Naming, tell: Tell
) -> "Keeper":
    from daemonlogger_py.record.keeper import Keeper
    from daemonlogger_py.record.retention import limits_of

    return Keeper(
        dir_fd,
        log_dir,
        naming,
        limits_of(config),
        tell,
        this_run_only=config.prune_run,
        archive=None if config.archive is None else config.outside(config.archive),
    )


def _newest(
    config: RecorderConfig, dir_fd: int, naming: Naming, *, compressed: bool = False
) -> "list[SavefileName]":
    from daemonlogger_py.record.recovery import newest

    try:
        return newest(dir_fd, naming, compressed=compressed)
    except OSError as error:
        raise UsageError(f"-l {config.log_dir}: {error.strerror}") from None


def _open_log_dir(config: RecorderConfig, identity: "Identity | None") -> int:
    """Open the directory and prove that savefiles can be made in it and removed."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        dir_fd = os.open(config.outside(config.log_dir), flags)
    except OSError as error:
        raise UsageError(f"-l {config.log_dir}: {error.strerror}") from None
    try:
        _prove_writable(dir_fd, f"-l {config.log_dir}", config, identity)
    except UsageError:
        os.close(dir_fd)
        raise
    return dir_fd


def _prove_writable(
    dir_fd: int, option: str, config: RecorderConfig, identity: "Identity | None"
) -> None:
    try:
        with _acting_as(identity, config.chroot):
            _probe(dir_fd)
    except OSError as error:
        if config.ring and error.errno in VOLUME_FULL:
            return  # the ring can make room
        who = "" if identity is None else f" by user {identity.name}"
        raise UsageError(
            f"{option}: no savefile can be made there{who}: {error.strerror}"
        ) from None


def _probe(dir_fd: int) -> None:
    """Make a file in the directory, rename it and remove it, as recording and pruning will."""
    probe = f".daemonlogger.{os.urandom(8).hex()}"
    renamed = f"{probe}.renamed"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    os.close(os.open(probe, flags, 0o600, dir_fd=dir_fd))
    os.rename(probe, renamed, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
    os.unlink(renamed, dir_fd=dir_fd)


def _acting_as(identity: "Identity | None", chroot: str | None) -> AbstractContextManager[object]:
    if identity is None and chroot is None:
        return nullcontext()
    from daemonlogger_py.service.privileges import acting_as

    return acting_as(identity, chroot)


def _roll_size(config: RecorderConfig, dir_fd: int) -> int:
    """The roll size asked for, if the ring can ever hold it; else one that it can."""
    if not config.ring:
        return config.roll_size
    from daemonlogger_py.record.keeper import look_at_volume
    from daemonlogger_py.record.retention import allowance, limits_of

    volume = look_at_volume(dir_fd)
    limited = allowance(limits_of(config), volume)
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

    return LiveSource(
        config.interface or _default_interface(config),
        wake_fd=wake_fd,
        filter_text=filter_text,
        snaplen=config.snaplen or (TAP_SNAPLEN if config.tap else LIVE_SNAPLEN),
        promiscuous=config.promiscuous,
        buffer_bytes=config.buffer_size,
        tstamp_type=config.tstamp_type,
        nanosecond=config.nanosecond,
        direction=config.direction,
        immediate=config.immediate,
        flush=config.flush or bool(config.tap),
        prompt=config.tee,
    )


def _default_interface(config: RecorderConfig) -> str:
    from daemonlogger_py.engine import interfaces

    name = interfaces.default()
    if name in config.tap:
        raise UsageError(f"-o {name}: is what would be recorded from; accepted: another one")
    return name


def _wait_for(interface: str, tell: Tell, say_now: Callable[[str], None]) -> None:
    import socket

    from daemonlogger_py.engine import interfaces
    from daemonlogger_py.record import watch

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        said = False
        while interfaces.is_missing(interface) or watch.state(asking, interface) == watch.DOWN:
            if not said:
                said = True
                text = f"[-] Waiting for interface {interface}"
                tell("waiting", text, interface=interface)
                say_now(text)
            time.sleep(WAIT_INTERFACE_S)


def _open_taps(config: RecorderConfig, source: Source, wake_fd: int, tell: Tell) -> "Taps":
    from daemonlogger_py.engine import interfaces
    from daemonlogger_py.record.taps import Taps

    for output in config.tap if config.direction != "in" else ():
        if config.interface is not None and interfaces.stacked(config.interface, output):
            raise UsageError(
                f"-o {output}: what it sends passes {config.interface} again, the tap would feed "
                "on itself; accepted: --direction in"
            )
    return Taps(config, source, wake_fd, tell)


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
