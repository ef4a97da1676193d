"""What the sidecars of an index leave to be read of their savefiles.

A sidecar that is missing, old or damaged leaves everything: then there is no answer, and why is
counted. What a sidecar holds is `readers.index.sidecar`'s, what follows from it for a filter is
`judge`'s.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from daemonlogger_py.config.archive import INDEX_SMALLEST_BYTES
from daemonlogger_py.errors import UsageError
from daemonlogger_py.savefile.records import parse_file_header

if TYPE_CHECKING:
    from daemonlogger_py.readers.archive import Directory, Member
    from daemonlogger_py.readers.extract.format import Format
    from daemonlogger_py.readers.extract.judge import Judge
    from daemonlogger_py.readers.extract.ranges import Ranges
    from daemonlogger_py.readers.extract.stats import Stats

# One native call for so many: short beside what is gained, long beside what a call costs.
_BATCH = 64
# A glance costs half as much as judging all classes: it has to spare that for one of so many.
_WORTH_A_GLANCE = 4
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Look(NamedTuple):
    """What is looked for: packets that the filter accepts, with times in [from_ns, to_ns)."""

    filter_text: str
    from_ns: int
    to_ns: int


class Sidecars:
    """The sidecars beside their savefiles, or all in `index_dir`. May be asked by any thread.

    Raises UsageError for an `index_dir` that cannot be opened.
    """

    def __init__(self, index_dir: str | None = None) -> None:
        self._fds: dict[str, int] = {}
        self._index_dir = index_dir
        if index_dir is not None:
            try:
                self._fds[index_dir] = os.open(index_dir, _DIRECTORY)
            except OSError as error:
                raise UsageError(f"--index-dir {index_dir!r}: {error.strerror}") from None

    def prepare(self, directories: "list[Directory]") -> bool:
        """Open where the sidecars of these are; tell whether there is any such place."""
        for directory in directories:
            path = self._index_dir or directory.index_dir
            if path is not None and path not in self._fds:
                try:
                    self._fds[path] = os.open(path, _DIRECTORY)
                except OSError:
                    self._fds[path] = -1  # nobody made an index, or not for us: that is a scan
        return any(fd >= 0 for fd in self._fds.values())

    def has(self, directory: "Directory") -> bool:
        """Whether there are sidecars, of whatever, for savefiles of `directory`."""
        return self._dir_fd(directory) >= 0

    def worth_opening(
        self, members: "Sequence[Member]", look: Look, stats: "Stats", jobs: int
    ) -> "list[Member]":
        """Those of `members` whose sidecars do not say at a glance that nothing is in them.

        What the others had is counted in `stats`. Where glances find nothing, they are given up.
        """
        batches = list(_batches(members))
        kept: list[list[Member]] = [[] for _ in batches]
        rest = iter(enumerate(batches))
        lock = threading.Lock()

        def work() -> None:
            from daemonlogger_py.readers.extract.glance import Glance

            glance = Glance(look.filter_text, look.from_ns, max(0, look.to_ns - 1))
            skipped_bytes = 0
            useful = True
            while (one := _next(rest, lock)) is not None:
                number, batch = one
                dir_fd = self._dir_fd(batch[0].directory)
                over = [False] * len(batch)
                if dir_fd >= 0 and useful:
                    asked = [(one.name, one.size_bytes, one.modified_ns) for one in batch]
                    over = glance.passes_over(dir_fd, asked)
                    # Small ones have no sidecar, which says nothing about those of others.
                    likely = sum(one.size_bytes >= INDEX_SMALLEST_BYTES for one in batch)
                    useful = sum(over) * _WORTH_A_GLANCE >= likely
                for member, nothing in zip(batch, over, strict=True):
                    if nothing:
                        skipped_bytes += member.size_bytes
                    else:
                        kept[number].append(member)
            with lock:
                stats.glanced(glance, skipped_bytes)

        in_threads(work, min(jobs, len(batches)))
        return [member for batch in kept for member in batch]

    def close(self) -> None:
        """Close the directories; may be called twice."""
        for fd in self._fds.values():
            if fd >= 0:
                os.close(fd)
        self._fds.clear()

    def select(
        self,
        member: "Member",
        fd: int,
        format_: "Format",
        judges: "dict[bytes, Judge]",
        stats: "Stats",
        *,
        from_ns: int,
        to_ns: int,
    ) -> "Ranges | None":
        """The ranges of the savefile open as `fd` that may hold packets which match.

        Those with times in [from_ns, to_ns), and all that the sidecar does not cover. None: there
        is no sidecar that can be believed, and `stats` knows why. `judges` are the thread's own.
        """
        from daemonlogger_py.readers.extract.judge import Judge
        from daemonlogger_py.readers.index.sidecar import (
            NoSidecarError,
            Sidecar,
            SidecarError,
            sidecar_name,
        )

        dir_fd = self._dir_fd(member.directory)
        if dir_fd < 0:
            stats.missing_sidecars += 1
            return None
        try:
            sidecar = Sidecar.open(dir_fd, sidecar_name(member.name))
        except NoSidecarError:
            stats.missing_sidecars += 1
            return None
        except SidecarError:
            stats.damaged_sidecars += 1
            return None
        status = os.fstat(fd)
        if (
            sidecar.savefile != member.name
            or sidecar.linktype != _linktype_in(format_.header)
            or not sidecar.belongs_to(status.st_size, status.st_mtime_ns, fd)
        ):
            stats.old_sidecars += 1
            return None
        judge = judges.get(format_.header)
        if judge is None:
            judge = judges[format_.header] = Judge(format_.filter.code)
        selection = judge.select(sidecar, from_ns, max(0, to_ns - 1))
        if selection.damaged:
            stats.damaged_sidecars += 1
            return None
        stats.judged(selection)
        ranges = selection.ranges
        ranges.add_rest(sidecar.end_offset, status.st_size)
        return ranges

    def _dir_fd(self, directory: "Directory") -> int:
        path = self._index_dir or directory.index_dir
        return -1 if path is None else self._fds.get(path, -1)


def _linktype_in(header: bytes) -> int | None:
    """As it stands there: libpcap takes some for others, and a sidecar has what the header says."""
    found = parse_file_header(header)
    return None if found is None else found.linktype


def in_threads(work: Callable[[], None], count: int) -> None:
    """Do `work` in so many threads at once, this one among them. Raises what one of them raises."""
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # for the calling thread to raise
            errors.append(error)

    threads = [threading.Thread(target=guarded, daemon=True) for _ in range(count - 1)]
    for thread in threads:
        thread.start()
    guarded()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _batches(members: "Sequence[Member]") -> "Iterator[list[Member]]":
    """Members in their order, some at a time, each time of one directory."""
    for _, group in groupby(members, key=lambda member: id(member.directory)):
        of_one = list(group)
        for at in range(0, len(of_one), _BATCH):
            yield of_one[at : at + _BATCH]


def _next(
    rest: "Iterator[tuple[int, list[Member]]]", lock: threading.Lock
) -> "tuple[int, list[Member]] | None":
    with lock:
        return next(rest, None)
