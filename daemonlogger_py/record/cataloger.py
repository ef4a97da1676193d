"""The process that keeps the catalog: notes in, rows out, savefiles read again and hashed.

It works until the recorder has ended, whoever ended it, and all that it noted is written. What goes
wrong here is told to the recorder, once, and costs no packet. Killed, it goes on as another process
(`catalog_guard`), which finds in the `journal` what was not written. What a note says, and that
sending one never waits, is `chronicle`'s; what gaps are is `ledger`'s, the run `catalog_run`'s,
what stands of savefiles `catalog_savefiles`'.

One thread has the database, the link and the socket, another (`surveyor`) reads savefiles. A
roll-over is one transaction: the new savefile's entry waits for the survey of the one before, but
no longer than COMMIT_S.
"""

import select
import time
from typing import TYPE_CHECKING, Any

from daemonlogger_py.record import census
from daemonlogger_py.record.answers import Answers
from daemonlogger_py.record.catalog_link import Link, Note
from daemonlogger_py.record.catalog_run import OwnRun, behind, incomplete, written
from daemonlogger_py.record.catalog_savefiles import Savefiles
from daemonlogger_py.record.catalog_status import Status, listening
from daemonlogger_py.record.catalog_store import Store
from daemonlogger_py.record.journal import Journal, Numbered
from daemonlogger_py.record.ledger import Ledger
from daemonlogger_py.record.surveyor import Surveyor
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.names import CATALOG
from daemonlogger_py.savefile.pinned import merged

if TYPE_CHECKING:
    import socket

    from daemonlogger_py.record.opening import Opened

NS_PER_SECOND = 1_000_000_000
COMMIT_S = 0.5
SEEN_S = 10.0
LOOK_S = 0.5  # for what others, such as dlctl pin, wrote
# A recorder that has ended may have been the last to write for days: a lock is waited out.
GIVE_UP_S = 30.0
CENSUS_S = 600.0  # for what others removed or added
REMOVED_AT_ONCE = 500
ARCHIVED_KEPT = 100_000
# What these say stands in no row: it stays in the journal, of each but "recovered" the last one.
STANDING = ("opened", "recovered", "recovery_done", "refiltered", "end")


class Cataloger:
    """Keeps the catalog of the recording `ready`, which is noted down at the other end of `link`.

    The process `recorder_pid` records; `journal` has what an earlier cataloger of it was given and
    did not write, if it goes on `again`. The working directory is the log directory: a path that
    others may not look up is no obstacle.
    """

    def __init__(
        self,
        link: "socket.socket",
        ready: "Opened",
        journal: Journal,
        recorder_pid: int,
        *,
        again: bool = False,
    ) -> None:
        assert ready.log_dir is not None  # noqa: S101
        self._link = Link(link, journal)
        self._journal = journal
        self._again = again
        self._config = ready.config
        self._dir_fd = ready.log_dir.fd
        self._naming = ready.log_dir.naming
        self._shown = ready.log_dir.shown
        self._ledger = Ledger()
        self._run = OwnRun(ready, recorder_pid, self._ledger)
        self._store = Store(f"./{ready.config.prefix}{CATALOG}", self._ledger, self._say)
        self._surveyor = Surveyor(self._dir_fd)
        self._savefiles = Savefiles(ready, self._store, self._surveyor, self._run)
        self._status = Status(ready, recorder_pid)
        self._standing: dict[str, Numbered] = {}
        self._recovery_done = False
        self._safe_ns = ready.since_ns
        self._end: dict[str, Any] | None = None
        self._version = -1
        self._ended = False
        self._seen_at = self._look_at = self._census_at = time.monotonic()
        self._answers: Answers | None = None

    def open(self) -> None:
        """Open the catalog and tell the recorder what is pinned, if that can be done now."""
        if self._store.open():
            self._version = -1
            self._census_at = 0.0
            self._store.attempt(self._tell_pins)

    def run(self) -> None:
        """Do all of it until the recorder has ended and nothing is left to do."""
        self._answers = listening(self._config.prefix, self._say)
        try:
            while not self._ended:
                self._turn()
        finally:
            if self._answers is not None:
                self._answers.close()
            self._surveyor.close()
            self._store.close()

    def _turn(self) -> None:
        now = time.monotonic()
        self.open()
        self._surveyor.go_on(old_too=self._old_too)
        self._wait(now)
        for note in self._link.notes():
            self._heed(note)
        self._answer()
        for done in self._surveyor.take(rests=self._status.is_busy):
            self._safe_ns = max(self._safe_ns, self._savefiles.surveyed(done) or 0)
        self._keep(time.monotonic())
        self._ended = self._link.hung_up_ns is not None and self._at_an_end()

    def _answer(self) -> None:
        """Tell those who ask how it goes."""
        if self._answers is not None:
            self._answers.give(lambda: self._status.line(self._surveyor.behind))

    @property
    def _old_too(self) -> bool:
        """Whether it is time for savefiles of earlier recordings."""
        here = self._link.hung_up_ns is None
        # What came of the last ones is written first, so that a transaction stays short.
        written = self._store.changed_at is None and self._store.catalog is not None
        return here and self._recovery_done and written

    def _wait(self, now: float) -> None:
        waiter = select.poll()
        if self._link.hung_up_ns is None:
            waiter.register(self._link, select.POLLIN)
        if self._answers is not None:
            waiter.register(self._answers, select.POLLIN)
        waiter.register(self._surveyor.done_fd, select.POLLIN)
        until = now + LOOK_S
        if self._store.changed_at is not None and not self._store.refused:
            until = min(until, self._store.changed_at + COMMIT_S)
        if self._census_at <= now and self._store.catalog is not None:
            until = now
        rest_s = self._surveyor.waits_s(old_too=self._old_too)
        if rest_s is not None:
            until = min(until, now + rest_s)
        waiter.poll(max(0, int((until - now) * 1000) + 1))

    def _at_an_end(self) -> bool:
        """Whether the recorder is gone and all it noted is written, or cannot be."""
        if self._run.begun and not self._run.over:
            # Before savefiles that are still to be hashed: a service manager may not wait for them.
            self._run.over = True
            self._store.change(self._write_end)
            self._commit()
        if not self._surveyor.idle:
            return False
        if self._store.refused or not self._run.begun:
            waited_s = (time.time_ns() - (self._link.hung_up_ns or 0)) / NS_PER_SECOND
            return not self._run.begun or waited_s > GIVE_UP_S
        return self._store.catalog is not None and self._commit()

    # The catalog

    def _say(self, event: str, text: str) -> None:
        self._link.say(event, text.replace(" ./", f" {self._shown}/"))

    def _keep(self, now: float) -> None:
        """What is due: look for what others wrote, take a census, write what has changed."""
        here = self._link.hung_up_ns is None
        if self._store.overrun:
            self._store.overrun = False
            self._census_at = 0.0
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._store.attempt(self._tell_pins)
        # Before a census, which takes what an earlier process left unwritten for missing.
        if self._again and self._store.attempt(self._resume):
            self._commit()
        # A recorder that has ended by now still has begun.
        if now >= self._census_at and (here or not self._run.begun):
            self._take_census()
        if not self._run.begun:
            return
        if now >= self._seen_at and here:
            self._seen_at = now + SEEN_S
            seen_ns = self._safe_ns
            self._store.change(lambda catalog: self._ledger.still_there(catalog, seen_ns))
        since = self._store.changed_at
        if since is not None and (self._surveyor.idle or now >= since + COMMIT_S):
            self._commit()

    def _commit(self) -> bool:
        """Write what has changed; returns whether nothing is left to be written."""
        number = self._journal.number
        if not self._store.commit(lambda catalog: self._ledger.noted(catalog, number)):
            return False
        self._journal.keep(sorted(self._standing.values()))
        return True

    def _write_end(self, catalog: Catalog) -> None:
        hung_up_ns, current = self._link.hung_up_ns, self._savefiles.current
        self._run.end(catalog, self._end, self._safe_ns, hung_up_ns, current)

    def _tell_pins(self, catalog: Catalog) -> None:
        version = catalog.data_version()
        if version == self._version:
            return
        if self._link.tell_pins(merged((pin.from_ns, pin.to_ns) for pin in catalog.pins())):
            self._version = version

    # The directory

    def _take_census(self) -> None:
        began = time.monotonic()
        found: list[census.Census] = []

        def look(catalog: Catalog) -> None:
            found[:] = [census.take(catalog, self._dir_fd, self._naming, self._answer)]
            # One that was made anew, by us or by somebody else, does not know of this run.
            if not self._run.is_in(catalog):
                current, filter_text = self._savefiles.current, self._status.filter_text
                self._run.begin(catalog, found[0], current, filter_text)

        # One after the other: what goes wrong with the second does not undo the first.
        if self._store.attempt(look) and self._store.attempt(lambda c: self._settle(c, found[0])):
            now = time.monotonic()
            self._census_at = now + max(CENSUS_S, 100 * (now - began))

    def _settle(self, catalog: Catalog, found: census.Census) -> None:
        """Do what a census found there is to do."""
        gone = [name for name in found.gone if not census.is_there(self._dir_fd, name)]
        gone += found.archived[:-ARCHIVED_KEPT]
        now_ns = time.time_ns()
        for at in range(0, len(gone), REMOVED_AT_ONCE):
            with catalog.transaction():
                for hole in found.holes if at == 0 else ():
                    self._ledger.removed(catalog, hole)
                for name in gone[at : at + REMOVED_AT_ONCE]:
                    catalog.remove(name, now_ns)
        self._surveyor.old([name for name in found.unknown if name.name != self._savefiles.current])

    def _resume(self, catalog: Catalog) -> None:
        """Go on where a process before this one was killed, if it had begun."""
        run = self._run.resume(catalog)
        if run is not None:
            self._safe_ns = max(self._safe_ns, run.seen_ns)
            self._store.leave_out(written(catalog, run, self._journal.number))
            if self._journal.incomplete:
                self._ledger.gap(catalog, incomplete(run), None)
            self._savefiles.resume(catalog)
        self._again = False

    # The recorder

    def _heed(self, note: Note) -> None:
        at_ns, number, facts = note.at_ns, note.number, note.facts
        store, ledger, current = self._store, self._ledger, self._savefiles.current
        if note.what in STANDING:
            self._standing[_key(note)] = Numbered(number, note.data)
        match note.what:
            case "figures":
                self._safe_ns = max(self._safe_ns, facts["safe_ns"])
                self._status.report(at_ns, facts["figures"])
            case "opened":
                self._savefiles.opened(note)
            case "sealed":
                if not self._savefiles.sealed(note):
                    self._census_at = 0.0
            case "pruned":
                self._savefiles.pruned(note)
            case "archived":
                self._savefiles.archived(note)
            case "recovered":
                self._savefiles.recovered(facts["name"])
            case "recovery_done":
                self._recovery_done = True
            case "gap":
                store.change(lambda catalog: ledger.gap(catalog, facts, current), number)
            case "begins":
                kind, detail = facts["kind"], facts["detail"]
                store.change(
                    lambda catalog: ledger.begins(catalog, kind, at_ns, detail, current), number
                )
            case "ends":
                store.change(lambda catalog: ledger.ends(catalog, facts["kind"], at_ns), number)
            case "dropped":
                packets = facts["packets"]
                store.change(
                    lambda catalog: ledger.dropped(catalog, packets, at_ns, current), number
                )
            case "refiltered":
                self._status.filter_text = facts["filter"]
            case "missed":
                self._status.missed += facts["count"]
                self._census_at = 0.0
                if (from_ns := facts["from_ns"]) is not None:
                    gap = behind(from_ns, at_ns, facts["packets"])
                    store.change(lambda catalog: ledger.gap(catalog, gap, None), number)
            case "end":
                self._end = facts


def _key(note: Note) -> str:
    """What a standing note takes the place of."""
    return f"recovered {note.facts['name']}" if note.what == "recovered" else note.what
