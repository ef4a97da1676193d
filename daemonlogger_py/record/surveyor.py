"""Surveys savefiles for the catalog, one after the other, on a thread: read, walked, hashed.

Those that were just sealed come first. Old ones, which a catalog that was lost has to be made of,
are surveyed when there is nothing else to do, with rests, so that they neither keep a disk nor a
processor busy. What a survey looks at is `census`', what becomes of it `cataloger`'s.
"""

import os
import threading
import time
from collections import deque
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

from daemonlogger_py.record import census
from daemonlogger_py.savefile.catalog_rows import Entry
from daemonlogger_py.savefile.names import SavefileName

# After an old savefile as long a rest as it took.
REST = 1.0
# More than that many that were sealed and not surveyed come back with a census.
MOST_SEALED = 10_000


class Job(NamedTuple):
    """A savefile to survey, and what its note said; None: it is an old one."""

    name: SavefileName
    note: dict[str, Any] | None


class Done(NamedTuple):
    """What a survey came to."""

    job: Job
    entry: Entry | None
    error: OSError | None


class Surveyor:
    """Surveys one savefile at a time; `done_fd` is readable when it has done one."""

    def __init__(self, dir_fd: int) -> None:
        self.done_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.job: Job | None = None
        self._sealed: deque[Job] = deque()
        self._old: deque[Job] = deque()
        self._dir_fd = dir_fd
        self._began_at = self._rested_at = 0.0  # monotonic
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._done: SimpleQueue[Done] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def behind(self) -> int:
        """How many savefiles are still to be surveyed."""
        return len(self._sealed) + len(self._old) + (self.job is not None)

    def waits_s(self, *, old_too: bool) -> float | None:
        """For how long there is nothing to `go_on` with; None: until something else happens."""
        if self.job is not None:
            return None
        if self._sealed:
            return 0.0
        if not old_too or not self._old:
            return None
        return max(0.0, self._rested_at - time.monotonic())

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self.job is None and not self._sealed

    def sealed(self, name: SavefileName, note: dict[str, Any]) -> bool:
        """Survey a savefile that was just sealed; False: too many wait already."""
        if len(self._sealed) >= MOST_SEALED:
            return False
        self._sealed.append(Job(name, note))
        return True

    def old(self, names: list[SavefileName]) -> None:
        """Survey these, and no other old ones, when there is time."""
        waiting = {job.name for job in (*self._sealed, *([self.job] if self.job else []))}
        self._old = deque(Job(name, None) for name in names if name not in waiting)

    def go_on(self, *, old_too: bool) -> None:
        """Begin with the next savefile, unless one is under way."""
        if self.job is not None:
            return
        if self._sealed:
            self.job = self._sealed.popleft()
        elif old_too and self._old and time.monotonic() >= self._rested_at:
            self.job = self._old.popleft()
        else:
            return
        self._began_at = time.monotonic()
        if self._thread is None:  # not before: its priority is that of who starts it
            self._thread = threading.Thread(target=self._work, name="surveyor", daemon=True)
            self._thread.start()
        self._jobs.put(self.job)

    def take(self) -> Done | None:
        """What came of the one under way, once it is done."""
        with suppress(BlockingIOError):
            os.eventfd_read(self.done_fd)
        if self._done.empty():
            return None
        now = time.monotonic()
        if self.job is not None and self.job.note is None:
            self._rested_at = now + REST * (now - self._began_at)
        self.job = None
        return self._done.get()

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            entry = error = None
            try:
                entry = census.surveyed(self._dir_fd, job.name)
            except OSError as failure:
                error = failure
            self._done.put(Done(job, entry, error))
            os.eventfd_write(self.done_fd, 1)
