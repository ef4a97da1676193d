"""The savefiles of a ring: which prefix, which of them a span of time needs, and what comes next.

The ring may be written, and pruned, all the while: what is listed here may be gone when it is
opened. Following the newest savefile is `follow`'s.
"""

import os
import stat
import time
from bisect import bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from daemonlogger_py.errors import UsageError
from daemonlogger_py.readers.inputs.directory import NUMBERED, changed_ns_of, is_capture
from daemonlogger_py.savefile.beginning import BEGINNING_BYTES, FILE_HEADER_BYTES, first_time_ns
from daemonlogger_py.savefile.holes import is_file
from daemonlogger_py.savefile.names import CATALOG, Naming, SavefileName, printable

_NS = 1_000_000_000
# How far packets of neighbouring savefiles may overlap in time: they are stamped on several
# processors, and a clock is corrected now and then.
SLACK_NS = 5 * _NS
# A server's clock may differ from ours: look again after this time whatever the stamp says.
LOOK_AGAIN_S = 5.0
_DIGITS = "0123456789"


class Ring:
    """The savefiles PREFIX.EPOCH[.SERIAL] in `directory`, which stays open until `close`.

    Without a `prefix` it is the one that the savefiles there have. Raises UsageError when there is
    no such directory, and when there are no or several prefixes to choose from.
    """

    def __init__(self, directory: str, prefix: str | None = None) -> None:
        self.shown = printable(directory)
        try:
            self.dir_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"--ring {self.shown}: {error.strerror}") from None
        try:
            if prefix is None:
                prefix = only_prefix(self.dir_fd, names_in(self.dir_fd, self.shown), self.shown)
            self._naming = Naming(prefix)
        except ValueError as error:
            self.close()
            raise UsageError(f"--prefix: {error}") from None
        except UsageError:
            self.close()
            raise
        self._listed: list[SavefileName] = []
        self._changed_ns: int | None = None
        self._looked_s = 0.0

    @property
    def prefix(self) -> str:
        """What the names of its savefiles begin with."""
        return self._naming.prefix

    def path(self, savefile: SavefileName) -> str:
        """What messages call it."""
        return os.path.join(self.shown, savefile.name)

    def savefiles(self) -> list[SavefileName]:
        """The regular files with such a name, oldest first. Raises OSError."""
        changed_ns = changed_ns_of(self.dir_fd)
        now_s = time.monotonic()
        same = changed_ns is not None and changed_ns == self._changed_ns
        if not same or now_s >= self._looked_s + LOOK_AGAIN_S:
            self._listed = self._naming.listed(self.dir_fd)
            self._changed_ns, self._looked_s = changed_ns, now_s
        return self._listed

    def after(self, savefile: SavefileName | None) -> list[SavefileName]:
        """Those newer than `savefile`, oldest first."""
        listed = self.savefiles()
        if savefile is None:
            return list(listed)
        return listed[bisect_right(listed, savefile[:2], key=itemgetter(0, 1)) :]

    def is_complete(self, savefile: SavefileName) -> bool:
        """Whether nothing will be added to it any more.

        A recorder opens the next savefile early, but gives it its header after all that belongs
        into this one.
        """
        return any(self._size_bytes(other) >= FILE_HEADER_BYTES for other in self.after(savefile))

    def needed(self, from_ns: int | None, to_ns: int | None) -> list[SavefileName]:
        """Those that may hold packets of [from_ns, to_ns), oldest first. Raises OSError."""
        savefiles = list(self.savefiles())
        if from_ns is None and to_ns is None:
            return savefiles
        chosen: list[SavefileName] = []
        following: Begin | None = None  # of the next savefile that has packets
        for savefile in reversed(savefiles):
            begin = Begin.of(savefile.epoch, first_packet_ns(self.dir_fd, savefile.name))
            if may_hold(begin, following, from_ns, to_ns):
                chosen.append(savefile)
            if begin.has_packets:
                following = begin
        chosen.reverse()
        return chosen

    def close(self) -> None:
        """Close the directory; may be called twice."""
        if self.dir_fd >= 0:
            os.close(self.dir_fd)
            self.dir_fd = -1

    def _size_bytes(self, savefile: SavefileName) -> int:
        try:
            return os.stat(savefile.name, dir_fd=self.dir_fd, follow_symlinks=False).st_size
        except OSError:
            return 0


class Begin(NamedTuple):
    """Between which times a savefile begins, by its name and its first packet."""

    earliest_ns: int
    latest_ns: int
    packet_ns: int  # time of the packet; without one of the name
    has_packets: bool

    @classmethod
    def of(cls, epoch: int | None, packet_ns: int | None) -> "Begin":
        """By the `epoch` in its name, in seconds, and the time of its first packet."""
        if packet_ns is None:
            named_ns = (epoch or 0) * _NS
            return cls(named_ns, named_ns, named_ns, has_packets=False)
        named_ns = packet_ns if epoch is None else epoch * _NS
        earliest_ns, latest_ns = min(named_ns, packet_ns), max(named_ns, packet_ns)
        return cls(earliest_ns, latest_ns, packet_ns, has_packets=True)


def may_hold(begin: Begin, following: Begin | None, from_ns: int | None, to_ns: int | None) -> bool:
    """Whether a savefile may hold packets of [from_ns, to_ns).

    `following` is the next one that has packets. Those of this one are not newer than its first
    one; a name says less, and where times run backwards nothing is left out. That a clock was set
    forth and back between two first packets cannot be seen.
    """
    if following is not None and following.earliest_ns + SLACK_NS < begin.earliest_ns:
        return True
    early = (
        following is not None and from_ns is not None and following.latest_ns + SLACK_NS < from_ns
    )
    return not (early or (to_ns is not None and begin.earliest_ns - SLACK_NS >= to_ns))


def first_packet_ns(dir_fd: int, name: str) -> int | None:
    """Time of a savefile's first packet; None without one, and where it is not known."""
    return first_time_ns(_head(dir_fd, name, BEGINNING_BYTES))


def names_in(dir_fd: int, shown: str) -> list[str]:
    """What is in a ring's directory. Raises UsageError if that cannot be read."""
    try:
        return os.listdir(dir_fd)
    except OSError as error:
        raise UsageError(f"--ring {shown}: {error.strerror}") from None


def only_prefix(dir_fd: int, names: Sequence[str], shown: str) -> str:
    """The prefix that the savefiles among the names in a directory have, also compressed ones.

    Those tell nothing without a catalog, which suffices where no savefiles are left at all. Raises
    UsageError unless there is one prefix.
    """
    # Which prefix a name has is decided by what is before its last digits: of those that have that
    # in common, one is looked at.
    alike: dict[str, list[str]] = {}
    for name in names:
        alike.setdefault(name.rstrip(_DIGITS), []).append(name)
    members: dict[str, list[str]] = {}
    for group in alike.values():
        if match := NUMBERED.fullmatch(group[0]):
            members.setdefault(match[1], []).extend(group)
    found = {prefix for prefix in members if _has_captures(dir_fd, members[prefix])}
    with_catalog = {
        name.removesuffix(CATALOG)
        for name in names
        if name.endswith(CATALOG) and name != CATALOG and is_file(dir_fd, name)
    }
    found |= {one for one in with_catalog if any(map(Naming(one).parse_compressed, names))}
    prefixes = sorted(found or with_catalog)
    if not prefixes:
        raise UsageError(f"--ring {shown}: no savefiles PREFIX.EPOCH are there")
    if len(prefixes) > 1:
        known = ", ".join(map(printable, prefixes))
        raise UsageError(f"--ring {shown}: --prefix is missing; accepted: {known}")
    return prefixes[0]


def _has_captures(dir_fd: int, names: list[str]) -> bool:
    return any(is_capture(_head(dir_fd, name, FILE_HEADER_BYTES)) for name in names)


def _head(dir_fd: int, name: str, size: int) -> bytes:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_mode):
            return b""
        fd = os.open(name, flags, dir_fd=dir_fd)
    except OSError:
        return b""  # pruned meanwhile, or not for us: its turn will tell
    try:
        return os.pread(fd, size, 0)
    except OSError:
        return b""
    finally:
        os.close(fd)
