"""``dlctl ls``: which savefiles there are, what is known of them, and what was not recorded.

What is known comes from the catalog and the directory: no savefile is walked, so that 100,000 are
listed in a few seconds; of one that the catalog does not know, the first record's time is read. How
it looks is `ls_rows`'s.
"""

import time
from collections.abc import Iterator, Sequence

from daemonlogger_py.config.archive import LsConfig
from daemonlogger_py.errors import CatalogError, SourceError
from daemonlogger_py.readers.archive import Archive, Directory
from daemonlogger_py.readers.asides import asides
from daemonlogger_py.readers.figures import counted, duration, size
from daemonlogger_py.readers.gaps import is_unrecorded
from daemonlogger_py.readers.ls_rows import (
    FOR_PEOPLE,
    FOR_PROGRAMS,
    Listed,
    json_line,
    rows_for_people,
    rows_for_programs,
)
from daemonlogger_py.readers.output import tell, write_lines
from daemonlogger_py.readers.tables import on_terminal, show
from daemonlogger_py.savefile.catalog_rows import Gap, Pin
from daemonlogger_py.savefile.pinned import Pins


class Totals:
    """Sums over what was listed so far; times count as far as they are within the span."""

    def __init__(self, from_ns: int | None = None, to_ns: int | None = None) -> None:
        self.savefiles = self.packets = self.size_bytes = self.drops = 0
        self.unknown = 0  # savefiles of which the catalog says nothing
        self.unwalked = 0  # of which it does not know all packets
        self.pinned = self.pinned_bytes = 0
        self.aside_bytes = 0  # that repairs keep beside them
        self.gaps = self.missed_ns = 0
        self._from_ns = self._missed_to_ns = from_ns or 0
        now_ns = time.time_ns()  # until then gaps last that have no end yet
        self._to_ns = now_ns if to_ns is None else min(to_ns, now_ns)

    def add(self, listed: Listed, aside_bytes: int = 0) -> None:
        """Count a savefile, and what a repair keeps beside it."""
        entry = listed.member.entry
        self.savefiles += 1
        self.size_bytes += listed.member.size_bytes
        self.aside_bytes += aside_bytes
        if listed.pins:
            self.pinned += 1
            self.pinned_bytes += listed.member.size_bytes + aside_bytes
        if entry is None:
            self.unknown += 1
        else:
            self.packets += entry.packets
            self.drops += entry.dropped + entry.lost
            self.unwalked += not entry.walked

    def add_gap(self, gap: Gap) -> None:
        """Count a gap, and how long nothing was recorded if nothing was."""
        self.gaps += 1
        if not is_unrecorded(gap):
            return
        to_ns = self._to_ns if gap.to_ns is None else min(gap.to_ns, self._to_ns)
        # They may overlap: a crash, and within it the clock was set.
        self.missed_ns += max(to_ns - max(gap.from_ns, self._missed_to_ns), 0)
        self._missed_to_ns = max(self._missed_to_ns, to_ns)

    def next_directory(self) -> None:
        """What follows is on another time line."""
        self._missed_to_ns = self._from_ns

    def line(self) -> str:
        """What all of it comes to."""
        known = self.savefiles - self.unknown
        where = f" in the {known:,} that the catalog knows" if self.unknown else ""
        parts = [
            f"{counted(self.savefiles, 'savefile')}, {size(self.size_bytes)}",
            f"{counted(self.packets, 'packet')} and {counted(self.drops, 'drop')}{where}",
        ]
        if self.unwalked:
            parts.append(f"{self.unwalked:,} damaged or of another format")
        if self.aside_bytes:
            parts.append(f"{size(self.aside_bytes)} that repairs keep beside them")
        if self.pinned:
            parts.append(f"{size(self.pinned_bytes)} in {self.pinned:,} pinned")
        if self.gaps:
            missed = f", {duration(self.missed_ns)} not recorded" if self.missed_ns else ""
            parts.append(f"{counted(self.gaps, 'gap')}{missed}")
        return "; ".join(parts)


def run(config: LsConfig) -> int:
    """Print the list and return the exit status. Raises UsageError, SourceError, OutputError."""
    with Archive(config.where, required=True) as archive:
        gaps = archive.gaps() if config.gaps else []
        totals = Totals(config.where.from_ns, config.where.to_ns)
        listing = Listing(archive, gaps, totals)
        if config.json:
            write_lines(map(json_line, listing))
        elif on_terminal():
            _show_people(listing)
        else:
            several = len(archive.directories) > 1
            show(FOR_PROGRAMS, rows_for_programs(listing, paths=several))
        if not config.json:
            write_lines([totals.line()])
        for line in [*(one.text for one in archive.complaints), *listing.complaints]:
            tell("ls", line)
    return 0


class Listing:
    """Savefiles directory by directory, each gap before the first savefile that begins after it.

    They are looked up as they are taken, so that not all are in memory; what is given out is added
    to `totals`.
    """

    def __init__(
        self,
        archive: Archive,
        gaps: Sequence[tuple[Directory, Gap]],
        totals: Totals,
    ) -> None:
        self.complaints: list[str] = []
        self._archive = archive
        self._gaps = gaps
        self._totals = totals

    def __iter__(self) -> Iterator[Listed | Gap]:
        for _, things in self.by_directory():
            yield from things

    def by_directory(self) -> Iterator[tuple[Directory, Iterator[Listed | Gap]]]:
        """Directories, each with what is in it; take one's things before the next."""
        for directory in self._archive.directories:
            self._totals.next_directory()
            yield directory, self._things(directory)

    def __len__(self) -> int:
        return len(self._archive.directories)

    def _things(self, directory: Directory) -> Iterator[Listed | Gap]:
        pins = self._pins(directory)
        together = Pins((pin.from_ns, pin.to_ns) for pin in pins)
        gaps = [gap for where, gap in self._gaps if where is directory]
        gaps.reverse()
        beside = _asides(directory)
        for member in self._archive.members_of(directory):
            listed = Listed.of(member, pins, together)
            while gaps and gaps[-1].from_ns < listed.begin_ns:
                self._totals.add_gap(gaps[-1])
                yield gaps.pop()
            self._totals.add(listed, beside.get(member.name, 0))
            yield listed
        for gap in reversed(gaps):
            self._totals.add_gap(gap)
            yield gap

    def _pins(self, directory: Directory) -> list[Pin]:
        if directory.catalog is None:
            return []
        try:
            return directory.catalog.pins()
        except CatalogError as error:
            self.complaints.append(str(error))
            return []


def _asides(directory: Directory) -> dict[str, int]:
    if directory.prefix is None:
        return {}
    try:
        return asides(directory.dir_fd, directory.prefix).sizes_bytes
    except OSError as error:
        raise SourceError(f"{directory.shown}: {error.strerror}") from None


def _show_people(listing: Listing) -> None:
    for directory, things in listing.by_directory():
        if len(listing) > 1:
            write_lines([f"{directory.shown or '.'}:"])
        show(FOR_PEOPLE, rows_for_people(things))
        if len(listing) > 1:
            write_lines([""])
