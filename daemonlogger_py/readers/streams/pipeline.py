"""The writer threads: batches go in, in order, and come out in order once they are done.

Each writer does its own streams' part of every batch, so a batch is done when all of them have it
behind them; then its buffer is given back. What a batch tells of is the caller's to ask.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import Self

from daemonlogger_py.engine.buffer import Buffer
from daemonlogger_py.readers.streams.batch import Batch
from daemonlogger_py.readers.streams.writer import Writer


class _Job:
    """A batch on its way through all writers."""

    def __init__(self, batch: Batch, buffer: Buffer | None, writers: int) -> None:
        self.batch = batch
        self.buffer = buffer
        self.left = writers


class Writing:
    """Runs `writers`, each in a thread of its own, for the length of a `with` block.

    `give_back` gets each buffer once its batch is done, from any of the threads. Without writers
    every batch is done at once.
    """

    def __init__(self, writers: Sequence[Writer], give_back: Callable[[Buffer], None]) -> None:
        self.failure: BaseException | None = None
        """What the first writer failed with; batches are then passed on undone."""
        self._give_back = give_back
        self._lock = threading.Lock()
        self._jobs: deque[_Job] = deque()
        self._queues: list[SimpleQueue[_Job | None]] = [SimpleQueue() for _ in writers]
        self._threads = [
            threading.Thread(target=self._run, args=work, name="writer", daemon=True)
            for work in zip(writers, self._queues, strict=True)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def put(self, batch: Batch, buffer: Buffer | None) -> None:
        """Have `batch`, whose bytes are in `buffer`, done behind all others."""
        job = _Job(batch, buffer, len(self._threads))
        self._jobs.append(job)
        for queue in self._queues:
            queue.put(job)
        if not self._queues and buffer is not None:
            self._give_back(buffer)

    def done(self) -> Iterator[Batch]:
        """Take the batches at the front that are done. Raises what a writer failed with."""
        while self._jobs and self._jobs[0].left == 0:
            if self.failure is not None:
                raise self.failure
            yield self._jobs.popleft().batch

    def close(self) -> None:
        """Wait until everything that was put is done; may be called twice."""
        for queue in self._queues:
            queue.put(None)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self, writer: Writer, queue: "SimpleQueue[_Job | None]") -> None:
        while (job := queue.get()) is not None:
            if self.failure is None:
                try:
                    writer.execute(job.batch)
                except BaseException as error:  # for the thread that calls `done` to raise
                    self.failure = error
            with self._lock:
                job.left -= 1
                last = job.left == 0
            if last and job.buffer is not None:
                self._give_back(job.buffer)
