"""The rows of savefiles in the catalog: begun, sealed, surveyed, pruned and archived.

What is known of a savefile that was sealed stands in its row before it is surveyed, so that the
next process can go on with it. When rows are written is `catalog_store`'s, what a survey looks at
`census`'.
"""

from typing import TYPE_CHECKING, Any

from daemonlogger_py.record import census
from daemonlogger_py.record.catalog_link import Note
from daemonlogger_py.record.catalog_run import OwnRun
from daemonlogger_py.record.catalog_store import Store
from daemonlogger_py.record.surveyor import Done, Surveyor
from daemonlogger_py.savefile.catalog import Catalog
from daemonlogger_py.savefile.catalog_rows import ARCHIVED, OPEN, Entry
from daemonlogger_py.savefile.names import SavefileName

if TYPE_CHECKING:
    from daemonlogger_py.record.opening import Opened


class Savefiles:
    """Those of the recording `ready`, whose run is `run`, and others in its directory."""

    def __init__(self, ready: "Opened", store: Store, surveyor: Surveyor, run: OwnRun) -> None:
        assert ready.log_dir is not None  # noqa: S101
        self.current: str | None = None
        """The one being written."""
        self._dir_fd = ready.log_dir.fd
        self._naming = ready.log_dir.naming
        self._header = (ready.source.linktype, ready.source.snaplen, ready.source.nanosecond)
        self._store = store
        self._surveyor = surveyor
        self._run = run
        self._recovered: set[str] = set()

    def opened(self, note: Note) -> None:
        """One was begun, and is written from now on."""
        name, at_ns = note.facts["name"], note.at_ns
        self.current = name
        parsed = self._naming.parse(name)
        if parsed is None:
            return
        linktype, snaplen, nanosecond = self._header

        def put(catalog: Catalog) -> None:
            known = catalog.entry(name)
            if known is not None and known.state == OPEN and known.run == self._run.number:
                return
            catalog.put(
                Entry(
                    name,
                    parsed.epoch,
                    parsed.serial,
                    OPEN,
                    0,
                    at_ns,
                    opened_ns=at_ns,
                    run=self._run.number,
                    linktype=linktype,
                    snaplen=snaplen,
                    nanosecond=nanosecond,
                )
            )

        self._store.change(put, note.number)

    def sealed(self, note: Note) -> bool:
        """One is complete; False: it comes back with a census, as there are too many."""
        facts = note.facts
        name = self._naming.parse(facts["name"])
        if name is None:
            return True
        self._store.change(lambda catalog: self._note_sealed(catalog, facts), note.number)
        return self._surveyor.sealed(name, facts)

    def pruned(self, note: Note) -> None:
        """One is gone."""
        name, at_ns = note.facts["name"], note.at_ns
        self._store.change(lambda catalog: catalog.remove(name, at_ns), note.number)

    def archived(self, note: Note) -> None:
        """One is in the archive."""
        name = note.facts["name"]
        self._store.change(lambda catalog: _archive(catalog, name), note.number)

    def recovered(self, name: str) -> None:
        """One that was torn has been cut."""
        self._recovered.add(name)

    def resume(self, catalog: Catalog) -> None:
        """Survey what was sealed and not surveyed when a process was killed."""
        for entry in catalog.entries():
            ours = entry.state == OPEN and entry.run == self._run.number
            if ours and entry.why is not None:
                facts = {
                    "at_ns": entry.sealed_ns,
                    "dropped": entry.dropped,
                    "lost": entry.lost,
                    "why": entry.why,
                }
                name = SavefileName(entry.epoch, entry.serial, entry.name)
                self._surveyor.sealed(name, facts)

    def surveyed(self, done: Done) -> int | None:
        """Take in what a survey came to; returns until when (ns) what was received is safe."""
        job, entry = done.job, done.entry
        if entry is None:
            return None  # gone, being written or unreadable: the next census sees to it
        note = job.note
        if note is None:
            recovered = job.name.name in self._recovered
            self._store.change(lambda catalog: self._seal_old(catalog, entry, recovered=recovered))
            return None
        self._store.change(lambda catalog: self._seal(catalog, entry, note))
        return entry.last_ns

    def _note_sealed(self, catalog: Catalog, facts: dict[str, Any]) -> None:
        known = catalog.entry(facts["name"])
        if known is not None and known.state == OPEN and known.run == self._run.number:
            catalog.put(known._replace(**_of_note(facts)))

    def _seal(self, catalog: Catalog, entry: Entry, facts: dict[str, Any]) -> None:
        if not census.is_there(self._dir_fd, entry.name):
            return  # its pruning may be noted already
        known = catalog.entry(entry.name)
        opened_ns = None if known is None else known.opened_ns
        run = self._run.number
        catalog.seal(entry._replace(opened_ns=opened_ns, run=run, **_of_note(facts)))

    def _seal_old(self, catalog: Catalog, entry: Entry, *, recovered: bool) -> None:
        if not census.is_there(self._dir_fd, entry.name):
            return
        known = catalog.entry(entry.name)
        if known is not None and known.state == OPEN:
            recovered |= known.run != self._run.number  # which ended without sealing it
        elif known is not None and _is_of(known, entry):
            return  # another recorder's process was faster
        catalog.seal(census.completed(entry, known, recovered=recovered))


def _of_note(facts: dict[str, Any]) -> dict[str, Any]:
    """What a note of a sealed savefile says, as fields of its row."""
    return {
        "sealed_ns": facts["at_ns"],
        "dropped": facts["dropped"],
        "lost": facts["lost"],
        "why": facts["why"],
    }


def _is_of(known: Entry, entry: Entry) -> bool:
    wanted = entry.size_bytes, entry.modified_ns, entry.sha256
    return (known.size_bytes, known.modified_ns, known.sha256) == wanted


def _archive(catalog: Catalog, name: str) -> None:
    known = catalog.entry(name)
    if known is not None:
        catalog.put(known._replace(state=ARCHIVED))
