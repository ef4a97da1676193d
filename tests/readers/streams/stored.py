"""Frames through engine, store and writers into a directory: what a test of any of them needs."""

import os
from pathlib import Path

from daemonlogger_py.flow.engine import Engine
from daemonlogger_py.readers.streams.batch import Batch
from daemonlogger_py.readers.streams.facts import ClosedStream
from daemonlogger_py.readers.streams.files import Files
from daemonlogger_py.readers.streams.names import Template
from daemonlogger_py.readers.streams.store import Store
from daemonlogger_py.readers.streams.writer import Writer
from tests.flow.segments import ETHERNET, Record, records, timed

TEMPLATE = "%A.%a-%B.%b%V%v%C%c"


class Stored:
    """What was stored of some frames: `files` by name, and `facts` of the streams."""

    def __init__(
        self,
        directory: Path,
        frames: list[bytes] | list[Record],
        *,
        feeds: int = 1,
        writers: int = 1,
        max_open: int = 100,
        max_bytes: int | None = None,
        last_wins: bool = True,
        findx: bool = False,
        gaps: bool = False,
        template: str = TEMPLATE,
        rows: dict[str, int] | None = None,
        tell_created: bool = False,
        **engine_options: object,
    ) -> None:
        store = Store(
            writers=writers, max_bytes=max_bytes, last_wins=last_wins, findx=findx, **(rows or {})
        )
        self.engine = Engine(store, **engine_options)
        directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            at_work = [
                Writer(
                    Files(directory_fd, Template(template), max_open),
                    number,
                    max_bytes=max_bytes,
                    last_wins=last_wins,
                    findx=findx,
                    gaps=gaps,
                    tell_created=tell_created,
                )
                for number in range(writers)
            ]
            items = frames if frames and isinstance(frames[0], tuple) else timed(frames)
            size = max(1, -(-len(items) // feeds))
            self.batches: list[Batch] = []
            for begin in range(0, len(items), size):
                data = records(items[begin : begin + size])
                self.engine.feed(data, ETHERNET)
                self._execute(store, at_work)
                del data
            self.engine.finish()
            self._execute(store, at_work)
        finally:
            os.close(directory_fd)
        self.store = store
        self.facts: list[ClosedStream] = [
            fact for batch in self.batches for fact in batch.facts(b"", with_gaps=True)
        ]
        self.files = {
            str(path.relative_to(directory)): path.read_bytes()
            for path in sorted(directory.rglob("*"))
            if path.is_file()
        }

    def _execute(self, store: Store, writers: list[Writer]) -> None:
        batch = store.take()
        for writer in writers:
            writer.execute(batch)
        self.batches.append(batch)
