"""Keeps what was recorded from filling the machine's page cache.

Nobody reads most of a ring soon, yet buffered writes would have it push everything else out of
memory; and a page that is used again costs less than a new one. Pages are let go of by a thread of
its own: on a slow disk the kernel may block the call, and the writer must not wait for it.
"""

import os
import threading
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple

# Written pages are let go of in steps of this size. The first call on a step only makes the kernel
# begin to write it; the one that comes LAG steps later finds it on the disk and frees its pages.
STEP_BYTES = 8 * 1024 * 1024
LAG = 4
# More than this waiting means a disk that does not keep up: it is left to the kernel's own pace.
MOST_WAITING = 32
CLOSE_S = 1.0


class _Step(NamedTuple):
    name: str
    offset: int
    length_bytes: int


class CacheRelease:
    """Lets go of the cached pages of savefiles in the directory open as `dir_fd`.

    Advice only: a savefile that is gone meanwhile, or a file system that takes no advice, is no
    error. See posix_fadvise(2), POSIX_FADV_DONTNEED.
    """

    def __init__(self, dir_fd: int) -> None:
        self._dir_fd = dir_fd
        self._steps: SimpleQueue[_Step | None] = SimpleQueue()
        self._name = ""
        self._handed_bytes = 0  # of the savefile called _name
        self._thread = threading.Thread(target=self._work, name="cache", daemon=True)

    def start(self) -> None:
        """Start the thread, with a descriptor of its own. Raises OSError if there is none."""
        self._dir_fd = os.dup(self._dir_fd)
        self._thread.start()

    def written(self, name: str, size_bytes: int, *, sealed: bool = False) -> None:
        """Savefile `name` now has `size_bytes`; `sealed` when no more will come. Never waits."""
        if name != self._name:
            self._name = name
            self._handed_bytes = 0
        length_bytes = size_bytes - self._handed_bytes
        if length_bytes >= STEP_BYTES or (sealed and length_bytes > 0):
            if self._steps.qsize() < MOST_WAITING:
                self._steps.put(_Step(name, self._handed_bytes, length_bytes))
            self._handed_bytes = size_bytes

    def close(self) -> None:
        """End the thread; one that the kernel keeps waiting ends by itself, after CLOSE_S."""
        self._steps.put(None)
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        begun: deque[_Step] = deque()
        while (step := self._steps.get()) is not None:
            self._advise(step)
            begun.append(step)
            if len(begun) > LAG:
                self._advise(begun.popleft())
        os.close(self._dir_fd)

    def _advise(self, step: _Step) -> None:
        with suppress(OSError):
            fd = os.open(step.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._dir_fd)
            try:
                os.posix_fadvise(fd, step.offset, step.length_bytes, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)
