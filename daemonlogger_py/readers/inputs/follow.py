"""The newest savefile of a ring as it grows, then the next one, for as long as it is asked for.

Whole files that are there already are `files`'s. Nothing is read twice and no savefile is left
before a newer one shows that it is complete.
"""

import time
from collections.abc import Callable, Iterator

from daemonlogger_py.engine.protocol import NEVER_NS
from daemonlogger_py.readers.inputs.capture import Complaint, Input, failure_of
from daemonlogger_py.readers.inputs.feed import Feed, Reading, StoppedError, put
from daemonlogger_py.readers.inputs.files import File, opened
from daemonlogger_py.readers.inputs.ring import Ring
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.savefile.names import SavefileName

POLL_S = 0.1
# Packets stamped before the end are handed over, buffered and written within this.
LATE_NS = 2_000_000_000


class Following:
    """The savefiles of `ring` from one on, read until `to_ns` has passed or stopping is requested.

    `pruned` counts those that were gone before they could be opened.
    """

    def __init__(
        self, ring: Ring, stopping: Stopping, filter_text: str, to_ns: int | None = None
    ) -> None:
        self.pruned: list[SavefileName] = []
        self._ring = ring
        self._stopping = stopping
        self._filter_text = filter_text
        self._end_ns = NEVER_NS if to_ns is None else to_ns + LATE_NS

    def captures(
        self, before: SavefileName | None, first: tuple[SavefileName, File] | None = None
    ) -> Iterator[Input | Complaint]:
        """The savefile `first`, then those newer than it; without it, those newer than `before`.

        Each is closed when the next is asked for. Raises FilterError, and OSError if the directory
        cannot be read.
        """
        current, file = first or (None, None)
        waiting = Reading(self._ring.dir_fd, self._stopping.stop_fd)
        try:
            while not self._stopping.requested:
                if current is None:
                    current = next(iter(self._ring.after(before)), None)
                if current is None:
                    if time.time_ns() >= self._end_ns:
                        return
                    waiting.pause(POLL_S)
                    continue
                passed = False
                for item in self._one(current, file or self._file(current)):
                    yield item
                    passed = passed or (isinstance(item, Input) and item.passed)
                if passed or (time.time_ns() >= self._end_ns and not self._ring.after(current)):
                    return
                before, current, file = current, None, None
        except StoppedError:
            return

    def _file(self, savefile: SavefileName) -> File:
        shown = self._ring.path(savefile)
        return File(savefile.name, dir_fd=self._ring.dir_fd, shown=shown, growing=True)

    def _one(self, savefile: SavefileName, file: File) -> Iterator[Input | Complaint]:
        try:
            file.open()
        except FileNotFoundError:
            self.pruned.append(savefile)
            return
        except OSError as error:
            yield failure_of(file.name, error)
            return
        try:
            reading = Reading(file.fd, self._stopping.stop_fd)
            feed = Feed(self._tail(savefile, reading))
            yield from opened(
                file,
                self._stopping,
                self._filter_text,
                feed=feed,
                reading=reading,
                until_ns=self._end_ns,
            )
        finally:
            file.close()

    def _tail(self, savefile: SavefileName, reading: Reading) -> Callable[[int], None]:
        def make(write_fd: int) -> None:
            reading.feeds(write_fd)
            complete = False
            while True:
                if data := reading.read():
                    put(write_fd, data)
                elif complete or time.time_ns() >= self._end_ns:
                    return
                else:
                    # What was written before this became true is read once more.
                    complete = self._ring.is_complete(savefile)
                    if not complete:
                        reading.pause(POLL_S)

        return make
