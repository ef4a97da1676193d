"""Surveys savefiles for the catalog, one after the other, on a thread: read, walked, hashed.

Those that were just sealed come first, each by itself. Old ones, which a catalog that was lost has
to be made of, are surveyed when there is nothing else to do, several at a time: there may be very
many small ones, and each that is told by itself costs more than it. While much is recorded they
have rests, so that they neither keep a disk nor a processor busy. What a survey looks at is
`census`', what becomes of it `cataloger`'s.
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

# After old savefiles as long a rest as they took, if they are to have rests.
REST = 1.0
# Old savefiles that are told of together: some 20 ms of rows to write, so that whoever asks the
# cataloger, and whatever is sealed, never waits for long.
OLD_AT_ONCE = 128
OLD_S = 0.1
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
    """Surveys savefiles until it is closed; `done_fd` is readable when it has done some."""

    def __init__(self, dir_fd: int) -> None:
        self.done_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._under_way: list[Job] = []
        self._sealed: deque[Job] = deque()
        self._old: deque[SavefileName] = deque()
        self._dir_fd = dir_fd
        self._began_at = self._rested_at = 0.0  # monotonic
        self._jobs: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._done: SimpleQueue[list[Done]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._closing = threading.Lock()

    def close(self) -> None:
        """Have the thread end after the savefile that it is at, which nobody waits for.

        May be called twice; nothing else may be asked of it afterwards.
        """
        with self._closing:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
                os.close(self.done_fd)

    @property
    def behind(self) -> int:
        """How many savefiles are still to be surveyed."""
        return len(self._sealed) + len(self._old) + len(self._under_way)

    @property
    def idle(self) -> bool:
        """Whether nothing that was sealed is under way, or waits; old ones may."""
        return not self._sealed and not (self._under_way and self._under_way[0].note is not None)

    def waits_s(self, *, old_too: bool) -> float | None:
        """For how long there is nothing to `go_on` with; None: until something else happens."""
        if self._under_way:
            return None
        if self._sealed:
            return 0.0
        if not old_too or not self._old:
            return None
        return max(0.0, self._rested_at - time.monotonic())

    def sealed(self, name: SavefileName, note: dict[str, Any]) -> bool:
        """Survey a savefile that was just sealed; False: too many wait already."""
        if len(self._sealed) >= MOST_SEALED:
            return False
        self._sealed.append(Job(name, note))
        return True

    def old(self, names: list[SavefileName]) -> None:
        """Survey these, and no other old ones, when there is time."""
        waiting = {job.name for job in (*self._sealed, *self._under_way)}
        self._old = deque(name for name in names if name not in waiting)

    def go_on(self, *, old_too: bool) -> None:
        """Begin with what is next, unless something is under way."""
        if self._under_way:
            return
        if self._sealed:
            self._under_way = [self._sealed.popleft()]
        elif old_too and self._old and time.monotonic() >= self._rested_at:
            count = min(OLD_AT_ONCE, len(self._old))
            self._under_way = [Job(self._old.popleft(), None) for _ in range(count)]
        else:
            return
        self._began_at = time.monotonic()
        if self._thread is None:  # not before: its priority is that of who starts it
            self._thread = threading.Thread(target=self._work, name="surveyor", daemon=True)
            self._thread.start()
        self._jobs.put(self._under_way)

    def take(self, *, rests: bool) -> list[Done]:
        """What came of those under way, once they are done.

        Old ones are followed by a rest if there are to be `rests`.
        """
        with suppress(BlockingIOError):
            os.eventfd_read(self.done_fd)
        if self._done.empty():
            return []
        done = self._done.get()
        now = time.monotonic()
        if self._under_way[0].note is None:
            self._rested_at = now + (REST * (now - self._began_at) if rests else 0.0)
            # Those that there was no time for are still the next ones.
            self._old.extendleft(job.name for job in reversed(self._under_way[len(done) :]))
        self._under_way = []
        return done

    def _work(self) -> None:
        while (jobs := self._jobs.get()) is not None:
            until = time.monotonic() + OLD_S
            done: list[Done] = []
            for job in jobs:
                done.append(self._survey(job))
                if self._closed or time.monotonic() >= until:
                    break
            with self._closing:
                if self._closed:
                    return  # another file may have the descriptor's number by now
                self._done.put(done)
                os.eventfd_write(self.done_fd, 1)

    def _survey(self, job: Job) -> Done:
        try:
            sealed = job.note is not None
            return Done(job, census.surveyed(self._dir_fd, job.name, sealed=sealed), None)
        except OSError as error:
            return Done(job, None, error)
