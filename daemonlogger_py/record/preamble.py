"""What a recording says before it begins: the lines of the original, and those of what it had not.

Only says; everything is open by then, and nothing has been recorded.
"""

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from daemonlogger_py import __version__
from daemonlogger_py.config.recorder import PID_DIR, PID_FILE, RecorderConfig
from daemonlogger_py.config.units import UNIT_NAMES
from daemonlogger_py.record.messages import Tell, printable
from daemonlogger_py.record.opening import LogDir, Opened
from daemonlogger_py.record.rollover import RollGrid

if TYPE_CHECKING:
    from daemonlogger_py.savefile.pinned import Pins


def introduce(opened: Opened, tell: Tell) -> None:
    """The lines of the original, in its order, and those of what it did not have."""
    config = opened.config
    for line in _settings(opened):
        tell("setting", f"[-] {line}")
    tell("banner", f"\n-*> DaemonLogger <*-\nVersion {__version__}\n", version=__version__)
    if opened.log_dir is None:
        return
    where = os.path.join(opened.log_dir.shown, ".")
    tell("volume", f'Checking partition stats for log directory "{where}"')
    if config.ring and config.max_percent is not None:
        _say_utilization(config, opened.log_dir, config.max_percent, tell)


def say_source(opened: Opened, tell: Tell) -> None:
    """What packets come from, and what libpcap remarked on it."""
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


def _settings(opened: Opened) -> Iterator[str]:
    config = opened.config
    if config.daemon:
        yield "Daemon mode set"
    if config.flush:
        yield "Packet-buffered output activated"
    if config.count is not None:
        yield f"Configured to log {config.count} packets"
    if config.filter_file is not None:
        yield f"Reading BPF filter in from file {config.filter_file}"
    if opened.filter_text:
        yield f'Filter set to "{opened.filter_text}"'
    if config.group is not None:
        yield f"Setting group ID to {config.group}"
    if config.interface is not None:
        yield f"Interface set to {config.interface}"
    if config.log_dir != ".":
        yield f"Logpath set to {printable(config.log_dir)}"
    if config.max_files is not None:
        yield f"Max files to write set to {config.max_files}"
    yield f'Log filename set to "{config.prefix}"'
    for interface in config.tap:
        yield f"Tap output interface set to {interface}"
    yield f'Pidfile configured to "{config.pidfile or PID_FILE}"'
    yield f'Pidpath configured to "{config.pid_dir or PID_DIR}"'
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
    if config.chroot is not None:
        yield f"Setting chroot directory to {config.chroot}"
    if config.user is not None:
        yield f"Setting user ID to {config.user}"
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


def _say_utilization(
    config: RecorderConfig, log_dir: LogDir, max_percent: float, tell: Tell
) -> None:
    from daemonlogger_py.record.retention import must_stay_free

    status = os.fstatvfs(log_dir.fd)
    free = must_stay_free(status.f_blocks, max_percent)
    tell(
        "utilization",
        f"{max_percent:g}% max disk utilization = {free} blocks free (out of {status.f_blocks})\n"
        f"Blocksize = {status.f_frsize}\n"
        f"Rollsize = {config.roll_size // status.f_frsize} blocks\n",
        blocks=status.f_blocks,
        blocks_free=free,
        block_bytes=status.f_frsize,
    )


def foretell(opened: Opened, tell: Tell) -> None:
    """What retention would delete before the first savefile is opened."""
    config = opened.config
    source = (
        f"interface {config.interface}"
        if config.read is None
        else f'file "{printable(config.read)}"'
    )
    out = f"out of {' and '.join(config.tap)}"
    if opened.log_dir is None:
        doing = f"send packets from {source} {out}"
    else:
        doing = f"record from {source} into {opened.log_dir.shown}"
        doing += f" and send {out}" if config.tap else ""
    tell("check", f"Would {doing}: all of the above is in order")
    if opened.log_dir is None or opened.log_dir.keeper is None:
        tell("check", "Nothing would be pruned: there is no ring")
        return
    keeper = opened.log_dir.keeper
    keeper.heed(pinned(config, tell))
    planned = keeper.foretell(config.roll_size)
    keeper.close()
    doing, done = ("prune", "pruned") if config.archive is None else ("archive", "archived")
    for prune in planned.prunes:
        path = os.path.join(opened.log_dir.shown, prune.savefile.name)
        tell("would_prune", f"Would {doing} {path}: {prune.reason}", path=path, reason=prune.reason)
    for reason in planned.unmet:
        tell("would_stay_unmet", f"[!] {reason}: would not hold, nothing else is left to prune")
    if keeper.ring.pinned_files:
        count, size = keeper.ring.pinned_files, keeper.ring.pinned_bytes
        tell("would_keep", f"{count} savefiles are pinned, {size} bytes", count=count)
    count = len(planned.prunes)
    tell("check", f"{count} of {len(keeper.ring)} savefiles would be {done}", prunes=count)


def pinned(config: RecorderConfig, tell: Tell) -> "Pins":
    """What is pinned, as far as the catalog can be read; says where it cannot.

    Also where this recording keeps none: another one may have left it.
    """
    from daemonlogger_py.savefile.names import CATALOG
    from daemonlogger_py.savefile.pinned import Pins

    path = os.path.join(config.outside(config.log_dir), f"{config.prefix}{CATALOG}")
    if not os.path.lexists(path):
        return Pins()
    from daemonlogger_py.errors import CatalogError
    from daemonlogger_py.savefile.catalog import Catalog

    try:
        with Catalog.open(path) as catalog:
            return Pins((pin.from_ns, pin.to_ns) for pin in catalog.pins())
    except CatalogError as error:
        text = f"[!] {error}: its pins cannot be read: what they kept may be pruned"
        tell("pins_unknown", text)
        return Pins()
