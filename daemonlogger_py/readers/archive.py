"""Savefiles of rings and directories as every verb of the archive sees them, with their catalogs.

Says which savefiles there are, what the catalog knows of each as far as it may be believed, and
what was not recorded. Opens no savefile that the catalog knows; reads no packet. Without a catalog,
or with a damaged one, all of it still works, from the savefiles alone.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Self

from daemonlogger_py.config.archive import Where
from daemonlogger_py.errors import CatalogError, SourceError, UsageError
from daemonlogger_py.readers.figures import counted
from daemonlogger_py.readers.gaps import gap_lines, lasting
from daemonlogger_py.readers.holes import untold_gaps
from daemonlogger_py.readers.inputs.directory import NUMBERED, changed_ns_of
from daemonlogger_py.readers.inputs.names import (
    compressed_in,
    read_name,
    require_ring,
)
from daemonlogger_py.readers.inputs.ring import (
    Begin,
    first_packet_ns,
    may_hold,
    names_in,
    only_prefix,
)
from daemonlogger_py.readers.members import UNKNOWN, Directory, Files, Member, joined
from daemonlogger_py.readers.place import Key, Place, key_of
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Entry, Gap
from daemonlogger_py.savefile.holes import compressed_name
from daemonlogger_py.savefile.names import CATALOG, INDEX, Naming, SavefileName, printable

__all__ = ["UNKNOWN", "Archive", "Directory", "Member", "gap_lines"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# At a roll-over two savefiles are being written: the next is begun before the last one is sealed.
_BEING_WRITTEN = 2
# More single questions to the catalog than this cost more than reading all between them.
_ASKED_ONE_BY_ONE = 50
_AT_ONCE = 1000  # savefiles whose entries are in memory while they are gone through one by one


class Complaint(NamedTuple):
    """What did not work of a catalog and was worked around, or what of a ring is not read."""

    path: str  # of the catalog, or of the ring
    text: str  # the line for people, which begins with it


class Archive:
    """What `where` asks for, open. Use it as a context manager.

    Raises UsageError and SourceError for what is not there at all. `required`: also for a ring
    that has neither savefiles nor a catalog, which who follows it may wait for.
    """

    def __init__(self, where: Where, *, required: bool = False) -> None:
        self.directories: list[Directory] = []
        self.rings: list[Directory] = []
        """Those of them that were asked for as rings."""
        self.unread = 0
        """Savefiles of rings that somebody compressed: a ring's are read as they were recorded."""
        self.complaints: list[Complaint] = []
        """Each once; only ever added to."""
        self._where = where
        self._named: list[list[str] | None] = []  # per directory; None: whatever is in it
        self._dir_fds: dict[str, int] = {}
        self._places: dict[Key, Place] = {}
        self._told_compressed: set[str] = set()
        self._names_in_rings: list[tuple[Directory, list[str]]] = []
        self._looked_ns: dict[int, int | None] = {}  # when a ring's directory had changed last
        self._unread: set[int] = set()  # directories whose catalog failed meanwhile
        with ExitStack() as undo:
            undo.callback(self.close)
            for ring in where.rings:
                self._add_ring(ring, where.prefix, required=required)
            for path in where.paths:
                self._add_path(path)
            for directory, names in self._names_in_rings:
                self._tell_compressed(directory, names)
            self._names_in_rings.clear()
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
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
        return list(self.each())

    def each(self) -> Iterator[Member]:
        """The same, one by one: of all of them, only names are in memory."""
        return (one for directory in self.directories for one in self.members_of(directory))

    def members_of(self, directory: Directory) -> Iterator[Member]:
        """Those of one directory, one by one: of all of them, only names are in memory."""
        return (member for member, _ in self.with_entries(directory))

    def with_entries(self, directory: Directory) -> Iterator[tuple[Member, Entry | None]]:
        """The same, each with its entry, also one that is about the file as it was."""
        at = next(at for at, one in enumerate(self.directories) if one is directory)
        return self._needed(self._members(directory, self._named[at]))

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
                gaps = lasting(directory, catalog, from_ns, to_ns)
                if named is None:
                    gaps += untold_gaps(directory, catalog, from_ns, to_ns)
                found += [
                    (directory, gap) for gap in gaps if named is None or gap.savefile in named
                ]
                if catalog.disbelieved > before:
                    told = f"{printable(catalog.path)}: is damaged: not all gaps are known"
                    self._complain(catalog.path, told)
            except CatalogError as error:
                self._complain(catalog.path, str(error))
            except OSError as error:
                raise SourceError(f"{directory.shown}: {error.strerror}") from None
        return sorted(found, key=lambda one: one[1].from_ns)

    def covered(
        self, from_ns: int | None = None, to_ns: int | None = None
    ) -> tuple[int | None, int | None]:
        """From when to when savefiles reach within that span; (None, None): not at all.

        By the catalog, else by names, the first packets and the times of the files.
        """
        from_ns = self._where.from_ns if from_ns is None else from_ns
        to_ns = self._where.to_ns if to_ns is None else to_ns
        first_ns: int | None = None
        last_ns: int | None = None
        for member in self.each():
            begin = self._begin(member)
            entry = member.entry
            if not begin.has_packets and (entry is None or entry.walked):
                continue
            end_ns = entry.last_ns if entry is not None and entry.walked else member.modified_ns
            end_ns = begin.packet_ns if end_ns is None else end_ns
            first_ns = begin.packet_ns if first_ns is None else min(first_ns, begin.packet_ns)
            last_ns = end_ns if last_ns is None else max(last_ns, end_ns)
        if first_ns is None or last_ns is None:
            return None, None
        first_ns = first_ns if from_ns is None else max(first_ns, from_ns)
        last_ns = last_ns if to_ns is None else min(last_ns, to_ns)
        return (first_ns, last_ns) if first_ns <= last_ns else (None, None)

    def _add_ring(self, path: str, prefix: str | None, *, required: bool) -> None:
        shown = printable(path)
        try:
            dir_fd = self._opened(path)
        except OSError as error:
            raise UsageError(f"--ring {shown}: {error.strerror}") from None
        changed_ns = changed_ns_of(dir_fd)
        names = names_in(dir_fd, shown)
        if prefix is None:
            prefix = only_prefix(dir_fd, names, shown)
        try:
            naming = Naming(prefix)
        except ValueError as error:
            raise UsageError(f"--prefix: {error}") from None
        if required:
            require_ring(naming, names, shown)
        directory = self._add(path, prefix, None)
        if directory is not None:
            self.rings.append(directory)
            self._looked_ns[id(directory)] = changed_ns
            self._names_in_rings.append((directory, names))

    def _tell_compressed(self, directory: Directory, names: Sequence[str]) -> None:
        """Say which savefiles of a ring are not read; `names` are those in its directory."""
        if self._place_of(directory) is None:
            naming = Naming(directory.prefix or "")
            self._tell_unread(directory, compressed_in(names, naming, directory.dir_fd))

    def _tell_unread(self, directory: Directory, names: Iterable[str]) -> None:
        paths = {os.path.join(directory.path, name) for name in names} - self._told_compressed
        if not paths:
            return
        self._told_compressed |= paths
        self.unread += len(paths)
        files = counted(len(paths), "compressed savefile")
        are, them = ("is", "it") if len(paths) == 1 else ("are", "them")
        shown = directory.shown
        told = f"{shown}: {files} {are} not read with --ring; name {them}, or the directory"
        self._complain(directory.path, told)

    def _add_path(self, path: str) -> None:
        try:
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                self._add_directory(path)
            elif stat.S_ISREG(status.st_mode):
                self._add_file(path)
            else:
                raise SourceError(f"{printable(path)}: not a regular file")
        except OSError as error:
            raise SourceError(f"{printable(path)}: {error.strerror}") from None

    def _add_directory(self, path: str) -> None:
        dir_fd = self._opened(path)
        key = key_of(dir_fd)
        if key in self._places:
            return
        place = Place(path, dir_fd)
        if not place.prefixes and not place.has_others:
            raise SourceError(f"{printable(path)}: no savefiles in this directory")
        self._places[key] = place
        for prefix in sorted(place.prefixes):
            self._add(path, prefix, None)
        if place.has_others:
            self._add_others(place)

    def _add_others(self, place: Place) -> None:
        """Add what is in a directory and has no name of a ring's savefile, unless it is there."""
        self._add(place.path, None, None, place.of_others)

    def _add_file(self, path: str) -> None:
        parent, name = os.path.split(path)
        match = NUMBERED.fullmatch(name)
        prefix = match[1] if match else None
        key = key_of(self._opened(parent))
        for directory, named in zip(self.directories, self._named, strict=True):
            if directory.prefix != prefix or key_of(directory.dir_fd) != key:
                continue
            if named is None:
                if self._is_in(directory, name):
                    return
            elif name in named:
                return
            elif directory.path == parent:
                named.append(name)
                return
        self._add(parent, prefix, [name])

    def _is_in(self, directory: Directory, name: str) -> bool:
        """Whether a file is one of those of a directory that is asked for as a whole."""
        if directory.prefix is None:
            place = self._place_of(directory)
            return place is not None and place.holds(None, name)
        return stat.S_ISREG(os.stat(name, dir_fd=directory.dir_fd, follow_symlinks=False).st_mode)

    def _place_of(self, directory: Directory) -> Place | None:
        return self._places.get(key_of(directory.dir_fd)) if self._places else None

    def _opened(self, path: str) -> int:
        if path not in self._dir_fds:
            self._dir_fds[path] = os.open(path or os.curdir, _DIRECTORY)
        return self._dir_fds[path]

    def _add(
        self,
        path: str,
        prefix: str | None,
        named: list[str] | None,
        index_prefix: str | None = None,
    ) -> Directory | None:
        """Add savefiles, unless all of that prefix are there; what was named of them goes."""
        dir_fd = self._opened(path)
        if named is None and not self._make_room(prefix, dir_fd):
            return None
        catalog = None if prefix is None else self._catalog(os.path.join(path, prefix + CATALOG))
        index_prefix = prefix if prefix is not None else index_prefix
        index_dir = None if index_prefix is None else os.path.join(path, index_prefix + INDEX)
        shown = printable(path)
        directory = Directory(dir_fd, shown, path, prefix, catalog, index_dir)
        self.directories.append(directory)
        self._named.append(named)
        return directory

    def _make_room(self, prefix: str | None, dir_fd: int) -> bool:
        """For all savefiles of that prefix; False: these are there."""
        key = key_of(dir_fd)
        for at in reversed(range(len(self.directories))):
            directory, named = self.directories[at], self._named[at]
            if directory.prefix != prefix or key_of(directory.dir_fd) != key:
                continue
            if named is None:
                return False
            kept = [one for one in named if not self._is_in(directory, one)]
            if kept:
                self._named[at] = kept
                continue
            if directory.catalog is not None:
                directory.catalog.close()
            del self.directories[at], self._named[at]
        return True

    def _catalog(self, path: str) -> Catalog | None:
        if not os.path.lexists(path):
            return None
        try:
            return Catalog.open(path)
        except CatalogError as error:
            self._complain(path, f"{error}; savefiles are read without it")
            return None

    def _complain(self, path: str, text: str) -> None:
        complaint = Complaint(path, text)
        if complaint not in self.complaints:
            self.complaints.append(complaint)

    def _members(
        self, directory: Directory, named: list[str] | None
    ) -> Iterator[tuple[Member, Entry | None]]:
        try:
            names = self._names(directory) if named is None else sorted(map(read_name, named))
            newest = {name.name for name in names[-_BEING_WRITTEN:]}
            names.reverse()
            asked_one_by_one = named is not None and len(named) <= _ASKED_ONE_BY_ONE
            self._unread.discard(id(directory))
            while names:
                some = names[: -_AT_ONCE - 1 : -1]
                del names[-_AT_ONCE:]
                followed = named is not None or directory.prefix is None
                files = Files(directory, some, followed=followed)
                # What is sealed in between has no entry, rather than a wrong one.
                entries = self._entries(directory, some, asked_one_by_one=asked_one_by_one)
                found = files.found()
                if named is None:
                    self._gone(directory, some, found)
                yield from joined(directory, some, found, entries, newest)
        except OSError as error:
            raise SourceError(f"{directory.shown}: {error.strerror}") from None

    def _names(self, directory: Directory) -> list[SavefileName]:
        """The regular files that belong to it, oldest first. Raises OSError."""
        place = self._place_of(directory)
        if place is not None:
            names = place.take(directory.prefix)
            if place.has_others:
                self._add_others(place)
            self._tell_alike(place)
            return names
        names = Naming(directory.prefix or "").listed(directory.dir_fd)
        # Afterwards: so that one that is compressed in between is seen once at least.
        changed_ns = changed_ns_of(directory.dir_fd)
        if changed_ns is None or changed_ns != self._looked_ns.get(id(directory)):
            self._tell_compressed(directory, os.listdir(directory.dir_fd))
            self._looked_ns[id(directory)] = changed_ns
        return names

    def _gone(
        self,
        directory: Directory,
        names: Iterable[SavefileName],
        found: Iterable[tuple[int, int] | None],
    ) -> None:
        """See to those that were compressed since they were listed: they are not pruned."""
        place = self._place_of(directory)
        for (_, _, name), size_and_time in zip(names, found, strict=True):
            if size_and_time is not None:
                continue
            if place is not None:
                place.gone(name)
            elif (compressed := compressed_name(directory.dir_fd, name)) is not None:
                self._tell_unread(directory, [compressed])
        if place is not None and place.has_others:
            self._add_others(place)

    def _tell_alike(self, place: Place) -> None:
        alike = [printable(name) for name in place.alike]
        if not alike:
            return
        are, which = "is left out, which begins as its original that is", alike[0]
        if len(alike) > 1:
            are = "are left out, which begin as their originals that are"
            which = f"{alike[0]} to {alike[-1]}"
        told = f"{counted(len(alike), 'compressed file')} {are} there: {which}"
        self._complain(place.path, f"{printable(place.path)}: {told}")

    def _entries(
        self, directory: Directory, names: Sequence[SavefileName], *, asked_one_by_one: bool
    ) -> dict[str, Entry]:
        catalog = directory.catalog
        if catalog is None or id(directory) in self._unread:
            return {}
        before = catalog.disbelieved
        found: dict[str, Entry] = {}
        try:
            if asked_one_by_one:
                asked = ((name, catalog.entry(name)) for _, _, name in names)
                found = {name: entry for name, entry in asked if entry is not None}
            else:
                entries = catalog.unlinked_entries(names[0].epoch, names[-1].epoch)
                found = {entry.name: entry for entry in entries}
        except CatalogError as error:
            # Not once for each part: a lock is waited for.
            self._unread.add(id(directory))
            self._complain(catalog.path, f"{error}; savefiles are read without it")
        if catalog.disbelieved > before:
            told = f"{printable(catalog.path)}: is damaged: not all of its rows are believed"
            self._complain(catalog.path, told)
        return found

    def _needed(
        self, members: Iterator[tuple[Member, Entry | None]]
    ) -> Iterator[tuple[Member, Entry | None]]:
        """Those that may hold packets of the span asked for, in their order."""
        from_ns, to_ns = self._where.from_ns, self._where.to_ns
        if from_ns is None and to_ns is None:
            yield from members
            return
        # Without an entry it takes the next savefile that has packets to know; None: is needed.
        waiting: list[tuple[tuple[Member, Entry | None], Begin | None]] = []
        for both in members:
            member = both[0]
            if member.directory.prefix is None:
                yield both
                continue
            begin = self._begin(member)
            if begin.has_packets:
                for one, its in waiting:
                    if its is None or may_hold(its, begin, from_ns, to_ns):
                        yield one
                waiting.clear()
            if member.entry is None:
                waiting.append((both, begin))
            elif _holds(member.entry, from_ns, to_ns):
                if waiting:
                    waiting.append((both, None))
                else:
                    yield both
        for one, its in waiting:
            if its is None or may_hold(its, None, from_ns, to_ns):
                yield one

    def _begin(self, member: Member) -> Begin:
        if member.entry is not None:
            return Begin.of(member.epoch, member.entry.first_ns)
        named = member.epoch if member.directory.prefix is not None else None
        return Begin.of(named, first_packet_ns(member.directory.dir_fd, member.name))


def _holds(entry: Entry, from_ns: int | None, to_ns: int | None) -> bool:
    if entry.first_ns is None or entry.last_ns is None:
        return not entry.walked
    late = to_ns is not None and entry.first_ns >= to_ns
    return not (late or (from_ns is not None and entry.last_ns < from_ns))
