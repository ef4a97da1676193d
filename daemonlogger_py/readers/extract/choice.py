"""Which savefiles an extraction opens, chosen some at a time: a ring may have very many.

Left out is what the catalog, the index or the times of files say holds nothing of the span or of
what the filter accepts. Of what is left out, only what an output has to say of it is kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from operator import attrgetter

from daemonlogger_py.readers.archive import Directory, Member
from daemonlogger_py.readers.extract.format import distinct_headers
from daemonlogger_py.readers.extract.plan import needed
from daemonlogger_py.readers.extract.sidecars import Look
from daemonlogger_py.readers.extract.stats import Stats
from daemonlogger_py.readers.extract.task import Facts, Task
from daemonlogger_py.readers.extract.work import Work
from daemonlogger_py.savefile.catalog_rows import OPEN

AT_ONCE = 4096
# What an entry says of the savefile's header.
_header_of = attrgetter("linktype", "snaplen", "nanosecond")
# The order of the members of one directory.
_age_of = attrgetter("epoch", "serial", "name")


class Choice:
    """Chooses among the members it is given; `stats` counts what need not be opened.

    With `few`, of the first packets of all, most savefiles will not be asked for anyway.
    """

    def __init__(self, task: Task, stats: Stats, *, jobs: int, few: bool) -> None:
        self.works: list[Work] = []
        """One for each savefile that is to be opened, numbered in the order of the output."""
        self.has_more = False
        """Whether there are savefiles that may hold packets of the span and need no opening."""
        self.unknown = 0
        """How many savefiles no catalog describes."""
        self._task = task
        self._stats = stats
        self._jobs = jobs
        self._few = few
        self._facts: set[Facts] = set()
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
        known = self._facts.copy()
        for directory, names in self._unsaid:
            for header in distinct_headers(directory.dir_fd, names):
                facts = self._task.facts_of_header(header)
                if facts is not None:
                    known.add(facts)
        return known

    def _chosen(self, members: Iterable[Member]) -> Iterator[Work]:
        """Works of one directory, in its order."""
        found: list[Work] = []
        unknown: list[Member] = []
        newest = ""
        rest = iter(members)
        while some := list(islice(rest, AT_ONCE)):
            newest = "" if some[-1].directory.prefix is None else some[-1].name
            found += self._opened([one for one in some if one.entry is not None])
            unknown += [one for one in some if one.entry is None]
        if unknown:
            found += self._opened(unknown)
            found.sort(key=lambda work: _age_of(work.member))
        for work in found:
            work.newest = work.member.name == newest
            yield work

    def _opened(self, members: Sequence[Member]) -> Iterator[Work]:
        """Works of those that an extraction has to open."""
        task = self._task
        # What is being written has no entry yet, with any catalog.
        self.unknown += sum(one.entry is None and one.state != OPEN for one in members)
        chosen, passed_by = needed(
            members, task.span_from_ns, task.span_to_ns, task.reads_all, task.named
        )
        self._stats.passed_by += passed_by
        opened = self._worth_opening(chosen)
        if len(opened) < len(chosen):
            others = set(map(id, opened))
            self._pass_over([member for member in chosen if id(member) not in others])
        return (Work(task, member) for member in opened)

    def _worth_opening(self, members: list[Member]) -> list[Member]:
        """Those whose sidecars do not say at a glance that nothing is in them."""
        task = self._task
        in_order = bool(members) and members[0].entry is not None
        if task.sidecars is None or (self._few and in_order):
            return members
        look = Look(task.filter_text, task.from_ns, task.to_ns)
        return task.sidecars.worth_opening(members, look, self._stats, self._jobs)

    def _pass_over(self, members: Sequence[Member]) -> None:
        """Keep what there is to say of these, which are of one directory."""
        self.has_more = True
        entries = {_header_of(one.entry): one.entry for one in members if one.entry is not None}
        said = map(self._task.facts_of_entry, entries.values())
        self._facts.update(facts for facts in said if facts is not None)
        unsaid = [one.name for one in members if one.entry is None]
        if unsaid:
            self._unsaid.append((members[0].directory, unsaid))
