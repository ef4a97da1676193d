"""All that a catalog says of a savefile by itself: its records walked, its bytes hashed.

Reads the whole file, without the GIL, in constant memory. Whether somebody writes it meanwhile is
the caller's to know, and what became of it while it was recorded is the recorder's.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from daemonlogger_py.savefile.beginning import FILE_HEADER_BYTES
from daemonlogger_py.savefile.catalog_rows import Entry
from daemonlogger_py.savefile.names import SavefileName
from daemonlogger_py.savefile.records import FileHeader, Walk, parse_file_header, walk

_CHUNK_BYTES = 1 << 20


class Survey(NamedTuple):
    """What a savefile holds, and as what stat(2) described it when that was begun."""

    walk: Walk
    header: FileHeader | None  # None: not the classic format
    sha256: bytes | None  # of all `size_bytes`; None: it was not to be hashed
    size_bytes: int
    modified_ns: int
    changed: bool  # it was written to meanwhile: nothing of this may be kept

    def entry(self, name: SavefileName, state: str) -> Entry:
        """The row of the savefile `name`, as far as the file tells."""
        found, header = self.walk, self.header
        walked = found.damage is None
        timed = walked and found.packets > 0
        return Entry(
            name=name.name,
            epoch=name.epoch,
            serial=name.serial,
            state=state,
            size_bytes=self.size_bytes,
            modified_ns=self.modified_ns,
            packets=found.packets,
            first_ns=found.earliest_ns if timed else None,
            last_ns=found.latest_ns if timed else None,
            ordered=found.ordered and walked,
            sha256=self.sha256,
            linktype=0 if header is None else header.linktype,
            snaplen=0 if header is None else header.snaplen,
            nanosecond=header is not None and header.nanosecond,
        )


def survey(
    fd: int, *, hashed: bool = True, progress: Callable[[int], None] | None = None
) -> Survey:
    """Walk and, if wanted, hash the file open as `fd`; its file position is not used.

    Never raises for what a file holds; raises OSError if it cannot be read.
    """
    before = os.fstat(fd)
    # Hashing first: it reads all of the file in sequence, and walking finds it in memory.
    sha256 = sha256_of(fd, before.st_size, progress) if hashed else None
    found = walk(fd)
    header = parse_file_header(os.pread(fd, FILE_HEADER_BYTES, 0))
    after = os.fstat(fd)
    changed = (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns)
    return Survey(found, header, sha256, before.st_size, before.st_mtime_ns, changed)


def sha256_of(fd: int, size_bytes: int, progress: Callable[[int], None] | None = None) -> bytes:
    """SHA-256 (FIPS 180-4) of a file's first `size_bytes`, or of all it has. Raises OSError.

    `progress` is told of the bytes read since it was told last.
    """
    import hashlib

    digest = hashlib.sha256()
    chunk = bytearray(min(_CHUNK_BYTES, size_bytes))  # small savefiles may be very many
    view = memoryview(chunk)
    offset = 0
    while offset < size_bytes:
        got = os.preadv(fd, [view[: size_bytes - offset]], offset)
        if got == 0:
            break
        digest.update(view[:got])
        offset += got
        if progress is not None:
            progress(got)
    return digest.digest()
