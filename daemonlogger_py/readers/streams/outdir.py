"""Files beside the streams, made and read below the output directory and never through a link.

Names come from the store (which made the stream's file and its directories) and from fixed words,
but whoever may write to the output directory could put a link in a directory's place meanwhile:
each part of a path is therefore opened by itself, refusing links.
"""

import os
from collections.abc import Iterable

from daemonlogger_py.errors import StorageError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_GATHERED_BYTES = 1 << 20
_GATHERED = 256  # pieces of one write, below IOV_MAX
_MOST_COUNTED = 100_000  # names that are taken before giving up


class OutDir:
    """The output directory, by its descriptor, which stays the caller's."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._path = ""  # of the directory below it that was used last
        self._path_fd = -1

    def close(self) -> None:
        """Let go of what was kept open; may be called twice."""
        if self._path_fd >= 0:
            os.close(self._path_fd)
        self._path, self._path_fd = "", -1

    def open(self, name: str) -> int:
        """Open a file for reading, given relative to the output directory. Raises OSError."""
        directory_fd, base = self._reach(name)
        return os.open(base, _READ, dir_fd=directory_fd)

    def create(self, stem: str, extension: str) -> tuple[int, str]:
        """Create a new file named stem + extension, or, as long as that is taken, stem + c1 ...

        Returns its descriptor and its name. Raises OSError.
        """
        directory_fd, base = self._reach(stem)
        head = stem[: len(stem) - len(base)]
        for count in range(_MOST_COUNTED):
            name = f"{base}c{count}{extension}" if count else base + extension
            try:
                return os.open(name, _CREATE, 0o666, dir_fd=directory_fd), head + name
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

    def _reach(self, name: str) -> tuple[int, str]:
        path, _, base = name.rpartition("/")
        if not path:
            return self.fd, base
        if path != self._path:
            self.close()
            parts = path.split("/")
            if ".." in parts:
                raise StorageError(f"{name}: it is not below the output directory")
            fd = self.fd
            try:
                for part in parts:
                    below = os.open(part, _DIRECTORY, dir_fd=fd)
                    if fd != self.fd:
                        os.close(fd)
                    fd = below
            except OSError:
                if fd != self.fd:
                    os.close(fd)
                raise
            self._path, self._path_fd = path, fd
        return self._path_fd, base


class _NewFile:
    """A file that is created once there is something to write; short pieces are gathered."""

    def __init__(self, outdir: OutDir, stem: str, extension: str) -> None:
        self.name = ""
        self.size = 0
        self._outdir = outdir
        self._stem = stem
        self._extension = extension
        self._fd = -1
        self._gathered: list[bytes | memoryview] = []
        self._gathered_bytes = 0

    def write(self, piece: bytes | memoryview) -> None:
        if isinstance(piece, bytes) and len(piece) < _GATHERED_BYTES:
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

    def _put(self, pieces: list[bytes | memoryview]) -> None:
        try:
            if self._fd < 0:
                self._fd, self.name = self._outdir.create(self._stem, self._extension)
            size = sum(map(len, pieces))
            self.size += size
            written = os.writev(self._fd, pieces)
            if written < size:
                rest = memoryview(b"".join(pieces))[written:]
                while rest:
                    rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            name = self.name or self._stem + self._extension
            raise StorageError(f"{name}: cannot be written: {error.strerror}") from error
