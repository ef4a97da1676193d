"""Where packets go: a file or standard output, as pcap or pcapng.

A pcap begins as ``tcpdump -w`` begins it; with pcapng each linktype, snaplen and resolution of time
has a description of its own, written before the first packet that needs it. Whatever ends the
writing, what was written ends with a whole packet.
"""

import os
import re
import stat
import struct
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from daemonlogger_py.errors import StorageError, UsageError
from daemonlogger_py.readers.extract.task import Facts
from daemonlogger_py.readers.stalls import Taker, open_output
from daemonlogger_py.savefile.asides import owner_of
from daemonlogger_py.savefile.catalog_end import SUFFIX as END
from daemonlogger_py.savefile.catalog_schema import DAMAGED, NEW, PAGES, SHARED_MEMORY, WAL
from daemonlogger_py.savefile.names import CATALOG, INDEX, SOCKET, Naming

if TYPE_CHECKING:
    from daemonlogger_py.engine.buffer import Buffer
    from daemonlogger_py.readers.archive import Directory, Member
    from daemonlogger_py.readers.extract.chunk import Chunk
    from daemonlogger_py.readers.inputs.stopping import Stopping

    Bytes = bytes | Buffer | Chunk

STDOUT = "-"
ETHERNET = Facts(1, 262144, False)  # noqa: FBT003
_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
_SECTION_HEADER, _BYTE_ORDER, _INTERFACE, _TSRESOL = 0x0A0D0D0A, 0x1A2B3C4D, 1, 9


class Output:
    """The file `path`, or standard output; opened, but not changed yet.

    A FIFO is opened once somebody reads it. Who reads may hold up the writing, but not for long
    once `stopping` is requested: StalledError.

    Raises UsageError for a terminal, for a closed standard output, for one of the savefiles that
    are read, which `members` are, and for what belongs to one of their `directories`: a name that
    a savefile could have there, or what was kept of one that was damaged, the catalog and its
    files, the socket, whatever is in the index. Raises StorageError.
    """

    def __init__(
        self,
        path: str,
        members: "Iterable[Member]" = (),
        directories: "Iterable[Directory]" = (),
        *,
        stopping: "Stopping",
        pcapng: bool = False,
    ) -> None:
        self.path = path
        self._name = "standard output" if path == STDOUT else f"-w {path}"
        self._stopping = stopping
        self._taker: Taker | None = None
        self.pcapng = pcapng
        self.begun = False
        self.nanosecond = False
        self._interfaces: dict[Facts, int] = {}
        self._described = 0
        self._linktype = 0
        self._at = 0
        self._fd = -1
        self._made = False
        directories = [*directories]
        if path == STDOUT:
            if sys.__stdout__ is None:  # descriptor 1 is another file by now
                raise UsageError(
                    "-w -: standard output is closed; accepted: -w FILE, or a pipe or a file"
                )
            if os.isatty(1):
                raise UsageError(
                    "-w -: packets are not written to a terminal; accepted: -w FILE, or a pipe"
                )
            self._fd = 1
        else:
            self._refuse_names_of_archive(directories)
            self._open(path)
        with ExitStack() as undo:
            undo.callback(self.close)
            undo.callback(self.discard)
            self._refuse_inputs(members)
            self._refuse_savefiles(directories)
            self._refuse_links_to_archive(directories)
            self._taker = Taker(self._fd, self._name, stopping)
            undo.pop_all()

    def _open(self, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        try:
            try:
                self._fd = os.open(path, flags | os.O_EXCL, 0o666)
                self._made = True
            except FileExistsError:
                self._fd = open_output(path, flags, self._stopping, name=self._name)
        except OSError as error:
            raise StorageError(f"{self._name}: {error.strerror}") from None

    def _refuse_inputs(self, members: "Iterable[Member]") -> None:
        status = os.fstat(self._fd)
        if self._made or not stat.S_ISREG(status.st_mode):
            return
        for member in members:
            try:
                other = os.stat(member.name, dir_fd=member.directory.dir_fd)
            except OSError:
                continue
            if os.path.samestat(status, other):
                raise UsageError(f"-w {self.path}: is read as {member.shown}")

    def _refuse_savefiles(self, directories: "Iterable[Directory]") -> None:
        """A name like a savefile's in its ring would be read as one, and pruned as one."""
        if self._fd == 1:
            return
        parent, name = os.path.split(os.path.realpath(self.path))
        place = os.stat(parent)
        for directory in directories:
            if directory.prefix is None or Naming(directory.prefix).parse(name) is None:
                continue
            if os.path.samestat(place, os.fstat(directory.dir_fd)):
                raise UsageError(
                    f"-w {self.path}: is called as a savefile of the ring {directory.shown};"
                    " accepted: another name"
                )

    def _refuse_names_of_archive(self, directories: "Iterable[Directory]") -> None:
        """To be asked before anything is made of that name, or opened: a socket cannot be."""
        parent, name = os.path.split(os.path.realpath(self.path))
        above = [*_status_of_all_above(parent)]
        for directory in directories:
            here = above and os.path.samestat(above[0], os.fstat(directory.dir_fd))
            if here and (name in _of_archive(directory) or _is_kept(name, directory)):
                raise self._belongs(directory)
            if directory.index_dir is not None:
                with suppress(OSError):
                    index = os.stat(directory.index_dir)
                    if any(os.path.samestat(index, place) for place in above):
                        raise self._belongs(directory)

    def _refuse_links_to_archive(self, directories: "Iterable[Directory]") -> None:
        """What is called otherwise may still be a file of the catalog."""
        status = os.fstat(self._fd)
        if self._made or not stat.S_ISREG(status.st_mode):
            return
        for directory in directories:
            names = _of_archive(directory)
            if status.st_nlink > 1:
                names |= {one for one in os.listdir(directory.dir_fd) if _is_kept(one, directory)}
            for name in names:
                with suppress(OSError):
                    if os.path.samestat(status, os.stat(name, dir_fd=directory.dir_fd)):
                        raise self._belongs(directory)

    def _belongs(self, directory: "Directory") -> UsageError:
        ring = os.path.join(directory.shown, directory.prefix or "")
        return UsageError(
            f"-w {self.path}: belongs to the archive of the ring {ring}; accepted: another name"
        )

    def begin(self, facts: Iterable[Facts]) -> None:
        """Write what stands before the first packet, for packets of captures with these `facts`.

        Raises UsageError if pcap cannot hold all of them, and StorageError.
        """
        known = sorted(set(facts)) or [ETHERNET]
        linktypes = sorted({one.linktype for one in known})
        if len(linktypes) > 1 and not self.pcapng:
            listed = ", ".join(map(str, linktypes))
            raise UsageError(
                f"the savefiles have packets of several linktypes ({listed}), and a pcap file"
                " holds one; accepted: --pcapng"
            )
        self.begun = True
        self._linktype = linktypes[0]
        self.nanosecond = any(one.nanosecond for one in known)
        if self._fd != 1 and stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.ftruncate(self._fd, 0)
        if self.pcapng:
            self.write(_block(_SECTION_HEADER, struct.pack("=IHHq", _BYTE_ORDER, 1, 0, -1)))
            for one in known:
                self.interface(one)
            self._describe()
            return
        magic = _NANOSECONDS if self.nanosecond else _MICROSECONDS
        snaplen = max(one.snaplen for one in known)
        self.write(struct.pack("=IHHiIII", magic, 2, 4, 0, 0, snaplen, linktypes[0]))

    def require(self, facts: Facts) -> None:
        """Raise UsageError if what is begun cannot hold packets of a capture with these `facts`."""
        if not self.pcapng and facts.linktype != self._linktype:
            raise UsageError(
                f"packets of linktype {facts.linktype} follow those of {self._linktype}, and a"
                " pcap file holds one; accepted: --pcapng"
            )

    def interface(self, facts: Facts) -> int:
        """The number that packets of captures with these `facts` have; pcap has only 0."""
        if not self.pcapng:
            return 0
        return self._interfaces.setdefault(facts, len(self._interfaces))

    def packets(self, data: "Bytes") -> None:
        """Write records of pcap, or blocks of pcapng. Raises StorageError and BrokenPipeError."""
        if self.pcapng:
            self._describe()
        self.write(data)

    def write(self, data: "Bytes") -> None:
        """Write all of `data`, or if that fails nothing of it."""
        try:
            if self._taker is not None:
                self._taker.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._take_back()
            raise StorageError(f"{self._name}: {error.strerror}") from error
        self._at += len(data)

    def discard(self) -> None:
        """Leave things as they were; there is nothing to write, not even a header."""
        if self._made and not self.begun:
            os.unlink(self.path)

    def close(self) -> None:
        """Close the file; may be called twice. Raises StorageError."""
        if self._taker is not None:
            self._taker.close()
        if self._fd > 1:
            try:
                os.close(self._fd)
            except OSError as error:
                raise StorageError(f"{self._name}: {error.strerror}") from error
            finally:
                self._fd = -1

    def _describe(self) -> None:
        """Write the descriptions of interfaces that are new."""
        for facts, number in list(self._interfaces.items()):
            if number >= self._described:
                self._described += 1
                self.write(_interface(facts))

    def _take_back(self) -> None:
        try:
            if self._fd != 1 and stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.ftruncate(self._fd, self._at)
        except OSError:
            return  # what failed before is what is told


def _of_archive(directory: "Directory") -> set[str]:
    """Names in the log directory of what is kept about its savefiles."""
    if directory.prefix is None:
        return set()
    catalog = directory.prefix + CATALOG
    ends = ("", NEW, WAL, SHARED_MEMORY, PAGES, PAGES + NEW, END)
    return {*(catalog + end for end in ends), directory.prefix + SOCKET, directory.prefix + INDEX}


def _is_kept(name: str, directory: "Directory") -> bool:
    """Whether it was kept of a savefile that was repaired, and is pruned with it, or a catalog."""
    if directory.prefix is None:
        return False
    if owner_of(name, Naming(directory.prefix)) is not None:
        return True
    base = directory.prefix + CATALOG + DAMAGED
    return re.fullmatch(re.escape(base) + rf"(?:\.[0-9]+)?(?:{WAL})?", name, re.ASCII) is not None


def _status_of_all_above(path: str) -> Iterator[os.stat_result]:
    """Of a directory, and of all that it is in."""
    with suppress(OSError):
        while True:
            yield os.stat(path)
            if path == (path := os.path.dirname(path)):
                return


def _block(kind: int, body: bytes) -> bytes:
    """A block of draft-ietf-opsawg-pcapng section 3.1."""
    size = len(body) + 12
    return struct.pack("=II", kind, size) + body + struct.pack("=I", size)


def _interface(facts: Facts) -> bytes:
    """An Interface Description Block, section 4.2."""
    body = struct.pack("=HHI", facts.linktype & 0xFFFF, 0, facts.snaplen)
    if facts.nanosecond:
        body += struct.pack("=HHBxxxHH", _TSRESOL, 1, 9, 0, 0)
    return _block(_INTERFACE, body)
