"""``dlctl index``: a sidecar for each savefile that has none that fits, once or as a ring grows.

Works beside a recorder and never for it: with the lowest priority, on sealed savefiles, in a
directory of its own. What is killed at any moment leaves sidecars that are whole, and one unnamed
file that the next run removes. Making one sidecar is `build`'s.
"""

import fcntl
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from typing import NamedTuple

from daemonlogger_py.config.archive import IndexConfig
from daemonlogger_py.errors import SourceError, StorageError, UsageError
from daemonlogger_py.readers.archive import Archive, Directory
from daemonlogger_py.readers.index.build import (
    TEMPORARY,
    BeingWrittenError,
    fits,
    share_as,
    write_sidecar,
)
from daemonlogger_py.readers.index.builder import UnindexableError
from daemonlogger_py.readers.index.sidecar import SUFFIX, SidecarError, sidecar_name
from daemonlogger_py.readers.inputs.stopping import StopSignals
from daemonlogger_py.readers.output import tell, write_lines
from daemonlogger_py.readers.progress import Progress
from daemonlogger_py.savefile.names import Naming

VERB = "index"
LOWEST_PRIORITY = 19
# How soon a savefile that was sealed is noticed.
POLL_S = 1.0
# With --follow only new names are looked at; what changed an old savefile, such as a repair, is
# found when all of them are looked at again.
LOOK_AGAIN_S = 600.0
DIRECTORY_MODE = 0o750
_SETTLED_NS = 2_000_000_000
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Job(NamedTuple):
    """A savefile that has no sidecar that fits."""

    of: "Index"
    name: str
    size_bytes: int

    @property
    def shown(self) -> str:
        """What messages call it."""
        name = self.name if self.name.isprintable() else repr(self.name)
        return os.path.join(self.of.directory.shown, name)


class Index:
    """The sidecars of one directory's savefiles; only one process at a time has it open.

    Raises StorageError when they cannot be kept there.
    """

    def __init__(self, directory: Directory, path: str, beside: "Index | None" = None) -> None:
        self.directory = directory
        self.fd = -1
        self.shown = path if path.isprintable() else repr(path)
        self.known: set[str] = set()
        """Savefiles that need not be looked at again."""
        self._naming = None if directory.prefix is None else Naming(directory.prefix)
        self._names: set[str] = set()  # of savefiles, as they were listed last
        self._new: set[str] = set()  # those of them that were not known then
        self._changed_ns = -1  # when their directory had changed then
        if beside is not None:
            self.fd = os.dup(beside.fd)  # locked already
            return
        try:
            self.fd = _opened_or_made(path, directory)
        except OSError as error:
            raise StorageError(f"index {self.shown}: {error.strerror}") from None
        self._lock()
        self._remove_unfinished()

    def close(self) -> None:
        """Let others have it."""
        os.close(self.fd)

    def look(self) -> bool:
        """List the savefiles, if any may have come or gone since; raises OSError."""
        changed_ns = os.fstat(self.directory.dir_fd).st_mtime_ns
        if changed_ns == self._changed_ns:
            return False
        # What happens within a tick of the file system's clock leaves no new time.
        settled = changed_ns < time.time_ns() - _SETTLED_NS
        self._names = self._savefiles()
        self._changed_ns = changed_ns if settled else -1
        self.known &= self._names
        self._new = self._names - self.known
        return True

    def unknown(self) -> list["Job"]:
        """Savefiles that are not known yet, the one that is being written among them."""
        self._new -= self.known
        return [Job(self, name, self._size_bytes(name)) for name in sorted(self._new)]

    def remove_orphans(self) -> list[str]:
        """Remove sidecars of savefiles that are gone; returns those savefiles' names."""
        if self._naming is None:
            return []
        with os.scandir(self.fd) as entries:
            indexed = {
                entry.name.removesuffix(SUFFIX) for entry in entries if entry.name.endswith(SUFFIX)
            }
        gone = [
            name
            for name in sorted(indexed - self._names)
            if self._naming.parse(name) and not self._is_there(name)
        ]
        for name in gone:
            with suppress(FileNotFoundError):
                os.unlink(sidecar_name(name), dir_fd=self.fd)
        return gone

    def _size_bytes(self, name: str) -> int:
        try:
            return os.stat(name, dir_fd=self.directory.dir_fd, follow_symlinks=False).st_size
        except OSError:
            return 0  # gone: its turn will tell

    def _savefiles(self) -> set[str]:
        if self._naming is None:
            return set()
        parse = self._naming.parse
        with os.scandir(self.directory.dir_fd) as entries:
            return {
                entry.name
                for entry in entries
                if parse(entry.name) and entry.is_file(follow_symlinks=False)
            }

    def _is_there(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.directory.dir_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _lock(self) -> None:
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.fd)
            raise StorageError(f"index {self.shown}: another dlctl index keeps it") from None
        except OSError as error:
            os.close(self.fd)
            raise StorageError(f"index {self.shown}: {error.strerror}") from None

    def _remove_unfinished(self) -> None:
        try:
            with os.scandir(self.fd) as entries:
                left = [entry.name for entry in entries if TEMPORARY.fullmatch(entry.name)]
            for name in left:
                os.unlink(name, dir_fd=self.fd)
        except OSError as error:
            os.close(self.fd)
            raise StorageError(f"index {self.shown}: {error.strerror}") from None


class Account:
    """What was done, and how it is told."""

    def __init__(self, *, verbose: bool) -> None:
        self.indexed = self.passed_over = self.removed = self.failed = 0
        self.savefiles_bytes = self.sidecars_bytes = 0
        self._verbose = verbose

    def built(self, job: Job, sidecar_bytes: int) -> None:
        """Count a savefile that was indexed."""
        self.indexed += 1
        self.savefiles_bytes += job.size_bytes
        self.sidecars_bytes += sidecar_bytes
        share = _share(sidecar_bytes, job.size_bytes)
        self._say(f"{job.shown}: indexed, {sidecar_bytes} bytes, {share}")

    def passed(self, job: Job, reason: object) -> None:
        """Count a savefile that gets no sidecar."""
        self.passed_over += 1
        self._say(f"{job.shown}: passed over: {reason}")

    def gone(self, index: Index, names: Sequence[str]) -> None:
        """Count sidecars that were removed."""
        self.removed += len(names)
        for name in names:
            self._say(f"{os.path.join(index.shown, sidecar_name(name))}: removed")

    def refused(self, shown: str, error: Exception) -> None:
        """Count what failed; it is told in any case."""
        self.failed += 1
        reason = error.strerror if isinstance(error, OSError) else error
        tell(VERB, f"{shown}: {reason}")

    def line(self) -> str:
        """What all of it comes to."""
        parts = [f"{self.indexed} indexed"]
        if self.indexed:
            share = _share(self.sidecars_bytes, self.savefiles_bytes)
            parts[0] += f" ({self.sidecars_bytes} bytes, {share} of the savefiles)"
        for count, what in (
            (self.passed_over, "passed over"),
            (self.removed, "removed"),
            (self.failed, "failed"),
        ):
            if count:
                parts.append(f"{count} {what}")
        return ", ".join(parts)

    def _say(self, line: str) -> None:
        if self._verbose:
            write_lines([line])


def run(config: IndexConfig) -> int:
    """Do what `config` says; returns the exit status.

    0 where every savefile that can have one has a sidecar, 1 where one could not be made. Raises
    UsageError, SourceError, StorageError and OutputError.
    """
    account = Account(verbose=config.verbose)
    with ExitStack() as stack:
        archive = stack.enter_context(Archive(config.where))
        indexes = _opened(archive, config, stack)
        stopping = stack.enter_context(StopSignals())
        jobs = config.jobs or len(os.sched_getaffinity(0))
        pool = stack.enter_context(ThreadPoolExecutor(jobs, "index", lower_priority))
        work = Work(account, pool, jobs, lambda: stopping.requested)
        _whole(archive, indexes, config, work)
        looked_s = time.monotonic()
        while config.follow and not stopping.requested:
            if time.monotonic() - looked_s >= LOOK_AGAIN_S:
                _whole(archive, indexes, config._replace(rebuild=False, progress=False), work)
                looked_s = time.monotonic()
            for index in indexes.values():
                _follow(index, work)
            select.select([stopping.stop_fd], [], [], POLL_S)
        stopped = stopping.signal
    for line in archive.complaints:
        tell(VERB, line)
    if not config.follow:
        write_lines([account.line()])
        if stopped is not None:
            return 128 + stopped
    return 1 if account.failed else 0


def lower_priority() -> None:
    """Leave processor and disk to whoever else wants them: this thread, not its process."""
    import psutil

    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
    with suppress(OSError, psutil.Error):
        psutil.Process(threading.get_native_id()).ionice(psutil.IOPRIO_CLASS_IDLE)


class Work:
    """Savefiles that are indexed by several threads, a few at a time."""

    def __init__(
        self,
        account: Account,
        pool: ThreadPoolExecutor,
        jobs: int,
        stopped: Callable[[], bool],
    ) -> None:
        self.account = account
        self.stopped = stopped
        self._pool = pool
        self._most = 2 * jobs

    def do(self, jobs: Iterator[Job], done: Callable[[Job], None] | None = None) -> None:
        """Index the savefiles of `jobs` until stopped; `done` is told of each."""
        waiting: dict[Future[int], Job] = {}
        for job in jobs:
            if self.stopped():
                break
            if len(waiting) == self._most:
                self._settle(waiting, done)
            index = job.of
            future = self._pool.submit(write_sidecar, index.directory.dir_fd, job.name, index.fd)
            waiting[future] = job
        while waiting:
            self._settle(waiting, done)

    def _settle(self, waiting: dict[Future[int], Job], done: Callable[[Job], None] | None) -> None:
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            job = waiting.pop(future)
            self._take(job, future)
            if done is not None:
                done(job)

    def _take(self, job: Job, future: "Future[int]") -> None:
        known = job.of.known
        try:
            self.account.built(job, future.result())
        except BeingWrittenError:
            return
        except FileNotFoundError:
            return  # pruned
        except UnindexableError as error:
            self.account.passed(job, error)
        except (OSError, SidecarError) as error:
            self.account.refused(job.shown, error)
        known.add(job.name)


def _opened(archive: Archive, config: IndexConfig, stack: ExitStack) -> dict[Directory, Index]:
    """The index of each directory, in one place if `config` says which."""
    places = {directory.path for directory in archive.directories}
    if config.index_dir is not None and len(places) > 1:
        raise UsageError("--index-dir: names of savefiles of several directories may be the same")
    indexes: dict[Directory, Index] = {}
    opened: dict[str, Index] = {}
    for directory in archive.directories:
        path = config.index_dir or directory.index_dir
        if path is None:
            raise UsageError(
                f"{directory.shown or os.curdir}: --index-dir is missing: savefiles that are not"
                " named PREFIX.EPOCH have no place for an index of their own"
            )
        indexes[directory] = Index(directory, path, opened.get(path))
        opened.setdefault(path, indexes[directory])
        stack.callback(indexes[directory].close)
    return indexes


def _whole(
    archive: Archive, indexes: dict[Directory, Index], config: IndexConfig, work: Work
) -> None:
    """Look at all savefiles, and remove what is left of those that are gone."""
    jobs = list(_needed(archive, indexes, config, work))
    done_bytes = 0

    def done(job: Job) -> None:
        nonlocal done_bytes
        done_bytes += job.size_bytes
        progress.update(done_bytes)

    total_bytes = sum(job.size_bytes for job in jobs)
    with Progress(total_bytes, wanted=config.progress and bool(jobs)) as progress:
        work.do(iter(jobs), done)
    for index in indexes.values():
        if not work.stopped():
            _sweep(index, work.account)


def _needed(
    archive: Archive, indexes: dict[Directory, Index], config: IndexConfig, work: Work
) -> Iterator[Job]:
    for member in archive.members():
        if work.stopped():
            return
        index = indexes[member.directory]
        if not config.rebuild and fits(
            index.fd,
            member.name,
            member.size_bytes,
            member.modified_ns,
            glance=config.follow,  # which does it again and again
        ):
            index.known.add(member.name)
        else:
            yield Job(index, member.name, member.size_bytes)


def _follow(index: Index, work: Work) -> None:
    """Index what is new, and forget what is gone."""
    try:
        changed = index.look()
    except OSError as error:
        raise SourceError(f"{index.directory.shown}: {error.strerror}") from None
    work.do(iter(index.unknown()))
    if changed:
        _sweep(index, work.account)


def _sweep(index: Index, account: Account) -> None:
    try:
        index.look()
        account.gone(index, index.remove_orphans())
    except OSError as error:
        account.refused(index.shown, error)


def _opened_or_made(path: str, directory: Directory) -> int:
    """Open the directory of an index; one that is new is its savefiles' owner's."""
    try:
        os.mkdir(path, DIRECTORY_MODE)
    except FileExistsError:
        return os.open(path, _DIRECTORY)
    fd = os.open(path, _DIRECTORY | os.O_NOFOLLOW)
    share_as(fd, os.fstat(directory.dir_fd), DIRECTORY_MODE)
    return fd


def _share(part_bytes: int, whole_bytes: int) -> str:
    return f"{100 * part_bytes / max(whole_bytes, 1):.2f} %"
