"""Walks and hashes savefiles, and compares them with the catalog and the index; changes nothing.

Only the classic pcap format is verified; anything else counts as a failure, since nobody looked
into it. A savefile that a recorder is writing may end within a record, which is no fault of it; of
one that is written without a lock, as other recorders do, nobody can tell.
"""

import os
import stat
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple

from daemonlogger_py.config.archive import VerifyConfig, Where
from daemonlogger_py.errors import CatalogError
from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.readers.inputs.decompress import LEAST_BYTES, format_of
from daemonlogger_py.readers.inputs.directory import PCAPNG_MAGIC
from daemonlogger_py.readers.output import write_lines
from daemonlogger_py.readers.verify.looking import Asked, Looking, in_order
from daemonlogger_py.readers.verify.verdict import CatalogVerdict, Verdict
from daemonlogger_py.savefile.beginning import FILE_HEADER_BYTES
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, Entry
from daemonlogger_py.savefile.holes import is_there
from daemonlogger_py.savefile.leases import is_written
from daemonlogger_py.savefile.records import Walk, walk
from daemonlogger_py.savefile.survey import sha256_of

# A recorder says that it pruned a savefile a moment after it did.
_PRUNED_S = 1.0


class _Task(NamedTuple):
    member: Member
    entry: Entry | None  # also one that is about the file as it was
    strange: bool  # there is a catalog, and nothing of it in there
    sidecar: str | None  # path of its index
    named: bool  # it was asked for itself, and has to be there
    hashed: bool  # what is in it is compared, not only its size


class Counter:
    """Bytes read by several threads."""

    def __init__(self) -> None:
        self.read_bytes = 0
        self._lock = threading.Lock()

    def add(self, read_bytes: int) -> None:
        """Count some more."""
        with self._lock:
            self.read_bytes += read_bytes


def check(config: VerifyConfig) -> int:
    """Print a line a savefile, and one a catalog that has faults; return the exit status."""
    sound = True
    with closing(verdicts(config)) as found:
        for verdict in found:
            if isinstance(verdict, Verdict) or not verdict.whole or config.json:
                write_lines([verdict.as_json() if config.json else verdict.text()])
            sound = sound and verdict.whole
    return 0 if sound else 1


def verdicts(config: VerifyConfig) -> Generator[Verdict | CatalogVerdict, None, None]:
    """Verdicts in the order of what is asked for; each catalog's follows its savefiles'.

    Never raises for a file: what cannot be read is a verdict as well. Raises UsageError.
    """
    counter = Counter()
    with (
        Looking(config.where) as looking,
        looking.progress(wanted=config.progress and not _on_terminal()) as progress,
    ):
        for asked in looking.asked:
            if isinstance(asked, Verdict):
                yield asked
                continue
            found = in_order(
                _tasks(asked, config), lambda task: _verdict(task, counter), config.jobs
            )
            with closing(found):
                for verdict in found:
                    if verdict is not None:
                        yield verdict
                    progress.update(counter.read_bytes)
            yield from _of_catalogs(asked, config.where)


def _on_terminal() -> bool:
    # A line for each savefile shows as well how far it is; a bar would be written through them.
    return sys.stdout.isatty()


def _tasks(asked: Asked, config: VerifyConfig) -> Iterator[_Task]:
    catalogued = {id(one) for one in asked.directories if _has_entries(one)}
    for member, entry in asked.with_entries():
        directory = member.directory
        index_dir = config.index_dir or directory.index_dir
        sidecar = None
        if config.indexes and index_dir is not None:
            from daemonlogger_py.readers.index.sidecar import sidecar_name

            sidecar = os.path.join(index_dir, sidecar_name(member.name))
        strange = id(directory) in catalogued and entry is None and member.state != OPEN
        yield _Task(member, entry, strange, sidecar, asked.named, config.hashes)


def _has_entries(directory: Directory) -> bool:
    try:
        return directory.catalog is not None and any(True for _ in directory.catalog.entries())
    except CatalogError:  # its own verdict says so
        return False


def _verdict(task: _Task, counter: Counter) -> Verdict | None:
    """What was found; None: it was pruned since the ring was listed."""
    path = _path(task.member)
    try:
        fd = task.member.open()
        try:
            return _of_savefile(path, fd, task, counter)
        finally:
            os.close(fd)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not task.named:
            return None
        return Verdict(path, damage=error.strerror or str(error))


def _path(member: Member) -> str:
    return os.path.join(member.directory.path, member.name)


def _of_savefile(path: str, fd: int, task: _Task, counter: Counter) -> Verdict:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return Verdict(path, damage="not a regular file")
    faults = [*_compared(fd, status, task, counter), *_of_sidecar(fd, task.sidecar)]
    foreign = foreign_format(fd)
    if foreign:
        damage = f"not verified: {foreign}, and only classic pcap is verified"
        return Verdict(path, size_bytes=status.st_size, damage=damage, faults=tuple(faults))
    found, is_open = _walked(fd)
    if not task.hashed or task.entry is None or task.entry.sha256 is None:
        counter.add(found.size_bytes)
    note = "being written" if is_open else "not in the catalog" if task.strange else None
    return Verdict.of_walk(path, found, faults=tuple(faults), note=note)


def _walked(fd: int) -> tuple[Walk, bool]:
    """What its records are, and whether there will be more, so that its end says nothing yet."""
    found = walk(fd)
    if found.damage is None or not (found.torn or found.size_bytes < FILE_HEADER_BYTES):
        return found, False
    try:
        if is_written(fd):
            return found._replace(damage=None), True
    except OSError:  # here there are no locks: what it is to become is not known
        return found, False
    return walk(fd), False  # it may have been sealed meanwhile


def _compared(fd: int, status: os.stat_result, task: _Task, counter: Counter) -> Iterator[str]:
    """What differs from when the savefile was sealed."""
    entry = task.entry
    if entry is None or entry.state == OPEN or entry.sha256 is None:
        return
    sha256 = sha256_of(fd, status.st_size, counter.add) if task.hashed else entry.sha256
    if status.st_size != entry.size_bytes:
        yield f"altered: {status.st_size} bytes, and {entry.size_bytes} when it was sealed"
    elif sha256 != entry.sha256:
        yield "altered: its SHA-256 is not the one it was sealed with"


def _of_sidecar(fd: int, sidecar: str | None) -> list[str]:
    if sidecar is None or not os.path.lexists(sidecar):
        return []
    from daemonlogger_py.readers.index.build import sidecar_faults

    name = os.path.basename(sidecar)
    return [f"index {name}: {fault.removeprefix(f'{sidecar}: ')}"
            for fault in sidecar_faults(fd, sidecar)]  # fmt: skip


def foreign_format(fd: int) -> str | None:
    """What a file is by its first bytes, if that is known and not classic pcap."""
    head = os.pread(fd, LEAST_BYTES, 0)
    return "pcapng" if head.startswith(PCAPNG_MAGIC) else format_of(head)


def _of_catalogs(asked: Asked, where: Where) -> Iterator[CatalogVerdict]:
    """Verdicts on the catalogs of rings that are looked at as a whole."""
    for complaint in asked.archive.complaints:
        yield CatalogVerdict(complaint.path, (complaint.text,))
    if asked.named:
        return
    spanned = where.from_ns is not None or where.to_ns is not None
    for directory in asked.directories:
        catalog = directory.catalog
        if catalog is not None:
            faults = [*catalog.check(), *([] if spanned else _gone(directory))]
            yield CatalogVerdict(catalog.path, tuple(dict.fromkeys(faults)))


def _gone(directory: Directory) -> Iterator[str]:
    """Savefiles that the catalog has and the directory has not."""
    missing = [name for name in _sealed(directory) if not is_there(directory.dir_fd, name)]
    if missing:
        # What is recording may have pruned them, and what was killed may not have said so.
        time.sleep(_PRUNED_S)
        if not _last_run_ended(directory):
            return
    for name in missing:
        if _is_sealed(directory, name) and not is_there(directory.dir_fd, name):
            yield f"{name} is gone, and was not pruned"


def _sealed(directory: Directory) -> Iterator[str]:
    """The savefiles that have to be there, by the catalog."""
    try:
        for entry in directory.catalog.entries() if directory.catalog is not None else ():
            if entry.state not in (OPEN, ARCHIVED):
                yield entry.name
    except CatalogError:
        return  # its own verdict says so


def _is_sealed(directory: Directory, name: str) -> bool:
    try:
        entry = None if directory.catalog is None else directory.catalog.entry(name)
    except CatalogError:
        return False
    return entry is not None and entry.state not in (OPEN, ARCHIVED)


def _last_run_ended(directory: Directory) -> bool:
    try:
        last = directory.catalog.last_run() if directory.catalog is not None else None
    except CatalogError:
        return False
    return last is None or last.ended_ns is not None
