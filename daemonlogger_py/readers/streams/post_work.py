"""What a worker process does with closed streams: MD5, HTTP bodies, the Python function.

Tasks and results cross processes: they are of plain tuples, lists, texts and numbers.
"""

import hashlib
import mmap
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.errors import StorageError
from daemonlogger_py.protocols.gaps import Gap
from daemonlogger_py.readers.streams.facts import Body, ClosedStream, Finished, PluginResult
from daemonlogger_py.readers.streams.outdir import OutDir
from daemonlogger_py.readers.streams.plugin import PluginHost

# Its parser is an extra: MD5 and Python functions are to be had without it.
if TYPE_CHECKING:
    from daemonlogger_py.protocols.http import Side
    from daemonlogger_py.readers.streams.bodies import Extractor

# Name, bytes, gaps, beginning seen, orderly end seen; one or the two streams of a connection.
Given = tuple[str | None, int, Sequence[Gap], bool, bool]
# MD5, bodies, notes, what the Python function gave, whether a file failed.
Found = tuple[str, Sequence[Body], Sequence[str], PluginResult | None, bool]

_READ_BYTES = 1 << 16  # larger files are mapped
_HASHED_BYTES = 1 << 20  # at once of a mapped file
_RELIEF_BYTES = 32 << 20  # read of a mapped file before its pages are let go of


def given(closed: ClosedStream) -> Given:
    """Make a stream's part of a task."""
    return closed.name, closed.stream_bytes, closed.gaps, closed.syn, closed.why == "fin"


def finished(closed: ClosedStream, found: Sequence[Any]) -> Finished:
    """Join a stream and a Found that crossed processes, its tuples being lists now."""
    md5, bodies, notes, plugin, failed = found
    return Finished(
        closed,
        md5,
        tuple([Body(at, name, size, tuple(problems)) for at, name, size, problems in bodies]),
        tuple(notes),
        None if plugin is None else PluginResult(*plugin),
        failed,
    )


class Work:
    """Does tasks; made in the worker process."""

    def __init__(self, config: StreamsConfig, outdir_fd: int) -> None:
        self._md5 = config.md5
        self._outdir = OutDir(outdir_fd)
        self._extractor = _new_extractor(config, self._outdir)
        self._plugin = None if config.plugin is None else PluginHost(config.plugin, outdir_fd)

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
            stream.data = data = self._contents(stream.name)
            if self._md5:
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
        self.plugin: PluginResult | None = None
        self.failed = False

    def close(self) -> None:
        """Let go of the file."""
        self.side = None
        if isinstance(self.data, mmap.mmap):
            self.data.close()

    def found(self) -> Found:
        """Return what a Finished is made of."""
        return self.md5, self.bodies, self.notes, self.plugin, self.failed


def _new_extractor(config: StreamsConfig, outdir: OutDir) -> "Extractor | None":
    if not config.http:
        return None
    from daemonlogger_py.readers.streams.bodies import Extractor

    return Extractor(outdir, decompress=config.decompress, man_names=config.man_names)


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
