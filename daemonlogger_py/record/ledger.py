"""What was not recorded, and why: notes of a recording become runs and gaps in the catalog.

Decides what a gap is and where it begins and ends; how rows are stored is `savefile.catalog`'s,
when this is called `cataloger`'s. Times are ns since 1970.

A gap of "stopped" or "crashed" begins when a run ends and lasts until the next one starts. If
nobody could write that beginning, because the machine lost its power, the next run does.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_end import End
from daemonlogger_py.savefile.catalog_rows import Gap, Run
from daemonlogger_py.savefile.holes import Hole

NS_PER_SECOND = 1_000_000_000
# Drops are counted once a second; those of one savefile this close together are one gap, up to
# LONGEST_NS, so that a gap says something of when.
TOGETHER_NS = 2_500_000_000
LONGEST_NS = 60 * NS_PER_SECOND
# Signs of life are written every few seconds.
ALIVE_NS = 60 * NS_PER_SECOND
LOOK_NS = NS_PER_SECOND  # drops that are told happened since the look before

STOPPED, CRASHED = "stopped", "crashed"


class Ledger:
    """The runs and gaps of `catalog`; `run` is this recording's number once it was begun."""

    def __init__(self) -> None:
        self.run: int | None = None
        self._lasting: dict[str, int] = {}  # kind -> number of the gap that lasts
        self._drops: Gap | None = None  # that were counted last; with its number

    @property
    def state(self) -> tuple[int | None, dict[str, int], Gap | None]:
        """What to set again when what was written since is taken back."""
        return self.run, dict(self._lasting), self._drops

    @state.setter
    def state(self, state: tuple[int | None, dict[str, int], Gap | None]) -> None:
        self.run, self._lasting, self._drops = state

    def begin(
        self,
        catalog: Catalog,
        run: Run,
        alive: Iterable[int],
        last_packets: Mapping[int, int],
        ends: Mapping[int, End] | None = None,
        parted: Callable[[Gap], list[Gap]] = lambda gap: [gap],
    ) -> None:
        """Begin a run, and end what lasted since those before it did.

        `alive` are the numbers of runs that still go on, of other recorders on this ring;
        `last_packets` the times of the last packets that those left that do not; `ends` what
        recorders said of their ends, by `started_ns`, as nobody else was there to write it;
        `parted` says what is left of a gap around what was recorded without a catalog.
        """
        going_on = {*alive}
        earlier = catalog.runs()
        for before in earlier:
            if before.ended_ns is not None or before.number in going_on:
                continue
            if ends is not None and before.started_ns in ends:
                self._ended_alone(catalog, before, ends[before.started_ns], run.started_ns)
            else:
                last_ns = max(
                    before.seen_ns,
                    last_packets.get(before.number, 0),
                    _last_sealed(catalog, before),
                )
                self._was_killed(catalog, before, min(last_ns, run.started_ns))
        for gap in catalog.gaps(run.started_ns):
            if gap.to_ns is None and gap.run not in going_on:
                for part in parted(gap):
                    to_ns = run.started_ns if part.to_ns is None else part.to_ns
                    number = part.number or catalog.add_gap(part)
                    catalog.close_gap(number, max(part.from_ns, to_ns))
        self.run = catalog.begin_run(run)
        self._lasting.clear()  # by numbers in another catalog, if it was made anew meanwhile
        self._drops = None

    def resume(self, catalog: Catalog, run: Run) -> None:
        """Go on with a run that another process has begun."""
        self.run = run.number
        self._lasting = {
            gap.kind: gap.number
            for gap in catalog.gaps(run.started_ns)
            if gap.run == run.number and gap.to_ns is None
        }

    def noted(self, catalog: Catalog, number: int) -> None:
        """Write that the notes of this run are written up to that number."""
        if self.run is not None:
            catalog.set_notes_of(self.run, number)

    def _ended_alone(self, catalog: Catalog, run: Run, end: End, now_ns: int) -> None:
        """End a run that ended well after the process had died that could have written it."""
        at_ns = min(max(end.stopped_ns, run.seen_ns), now_ns)
        _close_gaps(catalog, run, at_ns)
        detail = "the catalog's process had died: what was dropped is not known"
        catalog.add_gap(
            Gap(kind="unknown", from_ns=run.seen_ns, to_ns=at_ns, run=run.number, detail=detail)
        )
        catalog.end_run(run.number, at_ns, end.why)
        catalog.add_gap(Gap(kind=STOPPED, from_ns=at_ns, run=run.number, detail=end.why))

    def _was_killed(self, catalog: Catalog, run: Run, at_ns: int) -> None:
        """End a run that could not, at its last sign of life."""
        _close_gaps(catalog, run, at_ns)
        catalog.end_run(run.number, at_ns, CRASHED)
        detail = "the recorder or the machine died"
        catalog.add_gap(Gap(kind=CRASHED, from_ns=at_ns, run=run.number, detail=detail))

    def still_there(self, catalog: Catalog, seen_ns: int) -> None:
        """Note a sign of life: all that was received until then is in savefiles."""
        if self.run is not None:
            catalog.seen(self.run, seen_ns)

    def gap(self, catalog: Catalog, note: dict[str, Any], savefile: str | None) -> None:
        """Write a gap that is over."""
        catalog.add_gap(
            Gap(
                kind=note["kind"],
                from_ns=note["from_ns"],
                to_ns=note["to_ns"],
                packets=note.get("packets"),
                savefile=savefile,
                run=self.run,
                detail=note.get("detail", ""),
            )
        )

    def removed(self, catalog: Catalog, hole: Hole) -> None:
        """Write that savefiles are not there any more, for a reason that nobody noted."""
        catalog.add_gap(hole.gap(self.run))

    def begins(
        self, catalog: Catalog, kind: str, at_ns: int, detail: str, savefile: str | None
    ) -> None:
        """Write a gap that lasts, unless one of its kind does already."""
        if kind not in self._lasting:
            gap = Gap(kind=kind, from_ns=at_ns, savefile=savefile, run=self.run, detail=detail)
            self._lasting[kind] = catalog.add_gap(gap)

    def ends(self, catalog: Catalog, kind: str, at_ns: int) -> None:
        """End the gap of this kind that lasts, if one does."""
        number = self._lasting.pop(kind, None)
        if number is not None:
            catalog.close_gap(number, at_ns)

    def dropped(self, catalog: Catalog, packets: int, at_ns: int, savefile: str | None) -> None:
        """Count packets that the kernel dropped since the last look."""
        drops = self._drops
        if drops is not None and drops.packets is not None and drops.to_ns is not None:
            close = at_ns - drops.to_ns <= TOGETHER_NS and at_ns - drops.from_ns <= LONGEST_NS
            if close and drops.savefile == savefile:
                self._drops = drops = drops._replace(to_ns=at_ns, packets=drops.packets + packets)
                catalog.close_gap(drops.number, at_ns, drops.packets)
                return
        drops = Gap(
            kind="dropped",
            from_ns=at_ns - LOOK_NS,
            to_ns=at_ns,
            packets=packets,
            savefile=savefile,
            run=self.run,
        )
        self._drops = drops._replace(number=catalog.add_gap(drops))

    def end(self, catalog: Catalog, why: str, at_ns: int, *, killed: bool) -> None:
        """End the run; what follows was not recorded. `killed`: it could not say so itself."""
        for kind in [*self._lasting]:
            self.ends(catalog, kind, at_ns)
        number, self.run = self.run, None
        runs = catalog.runs()
        if not any(run.number == number and run.ended_ns is None for run in runs):
            return  # the next run found it without an end, and has written one
        assert number is not None  # noqa: S101
        catalog.end_run(number, at_ns, CRASHED if killed else why)
        if not any(run.number != number and _goes_on(run, at_ns) for run in runs):
            kind = CRASHED if killed else STOPPED
            catalog.add_gap(Gap(kind=kind, from_ns=at_ns, run=number, detail=why))


def _close_gaps(catalog: Catalog, run: Run, at_ns: int) -> None:
    for gap in catalog.gaps(run.started_ns):
        if gap.run == run.number and gap.to_ns is None:
            catalog.close_gap(gap.number, max(gap.from_ns, at_ns))


def _last_sealed(catalog: Catalog, run: Run) -> int:
    """Time of the last packet in the savefiles of a run that were sealed; 0 without any."""
    return max(
        (entry.last_ns or 0 for entry in catalog.entries(run.seen_ns) if entry.run == run.number),
        default=0,
    )


def _goes_on(run: Run, now_ns: int) -> bool:
    """Whether a run, of another recorder on this ring, was alive a moment ago."""
    return run.ended_ns is None and run.seen_ns > now_ns - ALIVE_NS
