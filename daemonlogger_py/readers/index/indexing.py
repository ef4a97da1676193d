"""``dlctl index``: a sidecar for each savefile that has none that fits, once or as a ring grows.

Works beside a recorder and never for it: with the lowest priority, on sealed savefiles, in a
directory of its own (`directory`). What is killed at any moment leaves sidecars that are whole, and
one unnamed file that the next run removes. Savefiles are gone through one by one, so that a ring
may have any number of them. Making one sidecar is `build`'s, telling what was done `account`'s.
"""

import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress

from daemonlogger_py.config.archive import IndexConfig
from daemonlogger_py.errors import SourceError, UsageError
from daemonlogger_py.readers.archive import Archive, Directory, Member
from daemonlogger_py.readers.index.account import VERB, Account
from daemonlogger_py.readers.index.build import (
    BeingWrittenError,
    TooSmallError,
    fits,
    write_sidecar,
)
from daemonlogger_py.readers.index.builder import UnindexableError
from daemonlogger_py.readers.index.directory import Index, Job, size_bytes_of
from daemonlogger_py.readers.index.sidecar import SidecarError
from daemonlogger_py.readers.inputs.stopping import StopSignals
from daemonlogger_py.readers.output import tell, write_lines
from daemonlogger_py.readers.progress import Progress
from daemonlogger_py.savefile.catalog_rows import OPEN

LOWEST_PRIORITY = 19
# How soon a savefile that was sealed is noticed.
POLL_S = 1.0
# With --follow only new names are looked at; what changed an old savefile, such as a repair, is
# found when all of them are looked at again.
LOOK_AGAIN_S = 600.0


def run(config: IndexConfig) -> int:
    """Do what `config` says; returns the exit status.

    0 where every savefile that is to have a sidecar, and can, has one; 1 where one could not be
    made. Raises UsageError, SourceError, StorageError and OutputError.
    """
    account = Account(verbose=config.verbose)
    with ExitStack() as stack:
        archive = stack.enter_context(Archive(config.where, required=not config.follow))
        indexes = _opened(archive, config, stack)
        stopping = stack.enter_context(StopSignals())
        jobs = config.jobs or len(os.sched_getaffinity(0))
        pool = stack.enter_context(ThreadPoolExecutor(jobs, "index", lower_priority))
        work = Work(
            account,
            pool,
            jobs,
            lambda: stopping.requested,
            smallest_bytes=config.smallest_bytes,
        )
        _whole(archive, indexes, config, work)
        told = _tell_complaints(archive, 0)
        looked_s = time.monotonic()
        while config.follow and not stopping.requested:
            if time.monotonic() - looked_s >= LOOK_AGAIN_S:
                _whole(archive, indexes, config._replace(rebuild=False, progress=False), work)
                told = _tell_complaints(archive, told)
                looked_s = time.monotonic()
            for index in indexes.values():
                _follow(index, work)
            select.select([stopping.stop_fd], [], [], POLL_S)
        stopped = stopping.signal
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
        *,
        smallest_bytes: int,
    ) -> None:
        self.account = account
        self.stopped = stopped
        self._pool = pool
        self._most = 2 * jobs
        self._smallest_bytes = smallest_bytes

    def do(self, jobs: Iterable[Job], done: Callable[[int], None] | None = None) -> None:
        """Index the savefiles of `jobs` until stopped; `done` is told of each one's bytes."""
        waiting: dict[Future[int], Job] = {}
        for job in jobs:
            if self.stopped():
                break
            if len(waiting) == self._most:
                self._settle(waiting, done)
            future = self._pool.submit(
                write_sidecar,
                job.of.directory.dir_fd,
                job.name,
                job.of.fd,
                smallest_bytes=self._smallest_bytes,
            )
            waiting[future] = job
        while waiting:
            self._settle(waiting, done)

    def is_small(self, member: Member) -> bool:
        """Whether a savefile is to have no sidecar, and is as large as it will ever be."""
        if member.size_bytes >= self._smallest_bytes or member.state == OPEN:
            return False
        # It may have been written between the look at its size and that at its state.
        return size_bytes_of(member.directory.dir_fd, member.name) < self._smallest_bytes

    def leave(self, job: Job) -> None:
        """A savefile is too small for a sidecar: remove one of before."""
        if not job.of.is_known(job.name):
            self.account.small(job, self._smallest_bytes)
        try:
            if job.of.remove(job.name):
                self.account.gone(job.of, job.name)
        except OSError as error:
            self.account.refused(job.of.shown, error)
        if size_bytes_of(job.of.directory.dir_fd, job.name):  # else it may just have been made
            job.of.settle(job.name)

    def _settle(self, waiting: dict[Future[int], Job], done: Callable[[int], None] | None) -> None:
        finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            job = waiting.pop(future)
            self._take(job, future)
            if done is not None:
                done(job.size_bytes)

    def _take(self, job: Job, future: "Future[int]") -> None:
        try:
            self.account.built(job, future.result())
        except BeingWrittenError:
            return
        except FileNotFoundError:
            return  # pruned
        except TooSmallError:
            self.leave(job)
        except UnindexableError as error:
            self.account.passed(job, error)
        except (OSError, SidecarError) as error:
            self.account.refused(job.shown, error)
        job.of.settle(job.name)


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
        index = Index(directory, path, opened.get(path), follows=config.follow)
        indexes[directory] = index
        opened.setdefault(path, index)
        stack.callback(index.close)
    return indexes


def _whole(
    archive: Archive, indexes: dict[Directory, Index], config: IndexConfig, work: Work
) -> None:
    """Look at all savefiles, and remove what is left of those that are gone."""
    done_bytes = 0

    def done(size_bytes: int) -> None:
        nonlocal done_bytes
        done_bytes += size_bytes
        progress.update(done_bytes)

    wanted = config.progress and sys.stderr.isatty()
    total_bytes = sum(member.size_bytes for member in _members(archive)) if wanted else None
    with Progress(total_bytes, wanted=wanted) as progress:
        work.do(_needed(archive, indexes, config, work, done), done)
    for index in indexes.values():
        if not work.stopped():
            _sweep(index, work.account, look=config.follow)


def _tell_complaints(archive: Archive, told: int) -> int:
    """Tell those behind the first `told`; returns how many are told now."""
    for complaint in archive.complaints[told:]:
        tell(VERB, complaint.text)
    return len(archive.complaints)


def _members(archive: Archive) -> Iterator[Member]:
    return (one for directory in archive.directories for one in archive.members_of(directory))


def _needed(
    archive: Archive,
    indexes: dict[Directory, Index],
    config: IndexConfig,
    work: Work,
    done: Callable[[int], None],
) -> Iterator[Job]:
    """Savefiles that have no sidecar that fits; `done` is told of the bytes of all others."""
    for member in _members(archive):
        if work.stopped():
            return
        index = indexes.get(member.directory)
        if index is None:
            continue  # compressed meanwhile, where nothing was before
        job = Job(index, member.name, member.size_bytes)
        if work.is_small(member):
            work.leave(job)
        elif not config.rebuild and fits(
            index.fd,
            member.name,
            member.size_bytes,
            member.modified_ns,
            glance=config.follow,  # which does it again and again
        ):
            index.settle(member.name)
        else:
            yield job
            continue
        done(member.size_bytes)


def _follow(index: Index, work: Work) -> None:
    """Index what is new, and forget what is gone."""
    try:
        changed = index.look()
    except OSError as error:
        raise SourceError(f"{index.directory.shown}: {error.strerror}") from None
    work.do(index.unknown())
    if changed:
        _sweep(index, work.account, look=True)


def _sweep(index: Index, account: Account, *, look: bool) -> None:
    try:
        if look:
            index.look()
        for name in index.remove_orphans():
            account.gone(index, name)
    except OSError as error:
        account.refused(index.shown, error)
