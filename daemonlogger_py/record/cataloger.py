"""The process that keeps the catalog: notes in, rows out, savefiles read again and hashed.

It works until the recorder has ended, whoever ended it, and all that it noted is written. What goes
wrong here is told to the recorder, once, and costs no packet. What a note says, and that sending
one never waits, is `chronicle`'s; what gaps are is `ledger`'s.

One thread has the database, the link and the socket, another (`surveyor`) reads savefiles. A
roll-over is one transaction: the new savefile's entry waits for the survey of the one before, but
no longer than COMMIT_S.
"""

import os
import select
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from daemonlogger_py import __version__
from daemonlogger_py.record import census
from daemonlogger_py.record.answers import LONGEST_NAME, Answers
from daemonlogger_py.record.catalog_link import Link
from daemonlogger_py.record.catalog_store import Store
from daemonlogger_py.record.figures import Rates, about_room, line
from daemonlogger_py.record.keeper import look_at_volume
from daemonlogger_py.record.ledger import Ledger
from daemonlogger_py.record.pins import merged
from daemonlogger_py.record.retention import limits_of
from daemonlogger_py.record.surveyor import Done, Surveyor
from daemonlogger_py.savefile import catalog_end
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, Entry, Gap, Run

if TYPE_CHECKING:
    from daemonlogger_py.record.opening import Opened

NS_PER_SECOND = 1_000_000_000
COMMIT_S = 0.5
SEEN_S = 10.0
LOOK_S = 0.5  # for what others, such as dlctl pin, wrote
# A recorder that has ended may have been the last to write for days: a lock is waited out.
GIVE_UP_S = 30.0
CENSUS_S = 600.0  # for what others removed or added
REMOVED_AT_ONCE = 1000
ARCHIVED_KEPT = 100_000


class Cataloger:
    """Keeps the catalog of the recording `ready`, which is noted down at the other end of `link`.

    The working directory is the log directory: a path that others may not look up is no obstacle.
    """

    def __init__(self, link: socket.socket, ready: "Opened") -> None:
        assert ready.log_dir is not None  # noqa: S101
        self._link = Link(link)
        self._config = ready.config
        self._dir_fd = ready.log_dir.fd
        self._naming = ready.log_dir.naming
        self._shown = ready.log_dir.shown
        self._filter_text = ready.filter_text
        self._limits = limits_of(ready.config) if ready.config.ring else None
        self._header = (ready.source.linktype, ready.source.snaplen, ready.source.nanosecond)
        self._recorder_pid = os.getppid()
        self._started_ns = ready.since_ns
        self._ledger = Ledger()
        self._run: int | None = None  # its number
        self._store = Store(f"./{ready.config.prefix}.catalog", self._ledger, self._say)
        self._surveyor = Surveyor(self._dir_fd)
        self._opened: dict[str, int] = {}  # savefiles not surveyed yet -> when they were begun
        self._recovered: set[str] = set()
        self._recovery_done = False
        self._current: str | None = None
        self._safe_ns = self._started_ns
        self._end: dict[str, Any] | None = None
        self._figures: dict[str, Any] = {}
        self._rates = Rates()
        self._missed = 0
        self._version = -1
        self._begun = False
        self._finished = False  # the end of the run is written, or is about to be
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
        self._answers = self._listen()
        try:
            while not self._ended:
                self._turn()
        finally:
            if self._answers is not None:
                self._answers.close()
            self._store.close()

    def _turn(self) -> None:
        now = time.monotonic()
        self.open()
        self._surveyor.go_on(old_too=self._old_too)
        self._wait(now)
        for note in self._link.notes():
            self._heed(note["note"], note["at_ns"], note)
        if self._answers is not None:
            self._answers.give(self.status)
        if (done := self._surveyor.take()) is not None:
            self._surveyed(done)
        self._keep(time.monotonic())
        self._ended = self._link.hung_up_ns is not None and self._at_an_end()

    @property
    def _old_too(self) -> bool:
        """Whether it is time for savefiles of earlier recordings."""
        here = self._link.hung_up_ns is None
        return here and self._recovery_done and self._store.catalog is not None

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
        if not self._finished and self._begun:
            # Before savefiles that are still to be hashed: a service manager may not wait for them.
            self._finished = True
            self._finish()
            self._store.commit()
        if not self._surveyor.idle:
            return False
        if self._store.refused or not self._begun:
            waited_s = (time.time_ns() - (self._link.hung_up_ns or 0)) / NS_PER_SECOND
            return not self._begun or waited_s > GIVE_UP_S
        return self._store.catalog is not None and self._store.commit()

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
        # A recorder that has ended by now still has begun.
        if now >= self._census_at and (here or not self._begun):
            self._store.attempt(self._take_census)
        if not self._begun:
            return
        if now >= self._seen_at and here:
            self._seen_at = now + SEEN_S
            seen_ns = self._safe_ns
            self._store.change(lambda catalog: self._ledger.still_there(catalog, seen_ns))
        since = self._store.changed_at
        if since is not None and (not self._surveyor.behind or now >= since + COMMIT_S):
            self._store.commit()

    def _tell_pins(self, catalog: Catalog) -> None:
        version = catalog.data_version()
        if version == self._version:
            return
        if self._link.tell_pins(merged((pin.from_ns, pin.to_ns) for pin in catalog.pins())):
            self._version = version

    # The directory

    def _knows_us(self, catalog: Catalog) -> bool:
        us = self._run, self._started_ns
        return any((run.number, run.started_ns) == us for run in catalog.runs())

    def _take_census(self, catalog: Catalog) -> None:
        began = time.monotonic()
        found = census.take(catalog, self._dir_fd, self._naming)
        # One that was made anew, by us or by somebody else, does not know of this run.
        if not self._begun or not self._knows_us(catalog):
            self._begin(catalog, found)
        gone = [name for name in found.gone if not census.is_there(self._dir_fd, name)]
        gone += found.archived[:-ARCHIVED_KEPT]
        now_ns = time.time_ns()
        for at in range(0, len(gone), REMOVED_AT_ONCE):
            with catalog.transaction():
                for hole in found.holes if at == 0 else ():
                    self._ledger.removed(catalog, hole)
                for name in gone[at : at + REMOVED_AT_ONCE]:
                    catalog.remove(name, now_ns)
        self._surveyor.old([name for name in found.unknown if name.name != self._current])
        now = time.monotonic()
        self._census_at = now + max(CENSUS_S, 100 * (now - began))

    def _begin(self, catalog: Catalog, found: census.Census) -> None:
        alive = {
            entry.run
            for entry in found.open
            if entry.run is not None and census.is_being_written(self._dir_fd, entry.name)
        }
        last_packets: dict[int, int] = {}
        for entry in found.open:
            if entry.run is not None and entry.run not in alive:
                last_ns = census.last_packet_ns(self._dir_fd, entry.name)
                last_packets[entry.run] = max(last_ns, last_packets.get(entry.run, 0))
        # What a recorder went on with when its catalog's process had died before it.
        dead = [run.number for run in catalog.runs() if run.ended_ns is None]
        dead = [number for number in dead if number not in alive]
        strays = [name.name for name in found.unknown if name.name != self._current]
        if dead and strays:
            last_ns = census.last_packet_ns(self._dir_fd, strays[-1])
            last_packets[dead[-1]] = max(last_ns, last_packets.get(dead[-1], 0))
        linktype, snaplen, _ = self._header
        run = Run(
            started_ns=self._started_ns,
            seen_ns=self._started_ns,
            interface=self._config.interface,
            filter_text=self._filter_text,
            snaplen=snaplen,
            linktype=linktype,
            host=socket.gethostname(),
            version=__version__,
            pid=self._recorder_pid,
            boot_id=_boot_id(),
        )
        ends = catalog_end.ends(catalog.path)
        with catalog.transaction():
            self._ledger.begin(catalog, run, alive, last_packets, ends)
        if ends:
            with suppress(OSError):
                catalog_end.forget(catalog.path)
        self._run = self._ledger.run
        self._begun = True

    def _surveyed(self, done: Done) -> None:
        job = done.job
        if done.entry is None:
            return  # it is gone, is being written or cannot be read: the next census sees to it
        entry = done.entry
        if job.note is not None and entry.last_ns is not None:
            self._safe_ns = max(self._safe_ns, entry.last_ns)
        recovered = job.name.name in self._recovered
        if job.note is None:
            self._store.change(lambda catalog: self._seal_old(catalog, entry, recovered=recovered))
            return
        note = job.note
        entry = entry._replace(
            opened_ns=self._opened.pop(job.name.name, None),
            sealed_ns=note["at_ns"],
            dropped=note["dropped"],
            lost=note["lost"],
            why=note["why"],
            run=self._run,
        )

        def seal(catalog: Catalog) -> None:
            if census.is_there(self._dir_fd, entry.name):  # its pruning may be noted already
                catalog.seal(entry)

        self._store.change(seal)

    def _seal_old(self, catalog: Catalog, entry: Entry, *, recovered: bool) -> None:
        if not census.is_there(self._dir_fd, entry.name):
            return
        known = catalog.entry(entry.name)
        if known is not None and known.state == OPEN:
            recovered |= known.run != self._run  # which ended without sealing it
        elif known is not None and _is_of(known, entry):
            return  # another recorder's process was faster
        catalog.seal(census.completed(entry, known, recovered=recovered))

    # The recorder

    def _heed(self, what: str, at_ns: int, note: dict[str, Any]) -> None:
        ledger, current = self._ledger, self._current
        match what:
            case "figures":
                self._heed_figures(at_ns, note)
            case "opened":
                self._begin_savefile(note["name"], at_ns)
            case "sealed":
                name = self._naming.parse(note["name"])
                if name is not None and not self._surveyor.sealed(name, note):
                    self._census_at = 0.0
            case "pruned":
                self._opened.pop(note["name"], None)
                self._store.change(lambda catalog: catalog.remove(note["name"], at_ns))
            case "archived":
                self._store.change(lambda catalog: _archive(catalog, note["name"]))
            case "recovered":
                self._recovered.add(note["name"])
            case "recovery_done":
                self._recovery_done = True
            case "gap":
                self._store.change(lambda catalog: ledger.gap(catalog, note, current))
            case "begins":
                kind, detail = note["kind"], note["detail"]
                self._store.change(
                    lambda catalog: ledger.begins(catalog, kind, at_ns, detail, current)
                )
            case "ends":
                self._store.change(lambda catalog: ledger.ends(catalog, note["kind"], at_ns))
            case "dropped":
                packets = note["packets"]
                self._store.change(lambda catalog: ledger.dropped(catalog, packets, at_ns, current))
            case "refiltered":
                self._filter_text = note["filter"]
            case "missed":
                self._missed += note["count"]
                self._census_at = 0.0
            case "end":
                self._end = note

    def _heed_figures(self, at_ns: int, note: dict[str, Any]) -> None:
        self._figures = note["figures"]
        self._safe_ns = max(self._safe_ns, note["safe_ns"])
        self._rates.report(at_ns, self._figures["received"], self._figures["written_bytes"])
        if self._ledger.drops_are_over(at_ns):
            self._store.change(lambda catalog: self._ledger.write_drops(catalog))

    def _begin_savefile(self, name: str, at_ns: int) -> None:
        self._current = name
        self._opened[name] = at_ns
        parsed = self._naming.parse(name)
        if parsed is None:
            return
        linktype, snaplen, nanosecond = self._header

        def put(catalog: Catalog) -> None:
            known = catalog.entry(name)
            if known is None or known.state != OPEN or known.run != self._run:
                catalog.put(
                    Entry(
                        name,
                        parsed.epoch,
                        parsed.serial,
                        OPEN,
                        0,
                        at_ns,
                        opened_ns=at_ns,
                        run=self._run,
                        linktype=linktype,
                        snaplen=snaplen,
                        nanosecond=nanosecond,
                    )
                )

        self._store.change(put)

    def _finish(self) -> None:
        """Have it written that the run ended, as the last thing there is to write."""
        end = self._end
        if end is None:
            self._store.change(self._ended_killed)
        else:
            self._store.change(lambda catalog: self._ended_well(catalog, end))

    def _ended_killed(self, catalog: Catalog) -> None:
        last_ns = self._safe_ns
        if self._current is not None:
            # What is there proves that it recorded until then.
            last_ns = max(last_ns, census.last_packet_ns(self._dir_fd, self._current))
        last_ns = min(last_ns, self._link.hung_up_ns or last_ns)
        self._ledger.end(catalog, "the recorder was killed", last_ns, killed=True)

    def _ended_well(self, catalog: Catalog, end: dict[str, Any]) -> None:
        if end["lost"]:
            from_ns = min(end["lost_from_ns"] or self._safe_ns, end["at_ns"])
            catalog.add_gap(
                Gap(
                    kind="lost",
                    from_ns=from_ns,
                    to_ns=end["at_ns"],
                    packets=end["lost"],
                    savefile=self._current,
                    run=self._run,
                    detail=end["why"],
                )
            )
        self._ledger.end(catalog, end["why"], end["stopped_ns"], killed=False)

    # Those who ask

    def _listen(self) -> Answers | None:
        name = f"{self._config.prefix}.socket"
        try:
            if len(os.fsencode(name)) > LONGEST_NAME:
                raise OSError(0, "its name is too long for a socket")
            return Answers(name)
        except OSError as error:
            self._say("no_socket", f"[!] dlctl status cannot ask: ./{name}: {error.strerror}")
            return None

    def status(self) -> bytes:
        """How it goes right now, as one line of JSON."""
        told = self._figures
        volume = look_at_volume(self._dir_fd)
        packets_per_s, bytes_per_s = self._rates.per_second()
        return line(
            {
                "version": __version__,
                "pid": self._recorder_pid,
                "started_ns": self._started_ns,
                "now_ns": time.time_ns(),
                "interface": self._config.interface,
                "filter": self._filter_text,
                **told,
                "rate_packets": round(packets_per_s, 1),
                "rate_bytes": round(bytes_per_s, 1),
                **about_room(told, self._limits, volume, self._config.roll_size),
                "catalog_behind": self._surveyor.behind,
                "missed_messages": self._missed,
            }
        )


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:  # a chroot without /proc
        return ""


def _is_of(known: Entry, entry: Entry) -> bool:
    wanted = entry.size_bytes, entry.modified_ns, entry.sha256
    return (known.size_bytes, known.modified_ns, known.sha256) == wanted


def _archive(catalog: Catalog, name: str) -> None:
    known = catalog.entry(name)
    if known is not None:
        catalog.put(known._replace(state=ARCHIVED))
