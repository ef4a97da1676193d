"""Threads that read works, and the decision about which of them is read next.

Always the one whose packets come first of what is not read yet, so that packets can be given out as
early as possible and little has to be held. While memory is left, those behind it are read ahead.
Works of which nobody knows when their packets are come first for the same reason: with an index,
their sidecars are asked before anything is read, and when what is held becomes too much, they are
surveyed.

The consumer, in the thread of the `with` block, takes what was found with `take`, and says with
`holds` how much it still has.
"""

import heapq
import sys
import threading
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple, Self

from daemonlogger_py.readers.extract.order import LAST_KEY
from daemonlogger_py.readers.extract.task import Found, Tools
from daemonlogger_py.readers.extract.work import Work

LAST_NUMBER = (1 << 32) - 1
# How long the consumer waits at most: signals are served and leases taken that often.
WAIT_S = 0.05
# How far beyond what can be given out is read ahead, where that is known: memory that is used again
# costs less than new one.
AHEAD_BYTES = 32 << 20
# What is worth waking the consumer for before that.
WAKE_BYTES = 1 << 20


class Taken(NamedTuple):
    """What was found since the last time, and up to where it can be given out."""

    found: list[tuple[Work, Found]]
    ended: list[Work]
    key: int
    """Nothing to come has a smaller key,"""
    number: int
    """nor the same key and a smaller number."""
    going_on: bool


class Reading:
    """Reads `works` with `jobs` threads for the length of a `with` block.

    With `ask`, there is an index, and sidecars are asked first. `memory_bytes` is what found
    packets may take up before only the work that blocks the others is read on; so is it once
    `enough` packets were found.
    """

    def __init__(
        self,
        works: Iterable[Work],
        *,
        jobs: int,
        memory_bytes: int,
        ask: bool = False,
        enough: int | None = None,
    ) -> None:
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._consumer = threading.Condition(lock)
        self._pending = [(work.front, work.number, work) for work in works]
        heapq.heapify(self._pending)
        self._active: list[Work] = []
        self._busy: set[Work] = set()
        self._found: list[tuple[Work, Found]] = []
        self._ended: list[Work] = []
        self._found_bytes = 0
        self._held_bytes = 0
        self._memory_bytes = memory_bytes
        self._ask = ask
        self._wanted = sys.maxsize if enough is None else enough
        self._last_key = 0  # of what was found
        self._hurry = False
        self._moved = False  # something that is held may be given out now
        self._stopped = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"extract-{number}", daemon=True)
            for number in range(max(1, min(jobs, len(self._pending))))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()
        for work in self._active:
            work.close()
        for _, _, work in self._pending:
            work.close()

    def take(self) -> Taken:
        """What was found since the last time; comes back after WAIT_S without anything.

        Raises what ended a thread that should not have ended.
        """
        with self._changed:
            if self._going_on() and not self._worth_waking():
                self._consumer.wait(WAIT_S)
            if self._error is not None:
                raise self._error
            found, self._found = self._found, []
            ended, self._ended = self._ended, []
            self._held_bytes += self._found_bytes
            self._found_bytes = 0
            self._moved = False
            key, number = self._first()
            return Taken(found, ended, key, number, self._going_on())

    def holds(self, held_bytes: int) -> None:
        """Say that the consumer has that much of what it took."""
        with self._changed:
            self._held_bytes = held_bytes
            self._changed.notify_all()

    @property
    def hurried(self) -> bool:
        """Whether `hurry` was asked for, and there is nothing left to be surveyed."""
        with self._changed:
            unknown = bool(self._pending) and not self._pending[0][2].bounded
            return self._hurry and not unknown and all(work.bounded for work in self._active)

    def hurry(self) -> None:
        """Survey what is not known, from now on, before anything else is read."""
        with self._changed:
            self._hurry = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Let the threads end after the step that each is at."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def hold(self, works: Iterable[Work]) -> None:
        """Keep these from being pruned unless they are being read already."""
        for work in works:
            with self._changed:
                if not work.taken and work.fd < 0:
                    work.hold()

    def _going_on(self) -> bool:
        return bool(self._pending or self._active)

    def _worth_waking(self) -> bool:
        full = self._found_bytes + self._held_bytes >= self._memory_bytes or self._wanted <= 0
        return (
            self._error is not None
            or self._found_bytes >= WAKE_BYTES
            or (full and (self._found_bytes > 0 or self._moved))
        )

    def _first(self) -> tuple[int, int]:
        """The key and the number below which nothing is to come."""
        first = (LAST_KEY, LAST_NUMBER)
        if self._pending:
            first = min(first, self._pending[0][:2])
        for work in self._active:
            first = min(first, (work.front, work.number))
        return first

    def _run(self) -> None:
        tools = Tools()
        try:
            while (chosen := self._next()) is not None:
                work, what = chosen
                if what is _What.STEP:
                    self._put(work, *work.step(tools))
                    continue
                front = work.survey(tools) if what is _What.SURVEY else work.ask(tools)
                self._put(work, [], front, unread=True)
        except BaseException as error:  # for the thread that takes what is read to raise
            with self._changed:
                self._error = error
                self._stopped = True
                self._changed.notify_all()
                self._consumer.notify()

    def _next(self) -> "tuple[Work, _What] | None":
        with self._changed:
            while not self._stopped:
                work = self._choose()
                if work is not None:
                    self._busy.add(work)
                    return work, self._what(work)
                if not self._going_on():
                    return None
                self._changed.wait()
        return None

    def _what(self, work: Work) -> "_What":
        """What is to be done with it next."""
        if work.bounded:
            return _What.STEP
        if self._ask and not work.asked:
            return _What.ASK
        return _What.SURVEY if self._hurry else _What.STEP

    def _choose(self) -> Work | None:
        """The work to go on with, made active; None while there is none."""
        ready = [work for work in self._active if work not in self._busy]
        best = min(ready, key=lambda work: (work.front, work.number), default=None)
        pending = self._pending[0] if self._pending else None
        if pending is not None and (best is None or pending[:2] < (best.front, best.number)):
            best = pending[2]
        if best is None or not self._may(best):
            return None
        if pending is not None and best is pending[2]:
            heapq.heappop(self._pending)
            best.taken = True
            self._active.append(best)
        return best

    def _may(self, work: Work) -> bool:
        """Whether there is memory to read it now."""
        held_bytes = self._found_bytes + self._held_bytes
        first = self._first()
        # Of what comes first nothing is known: nothing can be given out before all of it is read.
        limit = self._memory_bytes if first[0] == 0 else min(self._memory_bytes, AHEAD_BYTES)
        if held_bytes < limit and self._wanted > 0:
            return True
        if self._what(work) is not _What.STEP:
            return True
        if self._found_bytes >= max(1, limit):
            return False  # the consumer is held up, by who reads the output or by spilling
        if self._wanted <= 0 and first[0] > self._last_key:
            return False  # what was found can be given out, and is enough
        return (work.front, work.number) <= first

    def _put(self, work: Work, found: list[Found], front: int, *, unread: bool = False) -> None:
        with self._changed:
            self._busy.discard(work)
            for one in found:
                self._found.append((work, one))
                self._found_bytes += len(one.chunk)
                self._wanted -= one.chunk.packets
                self._last_key = max(self._last_key, work.last_key(one))
            self._moved = self._moved or front != work.front
            work.front = front
            if work.done:
                self._active.remove(work)
                self._ended.append(work)
            elif unread and (front, work.number) > self._pending_first():
                # Others come first, and they may be many.
                work.lay_aside()
                self._active.remove(work)
                heapq.heappush(self._pending, (front, work.number, work))
            if not self._going_on() or self._worth_waking():
                self._consumer.notify()
            self._changed.notify_all()

    def _pending_first(self) -> tuple[int, int]:
        return self._pending[0][:2] if self._pending else (LAST_KEY, LAST_NUMBER)


class _What(Enum):
    """What a thread does with a work."""

    STEP = 1
    ASK = 2
    SURVEY = 3
