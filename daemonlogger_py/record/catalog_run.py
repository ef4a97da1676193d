"""The run of this recording in the catalog: begun, taken up by the next process, and ended.

Finds out what earlier runs left without an end. Which rows and gaps that makes is `ledger`'s.
"""

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from daemonlogger_py import __version__
from daemonlogger_py.record import census
from daemonlogger_py.record.ledger import ALIVE_NS, NS_PER_SECOND, Ledger
from daemonlogger_py.savefile import catalog_end
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import Gap, Run
from daemonlogger_py.savefile.strays import parted

if TYPE_CHECKING:
    from daemonlogger_py.record.opening import Opened

# A note is some milliseconds behind what it is of.
_MOST_LATER = 10


class OwnRun:
    """The run of the recording `ready`, of the process `recorder_pid`."""

    def __init__(self, ready: "Opened", recorder_pid: int, ledger: Ledger) -> None:
        assert ready.log_dir is not None  # noqa: S101
        self.number: int | None = None
        self.begun = False
        """Whether the catalog knows it."""
        self.over = False
        """Whether its end is written, or about to be."""
        self._ready = ready
        self._recorder_pid = recorder_pid
        self._dir_fd = ready.log_dir.fd
        self._naming = ready.log_dir.naming
        self._ledger = ledger

    def is_in(self, catalog: Catalog) -> bool:
        """Whether it is in this catalog; one that was made anew does not know it."""
        us = self.number, self._ready.since_ns
        return self.begun and any((run.number, run.started_ns) == us for run in catalog.runs())

    def resume(self, catalog: Catalog) -> Run | None:
        """Take it up where a process that was killed left it; None: that had not begun it."""
        ours = self._ready.since_ns, self._recorder_pid
        found = [run for run in catalog.runs() if (run.started_ns, run.pid) == ours]
        if not found:
            return None
        run = found[-1]
        self.number = run.number
        self.begun = True
        if run.ended_ns is None:
            self._ledger.resume(catalog, run)
        else:  # it was killed with savefiles still to be hashed
            self.over = True
        return run

    def begin(
        self, catalog: Catalog, found: census.Census, current: str | None, filter_text: str
    ) -> None:
        """Begin it, and end what earlier ones could not. `current` is its open savefile."""
        alive = {
            entry.run
            for entry in found.open
            if entry.run is not None and census.is_being_written(self._dir_fd, entry.name)
        }
        ends = catalog_end.ends(catalog.path)
        last_packets = self._last_packets(catalog, found, alive, current)
        begun_s = self._ready.since_ns // NS_PER_SECOND
        before = self._dir_fd, [name for name in found.unknown if name.epoch < begun_s]
        with catalog.transaction():
            # In here: one that begins meanwhile waits until we are done.
            alive |= {run.number for run in catalog.runs() if self._just_begun(run, current)}
            row = self._row(filter_text)
            self._ledger.begin(
                catalog, row, alive, last_packets, ends, lambda gap: parted(gap, catalog, *before)
            )
        if ends:
            with suppress(OSError):
                catalog_end.forget(catalog.path)
        self.number = self._ledger.run
        self.begun = True

    def end(
        self,
        catalog: Catalog,
        said: dict[str, Any] | None,
        safe_ns: int,
        hung_up_ns: int | None,
        current: str | None,
    ) -> None:
        """End it: as the recorder `said`, or else as is to be seen.

        `safe_ns`: what was received until then is in savefiles. `hung_up_ns`: when the recorder
        was found to have ended. `current` is the savefile it had open.
        """
        if said is not None:
            self._ended_well(catalog, said, safe_ns, current)
            return
        left = catalog_end.ends(catalog.path).get(self._ready.since_ns)
        if left is not None:  # it did not wait any longer for whoever was to write it
            self._ledger.gap(catalog, behind(safe_ns, left.stopped_ns), None)
            self._ledger.end(catalog, left.why, left.stopped_ns, killed=False)
            return
        for name in self._written_last(current):
            # What is there proves that it recorded until then.
            safe_ns = max(safe_ns, census.last_packet_ns(self._dir_fd, name))
        last_ns = min(safe_ns, hung_up_ns or safe_ns)
        self._ledger.end(catalog, "the recorder was killed", last_ns, killed=True)

    def _written_last(self, current: str | None) -> list[str]:
        """The savefile it had open, and those it began without being able to say so any more."""
        begun = self._naming.parse(current) if current is not None else None
        if begun is None:
            return []
        found = [name for one in os.listdir(self._dir_fd) if (name := self._naming.parse(one))]
        later = sorted(name for name in found if name > begun)[:_MOST_LATER]
        # Those of another recorder on this ring are locked by it.
        not_ours = (census.is_being_written(self._dir_fd, name.name) for name in later)
        unlocked = [name.name for name, other in zip(later, not_ours, strict=True) if not other]
        return [begun.name, *unlocked]

    def _ended_well(
        self, catalog: Catalog, said: dict[str, Any], safe_ns: int, current: str | None
    ) -> None:
        if said["lost"]:
            from_ns = min(said["lost_from_ns"] or safe_ns, said["at_ns"])
            catalog.add_gap(
                Gap(
                    kind="lost",
                    from_ns=from_ns,
                    to_ns=said["at_ns"],
                    packets=said["lost"],
                    savefile=current,
                    run=self.number,
                    detail=said["why"],
                )
            )
        self._ledger.end(catalog, said["why"], said["stopped_ns"], killed=False)

    def _last_packets(
        self, catalog: Catalog, found: census.Census, alive: set[int], current: str | None
    ) -> dict[int, int]:
        """Times of the last packets of runs that ended without a word, by their numbers."""
        last_packets: dict[int, int] = {}
        for entry in found.open:
            if entry.run is not None and entry.run not in alive:
                last_ns = census.last_packet_ns(self._dir_fd, entry.name)
                last_packets[entry.run] = max(last_ns, last_packets.get(entry.run, 0))
        # What a recorder went on with when its catalog's process had died before it.
        dead = [run.number for run in catalog.runs() if run.ended_ns is None]
        dead = [number for number in dead if number not in alive]
        known = {current, *(entry.name for entry in found.open)}
        strays = [name.name for name in found.unknown if name.name not in known]
        if dead and strays:
            last_ns = self._last_packet_before_this(strays)
            last_packets[dead[-1]] = max(last_ns, last_packets.get(dead[-1], 0))
        return last_packets

    def _last_packet_before_this(self, strays: list[str]) -> int:
        """Time of the last packet in `strays`, oldest first, from before this run; 0: none is.

        This run may have rolled over before it is begun here, and its first may be empty.
        """
        for name in reversed(strays):
            if census.is_being_written(self._dir_fd, name):
                continue  # by another recorder on this ring
            last_ns = census.last_packet_ns(self._dir_fd, name)
            if 0 < last_ns <= self._ready.since_ns:
                return last_ns
        return 0

    def _just_begun(self, run: Run, current: str | None) -> bool:
        """Whether another recorder on this ring has begun a run, and a savefile without a row."""
        since_s, long_ago_ns = run.started_ns // NS_PER_SECOND, self._ready.since_ns - ALIVE_NS
        if run.ended_ns is not None or run.started_ns < long_ago_ns:
            return False
        if run.pid == self._recorder_pid or run.boot_id != _boot_id() or not _exists(run.pid):
            return False
        return any(
            census.is_being_written(self._dir_fd, name.name)
            for name in self._naming.listed(self._dir_fd)
            if name.epoch >= since_s and name.name != current
        )

    def _row(self, filter_text: str) -> Run:
        source = self._ready.source
        return Run(
            started_ns=self._ready.since_ns,
            seen_ns=self._ready.since_ns,
            interface=self._ready.config.interface,
            filter_text=filter_text,
            snaplen=source.snaplen,
            linktype=source.linktype,
            host=socket.gethostname(),
            version=__version__,
            pid=self._recorder_pid,
            boot_id=_boot_id(),
        )


def written(catalog: Catalog, run: Run, taken_in: int) -> int:
    """Number of the last note of a run that is written, of `taken_in`."""
    return taken_in if run.ended_ns is not None else catalog.notes_of(run.number)


def incomplete(run: Run) -> dict[str, Any]:
    """A gap, as a note says it: of what happened until now not all was kept."""
    return {
        "kind": "unknown",
        "from_ns": run.seen_ns,
        "to_ns": max(run.seen_ns, time.time_ns()),
        "detail": "the catalog's process was killed: not all that was dropped is known",
    }


def behind(from_ns: int, to_ns: int, packets: int | None = None) -> dict[str, Any]:
    """The same, of notes that did not wait any longer for the process that was to write them.

    `packets` of which they told were not recorded; None: not known.
    """
    return {
        "kind": "unknown",
        "from_ns": from_ns,
        "to_ns": max(from_ns, to_ns),
        "packets": packets,
        "detail": "the catalog's process was behind: not all that was dropped is known",
    }


def _exists(pid: int) -> bool:
    """Whether there is a process of this number, as far as that can be seen from here."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid > 0


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:  # a chroot without /proc
        return ""
