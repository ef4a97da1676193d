"""Opens what was asked for, gives up privileges, then gives out one capture after the other.

The order is what matters: `open` opens (all of it, if privileges are given up after that),
`drop_privileges` gives them up, and only then is the first packet looked at, or anything
decompressed. Before that only heads are looked at: what says which files of a directory may be
savefiles, and from when those of a ring are. How a capture is read is the other modules' of this
package; reading ahead is `pump`'s.
"""

import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Self

from daemonlogger_py.errors import FilterError, UsageError
from daemonlogger_py.readers.inputs.capture import Complaint, Input, failure_of
from daemonlogger_py.readers.inputs.directory import (
    NUMBERED,
    candidates_in,
    holds_capture,
    is_named_as_capture,
)
from daemonlogger_py.readers.inputs.files import STDIN, File, captures
from daemonlogger_py.readers.inputs.names import captures_in
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.savefile.names import original_of, printable

if TYPE_CHECKING:
    from daemonlogger_py.readers.inputs.follow import Following
    from daemonlogger_py.readers.inputs.ring import Ring
    from daemonlogger_py.savefile.names import SavefileName
    from daemonlogger_py.service.privileges import Identity

# What else a reader needs open when all of its inputs are: output files, pipes, libraries.
_OTHER_DESCRIPTORS = 128
# A filter that libpcap compiles for none of these is wrong whatever it is used on: Ethernet, raw
# IP, both cooked ones, 802.11 with and without radiotap, loopback.
_FILTERED_LINKTYPES = (1, 101, 113, 276, 127, 105, 0)
# Python finds none of its files after a change of the root directory or of the user.
_IMPORTED_LATER = (
    "bz2",
    "ctypes",
    "lzma",
    "zstandard",
    "encodings.cp437",
    "daemonlogger_py.engine.offline",
    "daemonlogger_py.readers.inputs.decompress",
    "daemonlogger_py.readers.inputs.follow",
)


class Selection(NamedTuple):
    """What is to be read. Without files, ring and interface it is an interface of libpcap's choice.

    Times are nanoseconds since 1970 and only spare the reading of what cannot be within them:
    packets from outside [from_ns, to_ns) are given out too, for the flow engine to leave out.
    Savefiles that a recorder begins after privileges were given up are opened without them.
    """

    files: tuple[str, ...] = ()  # paths, directories of savefiles, "-" for standard input
    completing: tuple[str, ...] = ()  # the same, read after all others
    ring: str | None = None
    prefix: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    follow: bool = False
    interface: str | None = None  # "": libpcap's choice
    promiscuous: bool = True
    filter_text: str = ""
    user: str | None = None
    chroot: str | None = None


class _Candidates(NamedTuple):
    """Files of a directory, of which some may turn out to be no savefiles."""

    shown: str
    files: dict[str, File]  # by name
    unsure: frozenset[File]

    def decided(self) -> list[File | Complaint]:
        """Those that are savefiles, once they can be looked into; the others are closed.

        So are those that somebody compressed and that hold what their originals do.
        """
        found: list[File | Complaint] = []
        for name, file in self.files.items():
            if file not in self.unsure:
                found.append(file)
                continue
            copy = self._is_copy(name, file)
            if copy is False and (
                is_named_as_capture(name) or (file.fd >= 0 and holds_capture(file.fd))
            ):
                found.append(file)
                continue
            file.close()
            if copy is None:
                found.append(_left_out(file.name))
        return found or [_nothing_in(self.shown)]

    def _is_copy(self, name: str, file: File) -> bool | None:
        """As `copies.is_copy` says."""
        original = self.files.get(original_of(name) or "")
        if original is None or file.fd < 0 or original.fd < 0:
            return False
        from daemonlogger_py.readers.inputs.copies import is_copy_of

        try:
            return is_copy_of(file.fd, original.fd)
        except OSError:
            return False  # that is told where it is read


class Inputs:
    """The captures of a `selection`, in order: files, ring, interface, completing files.

    Use it as a context manager; `stopping` ends it early.
    """

    def __init__(self, selection: Selection, stopping: Stopping) -> None:
        self.stopping = stopping
        self._selection = selection
        self._files: list[File | Complaint] = []
        self._completing: list[File | Complaint] = []
        self._directories: dict[File, _Candidates] = {}  # by their first file
        self._ring: Ring | None = None
        self._ring_files: list[tuple[SavefileName, File]] = []
        self._interface: Input | None = None
        self._identity: Identity | None = None
        self._current: Input | None = None
        self._done_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def open(self) -> None:
        """Open what has to be open before privileges are given up; start no thread.

        Raises UsageError and SourceError. A file that cannot be opened is told in its turn.
        """
        asked = self._selection
        if asked.follow and asked.ring is None:
            raise UsageError("--follow: accepted with --ring")
        check_filter(asked.filter_text)
        if asked.user is not None:
            self._identity = _identity(asked.user)
        expanded = self._candidates if self._gives_up_privileges else _expanded
        self._files = [file for path in asked.files for file in expanded(path, completing=False)]
        self._completing = [
            file for path in asked.completing for file in expanded(path, completing=True)
        ]
        if asked.ring is not None:
            self._open_ring(asked.ring)
        nothing = not (asked.files or asked.completing or asked.ring is not None)
        if asked.interface is not None or nothing:
            from daemonlogger_py.readers.inputs.live import open_interface

            self._interface = open_interface(
                asked.interface or "",
                self.stopping,
                asked.filter_text,
                promiscuous=asked.promiscuous,
            )
        if self._gives_up_privileges:
            self._hold_all()

    def drop_privileges(self) -> None:
        """Become the user and enter the root directory asked for, if any; once, after `open`.

        Raises PrivilegeError.
        """
        if not self._gives_up_privileges:
            return
        import importlib

        from daemonlogger_py.errors import PrivilegeError
        from daemonlogger_py.service.privileges import drop

        for module in _IMPORTED_LATER:
            with suppress(ImportError):  # optional ones
                importlib.import_module(module)
        try:
            drop(self._identity, self._selection.chroot)
        except PrivilegeError as error:
            # The recorder has other letters for the same options.
            raise PrivilegeError(str(error).replace("-T/--chroot", "-z")) from None
        self._files = self._decided(self._files)
        self._completing = self._decided(self._completing)

    def __iter__(self) -> Generator[Input | Complaint, None, None]:
        """Open one capture after the other; each is closed when the next is asked for.

        What is wrong with one, or with all that could not be opened, is a Complaint in its place.
        Raises FilterError.
        """
        for item in self._items():
            if self.stopping.requested and not (isinstance(item, Input) and item.live):
                return
            self._current = item if isinstance(item, Input) else None
            yield item
            self._current = None

    @property
    def owner(self) -> tuple[int, int] | None:
        """User and group that privileges are given up for, once `open`."""
        return self._identity and (self._identity.uid, self._identity.gid)

    @property
    def bytes_read(self) -> int:
        """Bytes taken from files so far, for a share of `total_bytes`."""
        current = self._current
        return self._done_bytes + (current.position() if current is not None else 0)

    def total_bytes(self) -> int | None:
        """Bytes of all files together; None where something has no end that is known."""
        if self._interface is not None or self._selection.follow:
            return None
        total = 0
        for file in (*self._files, *(file for _, file in self._ring_files), *self._completing):
            size_bytes = 0 if isinstance(file, Complaint) else file.size_bytes()
            if size_bytes is None:
                return None
            total += size_bytes
        return total

    def close(self) -> None:
        """Close everything; may be called twice. Iterators have to be closed before."""
        for file in (*self._files, *(file for _, file in self._ring_files), *self._completing):
            if isinstance(file, File):
                file.close()
        if self._interface is not None:
            self._interface.close()
        if self._ring is not None:
            self._ring.close()

    @property
    def _gives_up_privileges(self) -> bool:
        return self._selection.user is not None or self._selection.chroot is not None

    def _candidates(self, path: str, *, completing: bool) -> list[File | Complaint]:
        """As `_expanded`, but for what would have to be decompressed: that is decided later."""
        if path == STDIN or not os.path.isdir(path):
            return [File(path, completing=completing)]
        shown = printable(path)
        try:
            names = candidates_in(path)
        except OSError as error:
            return [failure_of(shown, error)]
        if not names:
            return [_nothing_in(shown)]
        files = {name: File(os.path.join(path, name), completing=completing) for name in names}
        unsure = frozenset(file for name, file in files.items() if not NUMBERED.fullmatch(name))
        self._directories[files[names[0]]] = _Candidates(shown, files, unsure)
        return [*files.values()]

    def _decided(self, files: Sequence[File | Complaint]) -> list[File | Complaint]:
        left: list[File | Complaint] = []
        passed = 0
        for at, file in enumerate(files):
            if at < passed:
                continue
            directory = self._directories.get(file) if isinstance(file, File) else None
            if directory is None:
                left.append(file)
            else:
                left += directory.decided()
                passed = at + len(directory.files)
        return left

    def _open_ring(self, directory: str) -> None:
        from daemonlogger_py.readers.inputs.ring import Ring

        asked = self._selection
        ring = self._ring = Ring(directory, asked.prefix)
        try:
            needed = ring.needed(asked.from_ns, asked.to_ns)
            newest = ring.savefiles()[-1:]
        except OSError as error:
            raise UsageError(f"--ring {ring.shown}: {error.strerror}") from None
        if not newest and not asked.follow:
            raise UsageError(f"--ring {ring.shown}: no savefiles of this prefix are there")
        for savefile in needed:
            shown, growing = ring.path(savefile), savefile in newest
            file = File(savefile.name, dir_fd=ring.dir_fd, shown=shown, growing=growing)
            self._ring_files.append((savefile, file))

    def _hold_all(self) -> None:
        """Open all files, with as many descriptors as that takes."""
        files = [*self._files, *(file for _, file in self._ring_files), *self._completing]
        openable = [file for file in files if isinstance(file, File)]
        _allow_descriptors(len(openable) + _OTHER_DESCRIPTORS)
        for file in openable:
            file.hold()

    def _items(self) -> Iterator[Input | Complaint]:
        yield from self._of_files(self._files)
        if self._ring is not None:
            yield from self._of_ring(self._ring)
        if self._interface is not None:
            yield self._interface
        yield from self._of_files(self._completing)

    def _of_files(self, files: Sequence[File | Complaint]) -> Iterator[Input | Complaint]:
        for file in files:
            if isinstance(file, Complaint):
                yield file
                continue
            try:
                yield from self._of_file(file)
            except OSError as error:
                yield failure_of(file.name, error)

    def _of_file(self, file: File) -> Iterator[Input | Complaint]:
        size_bytes = file.size_bytes() or 0
        yield from captures(file, self.stopping, self._selection.filter_text)
        self._done_bytes += size_bytes

    def _of_ring(self, ring: "Ring") -> Iterator[Input | Complaint]:
        pruned: list[SavefileName] = []
        last: SavefileName | None = None
        newest: tuple[SavefileName, File] | None = None
        following = self._following(ring)
        for savefile, file in self._ring_files:
            if following is not None and file.growing:
                newest = savefile, file
                break
            last = savefile
            try:
                yield from self._of_file(file)
            except FileNotFoundError:
                pruned.append(savefile)
            except OSError as error:
                yield failure_of(file.name, error)
        if following is not None:
            try:
                yield from following.captures(last, newest)
            except OSError as error:
                yield failure_of(ring.shown, error)
            pruned += following.pruned
        if pruned:
            yield Complaint(_of_pruned(ring, pruned), failed=False)

    def _following(self, ring: "Ring") -> "Following | None":
        if not self._selection.follow:
            return None
        from daemonlogger_py.readers.inputs.follow import Following

        asked = self._selection
        return Following(ring, self.stopping, asked.filter_text, asked.to_ns)


def check_filter(text: str) -> None:
    """Raise FilterError unless there is a linktype that libpcap compiles this filter for."""
    if not text:
        return
    import struct

    from daemonlogger_py.engine.offline import FileSource

    first: FilterError | None = None
    for linktype in _FILTERED_LINKTYPES:
        fd = os.memfd_create("filter", os.MFD_CLOEXEC)
        try:
            os.write(fd, struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, linktype))
            os.lseek(fd, 0, os.SEEK_SET)
            FileSource(fd, name="filter", wake_fd=-1, filter_text=text).close()
        except FilterError as error:
            first = first or error
        else:
            return
        finally:
            os.close(fd)
    if first is not None:
        raise first


def _identity(user: str) -> "Identity":
    from daemonlogger_py.service.privileges import identity

    try:
        found = identity(user, None)
    except UsageError:
        found = None
    if found is None:
        raise UsageError(f"-U {user!r}: no such user; accepted: an account's name or number")
    return found


def _left_out(name: str) -> Complaint:
    told = f"{name}: is left out, as it begins as its original that is there"
    return Complaint(told, failed=False)


def _expanded(path: str, *, completing: bool) -> list[File | Complaint]:
    """The file `path`, or the savefiles in it if it is a directory."""
    if path == STDIN or not os.path.isdir(path):
        return [File(path, completing=completing)]
    shown = printable(path)
    try:
        dir_fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            found = captures_in(path, dir_fd)
        finally:
            os.close(dir_fd)
    except OSError as error:
        return [failure_of(shown, error)]
    if not found.names:
        return [_nothing_in(shown)]
    alike = [_left_out(os.path.join(shown, printable(name))) for name in found.alike]
    files = [File(os.path.join(path, name), completing=completing) for name in found.names]
    return [*alike, *files]


def _nothing_in(shown: str) -> Complaint:
    return Complaint(f"{shown}: no savefiles in this directory")


def _allow_descriptors(count: int) -> None:
    """Raise the limit on open files to `count` if it is lower. Raises UsageError."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    try:
        if hard != resource.RLIM_INFINITY and hard < count:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
        else:
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    except (ValueError, OSError):
        raise UsageError(
            f"-U and -z open all files beforehand, and no more than {hard} may be open; "
            f"accepted: fewer files at once"
        ) from None


def _of_pruned(ring: "Ring", pruned: Sequence["SavefileName"]) -> str:
    first, last = ring.path(pruned[0]), printable(pruned[-1].name)
    which = first if len(pruned) == 1 else f"{first} to {last}"
    verb = "was" if len(pruned) == 1 else "were"
    noun = "savefile" if len(pruned) == 1 else "savefiles"
    return f"{len(pruned)} {noun} {verb} pruned before being read: {which}"
