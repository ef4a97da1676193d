"""What a savefile, a pipe and an interface have in common once they are open.

Which of them is read next, and by whom, is `opening`'s and `pump`'s.
"""

from collections.abc import Callable
from typing import NamedTuple

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.engine.protocol import NEVER_NS, Source, Stop
from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.inputs.feed import Feed

HOLD_NS = 100_000_000
"""Longest that a packet waits in a buffer for company."""

_UNLIMITED = 1 << 62


class Complaint(NamedTuple):
    """One line about an input; `failed` ones make the exit status 1."""

    text: str
    failed: bool = True


class Input:
    """One capture, open: its packets have one linktype and one resolution of time.

    `source` gives the records, `feed` made them unless they are read as they are. Reading ends
    before the first record stamped `until_ns` or later. `growing`: somebody may still be writing
    it, so it may end in the middle of a record. `completing`: its packets may only add to flows
    that others began. The descriptor that is read stays the caller's; `close` ends the rest.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        *,
        completing: bool = False,
        feed: Feed | None = None,
        until_ns: int = NEVER_NS,
        growing: bool = False,
        position: Callable[[], int] = lambda: 0,
    ) -> None:
        self.name = name
        """As messages call it."""
        self.completing = completing
        self.linktype = source.linktype
        self.nanosecond = source.nanosecond
        self.file_header = source.file_header
        """The 24 bytes that begin a savefile of its records."""
        self.live = source.live
        self.record_bytes = source.record_bytes
        """Most bytes that one record takes in a buffer; some take more, which makes it grow."""
        self.position = position
        """Bytes taken from the file, or 0."""
        self.refused = False
        """The consumer does not want the rest of it."""
        self.passed = False
        """A packet of `until_ns` or later came."""
        self._source = source
        self._feed = feed
        self._until_ns = until_ns
        self._growing = growing

    def fill(self, buffer: Buffer, hold_ns: int = HOLD_NS) -> Stop:
        """Append records until one of the reasons in `Stop`. Raises MemoryError."""
        reason = self._source.fill(
            buffer, _UNLIMITED, _UNLIMITED, self._until_ns, hold_ns, NEVER_NS
        )
        self.passed = self.passed or reason == Stop.TIME
        return Stop(reason)

    def finish(self) -> None:
        """Take nothing new; `fill` gives what is there, then Stop.END."""
        self._source.finish()

    def ending(self, reason: Stop) -> Complaint | None:
        """Say what is wrong with an end for this `reason`, if anything is."""
        made = self._feed.failure if self._feed is not None else None
        if made is not None:
            return failure_of(self.name, made)
        if reason in (Stop.DAMAGED, Stop.FAILED):
            what = self._source.failure or f"{self.name}: {reason.name}"
            if self._growing and _ends_early(what):
                text = f"{what} (it is being written, or its writer was killed)"
                return Complaint(text, failed=False)
            return Complaint(what)
        dropped = self._source.counters().dropped
        if dropped:
            text = f"{self.name}: {dropped} packets were dropped by the kernel"
            return Complaint(text, failed=False)
        return None

    def close(self) -> None:
        """Free everything; may be called twice."""
        self._source.close()
        if self._feed is not None:
            self._feed.close()


def failure_of(name: str, error: Exception) -> Complaint:
    """The line about an input that could not be made or read; what is no such error is raised."""
    if isinstance(error, SourceError):
        return Complaint(f"{name}: {error}")
    if isinstance(error, OSError):
        return Complaint(f"{name}: {error.strerror}")
    raise error


def _ends_early(failure: str) -> bool:
    # The engine's words for its own reading of the records, and libpcap's.
    return "cut short" in failure or "truncated" in failure
