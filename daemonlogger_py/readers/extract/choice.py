"""Which savefiles an extraction opens, chosen some at a time: a ring may have very many.

Left out is what the catalog, the index or the times of files say holds nothing of the span or of
what the filter accepts. Of what is left out, only what an output has to say of it is kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby, islice
from operator import attrgetter, itemgetter

from daemonlogger_py.errors import FilterError, SourceError
from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.readers.extract.format import distinct_headers, is_scanned
from daemonlogger_py.readers.extract.plan import needed
from daemonlogger_py.readers.extract.sidecars import Look
from daemonlogger_py.readers.extract.stats import Stats
from daemonlogger_py.readers.extract.task import Facts, Task
from daemonlogger_py.readers.extract.work import Work

AT_ONCE = 4096
# What an entry says of the savefile's header.
_header_of = attrgetter("linktype", "snaplen", "nanosecond")


class Choice:
    """Chooses among the members it is given; `stats` counts what need not be opened.

    With `few`, of the first packets of all, most savefiles will not be asked for anyway.
    """

    def __init__(self, task: Task, stats: Stats, *, jobs: int, few: bool) -> None:
        self.works: list[Work] = []
        """One for each savefile that is to be opened, numbered in the order of the output."""
        self.has_more = False
        """Whether there are savefiles that may hold packets of the span and need no opening."""
        self._task = task
        self._stats = stats
        self._jobs = jobs
        self._few = few
        self._said: dict[tuple[object, ...], Facts | None] = {}
        self._unsaid: list[tuple[Directory, list[str]]] = []

    def take(self, members: Iterable[Member]) -> None:
        """Choose among `members`, which are together by directory and in their order."""
        for _, of_one in groupby(members, key=lambda member: id(member.directory)):
            self.works += self._chosen(of_one)
        last = len(self.works) - 1
        for at, work in enumerate(self.works):
            work.number = last - at if self._task.reverse else at

    def facts(self) -> set[Facts]:
        """What there is to say of those that need no opening: no output depends on an index."""
        known = {facts for facts in self._said.values() if facts is not None}
        for directory, names in self._unsaid:
            for header in distinct_headers(directory.dir_fd, names):
                if is_scanned(header):
                    with suppress(SourceError, FilterError):
                        known.add(Facts.of_format(self._task.format_of(header)))
        return known

    def _chosen(self, members: Iterable[Member]) -> Iterator[Work]:
        """Works of one directory, in its order."""
        found: list[tuple[int, Work]] = []
        unknown: list[tuple[int, Member]] = []
        newest = ""
        numbered = enumerate(members)
        while some := list(islice(numbered, AT_ONCE)):
            last = some[-1][1]
            newest = "" if last.directory.prefix is None else last.name
            found += self._opened([one for one in some if one[1].entry is not None])
            unknown += [one for one in some if one[1].entry is None]
        found += self._opened(unknown)
        found.sort(key=itemgetter(0))
        for _, work in found:
            work.newest = work.member.name == newest
            yield work

    def _opened(self, members: Sequence[tuple[int, Member]]) -> Iterator[tuple[int, Work]]:
        """Works of those that an extraction has to open, with their places."""
        task = self._task
        chosen, passed_by = needed(
            [member for _, member in members],
            task.span_from_ns,
            task.span_to_ns,
            task.has_index,
        )
        self._stats.passed_by += passed_by
        opened = set(map(id, self._worth_opening(chosen)))
        for member in chosen:
            if id(member) not in opened:
                self._pass_over(member)
        for at, member in members:
            if id(member) in opened:
                yield at, Work(task, member)

    def _worth_opening(self, members: list[Member]) -> list[Member]:
        """Those whose sidecars do not say at a glance that nothing is in them."""
        task = self._task
        in_order = bool(members) and members[0].entry is not None
        if task.sidecars is None or (self._few and in_order):
            return members
        look = Look(task.filter_text, task.from_ns, task.to_ns)
        return task.sidecars.worth_opening(members, look, self._stats, self._jobs)

    def _pass_over(self, member: Member) -> None:
        self.has_more = True
        entry = member.entry
        if entry is not None:
            header = _header_of(entry)
            if header not in self._said:
                self._said[header] = Facts.of_entry(entry)
            if self._said[header] is not None:
                return
        if not self._unsaid or self._unsaid[-1][0] is not member.directory:
            self._unsaid.append((member.directory, []))
        self._unsaid[-1][1].append(member.name)
