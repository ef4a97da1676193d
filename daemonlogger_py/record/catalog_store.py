"""The catalog as its process writes it: changes together in transactions, and what refuses them.

Nothing of the database's is fatal: what it refuses is said once and tried again, with the file
opened anew, and what is damaged is put aside and made anew. Which changes there are is
`cataloger`'s.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress

from daemonlogger_py.errors import CatalogError
from daemonlogger_py.record.ledger import Ledger
from daemonlogger_py.savefile.catalog import Catalog, set_aside

RETRY_S = 5.0
# The log of a database in WAL mode stands beside it, in the room that savefiles are to have.
WAL_PAGES = 64
# A database that refuses for long must not cost memory without end; the rest is healed.
MOST_CHANGES = 20_000

Change = Callable[[Catalog], None]
Say = Callable[[str, str], None]


class Store:
    """The catalog `path`, made where there is none; `say` tells the recorder an event and a line.

    A transaction that fails is as if it had not been tried for `ledger` as well.
    """

    def __init__(self, path: str, ledger: Ledger, say: Say) -> None:
        self.catalog: Catalog | None = None
        self.refused = False
        """What was tried last failed, and that was said."""
        self.changed_at: float | None = None
        """Since when something is to be written (monotonic, s); None: nothing is."""
        self.overrun = False
        """Some changes were left out: only a census brings them back."""
        self._path = path
        self._ledger = ledger
        self._say = say
        self._changes: list[tuple[int, Change]] = []
        self._damage: Exception | None = None  # found while it was open
        self._aside: str | None = None  # of which nothing was taken over yet
        self._again_at = 0.0

    def open(self) -> bool:
        """Open the catalog unless it is; returns whether it has just been."""
        if self.catalog is not None or time.monotonic() < self._again_at:
            return False
        try:
            self.catalog = self._opened()
            self.catalog.query(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        except (CatalogError, OSError) as error:
            self._refuse(error)
        return self.catalog is not None

    def change(self, change: Change, number: int = 0) -> None:
        """Write a change with the next commit; `number` is that of the note that asked for it."""
        if len(self._changes) < MOST_CHANGES:
            self._changes.append((number, change))
        else:
            self.overrun = True
        if self.changed_at is None:
            self.changed_at = time.monotonic()

    def leave_out(self, written: int) -> None:
        """Do not write what notes up to that number ask for: it is in the catalog."""
        self._changes = [one for one in self._changes if not 0 < one[0] <= written]

    def commit(self, and_then: Change | None = None) -> bool:
        """Write what has changed, and `and_then` with it; returns whether nothing is left."""
        changes = self._changes[:]

        def write(catalog: Catalog) -> None:
            with catalog.transaction():
                for _, change in changes:
                    change(catalog)
                if and_then is not None:
                    and_then(catalog)

        if not changes:
            self.changed_at = None
            return True
        if not self.attempt(write):
            return False
        del self._changes[: len(changes)]
        self.changed_at = None
        if self.refused:
            self.refused = False
            self._say("catalog_kept", "[-] The catalog is kept again")
        return True

    def attempt(self, action: Change) -> bool:
        """Do something with the catalog, if it is open; returns whether it was done."""
        if self.catalog is None:
            return False
        state = self._ledger.state
        try:
            action(self.catalog)
        except (CatalogError, OSError) as error:
            self._ledger.state = state
            self._refuse(error)
            return False
        return True

    def close(self) -> None:
        """Close the catalog; may be called twice."""
        if self.catalog is not None:
            self.catalog.close()
            self.catalog = None

    def _opened(self) -> Catalog:
        if self._damage is not None:
            self._set_aside(self._damage)
        try:
            if self._aside is None:
                return Catalog.open(self._path, write=True)
        except CatalogError as error:
            if os.path.lexists(self._path):
                if not error.damaged:
                    raise
                self._set_aside(error)
        return self._made_anew()

    def _set_aside(self, error: Exception) -> None:
        self._aside = set_aside(self._path)
        self._damage = None
        text = f"[!] {error}: kept as {self._aside}, made anew from the savefiles"
        self._say("catalog_damaged", text)

    def _made_anew(self) -> Catalog:
        """A new one, with what is in the one that was put aside, if one was."""
        try:
            catalog = Catalog.create(self._path)
        except CatalogError:
            if self._aside is None and os.path.lexists(self._path):
                return Catalog.open(self._path, write=True)  # another recorder was faster
            raise
        aside, self._aside = self._aside, None
        if aside is not None and not _taken_over(aside, catalog):
            text = f"[!] {aside}: its pins cannot all be read: what they kept may be pruned"
            self._say("pins_lost", text)
        return catalog

    def _refuse(self, error: Exception) -> None:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        if not self.refused:
            self._say("catalog_failed", f"[!] No catalog: {reason}; recording goes on")
        if _is_damage(error):
            self._damage = error
        self.refused = True
        self.close()
        self._again_at = time.monotonic() + RETRY_S


def _is_damage(error: Exception) -> bool:
    return isinstance(error, CatalogError) and error.damaged


def _taken_over(aside: str, catalog: Catalog) -> bool:
    """Copy what is nowhere else from a catalog that was put aside; returns whether all pins are."""
    try:
        with Catalog.open(aside) as before:
            _copy_ledger(before, catalog)
            with catalog.transaction():
                for pin in before.pins():
                    catalog.pin(pin.from_ns, pin.to_ns, pin.reason, pin.created_ns)
            with suppress(CatalogError):
                catalog.set_pin_quota_bytes(before.pin_quota_bytes())
    except CatalogError:
        return False
    return True


def _copy_ledger(before: Catalog, catalog: Catalog) -> None:
    """Runs and gaps as far as they can be read; savefiles tell the rest."""
    with suppress(CatalogError), catalog.transaction():
        for run in before.runs():
            catalog.begin_run(run)
    with suppress(CatalogError), catalog.transaction():
        for gap in before.gaps():
            catalog.add_gap(gap)
