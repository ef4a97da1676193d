"""What was surveyed of a ring for its catalog, beyond some megabytes in a file instead of memory.

A ring may have any number of savefiles, and a survey of one takes up half a kilobyte. Only names
are held of all of them.
"""

import marshal
import os
import tempfile
from collections.abc import Iterator
from typing import Self

from daemonlogger_py.errors import StorageError
from daemonlogger_py.readers import temporary
from daemonlogger_py.savefile.catalog_rows import Entry

IN_MEMORY_BYTES = 4 << 20
_SIZE_BYTES = 4


class Entries:
    """Entries in the order in which they are appended; may be gone through again and again.

    Use it as a context manager: its file has no name, and is gone at the end. Raises StorageError
    when there is no room.
    """

    def __init__(self) -> None:
        place = temporary.directory()
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=place)  # noqa: SIM115
        self._count = 0
        self._at_end = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        """From the first on; one at a time goes through them, and nothing is appended meanwhile."""
        self._at_end = False
        try:
            self._file.seek(0)
            for _ in range(self._count):
                # Not marshal.load, which reads each number by itself.
                size = int.from_bytes(self._file.read(_SIZE_BYTES), "little")
                yield Entry._make(marshal.loads(self._file.read(size)))  # noqa: S302 - our own
        except OSError as error:
            raise _told(error) from None

    def append(self, entry: Entry) -> None:
        """Add one behind the last."""
        try:
            if not self._at_end:
                self._file.seek(0, os.SEEK_END)
                self._at_end = True
            data = marshal.dumps(tuple(entry))
            self._file.write(len(data).to_bytes(_SIZE_BYTES, "little") + data)
        except OSError as error:
            raise _told(error) from None
        self._count += 1


class Surveyed(Entries):
    """Entries of the savefiles of one ring, and what there is to say of all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.newest: str | None = None
        """Name of the last one."""
        self.packets = 0
        self.first_ns: int | None = None
        """Time of the earliest packet, ns since 1970."""

    def append(self, entry: Entry) -> None:
        """Add one behind the last."""
        super().append(entry)
        self.names.add(entry.name)
        self.newest = entry.name
        self.packets += entry.packets
        if entry.first_ns is not None:
            known_ns = entry.first_ns if self.first_ns is None else self.first_ns
            self.first_ns = min(entry.first_ns, known_ns)


def _told(error: OSError) -> StorageError:
    return StorageError(f"temporary file in {temporary.shown()}: {error.strerror}")
