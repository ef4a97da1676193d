"""What `verify` looks at, in order, and how several are looked at at once.

A path that is not there, or no savefile, is looked at as well: it is a verdict of its own.
"""

import heapq
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import NamedTuple, Self, TypeVar

from daemonlogger_py.config.archive import Where
from daemonlogger_py.errors import SourceError
from daemonlogger_py.readers.archive import Archive, Directory, Member
from daemonlogger_py.readers.inputs.directory import age_order
from daemonlogger_py.readers.progress import Progress
from daemonlogger_py.readers.verify.verdict import Verdict
from daemonlogger_py.savefile.catalog_rows import Entry
from daemonlogger_py.savefile.names import printable

_AHEAD = 4  # savefiles begun for each worker, so that none of them waits for the printing

_Task = TypeVar("_Task")
_Found = TypeVar("_Found")


class Asked(NamedTuple):
    """One ring or PATH that is to be looked at."""

    archive: Archive
    named: bool  # it is a savefile: nothing is said of the rest of its directory

    def members(self) -> Iterator[Member]:
        """Its savefiles, one by one. Raises SourceError."""
        return (member for member, _ in self.with_entries())

    def with_entries(self) -> Iterator[tuple[Member, Entry | None]]:
        """Each with its entry in the catalog, also one that is about the file as it was."""
        archive = self.archive
        known = len(archive.directories)
        yield from heapq.merge(
            *map(archive.with_entries, archive.directories[:known]),
            key=lambda both: age_order(both[0].name),
        )
        # What was compressed meanwhile, where nothing was before.
        for directory in archive.directories[known:]:
            yield from archive.with_entries(directory)

    @property
    def directories(self) -> Sequence[Directory]:
        """The rings in it."""
        return [one for one in self.archive.directories if one.prefix is not None]


class Looking:
    """All that `where` asks for, open, in its order. Raises UsageError for rings."""

    def __init__(self, where: Where) -> None:
        self.asked: list[Asked | Verdict] = []
        with ExitStack() as stack:
            for ring in where.rings:
                only = where._replace(paths=(), rings=(ring,))
                self._add(only, stack, named=False)
            for path in where.paths:
                only = where._replace(paths=(path,), rings=())
                try:
                    self._add(only, stack, named=not os.path.isdir(path))
                except SourceError as error:
                    reason = str(error).removeprefix(f"{printable(path)}: ")
                    self.asked.append(Verdict(path, damage=reason))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    @property
    def total_bytes(self) -> int:
        """Of all savefiles, which are gone through for it."""
        return sum(
            member.size_bytes
            for one in self.asked
            if isinstance(one, Asked)
            for member in one.members()
        )

    def progress(self, *, wanted: bool) -> Progress:
        """A bar over all savefiles. Raises SourceError."""
        wanted = wanted and sys.stderr.isatty()
        return Progress(self.total_bytes if wanted else None, wanted=wanted)

    def _add(self, where: Where, stack: ExitStack, *, named: bool) -> None:
        archive = stack.enter_context(Archive(where, required=True))
        asked = Asked(archive, named)
        next(asked.members(), None)  # so that it is known now whether they can be listed
        self.asked.append(asked)


def in_order(
    tasks: Iterable[_Task], look: Callable[[_Task], _Found], jobs: int | None
) -> Generator[_Found, None, None]:
    """`look` at all tasks, several at once, and give what was found in their order.

    `jobs` of them at a time; None: as many as there are processors for us. What is not yet begun
    when the iterator is closed is not done.
    """
    workers = jobs or len(os.sched_getaffinity(0))
    if workers == 1:
        yield from map(look, tasks)
        return
    waiting: deque[Future[_Found]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="verify") as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(look, task))
                if len(waiting) >= workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
