"""What a worker process does with closed streams: MD5, HTTP bodies, the Python function.

Imported in that process alone, as far as nobody changes the root directory before: see `post`.
"""

import hashlib
import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.errors import StorageError
from daemonlogger_py.protocols.gaps import Gap, lost_in
from daemonlogger_py.readers.streams.digests import md5_each
from daemonlogger_py.readers.streams.facts import Body, PluginResult
from daemonlogger_py.readers.streams.outdir import OutDir
from daemonlogger_py.readers.streams.plugin import PluginHost
from daemonlogger_py.readers.streams.tasks import Found, Given

# Its parser is an extra: MD5 and Python functions are to be had without it.
if TYPE_CHECKING:
    from daemonlogger_py.protocols.http import Side
    from daemonlogger_py.readers.streams.bodies import Extractor

# Lost bytes are NULs to be hashed and searched like any others, but cost a sender nothing: a few
# packets can leave gigabytes of them. So many more than what came are taken, and no more.
MOST_LOST_BYTES = 1 << 20
MOST_LOST_RATIO = 256

_READ_BYTES = 1 << 16  # larger files are mapped
_TOGETHER_BYTES = 1 << 20  # up to which streams are digested side by side
_HASHED_BYTES = 1 << 20  # at once of a mapped file
_RELIEF_BYTES = 32 << 20  # read of a mapped file before its pages are let go of


class Work:
    """Does tasks; made in the worker process."""

    def __init__(self, config: StreamsConfig, outdir_fd: int) -> None:
        self._md5 = config.md5
        self._outdir = OutDir(outdir_fd)
        self._extractor = _new_extractor(config, self._outdir)
        self._ahead: dict[str, tuple[bytes | mmap.mmap, str]] = {}  # contents and MD5 by name
        self._plugin = None if config.plugin is None else PluginHost(config.plugin, outdir_fd)

    def ahead(self, tasks: Sequence[Sequence[Given]]) -> None:
        """Digest the streams of the next tasks, as far as that is faster for all at once.

        What cannot be read is told by its task.
        """
        for data, _ in self._ahead.values():
            _close(data)
        self._ahead.clear()
        if not self._md5:
            return
        found: dict[str, bytes | mmap.mmap] = {}
        for name, size, gaps, *_ in [given for task in tasks for given in task]:
            if name is None or size > _TOGETHER_BYTES or gaps:
                continue
            with suppress(OSError, StorageError):
                found[name] = self._contents(name)
        sizes = [len(data) for data in found.values()]
        # A long one among short ones has the lanes to itself, where hashlib is faster.
        worth = sum(sizes) > 2 * max(sizes, default=0)
        digests = md5_each([*found.values()]) if worth else [""] * len(found)
        self._ahead = dict(zip(found, zip(found.values(), digests, strict=True), strict=True))

    def __call__(self, task: Sequence[Given]) -> list[Found]:
        """Process the streams of one connection that were closed; one result a stream."""
        streams = [_Stream(*given) for given in task]
        try:
            if self._md5 or self._extractor is not None:
                for stream in streams:
                    self._read(stream)
            if self._extractor is not None:
                self._extract(streams, self._extractor)
        finally:
            for stream in streams:
                stream.close()
        if self._plugin is not None:
            for stream in streams:
                if stream.name is not None:
                    stream.plugin = self._plugin.call(stream.name)
        return [stream.found() for stream in streams]

    def _read(self, stream: "_Stream") -> None:
        if stream.name is None:
            return
        try:
            if stream.name in self._ahead:
                stream.data, stream.md5 = self._ahead.pop(stream.name)
            else:
                stream.data = self._contents(stream.name)
            data = stream.data
            if problem := _too_empty(stream.gaps, len(data)):
                stream.close()
                stream.notes = [f"{stream.name}: not processed: {problem}"]
                stream.failed = True
                return
            if self._md5 and not stream.md5:
                stream.md5 = _md5(data)
        except (OSError, StorageError) as error:
            stream.notes = [f"{stream.name}: cannot be read: {error}"]
            stream.failed = True
            return
        if self._extractor is None:
            return
        from daemonlogger_py.protocols.http import Side

        whole = len(data) >= stream.stream_bytes
        stream.side = Side(data, stream.gaps, stream.from_start, stream.to_end and whole)

    def _extract(self, streams: "Sequence[_Stream]", extractor: "Extractor") -> None:
        there = [stream for stream in streams if stream.side is not None]
        extracted = extractor.extract(
            [stream.side for stream in there if stream.side is not None],
            [stream.name or "" for stream in there],
        )
        for stream, made in zip(there, extracted, strict=True):
            stream.bodies = made.bodies
            stream.notes = made.notes
            stream.unread = made.unread
            stream.failed = made.failed

    def _contents(self, name: str) -> bytes | mmap.mmap:
        fd = self._outdir.open(name)
        try:
            size = os.fstat(fd).st_size
            if size <= _READ_BYTES:
                return os.read(fd, size)
            return mmap.mmap(fd, size, prot=mmap.PROT_READ)
        finally:
            os.close(fd)


class _Stream:
    """One stream of a task, and what was found."""

    def __init__(
        self,
        name: str | None,
        stream_bytes: int,
        gaps: Sequence[Gap],
        from_start: bool,  # noqa: FBT001 -- as it came
        to_end: bool,  # noqa: FBT001
    ) -> None:
        self.name = name
        self.stream_bytes = stream_bytes
        self.gaps = [(offset, count) for offset, count in gaps]
        self.from_start = from_start
        self.to_end = to_end
        self.data: bytes | mmap.mmap = b""
        self.side: Side | None = None
        self.md5 = ""
        self.bodies: Sequence[Body] = ()
        self.notes: Sequence[str] = ()
        self.unread: Sequence[str] = ()
        self.plugin: PluginResult | None = None
        self.failed = False

    def close(self) -> None:
        """Let go of the file."""
        self.side = None
        _close(self.data)

    def found(self) -> Found:
        """Return what a Finished is made of."""
        return self.md5, self.bodies, self.notes, self.plugin, self.failed, self.unread


def _new_extractor(config: StreamsConfig, outdir: OutDir) -> "Extractor | None":
    if not config.http:
        return None
    from daemonlogger_py.readers.streams.bodies import Extractor

    return Extractor(outdir, decompress=config.decompress, man_names=config.man_names)


def _close(data: bytes | mmap.mmap) -> None:
    if isinstance(data, mmap.mmap):
        data.close()


def _too_empty(gaps: Sequence[Gap], size: int) -> str:
    """Why a file with these gaps is not worth the time that its NULs would take, or ""."""
    lost, _ = lost_in(gaps, 0, size)
    most = MOST_LOST_BYTES + MOST_LOST_RATIO * (size - lost)
    if lost <= most:
        return ""
    return f"{lost} of its {size} bytes are missing, more than the {most} that are accepted"


def _md5(data: bytes | mmap.mmap) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    if isinstance(data, bytes):
        digest.update(data)
        return digest.hexdigest()
    with memoryview(data) as view:
        for offset in range(0, len(view), _HASHED_BYTES):
            with view[offset : offset + _HASHED_BYTES] as piece:
                digest.update(piece)
            if (offset + _HASHED_BYTES) % _RELIEF_BYTES == 0:
                data.madvise(mmap.MADV_DONTNEED)
    return digest.hexdigest()
