"""The newest savefile of a ring as it grows, then the next one, for as long as it is asked for.

Whole files that are there already are `files`'s. Nothing is read twice and no savefile is left
before a newer one shows that it is complete. What was compressed before it was read is read as it
is; what was pruned before that is told.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

from daemonlogger_py.engine.protocol import NEVER_NS
from daemonlogger_py.readers.inputs.capture import Complaint, Input, failure_of
from daemonlogger_py.readers.inputs.feed import Feed, Reading, StoppedError, put
from daemonlogger_py.readers.inputs.files import File, captures, opened
from daemonlogger_py.readers.inputs.ring import Ring
from daemonlogger_py.readers.inputs.stopping import Stopping
from daemonlogger_py.readers.inputs.succession import Next, Succession
from daemonlogger_py.savefile.holes import compressed_name
from daemonlogger_py.savefile.names import SavefileName, printable

POLL_S = 0.1
# Packets stamped before the end are handed over, buffered and written within this.
LATE_NS = 2_000_000_000


class Following:
    """The savefiles of `ring` from one on, read until `to_ns` has passed or stopping is requested.

    `pruned` counts those that were listed before, and gone before they could be opened. Others that
    were gone before they could be read are told as they are missed.
    """

    def __init__(
        self, ring: Ring, stopping: Stopping, filter_text: str, to_ns: int | None = None
    ) -> None:
        self.pruned: list[SavefileName] = []
        self._ring = ring
        self._stopping = stopping
        self._filter_text = filter_text
        self._end_ns = NEVER_NS if to_ns is None else to_ns + LATE_NS
        self._succession = Succession(ring)

    def captures(
        self, before: SavefileName | None, first: tuple[SavefileName, File] | None = None
    ) -> Iterator[Input | Complaint]:
        """The savefile `first`, then those newer than it; without it, those newer than `before`.

        Each is closed when the next is asked for. Raises FilterError, and OSError if the directory
        cannot be read.
        """
        with suppress(StoppedError), closing(self._succession):
            yield from self._captures(before, first)

    def _captures(
        self, before: SavefileName | None, first: tuple[SavefileName, File] | None
    ) -> Iterator[Input | Complaint]:
        waiting = Reading(self._ring.dir_fd, self._stopping.stop_fd)
        current = None
        if first is not None:
            current = Next(first[0], None)
        elif before is None:
            before = self._succession.begin()
        while not self._stopping.requested:
            if current is None:
                current = self._succession.next(before)
                if current is not None:
                    self._succession.turn(before, current.savefile)
            if current is None:
                if time.time_ns() >= self._end_ns:
                    return
                waiting.pause(POLL_S)
                continue
            passed = False
            for item in self._one(current, first and first[1], waiting):
                yield item
                passed = passed or (isinstance(item, Input) and item.passed)
            before, current, first = current.savefile, None, None
            over = time.time_ns() >= self._end_ns
            if passed or (over and self._succession.next(before) is None):
                return

    def _file(self, name: str, *, growing: bool) -> File:
        shown = os.path.join(self._ring.shown, printable(name))
        return File(name, dir_fd=self._ring.dir_fd, shown=shown, growing=growing)

    def _one(
        self, current: Next, listed: File | None, waiting: Reading
    ) -> Iterator[Input | Complaint]:
        """What is in that savefile; `listed`: it was before, and may be open."""
        savefile, compressed = current
        file = listed or self._file(compressed or savefile.name, growing=compressed is None)
        try:
            try:
                file.open()
            except FileNotFoundError:
                compressed = compressed_name(self._ring.dir_fd, savefile.name)
                if compressed is None:
                    raise
                file = self._file(compressed, growing=False)
                file.open()
            # What is open cannot be lost while the catalog is waited for.
            yield from self._lost(waiting)
            if compressed is None:
                yield from self._growing(savefile, file)
            else:
                yield from captures(file, self._stopping, self._filter_text)
        except FileNotFoundError:
            if listed is not None:
                self.pruned.append(savefile)
            else:
                yield Complaint(f"{file.name} was pruned before being read")
        except OSError as error:
            yield failure_of(file.name, error)
        finally:
            file.close()

    def _lost(self, waiting: Reading) -> Iterator[Complaint]:
        """Say what was gone before it could be read."""
        while True:
            yield from map(Complaint, self._succession.lost())
            if not self._succession.doubtful:
                return
            waiting.pause(POLL_S)

    def _growing(self, savefile: SavefileName, file: File) -> Iterator[Input | Complaint]:
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
                    complete = self._succession.is_complete(savefile)
                    if not complete:
                        reading.pause(POLL_S)

        return make
