"""Files beside the streams, made and read below the output directory and never through a link.

Names come from the store (which made the stream's file and its directories) and from fixed words,
but whoever may write to the output directory could put a link in a directory's place meanwhile:
directories.pyx leads the way to each.
"""

import os
from collections.abc import Iterable

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers.streams.directories import Directories

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO does not hold us up
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_GATHERED_BYTES = 1 << 20
_GATHERED = 256  # pieces of one write, below IOV_MAX
_HOLE_BYTES = 1 << 16  # at least, of one that is worth a look
_NULS = bytes(1 << 20)  # as much as one piece of a body
_MOST_COUNTED = 100_000  # names that are taken before giving up


class OutDir:
    """The output directory, by its descriptor, which stays the caller's.

    Raises OSError if the descriptor is not one.
    """

    def __init__(self, fd: int) -> None:
        self._directories = Directories(fd)

    def open(self, name: str) -> int:
        """Open a file for reading, given relative to the output directory. Raises OSError."""
        return self._directories.open(name, _READ)

    def create(self, stem: str, extension: str) -> tuple[int, str]:
        """Create a new file named stem + extension, or, as long as that is taken, stem + c1 ...

        Returns its descriptor and its name. Raises OSError, StorageError.
        """
        for count in range(_MOST_COUNTED):
            name = f"{stem}c{count}{extension}" if count else stem + extension
            try:
                return self._directories.open(name, _CREATE), name
            except FileExistsError:
                continue
        raise StorageError(f"{stem}{extension}: {_MOST_COUNTED} names like it are taken")

    def store(
        self, stem: str, extension: str, pieces: Iterable[bytes | memoryview]
    ) -> tuple[str, int]:
        """Create a file as `create` does and fill it. Nothing to write leaves no file: ("", 0).

        Returns its name and size; a memoryview is used before the next piece is asked for. What
        `pieces` raises is raised behind what it gave being written. Raises StorageError.
        """
        file = _NewFile(self, stem, extension)
        try:
            for piece in pieces:
                file.write(piece)
        finally:
            file.close()
        return file.name, file.size


class _NewFile:
    """A file that is created once there is something to write; short pieces are gathered.

    Long pieces of NULs, as lost bytes are read, stay holes.
    """

    def __init__(self, outdir: OutDir, stem: str, extension: str) -> None:
        self.name = ""
        self.size = 0
        self._outdir = outdir
        self._stem = stem
        self._extension = extension
        self._fd = -1
        self._gathered: list[bytes | memoryview] = []
        self._gathered_bytes = 0
        self._ends_with_hole = False

    def write(self, piece: bytes | memoryview) -> None:
        if len(piece) >= _HOLE_BYTES and piece[0] == 0 and piece == _NULS[: len(piece)]:
            self._flush()
            self._leave_out(len(piece))
        elif isinstance(piece, bytes) and len(piece) < _GATHERED_BYTES:
            self._gathered.append(piece)
            self._gathered_bytes += len(piece)
            if self._gathered_bytes < _GATHERED_BYTES and len(self._gathered) < _GATHERED:
                return
            self._flush()
        elif piece:
            self._flush()
            self._put([piece])

    def close(self) -> None:
        try:
            self._flush()
            if self._ends_with_hole:
                os.ftruncate(self._fd, self.size)
        except OSError as error:
            raise self._failure(error) from error
        finally:
            if self._fd >= 0:
                os.close(self._fd)

    def _flush(self) -> None:
        if self._gathered:
            gathered = [piece for piece in self._gathered if piece]
            self._gathered.clear()
            self._gathered_bytes = 0
            if gathered:
                self._put(gathered)

    def _leave_out(self, count: int) -> None:
        try:
            self._create()
            os.lseek(self._fd, count, os.SEEK_CUR)
        except OSError as error:
            raise self._failure(error) from error
        self.size += count
        self._ends_with_hole = True

    def _put(self, pieces: list[bytes | memoryview]) -> None:
        try:
            self._create()
            size = sum(map(len, pieces))
            self.size += size
            self._ends_with_hole = False
            written = os.writev(self._fd, pieces)
            if written < size:
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise self._failure(error) from error

    def _create(self) -> None:
        if self._fd < 0:
            self._fd, self.name = self._outdir.create(self._stem, self._extension)

    def _failure(self, error: OSError) -> StorageError:
        name = self.name or self._stem + self._extension
        return StorageError(f"{name}: cannot be written: {error.strerror}")
