"""Captures that are not classic savefiles of one byte order and version: read through libpcap.

pcapng, compressed files, archives of several and old formats. Nothing is known about them before
they have been read, and no index is made of them.
"""

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.extract.chunk import Chunk
from daemonlogger_py.readers.inputs.capture import Input
from daemonlogger_py.readers.inputs.files import File, captures

if TYPE_CHECKING:
    from daemonlogger_py.readers.extract.task import Found, Task

_BUFFER_BYTES = 1 << 20
_GOING_ON = frozenset({Stop.FULL, Stop.SIZE, Stop.PACKETS, Stop.DEADLINE})


class Foreign:
    """The captures in the file open as `fd`, one after the other."""

    def __init__(self, task: "Task", fd: int, shown: str, *, growing: bool = False) -> None:
        self._task = task
        self._fd = fd
        self._file = File(shown, growing=growing)
        self._sequence = 0
        self._buffer: Buffer | None = None

    def found(self, note: Callable[[Input | None, str, bool], None]) -> "Iterator[Found]":
        """Give what matches; `note` is told of each capture, and of what is wrong with one.

        Raises FilterError, SourceError for what is no capture at all, and OSError.
        """
        task = self._task
        opened = False
        self._file.fd = os.dup(self._fd)
        for item in captures(self._file, task.stopping, task.filter_text):
            if isinstance(item, Input):
                opened = True
                note(item, "", False)  # noqa: FBT003
                yield from self._of_one(item, note)
            elif opened or not item.failed:
                note(None, item.text, item.failed)
            else:
                raise SourceError(item.text)

    def _of_one(
        self, input_: Input, note: Callable[[Input | None, str, bool], None]
    ) -> "Iterator[Found]":
        from daemonlogger_py.readers.extract.task import Facts, Found

        task = self._task
        facts = Facts.of_input(input_)
        while not task.stopping.requested:
            buffer = self._empty(input_.record_bytes)
            reason = input_.fill(buffer)
            chunk = Chunk(nanosecond=input_.nanosecond)
            if chunk.take(buffer, from_ns=task.from_ns, to_ns=task.to_ns, reverse=task.reverse):
                chunk.settle(reverse=task.reverse)
                self._sequence += -1 if task.reverse else 1
                yield Found(chunk, self._sequence, facts)
            if reason is Stop.WAKE:
                task.stopping.drain()
            elif reason not in _GOING_ON:
                complaint = input_.ending(reason)
                if complaint is not None:
                    note(None, complaint.text, complaint.failed)
                return

    def _empty(self, record_bytes: int) -> Buffer:
        if self._buffer is None or self._buffer.capacity < record_bytes:
            self._buffer = Buffer(_BUFFER_BYTES + record_bytes)
        self._buffer.clear()
        return self._buffer
