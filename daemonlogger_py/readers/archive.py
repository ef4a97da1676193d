"""Savefiles of rings and directories as every verb of the archive sees them, with their catalogs.

Says which savefiles there are, what the catalog knows of each as far as it may be believed, and
what was not recorded. Opens no savefile that the catalog knows; reads no packet. Without a catalog,
or with a damaged one, all of it still works, from the savefiles alone.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple, Self

from daemonlogger_py.config.archive import Where
from daemonlogger_py.errors import CatalogError, SourceError, UsageError
from daemonlogger_py.readers.gaps import gap_lines, unfinished
from daemonlogger_py.readers.inputs.directory import NUMBERED, savefiles_in
from daemonlogger_py.readers.inputs.ring import Begin, first_packet_ns, may_hold, only_prefix
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import OPEN, Entry, Gap
from daemonlogger_py.savefile.leases import is_written
from daemonlogger_py.savefile.names import Naming

__all__ = ["Archive", "Directory", "Member", "gap_lines"]

CATALOG, INDEX = ".catalog", ".index"
UNKNOWN = "unknown"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# O_NONBLOCK: what has become a pipe is not waited for.
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
# At a roll-over two savefiles are being written: the next is begun before the last one is sealed.
_BEING_WRITTEN = 2
# More single questions to the catalog than this cost more than reading all of it.
_ASKED_ONE_BY_ONE = 50


class Directory(NamedTuple):
    """The savefiles of one prefix in one directory, or its captures that have other names."""

    dir_fd: int
    shown: str  # as messages call it
    path: str
    prefix: str | None  # None: captures that are not named PREFIX.EPOCH[.SERIAL]
    catalog: Catalog | None
    index_dir: str | None  # where its sidecars are unless --index-dir says otherwise


class Member(NamedTuple):
    """One savefile."""

    directory: Directory
    name: str
    shown: str  # as messages call it
    epoch: int  # 0 without a prefix, as is
    serial: int
    size_bytes: int
    modified_ns: int
    state: str  # "open", "sealed", "recovered"; "unknown": no entry, and nobody writes it
    entry: Entry | None  # what the catalog says, if it is about the file as it is now

    def open(self) -> int:
        """A descriptor to read it by. Raises OSError, FileNotFoundError once it is pruned."""
        return os.open(self.name, _FILE, dir_fd=self.directory.dir_fd)


class Archive:
    """What `where` asks for, open. Use it as a context manager.

    Raises UsageError and SourceError for what is not there at all.
    """

    def __init__(self, where: Where) -> None:
        self.directories: list[Directory] = []
        self.complaints: list[str] = []
        """What did not work and was worked around, a line each."""
        self._where = where
        self._named: list[list[str] | None] = []  # per directory; None: whatever is in it
        self._dir_fds: dict[str, int] = {}
        try:
            for ring in where.rings:
                self._add_ring(ring, where.prefix)
            for path in where.paths:
                self._add_path(path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close everything; may be called twice."""
        for directory in self.directories:
            if directory.catalog is not None:
                directory.catalog.close()
        for fd in self._dir_fds.values():
            os.close(fd)
        self._dir_fds.clear()

    def members(self) -> list[Member]:
        """The savefiles as they are now, oldest first within each directory; may be asked again.

        Without those that cannot hold packets of the span asked for. Raises SourceError.
        """
        found: list[Member] = []
        for directory, named in zip(self.directories, self._named, strict=True):
            found += self._needed(list(self._members(directory, named)))
        return found

    def gaps(
        self, from_ns: int | None = None, to_ns: int | None = None
    ) -> list[tuple[Directory, Gap]]:
        """What was not recorded of [from_ns, to_ns), by beginning; default: the span asked for.

        Of savefiles that were named one by one only what they themselves miss.
        """
        from_ns = self._where.from_ns if from_ns is None else from_ns
        to_ns = self._where.to_ns if to_ns is None else to_ns
        found: list[tuple[Directory, Gap]] = []
        for directory, named in zip(self.directories, self._named, strict=True):
            catalog = directory.catalog
            if catalog is None:
                continue
            try:
                before = catalog.disbelieved
                gaps = [*catalog.gaps(from_ns, to_ns), *unfinished(catalog, to_ns)]
                found += [
                    (directory, gap) for gap in gaps if named is None or gap.savefile in named
                ]
                if catalog.disbelieved > before:
                    self._complain(f"{catalog.path}: is damaged: not all gaps are known")
            except CatalogError as error:
                self._complain(str(error))
        return sorted(found, key=lambda one: one[1].from_ns)

    def covered(
        self, from_ns: int | None = None, to_ns: int | None = None
    ) -> tuple[int | None, int | None]:
        """From when to when savefiles reach within that span; (None, None): not at all.

        By the catalog, else by names, the first packets and the times of the files.
        """
        from_ns = self._where.from_ns if from_ns is None else from_ns
        to_ns = self._where.to_ns if to_ns is None else to_ns
        begins: list[int] = []
        ends: list[int] = []
        for member in self.members():
            begin = self._begin(member)
            if begin.has_packets:
                begins.append(begin.packet_ns)
                entry = member.entry
                last_ns = member.modified_ns if entry is None else entry.last_ns
                ends.append(begin.packet_ns if last_ns is None else last_ns)
        if not begins:
            return None, None
        first_ns, last_ns = min(begins), max(ends)
        first_ns = first_ns if from_ns is None else max(first_ns, from_ns)
        last_ns = last_ns if to_ns is None else min(last_ns, to_ns)
        return (first_ns, last_ns) if first_ns <= last_ns else (None, None)

    def _add_ring(self, path: str, prefix: str | None) -> None:
        shown = _printable(path)
        try:
            dir_fd = self._opened(path)
        except OSError as error:
            raise UsageError(f"--ring {shown}: {error.strerror}") from None
        if prefix is None:
            prefix = only_prefix(dir_fd, shown)
        try:
            Naming(prefix)
        except ValueError as error:
            raise UsageError(f"--prefix: {error}") from None
        self._add(path, prefix, None)

    def _add_path(self, path: str) -> None:
        try:
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                self._add_directory(path)
            elif stat.S_ISREG(status.st_mode):
                self._add_file(path)
            else:
                raise SourceError(f"{_printable(path)}: not a regular file")
        except OSError as error:
            raise SourceError(f"{_printable(path)}: {error.strerror}") from None

    def _add_directory(self, path: str) -> None:
        names = savefiles_in(path)
        if not names:
            raise SourceError(f"{_printable(path)}: no savefiles in this directory")
        prefixes = {match[1] if (match := NUMBERED.fullmatch(name)) else None for name in names}
        self._opened(path)
        for prefix in sorted(prefixes, key=lambda prefix: (prefix is None, prefix or "")):
            self._add(path, prefix, None)

    def _add_file(self, path: str) -> None:
        parent, name = os.path.split(path)
        match = NUMBERED.fullmatch(name)
        prefix = match[1] if match else None
        self._opened(parent)
        for directory, named in zip(self.directories, self._named, strict=True):
            if directory.prefix == prefix and directory.path == parent and named is not None:
                if name not in named:
                    named.append(name)
                return
        self._add(parent, prefix, [name])

    def _opened(self, path: str) -> int:
        if path not in self._dir_fds:
            self._dir_fds[path] = os.open(path or os.curdir, _DIRECTORY)
        return self._dir_fds[path]

    def _add(self, path: str, prefix: str | None, named: list[str] | None) -> None:
        catalog = None if prefix is None else self._catalog(os.path.join(path, prefix + CATALOG))
        index_dir = None if prefix is None else os.path.join(path, prefix + INDEX)
        shown = _printable(path)
        self.directories.append(
            Directory(self._opened(path), shown, path, prefix, catalog, index_dir)
        )
        self._named.append(named)

    def _catalog(self, path: str) -> Catalog | None:
        if not os.path.lexists(path):
            return None
        try:
            return Catalog.open(path)
        except CatalogError as error:
            self._complain(f"{error}; savefiles are read without it")
            return None

    def _complain(self, line: str) -> None:
        if line not in self.complaints:
            self.complaints.append(line)

    def _members(self, directory: Directory, named: list[str] | None) -> Iterator[Member]:
        try:
            files = _named_files(directory, named) if named is not None else _files(directory)
        except OSError as error:
            raise SourceError(f"{directory.shown}: {error.strerror}") from None
        entries = self._entries(directory.catalog, named)
        newest = {file.name for file in files[-_BEING_WRITTEN:]}
        shown = os.path.join(directory.shown, "")
        for file in files:
            entry = entries.get(file.name)
            known = entry if entry is not None and _is_about(entry, file) else None
            state = UNKNOWN
            if known is not None:
                state = known.state
            elif file.name in newest or (entry is not None and entry.state == OPEN):
                state = _state(directory, file.name)
            yield Member(
                directory,
                file.name,
                shown + _printable(file.name),
                file.epoch,
                file.serial,
                file.size_bytes,
                file.modified_ns,
                state,
                known,
            )

    def _entries(self, catalog: Catalog | None, named: list[str] | None) -> dict[str, Entry]:
        if catalog is None:
            return {}
        before = catalog.disbelieved
        found: dict[str, Entry] = {}
        try:
            if named is not None and len(named) <= _ASKED_ONE_BY_ONE:
                asked = ((name, catalog.entry(name)) for name in named)
                found = {name: entry for name, entry in asked if entry is not None}
            else:
                found = {entry.name: entry for entry in catalog.entries()}
        except CatalogError as error:
            self._complain(f"{error}; savefiles are read without it")
        if catalog.disbelieved > before:
            self._complain(f"{catalog.path}: is damaged: not all of its rows are believed")
        return found

    def _needed(self, members: list[Member]) -> list[Member]:
        """Those that may hold packets of the span asked for, in their order."""
        from_ns, to_ns = self._where.from_ns, self._where.to_ns
        if from_ns is None and to_ns is None:
            return members
        chosen: list[Member] = []
        following: Begin | None = None  # of the next savefile that has packets
        for member in reversed(members):
            if member.directory.prefix is None:
                chosen.append(member)
                continue
            begin = self._begin(member)
            if member.entry is not None:
                needed = _holds(member.entry, from_ns, to_ns)
            else:
                needed = may_hold(begin, following, from_ns, to_ns)
            if needed:
                chosen.append(member)
            if begin.has_packets:
                following = begin
        chosen.reverse()
        return chosen

    def _begin(self, member: Member) -> Begin:
        if member.entry is not None:
            return Begin.of(member.epoch, member.entry.first_ns)
        named = member.epoch if member.directory.prefix is not None else None
        return Begin.of(named, first_packet_ns(member.directory.dir_fd, member.name))


class _File(NamedTuple):
    epoch: int
    serial: int
    name: str
    size_bytes: int
    modified_ns: int


def _files(directory: Directory) -> list[_File]:
    if directory.prefix is None:
        names = savefiles_in(directory.path or os.curdir)
        return _named_files(directory, [name for name in names if not NUMBERED.fullmatch(name)])
    parse = Naming(directory.prefix).parse
    found: list[_File] = []
    with os.scandir(directory.dir_fd) as entries:
        for entry in entries:
            name = parse(entry.name)
            if name is None or not entry.is_file(follow_symlinks=False):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # pruned meanwhile
            found.append(_File(*name, status.st_size, status.st_mtime_ns))
    found.sort()
    return found


def _named_files(directory: Directory, names: Sequence[str]) -> list[_File]:
    found: list[_File] = []
    for name in names:
        match = NUMBERED.fullmatch(name)
        epoch, serial = (int(match[2]), int(match[3] or 0)) if match else (0, 0)
        try:
            status = os.stat(name, dir_fd=directory.dir_fd)
        except FileNotFoundError:
            continue
        found.append(_File(epoch, serial, name, status.st_size, status.st_mtime_ns))
    return sorted(found)


def _is_about(entry: Entry, file: _File) -> bool:
    """Whether the entry describes the file as it is now."""
    same = (entry.size_bytes, entry.modified_ns) == (file.size_bytes, file.modified_ns)
    return same and entry.state != OPEN


def _holds(entry: Entry, from_ns: int | None, to_ns: int | None) -> bool:
    if entry.first_ns is None or entry.last_ns is None:
        return not entry.ordered  # its records could not be walked
    late = to_ns is not None and entry.first_ns >= to_ns
    return not (late or (from_ns is not None and entry.last_ns < from_ns))


def _state(directory: Directory, name: str) -> str:
    """Whether a recorder writes the savefile, by asking the kernel."""
    try:
        fd = os.open(name, _FILE, dir_fd=directory.dir_fd)
    except OSError:
        return UNKNOWN
    try:
        return OPEN if is_written(fd) else UNKNOWN
    except OSError:
        return UNKNOWN
    finally:
        os.close(fd)


def _printable(name: str) -> str:
    return name if name.isprintable() else repr(name)
