"""Which files the recorder may still touch once it records: a sandbox by Landlock.

Savefiles can be made, written, cut, renamed and removed in the log and archive directories; what
Python, the C library and libpcap may still want to read can be read; nothing else can be opened,
no program executed, no TCP connection made and none listened for, no other process signalled.
Descriptors that are open already, and unix sockets that have a path, work as before. The kernel
adds this to the ordinary permissions: it can only take away.

Who the process is, and that it has no capabilities left, is ``privileges``', which comes first.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import daemonlogger_py
from daemonlogger_py.errors import PrivilegeError
from daemonlogger_py.service import linux
from daemonlogger_py.service.privileges import require_one_thread

NEWEST_ABI = 7
"""What a newer kernel could restrict beyond this is left as it is: nobody has tried that."""

# linux/landlock.h, with the ABI that brought it.
_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_REMOVE_FILE = 1 << 5
_MAKE_REG = 1 << 8
_MAKE_SOCK = 1 << 9
_ALL_FILES = (1 << 13) - 1  # also: other kinds of files, directories and links made or removed
_REFER = 1 << 13  # 2: rename or link into another directory; refused without it from the first on
_TRUNCATE = 1 << 14  # 3
_IOCTL_DEV = 1 << 15  # 5
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1  # 4
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1 << 0, 1 << 1  # 6

# All that a rule for anything but a directory may grant.
_ONE_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_READ = _READ_FILE | _READ_DIR
_SAVEFILES = _READ | _WRITE_FILE | _MAKE_REG | _REMOVE_FILE | _REFER | _TRUNCATE

# What is not refused before the ABI of that number, in a message's words.
_SINCE = {3: "truncation", 4: "TCP connections", 5: "device control", 6: "signals"}

_UNAVAILABLE = {
    errno.ENOSYS: "this kernel was built without Landlock",
    errno.EOPNOTSUPP: "Landlock is switched off in this kernel (boot option lsm=)",
    errno.EPERM: "Landlock is refused here, as by a container's seccomp filter",
}

_SYSTEM = (
    # Modules' shared libraries, such as OpenSSL for hashlib.
    "/etc/ld.so.cache", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib",
    # Names in a filter that HUP has compiled again: `port domain`, `host gateway`.
    "/etc/services", "/etc/protocols", "/etc/networks", "/etc/ethers", "/etc/hosts",
    "/etc/host.conf", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/gai.conf",
    # Local time.
    "/etc/localtime", "/usr/share/zoneinfo",
    # libpcap reads an interface's drop counters there whenever it is asked for its own; denied, it
    # takes them for 0. /sys/class/net holds links to /sys/devices.
    "/sys/class/net", "/sys/devices",
    # Before libpcap 1.10 in /proc/net/dev. A rule for less than all of /proc does not last: the
    # kernel makes its directories anew, without the rule, once it was short of memory.
    "/proc",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the recorder needs beyond what every Python program may read.

    An open descriptor, or a path where that leads somewhere inside the chroot too. A path that
    does not exist, or may not be looked up, is passed over.
    """

    savefiles: tuple[int, ...]
    """The log and the archive directory: regular files made, written, renamed, removed, listed."""
    sockets: tuple[int, ...] = ()
    """Directories that a unix socket is made in: the log directory, for `dlctl status`."""
    read: tuple[int | str, ...] = ()
    """Files, and directories with all in them, that are opened for reading later on."""
    remove: tuple[int | str, ...] = ()
    """Directories that a file is removed from at the end: the PID file's."""
    abstract_sockets: bool = False
    """Whether abstract unix sockets that are not connected yet stay within reach."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What the kernel enforces from now on; ABI 0: nothing. As text, a line for a person."""

    abi: int
    lacking: str
    """What is not restricted, or why nothing is; empty if everything is as it should be."""

    def __str__(self) -> str:
        """As a message says it."""
        if not self.abi:
            return f"no sandbox: {self.lacking}"
        what = f"sandbox by Landlock (ABI {self.abi})"
        return f"{what}, too old to restrict {self.lacking}" if self.lacking else what


def replaceable(path: str) -> tuple[str, ...]:
    """Tell what to put into `Rules.read` for a file that others may replace while this runs.

    A rule is for a file and not for its name: a new file of that name is readable only with the
    directory. So that, and the directory of what a link leads to; but never the whole file system.
    """
    directories = (os.path.dirname(os.path.abspath(path)), os.path.dirname(os.path.realpath(path)))
    return (path, *(directory for directory in dict.fromkeys(directories) if directory != "/"))


def restrict(rules: Rules, *, newest_abi: int = NEWEST_ABI) -> Applied:
    """Put this process, and those it forks, into the sandbox for good; as far as the kernel can.

    Where it has no Landlock nothing happens but that `Applied` says why. Sets no-new-privileges.
    Raises PrivilegeError when there is more than one thread, and when rules cannot be enforced
    where there is Landlock. A `newest_abi` makes a newer kernel do what an older one would.
    """
    require_one_thread()
    try:
        abi = min(linux.landlock_abi(), newest_abi)
    except OSError as error:
        if error.errno not in _UNAVAILABLE:
            raise _failed(error) from error
        return Applied(0, _UNAVAILABLE[error.errno])
    try:
        _enforce(rules, abi)
        _prove(rules)
    except OSError as error:
        raise _failed(error) from error
    return Applied(abi, ", ".join(what for since, what in _SINCE.items() if abi < since))


def _failed(error: OSError) -> PrivilegeError:
    return PrivilegeError(f"the sandbox cannot be put into force: {error.strerror}")


def _enforce(rules: Rules, abi: int) -> None:
    files = _handled_files(abi)
    network = _BIND_TCP | _CONNECT_TCP if abi >= 4 else 0
    scoped = _SCOPE_SIGNAL if abi >= 6 else 0
    if abi >= 6 and not rules.abstract_sockets:
        scoped |= _SCOPE_ABSTRACT_UNIX_SOCKET
    ruleset_fd = linux.landlock_ruleset(files, network, scoped)
    try:
        for where, access in _granted(rules):
            _grant(ruleset_fd, where, access & files)
        linux.no_new_privileges()
        linux.landlock_restrict(ruleset_fd)
    finally:
        os.close(ruleset_fd)


def _handled_files(abi: int) -> int:
    handled = _ALL_FILES
    for since, access in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        if abi >= since:
            handled |= access
    return handled


def _granted(rules: Rules) -> Iterator[tuple[int | str, int]]:
    yield from ((dir_fd, _SAVEFILES) for dir_fd in rules.savefiles)
    yield from ((dir_fd, _MAKE_SOCK) for dir_fd in rules.sockets)
    yield from ((where, _REMOVE_FILE) for where in rules.remove)
    yield from ((where, _READ) for where in (*rules.read, *_SYSTEM, *_python()))
    yield os.devnull, _READ | _WRITE_FILE


def _python() -> Iterator[str]:
    """Where Python finds modules, and with them what they load.

    Those that are imported late are no different from those of the start.
    """
    yield from daemonlogger_py.__path__  # an editable installation's is in none of sys.path
    for path in sys.path:
        # The empty one is the working directory, wherever that is.
        if os.path.isabs(path) and os.path.normpath(path) != "/":
            yield path
    yield os.path.join(sys.base_prefix, "lib")  # libpython and the libraries it came with


def _grant(ruleset_fd: int, where: int | str, access: int) -> None:
    if isinstance(where, int):
        _grant_open(ruleset_fd, where, access)
        return
    try:
        fd = os.open(where, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # whoever may not look it up may not read it either
    try:
        _grant_open(ruleset_fd, fd, access)
    finally:
        os.close(fd)


def _grant_open(ruleset_fd: int, fd: int, access: int) -> None:
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        access &= _ONE_FILE
    if access:
        linux.landlock_allow(ruleset_fd, fd, access)


def _prove(rules: Rules) -> None:
    """Try what no rule permits anywhere: to make a directory among the savefiles."""
    for dir_fd in rules.savefiles:
        name = f".daemonlogger.{os.urandom(8).hex()}"
        try:
            os.mkdir(name, 0o700, dir_fd=dir_fd)
        except OSError:
            continue
        with suppress(OSError):
            os.rmdir(name, dir_fd=dir_fd)
        raise PrivilegeError("the sandbox is not in force: a directory could still be made")
