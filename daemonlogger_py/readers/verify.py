"""``dlctl verify``: walks savefiles record by record and tells whether they are whole.

Changes nothing: a torn tail is cut by the recorder at its next start, or by the user. Only the
classic pcap format is verified; anything else counts as a failure, since nobody looked into it. A
savefile that is being written at this moment may end within a record and then reads as cut short.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from daemonlogger_py.readers.inputs.directory import PCAPNG_MAGIC, savefiles_in
from daemonlogger_py.savefile.records import walk

_FOREIGN_MAGIC = {
    PCAPNG_MAGIC: "pcapng",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in one savefile; times are nanoseconds since 1970, None without packets."""

    path: str
    packets: int = 0
    size_bytes: int = 0
    end_offset: int = 0  # byte offset behind the last whole record
    first_ns: int | None = None
    last_ns: int | None = None
    damage: str | None = None  # None: whole

    @property
    def whole(self) -> bool:
        """Whether the file holds whole records to its end."""
        return self.damage is None


def verify(paths: Sequence[str]) -> Iterator[Verdict]:
    """Verdicts on the savefiles `paths`, in their order; a directory stands for those in it.

    Which files of a directory these are is for `inputs.directory` to say. Never raises for a file:
    what cannot be read, and a directory without savefiles, is a Verdict with damage.
    """
    for path in paths:
        if not os.path.isdir(path):
            yield _verdict(path)
            continue
        try:
            members = savefiles_in(path)
        except OSError as error:
            yield Verdict(path, damage=_reason(error))
            continue
        if not members:
            yield Verdict(path, damage="no savefiles in this directory")
        for name in members:
            yield _verdict(os.path.join(path, name))


def _verdict(path: str) -> Verdict:
    try:
        fd = _open(path)
        try:
            return _walk(path, fd)
        finally:
            os.close(fd)
    except OSError as error:
        return Verdict(path, damage=_reason(error))


def _open(path: str) -> int:
    # O_NONBLOCK: a pipe without a writer is told from a savefile instead of waited for.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def _walk(path: str, fd: int) -> Verdict:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return Verdict(path, damage="not a regular file")
    foreign = _foreign_format(os.pread(fd, 8, 0))
    if foreign:
        damage = f"not verified: {foreign}, and only classic pcap is verified"
        return Verdict(path, size_bytes=status.st_size, damage=damage)
    found = walk(fd)
    return Verdict(
        path,
        packets=found.packets,
        size_bytes=found.size_bytes,
        end_offset=found.end_offset,
        first_ns=found.first_ns if found.packets else None,
        last_ns=found.last_ns if found.packets else None,
        damage=found.damage,
    )


def _foreign_format(head: bytes) -> str | None:
    return next((name for magic, name in _FOREIGN_MAGIC.items() if head.startswith(magic)), None)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
