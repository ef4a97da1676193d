"""Savefiles that are still to be read, kept from being pruned.

The oldest are held first, because they are pruned first, and as many at once as descriptors are
left; what is over soon holds only the savefiles that it reads.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from daemonlogger_py.readers.extract.reading import Reading
from daemonlogger_py.readers.extract.work import Work

# What is over by then has held only the savefiles that it read.
HOLD_AFTER_S = 0.1
HELD_AT_ONCE = 512
# Descriptors that are left to everything but savefiles that are held.
_OTHER_DESCRIPTORS = 128


class Holder:
    """Keeps savefiles that are still to be read from being pruned, the oldest first."""

    def __init__(self, works: Sequence[Work]) -> None:
        self._works = sorted(works, key=lambda work: (work.member.epoch, work.member.serial))
        self._at = 0
        self._due_s = time.monotonic() + HOLD_AFTER_S
        self._room = 0

    def hold(self, reading: Reading) -> None:
        """Hold some more of them, if it is time and descriptors are left."""
        if self._at == len(self._works) or time.monotonic() < self._due_s:
            return
        if not self._room:
            self._room = _descriptors()
        self._at = max(self._at, 0)
        held = sum(work.fd >= 0 for work in self._works[: self._at])
        count = min(HELD_AT_ONCE, self._room - held)
        if count > 0:
            reading.hold(self._works[self._at : self._at + count])
            self._at = min(len(self._works), self._at + count)


def _descriptors() -> int:
    """How many savefiles may be open, after asking for as many as are allowed."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return sys.maxsize
    return max(1, soft - _OTHER_DESCRIPTORS)
