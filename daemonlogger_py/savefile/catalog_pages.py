"""Whether the bytes of a catalog are the ones that were written, page by page.

Checksums of rows say nothing of what SQLite keeps around them. So whoever closes a catalog leaves
``PATH-pages`` behind: the number of its last transaction and a CRC-32 of each page. As long as no
other transaction followed, every bit of the file must be as it was. What SQLite has not taken over
into the file yet stands in its write-ahead log, which has checksums of its own; SQLite itself
silently ignores what follows a damaged one.

Formats: this module's own for PATH-pages (see `_HEAD`), and https://www.sqlite.org/fileformat2.html
section 4 for the log.
"""

import os
import struct
from array import array
from collections.abc import Iterator
from contextlib import suppress
from stat import S_ISREG

from daemonlogger_py.savefile.catalog_schema import NEW, PAGES, WAL
from daemonlogger_py.savefile.crc32 import crc32

_HEAD = struct.Struct("<8sIIQ")  # magic, bytes a page, pages, transaction; then a CRC-32 each
_MAGIC = b"DLpages1"
_CRC = struct.Struct("<I")
_PAGE_SIZE = struct.Struct(">16xH")  # of a database, at byte 16; 1 stands for 65536
_WAL_HEAD = struct.Struct(">8I")
_WAL_FRAME = struct.Struct(">6I")
_WAL_MAGIC = 0x377F0682  # its last bit: checksums are of big-endian words
_LEAST_PAGE, _LARGEST_PAGE = 512, 65536
_MOST_BYTES = 256 << 20  # checksums of 67 million pages; SQLite takes over a log of 4 MB


def write(path: str, transaction: int) -> None:
    """Leave checksums of all pages as they are after that `transaction`. Raises OSError.

    To be called while nobody may write and the log is empty.
    """
    with open(path, "rb") as file:
        page_bytes = _page_bytes(file.read(18))
        file.seek(0)
        sums = array("I", (crc32(page) for page in iter(lambda: file.read(page_bytes), b"")))
    data = _HEAD.pack(_MAGIC, page_bytes, len(sums), transaction)
    data += struct.pack(f"<{len(sums)}I", *sums)
    new = path + PAGES + NEW
    with suppress(FileNotFoundError):
        os.unlink(new)
    # Made here, and no link to elsewhere: the directory may be somebody else's.
    with open(new, "xb") as file:
        file.write(data + _CRC.pack(crc32(data)))
    os.rename(new, path + PAGES)


def page_faults(path: str, transaction: int) -> Iterator[str]:
    """One line for each page that is not as it was after that `transaction`.

    Nothing where the checksums are of another one, or there are none. Raises OSError.
    """
    try:
        data = _contents(path + PAGES)
    except FileNotFoundError:
        return
    whole = data is not None and len(data) >= _HEAD.size + _CRC.size
    if data is None or not whole or crc32(data[:-4]) != _CRC.unpack(data[-4:])[0]:
        yield "the checksums of its pages are damaged"
        return
    magic, page_bytes, pages, of_transaction = _HEAD.unpack_from(data)
    if magic != _MAGIC or of_transaction != transaction or not _is_page(page_bytes):
        return
    sums = struct.unpack_from(f"<{min(pages, (len(data) - _HEAD.size) // 4)}I", data, _HEAD.size)
    with open(path, "rb") as file:
        for number, expected in enumerate(sums):
            if crc32(file.read(page_bytes)) != expected:
                yield f"page {number + 1} at byte offset {number * page_bytes} is damaged"
        if file.read(1):
            yield f"there is something behind byte offset {len(sums) * page_bytes}"


def log_faults(path: str) -> Iterator[str]:
    """One line if the write-ahead log is damaged before its end. Raises OSError."""
    try:
        log = _contents(path + WAL)
    except FileNotFoundError:
        return
    if log is None:
        yield f"its write-ahead log is no file of at most {_MOST_BYTES} bytes"
    else:
        yield from _log_faults(log)


def discard(path: str) -> None:
    """Remove the checksums, if there are any."""
    with suppress(OSError):
        os.unlink(path + PAGES)


def _contents(path: str) -> bytes | None:
    """What is in a file; None if it is none, or far larger than one of ours. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if not S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
            return None
        with open(fd, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(fd)


def _page_bytes(head: bytes) -> int:
    if len(head) < _PAGE_SIZE.size:
        raise OSError(0, "is shorter than its header")
    (size,) = _PAGE_SIZE.unpack(head)
    return _LARGEST_PAGE if size == 1 else size if _is_page(size) else _LEAST_PAGE


def _is_page(size_bytes: int) -> bool:
    """Whether a page may be so large: SQLite ignores a log that says anything else."""
    return _LEAST_PAGE <= size_bytes <= _LARGEST_PAGE and size_bytes.bit_count() == 1


def _log_faults(log: bytes) -> Iterator[str]:
    if len(log) < _WAL_HEAD.size:
        return
    magic, _, page_bytes, _, *salts, first, second = _WAL_HEAD.unpack_from(log)
    big = bool(magic & 1)
    state = _added((0, 0), log[:24], big=big)
    if magic & ~1 != _WAL_MAGIC or state != (first, second) or not _is_page(page_bytes):
        yield "the header of its write-ahead log is damaged"
        return
    frame_bytes = _WAL_FRAME.size + page_bytes
    frames = (len(log) - _WAL_HEAD.size) // frame_bytes
    for number in range(frames):
        at = _WAL_HEAD.size + number * frame_bytes
        frame = _WAL_FRAME.unpack_from(log, at)
        state = _added(state, log[at : at + 8] + log[at + 24 : at + frame_bytes], big=big)
        if (list(frame[2:4]), frame[4:]) != (salts, state):
            if _goes_on(log, at, frame_bytes, salts):
                yield f"its write-ahead log is damaged at byte offset {at}"
            return


def _goes_on(log: bytes, at: int, frame_bytes: int, salts: list[int]) -> bool:
    """Whether there are frames of this log from `at` on; those of an earlier one have others."""
    return any(
        _WAL_FRAME.unpack_from(log, offset)[2] == salts[0]
        or _WAL_FRAME.unpack_from(log, offset)[3] == salts[1]
        for offset in range(at, len(log) - frame_bytes + 1, frame_bytes)
    )


def _added(state: tuple[int, int], data: bytes, *, big: bool) -> tuple[int, int]:
    """The log's checksum over `data`, whose length is a multiple of 8."""
    first, second = state
    words = iter(struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data))
    for even, odd in zip(words, words, strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
