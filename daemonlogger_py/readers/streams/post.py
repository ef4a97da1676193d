"""Post-processing of closed streams beside the reading: MD5, HTTP bodies, a Python function.

The store submits streams as they close and takes what became of them in the same order. The work
is done by processes (`forked`, `post_work`) that read the streams' files; packets are read on
meanwhile.

HTTP needs both directions of a connection, so a stream whose other direction is still open is held
until that closes too; the number of those, and of the results that wait behind one, is limited.
"""

import importlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from daemonlogger_py.config.streams import StreamsConfig
from daemonlogger_py.readers.streams import forked
from daemonlogger_py.readers.streams.facts import ClosedStream, Finished
from daemonlogger_py.readers.streams.tasks import finished, given, is_found

MOST_HELD = 4096  # streams that wait for their other direction
MOST_BEHIND = 16_384  # streams submitted since the oldest of those
MOST_WAITING = 8192  # tasks no worker has yet; beyond, `submit` waits
END_S = 60.0  # that there is for what is left, once the run is to stop

_LOOK_EVERY = 16  # tasks given without asking the workers for anything
_REST_S = 0.002  # between looks at the workers: each result by itself would cost them time
_NOTICE_S = 0.2  # how late a stop may be noticed
_WEIGHT_BYTES = 16_384  # what opening and reporting cost, in bytes that could be read meanwhile


class Processor:
    """Processes closed streams in worker processes.

    To be made before there are threads, after privileges were dropped. `submit` streams as they
    close, take `results` now and then, and the rest from `finish`; `close` in any case.
    `given_up` counts the streams that were left unprocessed, as there was no time.
    """

    def __init__(
        self,
        config: StreamsConfig,
        outdir_fd: int,
        *,
        workers: int | None = None,
        stopping: Callable[[], bool] = bool,
        end_s: float = END_S,
    ) -> None:
        """Start the workers. Once `stopping` is true they have `end_s` for what is left.

        Raises UsageError for a Python function that cannot be loaded, StorageError if there can be
        no processes.
        """
        self._pairs = config.http
        self._wanted = config.md5 or config.http or config.plugin is not None
        self._closed: deque[ClosedStream] = deque()  # in order; the first has number _first
        self._first = 0
        self._found: dict[int, Finished] = {}
        self._held: dict[int, int] = {}  # session -> number of submission; oldest first
        self._tasks: dict[int, tuple[int, ...]] = {}  # ticket -> numbers of its streams
        self._tickets = 0
        self.given_up = 0
        self._stopping = stopping
        self._end_s = end_s
        self._deadline: float | None = None
        self._pool: forked.Pool | None = None
        if self._wanted:
            if config.plugin is not None:
                from daemonlogger_py.readers.streams import plugin

                plugin.check(config.plugin)
            self._pool = forked.Pool(
                partial(_new_work, config, outdir_fd),
                workers or forked.count(),
                partial(_import_work, config),
                fits=is_found,
            )

    @property
    def pids(self) -> list[int]:
        """Process IDs of the workers."""
        return [] if self._pool is None else self._pool.pids

    def submit(self, closed: ClosedStream) -> None:
        """Take a stream whose file is complete; waits while too many are not done."""
        number = self._first + len(self._closed)
        self._closed.append(closed)
        pool = self._pool
        if pool is None:
            if self._wanted:
                self._leave([number])
            else:
                self._found[number] = Finished(closed)
            return
        other = self._held.pop(closed.session, None) if self._pairs else None
        if other is not None and self._stream(other).to_server == closed.to_server:
            # One direction in two parts (-m): they are no pair.
            self._begin(pool, other)
            other = None
        if other is not None:
            self._begin(pool, other, number)
        elif self._pairs and closed.other_open:
            self._held[closed.session] = number
            self._limit_held(pool, number)
        else:
            self._begin(pool, number)

    def results(self) -> list[Finished]:
        """Return what is done by now, in the order of submission."""
        if self._pool is not None:
            self._take(self._pool, 0.0)
        return self._in_order()

    def finish(self) -> list[Finished]:
        """Do all that is left, and return what `results` has not returned yet."""
        while self._held and self._pool is not None:
            self._begin(self._pool, self._held.pop(next(iter(self._held))))
        while self._pool is not None and self._pool.busy:
            self._wait(self._pool)
            time.sleep(_REST_S)
        self.close()
        return self._in_order()

    def close(self) -> None:
        """End the workers; what they have not done is lost. May be called twice."""
        if self._pool is not None:
            self._pool.close()

    def _stream(self, number: int) -> ClosedStream:
        return self._closed[number - self._first]

    def _limit_held(self, pool: forked.Pool, newest: int) -> None:
        while self._held:
            session, oldest = next(iter(self._held.items()))
            if len(self._held) <= MOST_HELD and newest - oldest <= MOST_BEHIND:
                return
            del self._held[session]
            self._begin(pool, oldest)

    def _begin(self, pool: forked.Pool, *numbers: int) -> None:
        streams = [self._stream(number) for number in numbers]
        if all(stream.name is None for stream in streams):
            for number, stream in zip(numbers, streams, strict=True):
                self._found[number] = Finished(stream)
            return
        if self._pool is None:
            self._leave(numbers)
            return
        ticket = self._tickets
        self._tickets += 1
        self._tasks[ticket] = numbers
        weight = sum([stream.stream_bytes + _WEIGHT_BYTES for stream in streams])
        pool.give(ticket, [given(stream) for stream in streams], weight)
        if pool.waiting % _LOOK_EVERY == 0:
            self._take(pool, 0.0)
        while pool.waiting > MOST_WAITING and self._pool is not None:
            self._wait(pool)

    def _wait(self, pool: forked.Pool) -> None:
        """Take something that is done; give all of it up if there is no time left."""
        self._take(pool, _NOTICE_S)
        if self._stopping():
            now = time.monotonic()
            if self._deadline is None:
                self._deadline = now + self._end_s
            elif now >= self._deadline:
                self._give_up(pool)

    def _give_up(self, pool: forked.Pool) -> None:
        pool.close()
        self._pool = None
        numbers = {number for streams in self._tasks.values() for number in streams}
        numbers.update(self._held.values())
        self._tasks.clear()
        self._held.clear()
        self._leave(numbers)

    def _leave(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            stream = self._stream(number)
            self.given_up += stream.name is not None
            self._found[number] = Finished(stream)

    def _take(self, pool: forked.Pool, timeout_s: float | None) -> None:
        for ticket, result in pool.take(timeout_s):
            self._end(ticket, result)

    def _end(self, ticket: int, result: Any) -> None:
        numbers = self._tasks.pop(ticket)
        for index, number in enumerate(numbers):
            stream = self._stream(number)
            if isinstance(result, forked.Failure):
                note = f"{stream.name or 'stream without a file'}: not processed: {result.problem}"
                self._found[number] = Finished(stream, notes=(note,), failed=True)
            else:
                self._found[number] = finished(stream, result[index])

    def _in_order(self) -> list[Finished]:
        ready = []
        while self._closed and self._first in self._found:
            ready.append(self._found.pop(self._first))
            self._closed.popleft()
            self._first += 1
        return ready


def _import_work(config: StreamsConfig) -> None:
    """Import what workers need: once, before they are forked."""
    importlib.import_module("daemonlogger_py.readers.streams.post_work")
    if config.http:
        importlib.import_module("daemonlogger_py.readers.streams.bodies")


def _new_work(config: StreamsConfig, outdir_fd: int) -> forked.Work:
    from daemonlogger_py.readers.streams.post_work import Work

    return Work(config, outdir_fd)


def preload(config: StreamsConfig) -> None:
    """Import what is imported when needed: for a caller who changes the root directory first."""
    _import_work(config)
    if config.http:
        from daemonlogger_py.protocols import http_coding
        from daemonlogger_py.readers.streams.extensions import extensions

        extensions()
        for coding in http_coding.EXTENSIONS:
            http_coding.known(coding)
