"""A savefile, a pipe or standard input as one capture; an archive of several as several.

What a file is, is seen from its first bytes and never from its name. Captures of every format are
`engine.offline`'s, compression is `decompress`'s.
"""

import os
import stat
from collections.abc import Iterator

from daemonlogger_py.engine.protocol import NEVER_NS
from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.inputs.capture import Complaint, Input, failure_of
from daemonlogger_py.readers.inputs.feed import Feed, Reading, StoppedError, pour, relay
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.savefile.beginning import FILE_HEADER_BYTES
from daemonlogger_py.savefile.names import printable

STDIN = "-"


class File:
    """A file that is to be read: the one called `path`, seen from `dir_fd` where that is given."""

    def __init__(
        self,
        path: str,
        *,
        dir_fd: int | None = None,
        shown: str | None = None,
        completing: bool = False,
        growing: bool = False,
    ) -> None:
        self.name = printable(shown or ("standard input" if path == STDIN else path))
        self.completing = completing
        self.growing = growing
        self.fd = -1
        self.failure: OSError | None = None
        """Why it was not opened, when that was tried beforehand."""
        self._path = path
        self._dir_fd = dir_fd

    def open(self) -> None:
        """Open it, unless it is. Raises OSError."""
        if self.failure is not None:
            raise self.failure
        if self.fd >= 0:
            return
        if self._path == STDIN:
            self.fd = 0
            return
        # A pipe without a writer is waited for where a signal can end the wait: not here.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        if self._dir_fd is not None:
            flags |= os.O_NOFOLLOW  # of a directory's entries, only regular files were chosen
        self.fd = os.open(self._path, flags, dir_fd=self._dir_fd)

    def hold(self) -> None:
        """Open it now; what goes wrong is told when its turn comes."""
        try:
            self.open()
        except OSError as error:
            self.failure = error

    def size_bytes(self) -> int | None:
        """Its size if it has one; 0 for what cannot be read."""
        try:
            if self.fd >= 0 or self._path == STDIN:
                status = os.fstat(max(self.fd, 0))
            else:
                status = os.stat(self._path, dir_fd=self._dir_fd)
        except OSError:
            return 0
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def close(self) -> None:
        """Close it; may be called twice."""
        if self.fd > 0:
            os.close(self.fd)
        self.fd = -1


def captures(file: File, stopping: Stopping, filter_text: str) -> Iterator[Input | Complaint]:
    """Open each capture in `file`, one after the other, and close it when the next is asked for.

    What is wrong with one is a Complaint in its place. Raises FilterError, and OSError if the file
    cannot be opened. Ends at once when stopping was requested.
    """
    file.open()
    try:
        if stat.S_ISDIR(os.fstat(file.fd).st_mode):
            yield Complaint(f"{file.name}: Is a directory")
            return
        yield from _captures(file, Reading(file.fd, stopping.stop_fd), stopping, filter_text)
    except StoppedError:
        return
    except (SourceError, OSError) as error:
        yield failure_of(file.name, error)
    finally:
        file.close()


def _captures(
    file: File, reading: Reading, stopping: Stopping, filter_text: str
) -> Iterator[Input | Complaint]:
    # What comes as compressed data is decoded by code that a sniffing of names never loads.
    from daemonlogger_py.readers.inputs.decompress import LEAST_BYTES, format_of, members

    if reading.regular:
        begin = os.lseek(file.fd, 0, os.SEEK_CUR)
        head = os.pread(file.fd, LEAST_BYTES, begin)
    else:
        head = reading.peek(LEAST_BYTES)
    kind = format_of(head)
    if kind is not None:
        for member in members(kind, reading.read):
            name = file.name if member.name is None else f"{file.name}:{printable(member.name)}"
            feed = Feed(pour(member.pieces, reading if member.name is None else None))
            yield from opened(file, stopping, filter_text, name=name, feed=feed, reading=reading)
    elif reading.regular:
        if not head and file.growing:
            return  # made this moment: there is nothing in it, not even its header
        yield from opened(file, stopping, filter_text)
    else:
        feed = Feed(relay(reading))
        yield from opened(file, stopping, filter_text, feed=feed, reading=reading)


def opened(
    file: File,
    stopping: Stopping,
    filter_text: str,
    *,
    name: str | None = None,
    feed: Feed | None = None,
    reading: Reading | None = None,
    until_ns: int = NEVER_NS,
) -> Iterator[Input | Complaint]:
    """Open one capture, as it stands in the `file` or as the `feed` makes it of what is `reading`.

    What is wrong with it comes in its place. Raises FilterError.
    """
    from daemonlogger_py.engine.offline import FileSource

    name = name or file.name
    fd = file.fd if feed is None else feed.read_fd
    input_: Input | None = None
    try:
        source = FileSource(fd, name=name, wake_fd=stopping.wake_fd, filter_text=filter_text)
        input_ = Input(
            name,
            source,
            completing=file.completing,
            feed=feed,
            until_ns=until_ns,
            growing=file.growing,
            position=(lambda: os.lseek(fd, 0, os.SEEK_CUR))
            if reading is None
            else (lambda: reading.position),
        )
        yield input_
    except SourceError as error:
        if stopping.requested:
            return  # which ended the feed in the middle of its header
        if feed is not None and feed.failure is not None:
            yield failure_of(name, feed.failure)
            return
        refusal = str(error).removeprefix("-R ")  # the engine's first user's option
        taken_bytes = os.fstat(fd).st_size if reading is None else reading.position
        if not (file.growing and _lacks_header(refusal.removeprefix(f"{name}: "), taken_bytes)):
            yield Complaint(refusal)
        elif taken_bytes:
            yield Complaint(f"{name}: the file header is cut short", failed=False)
    finally:
        if input_ is not None:
            input_.close()
        elif feed is not None:
            feed.close()


def _lacks_header(refusal: str, taken_bytes: int) -> bool:
    """Whether a capture was refused for nothing but its end, which was not written yet."""
    # libpcap's words for a header that ends early, and for a pcapng capture that ends before its
    # first interface; so early in one it sees no format.
    ends = "truncated" in refusal or "no Interface Description Blocks" in refusal
    return ends or taken_bytes < FILE_HEADER_BYTES
