"""Catalogs anew, from the savefiles alone; pins and the ledger stay where they can be read.

Where the database is sound, all happens in one transaction of it, beside a recorder that writes it.
Where it is not, another is made, and gets the name once it is whole: that takes that nobody writes
the damaged one meanwhile. What a recorder counted of a savefile is kept if its SHA-256 is the same.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from typing import Generic, NamedTuple, TypeVar

from daemonlogger_py.config.archive import VerifyConfig
from daemonlogger_py.errors import CatalogError, StorageError, UsageError
from daemonlogger_py.readers.archive import UNKNOWN, Archive, Directory, Member
from daemonlogger_py.readers.figures import counted
from daemonlogger_py.readers.gaps import answers
from daemonlogger_py.readers.holes import holes, is_recorded
from daemonlogger_py.readers.inputs.directory import age_order
from daemonlogger_py.readers.output import tell, write_lines
from daemonlogger_py.readers.verify.checking import Counter, foreign_format
from daemonlogger_py.readers.verify.looking import Looking, in_order
from daemonlogger_py.readers.verify.surveyed import Entries, Surveyed
from daemonlogger_py.readers.verify.verdict import CatalogVerdict, Verdict
from daemonlogger_py.savefile import catalog_schema
from daemonlogger_py.savefile.catalog import Catalog, set_aside
from daemonlogger_py.savefile.catalog_rows import (
    LARGEST,
    OPEN,
    RECOVERED,
    SEALED,
    Entry,
    Gap,
    Link,
    Pin,
    Run,
)
from daemonlogger_py.savefile.holes import Hole, is_file
from daemonlogger_py.savefile.leases import is_written
from daemonlogger_py.savefile.names import CATALOG, SavefileName, printable
from daemonlogger_py.savefile.survey import survey

REBUILT = ".rebuilt"

_Row = TypeVar("_Row")


class _Found(NamedTuple):
    entry: Entry | None  # None: it is being written, or is gone
    failure: str | None
    damage: str | None = None  # it is in the catalog all the same


class _Ledger(NamedTuple):
    """What of a damaged catalog can still be read, but for its entries."""

    runs: list[Run]
    gaps: list[Gap]
    pins: list[Pin]
    quota_bytes: int | None
    whole: bool


class _Done(NamedTuple):
    """A catalog that was written."""

    note: str
    altered: list[str]  # savefiles that are not what the one before says
    gone: list[str]  # that pruning does not explain


def rebuild(config: VerifyConfig) -> int:
    """Make the catalogs of all rings that are asked for; print a line each; return the status.

    1 where a savefile could not be read, is damaged, is not what was sealed, or is gone and was not
    pruned: what the catalog said of it is gone afterwards, so that this is said here. Raises
    UsageError, SourceError, CatalogError and StorageError.
    """
    failed = False
    with Looking(config.where) as looking:
        rings = list(_rings(looking))
        counter = Counter()
        with looking.progress(wanted=config.progress) as progress:
            for archive, directory in rings:
                members = archive.members_of(directory)
                found = in_order(members, lambda member: _survey(member, counter), config.jobs)
                damaged: list[str] = []
                with Surveyed() as surveyed, closing(found):
                    for one in found:
                        progress.update(counter.read_bytes)
                        if one.failure is not None:
                            failed = True
                            tell("verify", one.failure)
                        if one.entry is not None:
                            surveyed.append(one.entry)
                            if one.damage is not None:
                                damaged.append(f"{one.entry.name} is damaged: {one.damage}")
                    verdict = _rewritten(directory, surveyed, damaged)
                failed = failed or not verdict.whole
                write_lines([verdict.as_json()] if config.json else _lines(verdict))
    return 1 if failed else 0


def _lines(verdict: CatalogVerdict) -> list[str]:
    """A line for each savefile that is damaged, was altered or is gone, and one for the catalog."""
    faults = [printable(fault) for fault in verdict.faults]
    return [*faults, CatalogVerdict(verdict.path, note=verdict.note).text()]


def _rings(looking: Looking) -> Iterator[tuple[Archive, Directory]]:
    found = 0
    for asked in looking.asked:
        if isinstance(asked, Verdict):
            raise UsageError(f"{printable(asked.path)}: {asked.damage}")
        if asked.named:
            shown = asked.archive.directories[0].shown
            raise UsageError(
                f"--rebuild: a savefile of {shown or os.curdir} is named; accepted: directories"
            )
        for directory in asked.directories:
            found += 1
            yield asked.archive, directory
    if not found:
        raise UsageError("--rebuild: no savefiles PREFIX.EPOCH are there")


def _survey(member: Member, counter: Counter) -> _Found:
    try:
        fd = member.open()
    except FileNotFoundError:
        return _Found(None, None)  # pruned meanwhile
    except OSError as error:
        return _Found(None, f"{member.shown}: {error.strerror}")
    try:
        if is_written(fd):
            return _Found(None, None)
        found = survey(fd, progress=counter.add)
        damage = None if foreign_format(fd) else found.walk.damage
    except OSError as error:
        return _Found(None, f"{member.shown}: {error.strerror}")
    finally:
        os.close(fd)
    if found.changed:
        return _Found(None, None)  # by somebody without a lock: it is not sealed
    state = SEALED if member.state in (UNKNOWN, OPEN) else member.state
    name = SavefileName(member.epoch, member.serial, member.name)
    return _Found(found.entry(name, state), None, damage)


def _path(directory: Directory) -> str:
    return os.path.join(directory.path, f"{directory.prefix}{CATALOG}")


def _rewritten(directory: Directory, surveyed: Surveyed, damaged: list[str]) -> CatalogVerdict:
    """Write the catalog and say what is in it, and what is not as it was in the one before.

    `damaged` says of each savefile that is so what its damage is.
    """
    path = _path(directory)
    try:
        # What a rebuild left that was killed.
        for left in (REBUILT, REBUILT + catalog_schema.NEW, catalog_schema.NEW):
            catalog_schema.discard(path + left)
    except OSError as error:
        raise CatalogError(f"{printable(path)}: cannot be made: {error.strerror}") from None
    done = _in_place(directory, path, surveyed) if os.path.lexists(path) else None
    if done is None:
        done = _made_anew(directory, path, surveyed)
    packets = counted(surveyed.packets, "packet")
    note = f"made anew: {counted(len(surveyed), 'savefile')}, {packets}"
    if damaged:
        note += f", {len(damaged):,} of which {'is' if len(damaged) == 1 else 'are'} damaged"
    if done.altered:
        are = "is" if len(done.altered) == 1 else "are"
        note += f", {len(done.altered):,} of which {are} not what was sealed"
    if done.gone:
        note += f"; {counted(len(done.gone), 'savefile')} gone, which a gap says from now on"
    faults = [*damaged, *(f"{name} is not what was sealed" for name in done.altered)]
    faults += [f"{name} is gone, and was not pruned" for name in done.gone]
    return CatalogVerdict(path, tuple(faults), f"{note}; {done.note}")


def _in_place(directory: Directory, path: str, surveyed: Surveyed) -> _Done | None:
    """Replace the entries of a sound database; None: it is not sound."""
    try:
        with Catalog.open(path, write=True) as catalog:
            if catalog.query("PRAGMA integrity_check(1)") != [("ok",)]:
                return None
            with catalog.transaction():
                lost = catalog.mend()
                relinked = _relinked(catalog.links(), surveyed)
                missing = _missing(directory, catalog)
                gone = [name for hole in missing for name in hole.names]
                if is_recorded(catalog):
                    # It may have pruned them, and is about to say so; else it writes the gap.
                    altered = _replaced(directory, catalog, surveyed, relinked, kept=gone)
                    gone = []
                else:
                    altered = _replaced(directory, catalog, surveyed, relinked, kept=())
                    _add_holes(catalog, missing)
                if lost.keys() & {"gap", "run"}:
                    catalog.add_gap(_unknown(surveyed))
                pins = len(catalog.pins())
    except CatalogError as error:
        if error.locked:
            raise
        return None
    ledger = "the ledger is kept" if not lost else f"{sum(lost.values())} damaged rows are removed"
    return _Done(f"{ledger}, {counted(pins, 'pin')} kept", altered, gone)


def _made_anew(directory: Directory, path: str, surveyed: Surveyed) -> _Done:
    """Make another database and put the one that is there aside."""
    there = os.path.lexists(path)
    if there and (answers(path) or _is_recorded(directory)):
        raise CatalogError(
            f"{printable(path)}: is damaged, and a recorder writes it; accepted: --rebuild once"
            " the recorder has been stopped"
        )
    new = path + REBUILT
    with Catalog.create(new) as catalog, catalog.transaction():
        ledger, relinked = _salvaged(path, catalog, surveyed)
        missing = _missing(directory, catalog)
        altered = _replaced(directory, catalog, surveyed, relinked, kept=None)
        for run in ledger.runs:
            catalog.begin_run(run)
        for gap in ledger.gaps:
            catalog.add_gap(gap)
        _add_holes(catalog, missing)
        for pin in ledger.pins:
            catalog.put_pin(pin)
        catalog.set_pin_quota_bytes(ledger.quota_bytes)
        if there and not ledger.whole:
            catalog.add_gap(_unknown(surveyed))
    _own(new, directory, surveyed)
    aside = _published(new, path, there=there)
    pins = counted(len(ledger.pins), "pin")
    if not there:
        return _Done("there was none before", [], [])
    kept = "the ledger" if ledger.whole else "what could be read of the ledger"
    note = f"{kept} and {pins} kept; the damaged one is {printable(os.path.basename(aside))} now"
    return _Done(note, altered, [name for hole in missing for name in hole.names])


def _replaced(
    directory: Directory,
    catalog: Catalog,
    surveyed: Surveyed,
    relinked: Mapping[str, list[bytes]],
    *,
    kept: Iterable[str] | None,
) -> list[str]:
    """Put what was surveyed in the place of a catalog's entries, with what only they know.

    Those of savefiles that are there and were not surveyed stay, and those `kept`; None: they do
    not. Returns the names of savefiles whose SHA-256 is not the one in the catalog before, nor in
    its chain.
    """
    altered: list[str] = []
    keep = list(kept or ())
    with Entries() as new:
        for entry in surveyed:
            before = catalog.entry(entry.name)
            if before is not None and _is_altered(entry, before, relinked.get(entry.name, ())):
                altered.append(entry.name)
            if kept is None or is_file(directory.dir_fd, entry.name):
                new.append(_with_counts(entry, before))
        if kept is not None:
            # They are being written, or were sealed since.
            keep += (
                one.name
                for one in catalog.unlinked_entries(0, LARGEST)
                if one.name not in surveyed.names and is_file(directory.dir_fd, one.name)
            )
        catalog.replace_entries(new, keep)
    return sorted(altered, key=age_order)


def _missing(directory: Directory, catalog: Catalog) -> list[Hole]:
    try:
        return holes(directory, catalog)
    except OSError as error:
        raise StorageError(f"{directory.shown}: {error.strerror}") from None


def _add_holes(catalog: Catalog, missing: Iterable[Hole]) -> None:
    """Write them down as a recorder would: afterwards no entry is left that says so."""
    for hole in missing:
        catalog.add_gap(hole.gap())


def _published(new: str, path: str, *, there: bool) -> str:
    """Give the new database its name; what had it is put aside."""
    try:
        fd = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        aside = set_aside(path) if there else ""
        # A log without its database would be taken for the new one's.
        catalog_schema.discard(path)
        with suppress(FileNotFoundError):
            os.rename(new + catalog_schema.PAGES, path + catalog_schema.PAGES)
        os.rename(new, path)
    except OSError as error:
        raise CatalogError(f"{printable(path)}: cannot be made: {error.strerror}") from None
    return aside


def _own(new: str, directory: Directory, surveyed: Surveyed) -> None:
    """Give the database to whoever owns the savefiles: its recorder has to write it."""
    with suppress(OSError):
        name = surveyed.newest or os.curdir
        owner = os.stat(name, dir_fd=directory.dir_fd, follow_symlinks=False)
        for end in ("", catalog_schema.PAGES):
            os.chown(new + end, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _is_recorded(directory: Directory) -> bool:
    for name in os.listdir(directory.dir_fd):
        if not name.startswith(f"{directory.prefix}."):
            continue
        with suppress(OSError):
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory.dir_fd)
            try:
                if is_written(fd):
                    return True
            finally:
                os.close(fd)
    return False


def _salvaged(
    path: str, catalog: Catalog, surveyed: Surveyed
) -> tuple[_Ledger, dict[str, list[bytes]]]:
    """Whatever can still be read of a catalog: entries are put into the new one.

    Also what `_relinked` gives.
    """
    try:
        damaged = Catalog.open(path)
    except CatalogError:
        return _Ledger([], [], [], None, whole=False), {}
    with damaged:
        for entry in _Reading(damaged.entries):
            catalog.put(entry._replace(position=None, previous_chain=None, chain=None))
        relinked = _relinked(_Reading(damaged.links), surveyed)
        runs, gaps = _Reading(damaged.runs), _Reading(damaged.gaps)
        quotas = list(_Reading(lambda: [damaged.pin_quota_bytes()]))
        ledger = _Ledger(
            list(runs),
            list(gaps),
            list(_Reading(damaged.pins)),
            quotas[0] if quotas else None,
            whole=False,
        )
        whole = runs.whole and gaps.whole and not damaged.disbelieved
        return ledger._replace(whole=whole), relinked


class _Reading(Generic[_Row]):
    """What can be read of these."""

    def __init__(self, rows: Callable[[], Iterable[_Row]]) -> None:
        self.whole = True
        """Whether that was all."""
        self._rows = rows

    def __iter__(self) -> Iterator[_Row]:
        try:
            yield from self._rows()
        except CatalogError:
            self.whole = False


def _relinked(links: Iterable[Link], surveyed: Surveyed) -> dict[str, list[bytes]]:
    """By name, the SHA-256 of links of savefiles that were surveyed, as they once were."""
    found: dict[str, list[bytes]] = {}
    for link in links:
        if link.name in surveyed.names:
            found.setdefault(link.name, []).append(link.sha256)
    return found


def _is_altered(entry: Entry, before: Entry, relinked: Iterable[bytes]) -> bool:
    """Whether a savefile is not what was sealed."""
    known = {before.sha256} if before.state != OPEN else set()
    # A recorder that finds a savefile altered links it anew, and keeps the link of what it was;
    # so does a repair, which says that it did.
    if before.state == SEALED:
        known.update(relinked)
    return bool(known - {None, entry.sha256})


def _with_counts(entry: Entry, before: Entry | None) -> Entry:
    """The entry with what only the recorder knew of it, if the savefile is still the same."""
    if before is None or before.sha256 != entry.sha256:
        return entry
    state = RECOVERED if before.state == RECOVERED else SEALED
    return entry.with_counts_of(before)._replace(state=state)


def _unknown(surveyed: Surveyed) -> Gap:
    """That what was missed is not known any more."""
    now_ns = time.time_ns()
    from_ns = now_ns if surveyed.first_ns is None else surveyed.first_ns
    return Gap(from_ns=from_ns, to_ns=now_ns, detail="the catalog was damaged and made anew")
