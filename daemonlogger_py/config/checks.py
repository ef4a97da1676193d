"""What no single option can know: options that need or exclude each other, files and directories.

Looks, but opens nothing and creates nothing. Interfaces are `engine.interfaces`, the filter file
is read once, by `record.opening`, since it may be a pipe; the filter's grammar is libpcap's.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from daemonlogger_py.config.options import BY_LONG
from daemonlogger_py.config.recorder import RecorderConfig
from daemonlogger_py.errors import UsageError


@dataclass(frozen=True, slots=True)
class Given:
    """A value someone wrote: where, as which text, and what it means."""

    label: str  # -M/--max-percent, or FILE.toml: max-percent
    text: str
    value: object

    def __str__(self) -> str:
        """As a message names it: -M/--max-percent 65."""
        return self.label if self.value is True else f"{self.label} {self.text!r}"


def check(config: RecorderConfig, given: Mapping[str, Given]) -> None:
    """Raise UsageError for the first thing in `config` that cannot work as asked.

    `given` holds what was written, by long option name, and lends its labels to the messages.
    """
    _check_combinations(config, given)
    _check_paths(config, given)


def _check_combinations(config: RecorderConfig, given: Mapping[str, Given]) -> None:
    if "interface" in given and "read" in given:
        raise UsageError(f"{given['interface']} and {given['read']}: only one of them is accepted")
    if "filter-file" in given and "filter" in given:
        raise UsageError(
            f"{given['filter-file']} and filter {config.filter!r}: only one of them is accepted"
        )
    for name, item in given.items():
        option = BY_LONG.get(name)
        if option and option.needs_ring and not config.ring:
            raise UsageError(f"{item}: accepted only with -r/--ring")
        if option and option.live_only and config.read is not None:
            raise UsageError(f"{item}: accepted only for an interface, not with {given['read']}")
        if option and option.savefiles_only and not config.savefiles:
            raise UsageError(f"{item}: accepted with {given['tap']} only if there is --tee")
    _check_tap(config, given)
    if config.wait_interface and config.interface is None:
        raise UsageError(f"{given['wait-interface']}: accepted only with -i/--interface")
    if config.max_bytes and config.roll_size_given and config.max_bytes < config.roll_size:
        raise UsageError(
            f"{given['max-bytes']}: less than {given['roll-size']}; accepted: at least one"
            " savefile's size"
        )


def _check_tap(config: RecorderConfig, given: Mapping[str, Given]) -> None:
    for name in ("tee", "pace"):
        if name in given and not config.tap:
            raise UsageError(f"{given[name]}: accepted only with -o/--tap")
    if "pace" in given and config.read is None:
        raise UsageError(f"{given['pace']}: accepted only with -R/--read")
    if not config.tap:
        return
    if config.interface in (*config.tap, "any"):
        raise UsageError(
            f"{given['tap']} and {given['interface']}: the tap would feed on itself; accepted:"
            " two interfaces"
        )
    if len(set(config.tap)) < len(config.tap):
        raise UsageError(f"{given['tap']}: each interface is accepted once")


def _check_paths(config: RecorderConfig, given: Mapping[str, Given]) -> None:
    if config.read not in (None, "-"):
        _require_readable(given["read"], str(config.read))
    if config.pid_path is not None:
        option = "pid-dir" if "pid-dir" in given else "daemon" if config.daemon else "pidfile"
        directory = os.path.dirname(config.pid_path)
        _require_directory(given[option], directory, "a directory for the PID file that exists")
    if config.chroot is not None:
        _require_directory(given["chroot"], config.chroot, "a directory that exists")
    if not config.savefiles:
        return
    log_dir = given.get("log-dir", Given(BY_LONG["log-dir"].label, config.log_dir, config.log_dir))
    log_path = config.outside(config.log_dir)
    _require_writable_directory(log_dir, log_path)
    if config.archive is not None:
        archive_path = config.outside(config.archive)
        _require_writable_directory(given["archive"], archive_path)
        # The same directory may be spelled in many ways; device and inode are one.
        if os.path.samefile(archive_path, log_path):
            raise UsageError(
                f"{given['archive']}: is the log directory; accepted: another directory"
            )


def _require_readable(item: Given, path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UsageError(f"{item}: {error.strerror}; accepted: a savefile, or -") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{item}: is a directory; accepted: a savefile, or -")
    if not os.access(path, os.R_OK, effective_ids=True):
        raise UsageError(f"{item}: not readable; accepted: a savefile, or -")


def _require_writable_directory(item: Given, path: str) -> None:
    accepted = "a directory that exists and is writable"
    _require_directory(item, path, accepted)
    # Reading as well: the ring lists the directory.
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise UsageError(f"{item}: not writable; accepted: {accepted}")


def _require_directory(item: Given, path: str, accepted: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise UsageError(f"{item}: {error.strerror}; accepted: {accepted}") from error
    if not stat.S_ISDIR(mode):
        raise UsageError(f"{item}: not a directory; accepted: {accepted}")
