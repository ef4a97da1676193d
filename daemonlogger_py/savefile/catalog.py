"""The catalog of a ring, ``PREFIX.catalog``: rows in, rows out, in one SQLite database (WAL).

Pure storage. It walks no savefile (`survey`), knows no ring directory and decides nothing: what is
written, and when, is the recorder's and `dlctl`'s; what is believed of it is `readers.archive`'s. A
catalog is a convenience: every failure is a CatalogError of one line, after which savefiles are
read without it.

`catalog_rows` says what is in it, `catalog_schema` how that stands in tables, `catalog_database`
reads and writes them, `catalog_ledger` has runs, gaps and pins, `catalog_check` finds faults.
"""

from collections.abc import Iterable, Iterator

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.savefile import catalog_schema
from daemonlogger_py.savefile.catalog_database import bound
from daemonlogger_py.savefile.catalog_ledger import Ledger
from daemonlogger_py.savefile.catalog_rows import (
    GENESIS,
    LARGEST,
    UNLINKED,
    Entry,
    Link,
    Pin,
    chain_of,
)
from daemonlogger_py.savefile.catalog_schema import LINK, PIN, SAVEFILE, TABLES
from daemonlogger_py.savefile.names import printable

# Of savefiles that are gone; some 200 bytes each.
LINKS_KEPT = 200_000


class Catalog(Ledger):
    """One catalog, open: see `Database` for how it is used, `Ledger` for runs, gaps and pins."""

    def entries(self, from_ns: int | None = None, to_ns: int | None = None) -> Iterator[Entry]:
        """By (epoch, serial); those known to hold no packet of [from_ns, to_ns) are left out."""
        wanted = "1"
        if from_ns is not None:
            wanted += " AND (last_ns IS NULL OR last_ns >= :from_ns)"
        if to_ns is not None:
            wanted += " AND (first_ns IS NULL OR first_ns < :to_ns)"
        # The key's order: rows stand like this in the table, and nothing is sorted.
        where = f"WHERE {wanted} ORDER BY epoch, serial, name"
        span = {"from_ns": from_ns, "to_ns": to_ns}
        return self._believed(SAVEFILE, where, span)

    def unlinked_entries(self, first_epoch: int, last_epoch: int) -> Iterator[Entry]:
        """Those of savefiles named by these epochs, without `previous_chain` and `chain`.

        A part of all at a time: no transaction stays open while savefiles are read.
        """
        where = "WHERE epoch BETWEEN ? AND ? ORDER BY epoch, serial, name"
        span = min(first_epoch, LARGEST), min(last_epoch, LARGEST)
        return self._believed(SAVEFILE, where, span, plan=UNLINKED)

    def entry(self, name: str) -> Entry | None:
        """That of one savefile."""
        where = "WHERE name = CAST(? AS TEXT)"
        return next(self._believed(SAVEFILE, where, (bound(name),)), None)

    def put(self, entry: Entry) -> None:
        """Write an entry as it is, in the place of any other of its name."""
        with self.transaction():
            self._keep_link(entry.name, entry.modified_ns, entry)
            self._put(SAVEFILE, entry)

    def seal(self, entry: Entry) -> Entry:
        """Write an entry, which has a sha256, as the next link of the chain, and return it so.

        One that is a link already, by name, size and sha256, keeps its place.
        """
        if entry.sha256 is None:
            raise ValueError(f"{entry.name}: only what was hashed is sealed")
        with self.transaction():
            known = self.entry(entry.name)
            if known is not None and known.position is not None and _same_file(known, entry):
                position, previous = known.position, known.previous_chain or GENESIS
            else:
                last, previous = self._last_link()
                position = last + 1
            entry = linked(entry, position, previous)
            self.put(entry)
        return entry

    def remove(self, name: str, pruned_ns: int) -> None:
        """Forget a savefile that was pruned; what the chain needs of it stays."""
        with self.transaction():
            self._keep_link(name, pruned_ns, None)
            self._run("DELETE FROM savefile WHERE name = CAST(? AS TEXT)", (bound(name),))
            self._forget_links()

    def replace_entries(self, entries: Iterable[Entry], keep: Iterable[str] = ()) -> None:
        """All entries anew, those with a sha256 linked in their order as a chain that begins anew.

        Pins, runs and gaps stay, and so do the entries of the savefiles `keep`, without a link.
        """
        with self.transaction():
            kept = [entry for name in keep if (entry := self.entry(name)) is not None]
            self._run("DELETE FROM savefile")
            self._run("DELETE FROM link")
            for entry in kept:
                self._put(SAVEFILE, entry._replace(position=None, previous_chain=None, chain=None))
            position, chain = 0, GENESIS
            for entry in entries:
                if entry.sha256 is not None:
                    position += 1
                    entry = linked(entry, position, chain)
                    chain = entry.chain or GENESIS
                self._put(SAVEFILE, entry)

    def links(self) -> Iterator[Link]:
        """What is kept of savefiles that are gone or altered, by position."""
        return self._believed(LINK, "ORDER BY position")

    def linked(self) -> Iterator[Link]:
        """The links of savefiles that are there, by position; pruned_ns is 0."""
        where = "WHERE typeof(position) = 'integer' ORDER BY position"
        for entry in self._believed(SAVEFILE, where):
            previous, sha256, chain = entry.previous_chain, entry.sha256, entry.chain
            if entry.position is None or previous is None or sha256 is None or chain is None:
                continue
            yield Link(entry.position, entry.name, entry.size_bytes, sha256, previous, chain, 0)

    def mend(self) -> dict[str, int]:
        """Remove rows whose checksum does not fit, and count them by table.

        Pins stay as they are, with a checksum that fits: to prune is worse than to keep.
        """
        removed: dict[str, int] = {}
        with self.transaction():
            for table in TABLES:
                keys = table.key.split(", ")
                places = [table.fields.index(key) for key in keys]
                where = " AND ".join(
                    f"{key} IS CAST(? AS TEXT)" if key in table.texts else f"{key} IS ?"
                    for key in keys
                )
                bad = [columns for columns, fits in self.rows(table) if not fits]
                for columns in bad:
                    key_columns = tuple(bound(columns[place]) for place in places)
                    self._run(f"DELETE FROM {table.name} WHERE {where}", key_columns)  # noqa: S608
                    removed[table.name] = removed.get(table.name, 0) + 1
                    if table is PIN and all(isinstance(value, int) for value in columns[:3]):
                        number, from_ns, to_ns, reason, _ = columns
                        self._put(PIN, Pin(number, from_ns, to_ns, str(reason), 0))
        return removed

    def check(self) -> Iterator[str]:
        """One line for each fault: structure, checksums of rows and of pages, chain."""
        from daemonlogger_py.savefile.catalog_check import faults

        return faults(self)

    def _keep_link(self, name: str, pruned_ns: int, instead: Entry | None) -> None:
        """Keep what the chain needs of an entry that is about to go."""
        known = self.entry(name)
        if known is None or known.position is None or known.sha256 is None:
            return
        if instead is not None and instead.position == known.position:
            return
        previous, chain = known.previous_chain or GENESIS, known.chain or GENESIS
        size_bytes = known.size_bytes
        link = Link(known.position, name, size_bytes, known.sha256, previous, chain, pruned_ns)
        self._put(LINK, link)

    def _forget_links(self) -> None:
        """Forget links before the one that the oldest entry continues, and what is too much."""
        ((first,),) = self._run("SELECT MIN(position) FROM savefile WHERE position IS NOT NULL")
        ((last,),) = self._run("SELECT MAX(position) FROM link")
        if last is not None:
            oldest = last if first is None else min(first - 1, last)
            oldest = max(oldest, last - LINKS_KEPT)
            self._run("DELETE FROM link WHERE position < ?", (oldest,))

    def _last_link(self) -> tuple[int, bytes]:
        ends = [
            row
            for table in ("savefile", "link")
            for row in self._run(
                f"SELECT position, chain FROM {table} WHERE position IS NOT NULL"  # noqa: S608
                " ORDER BY position DESC LIMIT 1"
            )
        ]
        position, chain = max(ends, default=(0, GENESIS))
        return position, chain if isinstance(chain, bytes) else GENESIS


def linked(entry: Entry, position: int, previous_chain: bytes) -> Entry:
    """The entry, which has a sha256, as that link of a chain."""
    chain = chain_of(previous_chain, entry.name, entry.size_bytes, entry.sha256 or b"")
    return entry._replace(position=position, previous_chain=previous_chain, chain=chain)


def set_aside(path: str) -> str:
    """Rename a damaged catalog, and what belongs to it, to PATH.damaged[.N]; return that name.

    Nobody may have it open for writing. Raises CatalogError.
    """
    try:
        return catalog_schema.set_aside(path)
    except OSError as error:
        shown = printable(path)
        raise CatalogError(f"{shown}: cannot be renamed: {error.strerror}") from None


def _same_file(known: Entry, entry: Entry) -> bool:
    return (known.size_bytes, known.sha256) == (entry.size_bytes, entry.sha256)
